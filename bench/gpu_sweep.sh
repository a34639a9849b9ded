#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# gpu_sweep.sh WIREWISE FOLDER [SECONDS]: measures all-reduces on the GPUs of this machine with 1, 2
# and 4 ranks: dense, encoded, and beside NCCL's own call. Into FOLDER go log.txt (the machine and
# every table) and a CSV, a JSON document and a plot for each run. Runs that do not fit into SECONDS
# (100) are left out, and said so. NCCL is what WIREWISE_NCCL names, else libnccl.so.2.
#
# Where there are fewer GPUs than ranks these share one: NCCL takes that only from ranks of
# different hosts, so each gets a name of its own, and they talk over the loopback device. Times are
# then those of turns on one GPU and of sockets. With a GPU for every rank nothing is set.
# Exit: 0; 77 where no GPU can be used; 1 where a run failed, after all others.
set -u
if [ $# -lt 2 ]; then
    echo "usage: gpu_sweep.sh WIREWISE FOLDER [SECONDS]" >&2
    exit 2
fi
wirewise=$1
folder=$2
limit=${3:-100}
mkdir -p "$folder" || exit 1
log=$folder/log.txt
port=$((20000 + $$ % 20000))
bad=0
export MASTER_ADDR=127.0.0.1 WIREWISE_CALIBRATION_FILE=none WIREWISE_ENV_TIMEOUT_S=30
unset LOCAL_RANK
here=$(cd "$(dirname "$wirewise")" && pwd) # where the library of a copied program lies, too
export LD_LIBRARY_PATH=$here${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
: >"$log" || exit 1

say()
{
    printf '%s\n' "$*" | tee -a "$log"
}

# What the machine is; each line is there where its tool is.
tell_machine()
{
    date -u '+%Y-%m-%dT%H:%M:%SZ'
    uname -a
    nvidia-smi -L 2>&1
    nvidia-smi --format=csv \
        --query-gpu=index,name,driver_version,pci.bus_id,clocks.sm,clocks.max.sm,power.limit 2>&1
    nvidia-smi topo -m 2>&1
    grep -m 1 'model name' /proc/cpuinfo
    echo "cores: $(nproc 2>/dev/null)"
    echo "NCCL: ${WIREWISE_NCCL:-libnccl.so.2}"
    "$wirewise" --version
}

gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ')
[ "$gpus" -gt 0 ] || gpus=1

# one NAME RANKS SECONDS ARGUMENT...: skipped where less than SECONDS are left; killed after three
# times as many, or when all time is over.
one()
{
    local name=$1 ranks=$2 needs=$3 rank pids='' code worst=0 left most
    shift 3
    left=$((limit - SECONDS))
    if [ "$left" -lt "$needs" ]; then
        say "== $name: LEFT OUT, $left of $limit seconds are left and it takes about $needs"
        return
    fi
    most=$((needs * 3 < left ? needs * 3 : left))
    port=$((port + 2))
    say "== $name: $ranks ranks, at $SECONDS s: wirewise bench --device cuda $*"
    for ((rank = 0; rank < ranks; rank++)); do
        (
            export RANK=$rank WORLD_SIZE=$ranks MASTER_PORT=$port
            if [ "$ranks" -gt "$gpus" ]; then
                export NCCL_HOSTID=wirewise-$rank NCCL_SOCKET_IFNAME=${NCCL_SOCKET_IFNAME:-lo}
            fi
            files=()
            if [ "$rank" -eq 0 ]; then
                files=(--csv "$folder/$name.csv" -J "$folder/$name.json"
                    --plot "$folder/$name.svg")
            fi
            exec timeout -k 2 "$most" "$wirewise" bench --device cuda "$@" "${files[@]}"
        ) >"$folder/out.$rank" 2>&1 </dev/null &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid"
        code=$?
        [ "$code" -le "$worst" ] || worst=$code
    done
    for ((rank = 0; rank < ranks; rank++)); do
        cat "$folder/out.$rank"
        rm -f "$folder/out.$rank"
    done | tee -a "$log" | grep -v '^# .*\(out_of\|in\)_place ' # those lines are in the log only
    say "== $name: exit code $worst, at $SECONDS s"
    if [ "$worst" -ne 0 ]; then
        bad=1
    fi
    return "$worst"
}

tell_machine 2>&1 | tee -a "$log"

# A word first: without a GPU nothing below makes sense.
one first 1 3 -b 8 -e 8 -n 2 -w 1
if [ $? -eq 4 ]; then
    exit 77
fi

# Seconds are those of one GPU that four ranks share, about. Results of up to 256 MiB are looked at
# on 1 and 2 ranks; with 4, where that takes longer than measuring, on smaller ones of every type.
all=(-b 4 -e 256M -f 4 --budget 0.4)
some=(-b 16K -e 64M -f 8 -w 2 --budget 0.4)
one versus_2 2 12 -b 8 -e 16M -f 8 --budget 0.6 --versus nccl
one dense_f32_2 2 15 "${all[@]}"
one dense_f32_4 4 13 "${all[@]}" -c 0
one int8_4 4 8 "${some[@]}" --codec int8
one topk_4 4 8 "${some[@]}" --codec topk:0.01
one fp16_4 4 8 "${some[@]}" --codec fp16
one dense_f32_1 1 6 "${all[@]}"
one bf16_4 4 6 "${some[@]}" -d bfloat16 -c 0
one int8_2 2 6 "${some[@]}" --codec int8
one topk_2 2 6 "${some[@]}" --codec topk:0.01
one fp16_2 2 6 "${some[@]}" --codec fp16
one every_type_4 4 7 -b 8 -e 2M -f 8 -n 2 -w 1 -d all -o all
one bf16_2 2 6 "${some[@]}" -d bfloat16
one versus_4 4 8 -b 8 -e 2M -f 8 --budget 0.5 --versus nccl
say "all done at $SECONDS s"
exit "$bad"
