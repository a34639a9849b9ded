#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_device.sh WIREWISE: where no GPU can be used, --device cuda says so in one sentence, prints
# no table, and ends with exit code 4 on all ranks. GPUs that are here are hidden.
set -u
wirewise=$1
files=$(mktemp -d) || exit 1
trap 'rm -rf "$files"' EXIT
export CUDA_VISIBLE_DEVICES='' MASTER_ADDR=localhost WIREWISE_CALIBRATION_FILE=none
MASTER_PORT=$((32000 + $$ % 12000))
export MASTER_PORT
bad=0

complain()
{
    echo "FAILED: $*"
    bad=1
}

"$wirewise" bench --device cuda -b 8 -e 8 >"$files/out" 2>"$files/err"
code=$?
[ "$code" -eq 4 ] || complain "exit code $code, expected 4"
[ -s "$files/out" ] && complain "a table without a GPU: $(cat "$files/out")"
grep -q '^wirewise bench: no GPU can be used here: ..*' "$files/err" ||
    complain "no sentence: $(cat "$files/err")"
[ "$(wc -l <"$files/err")" -eq 1 ] || complain "more than a sentence: $(cat "$files/err")"

# Of several ranks the first one speaks for all.
for rank in 0 1 2; do
    (
        RANK=$rank WORLD_SIZE=3 timeout 60 "$wirewise" bench --device cuda --versus nccl -b 8 \
            -e 8 -J "$files/never.json" >"$files/out.$rank" 2>"$files/err.$rank"
        echo $? >"$files/code.$rank"
    ) &
done
wait
for rank in 0 1 2; do
    [ "$(cat "$files/code.$rank")" = 4 ] || complain "rank $rank: $(cat "$files/code.$rank")"
    [ -s "$files/out.$rank" ] && complain "rank $rank prints: $(cat "$files/out.$rank")"
done
grep -q 'no GPU can be used here' "$files/err.0" || complain "rank 0: $(cat "$files/err.0")"
[ -s "$files/err.1" ] && complain "rank 1 speaks: $(cat "$files/err.1")"
[ -e "$files/never.json" ] && complain "a document was written"

# On the host nothing is asked about GPUs.
"$wirewise" bench --device host -b 8 -e 8 -n 2 >/dev/null || complain "--device host: $?"
exit $bad
