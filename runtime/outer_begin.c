/* SPDX-License-Identifier: BSD-3-Clause
 * outer_begin.c: begins and ends local steps: checks the settings, agrees on them with all ranks,
 * finds memory, and a context and a thread for what goes on beside them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "internal/memory.h"
#include "outer.h"

#define STEPS_MOST UINT64_C(1000000000)
#define FRAGMENTS_MOST 4096
#define RATE_MOST 100

static const struct call_purpose purpose = {"ww_outer_create", GATE_LABEL_OUTER};

/* ---- Checking ------------------------------------------------------------------------------- */

/* False for a NaN. */
static bool within(double value, double least, double below)
{
    return value >= least && value < below;
}

static enum ww_status check_numbers(const struct ww_outer_config *config)
{
    if (config->local_steps < 1 || config->local_steps > STEPS_MOST) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got %" PRIu64 " local_steps; it must be 1 to %" PRIu64,
                           config->local_steps, STEPS_MOST);
    }
    if (!(config->rate > 0 && config->rate <= RATE_MOST)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got the rate %g; it must be more than 0, at most %d",
                           config->rate, RATE_MOST);
    }
    if (!within(config->momentum, 0, 1)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got the momentum %g; it must be 0 to less than 1",
                           config->momentum);
    }
    if (!within(config->mix, 0, 1)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got the mix %g; it must be 0 to less than 1: at 1 no "
                           "rank would ever take a result",
                           config->mix);
    }
    if (config->delay >= config->local_steps) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got a delay of %" PRIu64 " steps with %" PRIu64
                           " local_steps: a part must be back before it leaves again; give 0 to "
                           "%" PRIu64,
                           config->delay, config->local_steps, config->local_steps - 1);
    }
    if (config->weights != WW_OUTER_UNIFORM && config->weights != WW_OUTER_BY_STEPS) {
        return log_failure(WW_BAD_ARGUMENT, "ww_outer_create got unknown weights %d (0 to 1 exist)",
                           (int)config->weights);
    }
    return WW_OK;
}

static enum ww_status check_fragments(const struct ww_outer_config *config, size_t count)
{
    uint64_t most = config->local_steps < FRAGMENTS_MOST ? config->local_steps : FRAGMENTS_MOST;
    most = count < most ? count : most;
    if (config->fragments < 1 || (uint64_t)config->fragments > most) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got %d fragments; with %" PRIu64 " local_steps and %zu "
                           "parameters it must be 1 to %" PRIu64,
                           config->fragments, config->local_steps, count, most);
    }
    return WW_OK;
}

static enum ww_status check_codec(const char *text, struct codec_spec *codec)
{
    if (text != NULL && strcmp(text, "auto") == 0) {
        return log_failure(
            WW_BAD_ARGUMENT,
            "ww_outer_create got the codec \"auto\", which chooses by how long calls "
            "take, and so would make results depend on it: name one, \"int8\" say");
    }
    if (text != NULL && strlen(text) >= OUTER_CODEC_BYTES) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_create got a codec of %zu bytes; %d are allowed", strlen(text),
                           OUTER_CODEC_BYTES - 1);
    }
    return menu_parse_codec(text, "ww_outer_create", codec);
}

static enum ww_status count_elements(const struct ww_outer_region *regions, size_t region_count,
                                     size_t *count)
{
    *count = 0;
    for (size_t r = 0; r < region_count; r++) {
        const struct ww_outer_region *region = &regions[r];
        if (region->count > 0 && (region->values == NULL || (uintptr_t)region->values % 4 != 0)) {
            return log_failure(WW_BAD_ARGUMENT,
                               "ww_outer_create got %p for region %zu of %zu elements; it must be "
                               "memory aligned to 4 bytes",
                               (void *)region->values, r, region->count);
        }
        if (__builtin_add_overflow(*count, region->count, count) ||
            *count > PTRDIFF_MAX / sizeof(float)) {
            return log_failure(WW_BAD_ARGUMENT,
                               "ww_outer_create got regions of more elements than memory can hold");
        }
    }
    return WW_OK;
}

