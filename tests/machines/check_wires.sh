#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_wires.sh WIREWISE MACHINES HWLOC: `wirewise wires` shows machines out of files, refuses what
# is broken with exit code 2, a sentence and no machine, and tells by exit code 3 what is missing.
# HWLOC is ON or OFF: whether this build reads hwloc's format.
set -u
wirewise=$1
machines=$2
hwloc=$3
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

# run ARGUMENTS...: leaves output, errors and status.
run() {
    output=$("$wirewise" wires "$@" 2>"$work/errors")
    status=$?
    errors=$(cat "$work/errors")
}

# shows WORDS ARGUMENTS...: exit 0 and the words on stdout.
shows() {
    local words=$1
    shift
    run "$@"
    [ "$status" = 0 ] || complain "wires $* exits with $status: $errors"
    grep -q -- "$words" <<<"$output" || complain "wires $* does not show '$words': $output"
    [ -z "$errors" ] || complain "wires $* says on stderr: $errors"
}

# refuses STATUS WORDS ARGUMENTS...: that exit code, the words on stderr, no machine on stdout.
refuses() {
    local wanted=$1 words=$2
    shift 2
    run "$@"
    [ "$status" = "$wanted" ] || complain "wires $* exits with $status, not $wanted: $errors"
    [ -z "$output" ] || complain "wires $* shows a machine: $output"
    grep -q -- "$words" <<<"$errors" || complain "wires $* does not say '$words': $errors"
}

# misses WORDS ARGUMENTS...: exit 3, the machine on stdout, the words on stderr.
misses() {
    local words=$1
    shift
    run "$@"
    [ "$status" = 3 ] || complain "wires $* exits with $status, not 3: $errors"
    [ -n "$output" ] || complain "wires $* shows no machine"
    grep -q -- "$words" <<<"$errors" || complain "wires $* does not say '$words': $errors"
}

# cuts FILE: however a file is cut, it is refused.
cuts() {
    local bytes at
    bytes=$(($(wc -c <"$1") - 3))
    for ((at = 0; at < bytes; at += bytes / 60 + 1)); do
        head -c "$at" "$1" >"$work/cut.xml"
        refuses 2 "cut.xml" --xml "$work/cut.xml"
    done
}

nccl=$machines/switched.nccl.xml
shows "4 GPUs on NVSwitch, 425 to 450 GB/s each" --xml "$nccl"
shows "SW17 SW18 SW18" --xml "$nccl"
shows '"schema": "wirewise.wires/1"' --xml "$nccl" --json
shows '"unmet": ""' --xml "$nccl" --json --require nvswitch
shows '"unmet": null' --xml "$nccl" --json
misses "Slingshot: no port is known to be UP" --xml "$nccl" --require gpu,slingshot
misses "in unknown state" --xml "$nccl" --json --require rdma
cloud=$machines/cloud.nccl.xml
shows "2 GPUs, their links unknown; 1 x 400 Gb/s InfiniBand" --xml "$cloud"
shows "1 x 100 Gb/s RoCE, state of 1 unknown; 1 x up to 200 Gb/s Slingshot" --xml "$cloud"
shows "cxi0 is said to carry 200000 Gb/s: not believed" --xml "$cloud"
shows "does not say what 1 of its PCI devices" --xml "$cloud"
shows '"usable_gbit_s": {"known": "known", "value": 100,' --xml "$cloud" --json
shows "no RDMA; 1 x 10 Gb/s + 1 x 1 Gb/s Ethernet" --xml "$machines/bridged.nccl.xml"
tray=$machines/tray.nccl.xml
shows "FAULT: the file has no links of GPU 1 (0009:06:00.0)" --xml "$tray"
shows "3 GPUs on NVSwitch, 900 GB/s each, the links of 1 unknown; network cards unknown" \
    --xml "$tray"
misses "has links that are unknown" --xml "$tray" --require nvlink
refuses 2 '"teapot" cannot be required' --xml "$nccl" --require gpu,teapot
refuses 2 "cannot open /nowhere/at/all.xml" --xml /nowhere/at/all.xml
HWLOC_XMLFILE=/nowhere/at/all.xml refuses 2 "cannot open /nowhere/at/all.xml"
cpu=$work/tree/sys/devices/system/cpu
mkdir -p "$cpu/cpu0/topology"
echo 0 >"$cpu/online"
echo 1 | tee "$cpu/cpu0/topology/core_cpus" >"$cpu/cpu0/topology/thread_siblings"
if [ "$hwloc" = ON ]; then
    shows "about $work/tree" --root "$work/tree"
