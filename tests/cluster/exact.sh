#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# exact.sh WIREWISE: every collective, between hosts with one rank, with several and with unequally
# many: no element may be wrong. check_table.sh looks at each table.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
table=$here/../../bench/check_table.sh

# all_collectives RANKS WIREWISE: in a set of hosts. The sizes go over one element, a share that is
# empty on some ranks, what is not divisible, and several segments.
all_collectives() {
    local collective sizes status=0
    for collective in all_reduce reduce_scatter all_gather broadcast; do
        for sizes in "-b 4 -e 3000012 -f 57 -c 2" "-b 9000052 -e 9000052 -d bfloat16 -c 1"; do
            # shellcheck disable=SC2086 # several words
            "$table" 0 0 timeout 60 hosts.sh mpirun "$1" "$2" bench "$collective" $sizes -n 2 \
                -w 1 -T 2 || status=1
        done
        echo "$collective, $1 ranks on each of $(cat "$HOSTS_LAB/count") hosts: status $status"
    done
    return "$status"
}

if [ "$1" = on_hosts ]; then
    all_collectives "$2" "$3"
    exit
fi

"$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
[ $? -eq 77 ] && exit 77
failed=0
while read -r hosts ranks; do
    "$here/hosts.sh" with "$hosts" none -- "$0" on_hosts "$ranks" "$1" </dev/null
    status=$?
    if [ "$status" -ne 0 ]; then
        echo "FAILED: $hosts hosts with $ranks ranks each: status $status"
        failed=1
    fi
done <<'LAYOUTS'
2 1
3 1
2 2
2 2,1
LAYOUTS
exit "$failed"
