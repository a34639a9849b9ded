#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# outer.sh: a C++ project takes the sources in by add_subdirectory and gets the two libraries, and
# none of our tests, examples or install rules.
# shellcheck source=tests/install/common.sh
. "$(dirname "$0")/common.sh"

if [ -z "${CXX:-}" ]; then
    echo "SKIPPED: no C++ compiler here"
    exit 77
fi
cp "$here/alone.c" "$work/alone.cpp"
cp "$here/outer/CMakeLists.txt" "$work/"
set --
if [ -e "$BUILD/collectives/cuda_reduce.cu.o" ]; then # they take a minute, and are the same
    set -- -DWIREWISE_CUDA_OBJECTS_FROM="$BUILD" -DWIREWISE_NCCL=OFF # CUDA does without NCCL
fi
quietly "$CMAKE" -S "$work" -B "$work/build" -DWIREWISE_SOURCE="$SOURCE" \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-flto "$@" # Debug is the quickest to compile
quietly "$CMAKE" -S "$work" -B "$work/plain" -DWIREWISE_SOURCE="$SOURCE" \
    -DCMAKE_C_FLAGS=-ffast-math "$@"
grep -q '^CMAKE_BUILD_TYPE:STRING=$' "$work/plain/CMakeCache.txt" || fail "theirs is our build type"
grep -q -e '-O2 .*/context\.c' "$work/plain/compile_commands.json" ||
    fail "where they have no build type our sources are not optimised"
compile=$(sed -n 's/^ *"command": "\(.*\) -o .*\/scalar\.c",$/\1/p' \
    "$work/plain/compile_commands.json")
(eval "quietly $compile -dM -E -x c -o $work/macros /dev/null")
grep -q '__FINITE_MATH_ONLY__ 0' "$work/macros" || fail "their -ffast-math leaves our NaNs out"
if "$CC" -m32 -c -x c -o "$work/narrow.o" /dev/null 2>"$work/said"; then
    if "$CMAKE" -S "$work" -B "$work/narrow" -DWIREWISE_SOURCE="$SOURCE" -DCMAKE_C_FLAGS=-m32 \
        -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY >"$work/said" 2>&1; then
        fail "a machine of 32 bits was taken"
    fi
    grep -q 'needs a machine of 64 bits' "$work/said" || fail "not said: $(cat "$work/said")"
fi
quietly "$CMAKE" --build "$work/build" --target alone_wirewise alone_static -j 2
for library in wirewise static; do
    run_alone "$work/build/alone_$library" "$VERSION"
done
if nm -g --defined-only "$work/build/wirewise/libwirewise.a" | awk 'NF == 3 { print $3 }' |
    grep -v '^ww_'; then
    fail "with -flto libwirewise.a shows these inner names"
fi
(cd "$work/build" && ctest -N) | grep -q 'Total Tests: 0' || fail "our tests became theirs"
[ ! -e "$work/build/wirewise-config.cmake" ] || fail "our install rules became theirs"

# Where packagers put the two folders, the command looks for the library where it lies.
looks_in() { # looks_in RPATH BINDIR LIBDIR
    quietly "$CMAKE" -S "$SOURCE" -B "$work/folders" -DCMAKE_INSTALL_PREFIX=/opt/pack \
        -DCMAKE_INSTALL_BINDIR="$2" -DCMAKE_INSTALL_LIBDIR="$3" -DWIREWISE_TESTS=OFF
    grep -qF "NEW_RPATH \"$1\"" "$work/folders/bench/cmake_install.cmake" ||
        fail "commands in $2 do not look for libraries in $3"
}
looks_in '\$ORIGIN/../lib64' bin lib64
looks_in '\$ORIGIN/../../lib' libexec/tools lib
looks_in /usr/lib64 bin /usr/lib64
looks_in /opt/pack/lib /usr/bin lib

echo "a C++ project took the sources in, shared and static"
