/* SPDX-License-Identifier: BSD-3-Clause
 * world.h: the ways to get ranks: threads of this process, the processes of an MPI job, or
 * processes that the environment tells who they are. */
#ifndef BENCH_WORLD_H
#define BENCH_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/wirewise.h>

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

/* NULL, or why MPI_Allreduce cannot do this. Needs no MPI_Init. */
const char *mpi_refuses(enum ww_type type, enum ww_op op, size_t count);

/* MPI_Allreduce in place, on MPI_COMM_WORLD. True = done. Only for what mpi_refuses accepts. */
bool mpi_all_reduce(void *values, size_t count, enum ww_type type, enum ww_op op);

#endif
