#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_versus_nccl.sh EXIT WRONG SIZES COMMAND...: the block of --versus nccl, a row per size.
# WRONG is what #wrong must hold: 0, N/A, or + for more than none.
set -u
expected=$1
wrong=$2
sizes=$3
shift 3
output=$("$@")
code=$?
if [ "$code" -ne "$expected" ]; then
    printf '%s\n' "$output"
    echo "exit code $code, expected $expected: $*"
    exit 1
fi
printf '%s\n' "$output" | awk -v wrong="$wrong" -v sizes="$sizes" '
function complain(text) { print "line " NR ": " text ": " $0; bad = 1 }
function number(text) { return text ~ /^[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/ }
/^# GPUs: [0-9]+, .+ on .+/ { ways++ }
/^# Versus ncclAllReduce of NCCL [0-9]+\.[0-9]+\.[0-9]+: / { names++ }
/^# +size +type +redop +memory +rounds +batch +wirewise +nccl +nccl\/ww .* note +extra$/ {
    heads++
    inside = 1
    next
}
inside && $2 ~ /^[0-9]+$/ {
    rows++
    if (NF != 16) complain(NF - 1 " columns, expected 15")
    if ($5 != "device") complain("memory")
    if ($8 <= 0 || $9 <= 0 || !number($10) || !number($16)) complain("no time, ratio or extra")
    if ($11 != "-" && ($11 > $10 || $12 < $10)) complain("the ratio lies outside of its interval")
    if (($10 * 1.05 < 0.999) && $15 != "slower") complain("slower, and not noted")
    if (($10 * 1.05 > 1.001) && $15 != "-") complain("noted without a reason")
    if (wrong == "+" ? !(number($14) && $14 > 0) : $14 != wrong)
        complain("#wrong is " $14 ", expected " wrong)
}
/^# (Marker|Huge pages)/ { complain("not of a GPU") }
END {
    if (heads != 1 || names != 1 || ways != 1) { print "a line is missing"; bad = 1 }
    if (rows != sizes) { print rows + 0 " rows"; bad = 1 }
    exit bad
}' || { printf '%s\n' "$output"; exit 1; }
