#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""predictions.py BUILD [--hosts 2,4] [--rates 1gbit,5gbit] [--ranks 1,2] [--runs 1]
               [--calibrate 0.3] [bench's flags]

Between hosts that tests/cluster/hosts.sh makes: every way of an all-reduce is measured, and compared
with what was predicted twice, by `wirewise plan` from the links as given (a cluster file with rate,
latency and efficiency), and by the calibrated job itself (`wirewise bench --predict`). Prints the
median error of both, how many pairs of ways that differ by more than 5 % were put in the right
order, small vectors apart from those of 2 MiB and more, and how much longer the chosen way took
than the best, where ways that seemed more than 5 % faster met it once more (the least of many
noisy medians is not what its way takes). With several runs, each of which measures the wires anew,
also how often one run's best way was another run's, and what one run's medians would have been worth
as predictions of another's. Needs root, and an otherwise idle machine."""
import argparse
import itertools
import json
import os
import re
import statistics
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
HOSTS = os.path.join(HERE, "..", "tests", "cluster", "hosts.sh")
WITHIN = 1.05
LARGE = 2 << 20  # 16 bursts of the shaper: the wire decides, not the cores that all hosts share
CLUSTER = """[cluster]
name = given
[shape A]
ranks = {ranks}
cores = {cores}
cache = 32M
[nodes]
A = {hosts}
[network]
kind = Ethernet
rate = {rate} Gb/s
efficiency = 0.956
"""


def planned(build, hosts, rate, ranks, network, sizes):
    """Seconds by (way, bytes), from a cluster file alone; network: further lines about it."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as file:
        file.write(CLUSTER.format(hosts=hosts, ranks=ranks, cores=os.cpu_count() / hosts,
                                  rate=rate.replace("gbit", "")) + "\n".join(network) + "\n")
        file.flush()
        words = [f"{build}/wirewise", "plan", file.name, "-b", ",".join(map(str, sizes)), "--all",
                 "--json"]
        document = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return {(row["algorithm"], size["bytes"]): row["seconds"]
            for size in document["sizes"] for row in size["ways"]}


def measured(build, hosts, rate, ranks, calibrate, flags):
    """Rows of bench --predict: way, bytes, predicted and median seconds, chosen. And by bytes how
    much longer the chosen way took than others when they met once more."""
    words = [HOSTS, "with", str(hosts), rate, "--", "timeout", "1200", "hosts.sh", "mpirun",
             str(ranks), "env", "WIREWISE_CALIBRATION_FILE=none",
             f"WIREWISE_CALIBRATE_S={calibrate}", f"{build}/wirewise", "bench",
             "--predict", "-c", "0", "-w", "1", *flags]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    row = re.compile(r"^# +(\d+)  (\* )?(\S+)(?: +\d+){4} +([\d.]+) +[\d.]+ +[\d.]+ +([\d.]+)")
    rival = re.compile(r"^# +(\d+)  \S+ took ([\d.]+) x the time of (\S+) when")
    rows = []
    met = {}
    for line in text.splitlines():
        found = row.match(line)
        if found:
            rows.append((found[3], int(found[1]), float(found[4]) * 1e-6, float(found[5]) * 1e-6,
                         found[2] is not None))
        found = rival.match(line)
        if found:
            met[int(found[1])] = (float(found[2]), found[3])
    return rows, met


def pairs(rows, predicted):
    right = total = 0
    for i, (way, size, _, median, _) in enumerate(rows):
        for other, other_size, _, other_median, _ in rows[i + 1:]:
            ratio = median / other_median
            if size != other_size or 1 / WITHIN <= ratio <= WITHIN:
                continue
            total += 1
            right += (predicted[way, size] < predicted[other, size]) == (ratio < 1)
    return right, total


class Score:
    """What predictions of one kind were worth."""

    def __init__(self):
        self.errors = []
        self.right = self.total = 0

    def add(self, rows, predicted):
        self.errors += [abs(predicted[way, size] / median - 1) for way, size, _, median, _ in rows]
        right, total = pairs(rows, predicted)
        self.right += right
        self.total += total
        return self

    def __str__(self):
        if not self.errors:
            return "nothing"
        return (f"median error {100 * statistics.median(self.errors):.1f} % of {len(self.errors)}, "
                f"{self.right} of {self.total} pairs in order "
                f"({100 * self.right / max(self.total, 1):.1f} %)")


def ratios(rows, size):
    """What each way took, over the best one's time, and which was chosen."""
    best = min(row[4] for row in rows if row[1] == size)
    took = {row[0]: row[4] / best for row in rows if row[1] == size}
    return took, next(row[0] for row in rows if row[1] == size and row[5])


def tell_choices(runs, meetings):
    """How much longer the chosen ways took than the best ones, of all runs."""
    right = total = 0
    worst = 1.0
    for number, (run, met) in enumerate(zip(runs, meetings)):
        for place, rows in run.items():
            for size in sorted({row[1] for row in rows}):
                took, chosen = ratios(rows, size)
                ratio, rival = met[place].get(size, (took[chosen], min(took, key=took.get)))
                if size in met[place]:
                    verb = "takes" if ratio > WITHIN else "seemed slower, but takes"
                    print(f"  {place}, {size} bytes, run {number + 1}: {chosen} {verb} {ratio:.3f} x "
                          f"{rival} ({took[chosen]:.3f} x the best at first)")
                right += ratio <= WITHIN
                total += 1
                worst = max(worst, ratio)
    print(f"chosen: {right} of {total} within {WITHIN} x the best, at most {worst:.3f} x")


def tell_mates(runs):
    """What one run measured, taken for a prediction of what another did: no prediction that is made
    before the job begins can be expected to do better."""
    right = total = 0
    scores = {"small": Score(), "large": Score()}
    for one, other in itertools.permutations(runs, 2):
        for place, rows in one.items():
            times = {row[:2]: row[4] for row in rows}
            later = [(row[0], row[1], None, row[4], None) for row in other[place]
                     if row[:2] in times]
            for part, score in scores.items():
                score.add([row for row in later if (row[1] >= LARGE) == (part == "large")], times)
            for size in sorted({row[1] for row in rows}):
                here, there = ratios(rows, size)[0], ratios(other[place], size)[0]
                right += there.get(min(here, key=here.get), 1) <= WITHIN
                total += 1
    if total:
        print(f"one run's best, in another run: {100 * right / total:.1f} % within {WITHIN} x")
        for part, score in scores.items():
            print(f"one run's times as another's predictions, {part}: {score}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("build")
    parser.add_argument("--hosts", default="2,4")
    parser.add_argument("--rates", default="1gbit,5gbit")
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--latency", default="20", help="microseconds, as given to the plan")
    parser.add_argument("--calibrate", default="0.3", help="seconds for what a job measures at its "
                        "begin")
    parser.add_argument("--network", action="append", default=[], metavar="LINE",
                        help='further lines of [network] for the plan, as bench --cluster-file '
                        'wrote them on this machine: "message = 9.7 us"')
    parser.add_argument("--save", help="a file for all rows of all runs, as JSON: way, bytes, "
                        "seconds as given, as calibrated and measured, chosen; and by bytes the "
                        "ratio and the rival of ways that met once more")
    parser.add_argument("--runs", type=int, default=1)
    arguments, flags = parser.parse_known_args()
    flags = flags or ["-b", "8", "-e", "64M", "-f", "8", "-n", "9", "--budget", "4"]
    build = os.path.abspath(arguments.build)
    kinds = [(name, part) for name in ("given", "calibrated") for part in ("small", "large")]
    sums = {kind: Score() for kind in kinds}
    places = list(itertools.product(map(int, arguments.hosts.split(",")),
                                    arguments.rates.split(","),
                                    map(int, arguments.ranks.split(","))))
    network = [f"latency = {arguments.latency} us", *arguments.network]
    runs = []
    meetings = []
    for _ in range(arguments.runs):
        runs.append({})
        meetings.append({})
        for hosts, rate, ranks in places:
            place = f"{hosts} hosts x {ranks} ranks, {rate}"
            print(place, flush=True)
            rows, meetings[-1][place] = measured(build, hosts, rate, ranks,
                                                  arguments.calibrate, flags)
            sizes = sorted({row[1] for row in rows})
            given = planned(build, hosts, rate, ranks, network, sizes)
            tables = {"given": given, "calibrated": {(row[0], row[1]): row[2] for row in rows}}
            for kind in kinds:
                part = [row for row in rows if (row[0], row[1]) in given
                        and (row[1] >= LARGE) == (kind[1] == "large")]
                print(f"  {' '.join(kind):17} {Score().add(part, tables[kind[0]])}", flush=True)
                sums[kind].add(part, tables[kind[0]])
            runs[-1][place] = [(row[0], row[1], given.get(row[:2]), *row[2:]) for row in rows]
    for kind, score in sums.items():
        print(f"{' '.join(kind)}: {score}")
    if arguments.save:
        with open(arguments.save, "w", encoding="utf-8") as file:
            json.dump({"rows": runs, "met_once_more": meetings}, file, indent=1)
    tell_choices(runs, meetings)
    tell_mates(runs)


if __name__ == "__main__":
    main()
