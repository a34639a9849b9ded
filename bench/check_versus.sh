#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_versus.sh EXIT WRONG SIZES COMMAND...: the block of --versus: three memories per size, both
# markers, a word about huge pages, the name of MPI's function. WRONG is what #wrong must hold: 0,
# N/A, or + for more than none.
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
function number(text) { return text ~ /^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$/ }
/^# Marker at the (begin|end): memcpy [0-9.]+ GB\/s .*MPI_Allreduce of 1 MiB .* [0-9.]+ us$/ {
    markers++
    if ($7 <= 0 || $(NF - 1) <= 0) complain("a marker without a time")
}
/^# Versus MPI_[A-Z][a-z_]+ of .+: in place, / { function_name = $3 }
/^# Collective test concluded: / { collective = $NF }
/^# Huge pages: (NONE, |[0-9.]+ of [0-9.]+ MiB)/ { huge++ }
/^# +size +type +redop +memory +rounds +batch +wirewise +mpi +mpi\/ww/ { heads++; inside = 1; next }
inside && $2 ~ /^[0-9]+$/ {
    memories[$5]++
    if (NF != 15) complain(NF - 1 " columns, expected 14")
    for (i = 6; i <= 13; i++)
        if (i != 11 && i != 12 && i != 10 && !number($i)) complain("column " i - 1)
    if ($8 <= 0 || $9 <= 0 || !number($10)) complain("no time or ratio")
    if ($11 != "-" && ($11 > $10 || $12 < $10)) complain("the ratio lies outside of its interval")
    if (($10 * 1.05 < 0.999) && $15 != "slower") complain("slower, and not noted")
    if (($10 * 1.05 > 1.001) && $15 != "-") complain("noted without a reason")
    if (wrong == "+" ? !(number($14) && $14 > 0) : $14 != wrong)
        complain("#wrong is " $14 ", expected " wrong)
}
END {
    functions["all_reduce"] = "MPI_Allreduce"
    functions["reduce_scatter"] = "MPI_Reduce_scatter_block"
    functions["all_gather"] = "MPI_Allgather"
    functions["broadcast"] = "MPI_Bcast"
    if (function_name == "" || function_name != functions[collective]) {
        print collective " beside " function_name
        bad = 1
    }
    if (heads != 1 || huge != 1 || markers != 2) { print "a line is missing"; bad = 1 }
    if (memories["malloc"] != sizes || memories["huge"] != sizes || memories["shared"] != sizes) {
        print "rows are missing"
        bad = 1
    }
    exit bad
}' || { printf '%s\n' "$output"; exit 1; }
