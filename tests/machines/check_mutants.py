# SPDX-License-Identifier: BSD-3-Clause
"""check_mutants.py WIREWISE MACHINES [SEED [SECONDS]]: breaks machine files in many small ways, the
same ways for the same seed. Each is shown as a sound document, or refused with exit status 2, a
sentence and no machine: never a crash, never a long wait, never this machine in its place.
WIREWISE_MACHINES may name a folder of gathered machines, as for check_truth.py."""
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time

import check_json

RUNS_MAX = 400
RUN_SECONDS_MAX = 20  # generous: machines that test are busy, and sanitizers slow
FILE_BYTES_MAX = 300000
PIECES = [b'"', b"<", b">", b"/", b"=", b"&", b"&#0;", b"&#65;", b"-1", b"4294967295", b"0x", b",",
          b"18446744073709551616", b"0xf...f", b"\xff", b"\r\n", b"", b"1e999", b"nan", b"PU",
          b"NUMANode", b"Machine", b"Bridge", b"PCIDev", b"OSDev", b"Package", b"Group", b"Misc",
          b"fffffff:ff:ff.0", b"0000:00:00.0", b"<!--", b"-->", b"<!DOCTYPE a [", b"<![CDATA["]


def find_files(machines):
    folders = [machines]
    gathered = os.environ.get("WIREWISE_MACHINES", "")
    folders += [os.path.join(gathered, kind) for kind in ("hwloc", "nccl")] if gathered else []
    names = [os.path.join(folder, name) for folder in folders for name in os.listdir(folder)]
    return sorted(name for name in names
                  if name.endswith(".xml") and os.path.getsize(name) <= FILE_BYTES_MAX)


def break_line(chance, text, at):
    """Loses or doubles the line around `at`."""
    begin, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at) + 1
    return text[:begin] + (text[begin:end] * 2 if chance.random() < 0.5 else b"") + text[end:]


def break_match(chance, text, at, pattern):
    """Puts a piece in the place of one match near `at`."""
    found = list(re.finditer(pattern, text[at:at + 2000]))
    if not found:
        return text
    match = chance.choice(found)
    return text[:at + match.start(1)] + chance.choice(PIECES) + text[at + match.end(1):]


def mutate(chance, text):
    if chance.random() < 0.15:
        return text[:chance.randrange(len(text))]
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        at, way = chance.randrange(max(1, len(text))), chance.randrange(6)
        if way == 0:
            text = text[:at] + bytes([chance.randrange(256)]) + text[at + 1:]
        elif way == 1:
            text = text[:at] + text[at + chance.choice((1, 5, 40)):]
        elif way == 2:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif way == 3:
            text = break_line(chance, text, at)
        else:
            text = break_match(chance, text, at, rb'="([^"]*)"' if way == 4 else rb"(\d+)")
    return text


def judge(wirewise, path):
    """What is wrong with the answer; None when it is sound."""
    try:
        ran = subprocess.run([wirewise, "wires", "--json", "--xml", path], capture_output=True,
                             timeout=RUN_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer in {RUN_SECONDS_MAX} s"
    errors = ran.stderr.decode(errors="replace")
    if ran.returncode == 5 and "without hwloc" in errors:
        return None
    if ran.returncode not in (0, 2) or "runtime error" in errors:
        return f"exit {ran.returncode}: {errors}"
    if ran.returncode == 2:
        return None if not ran.stdout and "wirewise" in errors else "a machine, or no sentence"
    try:
        document = json.loads(ran.stdout)
        check_json.check_document(document)
    except (AssertionError, ValueError) as error:
        return f"an unsound document: {error}"
    return "this machine" if document["machine"]["name"] == platform.node() else None


def main():
    wirewise, machines = sys.argv[1:3]
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    end = time.monotonic() + (float(sys.argv[4]) if len(sys.argv) > 4 else 8)
    files, runs, failed = find_files(machines), 0, 0
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "mutant.xml")
        while time.monotonic() < end and (runs < RUNS_MAX or len(sys.argv) > 4):
            chance = random.Random(seed * 1000003 + runs)
            name = chance.choice(files)
            with open(name, "rb") as file:
                text = mutate(chance, file.read())
            with open(path, "wb") as file:
                file.write(text)
            wrong = judge(wirewise, path)
            if wrong is not None:
                failed += 1
                kept = os.path.join(tempfile.gettempdir(), f"wirewise-mutant-{seed}-{runs}.xml")
                with open(kept, "wb") as file:
                    file.write(text)
                print(f"FAILED: {kept} of {os.path.basename(name)}: {wrong}")
            runs += 1
    print(f"{runs} mutants of {len(files)} files, {failed} failures (seed {seed})")
    return 1 if failed or runs == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
