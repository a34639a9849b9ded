#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# self_test.sh: plants one breach after the other in a small clean tree and expects rules.sh to
# name exactly that one. A rule that never complains is no rule.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(mktemp -d) || exit 2
results=$(mktemp) || exit 2
trap 'rm -rf "$top" "$results"' EXIT

# A file, because a pipe's end runs in a shell of its own, which forgets what it counted.
judged() { echo "$1" >>"$results"; }

write() { # write PATH: the file's text is on stdin; an SPDX line is put in front
    mkdir -p "$top/$(dirname "$1")"
    { echo "/* SPDX-License-Identifier: BSD-3-Clause */" && cat; } >"$top/$1"
}

include() { printf '#include %s\n' "$@"; }

clean_tree() {
    rm -rf "${top:?}"/*
    for header in include/wirewise/wirewise.h include/wirewise/mpi.h include/internal/log.h \
        include/internal/clock.h topology/topology.h topology/links.h collectives/collectives.h \
        collectives/plan.h runtime/context.h runtime/transport/local.h bench/command.h; do
        echo "struct nothing;" | write "$header"
    done
    write runtime/step.c <<'END'
#include "context.h"

#include <stdio.h>

#include <wirewise/wirewise.h>

#include "internal/clock.h"

#include "collectives.h"
#include "topology.h"

/* return and goto may stand in a comment, getenv( and nanosleep( as well. */
#define SQUARE(x) ((x) * (x)) /* return */
#define TEXT "goto return"
#define returned 1
#if defined(__x86_64__)
static const char *step(void)
{
    return "usleep(3); \" getenv(x)"; // time(NULL)
}
#endif
END
    write runtime/transport/mpi.c <<'END'
#include <mpi.h>

#include <wirewise/mpi.h>

#include "internal/log.h"
END
    echo 'int cfg(void) { return getenv("A") != 0; }' | write runtime/config.c
    include '<mpi.h>' '<wirewise/mpi.h>' '"command.h"' | write bench/a.c
    printf '#include <time.h>\nlong now(void) { return time(NULL); }\n' | write tests/unit/t.c
}

# expect RULE PATH: the text on stdin, planted as PATH, breaks RULE and no other.
expect() {
    clean_tree
    write "$2"
    said=$(sh "$here/rules.sh" "$top")
    status=$?
    rules=$(echo "$said" | sed -n 's/.*: \[\([a-z]*\)\] .*/\1/p' | sort -u)
    if [ "$status" -ne 1 ] || [ "$rules" != "$1" ]; then
        echo "planted in $2: expected rule '$1' and exit 1, got exit $status and:"
        echo "$said"
        judged wrong
    else
        judged right
    fi
}

clean_tree
if said=$(sh "$here/rules.sh" "$top"); then
    judged right
else
    echo "a clean tree is said to be broken:"
    echo "$said"
    judged wrong
fi

# 13: nothing points upward.
include '"plan.h"' | expect upward topology/a.c
include '"collectives.h"' | expect upward topology/a.c
include '"context.h"' | expect upward collectives/a.c
include '"../runtime/context.h"' | expect unknown collectives/algorithms/a.c
include '"topology.h"' | expect upward runtime/base/a.c
include '"topology.h"' | expect upward runtime/transport/a.c
include '"local.h"' | expect upward runtime/base/a.c
include '<internal/log.h>' | expect upward include/wirewise/a.h
include '"internal/log.h"' | expect upward bench/b.c
include '<internal/log.h>' | expect upward examples/b.c
include '"topology.h"' | expect upward bench/b.c
include '"plan.h"' | expect door runtime/a.c
include '"links.h"' | expect door collectives/a.c
include '"nowhere.h"' | expect unknown runtime/a.c
include '"topology.h"' '<stdio.h>' '"collectives.h"' '<stdlib.h>' | expect order runtime/a.c
include '"context.h"' '"topology.h"' '<wirewise/wirewise.h>' | expect order runtime/a.c

# 12: one vendor header, one file.
include '<mpi.h>' | expect vendor runtime/a.c
include '<mpi.h>' | expect vendor runtime/transport/local.c
include '<wirewise/mpi.h>' | expect vendor runtime/a.c
include '<mpi.h>' | expect vendor include/wirewise/wirewise.h
include '<hwloc.h>' | expect vendor topology/a.c
include '<nccl.h>' | expect vendor runtime/transport/local.c
include '<ucp/api/ucp.h>' | expect vendor runtime/transport/local.c
include '<mpi.h>' '<nccl.h>' | expect vendor runtime/transport/mpi.c
printf 'int a(void)\n{\n#ifdef __linux__\n    return 1;\n#endif\n}\n' | expect ifdef runtime/a.c

# 6: no macro leaves a function.
echo '#define CHECK(x) if (!(x)) return -1' | expect macro runtime/a.c
printf '#define CHECK(x) \\\n    do { \\\n        if (!(x)) { goto out; } \\\n    } while (0)\n' |
    expect macro tests/unit/base/a.c
printf '  # define OUT return;\n' | expect macro bench/b.h

# 10: time, chance and the environment.
for call in 'clock_gettime(0, 0)' 'nanosleep(0, 0)' 'usleep(1)' 'gettimeofday(0, 0)' 'time(0)' \
    'MPI_Wtime()' '__rdtsc()' 'clock_sleep_ns(1)'; do
    echo "long a(void) { return $call; }" | expect clock runtime/step.c
done
echo 'long a(void) { return clock_now_ns(); }' | expect clock collectives/a.c
echo 'void *a(void) { return getenv("A"); }' | expect getenv runtime/context.c
echo 'int a(void) { return rand(); }' | expect chance collectives/a.c

# Every file.
printf '/* %0100d */\n' 0 | expect width runtime/a.c
clean_tree
printf 'int a;\n' >"$top/runtime/bare.c"
printf '#!/bin/sh\ntrue\n' >"$top/tests/bare.sh"
said=$(sh "$here/rules.sh" "$top")
for bare in 'runtime/bare.c:1' 'tests/bare.sh:2'; do
    if echo "$said" | grep -q "$bare: \[spdx\]"; then
        judged right
    else
        echo "$bare has no SPDX line and passes"
        judged wrong
    fi
done

right=$(grep -c right "$results")
all=$(wc -l <"$results")
echo "$right of $all planted trees were judged right"
[ "$right" -eq "$all" ] && [ "$all" -ge 38 ]
