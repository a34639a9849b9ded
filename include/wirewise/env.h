/* SPDX-License-Identifier: BSD-3-Clause
 * env.h: makes a world of processes that a launcher or a script started, without MPI.
 *
 * Each process reads from its environment who it is and where rank 0 is:
 *
 *     RANK, WORLD_SIZE           as torchrun sets them; else those of Open MPI's and MPICH's mpirun
 *                                (OMPI_COMM_WORLD_RANK, PMI_RANK ...) and of srun (SLURM_PROCID)
 *     WIREWISE_ADDRESS           "host:port" or "[v6 address]:port", where rank 0 listens; else
 *     MASTER_ADDR, MASTER_PORT   rank 0 listens on the port behind this one, MASTER_PORT + 1, as
 *                                the store of torchrun is on MASTER_PORT itself
 *     WIREWISE_JOB               any text, the same on all ranks: who comes with another one is
 *                                refused. Else TORCHELASTIC_RUN_ID, or Slurm's job and step
 *     WIREWISE_ENV_TIMEOUT_S     how long ranks wait for each other to start; else 60
 *
 * So a shell is enough:
 *
 *     for rank in 0 1 2 3; do
 *         RANK=$rank WORLD_SIZE=4 MASTER_ADDR=localhost MASTER_PORT=29500 ./trainer &
 *     done; wait
 */
#ifndef WIREWISE_ENV_H
#define WIREWISE_ENV_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the program knows better than its environment. Whatever is left as WW_ENV_INIT has it is
 * read from there. */
struct ww_env {
    size_t struct_bytes; /* sizeof(struct ww_env), set by WW_ENV_INIT */
    int rank;            /* -1 = from the environment */
    int size;            /* 0 = from the environment */
    const char *address; /* of rank 0, as in WIREWISE_ADDRESS; not needed by a world of one */
    const char *job;     /* as in WIREWISE_JOB */
    double timeout_s;    /* 0 = from the environment */
};
#define WW_ENV_INIT                                                                                \
    {                                                                                              \
        sizeof(struct ww_env), -1, 0, NULL, NULL, 0                                                \
    }

struct ww_env_world;

/* Meets the other ranks at rank 0 and fills *world. All ranks call it; it returns when all have
 * come, or at the latest after about twice the time-out. Connections stay open until
 * ww_env_world_destroy: a rank that ends early makes the next all_gather fail on every rank, in
 * words, and so does one that is ten minutes late for it.
 * Ranks on several hosts need a build with UCX: *world names its transport then, and none
 * otherwise. Rank 0 listens on the named address only, on loopback for localhost; on all of its
 * host where the name leads elsewhere, until all ranks have come. `job` keeps apart jobs that would
 * take each other for their own, and is no protection against people.
 * env      read during the call only; NULL = all from the environment
 * *made    the program's, to be destroyed after every context made from *world
 * Thread   any; all_gather is for one thread at a time, and not for a child after fork
 * Returns  WW_OK; WW_BAD_ARGUMENT (a variable or field is missing, or makes no sense);
 *          WW_TRANSPORT_FAILED (the port is taken, or rank 0 cannot be reached); WW_TIMED_OUT
 *          (ranks did not come: the sentence lists them); WW_MISMATCH (two of one rank, another
 *          size, another job); WW_PEER_FAILED; WW_NO_MEMORY. ww_last_error(NULL) tells more. */
WW_API enum ww_status ww_env_world_create(const struct ww_env *env, struct ww_env_world **made,
                                          struct ww_world *world);

/* Closes the connections. Waits for nobody. NULL is fine. */
WW_API void ww_env_world_destroy(struct ww_env_world *made);

#ifdef __cplusplus
}
#endif
#endif
