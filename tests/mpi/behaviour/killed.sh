#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# killed.sh COMMAND...: one rank of the job kills itself in the middle of a step. Passes when the
# job failed by itself within 20 seconds.
set -u
timeout 20 "$@" >/dev/null 2>&1
status=$?
if [ "$status" -eq 124 ]; then
    echo "the job was still there after 20 s"
    exit 1
fi
if [ "$status" -eq 0 ]; then
    echo "the job ended well although a rank was killed"
    exit 1
fi
echo "the job ended with $status"
