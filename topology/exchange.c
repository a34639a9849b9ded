/* SPDX-License-Identifier: BSD-3-Clause
 * exchange.c: every rank says who and where it is; out come hosts, levels and the first check
 * that all ranks want the same. Four rounds:
 *
 *     memory     whether it has room to hear the others
 *     identity   version, settings, names, and how to reach this rank's beacon
 *     place      whose beacons it reached, which CPUs it has, where its host stands
 *     shape      what its host has to offer, told by the host's lowest rank
 *
 * A rank that lacks memory behind the first still takes part in those to come, so that nobody waits
 * for it. */
#include <assert.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "internal/log.h"
#include "internal/vote.h"
#include "line.h"
#include "place.h"
#include "shape.h"
#include "topology.h"
#include "units.h"

#define SYSFS "/sys"
#define DIFFERENCES_MOST 4 /* shapes that are told apart in words */

struct exchange {
    const struct ww_world *world;
    const struct topology_setup *setup;
    struct topology *topology;
    struct identity *identities;  /* [size] */
    struct place *places;         /* [size] */
    struct machine_shape *shapes; /* [size] */
    uint64_t *labels;             /* [LEVEL_NETWORK * size] */
    struct crowds crowds;
    char verdict[SHAPE_VERDICT_BYTES]; /* on the own machine */
};

static bool exchange_init(struct exchange *exchange)
{
    size_t size = (size_t)exchange->world->size;
    exchange->identities = calloc(size, sizeof *exchange->identities);
    exchange->places = calloc(size, sizeof *exchange->places);
    exchange->shapes = calloc(exchange->setup->discover ? size : 1, sizeof *exchange->shapes);
    exchange->labels = malloc(size * LEVEL_NETWORK * sizeof *exchange->labels);
    return exchange->identities != NULL && exchange->places != NULL && exchange->shapes != NULL &&
           exchange->labels != NULL;
}

static void exchange_finish(struct exchange *exchange)
{
    crowds_finish(&exchange->crowds);
    free(exchange->identities);
    free(exchange->places);
    free(exchange->shapes);
    free(exchange->labels);
}

/* ---- Identity ------------------------------------------------------------------------------- */

/* The words of a list that are others than those of another list in their places. */
static void print_differing(const char *list, const char *other, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    while (*list != '\0' && used < bytes) {
        size_t word = strcspn(list, " ");
        size_t others = strcspn(other, " ");
        if (word != others || memcmp(list, other, word) != 0) {
            used += (size_t)snprintf(text + used, bytes - used, "%s%.*s", used == 0 ? "" : " ",
                                     (int)word, list);
        }
        list += word + (list[word] == ' ');
        other += others + (other[others] == ' ');
    }
}

/* Of two long lists only what differs, as a sentence has no room for both. */
static enum ww_status odd_text(const struct identity *all, int odd, int usual, const char *what,
                               size_t offset)
{
    const char *theirs = (const char *)&all[odd] + offset;
    const char *ours = (const char *)&all[usual] + offset;
    char odd_words[TOPOLOGY_SETTINGS_BYTES];
    char usual_words[TOPOLOGY_SETTINGS_BYTES];
    print_differing(theirs, ours, odd_words, sizeof odd_words);
    print_differing(ours, theirs, usual_words, sizeof usual_words);
    return log_failure(WW_MISMATCH,
                       "rank %d (%s) has %s \"%s\", rank %d (%s) has \"%s\": give all ranks the "
                       "same",
                       odd, all[odd].host_name, what, odd_words, usual, all[usual].host_name,
                       usual_words);
}

static enum ww_status check_agreement(const struct ww_world *world, const struct identity *all)
{
    int usual;
    int odd = vote_odd_one(all->version, world->size, sizeof *all, sizeof all->version, &usual);
    if (odd >= 0) {
        return odd_text(all, odd, usual, "wirewise", offsetof(struct identity, version));
    }
    odd = vote_odd_one(&all->size, world->size, sizeof *all, sizeof all->size, &usual);
    if (odd >= 0) {
        return log_failure(WW_MISMATCH, "rank %d says there are %d ranks, rank %d says %d", odd,
                           all[odd].size, usual, all[usual].size);
    }
    for (int rank = 0; rank < world->size; rank++) {
        if (all[rank].rank != rank) {
            return log_failure(WW_MISMATCH,
                               "the world's all_gather put rank %d at place %d: results must be in "
                               "the order of the ranks",
                               all[rank].rank, rank);
        }
    }
    odd = vote_odd_one(all->settings, world->size, sizeof *all, sizeof all->settings, &usual);
    if (odd >= 0) {
        return odd_text(all, odd, usual, "settings", offsetof(struct identity, settings));
    }
    return WW_OK;
}

