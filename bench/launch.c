/* SPDX-License-Identifier: BSD-3-Clause
 * launch.c: reads what launchers leave in the environment of the ranks they start. */
#include "launch.h"

#include <stdlib.h>

/* Only variables that a started rank has: SLURM_PROCID, for one, is also set in the batch script
 * around the ranks, where nobody waits for MPI_Init. */
static const struct {
    const char *rank;
    const char *size; /* NULL = this launcher does not tell */
} launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    {"PMI_RANK", "PMI_SIZE"},
    {"PMIX_RANK", NULL},
};

/* The rank among those of its host; torchrun's name comes first, as people set it by hand, too. */
static const char *const locals[] = {"LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                     "SLURM_LOCALID"};

static bool is_set(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL && *text != '\0';
}

static int number(const char *variable)
{
    const char *text = variable != NULL ? getenv(variable) : NULL;
    return text != NULL ? atoi(text) : 0;
}

static int local_rank(void)
{
    for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
        if (is_set(locals[i]) && number(locals[i]) >= 0) {
            return number(locals[i]);
        }
    }
    return -1;
}

/* torchrun, and whoever sets the same by hand. */
static bool is_launched_by_env(void)
{
    return is_set("RANK") && is_set("WORLD_SIZE");
}

/* srun gives its tasks a number, but no way to MPI where it was not asked for one: each would
 * measure itself alone, unless it is told where rank 0 is. SLURM_STEP_NUM_TASKS is there for srun's
 * tasks only. */
static struct launch launch_of_srun(void)
{
    int size = number("SLURM_STEP_NUM_TASKS");
    if (size > 1 && getenv("SLURM_PROCID") != NULL) {
        bool env = is_set("WIREWISE_ADDRESS") || is_set("MASTER_ADDR");
        return (struct launch){true, number("SLURM_PROCID"), size, local_rank(), env, !env};
    }
    return (struct launch){false, 0, 1, -1, false, false};
}

struct launch launch_read(void)
{
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        if (getenv(launchers[i].rank) != NULL) {
            return (struct launch){
                true, number(launchers[i].rank), number(launchers[i].size), local_rank(), false,
                false};
        }
    }
    if (is_launched_by_env()) {
        return (struct launch){true,         number("RANK"), number("WORLD_SIZE"),
                               local_rank(), true,           false};
    }
    return launch_of_srun();
}
