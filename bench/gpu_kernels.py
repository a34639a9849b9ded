#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""gpu_kernels.py BUILD/tests/cuda/kernels_gpu [--repeats 9]

Times the kernels for GPUs, and beside them what a program does that has only torch: choosing the
1 % of 100 M elements that are largest, of a gradient and what was left over before, and taking them
away from what is left over now. Prints the ratio; without torch only the first part."""
import argparse
import re
import statistics
import subprocess
import sys

COUNT = 100_000_000
SHARE = 100


def torch_us(repeats):
    """Medians in us: of torch.topk alone, and with all that choosing does. None without torch."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.manual_seed(1)
    gradient = torch.randn(COUNT, device="cuda")
    residual = torch.randn(COUNT, device="cuda")
    magnitude = gradient.add(residual).abs_()
    chosen = COUNT // SHARE

    def alone():
        torch.topk(magnitude, chosen, sorted=False)

    def whole():
        total = gradient + residual
        indices = torch.topk(total.abs(), chosen, sorted=False).indices
        total[indices].to(torch.bfloat16)
        total[indices] = 0

    def median(work):
        work()
        times = []
        for _ in range(repeats):
            begin = torch.cuda.Event(enable_timing=True)
            end = torch.cuda.Event(enable_timing=True)
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(begin.elapsed_time(end) * 1e3)
        return statistics.median(times)

    return median(alone), median(whole)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    run = subprocess.run([options.program, "--time"], stdout=subprocess.PIPE, text=True,
                         check=False)
    print(run.stdout, end="", flush=True)
    if run.returncode != 0:
        return run.returncode
    line = re.search(r"^chosen_us (.*)$", run.stdout, re.MULTILINE).group(1).split()
    own = dict(zip(line[::2], map(float, line[1::2])))
    theirs = torch_us(options.repeats)
    if theirs is None:
        print("no torch with a GPU here: nothing to compare with")
        return 0
    alone, whole = theirs
    print(f"torch.topk of 1 % of 100 M: {alone:.0f} us; with the sum and what is left: {whole:.0f} us")
    for name, label in (("choose", "threshold of earlier steps"),
                        ("fixed_feedback", "exactly 1 % of each chunk")):
        print(f"  {label}: {own[name]:.0f} us with the sum and what is left, "
              f"{alone / own[name]:.1f} times as fast as torch.topk alone, "
              f"{whole / own[name]:.1f} times as fast as all of it")
    selection = own["threshold"] + own["choose_alone"]
    print(f"  selection alone: {selection:.0f} us with its threshold, "
          f"{alone / selection:.1f} times as fast as torch.topk alone; exactly 1 % of each chunk "
          f"{own['fixed']:.0f} us, {alone / own['fixed']:.1f} times")
    fresh = own["threshold"] + own["choose"]
    print(f"  threshold found anew: {fresh:.0f} us, {alone / fresh:.1f} and {whole / fresh:.1f} "
          "times as fast")
    return 0


if __name__ == "__main__":
    sys.exit(main())