static enum ww_status exchange_identities(struct exchange *exchange, const struct token *token)
{
    const struct ww_world *world = exchange->world;
    struct identity own;
    memset(&own, 0, sizeof own);
    own.size = world->size;
    own.rank = world->rank;
    own.token = *token;
    snprintf(own.version, sizeof own.version, "%s", WW_VERSION_TEXT);
    snprintf(own.settings, sizeof own.settings, "%s", exchange->setup->settings);
    identity_describe(&own, exchange->setup->host);
    enum ww_status status = world_gather(world, &own, exchange->identities, sizeof own);
    return status == WW_OK ? check_agreement(world, exchange->identities) : status;
}

/* ---- Places --------------------------------------------------------------------------------- */

/* Whom a rank without memory reached is unknown, and not nobody. */
static enum ww_status check_troubles(const struct exchange *exchange)
{
    for (int rank = 0; rank < exchange->world->size; rank++) {
        enum ww_status trouble = (enum ww_status)exchange->places[rank].trouble;
        if (trouble != WW_OK) {
            return log_failure(WW_PEER_FAILED, "rank %d (%s) could not make its context: %s", rank,
                               exchange->identities[rank].host_name, ww_status_text(trouble));
        }
    }
    return WW_OK;
}

static enum ww_status exchange_places(struct exchange *exchange)
{
    const struct topology_setup *setup = exchange->setup;
    struct place own;
    struct cpus allowed;
    memset(&own, 0, sizeof own);
    cpus_allowed(&allowed);
    place_read(&own, setup->sysfs == NULL ? SYSFS : setup->sysfs, &allowed);
    snprintf(own.text, sizeof own.text, "%s", setup->place == NULL ? "" : setup->place);
    enum ww_status known = crowds_init(&exchange->crowds, exchange->world->size,
                                       exchange->identities);
    if (known == WW_OK) {
        own.reach = reach_find(&exchange->crowds, exchange->identities, exchange->world->rank);
    }
    own.trouble = known;
    enum ww_status status = world_gather(exchange->world, &own, exchange->places, sizeof own);
    if (status != WW_OK || known != WW_OK) {
        return status != WW_OK ? status : known;
    }
    return check_troubles(exchange);
}

/* ---- Labels --------------------------------------------------------------------------------- */

static void warn_of_places(const struct exchange *exchange, int lowest, int rank)
{
    log_warn(
        "rank %d says that host %s stands in \"%s\", rank %d says \"%s\": the first one counts",
        lowest, exchange->identities[lowest].host_name, exchange->places[lowest].text, rank,
        exchange->places[rank].text);
}

/* A host stands where its lowest rank says. */
static void label_places(struct exchange *exchange)
{
    int size = exchange->world->size;
    const uint64_t *host = &exchange->labels[(size_t)LEVEL_HOST * (size_t)size];
    bool told = exchange->world->rank != 0;
    for (int rank = 0; rank < size; rank++) {
        int lowest = (int)host[rank];
        const char *text = exchange->places[lowest].text;
        for (int part = 0; part < PLACE_PARTS; part++) {
            exchange->labels[(LEVEL_SITE - part) * size + rank] = place_label(text, part);
        }
        for (int kind = 0; kind < PLACE_INNER; kind++) {
            exchange->labels[kind * size + rank] = exchange->places[rank].label[kind];
        }
        if (!told && strcmp(text, exchange->places[rank].text) != 0) {
            warn_of_places(exchange, lowest, rank);
            told = true;
        }
    }
}

static bool imitates(const struct exchange *exchange)
{
    return exchange->setup->imitation != NULL && exchange->setup->imitation->hosts > 0;
}

/* The group of a rank is known by its lowest one. */
static enum ww_status label_imitated(const struct exchange *exchange, uint64_t *host)
{
    size_t size = (size_t)exchange->world->size;
    size_t hosts = (size_t)exchange->setup->imitation->hosts;
    for (size_t rank = 0; rank < size; rank++) {
        if (host[rank] != host[0]) {
            return log_failure(WW_BAD_CONFIG,
                               "shape imitates %zu hosts inside one, but ranks 0 (%s) and %zu (%s) "
                               "are on different hosts, with real wires between them: unset shape, "
                               "or run all ranks on one host",
                               hosts, exchange->identities[0].host_name, rank,
                               exchange->identities[rank].host_name);
        }
    }
    for (size_t rank = 0; rank < size; rank++) {
        size_t group = rank * hosts / size;
        host[rank] = (group * size + hosts - 1) / hosts;
    }
    return WW_OK;
}

