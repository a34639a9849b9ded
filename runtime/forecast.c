/* SPDX-License-Identifier: BSD-3-Clause
 * forecast.c: what collectives will take on a cluster that is described in a file. */
#include <wirewise/tools.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives.h"
#include "internal/log.h"
#include "topology.h"

#define GB 1e9
#define WAYS_MAX 64
#define FACTOR_LEAST 0.001
#define FACTOR_MOST 1000.0
#define CODECS_SHOWN 4

struct ww_forecast {
    struct cluster_file cluster;
    struct topology topology;
    struct wires wires;
    struct selector *selector;
    struct ww_forecast_cluster about;
    struct ww_forecast_shape shapes[CLUSTER_SHAPES_MAX];
    struct ww_forecast_level levels[WW_LEVELS_MAX];
    const char *notes[CLUSTER_NOTES_MAX];
    struct ww_forecast_codec codecs[CODECS_SHOWN];
};

/* ---- What can run ---------------------------------------------------------------------------- */

/* "hierarchical" is any of "hierarchical+...". */
static bool is_named(const struct choice *choice, const char *name)
{
    char own[48];
    way_name(choice, own, sizeof own);
    size_t length = strlen(name);
    return strcmp(own, name) == 0 ||
           (length > 0 && strncmp(own, name, length) == 0 && own[length] == '+');
}

/* ---- Prices ---------------------------------------------------------------------------------- */

/* A way, and what it takes. */
struct offer {
    struct choice choice;
    struct price price;
    double rank_bytes[WW_LEVELS_MAX];
    double port_bytes[WW_LEVELS_MAX];
};

static enum ww_status price_choice(struct ww_forecast *forecast, const struct wish *wish,
                                   const struct choice *choice, struct offer *offer)
{
    offer->choice = *choice;
    enum ww_status status = selector_price(forecast->selector, wish, choice, &offer->price);
    return status == WW_OK ? selector_bytes(forecast->selector, wish, choice, offer->rank_bytes,
                                            offer->port_bytes)
                           : status;
}

static double bus_factor(enum collective collective, int size)
{
    double others = (size - 1.0) / size;
    return collective == COLLECTIVE_ALL_REDUCE  ? 2 * others
           : collective == COLLECTIVE_BROADCAST ? 1
                                                : others;
}

static const char *from_name(const struct topology *topology, int level)
{
    return level == 0 ? "rank" : topology->level_name[level - 1];
}

static void say_limit(const struct ww_forecast *forecast, const struct price *price, char *text,
                      size_t bytes)
{
    const struct topology *topology = &forecast->topology;
    int level = price->limit_level;
    const char *wire = forecast->wires.link[level].name;
    switch (price->limit) {
    case LIMIT_WIRE:
        snprintf(text, bytes, "%s: what leaves a %s over %s", topology->level_name[level],
                 from_name(topology, level), wire);
        return;
    case LIMIT_CORES:
        snprintf(text, bytes, "%s",
                 cluster_on_gpus(&forecast->cluster) ? "GPUs: their links, copying and adding"
                                                     : "cores: copying and adding");
        return;
    default:
        snprintf(text, bytes, "%s: latency of %s", topology->level_name[level], wire);
    }
}

/* What leaves a node: over the level around nodes what leaves its units; over levels further out no
 * more than what leaves theirs, and no more than all its ranks send. */
static double leaving_node(const struct ww_forecast *forecast, const struct ww_forecast_row *row)
{
    const struct topology *topology = &forecast->topology;
    double bytes = 0;
    int ranks = 0;
    for (int i = 0; i < forecast->cluster.shape_count; i++) {
        int here = forecast->cluster.shape[i].ranks;
        ranks = here > ranks ? here : ranks;
    }
    for (int level = topology->host_levels; level < topology->levels; level++) {
        double all = ranks * row->rank_bytes[level];
        bytes += row->port_bytes[level] < all ? row->port_bytes[level] : all;
    }
    return bytes;
}

static void fill_row(const struct ww_forecast *forecast, const struct wish *wish,
                     const struct offer *offer, struct ww_forecast_row *row)
{
    double bytes = (double)wish->bytes;
    double segment = (double)offer->choice.segment_bytes;
    struct ww_forecast_row made = {.struct_bytes = sizeof made,
                                   .segment_bytes = segment < bytes ? segment : bytes,
                                   .window = offer->choice.window,
                                   .seconds = offer->price.seconds,
                                   .least_s = offer->price.least_s,
                                   .most_s = offer->price.most_s};
    double factor = bus_factor(wish->collective, forecast->topology.size);
    way_name(&offer->choice, made.algorithm, sizeof made.algorithm);
    made.algbw_gb_s = made.seconds > 0 ? bytes / made.seconds / GB : 0;
    made.busbw_gb_s = made.algbw_gb_s * factor;
    say_limit(forecast, &offer->price, made.limit, sizeof made.limit);
    for (int level = 0; level < forecast->topology.levels; level++) {
        made.rank_bytes[level] = offer->rank_bytes[level];
        made.port_bytes[level] = offer->port_bytes[level];
    }
    made.node_bytes = leaving_node(forecast, &made);
    made.nic_bytes = made.node_bytes / (forecast->about.ports > 0 ? forecast->about.ports : 1);
    *row = made;
}

