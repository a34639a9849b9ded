#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# run.sh: installs what is missing, builds, and trains a language model with 4 ranks under mpirun.
#   bash examples/run.sh [options and texts of the trainer]     --help lists them
#   RANKS=2 bash examples/run.sh                                another number of ranks
# Exit: the trainer's (0 done, 2 usage, 4 environment, 5 communication), 4 when the build fails.
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

mpirun --oversubscribe -n "$ranks" "$train" "${bar[@]}" "$@" </dev/null
code=$?
if [ "$code" -eq 0 ]; then
    echo "trainer: $train   library: $build/libwirewise.so   its code: $root/examples/replica.c"
    echo "again:   mpirun --oversubscribe -n $ranks $train $*"
fi
exit "$code"
