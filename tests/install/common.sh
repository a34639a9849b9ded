# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# common.sh: what both install tests need; sourced by them. The facts come from CMakeLists.txt.
set -eu
: "${SOURCE:?run me by ctest}" "${BUILD:?}" "${CMAKE:?}" "${CC:?}" "${VERSION:?}"
here=$SOURCE/tests/install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Runs quietly; shows what was said only when it went wrong.
quietly() {
    if ! "$@" >"$work/said" 2>&1; then
        cat "$work/said" >&2
        fail "$*"
    fi
}

# Open MPI refuses root unless it is told twice that this is meant.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# The first ```c block of the README: what newcomers copy must compile, as C and as C++.
readme_example() {
    awk '/^```c$/ && !done { on = 1; next }
         /^```/ { if (on) { done = 1 } on = 0 }
         on' "$SOURCE/README.md" >"$1"
    [ -s "$1" ] || fail "README.md has no \`\`\`c block: it shall show how to embed the library"
}

run_alone() {
    quietly timeout 60 "$@"
}

run_under_mpi() {
    run_alone "$@"
    quietly timeout 60 "$MPIRUN" --oversubscribe -n 2 "$@"
}
