/* SPDX-License-Identifier: BSD-3-Clause
 * trainer.h: a rank that trains on small integers: their sums are exact, so nothing may be lost or
 * found, however they travel. */
#ifndef RUNTIME_TRAINER_H
#define RUNTIME_TRAINER_H

#include <stddef.h>

#include <wirewise/ledger.h>

#include "world.h"

/* Ends a capture. That a codec costs time, which it may do anywhere, is no surprise. */
void trainer_finish_capture(void);

#define TRAINER_TENSORS 4

/* Two matrices of unlike size that follow the codec, a small one, and a vector. */
struct trainer {
    struct ww_context *context;
    struct ww_tensor *tensors[TRAINER_TENSORS];
    float *values[TRAINER_TENSORS]; /* of the latest step: its results */
    float *sums[TRAINER_TENSORS];   /* of all results, less those taken back */
    double *given[TRAINER_TENSORS]; /* what all ranks gave, likewise */
    struct ww_report report;
    int steps;
};

/* Settings for a trainer: sums, ranks_per_host ranks on a host (0 = all share one). */
struct ww_config trainer_config(const struct ww_world *world, const char *codec,
                                int ranks_per_host);

void trainer_begin(struct trainer *trainer, const struct ww_world *world,
                   const struct ww_config *config);

/* prepare, unless NULL, is called with the context before tensors are added. */
void trainer_begin_with(struct trainer *trainer, const struct ww_world *world,
                        const struct ww_config *config,
                        void (*prepare)(struct ww_context *context));
void trainer_end(struct trainer *trainer);

size_t trainer_count(int tensor);

/* What a rank gives in a step. */
float trainer_gradient(int rank, int step, int tensor, size_t element);

/* The parts of a step, and the whole. */
void trainer_start(struct trainer *trainer, int tensor);
void trainer_finish(struct trainer *trainer);
void trainer_step(struct trainer *trainer);

/* Takes the latest step back. */
void trainer_discard(struct trainer *trainer);

/* A last step that is dense, then: everything that was given has come, exactly. */
void trainer_settle(struct trainer *trainer);

#endif
