/* SPDX-License-Identifier: BSD-3-Clause
 * delayed.c: steps whose results come so many steps later, while their buckets travel.
 *
 * A step hands copies over: every bucket has a parcel for each step that may be on its way. Parcels
 * leave in one order on all ranks, step by step and in each step in the agreed one, whatever the
 * timing; the thread that ends steps takes results, the oldest first.
 *
 *     step      1    2    3    4    5           (staleness 2)
 *     gives    g1   g2   g3   g4   g5
 *     takes     -    -   r1   r2   r3,  then r4 and r5 by drains */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "internal/clock.h"
#include "internal/memory.h"

static struct parcel *parcel_of(const struct ww_context *context, const struct bucket *bucket,
                                uint64_t step)
{
    return &bucket->parcels[step % (uint64_t)context->delayed.depth];
}

static struct delayed_step *step_of(const struct ww_context *context, uint64_t step)
{
    return &context->delayed.steps[step % (uint64_t)context->delayed.depth];
}

static int parcel_state(struct parcel *parcel)
{
    return atomic_load_explicit(&parcel->state, memory_order_acquire);
}

/* ---- Memory ----------------------------------------------------------------------------- */

static enum ww_status reserve_parcels(struct ww_context *context, struct bucket *bucket)
{
    int depth = context->delayed.depth;
    bucket->parcels = calloc((size_t)depth, sizeof *bucket->parcels);
    bool enough = bucket->parcels != NULL;
    for (int i = 0; enough && i < depth && bucket->memory_bytes > 0; i++) {
        bucket->parcels[i].memory = memory_reserve(bucket->memory_bytes);
        enough = bucket->parcels[i].memory != NULL;
    }
    return enough ? WW_OK
                  : log_failure(WW_NO_MEMORY,
                                "no memory for %d steps on their way (staleness %d) of a bucket of "
                                "%zu bytes (\"%s\" ...)",
                                depth, depth - 1, bucket->memory_bytes, bucket->tensors[0]->name);
}

enum ww_status delayed_reserve(struct ww_context *context)
{
    struct delayed *delayed = &context->delayed;
    int staleness = context->settings.values.staleness;
    *delayed = (struct delayed){.oldest = 1, .leaving = 1};
    if (staleness == 0) {
        return WW_OK;
    }
    delayed->depth = staleness + 1;
    delayed->steps = calloc((size_t)delayed->depth, sizeof *delayed->steps);
    if (delayed->steps == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for %d steps on their way", delayed->depth);
    }
    enum ww_status status = WW_OK;
    for (int i = 0; status == WW_OK && i < context->bucket_count; i++) {
        status = reserve_parcels(context, &context->buckets[i]);
    }
    return status;
}

void delayed_destroy(struct ww_context *context)
{
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        for (int p = 0; bucket->parcels != NULL && p < context->delayed.depth; p++) {
            memory_release(bucket->parcels[p].memory, bucket->memory_bytes);
        }
        free(bucket->parcels);
    }
    free(context->delayed.steps);
}

/* ---- Giving ----------------------------------------------------------------------------- */

static void begin_parcel(struct ww_context *context, struct bucket *bucket)
{
    uint64_t number = context->step.number;
    struct parcel *parcel = parcel_of(context, bucket, number);
    parcel->request = bucket->request;
    parcel->request.input = parcel->memory;
    parcel->request.output = parcel->memory;
    parcel->request.step = number;
    parcel->outcome = (struct coding_outcome){.wild_rank = -1};
    parcel->ready_ns = 0;
    parcel->done_ns = 0;
    atomic_store_explicit(&parcel->state, BUCKET_FILLING, memory_order_relaxed);
}

struct step_terms *delayed_begin(struct ww_context *context)
{
    struct delayed *delayed = &context->delayed;
    uint64_t number = context->step.number;
    bool follows = delayed_count(context) > 0;
    struct delayed_step *begun = step_of(context, number);
    assert(delayed_count(context) < (uint64_t)delayed->depth && number == delayed->newest + 1);
    begun->terms = (struct step_terms){.number = number,
                                       .loss_scale = 1,
                                       .reads = follows ? !step_of(context, number - 1)->terms.reads
                                                        : context->coding.now};
    begun->taken = delayed->oldest - 1;
    for (int i = 0; i < context->bucket_count; i++) {
        begin_parcel(context, &context->buckets[i]);
    }
    delayed->newest = number;
    return &begun->terms;
}

void delayed_fill(struct ww_tensor *tensor, bool has_values)
{
    struct bucket *bucket = tensor->bucket;
    struct parcel *parcel = parcel_of(tensor->context, bucket, tensor->context->step.number);
    size_t element_bytes = ww_type_bytes(bucket->type);
    size_t bytes = tensor->count * element_bytes;
    if (bytes == 0) {
        return;
    }
    uint8_t *into = (uint8_t *)parcel->memory + tensor->offset * element_bytes;
    if (has_values) {
        memory_copy(into, tensor->values, bytes);
    } else {
        memset(into, 0, bytes);
    }
}

void delayed_complete(struct bucket *bucket)
{
    struct ww_context *context = bucket->tensors[0]->context;
    struct parcel *parcel = parcel_of(context, bucket, context->step.number);
    if (ledger_wants_times(context)) {
        parcel->ready_ns = clock_now_ns();
    }
    atomic_store_explicit(&parcel->state, BUCKET_READY, memory_order_release);
}

/* ---- Moving ----------------------------------------------------------------------------- */

