/* SPDX-License-Identifier: BSD-3-Clause
 * agree.c: whether all ranks came to the same conclusion, and if not, who did not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/vote.h"
#include "topology.h"

struct conclusion {
    uint64_t hash;
    char summary[TOPOLOGY_SUMMARY_BYTES];
};

static const char *host_of(const struct topology *topology, int rank)
{
    return topology->host_of == NULL ? "of a host not known yet"
                                     : topology->host_name[topology->host_of[rank]];
}

enum ww_status topology_all_well(const struct ww_world *world, const struct topology *topology,
                                 enum ww_status own, int32_t *votes)
{
    int32_t mine = own;
    bool is_local = own != WW_OK && own != WW_TRANSPORT_FAILED && own != WW_PEER_FAILED &&
                    own != WW_TIMED_OUT;
    if (is_local) {
        log_hold_error(); /* the world may have ended with it; of other ranks it knows more */
    }
    enum ww_status gathered = world_gather(world, &mine, votes, sizeof mine);
    if (is_local) {
        log_release_error();
    }
    enum ww_status status = own == WW_OK ? gathered : own;
    for (int rank = 0; status == WW_OK && rank < world->size; rank++) {
        if (votes[rank] != WW_OK) {
            status = log_failure(WW_PEER_FAILED, "rank %d (%s) could not make its context: %s",
                                 rank, host_of(topology, rank),
                                 ww_status_text((enum ww_status)votes[rank]));
        }
    }
    return status;
}

static void tell_difference(const struct topology *topology, const struct conclusion *all,
                            const char *what, int odd, int usual)
{
    log_warn("rank %d (%s) and rank %d (%s) differ in %s: \"%s\" / \"%s\"; all ranks fall back",
             odd, host_of(topology, odd), usual, host_of(topology, usual), what, all[odd].summary,
             all[usual].summary);
}

enum ww_status topology_agree(const struct ww_world *world, const struct topology *topology,
                              const char *what, uint64_t hash, const char *summary, int32_t *votes,
                              bool *same)
{
    struct conclusion own = {.hash = hash};
    struct conclusion *all = calloc((size_t)world->size, sizeof *all);
    enum ww_status status = WW_OK;
    if (all == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", world->size);
    }
    snprintf(own.summary, sizeof own.summary, "%s", summary);
    status = topology_all_well(world, topology, status, votes);
    if (status == WW_OK) {
        status = world_gather(world, &own, all, sizeof own);
    }
    if (status == WW_OK) {
        int usual;
        int odd = vote_odd_one(&all->hash, world->size, sizeof *all, sizeof all->hash, &usual);
        *same = odd < 0;
        if (odd >= 0 && world->rank == 0) {
            tell_difference(topology, all, what, odd, usual);
        }
    }
    free(all);
    return status;
}
