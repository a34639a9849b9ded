#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""time_to_loss.py BUILD [--ways late,local] [--seeds 3] [--steps 3000] [--lr 0.001]
                      [--shape SHAPE] [...] [TEXT...]

Trains the example's language model synchronously and densely, with late gradients (--staleness 1,
int8) and with local steps (DiLoCo: H = 20, an outer Nesterov, int8), from the same first parameters
on the same samples, seed by seed, and compares held-out losses and bytes sent. As the loss jumps by
0.02 nats from one evaluation to the next, the mean of five is compared, 20 steps apart. Exit code 1
when a seed's difference exceeds the way's margin in nats, or too few times fewer bytes were sent.

With --shape hosts=2,rate=20mbit,latency=1ms it compares the time to a loss: how many steps of a
way reach the loss that the dense training ends with, extra ones counted, times what a step takes on
such wires, imitated on this host. Steps are measured in several rounds, one way after the other, of
which the median counts: others on this machine add to all of them alike. The ideal is

    (T_compute + T_communication) / max(T_compute, what remains of communication)

where both communications are a step's own payload over the wire's rate. Exit code 1 when a way
reaches less than --share of it in the mean of the seeds."""
import argparse
import os
import re
import statistics
import subprocess
import sys

MIB = 2.0 ** 20
UNITS = {"k": 1e3, "m": 1e6, "g": 1e9}


class Way:
    """One way to train: what the trainer is told, and what is expected of it."""

    def __init__(self, words, margin=0.0, fewer=0.0):
        self.words = words
        self.margin = margin
        self.fewer = fewer


def train(options, way, seed, steps, shape="", every=20):
    """Its output."""
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", WIREWISE_LOG_LEVEL="error",
                       WIREWISE_CODEC_LEAST_COUNT=str(options.least_count), WIREWISE_SHAPE=shape)
    command = ["mpirun", "--oversubscribe", "-n", str(options.ranks),
               f"{options.build}/examples/train", "--no-progress", "--steps", str(steps),
               "--eval-every", str(every), "--size", options.size, "--lr", str(options.lr),
               "--seed", str(seed), *way.words, *options.texts]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment,
                          timeout=3600).stdout


def smooth_losses(text):
    """(step, mean of the five evaluations up to it)"""
    trace = [(int(step), float(loss))
             for step, loss in re.findall(r"\[(\d+)/\d+\].* held-out (\S+)", text)]
    return [(trace[i][0], statistics.mean(loss for _, loss in trace[i - 4:i + 1]))
            for i in range(4, len(trace))]


def last_loss(text):
    return smooth_losses(text)[-1][1]


def sent_bytes(text):
    """Of rank 0 in a mean step, and what the dense way would have sent."""
    units = {"B": 1, "KiB": 2.0 ** 10, "MiB": MIB, "GiB": 2.0 ** 30}
    steps = int(re.search(r" in (\d+) steps, ", text).group(1))
    local = re.search(r"sent (\S+) MiB of (\S+) dense", text.split("local steps, rank 0")[-1])
    if "local steps, rank 0" in text:
        return float(local.group(1)) * MIB / steps, float(local.group(2)) * MIB / steps
    levels = re.findall(r"^(?:host|all) +(\S+) (\S+) +(\S+) (\S+)", text, re.MULTILINE)
    sent, sent_unit, dense, dense_unit = levels[-1]  # of all levels, where there are several
    return float(sent) * units[sent_unit] / steps, float(dense) * units[dense_unit] / steps


def step_seconds(text):
    """The mean of all steps but the first five: exchanges in it weigh as they come."""
    times = [float(time) for time in re.findall(r"; step (\S+) s,", text)][5:]
    return sum(times) / len(times)


def bits_per_second(shape):
    number, unit = re.search(r"rate=([\d.]+)([kmg]?)bit", shape.lower()).groups()
    return float(number) * UNITS.get(unit, 1)


def compare_losses(options, ways):
    good = True
    gaps = {name: [] for name in ways}
    for seed in range(1, options.seeds + 1):
        dense = last_loss(train(options, options.dense, seed, options.steps))
        print(f"seed {seed}: synchronous {dense:.4f}", flush=True)
        for name, way in ways.items():
            text = train(options, way, seed, options.steps)
            sent, densely = sent_bytes(text)
            gap = last_loss(text) - dense
            gaps[name].append(gap)
            fine = gap <= way.margin and densely / sent >= way.fewer
            good = good and fine
            print(f"  {name}: {dense + gap:.4f}, {gap:+.4f} nats, at most {way.margin}; "
                  f"{densely / sent:.1f} times fewer bytes, at least {way.fewer:g}: "
                  f"{'yes' if fine else 'NO'}", flush=True)
    for name, all_gaps in gaps.items():
        print(f"{name}: mean {statistics.mean(all_gaps):+.4f} nats")
    return good


def steps_to(options, way, seed, wanted):
    """How many reach the wanted loss; None when half as many more do not."""
    trace = smooth_losses(train(options, way, seed, options.steps * 3 // 2))
    return next((step for step, loss in trace if loss <= wanted), None)


def measure_steps(options, ways):
    """Seconds and bytes of a step: of computing alone, of the dense way, of the others."""
    alone = Way(["--local-steps", "1000000", "--outer", "sgd"])
    few = 10 * options.local_steps + 5
    runs = {"alone": (alone, "", few), "dense": (options.dense, options.shape, 25),
            **{name: (way, options.shape, few if name == "local" else 65)
               for name, way in ways.items()}}
    seconds = {name: [] for name in runs}
    sent = {}
    for _ in range(options.rounds):
        for name, (way, shape, steps) in runs.items():
            text = train(options, way, 1, steps, shape, every=steps)
            seconds[name].append(step_seconds(text))
            sent[name] = sent_bytes(text)[0]
    for name, times in seconds.items():
        print(f"{name}: a step takes {' '.join(f'{time * 1e3:.1f}' for time in sorted(times))} ms, "
              f"sends {sent[name] / 1024:.1f} KiB")
    return {name: statistics.median(times) for name, times in seconds.items()}, sent


def compare_times(options, ways):
    seconds, sent = measure_steps(options, ways)
    compute_s = seconds["alone"]
    rate = bits_per_second(options.shape)
    wire_s = {name: 8 * count / rate for name, count in sent.items()}
    share = 100 * (1 - compute_s / seconds["dense"])
    print(f"{options.shape}: T_compute {compute_s * 1e3:.1f} ms, T_communication "
          f"{wire_s['dense'] * 1e3:.1f} ms: {share:.0f} % of the dense step of "
          f"{seconds['dense'] * 1e3:.1f} ms", flush=True)
    shares = {name: [] for name in ways}
    for seed in range(1, options.seeds + 1):
        wanted = last_loss(train(options, options.dense, seed, options.steps))
        print(f"seed {seed}: {options.steps} dense steps end with {wanted:.4f}", flush=True)
        for name, way in ways.items():
            print(f"  {name}", flush=True)
            steps = steps_to(options, way, seed, wanted)
            if steps is None:
                print("    half as many steps more do not get there")
                shares[name].append(0.0)
                continue
            ratio = options.steps * seconds["dense"] / (steps * seconds[name])
            ideal = (compute_s + wire_s["dense"]) / max(compute_s, wire_s[name])
            shares[name].append(ratio / ideal)
            print(f"    {steps - options.steps:+d} steps of {seconds[name] * 1e3:.1f} ms, where "
                  f"{wire_s[name] * 1e3:.1f} ms of communication remain: {ratio:.2f} times sooner; "
                  f"ideal {ideal:.2f}: {100 * ratio / ideal:.0f} % of it", flush=True)
    good = True
    for name, each in shares.items():
        mean = statistics.mean(each)
        good = good and mean >= options.share
        print(f"{name}: {100 * mean:.0f} % of the ideal in the mean, at least "
              f"{100 * options.share:.0f}: {'yes' if mean >= options.share else 'NO'}")
    return good


def make_ways(options):
    local = Way(["--local-steps", str(options.local_steps), "--outer", "nesterov", "--outer-rate",
                 str(options.outer_rate), "--outer-momentum", str(options.outer_momentum),
                 "--outer-codec", options.outer_codec, "--fragments", str(options.fragments),
                 "--outer-delay", str(options.outer_delay), "--outer-mix", str(options.outer_mix)],
                margin=options.local_margin, fewer=60)
    late = Way(["--staleness", str(options.staleness), "--codec", options.codec,
                "--momentum", str(options.late_momentum)],
               margin=options.late_margin, fewer=1 if options.codec == "none" else 1.5)
    ways = {"late": late, "local": local}
    return {name: ways[name] for name in options.ways.split(",")}


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("texts", nargs="*")
    for name, default in {
            "ways": "late,local", "seeds": 3, "steps": 3000, "ranks": 2, "size": "small",
            "lr": 0.001, "least-count": 1000,
            "staleness": 1, "codec": "int8", "late-momentum": 0.9, "late-margin": 0.03,
            "local-steps": 20, "outer-rate": 0.9, "outer-momentum": 0.4, "outer-codec": "int8",
            "fragments": 1, "outer-delay": 0, "outer-mix": 0.0, "local-margin": 0.05,
            "shape": "", "rounds": 5, "share": 0.8}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    options = parser.parse_intermixed_args()
    options.dense = Way([])
    return options


def main():
    options = parse()
    ways = make_ways(options)
    print(f"{options.ranks} ranks, {options.steps} steps, learning rate {options.lr:g}")
    for name, way in ways.items():
        print(f"{name}: {' '.join(way.words)}", flush=True)
    compare = compare_times if options.shape else compare_losses
    return 0 if compare(options, ways) else 1


if __name__ == "__main__":
    sys.exit(main())
