#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""convergence.py BUILD [--seeds 5] [--steps N] [--ranks 2] [--size small] [--codec SPEC]
                     [TEXT...]

Trains the example's language model with every codec from the same first parameters on the same
samples, seed by seed, and compares held-out losses with those of the dense runs of the same recipe:
fp16, bf16 and int8 with Adam; top-k 1 % with SGD, whose momentum the library keeps, masked and not,
under a learning rate that comes up in 100 steps and goes down to 0 by half a cosine. Then top-k
once more without error feedback, which must end worse: else the comparison could not tell.
Exit code 1 when a mean difference exceeds its margin (0.02 nats, 0.03 for top-k) or the control
stays within it."""
import argparse
import os
import re
import statistics
import subprocess
import sys

RECIPES = {  # of the dense runs as well: steps, the trainer's options
    "adam": (1500, ["--optimizer", "adam"]),
    "sgd": (3000, ["--optimizer", "sgd", "--lr", "0.3", "--lr-schedule", "cosine",
                   "--lr-warmup", "100"]),
}
ARMS = [  # name, codec, recipe, margin in nats, settings
    ("fp16", "fp16", "adam", 0.02, {}),
    ("bf16", "bf16", "adam", 0.02, {}),
    ("int8", "int8", "adam", 0.02, {}),
    ("topk:0.01", "topk:0.01", "sgd", 0.03, {}),
    ("topk:0.01, not masked", "topk:0.01", "sgd", 0.03, {"WIREWISE_MOMENTUM_MASKING": "no"}),
    ("topk:0.01, no feedback", "topk:0.01", "sgd", 0.03, {"WIREWISE_ERROR_FEEDBACK": "off"}),
]


def held_out(options, codec, recipe, seed, settings):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", WIREWISE_CODEC_LEAST_COUNT="1024",
                       WIREWISE_PROBE="off", **settings)
    steps, choices = RECIPES[recipe]
    steps = str(options.steps or steps)
    words = ["mpirun", "--oversubscribe", "-n", str(options.ranks),
             f"{options.build}/examples/train", "--no-progress", "--quiet", "--steps", steps,
             "--eval-every", steps, "--size", options.size, "--seed", str(seed), *choices,
             "--codec", codec, *options.texts]
    text = subprocess.run(words, check=True, capture_output=True, text=True, env=environment,
                          timeout=3600).stdout
    return float(re.search(r"held-out loss \S+ -> (\S+)", text).group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("texts", nargs="*")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of every training (Adam 1500, SGD 3000)")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--size", default="small")
    parser.add_argument("--codec", help="compare this one only")
    options = parser.parse_intermixed_args()
    seeds = range(1, options.seeds + 1)
    arms = [arm for arm in ARMS if options.codec in (None, arm[1])]
    recipes = sorted({arm[2] for arm in arms})
    dense = {(recipe, seed): held_out(options, "none", recipe, seed, {})
             for recipe in recipes for seed in seeds}
    failed = False
    print(f"{options.ranks} ranks, {options.seeds} seeds; nats above dense")
    for recipe in recipes:
        steps = options.steps or RECIPES[recipe][0]
        losses = [dense[recipe, seed] for seed in seeds]
        print(f"{f'dense, {recipe}, {steps} steps':24} mean {statistics.mean(losses):.4f}  "
              f"each {' '.join(f'{loss:.4f}' for loss in losses)}", flush=True)
    for name, codec, recipe, margin, settings in arms:
        gaps = [held_out(options, codec, recipe, seed, settings) - dense[recipe, seed]
                for seed in seeds]
        mean = statistics.mean(gaps)
        control = "WIREWISE_ERROR_FEEDBACK" in settings
        good = (mean > margin) if control else (mean <= margin)
        failed = failed or not good
        print(f"{name:24} mean {mean:+.4f}  each {' '.join(f'{gap:+.4f}' for gap in gaps)}  "
              f"{'must exceed' if control else 'at most'} {margin}: {'yes' if good else 'NO'}",
              flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
