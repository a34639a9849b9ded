/* SPDX-License-Identifier: BSD-3-Clause
 * ranks.h: the ranks of this job: those of mpirun or srun, or processes that torchrun or a script
 * started without MPI. */
#ifndef EXAMPLES_RANKS_H
#define EXAMPLES_RANKS_H

#include <stdbool.h>

#include <wirewise/wirewise.h>

/* RANK and WORLD_SIZE are set, and no launcher of MPI's started this process. */
bool ranks_without_mpi(void);

/* Starts MPI, where it is needed. */
void ranks_begin(int *argc, char ***argv);

/* Fills *world. False after a sentence on stderr. */
bool ranks_meet(struct ww_world *world);

/* The least of what all ranks bring. */
int ranks_least(const struct ww_world *world, int mine);

/* Ends all ranks at once, as well as can be: those that wait inside a call too. */
void ranks_abort(int code);

/* The last call of all. */
void ranks_end(void);

#endif
