/* SPDX-License-Identifier: BSD-3-Clause
 * outer_state.c: what local steps keep, as bytes for a checkpoint.
 *
 *     head | own steps of each fragment | start | velocity, if any | residual, if any */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "internal/memory.h"
#include "outer.h"

#define STATE_VERSION 1

static const char magic[8] = "WWOUTER"; /* with its 0 */

_Static_assert(sizeof(struct outer_head) == 96 + 7 * 8 + OUTER_CODEC_BYTES,
               "a head has no padding");

/* Where the next bytes of a state go, or come from. */
struct cursor {
    unsigned char *at;
    const unsigned char *from;
};

static void put(struct cursor *cursor, const void *values, size_t bytes)
{
    memcpy(cursor->at, values, bytes);
    cursor->at += bytes;
}

static void get(struct cursor *cursor, void *values, size_t bytes)
{
    memcpy(values, cursor->from, bytes);
    cursor->from += bytes;
}

const char *outer_trouble(const struct ww_outer *outer)
{
    for (int f = 0; f < outer->config.fragments; f++) {
        if (outer->fragments[f].away) {
            return "fragments are in flight: call ww_outer_drain, ww_outer_meet or "
                   "ww_outer_settle first, on all ranks";
        }
    }
    return NULL;
}

static bool is_common(const struct ww_outer *outer)
{
    bool common = (outer->settled || outer->residual == NULL) && outer->clock == 0;
    for (int f = 0; f < outer->config.fragments; f++) {
        common = common && outer->fragments[f].own_steps == 0;
    }
    return common;
}

static enum debt debt_of(const struct ww_outer *outer)
{
    if (outer->residual == NULL) {
        return DEBT_ABSENT;
    }
    return outer->settled ? DEBT_NIL : DEBT_OWED;
}

/* Earlier builds wrote DEBT_OWED wherever there was a vector, also of zeros in a common state. */
static bool owes(const struct outer_head *head)
{
    return head->debt == DEBT_OWED && head->is_common == 0;
}

static size_t state_bytes(uint64_t count, uint64_t fragments, bool velocity, bool residual)
{
    return sizeof(struct outer_head) + fragments * sizeof(uint64_t) +
           count * sizeof(float) * (1U + velocity + residual);
}

size_t ww_outer_state_bytes(const struct ww_outer *outer)
{
    return outer == NULL ? 0
                         : state_bytes(outer->count, (uint64_t)outer->config.fragments,
                                       outer->velocity != NULL, outer->residual != NULL);
}

/* ---- Saving --------------------------------------------------------------------------------- */

static enum ww_status check_use(const struct ww_outer *outer, const void *buffer, const char *call)
{
    if (outer == NULL || buffer == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for %s", call,
                           outer == NULL ? "what ww_outer_create makes" : "the buffer");
    }
    enum ww_status status = context_check(outer->context, call);
    if (status == WW_OK) {
        status = outer->failure;
    }
    const char *trouble = status == WW_OK ? outer_trouble(outer) : NULL;
    if (trouble != NULL) {
        status = context_fail(outer->context,
                              log_failure(WW_BAD_STATE, "%s was called while %s", call, trouble));
    }
    return status;
}

void outer_head_fill(const struct ww_outer *outer, size_t bytes, struct outer_head *head)
{
    *head = (struct outer_head){.version = STATE_VERSION,
                                .rank = outer->context->world.rank,
                                .size = outer->context->world.size,
                                .fragments = outer->config.fragments,
                                .bytes = bytes,
                                .count = outer->count,
                                .local_steps = outer->config.local_steps,
                                .has_velocity = outer->velocity != NULL,
                                .debt = debt_of(outer),
                                .is_common = is_common(outer),
                                .clock = outer->clock,
                                .dense_left = outer->dense_left,
                                .exchanges = outer->exchanges,
                                .sums = outer->sums};
    memcpy(head->magic, magic, sizeof magic);
    memcpy(head->codec, outer->codec_name, sizeof head->codec);
}

enum ww_status ww_outer_state_save(const struct ww_outer *outer, void *buffer, size_t bytes)
{
    static const char call[] = "ww_outer_state_save";
    enum ww_status status = check_use(outer, buffer, call);
    if (status != WW_OK) {
        return status;
    }
    size_t needed = ww_outer_state_bytes(outer);
    if (bytes < needed) {
        return context_fail(outer->context,
                            log_failure(WW_BAD_ARGUMENT, "%s got %zu bytes; the state has %zu",
                                        call, bytes, needed));
    }
    struct outer_head head;
    outer_head_fill(outer, needed, &head);
    struct cursor cursor = {.at = buffer};
    put(&cursor, &head, sizeof head);
    for (int f = 0; f < outer->config.fragments; f++) {
        put(&cursor, &outer->fragments[f].own_steps, sizeof(uint64_t));
    }
    put(&cursor, outer->start, outer->count * sizeof(float));
    if (outer->velocity != NULL) {
        put(&cursor, outer->velocity, outer->count * sizeof(float));
    }
    if (outer->residual != NULL) {
        put(&cursor, outer->residual, outer->count * sizeof(float));
    }
    return WW_OK;
}

/* ---- Loading -------------------------------------------------------------------------------- */

static enum ww_status refuse_bytes(size_t bytes, const char *why)
{
    return log_failure(WW_BAD_ARGUMENT,
                       "ww_outer_state_load got %zu bytes that are no state of local steps: %s",
                       bytes, why);
}

