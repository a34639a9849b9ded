#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# gpu_ranks.sh PROGRAM RANKS WORDS...: runs ranks of gpu_ranks on the GPUs of this machine; several
# may share one. Exit: the greatest of their exit codes, 77 = skipped; a rank that is killed does
# not count where the word is "dies".
set -u
program=$1
ranks=$2
shift 2
port=$((20000 + $$ % 20000))
pids=""
rank=0
while [ "$rank" -lt "$ranks" ]; do
    NCCL_HOSTID=wirewise-$rank NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo} RANK=$rank \
        WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$port WIREWISE_CALIBRATION_FILE=none \
        timeout 240 "$program" "$@" &
    pids="$pids $!"
    rank=$((rank + 1))
done
worst=0
for pid in $pids; do
    wait "$pid"
    code=$?
    if [ "$1" = dies ] && [ "$code" -eq 137 ]; then
        continue
    fi
    if [ "$code" -gt "$worst" ]; then
        worst=$code
    fi
done
exit "$worst"