static enum ww_status check_price(const struct ww_forecast *forecast, double bytes,
                                  const struct ww_forecast_row *row)
{
    if (forecast == NULL || row == NULL || row->struct_bytes != sizeof *row) {
        return log_failure(WW_BAD_ARGUMENT, "a forecast got %s",
                           forecast == NULL || row == NULL
                               ? "NULL"
                               : "a row that was not made by WW_FORECAST_ROW_INIT");
    }
    if (!(bytes >= 1 && bytes <= 1e15)) {
        return log_failure(WW_BAD_ARGUMENT, "a vector of %g bytes has no price: 1 to 10^15 have",
                           bytes);
    }
    return WW_OK;
}

static enum ww_status check(const struct ww_forecast *forecast, const char *collective,
                            double bytes, const struct ww_forecast_row *row, struct wish *wish)
{
    enum ww_status status = check_price(forecast, bytes, row);
    *wish = (struct wish){.type = WW_F32};
    if (status == WW_OK) {
        wish->bytes = (size_t)bytes;
        status = select_collective(collective, &wish->collective);
    }
    return status == WW_OK ? selector_decide(forecast->selector, wish) : status;
}

/* Candidate i, or the announcement behind the last one where small values travel with it: counts
 * both. */
static int count_ways(struct ww_forecast *forecast, const struct wish *wish)
{
    struct choice choice;
    bool announced = selector_announcement(forecast->selector, wish, &choice);
    return selector_candidates(forecast->selector, wish) + announced;
}

static enum ww_status price_way(struct ww_forecast *forecast, const struct wish *wish, int i,
                                struct offer *offer)
{
    struct choice choice;
    enum ww_status status = WW_OK;
    if (i < selector_candidates(forecast->selector, wish)) {
        status = selector_candidate(forecast->selector, wish, i, &choice);
    } else {
        selector_announcement(forecast->selector, wish, &choice);
    }
    return status == WW_OK ? price_choice(forecast, wish, &choice, offer) : status;
}

