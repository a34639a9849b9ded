#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_forecast.sh COMMAND MACHINES HWLOC NODES: `wirewise plan CLUSTER.ini` prices collectives on
# clusters out of files, says what it assumes, and refuses with exit code 2 and a sentence what it
# cannot price. HWLOC is ON or OFF: whether this build reads hwloc's format. NODES are those of the
# largest cluster.
set -u
command=$1
machines=$2
hwloc=$3
nodes=$4
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

# prints WORDS ARGUMENTS...: exit 0, the words on stdout, nothing on stderr.
prints() {
    local words=$1 output
    shift
    output=$("$command" plan "$@" 2>"$work/errors") || complain "plan $* does not exit with 0"
    grep -q -- "$words" <<<"$output" || complain "plan $* does not print '$words': $output"
    [ ! -s "$work/errors" ] || complain "plan $* says on stderr: $(cat "$work/errors")"
}

# refuses STATUS WORDS ARGUMENTS...: that exit code, nothing on stdout, the words on stderr.
refuses() {
    local wanted=$1 words=$2 output status
    shift 2
    output=$("$command" plan "$@" 2>"$work/errors")
    status=$?
    [ "$status" = "$wanted" ] || complain "plan $* exits with $status, not $wanted"
    [ -z "$output" ] || complain "plan $* prints: $output"
    grep -q -- "$words" "$work/errors" ||
        complain "plan $* does not say '$words': $(cat "$work/errors")"
}

pair=$machines/pair.ini
prints "pair: 4 ranks on 2 nodes, one node after the other" "$pair" -b 25M
prints "network       1         4  Ethernet              30 us   0.119 GB/s" "$pair" -b 25M
prints "network: what leaves a host over Ethernet" "$pair" -b 64M
prints "64 MiB                   64 MiB" "$pair" -b 1,25M,64M
prints "64 KiB" "$pair" -b 64k
prints "all_reduce, the fastest first" "$pair" -b 64M --all
prints " ring " "$pair" -b 64M -a ring
prints "hierarchical+tree " "$pair" -b 64M -a hierarchical+tree
prints "broadcast" -c broadcast "$pair" -b 64M
prints "as fast" "$pair" -b 64M --what-if network=2 --what-if host=0.5
prints "0.239 GB/s" "$pair" -b 64M --what-if network=2
prints '"schema": "wirewise.plan/1"' "$pair" -b 64M --json
prints '"factor": 2' "$pair" -b 64M --json --what-if network=2
prints '"bytes": 1234567892,' "$pair" -b 1234567892 --json
prints "WAN" "$machines/switched.ini" -b 64M
if command -v python3 >/dev/null; then
    for words in "-b 1,64M" "-b 64M --all --what-if network=2"; do
        # shellcheck disable=SC2086
        "$command" plan "$machines/switched.ini" $words --json >"$work/plan.json"
        python3 - "$work/plan.json" <<'PYTHON' || complain "the JSON of $words is not as documented"
import json, sys
plan = json.load(open(sys.argv[1]))
levels = len(plan["cluster"]["levels"])
for size in plan["sizes"]:
    times = [way["seconds"] for way in size["ways"]]
    assert times == sorted(times) and times
    for way in size["ways"]:
        assert way["least_s"] <= way["seconds"] <= way["most_s"]
        assert len(way["levels"]) == levels
PYTHON
    done
fi
if [ "$hwloc" = ON ]; then
    prints "what such cards carry at most" "$machines/twins.ini" -b 64M
    prints "2 islands of 2 on NVLink" "$machines/twins.ini" -b 64M
    # Of a card's ports only those of the kind that connects nodes count.
    printf '%s\n' "[shape A]" "xml = $machines/vpi.xml" "ranks = 1" "[nodes]" "A = 2" \
        >"$work/vpi.ini"
    prints "1 core; 1 x 56 Gb/s InfiniBand$" "$work/vpi.ini" -b 1M
else
    refuses 5 "built without hwloc" "$machines/twins.ini" -b 64M
fi

# A shape of one GPU has no links, which must not become those of all.
printf '%s\n' "[cluster]" "device = gpu" "[shape A]" "gpus = 8" "gpu.links = 300 GB/s" "ports = 1" \
    "port = 100 Gb/s EFA" "[shape C]" "gpus = 1" "ports = 1" "port = 100 Gb/s EFA" "[nodes]" \
    "A = 3" "C = 1" >"$work/alone.ini"