static enum ww_status label_ranks(struct exchange *exchange)
{
    size_t size = (size_t)exchange->world->size;
    uint64_t *host = &exchange->labels[(size_t)LEVEL_HOST * size];
    memset(exchange->labels, 0xff, size * LEVEL_NETWORK * sizeof *exchange->labels);
    enum ww_status status = hosts_join(&exchange->crowds, &exchange->places->reach,
                                       sizeof *exchange->places, host);
    if (status == WW_OK && imitates(exchange)) {
        status = label_imitated(exchange, host);
    }
    if (status == WW_OK) {
        label_places(exchange);
    }
    return status;
}

static void name_host(const struct exchange *exchange, int rank, int number,
                      char name[HOST_NAME_BYTES])
{
    const char *real = exchange->identities[rank].host_name;
    if (imitates(exchange)) {
        snprintf(name, HOST_NAME_BYTES, "%.*s#%d", HOST_NAME_BYTES - 16, real, number);
    } else {
        memcpy(name, real, HOST_NAME_BYTES);
    }
}

/* A host's label is its lowest rank, which names it. */
static enum ww_status make_topology(struct exchange *exchange)
{
    const struct ww_world *world = exchange->world;
    const uint64_t *host = &exchange->labels[(size_t)LEVEL_HOST * (size_t)world->size];
    char(*names)[HOST_NAME_BYTES] = calloc((size_t)world->size, sizeof *names);
    if (names == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the names of %d hosts", world->size);
    }
    int hosts = 0;
    for (int rank = 0; rank < world->size; rank++) {
        if (host[rank] == (uint64_t)rank) {
            name_host(exchange, rank, hosts, names[hosts]);
            hosts++;
        }
    }
    enum ww_status status = topology_make(exchange->topology, world->rank, world->size,
                                          exchange->labels, (const char(*)[HOST_NAME_BYTES])names,
                                          level_cost_usual);
    free(names);
    return status;
}

/* Imitated hosts share the cores and caches of the one they are parts of. */
static void share_sizes(struct topology *topology, const struct imitation *imitation)
{
    topology->cores = topology->cores > imitation->hosts ? topology->cores / imitation->hosts : 1;
    topology->cache_bytes /= imitation->hosts;
}

/* What one rank may use of its host. */
struct own_cpus {
    uint64_t host;
    int32_t first;
    int32_t count;
};

static int by_host_and_first(const void *one, const void *other)
{
    const struct own_cpus *a = one;
    const struct own_cpus *b = other;
    if (a->host != b->host) {
        return a->host < b->host ? -1 : 1;
    }
    return (a->first > b->first) - (a->first < b->first);
}

/* Of all hosts the least that the ranks of one may use together: a container or a launcher may have
 * bound them. Those with the same lowest CPU are taken to be bound alike, others apart. */
static int least_cpus(const struct own_cpus *sorted, int count)
{
    int least = INT_MAX;
    for (int i = 0; i < count;) {
        uint64_t host = sorted[i].host;
        int cpus = 0;
        for (; i < count && sorted[i].host == host; i++) {
            bool same = i > 0 && sorted[i - 1].host == host &&
                        sorted[i - 1].first == sorted[i].first;
            cpus += same ? 0 : sorted[i].count;
        }
        least = cpus < least ? cpus : least;
    }
    return least;
}

static enum ww_status learn_sizes(struct exchange *exchange, const uint64_t *host)
{
    struct topology *topology = exchange->topology;
    const struct place *places = exchange->places;
    struct own_cpus *own = malloc((size_t)topology->size * sizeof *own);
    if (own == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the CPUs of %d ranks", topology->size);
    }
    topology->cores = places[0].cores;
    topology->cache_bytes = places[0].cache_bytes;
    for (int rank = 0; rank < topology->size; rank++) {
        const struct place *place = &places[rank];
        uint64_t label = imitates(exchange) ? 0 : host[rank];
        own[rank] = (struct own_cpus){label, place->own_first, place->own_cpus};
        topology->cores = place->cores < topology->cores ? place->cores : topology->cores;
        topology->cache_bytes = place->cache_bytes < topology->cache_bytes ? place->cache_bytes
                                                                           : topology->cache_bytes;
    }
    qsort(own, (size_t)topology->size, sizeof *own, by_host_and_first);
    topology->cpus = least_cpus(own, topology->size);
    topology->cores = topology->cpus < topology->cores ? topology->cpus : topology->cores;
    free(own);
    return WW_OK;
}

