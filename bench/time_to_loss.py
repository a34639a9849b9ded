#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""local_steps.py BUILD [--seeds 3] [--steps 3000] [--ranks 2] [--size small] [--local-steps 20]
                     [--outer-rate 0.9] [--outer-momentum 0.4] [--outer-codec int8]
                     [--fragments 1] [--outer-delay 0] [--outer-mix 0] [--margin 0.05] [--fewer 60]
                     [--shape hosts=2,rate=10mbit,latency=1ms] [TEXT...]

Trains the example's language model synchronously and with local steps and an outer Nesterov, from
the same first parameters on the same samples, seed by seed, and compares held-out losses and bytes
sent. Exit code 1 when the mean difference exceeds the margin in nats, or fewer than --fewer times
fewer bytes were sent.

With --shape it compares the time to a loss instead: how many local steps reach the held-out loss
that the synchronous run ends with (extra ones count), times what a step takes on such wires, imitated
on this host; beside it the ideal, where nothing but computing takes time."""
import argparse
import os
import re
import statistics
import subprocess
import sys


def train(options, seed, words, shape=None, steps=None, every=None):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", WIREWISE_LOG_LEVEL="error")
    if shape:
        environment["WIREWISE_SHAPE"] = shape
    steps = steps or options.steps
    command = ["mpirun", "--oversubscribe", "-n", str(options.ranks),
               f"{options.build}/examples/train", "--no-progress", "--steps", str(steps),
               "--eval-every", str(every or steps), "--size", options.size,
               "--seed", str(seed), *words, *options.texts]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment,
                          timeout=3600).stdout


def last_loss(text):
    return float(re.search(r"held-out loss \S+ -> (\S+)", text).group(1))


def times_fewer(text):
    return float(re.search(r"dense \((\S+) times fewer\)", text).group(1))


def step_seconds(text):
    """The mean of all steps but the first five: exchanges in it weigh as they come."""
    times = [float(time) for time in re.findall(r"; step (\S+) s,", text)][5:]
    return sum(times) / len(times)


def compare_losses(options, local):
    gaps, ratios = [], []
    for seed in range(1, options.seeds + 1):
        dense = last_loss(train(options, seed, []))
        text = train(options, seed, local)
        gaps.append(last_loss(text) - dense)
        ratios.append(times_fewer(text))
        print(f"seed {seed}: synchronous {dense:.4f}, local steps {dense + gaps[-1]:.4f} "
              f"({gaps[-1]:+.4f} nats), {ratios[-1]:g} times fewer bytes", flush=True)
    mean = statistics.mean(gaps)
    good = mean <= options.margin and min(ratios) >= options.fewer
    print(f"mean {mean:+.4f} nats, at most {options.margin}; {min(ratios):g} times fewer bytes, at "
          f"least {options.fewer:g}: {'yes' if good else 'NO'}")
    return good


def compare_times(options, local):
    steps = options.steps
    wanted = last_loss(train(options, 1, []))
    text = train(options, 1, local, steps=steps * 3 // 2, every=options.local_steps)
    reached = [int(step) for step, loss in re.findall(r"\[(\d+)/\d+\].* held-out (\S+)", text)
               if float(loss) <= wanted]
    if not reached:
        print(f"local steps do not reach {wanted:.4f} in {steps * 3 // 2} steps")
        return False
    few = 10 * options.local_steps + 5
    alone = ["--local-steps", "1000000", "--outer", "sgd"]
    compute_s = step_seconds(train(options, 1, alone, steps=few))
    local_s = step_seconds(train(options, 1, local, options.shape, few))
    dense_s = step_seconds(train(options, 1, [], options.shape, 2 * options.local_steps + 5))
    ratio = steps * dense_s / (reached[0] * local_s)
    ideal = dense_s / compute_s
    print(f"{options.shape}: a step takes {dense_s * 1e3:.1f} ms synchronously, "
          f"{local_s * 1e3:.1f} ms with local steps, {compute_s * 1e3:.1f} ms of computing alone: "
          f"wires were {100 * (1 - compute_s / dense_s):.0f} % of the step")
    print(f"held-out loss {wanted:.4f} after {steps} synchronous steps, {reached[0]} local ones "
          f"({reached[0] - steps:+d})")
    print(f"{ratio:.1f} times sooner; ideal {ideal:.1f}: {100 * ratio / ideal:.0f} % of it")
    return ratio >= 0.8 * ideal


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--size", default="small")
    parser.add_argument("--local-steps", type=int, default=20)
    parser.add_argument("--outer-rate", type=float, default=0.9)
    parser.add_argument("--outer-momentum", type=float, default=0.4)
    parser.add_argument("--outer-codec", default="int8")
    parser.add_argument("--fragments", type=int, default=1)
    parser.add_argument("--outer-delay", type=int, default=0)
    parser.add_argument("--outer-mix", type=float, default=0)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--fewer", type=float, default=60)
    parser.add_argument("--shape")
    options = parser.parse_intermixed_args()
    local = ["--local-steps", str(options.local_steps), "--outer", "nesterov", "--outer-rate",
             str(options.outer_rate), "--outer-momentum", str(options.outer_momentum),
             "--outer-codec", options.outer_codec, "--fragments", str(options.fragments),
             "--outer-delay", str(options.outer_delay), "--outer-mix", str(options.outer_mix)]
    print(f"{options.ranks} ranks, {options.steps} steps; {' '.join(local)}", flush=True)
    compare = compare_times if options.shape else compare_losses
    return 0 if compare(options, local) else 1


if __name__ == "__main__":
    sys.exit(main())
