#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_expect.sh COMMAND...: --expect-busbw. COMMAND measures 64K with two ranks or more. What
# was not reached is a sentence with size, measured and expected, and exit code 3; wrong results
# outweigh it.
set -u
bad=0
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT

# expects EXIT SENTENCES ARGUMENT...: the command line is COMMAND ARGUMENT...
command="$*"
expects()
{
    expected=$1
    sentences=$2
    shift 2
    # shellcheck disable=SC2086 # one word per argument
    printed=$($command -b 64K -e 64K "$@" 2>"$errors")
    code=$?
    if [ "$code" -ne "$expected" ]; then
        echo "exit code $code, expected $expected: $*"
        bad=1
    fi
    said=$(grep '^wirewise bench: at 65536 bytes all_reduce reached [0-9.e+-]* GB/s' "$errors" |
           grep -c 'less than the 1e+05 GB/s')
    if [ "$said" -ne "$sentences" ]; then
        echo "$said sentences, expected $sentences: $(cat "$errors")"
        bad=1
    fi
    given=$(printf '%s\n' "$*" | grep -o -e '--expect-busbw' | wc -l)
    lines=$(printf '%s\n' "$printed" | grep '^# Expected at 65536 B: at least .* measured ' |
            grep -c 'met$\|NOT MET$')
    if [ "$lines" -ne "$given" ]; then
        echo "$lines lines about $given expectations"
        bad=1
    fi
}

expects 0 0 --expect-busbw 64K:0.000001
expects 3 1 --expect-busbw 64K:100000
expects 3 1 --expect-busbw 64K:0.000001 --expect-busbw 65536:100000
expects 1 1 --expect-busbw 64K:100000 --corrupt

exit $bad
