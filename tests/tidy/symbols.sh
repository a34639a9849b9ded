#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# symbols.sh LIBRARY HEADERS...: what the library shows to a program is what the headers promise:
# every WW_API function, and nothing else.
set -u
library=${1:?usage: symbols.sh LIBRARY HEADERS...}
shift
case $library in
*.a) dynamic= ;;
*) dynamic=-D ;;
esac

# shellcheck disable=SC2086 # an empty word is no argument
shown=$(nm -g --defined-only $dynamic "$library" | awk 'NF == 3 { print $3 }' | sort -u)
# A declaration may span lines: join each, then take the name before the first parenthesis.
promised=$(cat "$@" | awk '
    /^WW_API / { open = 1; text = "" }
    open { text = text " " $0 }
    open && /\(/ { sub(/\(.*/, "", text); sub(/.*[ *]/, "", text); print text; open = 0 }' |
    sort -u)
if [ -z "$promised" ]; then
    echo "symbols.sh: no WW_API function in $*" >&2
    exit 2
fi

status=0
for name in $shown; do
    if ! echo "$promised" | grep -qx "$name"; then
        echo "$library shows $name, which no public header declares"
        status=1
    fi
done
for name in $promised; do
    if ! echo "$shown" | grep -qx "$name"; then
        echo "$library lacks $name, which a public header declares"
        status=1
    fi
done
[ "$status" -eq 0 ] && echo "$library shows the $(echo "$promised" | wc -l) public functions"
exit "$status"