/* Whether the bytes are a whole state that this version reads. */
static enum ww_status check_bytes(const struct outer_head *head, size_t bytes)
{
    if (memcmp(head->magic, magic, sizeof magic) != 0) {
        return refuse_bytes(bytes, "they do not begin as one");
    }
    if (head->version != STATE_VERSION) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_outer_state_load got a state of version %u; this library reads "
                           "version %d",
                           head->version, STATE_VERSION);
    }
    if (head->bytes != bytes) {
        return refuse_bytes(bytes, head->bytes > bytes ? "they are cut" : "there are too many");
    }
    bool sane = head->size >= 1 && head->rank >= 0 && head->rank < head->size &&
                head->fragments >= 1 && head->has_velocity <= 1 && head->debt <= DEBT_NIL &&
                head->count <= bytes / sizeof(float) && head->fragments <= (int64_t)bytes &&
                memchr(head->codec, '\0', sizeof head->codec) != NULL &&
                bytes == state_bytes(head->count, (uint64_t)head->fragments,
                                     head->has_velocity != 0, head->debt != DEBT_ABSENT);
    return sane ? WW_OK : refuse_bytes(bytes, "its head contradicts itself");
}

/* Always false. */
static bool differs(const char *what, uint64_t there, uint64_t here, char *why, size_t bytes)
{
    snprintf(why, bytes,
             "holds %" PRIu64 " %s, but there are %" PRIu64 " here: create it with the settings "
             "that it was saved with",
             there, what, here);
    return false;
}

static bool sizes_fit(const struct ww_outer *outer, const struct outer_head *head, char *why,
                      size_t bytes)
{
    if (head->count != outer->count) {
        return differs("parameters", head->count, outer->count, why, bytes);
    }
    if (head->fragments != outer->config.fragments) {
        return differs("fragments", (uint64_t)head->fragments, (uint64_t)outer->config.fragments,
                       why, bytes);
    }
    return head->local_steps == outer->config.local_steps ||
           differs("local_steps", head->local_steps, outer->config.local_steps, why, bytes);
}

bool outer_head_fits(const struct ww_outer *outer, const struct outer_head *head,
                     bool serves_others, char *why, size_t bytes)
{
    const struct ww_world *world = &outer->context->world;
    bool is_own = head->size == world->size && head->rank == world->rank;
    if (head->version != STATE_VERSION) {
        snprintf(why, bytes, "is of version %u; this library reads version %d", head->version,
                 STATE_VERSION);
        return false;
    }
    if (!sizes_fit(outer, head, why, bytes)) {
        return false;
    }
    *why = '\0';
    if (head->has_velocity != 0 && outer->velocity == NULL) {
        snprintf(why, bytes, "holds outer momentum, which settings with momentum 0 would lose");
    } else if (head->is_common == 0 && !serves_others && !is_own) {
        snprintf(why, bytes,
                 "is of rank %d of %d, this is rank %d of %d, and it holds what belongs to that "
                 "rank: call ww_outer_settle right before saving one for other ranks",
                 head->rank, head->size, world->rank, world->size);
    } else if (owes(head) && strcmp(head->codec, outer->codec_name) != 0) {
        snprintf(why, bytes,
                 "holds what the codec \"%s\" kept back, which \"%s\" does not take: give the "
                 "former, or call ww_outer_settle right before saving",
                 head->codec, outer->codec_name);
    } else if (owes(head) && outer->residual == NULL) {
        snprintf(why, bytes,
                 "holds what the codec \"%s\" kept back on %d ranks, and one rank alone encodes "
                 "nothing: take two or more, or call ww_outer_settle right before saving",
                 head->codec, head->size);
    }
    return *why == '\0';
}

void outer_head_take(struct ww_outer *outer, const struct outer_head *head)
{
    outer->clock = head->clock;
    outer->dense_left = head->dense_left;
    outer->exchanges = head->exchanges;
    outer->settled = !owes(head);
}

static void take_vector(struct cursor *cursor, bool is_there, float *vector, size_t count)
{
    size_t bytes = count * sizeof *vector;
    if (vector != NULL && is_there) {
        memory_copy(vector, cursor->from, bytes);
    } else if (vector != NULL) {
        memset(vector, 0, bytes);
    }
    cursor->from += is_there ? bytes : 0;
}

static void take_state(struct ww_outer *outer, const struct outer_head *head, struct cursor *cursor)
{
    for (int f = 0; f < outer->config.fragments; f++) {
        get(cursor, &outer->fragments[f].own_steps, sizeof(uint64_t));
    }
    get(cursor, outer->start, outer->count * sizeof(float));
    take_vector(cursor, head->has_velocity != 0, outer->velocity, outer->count);
    take_vector(cursor, head->debt != DEBT_ABSENT, outer->residual, outer->count);
    outer->sums = head->sums;
    outer_head_take(outer, head);
}

enum ww_status ww_outer_state_load(struct ww_outer *outer, const void *buffer, size_t bytes)
{
    enum ww_status status = check_use(outer, buffer, "ww_outer_state_load");
    if (status != WW_OK) {
        return status;
    }
    struct outer_head head;
    if (bytes < sizeof head) {
        return context_fail(outer->context, refuse_bytes(bytes, "they are too few"));
    }
    struct cursor cursor = {.from = buffer};
    get(&cursor, &head, sizeof head);
    status = check_bytes(&head, bytes);
    char why[512];
    if (status == WW_OK && !outer_head_fits(outer, &head, false, why, sizeof why)) {
        status = log_failure(WW_MISMATCH, "ww_outer_state_load got a state that %s", why);
    }
    if (status != WW_OK) {
        return context_fail(outer->context, status);
    }
    take_state(outer, &head, &cursor);
    return WW_OK;
}
