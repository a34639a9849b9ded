#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_ledger_schema.py LEDGER.md FILE...: compares every line of the ledgers with the tables of
the document: all members are there, and have the type that it says. Exit 1 on any difference."""
import json
import math
import re
import sys

EVIDENCE = {"dense", "insufficient", "modelled", "measured"}
failures = []
seen = {}


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def is_string(value):
    return isinstance(value, str)


SINGLE = {"integer": is_integer, "number": is_number, "string": is_string,
          "object": lambda value: isinstance(value, dict)}


def fits(value, words):
    """Whether a value has the type that the document writes as these words."""
    if words.endswith("or null"):
        return value is None or fits(value, words[:-len("or null")].rstrip(", "))
    many = re.fullmatch(r"(array|object) of (\d+ )?(\w+)s", words)
    if many is None:
        return SINGLE[words](value)
    kind, count, single = many.groups()
    members = value.values() if isinstance(value, dict) else value
    return (isinstance(value, dict if kind == "object" else list) and
            (count is None or len(value) == int(count)) and
            all(SINGLE[single](member) for member in members))


def read_tables(path):
    """{headline: {member: words of its type}}"""
    tables, headline = {}, ""
    with open(path, encoding="utf-8") as document:
        for line in document:
            if line.startswith("###"):
                headline = line.strip("# \n").split(",")[0]
            row = re.match(r"\| (`.*?) \| (.*?) \| ", line)
            if row:
                for name in re.findall(r"`(\w+)`", row.group(1)):
                    tables.setdefault(headline, {})[name] = row.group(2)
    return tables


def complain(place, sentence):
    failures.append("%s: %s" % (place, sentence))


def check(place, members, table, levels):
    for name, words in table.items():
        if name not in members:
            complain(place, "%s is missing" % name)
        elif not fits(members[name], words):
            complain(place, "%s is %r, not %s" % (name, members[name], words))
        elif words == "array of integers" and len(members[name]) != levels:
            complain(place, "%s has not one entry per level" % name)
    for name in members:
        if name not in table:
            complain(place, "%s is in no table" % name)
    if "evidence" in table:
        if members.get("evidence") not in EVIDENCE:
            complain(place, "evidence is %r" % members.get("evidence"))
        if members.get("saved") is not None and members["saved"] != sorted(members["saved"]):
            complain(place, "saved does not ascend: %s" % members["saved"])


def check_line(place, line, number, tables, levels):
    if number == 1:
        kind = "header"
        check(place, line, tables["Header"], levels)
        if line.get("wirewise") != "ledger" or line.get("schema") != 1:
            complain(place, "no header of a ledger of schema 1")
    elif "event" in line:
        kind = line["event"]
        if kind not in ("policy", "alert", "bound", "failure"):
            complain(place, "an event %r" % kind)
        check(place, line, {"event": "string", "step": "integer", "text": "string"}, levels)
    elif "summary" in line:
        kind = "summary"
        check(place, line["summary"], {**tables["Steps"], **tables["The end"]}, levels)
        check(place, line["summary"].get("audit", {}), tables["Audit"], levels)
    else:
        kind = "step"
        check(place, line, tables["Steps"], levels)
    seen[kind] = seen.get(kind, 0) + 1


def main():
    tables = read_tables(sys.argv[1])
    for path in sys.argv[2:]:
        levels = 0
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                line = json.loads(text)
                levels = len(line["levels"]) if number == 1 else levels
                check_line("%s:%d" % (path, number), line, number, tables, levels)
    for sentence in failures[:40]:
        print("FAILED:", sentence, file=sys.stderr)
    print("lines:", ", ".join("%d %s" % (count, kind) for kind, count in sorted(seen.items())))
    return 1 if failures else 0


sys.exit(main())
