#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_cluster.sh COMMAND: what `wirewise bench --cluster-file` found out about a job's wires,
# `wirewise plan` prices, on as many hosts as one likes.
set -u
command=$1
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

complain() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}

# keeps WORDS ARGUMENTS...: bench exits with 0 and writes a file with these words.
keeps() {
    local words=$1
    shift
    "$command" bench -b 64 -e 64 -n 2 "$@" --cluster-file "$work/job.ini" \
        >"$work/out" 2>"$work/errors" || complain "bench $* fails: $(cat "$work/errors")"
    grep -q -- "$words" "$work/job.ini" ||
        complain "bench $* does not write '$words': $(cat "$work/job.ini")"
}

# plans WORDS: the file is read, and told of in these words.
plans() {
    "$command" plan "$work/job.ini" -b 64K,16M --all >"$work/out" 2>"$work/errors" ||
        complain "plan refuses the file: $(cat "$work/errors" "$work/job.ini")"
    grep -q -- "$1" "$work/out" || complain "plan does not print '$1': $(cat "$work/out")"
}

export WIREWISE_CALIBRATION_FILE=none
export WIREWISE_SHAPE=hosts=2,rate=200mbit,latency=50us
keeps "^\[network\] ; measured" -t 4
plans "4 ranks on 2 nodes"
plans "given, +-10 %"
# The imitated wire is a fact: 200 Mb/s, of which a busy machine gets less, and never more.
rate=$(sed -n 's/^rate = \([0-9.]*\) Mb\/s$/\1/p' "$work/job.ini")
awk -v rate="${rate:-0}" 'BEGIN { exit !(rate >= 50 && rate <= 210) }' ||
    complain "a wire of 200 Mb/s has rate = '$rate'"
sed -i 's/^A = 2$/A = 64/' "$work/job.ini"
plans "128 ranks on 64 nodes"

unset WIREWISE_SHAPE
keeps "^\[memory\] ; measured" -t 2
grep -q network "$work/job.ini" && complain "one host has a network: $(cat "$work/job.ini")"
plans "2 ranks on 1 node"
keeps "^\[memory\] ; assumed" -t 1
plans "1 rank"

[ "$failures" = 0 ] && echo "jobs become cluster files"
exit "$((failures > 0))"
