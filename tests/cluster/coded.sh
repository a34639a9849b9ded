#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# coded.sh WIREWISE: between hosts, an all-reduce that travels encoded sends the share of fp32's
# bytes that its codec promises, as the library counts them and as the hosts' interfaces do. Two
# ranks on each of two hosts send no more than one: they sum first.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
wirewise=$1
bytes=$((16 << 20))
calls=18 # of each placement: the first, one that warms up, 16 that are timed

"$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
[ $? -eq 77 ] && exit 77

# run RANKS CODEC: prints what a rank sent for a call by the library, and the busiest host in all by
# its interface, in bytes.
run() {
    "$here/hosts.sh" with 2 none -- bash -c '
        hosts.sh counters | sed "s/^/before /"
        timeout 100 hosts.sh mpirun "$1" env WIREWISE_CALIBRATE=off "$2" bench -b "$3" -e "$3" \
            -n 16 -w 1 --budget 0 --codec "$4" || echo failed
        hosts.sh counters | sed "s/^/after /"' - "$1" "$wirewise" "$bytes" "$2" </dev/null |
        awk '
        $1 == "failed" { bad = 1 }
        $1 == "#" && ($6 == "out_of_place" || $6 == "in_place") { if ($9 > wire) wire = $9 }
        $1 == "before" { before[$2] = $4 }
        $1 == "after" { if ($4 - before[$2] > most) most = $4 - before[$2] }
        END { print (bad || wire == "" ? "none" : wire), most }'
}

failed=0
while read -r ranks codec most; do
    read -r wire interface <<<"$(run "$ranks" "$codec")"
    if [ "$wire" = none ] || ! awk -v wire="$wire" -v interface="$interface" -v most="$most" \
        -v dense="$bytes" -v calls=$((2 * calls)) -v ranks="$ranks" -v codec="$codec" 'BEGIN {
            # Two hosts: each sends the vector once, 2 (h - 1) / h. wire_B is a rank s, what it
            # reads and writes in memory of its neighbours included.
            share = interface / calls / dense
            printf "%s, %d rank(s) a host: %.4f of fp32 by the interface", codec, ranks, share
            if (ranks == 1) printf ", %.4f by the library", wire / dense
            print ""
            bad = share > most || share < most / 2
            if (ranks == 1) bad = bad || wire / dense > most || wire / dense > share
            exit bad
        }'; then
        echo "FAILED: $codec: $wire bytes by the library, $interface by the interface"
        failed=1
    fi
done <<'CODECS'
1 fp16 0.505
1 bf16 0.505
1 int8 0.26
1 topk:0.01 0.011
1 topk:0.01:fixed 0.011
2 int8 0.26
2 topk:0.01 0.011
CODECS
exit "$failed"
