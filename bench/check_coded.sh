#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_coded.sh MOST COMMAND...: a table with a codec: the mean square of the error, in the place
# of #wrong, is at most MOST in every row, and bytes were sent where there are several ranks.
set -u
most=$1
shift
output=$("$@")
code=$?
if [ "$code" -ne 0 ]; then
    printf '%s\n' "$output"
    echo "exit code $code: $*"
    exit 1
fi
printf '%s\n' "$output" | awk -v most="$most" '
function complain(text) { print "line " NR ": " text ": " $0; bad = 1 }
/^#  Rank / { ranks++ }
/^# +[0-9]+ .*(out_of|in)_place +[a-z]+ / {
    calls++
    if (ranks > 1 && $9 <= 0) complain("nothing was sent")
    if ($10 != "-" || $11 != "-") complain("what coding takes is not known")
}
/^#/ || NF == 0 { next }
{
    rows++
    if (NF != 13 || $6 <= 0 || $10 <= 0) complain("not a row with times")
    if ($9 !~ /^[0-9]e[+-][0-9]+$/ || $9 + 0 > most + 0 || $13 + 0 > most + 0) complain("error")
}
END {
    if (rows == 0 || calls != 2 * rows) { print rows + 0 " rows, " calls + 0 " lines"; bad = 1 }
    exit bad
}' || { printf '%s\n' "$output"; exit 1; }
