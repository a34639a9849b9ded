/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_restore.c: what ranks had kept, out of shards, for a rank of perhaps another number of
 * them: read aside, then taken over at once. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "device.h"
#include "internal/cpu.h"
#include "internal/memory.h"

#define PART_COUNT ((size_t)1 << 18) /* elements added at once */

/* ---- Loading: counters, order, places --------------------------------------------------- */

static enum fault lacks(const struct shard *shard, struct reason *reason, const char *what)
{
    return reason_set(reason, FAULT_DAMAGED, "%.400s is damaged: its %s cannot be right",
                      shard->path, what);
}

static enum fault read_state(struct restored *restored, const struct ww_context *context,
                             const struct shard *shard, struct reason *reason)
{
    uint8_t words[8 * STATE_WORDS];
    static const char *const ops[] = {"sum", "mean"};
    const struct shard_section *section = shard_find(shard, SECTION_STATE, "");
    if (section == NULL || section->bytes != sizeof words) {
        return lacks(shard, reason, "state");
    }
    enum fault fault = shard_read(shard, section, 0, words, sizeof words, reason);
    for (int i = 0; i < STATE_WORDS && fault == FAULT_NONE; i++) {
        restored->state[i] = get_u64(words + 8 * i);
    }
    if (fault != FAULT_NONE) {
        return fault;
    }
    uint64_t op = restored->state[STATE_OP];
    enum ww_op here = context->settings.values.gradient_op;
    if (op != (uint64_t)here) {
        return reason_set(
            reason, FAULT_OTHER,
            "%.400s is of a training with gradient_op %s, here it is %s: what is owed "
            "would not be the same",
            shard->path, op < 2 ? ops[op] : "unknown", ops[here == WW_MEAN]);
    }
    return FAULT_NONE;
}

/* The order is taken where it is one of these buckets. */
static enum fault read_order(struct restored *restored, const struct ww_context *context,
                             const struct shard *shard, struct reason *reason)
{
    int count = context->bucket_count;
    const struct shard_section *section = shard_find(shard, SECTION_ORDER, "");
    if (section == NULL || section->bytes != (uint64_t)count * 4) {
        return FAULT_NONE; /* other buckets: the usual order */
    }
    uint8_t *bytes = malloc((size_t)count * 4 + 1);
    bool *seen = calloc((size_t)count + 1, sizeof *seen);
    restored->order = calloc((size_t)count + 1, sizeof *restored->order);
    enum fault fault = FAULT_NONE;
    if (bytes == NULL || seen == NULL || restored->order == NULL) {
        fault = reason_set(reason, FAULT_MEMORY, "no memory for an order of %d buckets", count);
    } else {
        fault = shard_read(shard, section, 0, bytes, (size_t)count * 4, reason);
    }
    for (int i = 0; i < count && fault == FAULT_NONE; i++) {
        uint32_t bucket = get_u32(bytes + 4 * i);
        if (bucket >= (uint32_t)count || seen[bucket]) {
            fault = lacks(shard, reason, "order of buckets");
        } else {
            seen[bucket] = true;
            restored->order[i] = (int)bucket;
        }
    }
    free(bytes);
    free(seen);
    return fault;
}

/* The places of a shard, checked against the sections that they describe. NULL after a fault. */
static uint8_t *read_places(const struct ww_context *context, const struct shard *shard,
                            struct reason *reason)
{
    size_t bytes = (size_t)context->tensor_count * PLACE_BYTES;
    const struct shard_section *section = shard_find(shard, SECTION_PLACES, "");
    const struct shard_section *residuals = shard_find(shard, SECTION_RESIDUALS, "");
    const struct shard_section *momenta = shard_find(shard, SECTION_MOMENTA, "");
    uint64_t kept[2] = {0, 0};
    uint8_t *places = malloc(bytes + 1);
    if (places == NULL) {
        reason_set(reason, FAULT_MEMORY, "no memory for places");
        return NULL;
    }
    enum fault fault = section == NULL || section->bytes != bytes
                           ? lacks(shard, reason, "places")
                           : shard_read(shard, section, 0, places, bytes, reason);
    const uint8_t *place = places;
    for (const struct ww_tensor *t = context->tensors; t != NULL && fault == FAULT_NONE;
         t = t->next, place += PLACE_BYTES) {
        uint32_t flags = get_u32(place + 12);
        kept[0] += (flags & PLACE_RESIDUAL) != 0 ? t->count * sizeof(float) : 0;
        kept[1] += (flags & PLACE_MOMENTUM) != 0 ? t->count * sizeof(float) : 0;
        bool alone = (flags & PLACE_COMMON) != 0 && (flags & PLACE_MOMENTUM) == 0;
        if (flags > (PLACE_RESIDUAL | PLACE_MOMENTUM | PLACE_COMMON) || alone ||
            (flags != 0 && t->type != WW_F32)) {
            fault = lacks(shard, reason, "places");
        }
    }
    if (fault == FAULT_NONE && (kept[0] != (residuals == NULL ? 0 : residuals->bytes) ||
                                kept[1] != (momenta == NULL ? 0 : momenta->bytes))) {
        fault = lacks(shard, reason, "places");
    }
    if (fault != FAULT_NONE) {
        free(places);
        return NULL;
    }
    return places;
}

