#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""local_steps.py BUILD [--seeds 3] [--steps 1500] [--ranks 2] [--size small] [--local-steps 20]
                     [--outer-rate X] [--outer-momentum X] [--outer-codec int8] [--margin 0.05]
                     [--fewer 60] [TEXT...]

Trains the example's language model synchronously and with local steps and an outer Nesterov, from
the same first parameters on the same samples, seed by seed, and compares held-out losses and bytes
sent. Exit code 1 when the mean difference exceeds the margin in nats, or fewer than --fewer times
fewer bytes were sent."""
import argparse
import os
import re
import statistics
import subprocess
import sys


def train(options, seed, words):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", WIREWISE_LOG_LEVEL="error")
    command = ["mpirun", "--oversubscribe", "-n", str(options.ranks),
               f"{options.build}/examples/train", "--no-progress", "--quiet", "--steps",
               str(options.steps), "--eval-every", str(options.steps), "--size", options.size,
               "--seed", str(seed), *words, *options.texts]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment,
                          timeout=3600).stdout
    loss = float(re.search(r"held-out loss \S+ -> (\S+)", text).group(1))
    fewer = re.search(r"dense \((\S+) times fewer\)", text)
    return loss, float(fewer.group(1)) if fewer else 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--size", default="small")
    parser.add_argument("--local-steps", type=int, default=20)
    parser.add_argument("--outer-rate", type=float, default=0.7)
    parser.add_argument("--outer-momentum", type=float, default=0.5)
    parser.add_argument("--outer-codec", default="int8")
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--fewer", type=float, default=60)
    options = parser.parse_intermixed_args()
    local = ["--local-steps", str(options.local_steps), "--outer", "nesterov", "--outer-rate",
             str(options.outer_rate), "--outer-momentum", str(options.outer_momentum),
             "--outer-codec", options.outer_codec]
    gaps, ratios = [], []
    print(f"{options.ranks} ranks, {options.steps} steps; {' '.join(local)}")
    for seed in range(1, options.seeds + 1):
        dense, _ = train(options, seed, [])
        loss, fewer = train(options, seed, local)
        gaps.append(loss - dense)
        ratios.append(fewer)
        print(f"seed {seed}: synchronous {dense:.4f}, local steps {loss:.4f} ({loss - dense:+.4f} "
              f"nats), {fewer:g} times fewer bytes", flush=True)
    mean = statistics.mean(gaps)
    good = mean <= options.margin and min(ratios) >= options.fewer
    print(f"mean {mean:+.4f} nats, at most {options.margin}; {min(ratios):g} times fewer bytes, at "
          f"least {options.fewer:g}: {'yes' if good else 'NO'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
