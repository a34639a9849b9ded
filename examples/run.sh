#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# run.sh: installs what is missing, builds, and trains a language model with 4 ranks under mpirun:
# once densely, once with the codecs that pay, on two hosts with 1 Gbit/s between them that wirewise
# imitates. Then it shows what that saved, and both losses.
#   bash examples/run.sh [options and texts of the trainer]     --help lists them
#   bash examples/run.sh --codec int8                           one run, as it is asked for (so with
#                               --local-steps, --staleness, --checkpoint and --resume)
#   RANKS=2 bash examples/run.sh                                another number of ranks
#   WIREWISE_SHAPE= bash examples/run.sh                        this machine as it is
# Exit: the trainer's (0 done, 2 usage, 4 environment, 5 communication, 6 told to go and saved), 4
# when the build fails.
set -uo pipefail

ranks=${RANKS:-4}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd) || exit 4
build=$root/build
log=$build/run.log

die() {
    echo "run.sh: $*" >&2
    exit 4
}

case $ranks in
'' | *[!0-9]* | 0*)
    echo "run.sh: RANKS=$ranks: give a whole number of 1 or more" >&2
    exit 2
    ;;
esac

sh "$root/cmake/install-packages.sh" run || exit 4

# A quiet build: its log is shown only when it fails.
echo "building in $build"
mkdir -p "$build" || die "$build cannot be made; this user needs to write to $root"
if ! { cmake -S "$root" -B "$build" &&
    cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "the build failed; all of its words are in $log"
fi
train=$build/examples/train
[ -x "$train" ] || die "the trainer was not built: OpenBLAS or MPI was not found, see $log"

# mpirun hands stderr on through a pipe, so the trainer cannot see that a terminal is there.
bar=()
if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; then
    bar=(--progress)
fi
if [ "$(id -u)" -eq 0 ]; then
    # In a container root is often the only user.
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OPENBLAS_NUM_THREADS=1
settings=${OMPI_ALLOW_RUN_AS_ROOT:+OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 }
settings+=OPENBLAS_NUM_THREADS=1

# train NAME OPTION...: shows a run and keeps its last lines in $build/NAME.txt.
train() {
    local name=$1
    shift
    mpirun --oversubscribe -n "$ranks" "$train" "${bar[@]}" "$@" </dev/null | tee "$build/$name.txt"
    return "${PIPESTATUS[0]}"
}

# again OPTION...: the line that repeats a run in any shell.
again() {
    echo "again:      $settings mpirun --oversubscribe -n $ranks $(printf '%q ' "$train" "$@")"
}
for option in "$@"; do
    case $option in
    --codec* | --local-steps* | --staleness* | --checkpoint* | --resume | --help | --usage | \
        --version | '-?')
        train run "$@" # as asked for, once
        code=$?
        [ "$code" -eq 0 ] && again "$@"
        exit "$code"
        ;;
    esac
done

# Two hosts with 1 Gbit/s between them, imitated here, so that there is something to save.
if [ "$ranks" -gt 1 ]; then
    export WIREWISE_SHAPE=${WIREWISE_SHAPE-hosts=2,rate=1gbit,latency=20us}
    settings+=" WIREWISE_SHAPE=${WIREWISE_SHAPE@Q}"
fi
export WIREWISE_RUN=${WIREWISE_RUN-example}
work=(--batch "$((2 * ranks))" --steps 150 "$@")
codecs=(--codec auto --allow "fp16,int8,topk:0.01")
ledger=${WIREWISE_LEDGER-$build/run.jsonl} # of the second run

echo "1 of 2: dense, for comparison"
WIREWISE_LEDGER='' train dense --quiet "${work[@]}" || exit
echo "2 of 2: ${codecs[*]}"
WIREWISE_LEDGER=$ledger train auto "${codecs[@]}" "${work[@]}" || exit

# last NAME: the trainer's last line about the whole run.
last() {
    grep '^held-out loss .* -> ' "$build/$1.txt"
}
echo
echo "dense: $(last dense)"
echo "auto:  $(last auto)"
awk -v dense="$(last dense)" -v auto="$(last auto)" 'BEGIN {
    pattern = "steps, [0-9.]+ s"
    match(dense, pattern); before = substr(dense, RSTART + 7, RLENGTH - 9)
    match(auto, pattern); after = substr(auto, RSTART + 7, RLENGTH - 9)
    printf "the two runs differ by %.1f s of %.0f; ", before - after, before
    print "such runs scatter by several per cent where cores are shared, so the"
    print "ledger, whose figure stands above, compares steps of one run"
}'
if [ -n "$ledger" ]; then
    echo "its report: $build/wirewise report $(printf '%q' "${ledger//%r/0}")"
fi
again "${codecs[@]}" "${work[@]}"