/* ---- Loading: what ranks kept ----------------------------------------------------------- */

/* One of the two kinds of state, being read out of several shards. */
struct gathering {
    const struct ww_context *context;
    const struct shard *shards;
    uint8_t *const *places; /* [count] */
    int count;
    enum section_kind kind;
    unsigned flag;
    const size_t *offset;
    const struct inheritance *inheritance;
    double *sum;  /* [PART_COUNT] */
    float *part;  /* [PART_COUNT] */
    uint64_t *at; /* [count] where each shard's section goes on */
};

static uint32_t flags_of(const struct gathering *gathering, int shard, int tensor)
{
    return get_u32(gathering->places[shard] + (size_t)tensor * PLACE_BYTES + 12);
}

/* Whether the tensor's momentum was common: then the first shard alone speaks for all. */
static bool is_common(const struct gathering *gathering, int tensor)
{
    return gathering->flag == PLACE_MOMENTUM &&
           (flags_of(gathering, 0, tensor) & PLACE_COMMON) != 0;
}

/* Whether the shard has something of the tensor, and whether this rank takes it. */
static bool holds(const struct gathering *gathering, int shard, int tensor)
{
    return (flags_of(gathering, shard, tensor) & gathering->flag) != 0;
}

static bool takes(const struct gathering *gathering, int shard, int tensor)
{
    bool ours = is_common(gathering, tensor) ? shard == 0 : gathering->inheritance->adds;
    return ours && holds(gathering, shard, tensor);
}

/* Adds one part of a tensor: the first summand is copied, so that its very bits stay. */
static enum fault add_part(struct gathering *gathering, int tensor, uint64_t done, size_t count,
                           float *into, struct reason *reason)
{
    bool first = true;
    double scale = is_common(gathering, tensor) ? gathering->inheritance->common_scale
                                                : gathering->inheritance->scale;
    for (int s = 0; s < gathering->count; s++) {
        if (!takes(gathering, s, tensor)) {
            continue;
        }
        const struct shard *shard = &gathering->shards[s];
        const struct shard_section *section = shard_find(shard, gathering->kind, "");
        enum fault fault = shard_read(shard, section, gathering->at[s] + done * sizeof(float),
                                      gathering->part, count * sizeof(float), reason);
        if (fault != FAULT_NONE) {
            return fault;
        }
        for (size_t i = 0; i < count; i++) {
            double value = gathering->part[i];
            gathering->sum[i] = first ? value : gathering->sum[i] + value;
        }
        first = false;
    }
    for (size_t i = 0; i < count; i++) {
        into[i] = first ? 0 : (float)(gathering->sum[i] * scale);
    }
    return FAULT_NONE;
}

static enum fault add_tensor(struct gathering *gathering, int index, const struct ww_tensor *tensor,
                             float *into, struct reason *reason)
{
    enum fault fault = FAULT_NONE;
    bool some = false;
    for (int s = 0; s < gathering->count; s++) {
        some = some || takes(gathering, s, index);
    }
    for (size_t done = 0; some && done < tensor->count && fault == FAULT_NONE;) {
        size_t left = tensor->count - done;
        size_t part = left < PART_COUNT ? left : PART_COUNT;
        fault = add_part(gathering, index, done, part, into + done, reason);
        done += part;
    }
    for (int s = 0; s < gathering->count; s++) {
        gathering->at[s] += holds(gathering, s, index) ? tensor->count * sizeof(float) : 0;
    }
    return fault;
}

/* Reads all tensors of one kind into [places.count]; what no shard has is zero. */
static enum fault gather(struct gathering *gathering, float *into, struct reason *reason)
{
    enum fault fault = FAULT_NONE;
    int index = 0;
    gathering->sum = malloc(PART_COUNT * sizeof *gathering->sum);
    gathering->part = malloc(PART_COUNT * sizeof *gathering->part);
    gathering->at = calloc((size_t)gathering->count + 1, sizeof *gathering->at);
    unsigned before = cpu_exact_begin(); /* what is tiny is owed as well */
    if (gathering->sum == NULL || gathering->part == NULL || gathering->at == NULL) {
        fault = reason_set(reason, FAULT_MEMORY, "no memory to add what ranks kept");
    }
    for (const struct ww_tensor *t = gathering->context->tensors; t != NULL && fault == FAULT_NONE;
         t = t->next, index++) {
        size_t at = gathering->offset[t->bucket->index] + t->offset;
        fault = add_tensor(gathering, index, t, into + at, reason);
    }
    cpu_exact_end(before);
    free(gathering->sum);
    free(gathering->part);
    free(gathering->at);
    return fault;
}

