/* SPDX-License-Identifier: BSD-3-Clause
 * relay.c: heaps of hosts, and of ranks in each of them. */
#include "relay.h"

#include <stdlib.h>

#include "internal/log.h"

static int above(int index)
{
    return (index - 1) / RELAY_WIDTH;
}

/* The ranks of a host are by_host[first[host]] .. by_host[first[host + 1] - 1]. first has room for
 * hosts + 2, zeroes. */
static void sort_by_host(const struct topology *topology, int *first, int *by_host)
{
    for (int rank = 0; rank < topology->size; rank++) {
        first[topology->host_of[rank] + 2]++;
    }
    for (int host = 0; host < topology->hosts; host++) {
        first[host + 2] += first[host + 1];
    }
    for (int rank = 0; rank < topology->size; rank++) {
        by_host[first[topology->host_of[rank] + 1]++] = rank;
    }
}

static void find_parents(const struct topology *topology, const int *first, const int *by_host,
                         int *parents)
{
    for (int host = 0; host < topology->hosts; host++) {
        const int *ranks = by_host + first[host];
        parents[ranks[0]] = host == 0 ? -1 : by_host[first[above(host)]];
        for (int i = 1; i < first[host + 1] - first[host]; i++) {
            parents[ranks[i]] = ranks[above(i)];
        }
    }
}

static void find_below(const struct topology *topology, struct relay *relay)
{
    const int *host_of = topology->host_of;
    for (int local = 0; local < 2; local++) {
        for (int rank = 1; rank < topology->size; rank++) {
            bool shares = host_of[rank] == host_of[relay->rank];
            if (relay->parents[rank] == relay->rank && shares == (local == 1)) {
                relay->ranks_below[relay->below++] = rank;
            }
        }
    }
}

enum ww_status relay_init(const struct topology *topology, struct relay *relay)
{
    size_t size = (size_t)topology->size;
    int *first = calloc((size_t)topology->hosts + 2, sizeof *first);
    int *by_host = malloc(size * sizeof *by_host);
    *relay = (struct relay){.rank = topology->rank, .parents = malloc(size * sizeof(int))};
    enum ww_status status = WW_OK;
    if (first == NULL || by_host == NULL || relay->parents == NULL) {
        relay_finish(relay);
        status = log_failure(WW_NO_MEMORY, "no memory for the tree of %zu ranks", size);
    } else {
        sort_by_host(topology, first, by_host);
        find_parents(topology, first, by_host, relay->parents);
        relay->parent = relay->parents[relay->rank];
        find_below(topology, relay);
    }
    free(first);
    free(by_host);
    return status;
}

void relay_finish(struct relay *relay)
{
    free(relay->parents);
    relay->parents = NULL;
}

int relay_branch(const struct relay *relay, int rank)
{
    while (rank > 0 && relay->parents[rank] != relay->rank) {
        rank = relay->parents[rank];
    }
    for (int i = 0; rank > 0 && i < relay->below; i++) {
        if (relay->ranks_below[i] == rank) {
            return i;
        }
    }
    return -1;
}

int relay_depth(int count)
{
    int depth = 0;
    for (int index = count - 1; index > 0; index = above(index)) {
        depth++;
    }
    return depth;
}
