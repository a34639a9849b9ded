#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# check_files.sh WIREWISE: files that cannot be written are a sentence and exit code 5, found before
# the run where that is possible; a file that is there stays whole, and nothing else is left behind.
set -u
wirewise=$1
bad=0
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

complain()
{
    echo "FAILED: $1"
    bad=1
}

# fails WORD ROWS ARGUMENT...: exit code 5, WORD on stderr, and the table has rows or not.
fails()
{
    word=$1
    rows=$2
    shift 2
    "$wirewise" bench -b 8 -e 8 -n 2 "$@" >"$folder.out" 2>"$folder.err"
    code=$?
    [ "$code" -eq 5 ] || complain "exit code $code, expected 5: $*"
    grep -q -- "$word" "$folder.err" || complain "'$word' is missing in: $(cat "$folder.err")"
    printed=$(grep -c '^ ' "$folder.out")
    [ "$printed" -eq "$rows" ] || complain "$printed rows, expected $rows: $*"
    rm -f "$folder.out" "$folder.err"
}

fails 'No such file or directory' 0 -J "$folder/none/a.json"
fails 'No such file or directory' 0 --csv "$folder/none/a.csv"
fails 'Is a directory' 0 --plot "$folder"
for flag in -J --csv --plot --cluster-file; do
    fails 'No space left' 1 $flag /dev/full
done

# A limit on the size of files stands for a full disk; the old file must survive.
for flag in -J --csv --plot; do
    echo old >"$folder/kept"
    said=$(ulimit -f 1
           "$wirewise" bench -b 1 -e 4K -f 2 -n 2 $flag "$folder/kept" 2>&1 >/dev/null)
    code=$?
    [ "$code" -eq 5 ] || complain "exit code $code, expected 5, for a file that is too large"
    case $said in
    *"$flag $folder/kept"*"File too large"*) ;;
    *) complain "no sentence about the file that is too large: $said" ;;
    esac
    [ "$(cat "$folder/kept")" = old ] || complain "$flag: the old file is gone"
    [ "$(ls "$folder")" = kept ] || complain "$flag leaves something behind: $(ls "$folder")"
done

# A table that nobody can keep is no success either.
for line in '-b 8 -e 8 -n 2' '--overhead -n 10'; do
    "$wirewise" bench $line >/dev/full 2>"$folder/err"
    code=$?
    [ "$code" -eq 5 ] || complain "$line: exit code $code, expected 5, for a table on a full disk"
    grep -q 'No space left' "$folder/err" || complain "$line: no sentence about the full disk"
    "$wirewise" bench $line >&- 2>"$folder/err"
    code=$?
    [ "$code" -eq 5 ] || complain "$line: exit code $code, expected 5, for a table put nowhere"
    grep -q 'Bad file descriptor' "$folder/err" || complain "$line: no sentence about no output"
done

for command in bench plan report wires; do
    for flag in --help --usage; do
        "$wirewise" $command $flag >/dev/full 2>"$folder/err"
        code=$?
        [ "$code" -eq 5 ] || complain "$command $flag: exit code $code, expected 5, on a full disk"
        grep -q 'No space left' "$folder/err" || complain "$command $flag: no sentence about it"
    done
done

# A link stays a link, and the program's own output is written where it stands.
ln -s "$folder/kept" "$folder/link"
"$wirewise" bench -b 8 -e 8 -n 2 -J "$folder/link" >/dev/null || complain "a link is refused"
[ -L "$folder/link" ] && grep -q wirewise.bench "$folder/kept" ||
    complain "the link was replaced, or its target not written"
"$wirewise" bench -b 8 -e 8 -n 2 --csv /dev/stdout >"$folder/both" || complain "stdout is refused"
grep -q '^# Avg bus bandwidth' "$folder/both" && grep -q '^wirewise.bench/1,' "$folder/both" ||
    complain "the table or the CSV is missing on standard output"

exit $bad
