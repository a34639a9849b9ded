/* SPDX-License-Identifier: BSD-3-Clause
 * cluster.c: makes topologies and engines by hand and advances whoever a message touched. */
#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)
/* Everybody looks at the clock so often, touched or not. */
#define TICK_NS (NS_PER_S / 20)
/* Where memory is seen, somebody looks at it so often. */
#define LOOK_NS (NS_PER_S / 100000)

static void *demand(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory for the cluster\n");
        abort();
    }
    return memory;
}

static void demand_ok(enum ww_status status, const char *what)
{
    if (status != WW_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, ww_status_name(status), log_last_error());
        abort();
    }
}

/* ---- Topology ------------------------------------------------------------------------------ */

/* Hosts of so many ranks each, nothing else. */
static void make_topology(struct topology *topology, int rank, int size, int per_host)
{
    uint64_t *labels = demand(malloc((size_t)size * LEVEL_NETWORK * sizeof(*labels)));
    char(*names)[HOST_NAME_BYTES] = demand(calloc((size_t)size, sizeof(*names)));
    memset(labels, 0xff, (size_t)size * LEVEL_NETWORK * sizeof(*labels));
    for (int peer = 0; peer < size; peer++) {
        int host = peer / per_host;
        labels[LEVEL_HOST * size + peer] = (uint64_t)host;
        snprintf(names[host], HOST_NAME_BYTES, "node%d", host);
    }
    demand_ok(topology_make(topology, rank, size, labels, (const char(*)[HOST_NAME_BYTES])names,
                            level_cost_usual),
              "topology");
    free(names);
    free(labels);
}

/* ---- Cluster ------------------------------------------------------------------------------- */

static void keep_sentence(void *self, enum ww_log_level level, const char *line)
{
    struct cluster *cluster = self;
    if (cluster->current < 0 || (level != WW_LOG_ERROR && level != WW_LOG_WARN)) {
        return;
    }
    struct member *member = &cluster->members[cluster->current];
    char *kept = level == WW_LOG_ERROR ? member->sentence : member->warning;
    if (kept[0] == '\0') {
        snprintf(kept, LOG_SENTENCE_BYTES, "%s", line);
    }
}

struct cluster_options cluster_options(int size, uint64_t seed)
{
    return (struct cluster_options){
        .sim = sim_options(size, seed), .ranks_per_host = 4, .timeout_s = 10.0};
}

static void make_member(struct cluster *cluster, int rank)
{
    struct member *member = &cluster->members[rank];
    make_topology(&member->topology, rank, cluster->size, cluster->options.ranks_per_host);
    struct ww_world world;
    sim_world(cluster->sim, rank, &world);
    const struct ww_transport *transport = cluster->options.bare ? &sim_transport_bare
                                                                 : &sim_transport;
    member->topology.hierarchy.seen = cluster->options.seen;
    member->topology.cache_bytes = cluster->options.cache_bytes;
    struct ww_transport_setup open = {.struct_bytes = sizeof(open),
                                      .world = &world,
                                      .levels = member->topology.levels,
                                      .host_levels = member->topology.host_levels,
                                      .peer_level = member->topology.peer_level,
                                      .area_bytes = engine_area_bytes(0)};
    struct engine_setup setup = {.transport = cluster->options.seen ? &sim_transport_seen
                                                                    : transport,
                                 .topology = &member->topology,
                                 .kernels = &cluster->kernels,
                                 .timeout_s = cluster->options.timeout_s,
                                 .warn_s = cluster->options.timeout_s / 2};
    demand_ok(setup.transport->open(&open, &setup.fabric), "open");
    demand_ok(engine_create(&setup, &member->engine), "engine_create");
}

struct cluster *cluster_create(const struct cluster_options *options)
{
    struct cluster *cluster = demand(calloc(1, sizeof(*cluster)));
    cluster->options = *options;
    cluster->size = options->sim.size;
    cluster->chance = options->sim.seed;
    cluster->current = -1;
    cluster->sim = demand(sim_create(&options->sim));
    cluster->members = demand(calloc((size_t)cluster->size, sizeof(*cluster->members)));
    kernels_init(&cluster->kernels);
    for (int rank = 0; rank < cluster->size; rank++) {
        make_member(cluster, rank);
    }
    log_set_sink(keep_sentence, cluster, 1);
    return cluster;
}