static enum ww_status settle(struct exchange *exchange)
{
    int one, other;
    enum ww_status status = label_ranks(exchange);
    if (status == WW_OK) {
        status = make_topology(exchange);
    }
    if (status != WW_OK) {
        return status;
    }
    const uint64_t *host = &exchange->labels[(size_t)LEVEL_HOST * (size_t)exchange->world->size];
    status = learn_sizes(exchange, host);
    if (status != WW_OK) {
        return status;
    }
    if (imitates(exchange)) {
        share_sizes(exchange->topology, exchange->setup->imitation);
        return WW_OK;
    }
    if (exchange->world->rank == 0 &&
        hosts_divided(&exchange->crowds, exchange->identities, host, &one, &other)) {
        log_warn("ranks %d (%s) and %d (%s) run on the same machine but cannot meet in memory, so "
                 "they count as different hosts: let their containers share the process or the "
                 "network namespace, and run them as one user",
                 one, exchange->identities[one].host_name, other,
                 exchange->identities[other].host_name);
    }
    return WW_OK;
}

/* ---- Shapes --------------------------------------------------------------------------------- */

static enum ww_status exchange_shapes(struct exchange *exchange, bool is_lowest)
{
    struct machine_shape own;
    memset(&own, 0, sizeof own);
    if (is_lowest) {
        shape_discover(exchange->setup->machine, &own, exchange->verdict); /* or nothing is known */
    }
    return world_gather(exchange->world, &own, exchange->shapes, sizeof own);
}

/* The number of this shape among those seen so far; a new one is added. */
static int shape_number(struct topology *topology, const struct machine_shape *shape)
{
    int number = 0;
    while (number < topology->shape_count &&
           memcmp(&topology->shapes[number], shape, sizeof *shape) != 0) {
        number++;
    }
    if (number == topology->shape_count) {
        topology->shapes[topology->shape_count++] = *shape;
    }
    return number;
}

static void learn_network(struct topology *topology)
{
    for (int number = 0; number < topology->shape_count; number++) {
        enum ww_nic_kind kind;
        double gbit_s = shape_network(&topology->shapes[number], &kind);
        if (number == 0 || gbit_s < topology->port_gbit_s) {
            topology->port_gbit_s = gbit_s;
            snprintf(topology->port_name, sizeof topology->port_name, "%s",
                     gbit_s > 0 ? ww_nic_kind_name(kind) : "");
        }
    }
}

static enum ww_status learn_shapes(struct exchange *exchange)
{
    struct topology *topology = exchange->topology;
    size_t hosts = (size_t)topology->hosts;
    topology->shapes = calloc(hosts, sizeof *topology->shapes);
    topology->shape_of_host = calloc(hosts, sizeof *topology->shape_of_host);
    if (topology->shapes == NULL || topology->shape_of_host == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the shapes of %zu hosts", hosts);
    }
    const uint64_t *host = &exchange->labels[(size_t)LEVEL_HOST * (size_t)topology->size];
    for (int rank = 0; rank < topology->size; rank++) {
        if (host[rank] == (uint64_t)rank) {
            topology->shape_of_host[topology->host_of[rank]] = shape_number(
                topology, &exchange->shapes[rank]);
        }
    }
    learn_network(topology);
    return WW_OK;
}

/* What the machine's own ports could do does not matter then. */
static void learn_imitated(struct topology *topology, const struct imitation *imitation)
{
    topology->port_gbit_s = imitation->byte_s > 0 ? 8e-9 / imitation->byte_s : 0;
    topology->port_latency_s = imitation->latency_s;
    snprintf(topology->port_name, sizeof topology->port_name, "%s", IMITATED_PORT);
}

/* ---- In words ------------------------------------------------------------------------------- */

/* How many hosts have this shape, and the first of them. */
static int hosts_of_shape(const struct topology *topology, int shape, int *first)
{
    int count = 0;
    for (int host = topology->hosts - 1; host >= 0; host--) {
        if (topology->shape_of_host[host] == shape) {
            *first = host;
            count++;
        }
    }
    return count;
}

