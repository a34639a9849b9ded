#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_documents.py EXIT VERSUS COMMAND...: runs a bench command line with -J, --csv and --plot,
and checks that the three files agree with each other, with the table, and with their descriptions.
EXIT is the exit code to expect; VERSUS how many rows of --versus there must be."""
import csv
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

# Names that must be escaped wherever the command line is told: in XML, in JSON, in both.
NAMES = ["r<&>\u00fc\"\\.json", "r<&>,.csv", "r<&>]]>\x01.svg"]
SUMMARY = ["min", "p10", "median", "p90", "p99", "max", "mean", "median_low", "median_high"]
TOP = ["schema", "wirewise", "mpi", "gpu", "begin", "end", "arguments", "hosts", "ranks", "settings",
       "library_settings", "results", "versus", "markers", "expectations", "out_of_bounds",
       "average_busbw_gbps", "resident_beyond_buffers"]
RESULT = ["collective", "type", "op", "root", "bytes", "asked_bytes", "count", "placement",
          "memory", "codec", "calls", "batch", "time_s", "call_s", "algbw_gbps", "busbw_gbps", "wrong",
          "wire_bytes", "encode_s", "decode_s", "nmse"]
CONTEST = ["collective", "type", "op", "root", "bytes", "asked_bytes", "count", "placement",
           "memory", "peer", "peer_function", "peer_memory", "rounds", "batch", "call_s", "peer_call_s",
           "peer_over_ours", "extra_s", "busbw_gbps", "peer_busbw_gbps", "wrong", "note"]
PEER_FUNCTIONS = {
    ("mpi", "all_reduce"): "MPI_Allreduce",
    ("mpi", "reduce_scatter"): "MPI_Reduce_scatter_block",
    ("mpi", "all_gather"): "MPI_Allgather",
    ("mpi", "broadcast"): "MPI_Bcast",
    ("nccl", "all_reduce"): "ncclAllReduce",
}
failures = []


def expect(holds, sentence):
    if not holds:
        failures.append(sentence)


def refuse(word):
    raise ValueError("JSON has no " + word)


def check_summary(summary, calls):
    expect(list(summary) == SUMMARY, "fields of a summary: %s" % list(summary))
    order = [summary[name] for name in SUMMARY[:6]]
    expect(order == sorted(order), "percentiles do not ascend: %s" % order)
    low, high = summary["median_low"], summary["median_high"]
    expect((low is None) == (calls < 6), "an interval of %d calls: %s" % (calls, low))
    if low is not None:
        expect(low <= summary["median"] <= high, "the median is outside of its interval")


def check_json(document, rows, versus):
    expect(list(document) == TOP, "fields of the document: %s" % list(document))
    expect(document["schema"] == "wirewise.bench/1", "schema %s" % document["schema"])
    expect(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", document["begin"]), "begin")
    expect(document["arguments"][0] == "wirewise bench", "arguments")
    expect(len(document["library_settings"]) > 10, "settings of the library are missing")
    expect(sum(host["ranks"] for host in document["hosts"]) == len(document["ranks"]), "hosts")
    for host in document["hosts"]:
        expect(host["cores"] >= 1 and host["cpu"] and host["kernel"], "host %s" % host)
    results = document["results"]
    expect(len(results) == 2 * len(rows), "%d results of %d rows" % (len(results), len(rows)))
    for number, result in enumerate(results):
        expect(list(result) == RESULT, "fields of a result: %s" % list(result))
        check_summary(result["call_s"], result["calls"])
        row = rows[number // 2]
        column = 5 + 4 * (number % 2)
        expect(row[0] == str(result["bytes"]) and row[2] == result["type"], "row %d" % number)
        printed = float(row[column])
        expect(math.isclose(printed, result["time_s"] * 1e6, rel_tol=0.01, abs_tol=0.006),
               "time %s of row %d is %s in JSON" % (printed, number, result["time_s"]))
        wrong = "N/A" if result["wrong"] is None else "%g" % result["wrong"]
        expect(wrong == row[column + 3], "#wrong of row %d" % number)
    expect(len(document["versus"]) == versus, "%d contests" % len(document["versus"]))
    on_gpu = document["settings"]["device"] == "cuda"
    expect(len(document["markers"]) == (2 if versus and not on_gpu else 0), "markers")
    expect((document["gpu"] is None) == (not on_gpu), "gpu")
    for contest in document["versus"]:
        expect(list(contest) == CONTEST, "fields of a contest: %s" % list(contest))
        expect(contest["peer_function"] == PEER_FUNCTIONS[contest["peer"], contest["collective"]],
               "%s beside %s" % (contest["collective"], contest["peer_function"]))
        check_summary(contest["call_s"], contest["rounds"])
        check_summary(contest["peer_call_s"], contest["rounds"])
        check_summary(contest["peer_over_ours"], contest["rounds"])
        check_summary(contest["extra_s"], contest["rounds"])
        slower = contest["peer_over_ours"]["median"] * 1.05 < 1
        expect((contest["note"] == "slower") == slower, "note %s" % contest["note"])


def check_csv(lines, document):
    expect(all(None not in line and None not in line.values() for line in lines),
           "lines of the CSV differ in length")
    results = [line for line in lines if line["record"] == "result"]
    expect(len(results) == len(document["results"]), "results in CSV")
    expect(len(lines) - len(results) == 2 * len(document["versus"]), "contests in CSV")
    functions = [line["peer_function"] for line in lines if line["record"] != "result"]
    expect(functions[::2] == [contest["peer_function"] for contest in document["versus"]] and
           functions[::2] == functions[1::2], "functions of the peer in CSV: %s" % functions)
    for line, result in zip(results, document["results"]):
        for name in ["type", "op", "placement", "memory"]:
            expect(line[name] == result[name], "%s in CSV: %s" % (name, line[name]))
        for name in ["bytes", "count", "calls", "time_s", "busbw_gbps", "algbw_gbps"]:
            expect(float(line[name]) == result[name], "%s in CSV: %s" % (name, line[name]))
        expect(float(line["median_s"]) == result["call_s"]["median"], "median in CSV")
        expect(line["schema"] == "wirewise.bench/1", "schema in CSV")


def check_plot(text, document):
    root = ElementTree.fromstring(text)
    names = [element.tag.split("}")[1] for element in root.iter()]
    cases = {(r["type"], r["op"]) for r in document["results"] if r["bytes"] > 0}
    sides = {(c["type"], c["op"], c["memory"]) for c in document["versus"] if c["bytes"] > 0}
    lines = 2 * len(cases) + 2 * len(sides)
    expect(names.count("polyline") == lines, "%d lines drawn, expected %d"
           % (names.count("polyline"), lines))
    expect("script" not in names and "image" not in names, "scripts or pictures in the plot")
    expect(not re.search(r"@font-face|href=|nan|inf\b", text), "fonts, links or NaN in the plot")
    words = "".join(root.itertext())
    expect("GB/s" in words and "size" in words, "axes without units")
    expect(all(contest["peer_function"] in words for contest in document["versus"]),
           "the plot does not name the peer's function")
    expect(document["ranks"][0]["host"] in words, "the plot does not name the host")


def main():
    code, versus, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in NAMES]
        run = subprocess.run(command + ["--plot", paths[2], "-J", paths[0], "--csv", paths[1]],
                             stdout=subprocess.PIPE, encoding="utf-8")
        expect(run.returncode == code, "exit code %d" % run.returncode)
        expect(sorted(os.listdir(folder)) == sorted(NAMES),
               "files: %s" % os.listdir(folder))
        rows = [line.split() for line in run.stdout.splitlines()
                if line.strip() and not line.startswith("#")]
        with open(paths[0], encoding="utf-8") as file:
            document = json.load(file, parse_constant=refuse)
        with open(paths[1], newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        with open(paths[2], encoding="utf-8") as file:
            plot = file.read()
    check_json(document, rows, versus)
    expect([os.path.basename(word) for word in document["arguments"][-5::2]] ==
           [NAMES[2], NAMES[0], NAMES[1]], "arguments: %s" % document["arguments"])
    check_csv(lines, document)
    check_plot(plot, document)
    for sentence in failures:
        print("FAILED:", sentence, file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
