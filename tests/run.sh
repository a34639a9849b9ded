#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# run.sh [--quick | --all]: the main job. Installs what is missing, builds, and passes every test:
# the whole suite, then a build without any optional component. --all runs them under sanitizers,
# too, as CI does: twice the time. --quick stops after the first part and leaves out what takes
# minutes.
# Folders: build/ (yours to use), build-bare/, build-asan/, build-tsan/. Exit 1 when a test failed.
set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

extent=usual
case "${1:-}" in
"") ;;
--quick) extent=quick ;;
--all) extent=all ;;
*)
    echo "usage: tests/run.sh [--quick | --all]" >&2
    exit 2
    ;;
esac

# Every rank of a test is a process or thread of its own: more jobs than cores help nobody.
cores=$(nproc)
jobs=$((cores < 8 ? cores : 8))

# Open MPI refuses root unless it is told twice that this is meant.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# What tests measure is not for this user's later jobs.
export WIREWISE_CALIBRATION_FILE=none

names=()
seconds=()
verdicts=()
skipped=()
failed=()

# section NAME FUNCTION: runs it, times it, remembers how it went.
section() {
    local begin=$SECONDS
    echo
    echo "==== $1"
    if "$2"; then
        verdicts+=(passed)
    else
        verdicts+=(FAILED)
    fi
    names+=("$1")
    seconds+=($((SECONDS - begin)))
}

# configure_and_build FOLDER TARGET OPTIONS...
configure_and_build() {
    local folder=$1 target=$2
    shift 2
    cmake -S . -B "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo "$@" || return 1
    cmake --build "$folder" -j "$jobs" --target "$target" || return 1
}

# The tests that ctest lists after this headline, one a line.
listed_after() {
    sed -n "/^The following tests $1:/,/^\$/s/^[[:space:]]*[0-9]* - //p" "$2"
}

# run_tests FOLDER CTEST-OPTIONS...
run_tests() {
    local folder=$1 log=$1/ctest.log status line
    shift
    ctest --test-dir "$folder" -j "$jobs" --output-on-failure --no-tests=error --timeout 300 \
        "$@" 2>&1 | tee "$log"
    status=$?
    while read -r line; do skipped+=("$folder: $line"); done < <(listed_after "did not run" "$log")
    while read -r line; do failed+=("$folder: $line"); done < <(listed_after FAILED "$log")
    return "$status"
}

no_fabrics=(-DWIREWISE_MPI=OFF -DWIREWISE_UCX=OFF -DWIREWISE_EXAMPLES=OFF)
# With assertions; more optimisation takes more than twice as long to compile, and what sanitizers
# add makes the compiler warn of what is not there.
checked=(-DCMAKE_BUILD_TYPE=None)
for language in C CXX; do
    checked+=(-DCMAKE_${language}_FLAGS="-O1 -g1 -Wno-maybe-uninitialized -Wno-format-truncation")
done
# Kernels for GPUs know no sanitizer: those of the first part serve.
made_kernels=(-DWIREWISE_CUDA_OBJECTS_FROM="$PWD/build")
# What the first part has judged already, whatever the build, ...
seen_already='^(tidy|install|long)$'
# ... and whatever components there are: plans, and what becomes of them on thousands of ranks.
seen_without='^(tidy|install|long|plans|sim)$'

packages() {
    bash cmake/install-packages.sh test
}

whole_suite() {
    configure_and_build build all || return 1
    if [ "$extent" = quick ]; then
        run_tests build -LE '^long$'
    else
        run_tests build
    fi
}

# Plain chars have no sign in it, as on ARM.
bare_build() {
    configure_and_build build-bare all "${no_fabrics[@]}" -DWIREWISE_CUDA=OFF -DWIREWISE_NCCL=OFF \
        -DWIREWISE_HWLOC=OFF -DWIREWISE_JANSSON=OFF -DWIREWISE_XXHASH=OFF \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-funsigned-char &&
        run_tests build-bare -LE "$seen_without"
}

address_and_undefined() {
    configure_and_build build-asan all "${no_fabrics[@]}" "${checked[@]}" "${made_kernels[@]}" \
        -DWIREWISE_SANITIZE=address,undefined &&
        ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1 \
            run_tests build-asan -LE "$seen_already"
}

# gcc's ThreadSanitizer cannot place its shadow where the kernel scatters addresses too widely; a
# process may ask for less. Prints the words to put in front of a program, or fails.
thread_sanitizer_prefix() {
    local probe=build-tsan/probe prefix
    mkdir -p build-tsan
    echo 'int main(void) { return 0; }' | cc -fsanitize=thread -x c - -o "$probe" || return 1
    for prefix in "" "setarch -R"; do
        if $prefix "$probe" >/dev/null 2>&1; then
            echo "$prefix"
            return 0
        fi
    done
    return 1
}

thread_sanitizer() {
    local prefix
    if ! prefix=$(thread_sanitizer_prefix); then
        echo "SKIPPED: ThreadSanitizer does not run on this machine"
        skipped+=("build-tsan: everything (ThreadSanitizer does not run on this machine)")
        return 0
    fi
    configure_and_build build-tsan threads_tests "${no_fabrics[@]}" "${checked[@]}" \
        "${made_kernels[@]}" -DWIREWISE_SANITIZE=thread || return 1
    # Programs inherit the wish for fewer address bits from the shell that starts ctest.
    if [ -n "$prefix" ]; then
        ctest() { setarch -R ctest "$@"; }
    fi
    TSAN_OPTIONS=halt_on_error=1 run_tests build-tsan -L '^threads$' -LE '^long$'
    local status=$?
    unset -f ctest
    return "$status"
}

summary() {
    local i status=0
    echo
    echo "==== summary"
    for i in "${!names[@]}"; do
        printf '%-8s %4d s  %s\n' "${verdicts[i]}" "${seconds[i]}" "${names[i]}"
        [ "${verdicts[i]}" = passed ] || status=1
    done
    for i in "${skipped[@]+"${skipped[@]}"}"; do echo "skipped   $i"; done
    for i in "${failed[@]+"${failed[@]}"}"; do echo "failed    $i"; done
    printf 'all in %d s\n' "$SECONDS"
    return "$status"
}

section "packages" packages
if [ "${verdicts[0]}" != passed ]; then
    summary
    exit 1
fi
section "the whole suite" whole_suite
if [ "$extent" != quick ]; then
    section "without optional components, optimised" bare_build
fi
if [ "$extent" = all ]; then
    section "address and undefined-behaviour sanitizers" address_and_undefined
    section "thread sanitizer" thread_sanitizer
fi
summary
