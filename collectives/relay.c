/* SPDX-License-Identifier: BSD-3-Clause
 * relay.c: heaps of hosts, and of ranks in each of them. */
#include "relay.h"

#include <stdlib.h>

#include "internal/log.h"

/* So many messages leave in the time of a latency: 5 to 10 over InfiniBand, Ethernet and in a host
 * (cost.c). */
#define LATENCY_MESSAGES 8

static int above(int index, int width)
{
    return (index - 1) / width;
}

static int depth_of(int count, int width)
{
    int depth = 0;
    for (int index = count - 1; index > 0; index = above(index, width)) {
        depth++;
    }
    return depth;
}

struct relay_form relay_form(int count)
{
    struct relay_form best = {1, count - 1};
    for (int width = 2; width <= RELAY_WIDTH_MOST; width++) {
        int depth = depth_of(count, width);
        if (depth * (LATENCY_MESSAGES + width) <= best.depth * (LATENCY_MESSAGES + best.width)) {
            best = (struct relay_form){width,
                                       depth}; /* with a tie the wider one, which has less depth */
        }
    }
    return best;
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
    int hosts_width = relay_form(topology->hosts).width;
    for (int host = 0; host < topology->hosts; host++) {
        const int *ranks = by_host + first[host];
        int count = first[host + 1] - first[host];
        int width = relay_form(count).width;
        parents[ranks[0]] = host == 0 ? -1 : by_host[first[above(host, hosts_width)]];
        for (int i = 1; i < count; i++) {
            parents[ranks[i]] = ranks[above(i, width)];
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
