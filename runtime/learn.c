/* SPDX-License-Identifier: BSD-3-Clause
 * learn.c: what the wires of a job cost, and what is chosen because of it. */
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal/clock.h"

#define PATH_BYTES 1024
#define SUMMARY_BYTES 512
#define AUTOMATIC_FILE "auto"
#define NO_FILE "none"

/* ---- Where measurements are kept ------------------------------------------------------------- */

/* Makes a folder that may be there already. */
static bool make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

/* wirewise/calibration in the user's own cache; "" where there is none. */
static void find_in_cache(char path[PATH_BYTES])
{
    char folder[PATH_BYTES];
    config_cache_folder(folder, sizeof folder);
    size_t bytes = strlen(folder);
    path[0] = '\0';
    if (bytes == 0 || bytes + sizeof "/wirewise/calibration" > sizeof folder ||
        !make_folder(folder)) {
        return;
    }
    strcat(folder, "/wirewise");
    if (make_folder(folder)) {
        strcat(folder, "/calibration");
        memcpy(path, folder, sizeof folder);
    }
}

static void find_file(const struct ww_context *context, char path[PATH_BYTES])
{
    const char *file = context->settings.values.calibration_file;
    path[0] = '\0';
    if (context->world.rank != 0 || file == NULL || strcmp(file, NO_FILE) == 0) {
        return;
    }
    if (strcmp(file, AUTOMATIC_FILE) == 0) {
        find_in_cache(path);
    } else {
        snprintf(path, PATH_BYTES, "%s", file);
    }
}

/* ---- What earlier measurements must have in common with these ---------------------------------
 */

/* Another word whenever what is measured changes, so that older files do not count. */
#define MEASURED_HOW "pings stay awake"

static uint64_t mix(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t fingerprint(const struct ww_context *context)
{
    const struct topology *topology = &context->topology;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    hash = mix(hash, WW_VERSION_TEXT, sizeof WW_VERSION_TEXT);
    hash = mix(hash, MEASURED_HOW, sizeof MEASURED_HOW);
    hash = mix(hash, context->fabric_name, strlen(context->fabric_name));
    hash = mix(hash, topology->port_name, strlen(topology->port_name));
    hash = mix(hash, context->settings.shape, strlen(context->settings.shape));
    hash = mix(hash, &topology->size, sizeof topology->size);
    hash = mix(hash, &topology->cores, sizeof topology->cores);
    hash = mix(hash, &topology->cache_bytes, sizeof topology->cache_bytes);
    hash = mix(hash, &topology->port_gbit_s, sizeof topology->port_gbit_s);
    for (int level = 0; level + 1 < topology->levels; level++) {
        hash = mix(hash, topology->unit[level], (size_t)topology->size * sizeof(int));
    }
    return hash;
}

/* ---- Learning -------------------------------------------------------------------------------- */

/* Pings that nap make each other nap: the answer to one that woke late finds the other asleep, and
 * all take a nap instead of what the wire takes (54 us, not 9). So nobody naps before the other's
 * nap is over. */
static void spend_moment(void *waiter, enum ww_wait wait, uint64_t moves)
{
    patience_spend(waiter, (struct pulse){wait, moves});
}

/* Under deterministic=plan choices must not depend on what a measurement happened to give. */
static bool wants_measuring(const struct ww_context *context)
{
    const struct ww_config *config = &context->settings.values;
    bool several_ways = context->topology.hosts > 1 || context->topology.host_levels > 1;
    return config->calibrate_s > 0 && context->world.size > 1 &&
           config->deterministic == WW_DETERMINISTIC_OFF &&
           (config->calibrate == WW_CALIBRATE_ALWAYS ||
            (config->calibrate == WW_CALIBRATE_AUTO && several_ways));
}

static bool sees_host(const struct ww_context *context, void *fabric)
{
    const struct ww_transport *transport = context->transport;
    return transport->area != NULL && transport->area(fabric, context->world.rank) != NULL;
}

enum ww_status context_learn_wires(struct ww_context *context, void *fabric)
{
    char file[PATH_BYTES];
    struct patience patience = {.crowded = context->crowded, .awake_ns = PINGS_AWAKE_NS};
    context->wires = wires_assumed(&context->topology);
    wires_share_cores(&context->wires, context->topology.fullest);
    context->measures = wants_measuring(context);
    if (!context->measures) {
        return WW_OK;
    }
    find_file(context, file);
    struct calibration_setup setup = {.world = &context->world,
                                      .votes = context->votes,
                                      .topology = &context->topology,
                                      .transport = context->transport,
                                      .fabric = fabric,
                                      .budget_s = (1 - TRIAL_SHARE) *
                                                  context->settings.values.calibrate_s,
                                      .timeout_s = context->settings.values.timeout_s,
                                      .seen = sees_host(context, fabric),
                                      .file = file,
                                      .fingerprint = fingerprint(context),
                                      .clock_ns = clock_now_ns,
                                      .core_ns = clock_core_ns,
                                      .sum = context->kernels.reduce[WW_F32][WW_SUM],
                                      .wait = spend_moment,
                                      .waiter = &patience};
    return calibrate(&setup, &context->wires, &context->calibration);
}

/* ---- Choosing -------------------------------------------------------------------------------- */

static enum ww_status make_selector(struct ww_context *context, const struct wires *wires)
{
    const struct ww_config *config = &context->settings.values;
    struct selector_setup setup = {
        .topology = &context->topology,
        .sight = context->sight,
        .wires = wires,
        .settings = {config->algorithm, config->segment_bytes, config->segments_in_flight}};
    selector_destroy(context->selector);
    context->selector = NULL;
    return selector_create(&setup, &context->selector);
}

enum ww_status context_choose(struct ww_context *context)
{
    return make_selector(context, &context->wires);
}

enum ww_status context_agree_choices(struct ww_context *context)
{
    char summary[SUMMARY_BYTES];
    bool same = true;
    enum ww_status status = WW_OK;
    if (context->world.size > 1) {
        selector_describe(context->selector, summary, sizeof summary);
        status = topology_agree(&context->world, &context->topology, "choice of algorithms",
                                selector_hash(context->selector), summary, context->votes, &same);
    }
    if (status == WW_OK && !same) {
        status = make_selector(context, NULL); /* all together: fixed rules need no prices */
    }
    return status;
}

void context_announce_wires(const struct ww_context *context)
{
    const struct topology *topology = &context->topology;
    const struct link *link = &context->wires.link[topology->levels - 1];
    const struct calibration *calibration = &context->calibration;
    char how[64];
    char choices[SUMMARY_BYTES];
    if (topology->hosts == 1) {
        return;
    }
    snprintf(how, sizeof how, "%s", cost_source_names[link->source]);
    if (link->source == COST_MEASURED) {
        snprintf(how, sizeof how, "%s in %.0f ms",
                 calibration->from_file ? "measured earlier, checked" : "measured",
                 calibration->spent_s * 1e3);
    }
    selector_describe(context->selector, choices, sizeof choices);
    log_info(
        "%s: %.3g Gbit/s through a %s's ports, %.3g us one way (%s, +- %.0f %%); all-reduce: %s",
        link->name, 8e-9 / link->port_byte_s,
        topology->levels > 1 ? topology->level_name[topology->levels - 2] : "rank",
        link->flow.fixed_s * 1e6, how, 100 * link->spread, choices);
}