prints "246 GB/s rank" "$work/alone.ini" -b 1M --all
"$command" plan "$work/alone.ini" -b 1M --all | grep -q nan && complain "no number for one GPU"
# Nodes of one GPU have no wires inside, and no rate of them.
printf '%s\n' "[cluster]" "device = gpu" "[shape C]" "gpus = 1" "ports = 1" \
    "port = 100 Gb/s EFA" "[nodes]" "C = 4" >"$work/single.ini"
prints " - *- rank" "$work/single.ini" -b 1M
prints '"message_gb_s": null' "$work/single.ini" -b 1M --json
prints "broadcast" "$machines/lonely.ini" -b 1M -c broadcast
"$command" plan "$machines/lonely.ini" -b 1M -c broadcast | grep -q nan &&
    complain "no number for one rank"
# GPUs send to ports over the PCIe links by which they meet: more nodes take no less.
printf '%s\n' "[cluster]" "device = gpu" "[shape A]" "gpus = 8" "gpu.pcie = 31.5 GB/s" "ports = 8" \
    "port = 400 Gb/s InfiniBand" "[nodes]" "A = 2" >"$work/pcie.ini"
prints "1 GiB  .* 7[0-9]\.[0-9] ms" "$work/pcie.ini" -b 1G
# A root sends and receives nothing: 1.75 GiB over 246 GB/s take 7.6 ms.
printf '%s\n' "[cluster]" "device = gpu" "[shape A]" "gpus = 8" "gpu.links = 300 GB/s" "[nodes]" \
    "A = 1" >"$work/gpus.ini"
prints "scatter_gather  *64 MiB  *7\.[6-9]" "$work/gpus.ini" -b 1G -c broadcast
# Small values travel with the announcement, which is a way like others.
printf '%s\n' "[shape A]" "ranks = 8" "cores = 8" "[nodes]" "A = 1" >"$work/memory.ini"
prints " announcement " "$work/memory.ini" -b 16K --all
prints " announcement " "$work/memory.ini" -b 16K -a announcement
prints '"rank_bytes": 114688' "$work/memory.ini" -b 16K -a announcement --json
refuses 2 "no algorithm \"announcement\"" "$work/memory.ini" -b 1M -a announcement
printf '%s\n' "[shape A]" "ranks = 1" "cores = 1" "ports = 1" "port = 1 Mb/s Ethernet" "[nodes]" \
    "A = 4" >"$work/slow.ini"
sed 's/1 Mb/999999999 Tb/' "$work/slow.ini" >"$work/fast.ini"
refuses 2 "a rate from 1 Kb/s to 100 TB/s and a kind" "$work/fast.ini" -b 100

refuses 2 "cannot open /nowhere/at/all.ini" /nowhere/at/all.ini -b 64M
refuses 2 "which sizes are to be priced is missing" "$pair"
refuses 2 "write bytes, or numbers with K, M or G" "$pair" -b 64X
refuses 2 "write bytes, or numbers" "$pair" -b 0
refuses 2 "write bytes, or numbers" "$pair" -b 25M,
refuses 2 "write LEVEL=FACTOR" "$pair" -b 25M --what-if network
refuses 2 'no level "rack"; there are host, network' "$pair" -b 25M --what-if rack=2
refuses 2 "wires cannot be 0 times as fast" "$pair" -b 25M --what-if network=0
refuses 2 'no algorithm "foo" can run all_reduce' "$pair" -b 25M -a foo
refuses 2 'no collective "all"' "$pair" -b 25M -c all
refuses 2 "give one of them" "$pair" -b 25M --all -a ring
refuses 2 "there can be one cluster file" "$pair" "$pair" -b 25M
refuses 2 "ranks is for plans of ranks" "$pair" -b 25M --ranks 4
refuses 2 "bytes needs a cluster" -b 25M
sed 's/^ranks = 2/rnaks = 2/' "$pair" >"$work/typo.ini"
refuses 2 "typo.ini:7: \[shape\] has no key 'rnaks'; it may have xml, ranks" "$work/typo.ini" -b 1

# 1250 nodes, five sizes: 10 s are promised, and machines that build and test are slow.
cat >"$work/large.ini" <<CLUSTER
[cluster]
device = gpu
[shape A]
gpus = 8
gpu.links = 450 GB/s
ports = 8
port = 400 Gb/s InfiniBand
[nodes]
A = $nodes
CLUSTER
begin=$SECONDS
prints "$((8 * nodes)) ranks on $nodes nodes" "$work/large.ini" -b 1M,25M,64M,256M,1G
echo "$((8 * nodes)) ranks took $((SECONDS - begin)) s"
[ "$failures" = 0 ]