static struct bucket *nth_bucket(const struct ww_context *context, int place)
{
    return &context->buckets[context->order[place]];
}

bool delayed_is_ready(struct ww_context *context)
{
    const struct delayed *delayed = &context->delayed;
    if (delayed->leaving > delayed->newest) {
        return false;
    }
    const struct bucket *bucket = nth_bucket(context, delayed->launched);
    if (parcel_state(parcel_of(context, bucket, delayed->leaving)) != BUCKET_READY) {
        return false;
    }
    /* What the step before leaves of it is added to it. */
    return !coding_keeps(context) || delayed->leaving == delayed->oldest ||
           parcel_state(parcel_of(context, bucket, delayed->leaving - 1)) == BUCKET_DONE;
}

bool delayed_launch(struct ww_context *context, uint64_t now_ns, enum ww_status *status)
{
    struct delayed *delayed = &context->delayed;
    if (!delayed_is_ready(context) || !engine_has_room(context->steps.engine)) {
        return false;
    }
    struct bucket *bucket = nth_bucket(context, delayed->launched);
    struct parcel *parcel = parcel_of(context, bucket, delayed->leaving);
    coding_launch(context, bucket, &step_of(context, delayed->leaving)->terms, &parcel->request);
    if (parcel->request.coding.outcome != NULL) {
        parcel->request.coding.outcome = &parcel->outcome; /* the bucket's is what came last */
    }
    *status = engine_start(context->steps.engine, &parcel->request, &parcel->number);
    if (*status != WW_OK) {
        return false;
    }
    step_note_leaving(context, now_ns);
    parcel->start_ns = now_ns;
    atomic_store_explicit(&parcel->state, BUCKET_MOVING, memory_order_relaxed);
    if (++delayed->launched == context->bucket_count) {
        delayed->launched = 0;
        delayed->leaving++;
    }
    return true;
}

static void finish_parcel(struct ww_context *context, struct parcel *parcel, uint64_t *now_ns)
{
    parcel->times = step_take_times(context, &parcel->request, parcel->number);
    if (ledger_wants_times(context)) {
        parcel->done_ns = clock_now_ns();
    }
    step_note_arrival(context, now_ns);
    atomic_store_explicit(&parcel->state, BUCKET_DONE, memory_order_release);
}

/* Back from the one that left last: those that move are few, because the engine has few runs. */
void delayed_finish(struct ww_context *context, uint64_t *now_ns)
{
    const struct delayed *delayed = &context->delayed;
    uint64_t step = delayed->leaving;
    int place = delayed->launched;
    for (int left = context->step.moving; left > 0;) {
        if (place == 0) {
            assert(step > delayed->oldest);
            place = context->bucket_count;
            step--;
        }
        struct parcel *parcel = parcel_of(context, nth_bucket(context, --place), step);
        if (parcel_state(parcel) != BUCKET_MOVING) {
            continue;
        }
        left--;
        if (engine_done(context->steps.engine, parcel->number)) {
            finish_parcel(context, parcel, now_ns);
        }
    }
}

/* ---- Taking ----------------------------------------------------------------------------- */

enum ww_status delayed_await(struct ww_context *context, bool all)
{
    const struct delayed *delayed = &context->delayed;
    uint64_t last = all ? delayed->newest : delayed->oldest;
    enum ww_status status = WW_OK;
    for (uint64_t step = delayed->oldest; step <= last && status == WW_OK; step++) {
        for (int i = 0; i < context->bucket_count && status == WW_OK; i++) {
            struct bucket *bucket = nth_bucket(context, i);
            status = step_await(context, bucket, &parcel_of(context, bucket, step)->state);
        }
    }
    return status;
}

static void take_parcel(struct ww_context *context, struct bucket *bucket,
                        const struct parcel *parcel)
{
    bucket->values = parcel->memory;
    bucket->apart = parcel->memory != NULL;
    bucket->travelled = parcel->request.coding.spec;
    bucket->coding.outcome = parcel->outcome;
    bucket->times = parcel->times;
    bucket->start_ns = parcel->start_ns;
    bucket->ready_ns = parcel->ready_ns;
    bucket->done_ns = parcel->done_ns;
    bucket_scatter(context, bucket);
}

uint64_t delayed_take(struct ww_context *context, int *staleness)
{
    struct delayed *delayed = &context->delayed;
    uint64_t step = delayed->oldest;
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        take_parcel(context, bucket, parcel_of(context, bucket, step));
    }
    *staleness = (int)(step - 1 - step_of(context, step)->taken);
    pthread_mutex_lock(&context->steps.lock);
    delayed->oldest++;
    pthread_mutex_unlock(&context->steps.lock);
    return step;
}

void delayed_take_none(struct ww_context *context)
{
    for (int i = 0; i < context->tensor_count; i++) {
        const struct ww_tensor *tensor = context->by_bucket[i];
        if (tensor->values != NULL && tensor->count > 0) {
            memset(tensor->values, 0, tensor->count * ww_type_bytes(tensor->type));
        }
    }
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        bucket->travelled = (struct codec_spec){.kind = CODEC_NONE};
        bucket->coding.outcome = (struct coding_outcome){.wild_rank = -1};
        bucket->start_ns = 0; /* it is in no trace */
    }
}

void delayed_go_on(struct ww_context *context)
{
    struct delayed *delayed = &context->delayed;
    assert(delayed_count(context) == 0);
    delayed->newest = context->step.number;
    delayed->oldest = delayed->newest + 1;
    delayed->leaving = delayed->newest + 1;
}