void cluster_destroy(struct cluster *cluster)
{
    log_set_sink(NULL, NULL, 0);
    for (int rank = 0; rank < cluster->size; rank++) {
        engine_destroy(cluster->members[rank].engine, cluster->members[rank].status != WW_OK);
        topology_finish(&cluster->members[rank].topology);
    }
    sim_destroy(cluster->sim);
    free(cluster->members);
    free(cluster);
}

/* ---- The loop ------------------------------------------------------------------------------ */

static bool is_pending(const struct cluster *cluster, int rank)
{
    return cluster->members[rank].status == WW_PENDING && !sim_is_dead(cluster->sim, rank);
}

static void start_next(struct cluster *cluster, int rank)
{
    struct member *member = &cluster->members[rank];
    while (member->status == WW_PENDING && member->next < cluster->programme_length &&
           engine_has_room(member->engine)) {
        exercise_start(&cluster->programme[member->next++], rank);
    }
}

static void advance(struct cluster *cluster, int rank)
{
    struct member *member = &cluster->members[rank];
    if (!is_pending(cluster, rank)) {
        return;
    }
    enum ww_status status;
    int started;
    do {
        start_next(cluster, rank);
        started = member->next;
        cluster->current = rank;
        status = engine_advance(member->engine, sim_now_ns(cluster->sim));
        cluster->current = -1;
        if (status >= WW_OK && member->next < cluster->programme_length) {
            start_next(cluster, rank);
            status = WW_PENDING;
        }
    } while (status == WW_PENDING && member->next > started);
    member->status = status;
    if (status != WW_PENDING) {
        member->ended_ns = sim_now_ns(cluster->sim);
    }
}

/* Whoever looks at memory sees it at once, so chance is in who looks, and when. */
static void advance_some(struct cluster *cluster)
{
    for (int i = 0; i < cluster->size; i++) {
        cluster->chance = cluster->chance * UINT64_C(6364136223846793005) + 1442695040888963407;
        advance(cluster, (int)((cluster->chance >> 33) % (uint64_t)cluster->size));
    }
}

static int advance_all(struct cluster *cluster)
{
    int pending = 0;
    if (cluster->options.seen) {
        advance_some(cluster);
    }
    for (int rank = 0; rank < cluster->size && !cluster->options.seen; rank++) {
        advance(cluster, rank);
    }
    for (int rank = 0; rank < cluster->size; rank++) {
        pending += is_pending(cluster, rank);
    }
    return pending;
}

/* Advances those whom one message touched; returns how many of them ended with it. */
static int advance_touched(struct cluster *cluster, const int *ranks, int count)
{
    int ended = 0;
    for (int i = 0; i < count; i++) {
        if (is_pending(cluster, ranks[i])) {
            advance(cluster, ranks[i]);
            ended += !is_pending(cluster, ranks[i]);
        }
    }
    return ended;
}

bool cluster_run(struct cluster *cluster, double limit_s)
{
    uint64_t limit_ns = sim_now_ns(cluster->sim) + (uint64_t)(limit_s * (double)NS_PER_S);
    uint64_t every_ns = cluster->options.seen ? LOOK_NS : TICK_NS;
    uint64_t tick_ns = sim_now_ns(cluster->sim) + every_ns;
    int pending = advance_all(cluster);
    while (pending > 0 && sim_now_ns(cluster->sim) < limit_ns) {
        int touched[2];
        int count = sim_deliver(cluster->sim, tick_ns, touched);
        if (count > 0) {
            pending -= advance_touched(cluster, touched, count);
        } else {
            tick_ns += every_ns;
            pending = advance_all(cluster);
        }
    }
    return pending == 0;
}

void cluster_schedule(struct cluster *cluster, struct exercise *programme, int length)
{
    cluster->programme = programme;
    cluster->programme_length = length;
    for (int rank = 0; rank < cluster->size; rank++) {
        cluster->members[rank].next = 0;
        cluster->members[rank].status = WW_PENDING;
    }
}

void cluster_bytes(const struct cluster *cluster, uint64_t *sent, uint64_t *planned)
{
    *sent = 0;
    *planned = 0;
    for (int rank = 0; rank < cluster->size; rank++) {
        uint64_t plans[WW_LEVELS_MAX];
        struct ww_traffic traffic[WW_LEVELS_MAX];
        engine_counters(cluster->members[rank].engine, plans, traffic);
        for (int level = 0; level < cluster->members[rank].topology.levels; level++) {
            *sent += traffic[level].data_bytes;
            *planned += plans[level];
        }
    }
}
