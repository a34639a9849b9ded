/* SPDX-License-Identifier: BSD-3-Clause
 * memory_costs.c: takes apart what passes over memory took into costs of single bytes. */
#include "memory.h"

#include <stdlib.h>

#include "internal/log.h"

/* The slowest rank of a host counts, as the others wait for it. */
struct host {
    int ranks;
    struct memory_record most;
};

static void take_larger(double *most, double value)
{
    *most = value > *most ? value : *most;
}

static void add_rank(struct host *host, const struct memory_record *record)
{
    struct memory_record *most = &host->most;
    host->ranks++;
    take_larger(&most->await_s, record->await_s);
    take_larger(&most->copy_byte_s, record->copy_byte_s);
    take_larger(&most->sum_byte_s, record->sum_byte_s);
    take_larger(&most->staged_near_byte_s, record->staged_near_byte_s);
    take_larger(&most->staged_far_byte_s, record->staged_far_byte_s);
    take_larger(&most->alone_far_byte_s, record->alone_far_byte_s);
    take_larger(&most->fetch_s, record->fetch_s);
    take_larger(&most->fetch_byte_s, record->fetch_byte_s);
}

/* Where ranks share cores, each waits for its turn: of what takes longer than a turn, its own work
 * took less. Copies and sums of a block are shorter than that. */
static double on_core(const struct host *host, int cores, double wall_s)
{
    return cores > 0 && cores < host->ranks ? wall_s * cores / host->ranks : wall_s;
}

static double host_await(const struct host *host, int cores)
{
    (void)cores;
    return host->most.await_s;
}

static double host_copy(const struct host *host, int cores)
{
    (void)cores;
    return host->most.copy_byte_s;
}

static double host_sum(const struct host *host, int cores)
{
    (void)cores;
    return host->most.sum_byte_s;
}

/* What is nothing, or less by the noise of others, is little: no access is a gift. */
static double at_least_little(const struct host *host, double value)
{
    double little = 0.05 * host->most.copy_byte_s;
    return value > little ? value : little;
}

/* Of V bytes on R ranks, each copies (R - 1) / R V in and out and adds up V bytes of sources. Four
 * times it touches (R - 1) / R V that a peer wrote last: as it copies in, adds, writes the sum to
 * the peers, and copies out. What the copies and the adding do not explain, that explains. */
static double host_far(const struct host *host, int cores)
{
    const struct memory_record *most = &host->most;
    if (!(most->staged_near_byte_s > 0) || host->ranks < 2) {
        return 0;
    }
    double others = (double)(host->ranks - 1) / host->ranks;
    double all = on_core(host, cores, most->staged_near_byte_s);
    double rest = all - 2 * others * most->copy_byte_s - most->sum_byte_s;
    return at_least_little(host, rest / (4 * others));
}

/* Each byte of the vector is read once and written once. */
static double host_ram(const struct host *host, int cores)
{
    const struct memory_record *most = &host->most;
    if (most->staged_far_byte_s > 0) {
        double more = most->staged_far_byte_s - most->staged_near_byte_s;
        return at_least_little(host, on_core(host, cores, more) / 2);
    }
    if (most->alone_far_byte_s > 0) {
        double all = on_core(host, cores, most->alone_far_byte_s);
        return at_least_little(host, (all - 2 * most->sum_byte_s) / 2);
    }
    return 0;
}

static double host_fetch(const struct host *host, int cores)
{
    (void)cores;
    return host->most.fetch_s;
}

static double host_fetch_byte(const struct host *host, int cores)
{
    (void)cores;
    return host->most.fetch_byte_s;
}

/* Hosts, and room for one number of each. */
struct hosts {
    int count;
    int cores;
    struct host *host; /* [count] */
    double *list;      /* [count] */
};

/* The host in the middle; what nobody measured stays. Returns whether somebody did. */
static bool settle(const struct hosts *hosts, double (*part)(const struct host *, int),
                   double *cost)
{
    int count = 0;
    for (int i = 0; i < hosts->count; i++) {
        double value = part(&hosts->host[i], hosts->cores);
        if (value > 0) {
            hosts->list[count++] = value;
        }
    }
    if (count > 0) {
        *cost = fit_median(hosts->list, count);
    }
    return count > 0;
}

enum ww_status memory_costs(const struct topology *topology, const struct memory_record *records,
                            int cores, struct memory_cost *costs)
{
    size_t count = (size_t)topology->hosts;
    struct hosts hosts = {.count = topology->hosts, .cores = cores};
    hosts.host = calloc(count, sizeof *hosts.host);
    hosts.list = calloc(count, sizeof *hosts.list);
    enum ww_status status = WW_OK;
    if (hosts.host == NULL || hosts.list == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for %d hosts", topology->hosts);
        goto free_hosts;
    }
    for (int rank = 0; rank < topology->size; rank++) {
        add_rank(&hosts.host[topology->host_of[rank]], &records[rank]);
    }
    bool measured = settle(&hosts, host_copy, &costs->copy_byte_s);
    measured = settle(&hosts, host_sum, &costs->sum_byte_s) && measured;
    settle(&hosts, host_await, &costs->await_s);
    settle(&hosts, host_far, &costs->far_byte_s);
    settle(&hosts, host_ram, &costs->ram_byte_s);
    settle(&hosts, host_fetch, &costs->fetch_s);
    settle(&hosts, host_fetch_byte, &costs->fetch_byte_s);
    if (measured) {
        costs->source = COST_MEASURED;
    }
free_hosts:
    free(hosts.list);
    free(hosts.host);
    return status;
}
