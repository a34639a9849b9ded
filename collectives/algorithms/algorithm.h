/* SPDX-License-Identifier: BSD-3-Clause
 * algorithm.h: what an algorithm is: a name and a function that writes one rank's plan. Adding
 * one is a file here and a line in table.c. */
#ifndef ALGORITHMS_ALGORITHM_H
#define ALGORITHMS_ALGORITHM_H

#include "plan.h"
#include "topology.h"

/* A group of ranks that works on a range of chunks: chunks first .. first + unit * parts - 1,
 * where parts is what the algorithm asked for and unit the chunks that make one of its parts. */
struct task {
    const int *ranks; /* [count], ordered; everybody in the group passes the same */
    int count;
    int me; /* own index in ranks */
    uint32_t first;
    uint32_t unit;
    uint16_t source; /* slot that holds the own contribution: SLOT_INPUT or SLOT_OUTPUT */
    bool finish;     /* the sum is complete after this task */
    int step;        /* first step to use */
    int root;        /* broadcast: index in ranks */
};

/* Parts `part` .. part + parts - 1 of a task, in a slot. */
struct slice task_slice(const struct task *task, uint16_t slot, uint32_t part, uint32_t parts);

/* A group of one: moves the own contribution to the output where it is not there yet, and returns
 * the next free step. */
int task_alone(struct plan_writer *writer, const struct task *task, uint32_t parts);

/* The two common answers of an algorithm's `parts`. */
uint32_t parts_one(int count);
uint32_t parts_per_rank(int count);

/* What a plan needs beside messages. */
enum needs {
    NEEDS_MESSAGES, /* nothing */
    NEEDS_SCRATCH,  /* ranks that see each other's scratch */
    NEEDS_VIEW,     /* ... and the callers' buffers */
    NEEDS_FETCH     /* ... or can copy from them: all copies from peers' buffers are plain ones */
};

struct algorithm {
    const char *name;
    const char *about; /* one line */
    enum collective collective;
    enum needs needs;

    /* Vectors travel encoded: it runs with a codec only. */
    bool coded;

    /* Sums every element in one place, at once: 16-bit types are rounded once. */
    bool one_rounding;

    /* Parts that a group of `count` ranks divides its range into, >= 1. */
    uint32_t (*parts)(int count);

    /* Writes this rank's actions; all ranks of the group use the same steps. Returns the first
     * step that is free afterwards, equal on all ranks of the group. */
    int (*write)(struct plan_writer *writer, const struct task *task);
};

extern const struct algorithm algorithm_direct, algorithm_doubling, algorithm_halving,
    algorithm_ring, algorithm_tree, algorithm_scatter_gather;
extern const struct algorithm algorithm_coded, algorithm_sparse;
extern const struct algorithm algorithm_reduce_scatter_pairwise, algorithm_reduce_scatter_ring;
extern const struct algorithm algorithm_all_gather_direct, algorithm_all_gather_ring;
extern const struct algorithm algorithm_broadcast_tree, algorithm_broadcast_scatter;

extern const struct algorithm algorithm_staged, algorithm_viewed, algorithm_fetched;
extern const struct algorithm algorithm_reduce_scatter_staged, algorithm_reduce_scatter_viewed,
    algorithm_reduce_scatter_fetched;
extern const struct algorithm algorithm_all_gather_staged, algorithm_all_gather_viewed,
    algorithm_all_gather_fetched;
extern const struct algorithm algorithm_broadcast_staged, algorithm_broadcast_viewed,
    algorithm_broadcast_fetched;

/* All of them, all-reduce first, ended by NULL. */
extern const struct algorithm *const algorithms[];

/* By collective and name; NULL when there is none. */
const struct algorithm *algorithm_find(enum collective collective, const char *name);

/* Writes a flat plan: one group of all ranks. root counts for a broadcast only.
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status plan_flat(const struct algorithm *algorithm, int rank, int size, int root,
                         struct plan **plan);

/* The same for task->count ranks of the topology, who hold as much of the sum as they reduce: task
 * names ranks, count, me and finish; a mean divides by all ranks of the topology. */
enum ww_status plan_group(const struct algorithm *algorithm, const struct topology *topology,
                          const struct task *task, struct plan **plan);

/* Writes an all-reduce over nested groups: reduce-scatter inside, level by level outwards, `top`
 * among the owners of each shard across the outermost groups, all-gather back inwards. Groups may
 * differ in size. The name becomes "hierarchical+<top>".
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status plan_hierarchical(const struct algorithm *top, const struct hierarchy *hierarchy,
                                 int rank, struct plan **plan);

#endif
