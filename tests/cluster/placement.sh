#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# placement.sh STEP_BYTES: two hosts with two ranks each, numbered host by host (0 1 | 2 3) and in
# turn (0 2 | 1 3). Gradients belong to places, not to numbers: so every step sends the same bytes
# from each host, and ends in the same bits on all ranks, both ways.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

# measure WORDS-FOR-MPIRUN...
measure() {
    "$here/hosts.sh" with 2 none -- timeout 60 hosts.sh mpirun "$@"
}

# Which ranks each host has.
ranks_by_host() {
    awk '$1 == "bits" && $2 == 1 { print $4, $3 }' | sort
}

# What a host's ranks sent, per step and level, and what the result looked like.
without_rank_numbers() {
    awk '$1 == "level" { sent[$2 " " $4 " " $5] += $7 }
         $1 == "bits" { print "step", $2, "bits", $5 }
         END { for (key in sent) print "step", key, sent[key] }' | sort -u
}

"$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
[ $? -eq 77 ] && exit 77
if ! by_slot=$(measure 2 "$1" few 2) || ! by_node=$(measure --by-node 2 "$1" few 2); then
    echo "FAILED: a run ended with an error"
    exit 1
fi
if [ "$(ranks_by_host <<<"$by_slot")" != $'node1 0\nnode1 1\nnode2 2\nnode2 3' ] ||
    [ "$(ranks_by_host <<<"$by_node")" != $'node1 0\nnode1 2\nnode2 1\nnode2 3' ]; then
    echo "FAILED: the launcher placed ranks otherwise:"
    ranks_by_host <<<"$by_slot"
    ranks_by_host <<<"$by_node"
    exit 1
fi
if ! diff <(without_rank_numbers <<<"$by_slot") <(without_rank_numbers <<<"$by_node"); then
    echo "FAILED: by slot (<) and by node (>) differ"
    exit 1
fi
without_rank_numbers <<<"$by_slot"
if [ "$(without_rank_numbers <<<"$by_slot" | grep -c bits)" -ne 2 ]; then
    echo "FAILED: ranks ended a step with different bits"
    exit 1
fi
