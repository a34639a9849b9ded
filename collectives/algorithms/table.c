/* SPDX-License-Identifier: BSD-3-Clause
 * table.c: the list of algorithms. A new one is a file and a line here. Of those that cost the same
 * the earlier one is taken: those first whose last bytes are results, then those that add when the
 * last ones are there, which nothing hides. */
#include "algorithm.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

const struct algorithm *const algorithms[] = {
    &algorithm_ring,
    &algorithm_halving,
    &algorithm_scatter_gather,
    &algorithm_tree,
    &algorithm_direct,
    &algorithm_doubling,
    &algorithm_staged,
    &algorithm_viewed,
    &algorithm_fetched,
    &algorithm_coded,
    &algorithm_sparse,
    &algorithm_reduce_scatter_pairwise,
    &algorithm_reduce_scatter_ring,
    &algorithm_reduce_scatter_staged,
    &algorithm_reduce_scatter_viewed,
    &algorithm_reduce_scatter_fetched,
    &algorithm_all_gather_direct,
    &algorithm_all_gather_ring,
    &algorithm_all_gather_staged,
    &algorithm_all_gather_viewed,
    &algorithm_all_gather_fetched,
    &algorithm_broadcast_tree,
    &algorithm_broadcast_scatter,
    &algorithm_broadcast_staged,
    &algorithm_broadcast_viewed,
    &algorithm_broadcast_fetched,
    NULL,
};

const struct algorithm *algorithm_find(enum collective collective, const char *name)
{
    for (int i = 0; algorithms[i] != NULL; i++) {
        if (algorithms[i]->collective == collective && strcmp(algorithms[i]->name, name) == 0) {
            return algorithms[i];
        }
    }
    return NULL;
}

struct slice task_slice(const struct task *task, uint16_t slot, uint32_t part, uint32_t parts)
{
    return (struct slice){slot, 0, task->first + part * task->unit, parts * task->unit};
}

uint32_t parts_one(int count)
{
    (void)count;
    return 1;
}

uint32_t parts_per_rank(int count)
{
    return (uint32_t)count;
}

int task_alone(struct plan_writer *writer, const struct task *task, uint32_t parts)
{
    if (task->source == SLOT_INPUT) {
        plan_copy(writer, task->step, task_slice(task, SLOT_OUTPUT, 0, parts),
                  task_slice(task, SLOT_INPUT, 0, parts));
    }
    return task->step + 1;
}

static enum ww_status write_all_ranks(const struct algorithm *algorithm, int rank, int size,
                                      int root, const int *ranks, struct plan **plan)
{
    uint32_t parts = algorithm->parts(size);
    struct plan_writer *writer = plan_writer_create(algorithm->name, algorithm->collective, rank,
                                                    size, parts);
    if (writer == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to write a plan for %d ranks", size);
    }
    struct task task = {.ranks = ranks,
                        .count = size,
                        .me = rank,
                        .first = 0,
                        .unit = 1,
                        .source = SLOT_INPUT,
                        .finish = true,
                        .step = 0,
                        .root = root};
    algorithm->write(writer, &task);
    return plan_writer_finish(writer, plan);
}

enum ww_status plan_group(const struct algorithm *algorithm, const struct topology *topology,
                          const struct task *task, struct plan **plan)
{
    struct plan_writer *writer = plan_writer_create(algorithm->name, algorithm->collective,
                                                    topology->rank, topology->size,
                                                    algorithm->parts(task->count));
    if (writer == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to write a plan for %d ranks", task->count);
    }
    struct task whole = *task;
    whole.unit = 1;
    whole.source = SLOT_INPUT;
    algorithm->write(writer, &whole);
    return plan_writer_finish(writer, plan);
}

enum ww_status plan_flat(const struct algorithm *algorithm, int rank, int size, int root,
                         struct plan **plan)
{
    int *ranks = malloc((size_t)size * sizeof *ranks);
    if (ranks == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a list of %d ranks", size);
    }
    for (int r = 0; r < size; r++) {
        ranks[r] = r;
    }
    enum ww_status status = write_all_ranks(algorithm, rank, size, root, ranks, plan);
    free(ranks);
    return status;
}
