#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_env.sh WIREWISE: ranks that a shell starts, without MPI: they meet, rank 0 alone prints, and
# where they cannot meet everybody says why and ends with the code for it.
set -u
wirewise=$1
here=$(dirname "$0")
files=$(mktemp -d) || exit 1
trap 'rm -rf "$files"' EXIT
export MASTER_ADDR=localhost WIREWISE_CALIBRATION_FILE=none WIREWISE_ENV_TIMEOUT_S=20
port=$((20000 + $$ % 12000))
bad=0

complain()
{
    echo "FAILED: $*"
    bad=1
}

# start RANKS SIZE ARGUMENT...: as ranks 0 to RANKS - 1 of SIZE; each one's words and exit code lie
# in out.N, err.N and code.N.
start()
{
    ranks=$1
    export WORLD_SIZE="$2"
    shift 2
    port=$((port + 2)) # what a job before left behind disturbs nobody
    export MASTER_PORT=$port
    rank=0
    while [ "$rank" -lt "$ranks" ]; do
        (
            RANK=$rank timeout 100 "$wirewise" "$@" >"$files/out.$rank" 2>"$files/err.$rank"
            echo $? >"$files/code.$rank"
        ) &
        rank=$((rank + 1))
    done
    wait
}

# expect RANK CODE WORDS: with this code, and these words on stderr.
expect()
{
    [ "$(cat "$files/code.$1")" = "$2" ] || complain "rank $1 ended with $(cat "$files/code.$1")"
    [ -z "$3" ] || grep -q -e "$3" "$files/err.$1" ||
        complain "rank $1 does not say '$3': $(cat "$files/err.$1")"
}

start 3 3 bench -b 1 -e 300K -f 37 -n 3 -w 1
for rank in 0 1 2; do
    expect "$rank" 0 ''
    [ -s "$files/err.$rank" ] && complain "rank $rank: $(cat "$files/err.$rank")"
done
"$here/check_table.sh" 0 0 cat "$files/out.0" || bad=1
[ "$(grep -c '^#  Rank ' "$files/out.0")" = 3 ] || complain "not three ranks"
[ -s "$files/out.1" ] && complain "rank 1 prints: $(cat "$files/out.1")"

# One of several is alone, and one of one needs nobody.
export WIREWISE_ENV_TIMEOUT_S=0.5
start 1 3 bench -b 8 -e 8
expect 0 5 'ranks 1 and 2 of 3 did not come'
export WIREWISE_ENV_TIMEOUT_S=20
start 1 1 bench -b 8 -e 8 -n 2
expect 0 0 ''

# What rank 0 finds wrong ends all of them, with rank 0's code.
start 2 2 bench broadcast -r 7 -b 8 -e 8
expect 0 2 'ranks are 0 to 1'
expect 1 2 ''
start 2 2 bench --versus mpi -b 8 -e 8
expect 0 2 'needs MPI'
export WIREWISE_ADDRESS=nonsense
start 2 2 bench -b 8 -e 8
expect 0 2 'write host:port'
expect 1 2 'write host:port'
exit $bad