/* A region with elements, and its number. */
struct placed {
    float *values;
    size_t count;
    size_t number;
};

static int by_place(const void *one, const void *other)
{
    uintptr_t a = (uintptr_t)((const struct placed *)one)->values;
    uintptr_t b = (uintptr_t)((const struct placed *)other)->values;
    return (a > b) - (a < b);
}

static enum ww_status check_neighbours(const struct placed *sorted, size_t count)
{
    for (size_t p = 1; p < count; p++) {
        const struct placed *below = &sorted[p - 1], *above = &sorted[p];
        uintptr_t apart = (uintptr_t)above->values - (uintptr_t)below->values;
        if (apart < below->count * sizeof(float)) {
            return log_failure(WW_BAD_ARGUMENT,
                               "ww_outer_create got regions that overlap: %zu has %zu elements at "
                               "%p, and %zu begins at %p; a parameter belongs to one of them",
                               below->number, below->count, (void *)below->values, above->number,
                               (void *)above->values);
        }
    }
    return WW_OK;
}

static enum ww_status check_overlaps(const struct ww_outer_region *regions, size_t region_count)
{
    struct placed *sorted = calloc(region_count, sizeof *sorted);
    size_t count = 0;
    if (sorted == NULL) {
        return log_failure(WW_NO_MEMORY, "ww_outer_create has no memory to look at %zu regions",
                           region_count);
    }
    for (size_t r = 0; r < region_count; r++) {
        if (regions[r].count > 0) {
            sorted[count++] = (struct placed){regions[r].values, regions[r].count, r};
        }
    }
    qsort(sorted, count, sizeof *sorted, by_place);
    enum ww_status status = check_neighbours(sorted, count);
    free(sorted);
    return status;
}

static enum ww_status check(const struct ww_outer_config *config,
                            const struct ww_outer_region *regions, size_t region_count,
                            struct ww_outer *sketch)
{
    if (config == NULL || config->struct_bytes != sizeof *config) {
        return log_failure(WW_BAD_ARGUMENT, "ww_outer_create got %s",
                           config == NULL ? "NULL for its settings"
                                          : "settings that were not made by WW_OUTER_INIT");
    }
    if (regions == NULL || region_count == 0) {
        return log_failure(WW_BAD_ARGUMENT, "ww_outer_create got no region of parameters");
    }
    enum ww_status status = count_elements(regions, region_count, &sketch->count);
    if (status == WW_OK && sketch->count == 0) {
        status = log_failure(WW_BAD_ARGUMENT, "ww_outer_create got regions without any element");
    }
    if (status == WW_OK) {
        status = check_overlaps(regions, region_count);
    }
    if (status == WW_OK) {
        status = check_numbers(config);
    }
    if (status == WW_OK) {
        status = check_fragments(config, sketch->count);
    }
    return status == WW_OK ? check_codec(config->codec, &sketch->codec) : status;
}

/* ---- Memory --------------------------------------------------------------------------------- */

static float *zeros(size_t count)
{
    float *values = memory_reserve(count * sizeof *values);
    if (values != NULL) {
        memset(values, 0, count * sizeof *values);
    }
    return values;
}

static bool reserve_vectors(struct ww_outer *outer)
{
    bool coded = outer->codec.kind != CODEC_NONE && outer->context->world.size > 1;
    bool moved = outer->config.momentum > 0;
    outer->start = zeros(outer->count);
    outer->velocity = moved ? zeros(outer->count) : NULL;
    outer->residual = coded ? zeros(outer->count) : NULL;
    return outer->start != NULL && (!moved || outer->velocity != NULL) &&
           (!coded || outer->residual != NULL);
}

