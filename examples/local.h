/* SPDX-License-Identifier: BSD-3-Clause
 * local.h: steps that send no gradients: ranks train by themselves and average what they learned.
 */
#ifndef TRAIN_LOCAL_H
#define TRAIN_LOCAL_H

#include <wirewise/outer.h>

#include "options.h"

struct local;

/* Begins; all ranks call it, and go on from rank 0's values[count], which are read and written
 * until local_destroy. NULL in *local where the options ask for no local steps. The failure's call
 * is *what. */
enum ww_status local_create(struct ww_context *context, const struct options *options,
                            float *values, size_t count, struct local **local, const char **what);
void local_destroy(struct local *local);

/* After the optimizer's step. All ranks call it; in the last one they meet.
 *
 * *loss    comes as this rank's and becomes the mean of all ranks over the steps before their
 *          latest exchange, the same on all ranks
 *
 * *report  what this step sent and took, as a step with gradients reports it */
enum ww_status local_step(struct local *local, size_t step, double *loss, struct ww_report *report,
                          const char **what);

/* Adds what local steps keep to the checkpoints of the context. Before each save, ready takes what
 * is on its way, and ranks speak of the loss: *loss is all that is left to be saved. After a load
 * resume goes on with it. All ranks call them. */
enum ww_status local_keep(struct local *local, const char **what);
enum ww_status local_ready(struct local *local, double *loss, const char **what);
enum ww_status local_resume(struct local *local, double loss, const char **what);

/* Whether ranks met in the latest step. */
bool local_met(const struct local *local);

/* One line on what was sent since the begin. Returns what snprintf does. */
size_t local_print(const struct local *local, char *text, size_t bytes);

#endif
