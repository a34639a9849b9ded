/* SPDX-License-Identifier: BSD-3-Clause
 * savers.h: small trainings with whole numbers, for tests of checkpoints. */
#ifndef TESTS_SAVERS_H
#define TESTS_SAVERS_H

#include <wirewise/checkpoint.h>

#include "world.h"

#define SAVER_TENSORS 3
#define SAVER_COUNT 9300 /* elements of all tensors together */

/* What a test hands to its ranks. */
struct saver_plan {
    const char *codec;
    enum ww_op op;
    double momentum;
    size_t bucket_bytes;
    int ranks_per_host; /* 0 = all share one */
    int staleness;
    bool tiny; /* gradients are times 2^-130, subnormal all of them */
};

/* One rank's training. */
struct saver {
    struct ww_context *context;
    float scale; /* of gradients */
    struct ww_tensor *tensors[SAVER_TENSORS];
    float *values; /* [SAVER_COUNT] */
    uint64_t step; /* attached as "step", common */
    struct ww_report report;
};

/* A folder of its own for a test, under $TMPDIR or /tmp; gone with everything in it. */
void folder_begin(char path[64]);
void folder_end(const char *path);
int folder_files(const char *path);

/* deterministic=plan, three tensors of which two are encoded. */
void saver_begin(struct saver *saver, const struct ww_world *world, const struct saver_plan *plan);
void saver_end(struct saver *saver);

/* A step with gradients -8 .. 8 (times what tiny says) that depend on rank, saver->step + 1 and
 * place, or with zeros; leaves the results in values and counts step on. */
void saver_step(struct saver *saver, int rank);
void saver_step_zeros(struct saver *saver);

/* Takes what is on its way; returns of how many steps. */
int saver_drain(struct saver *saver);
float saver_gradient(int rank, uint64_t step, size_t place);

#endif
