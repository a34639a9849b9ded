/* SPDX-License-Identifier: BSD-3-Clause
 * predict.c: what collectives will take, and how to make them run so. */
#include <wirewise/tools.h>

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "context.h"

#define SUMMARY_BYTES 512

static enum ww_status check(struct ww_context *context, const char *collective, size_t count,
                            enum ww_type type, const struct ww_prediction *prediction,
                            struct wish *wish)
{
    enum ww_status status = context_check(context, "ww_predict");
    if (status != WW_OK) {
        return status;
    }
    if (prediction == NULL || prediction->struct_bytes != sizeof *prediction) {
        return log_failure(WW_BAD_ARGUMENT, "ww_predict got no prediction that was made by "
                                            "WW_PREDICTION_INIT");
    }
    if ((unsigned)type >= WW_TYPE_COUNT) {
        return log_failure(WW_BAD_ARGUMENT, "ww_predict got unknown type %d", (int)type);
    }
    wish->type = type;
    status = select_collective(collective, &wish->collective);
    if (status == WW_OK && count > SIZE_MAX / ww_type_bytes(type) / (size_t)context->world.size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_predict got %zu elements for each of %d ranks: no memory holds them",
                           count, context->world.size);
    }
    return status;
}

static void say_limit(const struct ww_context *context, const struct price *price, char *text,
                      size_t bytes)
{
    const char *level = context->topology.level_name[price->limit_level];
    switch (price->limit) {
    case LIMIT_WIRE:
        snprintf(text, bytes, "%s ports", level);
        break;
    case LIMIT_CORES:
        snprintf(text, bytes, "cores");
        break;
    default:
        snprintf(text, bytes, "%s latency", level);
    }
}

/* The one that is chosen; or candidate `which`, then the announcement where it serves.
 * WW_BAD_ARGUMENT behind the last. */
static enum ww_status find_choice(struct ww_context *context, const struct wish *wish, int which,
                                  struct choice *choice)
{
    int candidates = selector_candidates(context->selector, wish);
    if (which >= 0 && which < candidates) {
        return selector_candidate(context->selector, wish, which, choice);
    }
    if (which < 0) {
        *choice = selector_choose(context->selector, wish);
        return WW_OK;
    }
    bool known = which == candidates && selector_announcement(context->selector, wish, choice);
    return known ? WW_OK : WW_BAD_ARGUMENT;
}