/* Where the parts of a vector lie, and when each leaves. */
static void cut(struct ww_outer *outer)
{
    size_t parts = (size_t)outer->config.fragments;
    size_t each = outer->count / parts;
    size_t rest = outer->count % parts; /* the first so many have one more */
    size_t first = 0;
    for (size_t f = 0; f < parts; f++) {
        struct fragment *fragment = &outer->fragments[f];
        fragment->index = (int)f;
        fragment->first = first;
        fragment->count = each + (f < rest);
        fragment->turn = outer->config.local_steps * (f + 1) / parts;
        first += fragment->count;
    }
}

static void keep_regions(struct ww_outer *outer, const struct ww_outer_region *regions)
{
    size_t first = 0;
    for (size_t r = 0; r < outer->region_count; r++) {
        outer->regions[r] = (struct region){regions[r].values, first, regions[r].count};
        first += regions[r].count;
    }
}

static enum ww_status take_memory(struct ww_outer *outer, const struct ww_outer_region *regions)
{
    size_t words = (size_t)outer->context->world.size * OUTER_VOTE_WORDS;
    outer->regions = calloc(outer->region_count, sizeof *outer->regions);
    outer->fragments = calloc((size_t)outer->config.fragments, sizeof *outer->fragments);
    outer->votes = calloc(words, sizeof *outer->votes);
    if (outer->regions == NULL || outer->fragments == NULL || outer->votes == NULL ||
        !reserve_vectors(outer)) {
        return log_failure(WW_NO_MEMORY,
                           "ww_outer_create has no memory for the start, momentum and residual of "
                           "%zu parameters",
                           outer->count);
    }
    keep_regions(outer, regions);
    cut(outer);
    return WW_OK;
}

static void free_outer(struct ww_outer *outer)
{
    size_t bytes = outer->count * sizeof(float);
    outer_forget(outer);
    courier_stop(outer->courier);
    if (outer->carrier != NULL && outer->delta != NULL) {
        ww_free(outer->carrier, outer->delta);
    }
    ww_context_destroy(outer->own);
    memory_release(outer->start, bytes);
    memory_release(outer->velocity, bytes);
    memory_release(outer->residual, bytes);
    free(outer->votes);
    free(outer->fragments);
    free(outer->regions);
    free(outer);
}

/* ---- Agreeing ------------------------------------------------------------------------------- */

/* What must be the same on all ranks; words, so that they travel as such. */
enum agreed {
    WORD_STATUS, /* of the rank's own preparations */
    WORD_COUNT,
    WORD_LOCAL_STEPS,
    WORD_DENSE_STEPS,
    WORD_FRAGMENTS,
    WORD_DELAY,
    WORD_WEIGHTS,
    WORD_NESTEROV,
    WORD_RATE, /* from here on the bits of a double */
    WORD_MOMENTUM,
    WORD_MIX,
    WORD_CODEC, /* from here on what codec_print writes */
    WORDS = WORD_CODEC + OUTER_CODEC_BYTES / 8
};

