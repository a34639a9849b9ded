/* SPDX-License-Identifier: BSD-3-Clause
 * sweep.c: types, operations, sizes; the innermost loop is that of the sizes. */
#include "sweep.h"

/* The size after `bytes`, or 0 when it would not fit into a size_t. */
static size_t next_size(const struct options *options, size_t bytes)
{
    size_t factor = (size_t)options->step_factor;
    if (factor > 1) {
        return bytes > SIZE_MAX / factor ? 0 : bytes * factor;
    }
    return bytes > SIZE_MAX - options->step_bytes ? 0 : bytes + options->step_bytes;
}

static struct job make_job(const struct options *options, size_t bytes,
                           const struct type_name *type, const struct op_name *op, int size)
{
    const struct collective *collective = options->collective;
    size_t type_bytes = ww_type_bytes(type->type);
    struct job job = {.type = type->type, .op = op->op, .asked_bytes = bytes};
    job.shape = collective->shape(bytes, type_bytes, size);
    size_t widest = job.shape.input_count > job.shape.output_count ? job.shape.input_count
                                                                   : job.shape.output_count;
    job.bytes = widest * type_bytes;
    job.subject = (struct subject){job.bytes, job.shape.count, type->name,
                                   collective->has_op ? op->name : "none",
                                   collective->has_root ? options->root : -1};
    return job;
}

static void sweep_sizes(const struct options *options, const struct type_name *type,
                        const struct op_name *op, int size, sweep_visit *visit, void *self)
{
    if (options->collective->has_op && op->op == WW_MEAN && type_is_integer(type->type)) {
        return; /* of "all" types and operations, the pair that does not exist */
    }
    for (size_t bytes = options->bytes_min; bytes != 0 && bytes <= options->bytes_max;
         bytes = next_size(options, bytes)) {
        struct job job = make_job(options, bytes, type, op, size);
        visit(self, &job);
    }
}

void sweep(const struct options *options, int size, sweep_visit *visit, void *self)
{
    int op_count = options->collective->has_op ? options->op_count : 1;
    for (int i = 0; i < options->type_count; i++) {
        for (int j = 0; j < op_count; j++) {
            sweep_sizes(options, &options->types[i], &options->ops[j], size, visit, self);
        }
    }
}

static size_t greater(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void add_needs(void *self, const struct job *job)
{
    struct sweep_needs *needs = self;
    size_t input_bytes = job->shape.input_count * ww_type_bytes(job->type);
    needs->jobs++;
    needs->input_bytes = greater(needs->input_bytes, input_bytes);
    needs->widest_bytes = greater(needs->widest_bytes, job->bytes);
}

struct sweep_needs sweep_needs(const struct options *options, int size)
{
    struct sweep_needs needs = {0};
    sweep(options, size, add_needs, &needs);
    return needs;
}

bool sweep_has_size(const struct options *options, size_t bytes)
{
    if (bytes < options->bytes_min || bytes > options->bytes_max) {
        return false;
    }
    if (options->step_factor == 1) {
        return (bytes - options->bytes_min) % options->step_bytes == 0;
    }
    size_t size = options->bytes_min;
    while (size != 0 && size < bytes) {
        size = next_size(options, size);
    }
    return size == bytes;
}
