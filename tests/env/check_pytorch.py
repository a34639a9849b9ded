#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""check_pytorch.py GUIDE LIBRARY: the files of docs/pytorch.md train as two ranks. Exit code 77
where there is no PyTorch."""
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile

guide, library = sys.argv[1:]
if importlib.util.find_spec("torch") is None:
    print("there is no PyTorch for " + sys.executable)
    sys.exit(77)
with open(guide, encoding="utf-8") as file:
    blocks = re.findall(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```$", file.read(), re.M | re.S)
assert [name for name, text in blocks] == ["wirewise.py", "train.py"], blocks
with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
    for name, text in blocks:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)
    free.bind(("127.0.0.1", 0))
    ranks = []
    for rank in range(2):
        environment = dict(os.environ, RANK=str(rank), WORLD_SIZE="2", LIBWIREWISE=library,
                           WIREWISE_ADDRESS="127.0.0.1:%d" % (free.getsockname()[1] + 1),
                           OMP_NUM_THREADS="1", WIREWISE_LOG_LEVEL="warn")
        ranks.append(subprocess.Popen([sys.executable, "train.py"], cwd=folder, env=environment,
                                      stdout=subprocess.PIPE, text=True))
    try:
        told = [rank.communicate(timeout=100)[0].split() for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert all(rank.returncode == 0 for rank in ranks), [rank.returncode for rank in ranks]
    assert len(told[0]) == 2 and told[0][1] == told[1][1], told
    assert told[0][0] != told[1][0] and all(float(words[0]) < 0.3 for words in told), told
