/* SPDX-License-Identifier: BSD-3-Clause
 * cases.c: the tables of collectives, types and operations. */
#include "cases.h"

#include <string.h>

static struct shape shape_whole(size_t bytes, size_t type_bytes, int size)
{
    (void)size;
    size_t count = bytes / type_bytes;
    return (struct shape){count, count, count};
}

/* nccl-tests cuts a rank's share down to whole 16 bytes: so small sizes become 0. */
static size_t share(size_t bytes, size_t type_bytes, int size)
{
    size_t unit = 16 / type_bytes;
    return bytes / type_bytes / (size_t)size / unit * unit;
}

static struct shape shape_scattered(size_t bytes, size_t type_bytes, int size)
{
    size_t count = share(bytes, type_bytes, size);
    return (struct shape){count, count * (size_t)size, count};
}

static struct shape shape_gathered(size_t bytes, size_t type_bytes, int size)
{
    size_t count = share(bytes, type_bytes, size);
    return (struct shape){count, count, count * (size_t)size};
}

static double factor_both_ways(int size)
{
    return 2.0 * (size - 1) / size;
}

static double factor_one_way(int size)
{
    return (double)(size - 1) / size;
}

/* A rank alone moves nothing. */
static double factor_one(int size)
{
    return size > 1 ? 1.0 : 0.0;
}

static enum ww_status run_all_reduce(struct ww_context *context, const struct call *call)
{
    return ww_all_reduce(context, call->input, call->output, call->count, call->type, call->op);
}

static enum ww_status run_reduce_scatter(struct ww_context *context, const struct call *call)
{
    return ww_reduce_scatter(context, call->input, call->output, call->count, call->type, call->op);
}

static enum ww_status run_all_gather(struct ww_context *context, const struct call *call)
{
    return ww_all_gather(context, call->input, call->output, call->count, call->type);
}

/* ww_broadcast knows one buffer only: out of place, the root's copy into it counts as well. */
static enum ww_status run_broadcast(struct ww_context *context, const struct call *call)
{
    if (call->input != call->output && call->count > 0 && ww_rank(context) == call->root) {
        memcpy(call->output, call->input, call->count * ww_type_bytes(call->type));
    }
    return ww_broadcast(context, call->output, call->count, call->type, call->root);
}

const struct collective collectives[] = {
    {"all_reduce", "MPI_Allreduce", OUTCOME_REDUCED, true, false, false, false, shape_whole,
     factor_both_ways, run_all_reduce},
    {"reduce_scatter", "MPI_Reduce_scatter_block", OUTCOME_REDUCED_SHARE, true, false, false, true,
     shape_scattered, factor_one_way, run_reduce_scatter},
    {"all_gather", "MPI_Allgather", OUTCOME_GATHERED, false, false, true, false, shape_gathered,
     factor_one_way, run_all_gather},
    {"broadcast", "MPI_Bcast", OUTCOME_COPIED, false, true, false, false, shape_whole, factor_one,
     run_broadcast},
};
const size_t collective_count = sizeof(collectives) / sizeof(collectives[0]);

const struct type_name type_names[WW_TYPE_COUNT] = {
    {"float", WW_F32},     {"double", WW_F64}, {"half", WW_F16},
    {"bfloat16", WW_BF16}, {"int32", WW_I32},  {"int64", WW_I64},
};

const struct op_name op_names[WW_OP_COUNT] = {
    {"sum", WW_SUM},
    {"avg", WW_MEAN},
    {"min", WW_MIN},
    {"max", WW_MAX},
};

bool type_is_integer(enum ww_type type)
{
    return type == WW_I32 || type == WW_I64;
}
