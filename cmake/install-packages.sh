#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# install-packages.sh: installs what wirewise needs and this machine lacks (Debian, Ubuntu).
#   install-packages.sh run     to build the library and run the example (the default)
#   install-packages.sh test    that, and what the tests need
# Exit: 0 all there; 2 wrong use; 4 packages are missing and cannot be installed from here.
set -u

mode=${1:-run}
case $mode in
run | test) ;;
*)
    echo "install-packages.sh: '$mode' is no mode: say run or test" >&2
    exit 2
    ;;
esac

have_command() { command -v "$1" >/dev/null 2>&1; }

# What counts is that the thing is there, not who installed it.
have_header() { printf '#include <%s>\n' "$1" | cc -E -x c - >/dev/null 2>&1; }

have_library() { have_command pkg-config && pkg-config --exists "$1"; }

have_root_command() { have_command "$1" || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ]; }

missing=""
need() {
    package=$1
    shift
    "$@" || missing="$missing $package"
}

look() {
    missing=""
    need cmake have_command cmake
    need make have_command make
    need gcc have_command cc
    need libc6-dev have_header stdio.h
    need pkg-config have_command pkg-config
    need openmpi-bin have_command mpirun
    need libopenmpi-dev have_command mpicc
    need libhwloc-dev have_library hwloc
    need libjansson-dev have_library jansson
    need libopenblas-dev have_library openblas
    need libxxhash-dev have_header xxhash.h
    if [ "$mode" = test ]; then
        need g++ have_command c++
        need libcriterion-dev have_library criterion
        need libjansson-dev have_library jansson
        need libucx-dev have_library ucx
        need libsimde-dev have_header simde/x86/avx512.h
        need binutils have_command nm
        need elfutils have_command eu-stack
        need iproute2 have_root_command ip
    fi
    missing=${missing# }
}

apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# A mirror that hiccups deserves a second call, with fresh lists.
install_all() {
    # shellcheck disable=SC2086 # one word per package
    apt update && apt install -y --no-install-recommends $missing
}

look
if [ -z "$missing" ]; then
    echo "install-packages.sh: everything is there"
    exit 0
fi

by_hand="apt-get update && apt-get install -y --no-install-recommends $missing"
if ! have_command apt-get; then
    echo "install-packages.sh: missing: $missing (names of Debian's packages)." \
        "This machine has no apt-get: install them in its own way" >&2
    exit 4
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif have_command sudo && sudo -n true 2>/dev/null; then
    as_root="sudo -n"
else
    echo "install-packages.sh: missing: $missing. Only root may install them; type:" >&2
    echo "    sudo sh -c '$by_hand'" >&2
    exit 4
fi

echo "install-packages.sh: installing $missing"
if ! install_all && ! { sleep 5 && install_all; }; then
    echo "install-packages.sh: apt-get failed twice; type:" >&2
    echo "    $by_hand" >&2
    exit 4
fi
look
if [ -n "$missing" ]; then
    echo "install-packages.sh: installed, but still not usable: $missing" >&2
    exit 4
fi