static int64_t bits_of(double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void fill_words(const struct ww_outer *outer, enum ww_status status, int64_t *words)
{
    const struct ww_outer_config *config = &outer->config;
    words[WORD_STATUS] = status;
    words[WORD_COUNT] = (int64_t)outer->count;
    words[WORD_LOCAL_STEPS] = (int64_t)config->local_steps;
    words[WORD_DENSE_STEPS] = (int64_t)config->dense_steps;
    words[WORD_FRAGMENTS] = config->fragments;
    words[WORD_DELAY] = (int64_t)config->delay;
    words[WORD_WEIGHTS] = config->weights;
    words[WORD_NESTEROV] = config->nesterov;
    words[WORD_RATE] = bits_of(config->rate);
    words[WORD_MOMENTUM] = bits_of(config->momentum);
    words[WORD_MIX] = bits_of(config->mix);
    memcpy(&words[WORD_CODEC], outer->codec_name, OUTER_CODEC_BYTES);
}

static void print_word(const int64_t *words, int word, char *text, size_t bytes)
{
    double value;
    if (word >= WORD_CODEC) {
        snprintf(text, bytes, "%.*s", OUTER_CODEC_BYTES, (const char *)&words[WORD_CODEC]);
    } else if (word >= WORD_RATE) {
        memcpy(&value, &words[word], sizeof value);
        snprintf(text, bytes, "%.17g", value);
    } else {
        snprintf(text, bytes, "%" PRId64, words[word]);
    }
}

/* All ranks see the same words, so all of them come to the same end. */
static enum ww_status compare_words(struct ww_context *context, const int64_t *words, int rank)
{
    static const char *const names[] = {"",          "parameters", "local_steps", "dense_steps",
                                        "fragments", "delay",      "weights",     "nesterov",
                                        "rate",      "momentum",   "mix",         "codec"};
    const int64_t *theirs = words + (size_t)rank * WORDS;
    if (theirs[WORD_STATUS] != WW_OK && rank != context->world.rank) {
        return context_fail(context,
                            log_failure(WW_PEER_FAILED,
                                        "ww_outer_create: rank %d reports %s: read its own "
                                        "error",
                                        rank, ww_status_name((enum ww_status)theirs[WORD_STATUS])));
    }
    for (int word = WORD_COUNT; word < WORDS; word++) {
        if (theirs[word] != words[word]) {
            char here[OUTER_CODEC_BYTES + 1];
            char there[OUTER_CODEC_BYTES + 1];
            print_word(theirs, word, here, sizeof here);
            print_word(words, word, there, sizeof there);
            return context_fail(context,
                                log_failure(WW_MISMATCH,
                                            "ww_outer_create: %s is %s on rank %d, %s on rank 0: "
                                            "all ranks must have the same",
                                            names[word < WORD_CODEC ? word : WORD_CODEC], here,
                                            rank, there));
        }
    }
    return WW_OK;
}

static enum ww_status agree(struct ww_outer *outer, enum ww_status own)
{
    struct ww_context *context = outer->context;
    int64_t mine[WORDS] = {0};
    int64_t *all = calloc((size_t)context->world.size, sizeof mine);
    if (all == NULL) {
        return context_break(context, log_failure(WW_NO_MEMORY, "no memory to agree on settings"),
                             NULL);
    }
    fill_words(outer, own, mine);
    enum ww_status status = call_gather(context, &purpose, mine, all, sizeof mine);
    for (int rank = 0; rank < context->world.size && status == WW_OK; rank++) {
        status = compare_words(context, all, rank);
    }
    free(all);
    return own != WW_OK ? context_fail(context, own) : status;
}

/* ---- Beside local steps --------------------------------------------------------------------- */

/* Settings as the program's context has them, without what steps would do. */
static enum ww_status make_own_context(struct ww_outer *outer)
{
    struct ww_config config = outer->context->settings.values;
    config.progress = WW_PROGRESS_INLINE;
    config.codec = "none";
    config.momentum = 0;
    config.ledger = NULL;
    config.metrics = NULL;
    config.trace = NULL;
    enum ww_status status = ww_context_create(&outer->context->given, &config, &outer->own);
    return status == WW_OK ? WW_OK : context_fail(outer->context, status);
}

/* Without a thread exchanges are made where they are sent: results are the same. */
static enum ww_status start_thread(struct ww_outer *outer)
{
    enum ww_progress wish = outer->context->settings.values.progress;
    const char *trouble = wish == WW_PROGRESS_INLINE ? "progress=inline"
                                                     : context_thread_trouble(outer->own, false);
    if (trouble == NULL) {
        return courier_start(outer, wish == WW_PROGRESS_THREAD, &outer->courier);
    }
    if (outer->context->world.rank == 0) {
        log_warn("ww_outer_create: local steps wait for exchanges in spite of delay %" PRIu64
                 ", as no thread may make them: %s",
                 outer->config.delay, trouble);
    }
    return WW_OK;
}

static enum ww_status make_carrier(struct ww_outer *outer)
{
    enum ww_status status;
    void *memory = NULL;
    outer->carrier = outer->context;
    if (outer->config.delay > 0 && outer->context->world.size > 1) {
        status = make_own_context(outer);
        if (status != WW_OK) {
            return status; /* on all ranks alike */
        }
        outer->carrier = outer->own;
    }
    status = ww_alloc(outer->carrier, outer->count * sizeof(float), &memory);
    outer->delta = memory;
    if (status == WW_OK && outer->own != NULL) {
        status = start_thread(outer);
    }
    return status == WW_OK ? WW_OK : context_break(outer->context, status, NULL);
}

/* Rank 0's parameters become everybody's. */
static enum ww_status share_start(struct ww_outer *outer)
{
    for (size_t r = 0; r < outer->region_count; r++) {
        const struct region *region = &outer->regions[r];
        if (region->count > 0) {
            memcpy(outer->start + region->first, region->values, region->count * sizeof(float));
        }
    }
    return ww_broadcast(outer->context, outer->start, outer->count, WW_F32, 0);
}

/* ---- Doors ---------------------------------------------------------------------------------- */

static struct ww_outer *sketch_out(struct ww_context *context, const struct ww_outer_config *config,
                                   size_t region_count, const struct ww_outer *checked)
{
    struct ww_outer *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    made->context = context;
    made->config = *config;
    made->region_count = region_count;
    made->count = checked->count;
    made->codec = checked->codec;
    made->dense_left = config->dense_steps;
    made->settled = true;
    made->latest = (struct ww_outer_report)WW_OUTER_REPORT_INIT;
    codec_print(&made->codec, made->codec_name, sizeof made->codec_name);
    made->config.codec = made->codec_name;
    return made;
}

/* Its file would be taken for a run that sent nothing. */
static void tell_of_ledger(const struct ww_context *context)
{
    if (context->world.rank == 0 && context->settings.values.ledger != NULL) {
        log_info("ww_outer_create: the ledger records what ww_step_end sends; what exchanges of "
                 "local steps send stands in their own reports (struct ww_outer_report)");
    }
}

enum ww_status ww_outer_create(struct ww_context *context, const struct ww_outer_config *config,
                               const struct ww_outer_region *regions, size_t region_count,
                               struct ww_outer **outer)
{
    struct ww_outer checked = {0};
    enum ww_status status = context_check(context, "ww_outer_create");
    if (status != WW_OK) {
        return status;
    }
    if (outer == NULL) {
        status = log_failure(WW_BAD_ARGUMENT, "ww_outer_create got NULL for where to put it");
    } else {
        status = check(config, regions, region_count, &checked);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    struct ww_outer *made = sketch_out(context, config, region_count, &checked);
    if (made == NULL) {
        return context_break(context, log_failure(WW_NO_MEMORY, "no memory for ww_outer_create"),
                             NULL);
    }
    status = agree(made, take_memory(made, regions));
    if (status == WW_OK) {
        status = share_start(made);
    }
    if (status == WW_OK) {
        status = make_carrier(made);
    }
    if (status != WW_OK) {
        free_outer(made);
        return status;
    }
    outer_adopt_all(made);
    tell_of_ledger(context);
    *outer = made;
    return WW_OK;
}

void ww_outer_destroy(struct ww_outer *outer)
{
    if (outer == NULL || context_is_parents(outer->context)) {
        return; /* the parent's thread does not exist here */
    }
    enum ww_status failure = (enum ww_status)atomic_load(&outer->context->failure);
    if (failure != WW_OK && outer->own != NULL && atomic_load(&outer->own->failure) == WW_OK) {
        /* Nobody is waited for then. Peers are told this thread's latest sentence, and what broke
         * the program's context may be another thread's. */
        log_failure(failure, "ww_outer_destroy: %s", ww_last_error(outer->context));
        context_break(outer->own, failure, NULL);
    }
    free_outer(outer);
}

const float *ww_outer_start(const struct ww_outer *outer)
{
    return outer == NULL ? NULL : outer->start;
}

const float *ww_outer_residual(const struct ww_outer *outer)
{
    return outer == NULL ? NULL : outer->residual;
}
