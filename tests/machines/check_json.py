# SPDX-License-Identifier: BSD-3-Clause
"""check_json.py WIREWISE MACHINES: the document of `wirewise wires --json` is JSON, has the fields
that docs/wirewise.1 promises, and its numbers agree with each other."""
import json
import os
import subprocess
import sys

FIELDS = ["schema", "wirewise", "origin", "writer", "machine", "gpus_seen", "gpus", "pairs",
          "islands", "nics_seen", "nics", "verdict", "levels", "notes", "unmet"]


def check_fact(path, fact):
    assert sorted(fact) == ["known", "source", "value"], f"{path}: {fact}"
    known = fact["known"] == "known"
    assert fact["known"] in ("known", "absent", "unknown"), f"{path}: {fact}"
    assert (fact["value"] is not None) == known, f"{path}: {fact}"
    assert (fact["source"] is None) == (fact["known"] == "unknown"), f"{path}: {fact}"


def check_facts(path, node):
    """Every object that has "known" is a fact."""
    if isinstance(node, dict) and "known" in node:
        check_fact(path, node)
    elif isinstance(node, dict):
        for name, child in node.items():
            check_facts(f"{path}.{name}", child)
    elif isinstance(node, list):
        for child in node:
            check_facts(path + "[]", child)


def check_document(document):
    assert list(document) == FIELDS, list(document)
    assert document["schema"] == "wirewise.wires/1"
    check_facts("", document)
    gpus, nics = document["gpus"], [nic["name"] for nic in document["nics"]]
    assert len(document["pairs"]) == len(gpus) * (len(gpus) - 1) // 2
    for number, gpu in enumerate(gpus):
        assert gpu["index"] == number
        assert gpu["nic"] is None or gpu["nic"] in nics
        assert all(name in nics for name in gpu["nearest"]["nics"] + gpu["nearest_up"]["nics"])
        assert -1 <= gpu["island"] < document["islands"]
    for level, text in enumerate(document["levels"]):
        assert f"level {level + 1} = {text}" in document["verdict"]


def main():
    wirewise, machines = sys.argv[1:]
    files = [[]] + [["--xml", os.path.join(machines, name)]
                    for name in sorted(os.listdir(machines)) if name.endswith(".xml")]
    assert len(files) > 2
    read = 0
    for arguments in files:
        ran = subprocess.run([wirewise, "wires", "--json"] + arguments, capture_output=True,
                             text=True, timeout=60)
        if ran.returncode == 5 and "without hwloc" in ran.stderr:
            continue
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}: {ran.stderr}"
        check_document(json.loads(ran.stdout))
        read += 1
    assert read >= 2
    print(f"{read} documents keep their promises")


if __name__ == "__main__":
    main()
