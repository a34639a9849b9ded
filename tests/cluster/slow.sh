#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# slow.sh CALIBRATE_WIRES: four hosts on a switch, one of them with a fifth of the others' rate. The
# host is named, with both rates, and nobody else is.
set -u -o pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
program=$1

# Inside: slows node2 down both ways, and measures.
if [ "${2:-}" = inside ]; then
    hosts.sh on node2 tc qdisc replace dev eth0 root tbf rate 100mbit burst 128k latency 20ms
    tc qdisc replace dev port2 root tbf rate 100mbit burst 128k latency 20ms
    exec timeout 60 hosts.sh mpirun 1 "$program" 1.0
fi

"$here/hosts.sh" with 1 none -- mpirun 1 true </dev/null
[ $? -eq 77 ] && exit 77
output=$("$here/hosts.sh" with 4 500mbit -- "$0" "$program" inside 2>&1 </dev/null)
status=$?
named=$(grep -E 'warning: (link|path) ' <<<"$output")
if [ "$status" -ne 0 ] || [ "$(grep -c . <<<"$named")" -ne 1 ] ||
    ! grep -q 'link node2 <-> switch carries 0\.[01]' <<<"$named"; then
    echo "FAILED with status $status; node2 alone must be named:"
    printf '%s\n' "$output"
    exit 1
fi
printf '%s\n' "$named"
