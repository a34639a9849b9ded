#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_manual.sh WIREWISE MANUAL: the manual page has every flag of `wirewise bench --help` and
# `wirewise report --help`, and no formatter that is here has anything against it.
set -u
wirewise=$1
manual=$2
bad=0
flags=$({ "$wirewise" bench --help && "$wirewise" report --help; } |
        grep -o -e ' -[a-zA-Z],' -e '--[a-z_-]*[a-z]' | tr -d ' ,' | sort -u)
[ "$(echo "$flags" | wc -l)" -gt 30 ] || { echo "FAILED: only these flags: $flags"; bad=1; }
for flag in $flags; do
    if ! sed 's/\\-/-/g' "$manual" | grep -q -e "$flag\([^a-z_-]\|$\)"; then
        echo "FAILED: $flag is not in $manual"
        bad=1
    fi
done
for code in 0 1 2 3 4 5 10 11 12 13 14 15; do
    grep -q "^\.B $code\$" "$manual" || { echo "FAILED: exit status $code is missing"; bad=1; }
done
if command -v mandoc >/dev/null 2>&1; then
    mandoc -T lint -W warning "$manual" || bad=1
fi
if command -v groff >/dev/null 2>&1; then
    said=$(groff -man -Tutf8 -ww "$manual" 2>&1 >/dev/null)
    [ -z "$said" ] || { echo "FAILED: $said"; bad=1; }
fi
exit $bad