static enum fault reserve(float **pair, size_t count, struct reason *reason)
{
    for (int i = 0; i < 2 && count > 0; i++) {
        pair[i] = memory_reserve(count * sizeof *pair[i]);
        if (pair[i] == NULL) {
            return reason_set(reason, FAULT_MEMORY, "no memory for what ranks kept of %zu elements",
                              count);
        }
        memset(pair[i], 0, count * sizeof *pair[i]);
    }
    return FAULT_NONE;
}

static bool takes_any(struct gathering *gathering, unsigned flag)
{
    gathering->flag = flag;
    for (int s = 0; s < gathering->count; s++) {
        for (int t = 0; t < gathering->context->tensor_count; t++) {
            if (takes(gathering, s, t)) {
                return true;
            }
        }
    }
    return false;
}

/* The holders of a tensor's residuals, out of its place: the same as before where it lies in the
 * same bucket of the same rank, else nobody who encodes now. */
static uint64_t holders_of(const struct gathering *gathering, const struct ww_tensor *tensor,
                           const uint8_t *place)
{
    bool held = gathering->inheritance->same &&
                get_u32(place + 8) == (uint32_t)tensor->bucket->index &&
                get_u64(place + 16) == tensor->offset &&
                get_u64(place + 24) == tensor->bucket->count;
    return held && get_u64(place) != 0 ? get_u64(place) : HOLDERS_LOADED;
}

static void find_keepers(struct restored *restored, struct gathering *gathering)
{
    const struct ww_context *context = gathering->context;
    for (int b = 0; b < context->bucket_count; b++) {
        restored->keepers[b] = (struct keepers){.common_momentum = true};
    }
    for (int s = 0; s < gathering->count; s++) {
        int index = 0;
        for (const struct ww_tensor *t = context->tensors; t != NULL; t = t->next, index++) {
            const uint8_t *place = gathering->places[s] + (size_t)index * PLACE_BYTES;
            struct keepers *keepers = &restored->keepers[t->bucket->index];
            gathering->flag = PLACE_RESIDUAL;
            if (takes(gathering, s, index)) {
                uint64_t holders = holders_of(gathering, t, place);
                bool alike = keepers->holders == 0 || keepers->holders == holders;
                keepers->holders = alike ? holders : HOLDERS_LOADED;
            }
            gathering->flag = PLACE_MOMENTUM;
            keepers->has_momentum = keepers->has_momentum || takes(gathering, s, index);
            keepers->common_momentum = keepers->common_momentum &&
                                       (t->count == 0 || is_common(gathering, index));
        }
    }
}

/* Residuals go where this context keeps its own. */
static enum fault move_residuals(struct restored *restored, const struct ww_context *context,
                                 struct reason *reason)
{
    const struct vectors *vectors = &context->vectors;
    size_t bytes = restored->places.count * sizeof(float);
    if (!device_enqueues(context) || restored->residuals[0] == NULL) {
        return FAULT_NONE;
    }
    float *moved[2] = {vectors->reserve(vectors->self, bytes),
                       vectors->reserve(vectors->self, bytes)};
    bool well = moved[0] != NULL && moved[1] != NULL &&
                vectors->write(vectors->self, moved[0], restored->residuals[0], bytes) == WW_OK;
    if (well) {
        vectors->zero(vectors->self, moved[1], bytes);
    }
    for (int i = 0; i < 2; i++) {
        if (!well) {
            vectors->release(vectors->self, moved[i], bytes);
            continue;
        }
        memory_release(restored->residuals[i], bytes);
        restored->residuals[i] = moved[i];
    }
    restored->vectors = well ? vectors : NULL;
    return well ? FAULT_NONE
                : reason_set(reason, FAULT_MEMORY,
                             "no memory on the GPU for residuals of %zu "
                             "elements",
                             restored->places.count);
}

/* Momentum is only taken where there still is some. */
static enum fault read_kept(struct restored *restored, const struct ww_context *context,
                            struct gathering *gathering, struct reason *reason)
{
    bool residuals = takes_any(gathering, PLACE_RESIDUAL);
    restored->carries = residuals || context->coding.carries;
    restored->places = coding_place(context, restored->carries, restored->offset);
    bool momenta = restored->places.momenta;
    enum fault fault = FAULT_NONE;
    if (residuals || restored->places.residuals) {
        fault = reserve(restored->residuals, restored->places.count, reason);
    }
    if (fault == FAULT_NONE && momenta) {
        fault = reserve(restored->momenta, restored->places.count, reason);
    }
    if (fault == FAULT_NONE && residuals) {
        gathering->kind = SECTION_RESIDUALS;
        gathering->flag = PLACE_RESIDUAL;
        fault = gather(gathering, restored->residuals[0], reason);
    }
    if (fault == FAULT_NONE && momenta) {
        gathering->kind = SECTION_MOMENTA;
        gathering->flag = PLACE_MOMENTUM;
        fault = gather(gathering, restored->momenta[0], reason);
    }
    if (fault == FAULT_NONE) {
        fault = move_residuals(restored, context, reason);
    }
    for (int b = 0; b < context->bucket_count && !momenta; b++) {
        restored->keepers[b].has_momentum = false;
        restored->keepers[b].common_momentum = false;
    }
    return fault;
}

