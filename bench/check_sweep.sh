#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_sweep.sh GPU_SWEEP WIREWISE: in seconds that are too few for all of it, the sweep keeps to
# them, says what it left out, and writes the files of what it ran. Without NCCL, as a fake one
# knows threads only: so its first run, beside NCCL, fails, and the others go on.
set -u
sweep=$1
wirewise=$2
files=$(mktemp -d) || exit 77
trap 'rm -rf "$files"' EXIT
command -v bash >/dev/null 2>&1 || exit 77
bad=0
begin=$(date +%s)
WIREWISE_NCCL=none bash "$sweep" "$wirewise" "$files/results" 20 >"$files/said" 2>&1
code=$?
took=$(($(date +%s) - begin))

complain()
{
    echo "FAILED: $*"
    bad=1
}

[ "$code" -eq 1 ] || complain "exit code $code"
[ "$took" -le 26 ] || complain "$took seconds"
grep -q '^== versus_2: exit code 5' "$files/said" || complain "no word about NCCL that is not here"
grep -q '^== bf16_2: LEFT OUT' "$files/said" || complain "nothing is left out"
grep -q '^all done at' "$files/said" || complain "it did not come to its end"
grep -q "$(uname -r)" "$files/results/log.txt" || complain "the machine is not in the log"
grep -q '_place  device' "$files/results/log.txt" || complain "the log has no calls"
for kind in csv json svg; do
    [ -s "$files/results/first.$kind" ] || complain "no first.$kind: $(ls "$files/results")"
done
[ $bad -eq 0 ] || cat "$files/said"
exit $bad