static void say_hosts(struct line *line, const struct topology *topology, int shape)
{
    int first = 0;
    int count = hosts_of_shape(topology, shape, &first);
    line_say(line, "%s", topology->host_name[first]);
    if (count > 1) {
        line_say(line, " (and %d more)", count - 1);
    }
}

static void tell_difference(const struct topology *topology, int usual, int odd)
{
    char hosts[256];
    char words[600];
    struct line line = line_begin(hosts, sizeof hosts);
    say_hosts(&line, topology, usual);
    line_say(&line, " and ");
    say_hosts(&line, topology, odd);
    shape_difference(&topology->shapes[usual], &topology->shapes[odd], words, sizeof words);
    log_warn("hosts %s differ: %s", hosts, words);
}

static void tell_shapes(const struct topology *topology)
{
    int usual = 0, most = 0, told = 0, first;
    for (int shape = 0; shape < topology->shape_count; shape++) {
        int count = hosts_of_shape(topology, shape, &first);
        usual = count > most ? shape : usual;
        most = count > most ? count : most;
    }
    for (int shape = 0; shape < topology->shape_count && told < DIFFERENCES_MOST; shape++) {
        if (shape != usual) {
            tell_difference(topology, usual, shape);
            told++;
        }
    }
}

static void tell_machine(const struct topology *topology, const char *verdict)
{
    char hosts[64] = "";
    if (topology->hosts > 1 && topology->shape_count == 1) {
        snprintf(hosts, sizeof hosts, " (%d hosts, all alike)", topology->hosts);
    } else if (topology->hosts > 1) {
        snprintf(hosts, sizeof hosts, " (%d hosts of %d shapes)", topology->hosts,
                 topology->shape_count);
    }
    if (verdict[0] != '\0') {
        log_info("%s: %s%s", topology->host_name[0], verdict, hosts);
    }
}

/* A process that makes many contexts says it once. */
static void tell(const struct exchange *exchange)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    bool again = exchange->setup->machine == NULL && atomic_flag_test_and_set(&told);
    if (!again) {
        tell_machine(exchange->topology, exchange->verdict);
        tell_shapes(exchange->topology);
    }
}

/* ---- The door ------------------------------------------------------------------------------- */

/* What all ranks know alike when it fails, ends it; what one rank may lack does not. */
static enum ww_status run_rounds(struct exchange *exchange)
{
    struct beacon beacon;
    struct token token;
    beacon_light(&beacon, &token);
    enum ww_status status = exchange_identities(exchange, &token);
    if (status != WW_OK) {
        beacon_douse(&beacon);
        return status;
    }
    status = exchange_places(exchange);
    beacon_douse(&beacon);
    if (status == WW_OK) {
        status = settle(exchange);
    }
    if (status == WW_TRANSPORT_FAILED || !exchange->setup->discover) {
        return status;
    }
    bool is_lowest = status == WW_OK && exchange->topology->local_rank == 0;
    enum ww_status shared = exchange_shapes(exchange, is_lowest);
    status = status == WW_OK ? shared : status;
    if (status == WW_OK) {
        status = learn_shapes(exchange);
    }
    if (status == WW_OK && exchange->world->rank == 0) {
        tell(exchange);
    }
    return status;
}

enum ww_status topology_exchange(const struct ww_world *world, const struct topology_setup *setup,
                                 struct topology *topology)
{
    assert(strlen(setup->settings) < TOPOLOGY_SETTINGS_BYTES);
    struct topology made = {.size = 0};
    struct exchange exchange = {.world = world, .setup = setup, .topology = &made};
    enum ww_status status = WW_OK;
    if (!exchange_init(&exchange)) {
        status = log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", world->size);
    }
    if (setup->votes != NULL) {
        status = topology_all_well(world, &made, status, setup->votes);
    }
    if (status == WW_OK) {
        status = run_rounds(&exchange);
    }
    if (status == WW_OK && imitates(&exchange)) {
        learn_imitated(&made, setup->imitation);
    }
    exchange_finish(&exchange);
    if (status == WW_OK) {
        *topology = made;
    } else {
        topology_finish(&made);
    }
    return status;
}

void topology_finish(struct topology *topology)
{
    hierarchy_finish(&topology->hierarchy);
    hierarchy_finish(&topology->hosts_outwards);
    for (int level = 0; level < WW_LEVELS_MAX; level++) {
        free(topology->unit[level]);
    }
    free(topology->peer_level);
    free(topology->host_of);
    free(topology->host_name);
    free(topology->shapes);
    free(topology->shape_of_host);
    memset(topology, 0, sizeof *topology);
}