enum fault restored_read(struct restored *restored, const struct ww_context *context,
                         const struct shard *shards, int count,
                         const struct inheritance *inheritance, struct reason *reason)
{
    size_t buckets = (size_t)context->bucket_count;
    *restored = (struct restored){.carries = false};
    restored->offset = calloc(buckets + 1, sizeof *restored->offset);
    restored->keepers = calloc(buckets + 1, sizeof *restored->keepers);
    uint8_t **places = calloc((size_t)count + 1, sizeof *places);
    enum fault fault = FAULT_NONE;
    if (restored->offset == NULL || restored->keepers == NULL || places == NULL) {
        fault = reason_set(reason, FAULT_MEMORY, "no memory for %zu buckets", buckets);
    }
    if (fault == FAULT_NONE) {
        fault = read_state(restored, context, &shards[0], reason);
    }
    if (fault == FAULT_NONE) {
        fault = read_order(restored, context, &shards[0], reason);
    }
    for (int s = 0; s < count && fault == FAULT_NONE; s++) {
        places[s] = read_places(context, &shards[s], reason);
        fault = places[s] == NULL ? reason->fault : FAULT_NONE;
    }
    if (fault == FAULT_NONE) {
        struct gathering gathering = {.context = context,
                                      .shards = shards,
                                      .places = places,
                                      .count = count,
                                      .offset = restored->offset,
                                      .inheritance = inheritance};
        find_keepers(restored, &gathering);
        fault = read_kept(restored, context, &gathering, reason);
    }
    for (int s = 0; s < count && places != NULL; s++) {
        free(places[s]);
    }
    free(places);
    return fault;
}

uint64_t restored_fingerprint(const struct restored *restored, const struct ww_context *context)
{
    size_t bytes = (size_t)context->bucket_count * sizeof *restored->order;
    uint64_t crc = checksum_crc64(0, restored->state, sizeof restored->state);
    return restored->order == NULL ? crc : checksum_crc64(crc, restored->order, bytes);
}

/* ---- Taking over ------------------------------------------------------------------------ */

static void swap_pairs(float **one, float **other)
{
    for (int i = 0; i < 2; i++) {
        float *kept = one[i];
        one[i] = other[i];
        other[i] = kept;
    }
}

void restored_take(struct restored *restored, struct ww_context *context)
{
    struct coding_state *coding = &context->coding;
    pthread_mutex_lock(&context->steps.lock);
    size_t count = coding->count;
    swap_pairs(coding->residuals, restored->residuals);
    swap_pairs(coding->momenta, restored->momenta);
    restored->vectors = device_enqueues(context) ? &context->vectors : NULL;
    coding->count = restored->places.count;
    restored->places.count = count;
    coding->carries = restored->carries;
    coding->now = 0;
    coding->may_discard = false;
    coding->discarded = false;
    coding->dense_next = false;
    coding->steps = restored->state[STATE_WARM];
    context->step.number = restored->state[STATE_STEP];
    delayed_go_on(context);
    for (int b = 0; b < context->bucket_count; b++) {
        struct bucket_coding *kept = &context->buckets[b].coding;
        kept->offset = restored->offset[b];
        kept->now = restored->keepers[b];
        kept->before = kept->now;
        context->order[b] = restored->order == NULL ? b : restored->order[b];
    }
    pthread_mutex_unlock(&context->steps.lock);
    pthread_mutex_lock(&context->calls.lock);
    context->calls_made = restored->state[STATE_CALLS];
    pthread_mutex_unlock(&context->calls.lock);
}

void restored_free(struct restored *restored)
{
    for (int i = 0; i < 2; i++) {
        size_t bytes = restored->places.count * sizeof *restored->residuals[i];
        if (restored->vectors != NULL) {
            restored->vectors->release(restored->vectors->self, restored->residuals[i], bytes);
        } else {
            memory_release(restored->residuals[i], bytes);
        }
        memory_release(restored->momenta[i], restored->places.count * sizeof *restored->momenta[i]);
    }
    free(restored->order);
    free(restored->offset);
    free(restored->keepers);
    *restored = (struct restored){.carries = false};
}
