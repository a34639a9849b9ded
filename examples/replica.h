/* SPDX-License-Identifier: BSD-3-Clause
 * replica.h: one rank's copy of the model, kept equal to the others' through wirewise. */
#ifndef TRAIN_REPLICA_H
#define TRAIN_REPLICA_H

#include <wirewise/checkpoint.h>
#include <wirewise/ledger.h>
#include <wirewise/wirewise.h>

#include "options.h"
#include "text.h"

struct replica;

/* Makes the copy and gives every rank the parameters that rank 0 draws. All ranks call it.
 * options, text   borrowed until replica_destroy
 * Returns  EXIT_DONE, or after a sentence on stderr EXIT_ENVIRONMENT or EXIT_COMMUNICATION. Then
 *          the other ranks may be left waiting: end the job. */
enum exit_code replica_create(const struct options *options, const struct text *text,
                              const struct ww_world *world, struct replica **replica);
void replica_destroy(struct replica *replica);

/* Parameters of the model. */
size_t replica_parameter_count(const struct replica *replica);

/* One training step on the batch's samples that belong to this rank. All ranks call it.
 * step    1 for the first; chooses the samples
 * *loss   the mean over the global batch, before the parameters move, same bits on all ranks; with
 *         --staleness of the step report->version, or of this one while that is 0; with local steps
 *         that of the steps before the latest exchange
 * Returns as replica_create. */
enum exit_code replica_step(struct replica *replica, size_t step, double *loss,
                            struct ww_report *report);

/* Applies the gradients of the oldest step that are still on their way, with --staleness. All ranks
 * call it, until report->version, which tells whose they are, is 0: nothing was.
 * *loss   of that step, as by replica_step */
enum exit_code replica_drain(struct replica *replica, double *loss, struct ww_report *report);

/* The mean loss over windows of the held-out text, which the ranks share. All ranks call it. */
enum exit_code replica_held_out(struct replica *replica, double *loss);

/* The local steps; NULL where gradients travel. */
struct local;
const struct local *replica_local(const struct replica *replica);

/* What all steps sent, cost and saved, on this rank. */
enum exit_code replica_ledger(const struct replica *replica, struct ww_ledger *ledger);

/* Saves everything that the training is behind `step`: parameters, optimizer, and what the library
 * keeps. With --staleness nothing may be on its way any more; with local steps what is gets taken.
 * All ranks call it. */
enum exit_code replica_save(struct replica *replica, size_t step);

/* Takes the newest checkpoint over; *step becomes that of its last step, 0 where there is none. All
 * ranks call it.
 * *refused  it is of another model, optimizer, seed, batch or kind of steps, as all ranks find
 *           alike: nobody is left waiting. Returns EXIT_ENVIRONMENT then */
enum exit_code replica_resume(struct replica *replica, size_t *step, bool *refused);

/* Whether any rank was told to go; SIGTERM and SIGUSR1 are watched where there are checkpoints. */
enum exit_code replica_preempted(struct replica *replica, bool *any);

/* Whether ranks met in the latest step, so that asking them costs little: not in most local ones.
 */
bool replica_met(const struct replica *replica);

/* A hash of all parameters: equal ones have the same. */
uint64_t replica_fingerprint(const struct replica *replica);

#endif