else
    refuses 5 "$work/tree is a tree for hwloc, and this wirewise was built" --root "$work/tree"
    HWLOC_FSROOT=$work/tree refuses 5 "$work/tree is a tree for hwloc"
fi
HWLOC_FSROOT=/nowhere/at/all refuses 2 "is no folder"
refuses 2 "is no folder" --root /nowhere/at/all
refuses 2 "$machines has no sys/devices/system/cpu" --root "$machines"
refuses 2 "is a folder" --xml "$machines"
refuses 2 "is a device" --xml /dev/zero
mkfifo "$work/nobody"
refuses 2 "is empty" --xml "$work/nobody"
gzip -c "$nccl" >"$work/packed.xml"
refuses 2 "is packed by gzip" --xml "$work/packed.xml"
shows "4 GPUs on NVSwitch" --xml <(printf '\xef\xbb\xbf' && sed 's/$/\r/' "$nccl")
refuses 2 "is no folder" --xml "$nccl" --sysfs /nowhere/at/all
refuses 2 "both name a machine" --xml "$nccl" --root /
refuses 2 "NVML tells about this machine" --xml "$nccl" --nvml libm.so.6
refuses 2 "unrecognized option" --nonsense
cuts "$nccl"
shows "Verdict"
run --require gpu
[ "$status" = 0 ] || [ "$status" = 3 ] || complain "wires --require gpu exits with $status"

twins=$machines/twins.xml
if [ "$hwloc" = ON ]; then
    shows "4 GPUs in 2 islands of 2 on NVLink, 100 GB/s a pair" --xml "$twins"
    shows "mlx5_0 and mlx5_3 are one card, seen from two places" --xml "$twins"
    HWLOC_XMLFILE=$twins shows "Paper & Ink 1"
    misses "mlx5_0 port 1 is DOWN" --xml "$twins" --require up
    odd=$machines/odd.xml
    shows "2 GPUs on xGMI, bandwidth unknown; 1 x RDMA of unknown kind" --xml "$odd"
    shows "GPU 0 (0000:01:00.0) is cut into 2 parts" --xml "$odd"
    shows "hsn0 .* Ethernet" --xml "$odd"
    shows "cores 2, threads 2" --xml "$odd"
    shows "1 network card on PCI without a device" --xml "$odd"
    sed 's/<topology version="2.0">/<topology version="9.0">/' "$twins" >"$work/later.xml"
    refuses 2 "format 9.0" --xml "$work/later.xml"
    sed 's/os_index="3"/os_index="3000000000"/' "$twins" >"$work/index.xml"
    refuses 2 "no core and no memory has" --xml "$work/index.xml"
    sed 's/nbobjs="4"/nbobjs="65537"/' "$twins" >"$work/matrix.xml"
    refuses 2 "must be a number from 0 to 4096" --xml "$work/matrix.xml"
    cuts "$twins"
    # hwloc has a reader of its own for where libxml is not: it knows neither comments nor \r.
    printf '\xef\xbb\xbf' >"$work/dos.xml"
    sed 's/$/\r/' "$twins" >>"$work/dos.xml"
    shows "4 GPUs in 2 islands of 2" --xml "$work/dos.xml"
    HWLOC_LIBXML=0 shows "4 GPUs in 2 islands of 2" --xml "$work/dos.xml"
    # A port's state, told by a tree of sysfs, holds more than the file's.
    ports=$work/sys/class/infiniband/mlx5_0/ports/1
    mkdir -p "$ports"
    echo "4: ACTIVE" >"$ports/state"
    echo "5: LinkUp" >"$ports/phys_state"
    echo "InfiniBand" >"$ports/link_layer"
    echo "100 Gb/sec (4X EDR)" >"$ports/rate"
    shows "1 x 100 Gb/s + 2 x up to 200 Gb/s InfiniBand" --xml "$twins" --sysfs "$work/sys" \
        --require near
else
    refuses 5 "built without hwloc" --xml "$twins"
    shows "built without hwloc"
fi
[ "$failures" = 0 ]
