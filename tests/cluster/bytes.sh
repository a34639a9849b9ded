#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# bytes.sh STEP_BYTES: a training step sends what its plan says; between h hosts no host sends
# more than 2(h-1)/h of the gradients' bytes, plus at most 2 % for headers, acknowledgements and
# control messages. So two ranks on one host share what must cross the network: neither repeats
# what the other sends. The wire is slow, as a wire is: one that is as fast as memory may well be
# used twice.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
steps=4 # the first may connect, and rank 0 tells its order after the powers of two

# judge RANKS-IN-ALL HOSTS: reads what step_bytes printed, prints the figures.
judge() {
    awk -v ranks="$1" -v hosts="$2" -v steps="$steps" '
    function complain(text) { print "WRONG: " text; bad = 1 }
    $1 == "level" {
        levels++
        if ($7 != $9 || $7 !~ /^[0-9]+$/)
            complain("step " $2 ", rank " $3 ", " $5 ": sent " $7 " bytes, planned " $9)
        if ($5 == "network")
            payload[$2 " " $4] += $7
    }
    $1 == "wire" {
        wires++
        least = 2 * (hosts - 1) / hosts * $6
        share = $4 / least
        if ($8 != hosts)
            complain($8 " hosts were seen instead of " hosts)
        if (share < 1 || share > 1.02)
            complain("step " $2 ": " $3 " sent " $4 " bytes, " share " of the least " least)
        if ($4 < payload[$2 " " $3])
            complain("step " $2 ": " $3 " sent " $4 " bytes, but reports " payload[$2 " " $3])
        if (wires == 1 || share < low) low = share
        if (share > high) high = share
    }
    END {
        if (levels != ranks * 2 * steps || wires != hosts * steps)
            complain(levels " lines of levels and " wires " of wires")
        printf "%.4f to %.4f of the least on the wire, %d levels compared with the plan\n",
            low, high, levels
        exit bad
    }'
}

"$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
[ $? -eq 77 ] && exit 77
failed=0
while read -r hosts ranks form; do
    total=$((hosts * ranks))
    lines=$("$here/hosts.sh" with "$hosts" 1gbit -- timeout 60 hosts.sh mpirun "$ranks" "$1" \
        "$form" "$steps" </dev/null)
    status=$?
    printf '%d hosts, %d ranks each, %s tensors: ' "$hosts" "$ranks" "$form"
    # Sorted, a host's lines follow those of its ranks.
    if [ "$status" -ne 0 ] || ! sort -k 1,1 -s <<<"$lines" | judge "$total" "$hosts"; then
        echo "FAILED; mpirun ended with status $status"
        failed=1
    fi
done <<'LAYOUTS'
2 1 few
4 1 few
2 2 few
2 1 many
4 1 many
2 2 many
LAYOUTS
exit "$failed"