static enum ww_status no_way(struct ww_forecast *forecast, const struct wish *wish,
                             const char *name)
{
    char known[512] = "";
    struct offer offer;
    int ways = count_ways(forecast, wish);
    for (int i = 0; i < ways; i++) {
        enum ww_status status = price_way(forecast, wish, i, &offer);
        if (status != WW_OK) {
            return status;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s", used > 0 ? ", " : "");
        used = strlen(known);
        way_name(&offer.choice, known + used, sizeof known - used);
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "no algorithm \"%s\" can run %s on this cluster; there are %s", name,
                       collective_names[wish->collective], known);
}

/* The fastest of those with this name. */
static enum ww_status find_named(struct ww_forecast *forecast, const struct wish *wish,
                                 const char *name, struct offer *best)
{
    bool found = false;
    int ways = count_ways(forecast, wish);
    for (int i = 0; i < ways; i++) {
        struct offer offer;
        enum ww_status status = price_way(forecast, wish, i, &offer);
        if (status != WW_OK) {
            return status;
        }
        if (!is_named(&offer.choice, name)) {
            continue;
        }
        if (!found || offer.price.seconds < best->price.seconds) {
            *best = offer;
        }
        found = true;
    }
    return found ? WW_OK : no_way(forecast, wish, name);
}

enum ww_status ww_forecast_price(struct ww_forecast *forecast, const char *collective,
                                 const char *algorithm, double bytes, struct ww_forecast_row *row)
{
    struct wish wish;
    struct offer best;
    enum ww_status status = check(forecast, collective, bytes, row, &wish);
    if (status == WW_OK && algorithm == NULL) {
        struct choice choice = selector_choose(forecast->selector, &wish);
        status = price_choice(forecast, &wish, &choice, &best);
    } else if (status == WW_OK) {
        status = find_named(forecast, &wish, algorithm, &best);
    }
    if (status == WW_OK) {
        fill_row(forecast, &wish, &best, row);
    }
    return status;
}

enum ww_status ww_forecast_list(struct ww_forecast *forecast, const char *collective, double bytes,
                                struct ww_forecast_row *rows, int room, int *count)
{
    struct wish wish;
    struct offer offers[WAYS_MAX];
    int found = 0;
    enum ww_status status = check(forecast, collective, bytes, rows, &wish);
    int ways = status == WW_OK ? count_ways(forecast, &wish) : 0;
    while (status == WW_OK && found < ways && found < WAYS_MAX) {
        struct offer offer;
        status = price_way(forecast, &wish, found, &offer);
        int place = found++;
        while (status == WW_OK && place > 0 &&
               offer.price.seconds < offers[place - 1].price.seconds) {
            offers[place] = offers[place - 1];
            place--;
        }
        offers[place] = offer;
    }
    if (status != WW_OK) {
        return status;
    }
    for (int i = 0; i < found && i < room; i++) {
        fill_row(forecast, &wish, &offers[i], &rows[i]);
    }
    *count = found;
    return WW_OK;
}

/* ---- The cluster ----------------------------------------------------------------------------- */

static enum ww_status count_unit_ranks(const struct topology *topology, int level,
                                       struct ww_forecast_level *about)
{
    about->units = 1;
    about->ranks_least = about->ranks_most = topology->size;
    if (level + 1 == topology->levels) {
        return WW_OK;
    }
    about->units = topology->unit_count[level];
    int *ranks = calloc((size_t)about->units, sizeof *ranks);
    if (ranks == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to count the ranks of %d units", about->units);
    }
    for (int rank = 0; rank < topology->size; rank++) {
        ranks[topology->unit[level][rank]]++;
    }
    about->ranks_most = 0;
    for (int unit = 0; unit < about->units; unit++) {
        about->ranks_least = ranks[unit] < about->ranks_least ? ranks[unit] : about->ranks_least;
        about->ranks_most = ranks[unit] > about->ranks_most ? ranks[unit] : about->ranks_most;
    }
    free(ranks);
    return WW_OK;
}

/* GB/s; 0 where nothing travels. */
static double rate_of(double byte_s)
{
    return byte_s > 0 ? 1 / byte_s / GB : 0;
}

static void describe_level(struct ww_forecast *forecast, int level)
{
    const struct link *link = &forecast->wires.link[level];
    struct ww_forecast_level *about = &forecast->levels[level];
    about->name = forecast->topology.level_name[level];
    about->wire = link->name;
    about->from = from_name(&forecast->topology, level);
    about->latency_s = link->flow.fixed_s;
    about->flow_gb_s = rate_of(link->flow.byte_s);
    about->port_gb_s = rate_of(link->port_byte_s);
    about->source = cost_source_names[link->source];
    about->spread = link->spread;
}

static void describe_shapes(struct ww_forecast *forecast)
{
    const struct cluster_file *cluster = &forecast->cluster;
    struct ww_forecast_cluster *about = &forecast->about;
    about->shape_count = cluster->shape_count;
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct cluster_shape *shape = &cluster->shape[i];
        forecast->shapes[i] = (struct ww_forecast_shape){shape->name, shape->nodes, shape->ranks,
                                                         shape->about};
        about->ports = i == 0 || shape->ports < about->ports ? shape->ports : about->ports;
    }
}

/* A rank's share of what leaves its unit over the outermost wires, in bytes per second. */
static double rank_rate(const struct ww_forecast *forecast, int units)
{
    const struct link *link = &forecast->wires.link[forecast->topology.levels - 1];
    double ranks = (double)forecast->topology.size / units;
    double share = 1 / (link->port_byte_s * ranks);
    return share < 1 / link->flow.byte_s ? share : 1 / link->flow.byte_s;
}

/* In the cache a pass that converts takes so many times as long as one that copies: 64 MiB among
 * two ranks in memory took 7.8 ms longer as fp16 than as fp32 (AMD Zen 3, AVX2). */
#define CONVERT_COPIES 3

/* Seconds that encoding and decoding add per byte of fp32, a pass each; residuals are read and
 * written. */
static double coding_byte_s(const struct memory_cost *memory, const struct ww_codec_facts *facts)
{
    return 2 * CONVERT_COPIES * memory->copy_byte_s +
           (facts->feeds_back ? 2 * memory->ram_byte_s : 0);
}

/* Of n bytes a unit sends 2 (P - 1) / P n, encoded or not. */
static void describe_codecs(struct ww_forecast *forecast)
{
    static const char *const names[CODECS_SHOWN] = {"fp16", "bf16", "int8", "topk:0.01"};
    const struct topology *topology = &forecast->topology;
    struct ww_forecast_cluster *about = &forecast->about;
    int units = topology->levels > 1 ? topology->unit_count[topology->levels - 2] : topology->size;
    about->codecs = forecast->codecs;
    about->codec_count = topology->hosts > 1 ? CODECS_SHOWN : 0;
    double rate = topology->hosts > 1 ? rank_rate(forecast, units) : 0;
    double travels = 2 * (units - 1.0) / units;
    about->rank_gb_s = rate / GB;
    for (int i = 0; i < about->codec_count; i++) {
        struct ww_codec_facts facts = WW_CODEC_FACTS_INIT;
        ww_codec_describe(names[i], &facts);
        double share = facts.bytes_per_element / sizeof(float);
        double cost = coding_byte_s(&forecast->wires.memory, &facts);
        forecast->codecs[i] = (struct ww_forecast_codec){
            .name = names[i],
            .bytes_share = share,
            .break_even_gb_s = travels * (1 - share) / cost / GB,
            .gain = travels / rate / (travels * share / rate + cost)};
    }
}

