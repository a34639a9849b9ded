#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""savings.py BUILD claims [--pairs 10] [--rates none 1gbit 5gbit] [--codecs fp16 int8 topk:0.01] [--bytes 16M]
savings.py BUILD auto [--rates none ...] [--ranks 1 2] [--sizes 4K 64K ...] [--hosts 2]

Measures between hosts of tests/cluster/hosts.sh with the program BUILD/bench/savings.

claims  runs none and all codecs, in turn, several times, and prints what the ledger claims beside
        what the runs really took: |claimed - true| <= max(10 % of |true|, 1 % of dense) is right,
        1.00 x; seconds are those of all runs. Steps are about half a minute of dense ones: the
        shorter a run, the less is known about it. Wires are assumed, not measured: else two
        contexts may go different dense ways, and no claim of one be true of the other.
        Bytes claimed stand beside those that the interface counted, in runs of one codec alone.
auto    for each size, rate and number of ranks a host, "auto" with all codecs allowed beside none
        and every fixed codec, after it settled: medians, in turn in one run. The rate "memory"
        stands for ranks that share one host.
"""
import argparse
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
HOSTS = os.path.join(HERE, "..", "tests", "cluster", "hosts.sh")
ALL = ["fp16", "bf16", "int8", "topk:0.01"]


def size_of(text):
    number, suffix = re.fullmatch(r"([0-9.]+)([KMG]?)", text).groups()
    return int(float(number) * {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[suffix])


def run(options, hosts, rate, ranks, arguments, **settings):
    """Lines of one run as {kind: {codec: {name: value}}}."""
    environment = dict(os.environ, WIREWISE_CODECS_ALLOWED=",".join(ALL),
                       WIREWISE_CALIBRATION_FILE="none", OMPI_ALLOW_RUN_AS_ROOT="1",
                       OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **settings)
    program = [os.path.join(options.build, "bench", "savings")] + [str(a) for a in arguments]
    if rate == "memory":
        command = ["mpirun", "--oversubscribe", "-n", str(ranks * hosts)] + program
    else:
        command = [HOSTS, "with", str(hosts), rate, "--", "mpirun", str(ranks)] + program
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=1800)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    told = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if words and words[0] in ("run", "claim", "audit"):
            values = dict(zip(words[2::2], words[3::2]))
            told.setdefault(words[0], {})[words[1]] = {
                k: v if k == "now" else float(v) for k, v in values.items()}
    return told


def claims(options):
    size = size_of(options.bytes)
    usual = {"none": 1600, "5gbit": 800, "1gbit": 200}
    print("rate      codec       right  worst_error  claimed_s     true_s    dense_s  steps")
    for rate in options.rates:
        steps = options.steps or usual.get(rate, 200)
        told = [run(options, 2, rate, 1, [size, 1, steps, 0, "none"] + options.codecs,
                    WIREWISE_CALIBRATE="off")["claim"] for _ in range(options.pairs)]
        for codec in options.codecs:
            pairs = [claim[codec] for claim in told]
            errors = [abs(pair["seconds"] - pair["true"]) /
                      max(0.1 * abs(pair["true"]), 0.01 * pair["dense"]) for pair in pairs]
            sums = {name: sum(pair[name] for pair in pairs)
                    for name in ("seconds", "true", "dense")}
            print(f"{rate:9} {codec:10} {sum(error <= 1 for error in errors):3}/{len(pairs):<3} "
                  f"{max(errors):9.2f} x  {sums['seconds']:9.3f}  {sums['true']:9.3f}  "
                  f"{sums['dense']:9.3f}  {steps:5}", flush=True)
        for codec in ["none"] + options.codecs:
            told = run(options, 2, rate, 1, [size, 1, 20, 0, codec])["audit"][codec]
            print(f"{rate:9} {codec:10} bytes: claimed {told['claimed']:.0f}, interface "
                  f"{told['counted']:.0f}, framing {told['overhead']:.0f}, unexplained "
                  f"{100 * told['unexplained']:.2f} %", flush=True)


def auto(options):
    print("rate      ranks  bytes       none_us      best_us  best        auto_us  chose       "
          "auto/none  auto/best")
    for rate in options.rates:
        for ranks in options.ranks:
            for text in options.sizes:
                size = size_of(text)
                steps = options.steps or 200
                steps = steps if size < 1 << 20 else max(20, steps // 4)
                told = run(options, options.hosts, rate, ranks,
                           [size, 1, steps, options.settle, "none"] + ALL + ["auto"])["run"]
                best = min(["none"] + ALL, key=lambda codec: told[codec]["median"])
                dense, own = told["none"]["median"], told["auto"]["median"]
                print(f"{rate:9} {ranks * options.hosts:5}  {text:6} {dense * 1e6:12.2f} "
                      f"{told[best]['median'] * 1e6:12.2f}  {best:10} {own * 1e6:9.2f}  "
                      f"{told['auto']['now']:10} {own / dense:9.3f}  "
                      f"{own / told[best]['median']:9.3f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("what", choices=["claims", "auto"])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--settle", type=int, default=250)
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--bytes", default="16M")
    parser.add_argument("--rates", nargs="+", default=["none", "5gbit", "1gbit"])
    parser.add_argument("--codecs", nargs="+", default=["fp16", "int8", "topk:0.01"])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1])
    parser.add_argument("--sizes", nargs="+",
                        default=["4K", "16K", "64K", "256K", "1M", "4M", "16M", "64M"])
    options = parser.parse_args()
    {"claims": claims, "auto": auto}[options.what](options)


main()
