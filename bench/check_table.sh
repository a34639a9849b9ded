#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_table.sh: runs a bench command line and checks that what it prints is the table of
# nccl-tests: 13 columns of the right kind, nothing but comments beside them, both footers at the
# end; and behind its rows a line per measurement about single calls.
#   check_table.sh EXIT WRONG COMMAND...
# EXIT is the exit code to expect; WRONG what #wrong must hold: 0, N/A, or + for more than none.
set -u
expected=$1
wrong=$2
shift 2

output=$("$@")
code=$?
if [ "$code" -ne "$expected" ]; then
    printf '%s\n' "$output"
    echo "exit code $code, expected $expected: $*"
    exit 1
fi

printf '%s\n' "$output" | awk -v wrong="$wrong" '
function complain(text) { print "line " NR ": " text ": " $0; bad = 1 }
function number(text) { return text ~ /^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/ }
function check_wrong(text) {
    if (wrong == "+" ? !(number(text) && text > 0) : text != wrong)
        complain("#wrong is " text ", expected " wrong)
}
/^# +size +count +type +redop +root +time +algbw +busbw +#wrong +time +algbw +busbw +#wrong *$/ {
    heads++
}
/^# +\(B\) +\(elements\) +\(us\) +\(GB\/s\) +\(GB\/s\) +\(us\) +\(GB\/s\) +\(GB\/s\) *$/ { units++ }
/^# nThread [0-9]+ nGpus 1 minBytes [0-9]+ maxBytes [0-9]+ step: [0-9]+\((factor|bytes)\) / &&
    / warmup iters: [0-9]+ iters: [0-9]+ agg iters: 1 validation: [0-9]+ graph: 0 unalign: 0$/ {
    settings++
}
/^#  Rank +[0-9]+ Group +0 Pid +[0-9]+ on +[^ ]+ device +[0-9]+ \[[0-9a-f:]+\] .+$/ { ranks++ }
/^# Host [^ ]+: [0-9]+ ranks, [0-9]+ cores, .+, Linux / { hosts++ }
/^# Resident beyond buffers: [0-9]+\.[0-9] MiB (on rank 0, most [0-9]+\.[0-9] MiB|in the one )/ {
    resident++
}
/^# +[0-9]+ .*(out_of|in)_place +(malloc|huge|shared|device) / {
    calls++
    if (NF != 20) complain(NF - 1 " columns about calls, expected 19")
    for (i = 13; i <= 18; i++)
        if (!number($i) || (i > 13 && $i < $(i - 1))) complain("percentiles do not ascend")
    if ($9 !~ /^[0-9]+$/ || ($9 > 0) != ($2 > 0 && ranks > 1)) complain("bytes sent")
    if ($10 != 0 || $11 != 0) complain("codec none has a cost")
    if ($12 < 6 ? $19 != "-" || $20 != "-" : $19 > $15 || $20 < $15)
        complain("the median is outside of its interval")
}
average && !/^#( Collective test concluded: .*)?$/ { complain("something behind the footers") }
/^# Out of bounds values : [0-9]+ (OK|FAILED)$/ { bounds++; verdict = $NF }
/^# Avg bus bandwidth    : [0-9.e+-]+ $/ { average++ }
/^#/ || NF == 0 { next }
{
    rows++
    if (NF != 13) complain(NF " columns, expected 13")
    if (bounds) complain("a row behind the footer")
    if (!number($1) || !number($2)) complain("size and count must be numbers")
    if ($3 !~ /^(float|double|half|bfloat16|int32|int64)$/) complain("unknown type")
    if ($4 !~ /^(sum|avg|min|max|none)$/) complain("unknown redop")
    if ($5 !~ /^(-1|[0-9]+)$/) complain("root must be a number")
    for (i = 6; i <= 12; i++)
        if (i != 9 && !number($i)) complain("column " i " must be a number")
    check_wrong($9)
    check_wrong($13)
}
END {
    if (!rows) { print "no rows"; bad = 1 }
    if (calls != 2 * rows) { print calls " lines about calls of " rows " rows"; bad = 1 }
    if (!hosts || resident != 1) { print "a line about hosts or memory is missing"; bad = 1 }
    if (heads != 1 || units != 1 || settings != 1 || !ranks) {
        print "a header is missing"
        bad = 1
    }
    if (bounds != 1 || average != 1) { print "a footer is missing"; bad = 1 }
    if (verdict != (wrong == "+" ? "FAILED" : "OK")) { print "verdict " verdict; bad = 1 }
    exit bad
}' || { printf '%s\n' "$output"; exit 1; }