enum ww_status ww_predict(struct ww_context *context, const char *collective, size_t count,
                          enum ww_type type, int which, struct ww_prediction *prediction)
{
    struct wish wish = {.bytes = 0};
    struct choice choice;
    struct price price;
    enum ww_status status = check(context, collective, count, type, prediction, &wish);
    if (status != WW_OK) {
        return context == NULL ? status : context_fail(context, status);
    }
    wish = wish_of(wish.collective, count, type, 0, context->world.size);
    status = find_choice(context, &wish, which, &choice);
    if (status == WW_BAD_ARGUMENT) {
        return status;
    }
    if (status == WW_OK) {
        status = selector_price(context->selector, &wish, &choice, &price);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    struct ww_prediction made = {.struct_bytes = sizeof made,
                                 .segment_bytes = choice.segment_bytes,
                                 .window = choice.window,
                                 .seconds = price.seconds,
                                 .least_s = price.least_s,
                                 .most_s = price.most_s};
    way_name(&choice, made.algorithm, sizeof made.algorithm);
    say_limit(context, &price, made.limit, sizeof made.limit);
    *prediction = made;
    return WW_OK;
}

/* ---- Following ------------------------------------------------------------------------------- */

static enum ww_status parse_way(const struct ww_context *context,
                                const struct ww_prediction *prediction, struct choice *choice)
{
    enum nesting nesting;
    const struct algorithm *algorithm = select_parse(prediction->algorithm, &nesting);
    const struct hierarchy *hierarchy = nesting_of(&context->topology, nesting);
    if (algorithm == NULL || (hierarchy != NULL && hierarchy->levels == 0) ||
        prediction->segment_bytes == 0 || prediction->window < 1 ||
        prediction->window > ENGINE_WINDOW_MAX) {
        return log_failure(WW_BAD_ARGUMENT,
                           "no all-reduce can run here as \"%s\" in segments of %zu bytes, %d in "
                           "flight",
                           prediction->algorithm, prediction->segment_bytes, prediction->window);
    }
    *choice = (struct choice){.algorithm = algorithm,
                              .nesting = nesting,
                              .segment_bytes = prediction->segment_bytes,
                              .window = prediction->window};
    return select_check_sight(prediction->algorithm, &context->sight);
}

/* Of few values: more than fit go as they are chosen. */
static enum ww_status parse_announcement(const struct ww_context *context, struct choice *choice)
{
    static const struct wish small = {COLLECTIVE_ALL_REDUCE, 1, WW_F32, 0};
    return selector_announcement(context->selector, &small, choice)
               ? WW_OK
               : log_failure(WW_BAD_ARGUMENT,
                             "no all-reduce can run here as \"%s\": announcements bring no values "
                             "to one rank or to more than %d that do not share a host, nor where a "
                             "way was named",
                             ANNOUNCEMENT, GATE_DIRECT_SIZE);
}

enum ww_status ww_calls_follow(struct ww_context *context, const struct ww_prediction *prediction)
{
    struct choice choice = {.algorithm = NULL};
    enum ww_status status = context_check(context, "ww_calls_follow");
    if (status != WW_OK) {
        return status;
    }
    if (prediction != NULL) {
        bool told = strcmp(prediction->algorithm, ANNOUNCEMENT) == 0;
        status = told ? parse_announcement(context, &choice)
                      : parse_way(context, prediction, &choice);
        if (status != WW_OK) {
            return context_fail(context, status);
        }
    }
    pthread_mutex_lock(&context->calls.lock);
    context->forced = choice;
    context->latest_call.known = false;
    pthread_mutex_unlock(&context->calls.lock);
    return WW_OK;
}

/* ---- Wires ------------------------------------------------------------------------------------
 */

static size_t print_link(const struct ww_context *context, int level, char *text, size_t bytes)
{
    const struct link *link = &context->wires.link[level];
    double port = link->port_byte_s > 0 ? 1e-9 / link->port_byte_s : 0;
    return (size_t)snprintf(text, bytes,
                            "%-8s %-12s latency %8.2f us  flow %8.3f GB/s  port %8.3f GB/s  both "
                            "ways x %.2f  %s +- %.0f %%\n",
                            context->topology.level_name[level], link->name,
                            link->flow.fixed_s * 1e6, 1e-9 / link->flow.byte_s, port, link->duplex,
                            cost_source_names[link->source], 100 * link->spread);
}

static size_t print_memory(const struct memory_cost *memory, char *text, size_t bytes)
{
    return (size_t)snprintf(
        text, bytes,
        "%-8s %-12s await %.2f us  copy %.1f  sum %.1f  far %.1f  ram %.1f GB/s  cache %.0f MiB  "
        "%s +- %.0f %%\n",
        "core", "memory", memory->await_s * 1e6, 1e-9 / memory->copy_byte_s,
        1e-9 / memory->sum_byte_s, 1e-9 / memory->far_byte_s, 1e-9 / memory->ram_byte_s,
        memory->cache_bytes / (1 << 20), cost_source_names[memory->source], 100 * memory->spread);
}

size_t ww_wires_print(const struct ww_context *context, char *text, size_t bytes)
{
    char summary[SUMMARY_BYTES];
    size_t used = 0;
    if (context == NULL) {
        return 0;
    }
    for (int level = 0; level < context->wires.levels; level++) {
        size_t left = used < bytes ? bytes - used : 0;
        used += print_link(context, level, left > 0 ? text + used : NULL, left);
    }
    size_t left = used < bytes ? bytes - used : 0;
    used += print_memory(&context->wires.memory, left > 0 ? text + used : NULL, left);
    left = used < bytes ? bytes - used : 0;
    selector_describe(context->selector, summary, sizeof summary);
    return used + (size_t)snprintf(left > 0 ? text + used : NULL, left, "choice   %s\n", summary);
}

enum ww_status ww_cluster_print(const struct ww_context *context, FILE *to)
{
    if (context == NULL || to == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_cluster_print got no %s",
                           context == NULL ? "context" : "stream");
    }
    return cluster_write(&context->topology, &context->wires, to);
}