static enum ww_status describe(struct ww_forecast *forecast)
{
    enum ww_status status = WW_OK;
    const struct cluster_file *cluster = &forecast->cluster;
    bool slot = cluster->keys.placement.value == PLACEMENT_SLOT;
    forecast->about = (struct ww_forecast_cluster){
        .name = cluster->name,
        .ranks = cluster->ranks,
        .nodes = cluster->nodes,
        .device = cluster_on_gpus(cluster) ? "gpu" : "host",
        .placement = slot ? "slot" : "node",
        .shapes = forecast->shapes,
        .level_count = forecast->topology.levels,
        .levels = forecast->levels,
        .note_count = cluster->note_count,
        .notes = forecast->notes,
    };
    describe_shapes(forecast);
    for (int level = 0; level < forecast->topology.levels && status == WW_OK; level++) {
        status = count_unit_ranks(&forecast->topology, level, &forecast->levels[level]);
        describe_level(forecast, level);
    }
    for (int i = 0; i < cluster->note_count; i++) {
        forecast->notes[i] = cluster->notes[i];
    }
    describe_codecs(forecast);
    return status;
}

const struct ww_forecast_cluster *ww_forecast_describe(const struct ww_forecast *forecast)
{
    return &forecast->about;
}

enum ww_status ww_forecast_change(struct ww_forecast *forecast, const char *level, double factor)
{
    char known[128] = "";
    if (forecast == NULL || level == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_forecast_change got NULL for %s",
                           forecast == NULL ? "the forecast" : "the level");
    }
    if (!(factor >= FACTOR_LEAST && factor <= FACTOR_MOST)) {
        return log_failure(WW_BAD_ARGUMENT, "wires cannot be %g times as fast: %g to %g times",
                           factor, FACTOR_LEAST, FACTOR_MOST);
    }
    for (int i = 0; i < forecast->topology.levels; i++) {
        struct link *link = &forecast->wires.link[i];
        if (strcmp(forecast->topology.level_name[i], level) == 0) {
            link->flow.byte_s /= factor;
            link->port_byte_s /= factor;
            describe_level(forecast, i);
            describe_codecs(forecast);
            selector_change_wires(forecast->selector, &forecast->wires);
            return WW_OK;
        }
        strcat(strcat(known, i > 0 ? ", " : ""), forecast->topology.level_name[i]);
    }
    return log_failure(WW_BAD_ARGUMENT, "this cluster has no level \"%s\"; there are %s", level,
                       known);
}

/* Ranks of one host see each other's memory, where gradients are there. */
static enum ww_status make_selector(struct ww_forecast *forecast)
{
    bool gpus = cluster_on_gpus(&forecast->cluster);
    struct selector_setup setup = {.topology = &forecast->topology,
                                   .sight = {.host = !gpus,
                                             .all = !gpus && forecast->topology.hosts == 1,
                                             .values_bytes = gpus ? 0 : GATE_VALUES_BYTES_LONG},
                                   .wires = &forecast->wires,
                                   .settings = {"auto", 0, 0},
                                   .on_devices = gpus,
                                   .lazy = true};
    return selector_create(&setup, &forecast->selector);
}

enum ww_status ww_forecast_create(const char *file, struct ww_forecast **forecast)
{
    if (file == NULL || forecast == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_forecast_create got NULL");
    }
    struct ww_forecast *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a forecast");
    }
    enum ww_status status = cluster_read(file, &made->cluster);
    if (status != WW_OK) {
        free(made);
        return status;
    }
    status = cluster_topology(&made->cluster, &made->topology);
    if (status != WW_OK) {
        cluster_finish(&made->cluster);
        free(made);
        return status;
    }
    made->wires = cluster_wires(&made->cluster, &made->topology);
    status = make_selector(made);
    if (status == WW_OK) {
        status = describe(made);
    }
    if (status != WW_OK) {
        ww_forecast_destroy(made);
        return status;
    }
    *forecast = made;
    return WW_OK;
}

void ww_forecast_destroy(struct ww_forecast *forecast)
{
    if (forecast == NULL) {
        return;
    }
    selector_destroy(forecast->selector);
    topology_finish(&forecast->topology);
    cluster_finish(&forecast->cluster);
    free(forecast);
}
