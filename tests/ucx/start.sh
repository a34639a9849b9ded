#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# start.sh [--apart] [--killed RANK] RANKS PROGRAM...: starts PROGRAM as so many ranks of this
# machine that find each other by the environment. --apart: each counts as a host of its own, so
# that contexts talk over UCX too. Passes when all ranks ended well; with --killed, when this one
# was killed by a signal and the others ended well by themselves.
set -u
apart=0 killed=-1
while [[ ${1:-} == --* ]]; do
    case $1 in
    --apart) apart=1 ;;
    --killed)
        killed=$2
        shift
        ;;
    *)
        echo "start.sh: what is $1?" >&2
        exit 2
        ;;
    esac
    shift
done
ranks=$1
shift
export WORLD_SIZE=$ranks WIREWISE_ADDRESS=127.0.0.1:$((12000 + $$ % 20000))
export WIREWISE_JOB=$$ WIREWISE_ENV_TIMEOUT_S=20
pids=()
for ((rank = 0; rank < ranks; rank++)); do
    if [ "$apart" = 1 ]; then
        export WIREWISE_HOST=host$rank
    fi
    RANK=$rank timeout 50 "$@" &
    pids+=($!)
done
failed=0
for ((rank = 0; rank < ranks; rank++)); do
    wait "${pids[rank]}"
    code=$?
    if [ "$rank" = "$killed" ] && [ "$code" = 137 ]; then
        continue
    fi
    # 77: what it needs is not here
    if [ "$code" = 77 ]; then
        exit 77
    fi
    if [ "$code" != 0 ] || [ "$rank" = "$killed" ]; then
        echo "rank $rank ended with $code"
        failed=1
    fi
done
exit $failed
