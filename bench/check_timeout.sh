#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_timeout.sh WIREWISE [LAUNCHER...]: -T ends a test that takes too long, and a run with a rank
# that was stopped, with exit code 5 and a sentence; what is in time is not touched. Without a
# launcher the ranks are threads.
set -u
wirewise=$1
shift
launcher=("$@")
bad=0
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

complain() {
    echo "FAILED: $1"
    cat "$folder/err"
    bad=1
}

# runs ARGUMENTS...: sets code; the run has 60 seconds before it counts as hanging.
runs() {
    if [ "${#launcher[@]}" -gt 0 ]; then
        timeout -s KILL 60 "${launcher[@]}" "$wirewise" bench "$@" >"$folder/out" 2>"$folder/err"
    else
        timeout -s KILL 60 "$wirewise" bench -t 2 "$@" >"$folder/out" 2>"$folder/err"
    fi
    code=$?
}

runs -b 64 -e 1K -f 2 -T 30
[ "$code" = 0 ] || complain "exit code $code for a run that is in time"

begin=$SECONDS
runs -b 1M -e 1M --budget 0 -n 1000000 -T 1
[ "$code" = 5 ] || complain "exit code $code, expected 5, for a test that takes too long"
grep -q 'all_reduce float sum of 1048576 bytes, .* was not over after 1 s (-T)' "$folder/err" ||
    complain "no sentence about the test that takes too long"
[ $((SECONDS - begin)) -lt 30 ] || complain "it took $((SECONDS - begin)) s to end after 1 s"

# stop_one: waits for the table to begin, and stops the process of rank 1.
stop_one() {
    local pid=""
    for _ in $(seq 100); do
        pid=$(awk '/^#  Rank  1 /{ print $7 }' "$folder/out" 2>/dev/null)
        grep -q '^ ' "$folder/out" 2>/dev/null && break
        sleep 0.1
    done
    [ -n "$pid" ] && kill -STOP "$pid"
}

if [ "${#launcher[@]}" -gt 0 ]; then
    : >"$folder/out"
    stop_one &
    runs -b 4K -e 1G -i 4K -T 2
    wait
    [ "$code" = 5 ] || complain "exit code $code, expected 5, with a rank that was stopped"
    grep -q 'rank 1 ([^)]*) \(did not come\|went silent\)\|was not over after 2 s' \
        "$folder/err" || complain "no sentence about the rank that was stopped"
fi
exit $bad
