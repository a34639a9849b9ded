#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# tree.sh: installs the build, moves the tree to a path with a blank, and lives there as strangers
# do: C and C++, CMake and pkg-config, shared and static.
# shellcheck source=tests/install/common.sh
. "$(dirname "$0")/common.sh"

first="$work/first place"
prefix="$work/second place"
quietly "$CMAKE" --install "$BUILD" --prefix "$first" --config "${CONFIG:-RelWithDebInfo}"
mv "$first" "$prefix"
if grep -rlE "first place|$BUILD" "$prefix/$LIBDIR/cmake" "$prefix/$LIBDIR/pkgconfig"; then
    fail "these files name a folder that strangers do not have"
fi

# ---- What lies there -----------------------------------------------------------------------------

for file in "$LIBDIR/libwirewise.a" "$LIBDIR/libwirewise.so.$VERSION" include/wirewise/wirewise.h \
    "$LIBDIR/pkgconfig/wirewise.pc" bin/wirewise; do
    [ -e "$prefix/$file" ] || fail "$file was not installed"
done
[ ! -e "$prefix/include/internal" ] || fail "private headers were installed"
soname=$(objdump -p "$prefix/$LIBDIR/libwirewise.so" | awk '$1 == "SONAME" { print $2 }')
compatible=${VERSION%%.*}
[ "$compatible" -gt 0 ] || compatible=${VERSION%.*}
[ "$soname" = "libwirewise.so.$compatible" ] || fail "the soname is '$soname'"
[ -e "$prefix/$LIBDIR/$soname" ] || fail "$soname is not there"
"$prefix/bin/wirewise" --version | grep -qF "$VERSION" || fail "wirewise --version: not $VERSION"
if [ "$HAVE_MPI" != ON ] && [ -e "$prefix/include/wirewise/mpi.h" ]; then
    fail "wirewise/mpi.h was installed by a build without MPI"
fi

for header in "$prefix"/include/wirewise/*.h; do
    name=wirewise/${header##*/}
    # shellcheck disable=SC2086 # a list of -isystem FOLDER
    echo "#include <$name>" | quietly "$CC" -std=c11 -pedantic -Wall -Wextra -Werror \
        -fsyntax-only -I"$prefix/include" ${MPI_INCLUDES:-} -x c -
    if [ -n "${CXX:-}" ]; then
        # shellcheck disable=SC2086
        echo "#include <$name>" | quietly "$CXX" -std=c++17 -pedantic -Wall -Wextra -Werror \
            -fsyntax-only -I"$prefix/include" ${MPI_INCLUDES:-} -x c++ -
    fi
done
echo "the tree is whole, and each header compiles alone"

# ---- Strangers with CMake ------------------------------------------------------------------------

export LD_LIBRARY_PATH="$prefix/$LIBDIR${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export PKG_CONFIG_PATH="$prefix/$LIBDIR/pkgconfig"

prepare() { # prepare FOLDER ENDING
    mkdir -p "$1"
    cp "$here/foreign/CMakeLists.txt" "$1/"
    cp "$here/alone.c" "$1/alone.$2"
    if [ "$HAVE_MPI" = ON ]; then
        readme_example "$1/readme.$2"
    fi
}

by_cmake() { # by_cmake LANGUAGE FOLDER
    quietly "$CMAKE" -S "$2" -B "$2/build" -DLANGUAGE="$1" -DCMAKE_PREFIX_PATH="$prefix" \
        "-DCMAKE_$1_FLAGS=-Wall -Wextra -pedantic -Werror"
    quietly "$CMAKE" --build "$2/build"
    for library in wirewise static; do
        run_alone "$2/build/alone_$library" "$VERSION"
        if [ "$HAVE_MPI" = ON ]; then
            run_under_mpi "$2/build/readme_$library"
        fi
    done
    echo "$1 by find_package: built and run, shared and static"
}

# ---- Strangers with pkg-config -------------------------------------------------------------------

# pkg-config quotes for a shell, so a shell must read its words.
compile() { # compile COMPILER FLAGS SOURCE PROGRAM PKG-CONFIG-OPTIONS
    # shellcheck disable=SC2086 # an empty word is no option
    words=$(pkg-config --cflags --libs $5 wirewise) || fail "pkg-config does not know wirewise"
    if [ "$5" = --static ]; then
        words=$(echo "$words" | sed 's/-lwirewise/-l:libwirewise.a/')
    fi
    eval "quietly $1 $2 \"\$3\" -o \"\$4\" $words"
}

by_pkg_config() { # by_pkg_config COMPILER FLAGS MPI-COMPILER FOLDER ENDING
    [ "$(pkg-config --modversion wirewise)" = "$VERSION" ] || fail "pkg-config has another version"
    for static in "" --static; do
        compile "$1" "$2" "$4/alone.$5" "$4/alone$static" "$static"
        run_alone "$4/alone$static" "$VERSION"
        if [ "$HAVE_MPI" = ON ] && [ -n "$3" ]; then
            compile "$3" "$2" "$4/readme.$5" "$4/readme$static" "$static"
            run_under_mpi "$4/readme$static"
        fi
    done
    echo ".$5 by pkg-config: built and run, shared and static"
}

prepare "$work/in c" c
by_cmake C "$work/in c"
if command -v pkg-config >/dev/null; then
    by_pkg_config "$CC" "-std=c11 -Wall -Wextra -Werror" "${MPICC:-}" "$work/in c" c
else
    echo "SKIPPED: no pkg-config here"
fi

if [ -z "${CXX:-}" ]; then
    echo "SKIPPED: no C++ compiler here"
    exit 0
fi
prepare "$work/in c++" cpp
by_cmake CXX "$work/in c++"
if command -v pkg-config >/dev/null; then
    # Open MPI's own C++ classes, gone from the standard since 2012, do not compile cleanly.
    flags="-std=c++17 -Wall -Wextra -Wold-style-cast -Werror -DOMPI_SKIP_MPICXX"
    by_pkg_config "$CXX" "$flags" "${MPICXX:-}" "$work/in c++" cpp
fi
