/* SPDX-License-Identifier: BSD-3-Clause
 * check_mpi_calls.c: what --versus lets MPI do is what the library does: each collective leaves the
 * same result, a reduced share at the beginning. Run by mpirun. */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "pattern.h"
#include "world.h"

#define MOST ((size_t)4096)

/* One rank's call. */
struct trial {
    const struct collective *collective;
    struct call call;
    struct pattern pattern;
    int rank;
};

static int try(struct trial *trial, size_t bytes)
{
    struct call *call = &trial->call;
    const struct collective *collective = trial->collective;
    if (mpi_refuses(collective, call->type, call->op, bytes) != NULL) {
        return 0;
    }
    size_t type_bytes = ww_type_bytes(call->type);
    struct shape shape = collective->shape(bytes, type_bytes, trial->pattern.size);
    size_t first = collective->input_is_share ? (size_t)trial->rank * shape.count : 0;
    call->count = shape.count;
    memset(call->output, 0xa5, MOST);
    pattern_fill(&trial->pattern, trial->rank, 0, shape.input_count,
                 (char *)call->output + first * type_bytes);
    bool done = mpi_run(collective->outcome, call);
    size_t wrong = pattern_wrong(&trial->pattern, collective->outcome, trial->rank, call,
                                 call->output);
    if (!done || wrong > 0) {
        fprintf(stderr, "FAILED: %s, type %d, op %d, %zu elements on rank %d: %zu are wrong\n",
                collective->mpi_function, (int)call->type, (int)call->op, call->count, trial->rank,
                wrong);
        return 1;
    }
    return 0;
}

static int run_rank(const struct ww_world *world, void *argument)
{
    (void)argument;
    static _Alignas(16) char memory[MOST];
    int failures = 0;
    for (int i = 0; i < (int)collective_count * WW_TYPE_COUNT * WW_OP_COUNT; i++) {
        enum ww_op op = (enum ww_op)(i % WW_OP_COUNT);
        enum ww_type type = (enum ww_type)(i / WW_OP_COUNT % WW_TYPE_COUNT);
        struct trial trial = {
            .collective = &collectives[i / WW_OP_COUNT / WW_TYPE_COUNT],
            .call = {.output = memory, .type = type, .op = op, .root = world->size - 1},
            .pattern = {type, op, world->size, (uint64_t)i},
            .rank = world->rank,
        };
        failures += try(&trial, 0) + try(&trial, 1000) + try(&trial, MOST);
    }
    return failures > 0 ? EXIT_WRONG : EXIT_FINE;
}

int main(void)
{
    return world_of_mpi(run_rank, NULL);
}
