#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# check_progress.sh WIREWISE: the line that tells what is under way is shown on a terminal only, and
# erased before anything else is printed. Exit 77 without the command that makes a terminal.
set -u
wirewise=$1
bad=0
complain() {
    echo "FAILED: $1"
    bad=1
}
if ! script -V 2>/dev/null | grep -q util-linux; then
    echo "SKIPPED: no script(1) of util-linux to make a terminal; apt-get install bsdutils"
    exit 77
fi

on_terminal() {
    TERM=$1 script -qec "$wirewise bench -t 2 -b 8 -e 64 -f 8 -n 2" /dev/null </dev/null
}
eraser=$'\r\e[K'
shown=$(on_terminal xterm)
[[ $shown == *"${eraser}wirewise bench: 0 of 4: all_reduce float sum of 8 bytes"* ]] ||
    complain "no progress on a terminal"
ways=$(TERM=xterm script -qec "$wirewise bench -t 2 -b 8 -e 64 -f 8 -n 2 --predict" /dev/null \
    </dev/null)
[[ $ways == *"wirewise bench: 5 of 6: 64 bytes in every way"* ]] ||
    complain "ways are beyond the end of what is under way"
# What stands on the lines once every eraser has done its work.
left=$(printf '%s' "$shown" | sed $'s/.*\r\e\\[K//')
[[ $left != *"wirewise bench:"* ]] || complain "a progress line was not erased: $left"
[ "$(printf '%s' "$left" | grep -c $'^ .*float.*\r$')" = 2 ] || complain "rows are damaged: $left"

[[ $(on_terminal dumb) != *$'\e'* ]] || complain "a terminal that cannot erase is written to"
[[ $("$wirewise" bench -t 2 -b 8 -e 64 -f 8 -n 2 2>&1) != *$'\e'* ]] ||
    complain "progress in a pipe"
exit $bad
