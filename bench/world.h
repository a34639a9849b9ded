/* SPDX-License-Identifier: BSD-3-Clause
 * world.h: the ways to get ranks: threads of this process, the processes of an MPI job, or
 * processes that the environment tells who they are. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include "cases.h"

#define WORLD_SIZE_MAX 4096 /* ranks that the bench has room for */

/* What one rank does; called once per rank, on its thread. Returns an exit_code. */
typedef int rank_body(const struct ww_world *world, void *argument);

/* Runs body on `size` threads (1 .. 1024). Returns the greatest exit code of all. */
int world_of_threads(int size, rank_body *body, void *argument);

/* Initialises MPI, runs body as this process's rank of MPI_COMM_WORLD, finalises MPI.
 * Returns the greatest exit code of all ranks; EXIT_ABSENT, after a sentence, in a build without
 * MPI. */
int world_of_mpi(rank_body *body, void *argument);

/* Meets the ranks that RANK, WORLD_SIZE and their kin tell of, runs body as this process's one.
 * Returns the greatest exit code of all ranks; EXIT_USAGE or EXIT_FAILED, after a sentence, where
 * they did not meet. */
int world_of_env(rank_body *body, void *argument);

/* Ends all ranks at once, also those that wait inside a call. */
void world_abort(int code) __attribute__((noreturn));

/* The MPI in use, "Open MPI v4.1.4"; "none" in a build without. */
const char *mpi_name(void);

/* NULL, or why MPI's function cannot do this: "has no average; ...". Needs no MPI_Init. */
const char *mpi_refuses(const struct collective *collective, enum ww_type type, enum ww_op op,
                        size_t count);

/* MPI's function for that outcome, in place in call->output, on MPI_COMM_WORLD: all lies there as
 * for the library, but a reduced share comes to the beginning. True = done. Only for what
 * mpi_refuses accepts. */
bool mpi_run(enum outcome outcome, const struct call *call);

#endif
