#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_plan.sh COMMAND: `wirewise plan` prints plans, and refuses what it cannot plan with exit
# code 2 and a sentence that names it.
set -u
command=$1
failures=0

complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

# prints WORDS ARGUMENTS...: exit 0, and the words on stdout.
prints() {
    local words=$1 output
    shift
    output=$("$command" plan "$@" 2>&1) || complain "plan $* does not exit with 0: $output"
    grep -q -- "$words" <<<"$output" || complain "plan $* does not print '$words': $output"
}

# refuses WORDS ARGUMENTS...: exit 2, nothing on stdout, and the words on stderr.
refuses() {
    local words=$1 output errors status
    shift
    errors=$("$command" plan "$@" 2>&1 >/dev/null)
    output=$("$command" plan "$@" 2>/dev/null)
    status=$?
    [ "$status" = 2 ] || complain "plan $* exits with $status"
    [ -z "$output" ] || complain "plan $* prints a plan"
    grep -q -- "$words" <<<"$errors" || complain "plan $* does not say '$words': $errors"
}

prints "all_reduce      ring" --list
prints "scatter_gather, rank 3 of 4: 4 chunks, 2 rounds"
prints "hierarchical+ring, rank 2 of 3" --hosts 2,1 --algorithm hierarchical+ring
prints "reduce  output\[0\] = input\[0\] + scratch0\[0\], finish" -n 2 -r 0
prints "broadcast tree, rank 4 of 5" -c broadcast -a tree -n 5 --root 2
refuses 'no algorithm "foo"' -a foo
refuses 'no collective "all"' -c all
refuses "'0': it must be a number from 1 to 4096" -n 0
refuses "'x'" -H 2,x
refuses "rank 4 and root 0 of 4 ranks" -r 4
refuses "rank 0 and root 9 of 4 ranks" -c broadcast -a tree --root 9
refuses "unrecognized option" --nonsense
prints "rank 3 of 4" --hosts 2,2 -n 4
refuses "--ranks says 5 and --hosts 4 in all" --hosts 2,2 -n 5
refuses "--ranks says 5 and --hosts 4 in all" -n 5 --hosts 2,2
refuses "a host's ranks is ''" --hosts 2,,2
refuses "a host's ranks is ''" --hosts ""
# What was not written was not printed.
for words in plan "plan --list" --version --help; do
    # shellcheck disable=SC2086
    "$command" $words >/dev/full 2>/dev/null
    status=$?
    [ "$status" = 5 ] || complain "$words exits with $status on a full disk"
done
[ "$failures" = 0 ]
