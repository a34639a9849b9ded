#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# watched.sh SECONDS PROGRAM [ARGUMENTS...]: a test that hangs tells where. What has not ended after
# so long has the stacks of all its threads and children printed, and is ended.
# Exit: the program's; 124 when it was ended.
set -u

limit=$1
shift
self=$$

# The processes that came from process $1, without $2 and its own.
descendants() {
    local child
    for child in $(cat "/proc/$1/task/$1/children"); do
        [ "$child" = "$2" ] && continue
        echo "$child"
        descendants "$child" "$2"
    done
}

tell() {
    local process all me=$BASHPID
    trap '' TERM
    all=$(descendants "$self" "$me")
    [ -n "$all" ] || return
    echo "watched.sh: not over after $limit s:"
    for process in $all; do
        echo "---- process $process: $(tr '\0' ' ' <"/proc/$process/cmdline" | cut -c 1-200)"
        if command -v eu-stack >/dev/null; then
            timeout 20 eu-stack -p "$process"
        else
            echo "(no eu-stack, of elfutils, to print its stacks)"
        fi
    done
    # shellcheck disable=SC2086 # one word per process
    kill -9 $all
    exit 124
} >&2

# To wait for what nobody writes takes no further process, which would have to be ended too.
exec 3<> <(:)
(read -r -t "$limit" -u 3 || tell) &
watcher=$!
"$@" 3<&-
status=$?
kill "$watcher" 2>/dev/null
wait "$watcher"
[ $? -eq 124 ] && status=124
exit "$status"
