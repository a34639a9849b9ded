/* SPDX-License-Identifier: BSD-3-Clause
 * step.c: one training step: gradients come in, buckets leave in the agreed order, results come
 * back. The caller and the progress meet at two points only: a bucket's state and the lane's
 * lock. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "context.h"
#include "device.h"
#include "internal/clock.h"

#define NS_PER_S 1e9

/* ---- Moving ----------------------------------------------------------------------------- */

static int bucket_state(struct bucket *bucket)
{
    return atomic_load_explicit(&bucket->state, memory_order_acquire);
}

static struct run_request request_of(const struct ww_context *context, const struct bucket *bucket)
{
    struct run_request request = bucket->request;
    request.input = bucket->values;
    request.output = bucket->values;
    request.step = context->step.number;
    return request;
}

void step_note_leaving(struct ww_context *context, uint64_t now_ns)
{
    if (context->step.moving++ == 0) {
        context->step.moving_since_ns = now_ns;
    }
}

struct run_times step_take_times(struct ww_context *context, const struct run_request *request,
                                 uint64_t number)
{
    if (engine_is_tuned(request)) {
        engine_learn(context->steps.engine, clock_now_ns());
    }
    struct run_times times = engine_times(context->steps.engine, number);
    context->ledger.encode_ns += times.encode_ns;
    context->ledger.decode_ns += times.decode_ns;
    return times;
}

void step_note_arrival(struct ww_context *context, uint64_t *now_ns)
{
    struct step *step = &context->step;
    if (--step->moving == 0) {
        *now_ns = clock_now_ns();
        step->communication_ns += *now_ns - step->moving_since_ns;
    }
}

/* The bucket that leaves next, when it is ready; else NULL. */
static struct bucket *next_ready(struct ww_context *context)
{
    struct step *step = &context->step;
    if (!atomic_load_explicit(&step->open, memory_order_acquire) ||
        step->launched == context->bucket_count) {
        return NULL;
    }
    struct bucket *bucket = &context->buckets[context->order[step->launched]];
    return bucket_state(bucket) == BUCKET_READY ? bucket : NULL;
}

/* Gradients that are staged come a little later than their GPU's calls. */
static bool has_values(struct ww_context *context, struct bucket *bucket, enum ww_status *status)
{
    struct device *device = context->device;
    enum ww_status looked = device == NULL ? WW_OK : device->ops->look_ready(device, bucket);
    *status = looked < 0 ? looked : *status;
    return looked == WW_OK;
}

/* Lets the next bucket of the order leave; false when it is not ready or there is no room. */
static bool launch_next(struct ww_context *context, uint64_t now_ns, enum ww_status *status)
{
    struct step *step = &context->step;
    struct bucket *bucket = next_ready(context);
    if (bucket == NULL || !engine_has_room(context->steps.engine) ||
        !has_values(context, bucket, status)) {
        return false;
    }
    struct run_request request;
    if (device_enqueues(context)) { /* its values are touched once all ranks have agreed */
        request = bucket->request;
        request.step = step->number;
    } else {
        *status = bucket_gather(context, bucket);
        if (*status != WW_OK) {
            return false;
        }
        request = request_of(context, bucket);
        coding_launch(context, bucket, step->terms, &request);
    }
    *status = engine_start(context->steps.engine, &request, &bucket->number);
    if (*status != WW_OK) {
        return false;
    }
    step_note_leaving(context, now_ns);
    step->launched++;
    bucket->start_ns = now_ns;
    atomic_store_explicit(&bucket->state, BUCKET_MOVING, memory_order_relaxed);
    return true;
}

/* On a GPU, in the order in which they left: streams of all ranks have the same one. */
static enum ww_status enqueue_buckets(struct ww_context *context, uint64_t *now_ns)
{
    struct step *step = &context->step;
    enum ww_status status = WW_OK;
    for (int i = step->launched - step->moving; status == WW_OK && i < step->launched; i++) {
        struct bucket *bucket = &context->buckets[context->order[i]];
        if (!engine_done(context->steps.engine, bucket->number)) {
            break;
        }
        status = context->device->ops->run_bucket(context->device, bucket);
        if (status == WW_OK) { /* whoever waits for another one learns why it does not come */
            step_note_arrival(context, now_ns);
            atomic_store_explicit(&bucket->state, BUCKET_DONE, memory_order_release);
        }
    }
    return status;
}

/* Hands results back. Launched buckets that still move are few: the engine has few runs. */
static void finish_buckets(struct ww_context *context, uint64_t *now_ns)
{
    struct step *step = &context->step;
    int first = step->launched - 1;
    for (int left = step->moving; left > 0 && first >= 0; first--) {
        struct bucket *bucket = &context->buckets[context->order[first]];
        if (bucket_state(bucket) != BUCKET_MOVING) {
            continue;
        }
        left--;
        if (engine_done(context->steps.engine, bucket->number)) {
            bucket->times = step_take_times(context, &bucket->request, bucket->number);
            bucket_scatter(context, bucket);
            if (ledger_wants_times(context)) {
                bucket->done_ns = clock_now_ns();
            }
            step_note_arrival(context, now_ns);
            atomic_store_explicit(&bucket->state, BUCKET_DONE, memory_order_release);
        }
    }
}

void step_note_pulse(struct ww_context *context)
{
    const struct engine *engine = context->steps.engine;
    atomic_store_explicit(&context->step.wait, engine_wait(engine), memory_order_relaxed);
    atomic_store_explicit(&context->step.moves, engine_moves(engine), memory_order_relaxed);
}

/* The two ways to keep buckets: in a step of its own, or in several on their way. */
static bool launch(struct ww_context *context, uint64_t now_ns, enum ww_status *status)
{
    return delayed_is_on(context) ? delayed_launch(context, now_ns, status)
                                  : launch_next(context, now_ns, status);
}

static bool is_ready(struct ww_context *context)
{
    return delayed_is_on(context) ? delayed_is_ready(context) : next_ready(context) != NULL;
}

static enum ww_status finish(struct ww_context *context, uint64_t *now_ns)
{
    if (device_enqueues(context)) {
        return enqueue_buckets(context, now_ns);
    }
    if (delayed_is_on(context)) {
        delayed_finish(context, now_ns);
    } else {
        finish_buckets(context, now_ns);
    }
    return WW_OK;
}

/* Delayed results on their way are nobody's yet. */
static bool is_idle(const struct ww_context *context)
{
    return delayed_is_on(context) && !atomic_load(&context->step.open) &&
           atomic_load(&context->step.waiters) == 0;
}

static enum ww_status advance_locked(struct ww_context *context, uint64_t *now_ns)
{
    enum ww_status status = WW_OK;
    while (launch(context, *now_ns, &status)) {
        continue;
    }
    if (status == WW_OK) {
        engine_be_idle(context->steps.engine, is_idle(context));
        status = engine_advance(context->steps.engine, *now_ns);
        step_note_pulse(context);
    }
    if (context->step.moving > 0) {
        enum ww_status finished = finish(context, now_ns);
        status = finished < 0 ? finished : status;
    }
    /* What found no room before may find it now: whoever progresses must come again. */
    return status == WW_OK && is_ready(context) ? WW_PENDING : status;
}

enum ww_status step_advance(struct ww_context *context, uint64_t *now_ns)
{
    enum ww_status status = atomic_load(&context->failure);
    if (status != WW_OK) {
        return status;
    }
    if (pthread_mutex_trylock(&context->steps.lock) != 0) {
        return WW_PENDING; /* somebody else is at it */
    }
    status = advance_locked(context, now_ns);
    if (status < 0) {
        status = context_break(context, status, &context->steps); /* before others find it failed */
    }
    pthread_mutex_unlock(&context->steps.lock);
    return status;
}

struct pulse step_pulse(const struct ww_context *context)
{
    return (struct pulse){
        (enum ww_wait)atomic_load_explicit(&context->step.wait, memory_order_relaxed),
        atomic_load_explicit(&context->step.moves, memory_order_relaxed)};
}

enum ww_status ww_progress(struct ww_context *context)
{
    enum ww_status status = context_check(context, "ww_progress");
    if (status != WW_OK || context->thread != NULL) {
        return status;
    }
    uint64_t now_ns = clock_now_ns();
    status = step_advance(context, &now_ns);
    return status == WW_PENDING ? WW_OK : status;
}

/* ---- Handing over ----------------------------------------------------------------------- */

enum { INSIDE_BITS = 16 }; /* of step->inside, for threads; the rest is their latest time */

/* Times in step->inside begin anew after 78 hours, so of two the earlier one is told by how near
 * they are: a thread that was held up since it looked at the clock is less than a minute late. */
static bool is_behind(uint64_t time, uint64_t latest)
{
    const uint64_t minute = 60 * CLOCK_NS_PER_S << INSIDE_BITS;
    return latest != 0 && latest - time <= minute;
}

/* Threads that are inside together pass one time: what went by since one of them came, left or
 * looked is added once. change  1 = one comes, -1 = one leaves, 0 = one looks. */
static void note_inside(struct ww_context *context, uint64_t now_ns, int change)
{
    struct step *step = &context->step;
    const uint64_t threads = ((uint64_t)1 << INSIDE_BITS) - 1;
    uint64_t now = now_ns << INSIDE_BITS;
    unsigned long long before = atomic_load_explicit(&step->inside, memory_order_relaxed);
    uint64_t added, after;
    do {
        uint64_t latest = before & ~threads;
        bool counts = (before & threads) != 0;
        bool passed = !is_behind(now, latest); /* another thread may have read a later time */
        added = counts && passed ? now - latest : 0;
        after = (passed ? now : latest) + (before & threads) + (uint64_t)change;
    } while (!atomic_compare_exchange_weak_explicit(&step->inside, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    atomic_fetch_add_explicit(&step->exposed_ns, added >> INSIDE_BITS, memory_order_relaxed);
}

static enum ww_status check_handover(struct ww_tensor *tensor, const void *values, const char *call)
{
    struct ww_context *context = tensor->context;
    if (!atomic_load_explicit(&context->step.open, memory_order_acquire)) {
        return log_failure(WW_BAD_STATE, "%s(\"%s\") came outside of a step: call ww_step_begin",
                           call, tensor->name);
    }
    int state = atomic_load_explicit(&tensor->state, memory_order_acquire);
    if (state != TENSOR_IDLE) {
        return log_failure(WW_BAD_STATE, "%s(\"%s\"): it was %s already in step %llu", call,
                           tensor->name, state == TENSOR_STARTED ? "started" : "skipped",
                           (unsigned long long)context->step.number);
    }
    if (((uintptr_t)values & (ww_type_bytes(tensor->type) - 1)) != 0) {
        return log_failure(WW_BAD_ARGUMENT, "%s(\"%s\") got %p, which is not aligned to %zu bytes",
                           call, tensor->name, values, ww_type_bytes(tensor->type));
    }
    return WW_OK;
}

/* Memory of another place breaks kernels, and with them all that the program has on the GPU. */
static enum ww_status check_place(struct ww_tensor *tensor, const void *values, const char *call)
{
    const struct device *device = tensor->context->device;
    int owner;
    if (device == NULL || values == NULL || values == tensor->placed || tensor->count == 0) {
        return WW_OK; /* programs repeat themselves */
    }
    if (!device->ops->owns(device, values, &owner)) {
        char where[32];
        snprintf(where, sizeof where, "GPU %d's", owner);
        return log_failure(WW_BAD_ARGUMENT,
                           "%s(\"%s\") got %p, which is %s memory, not that of the context's GPU",
                           call, tensor->name, values, owner < 0 ? "no GPU's" : where);
    }
    tensor->placed = values;
    return WW_OK;
}

static enum ww_status complete(struct ww_context *context, struct bucket *bucket)
{
    struct device *device = context->device;
    enum ww_status status = device == NULL ? WW_OK : device->ops->note_ready(device, bucket);
    if (status != WW_OK) {
        return context_break(context, status, NULL);
    }
    bucket->ready_rank = atomic_fetch_add_explicit(&context->step.ready_count, 1,
                                                   memory_order_relaxed);
    if (delayed_is_on(context)) {
        delayed_complete(bucket);
    } else {
        if (ledger_wants_times(context)) {
            bucket->ready_ns = clock_now_ns();
        }
        atomic_store_explicit(&bucket->state, BUCKET_READY, memory_order_release);
    }
    if (context->thread != NULL) {
        progress_wake(context->thread);
    }
    return WW_OK;
}

/* The last tensor of a bucket makes it ready. */
static enum ww_status pass_on(struct ww_tensor *tensor, void *values, enum tensor_state state,
                              uint64_t *now_ns)
{
    struct ww_context *context = tensor->context;
    struct bucket *bucket = tensor->bucket;
    tensor->values = values;
    if (delayed_is_on(context)) {
        delayed_fill(tensor, state == TENSOR_STARTED);
        *now_ns = clock_now_ns();
    }
    atomic_store_explicit(&tensor->state, state, memory_order_release);
    if (atomic_fetch_sub_explicit(&bucket->missing, 1, memory_order_acq_rel) == 1) {
        enum ww_status completed = complete(context, bucket);
        if (completed != WW_OK) {
            return context_fail(context, completed);
        }
    }
    if (context->thread != NULL) {
        return WW_OK;
    }
    enum ww_status status = step_advance(context, now_ns);
    return status < 0 ? status : WW_OK;
}

static enum ww_status hand_over(struct ww_tensor *tensor, void *values, enum tensor_state state)
{
    struct ww_context *context = tensor->context;
    bool copies = delayed_is_on(context);
    if (context->thread != NULL && !copies) { /* it takes no time */
        return pass_on(tensor, values, state, NULL);
    }
    uint64_t since = clock_now_ns();
    uint64_t now = since;
    note_inside(context, since, 1);
    enum ww_status status = pass_on(tensor, values, state, &now);
    note_inside(context, copies || now == since ? clock_now_ns() : now, -1);
    return status;
}

static enum ww_status take_over(struct ww_tensor *tensor, void *values, enum tensor_state state,
                                const char *call)
{
    if (tensor == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for the tensor", call);
    }
    enum ww_status status = context_check(tensor->context, call);
    if (status != WW_OK) {
        return status;
    }
    status = check_handover(tensor, values, call);
    status = status == WW_OK ? check_place(tensor, values, call) : status;
    if (status == WW_OK && values == NULL && tensor->count > 0 && state == TENSOR_STARTED) {
        status = log_failure(
            WW_BAD_ARGUMENT,
            "ww_tensor_start(\"%s\") got NULL for %zu elements: ww_tensor_skip says "
            "that there is no gradient",
            tensor->name, tensor->count);
    }
    return status == WW_OK ? hand_over(tensor, values, state)
                           : context_fail(tensor->context, status);
}

enum ww_status ww_tensor_start(struct ww_tensor *tensor, void *values)
{
    return take_over(tensor, values, TENSOR_STARTED, "ww_tensor_start");
}

enum ww_status ww_tensor_skip(struct ww_tensor *tensor, void *values)
{
    return take_over(tensor, values, TENSOR_SKIPPED, "ww_tensor_skip");
}

/* ---- Waiting ---------------------------------------------------------------------------- */

/* A tensor of a bucket that was neither started nor skipped; NULL when there is none. */
static struct ww_tensor *missing_tensor(struct bucket *bucket)
{
    for (int i = 0; i < bucket->tensor_count; i++) {
        if (atomic_load_explicit(&bucket->tensors[i]->state, memory_order_acquire) == TENSOR_IDLE) {
            return bucket->tensors[i];
        }
    }
    return NULL;
}

/* The tensor that holds a bucket up: in it or in one that must leave before it. */
static struct ww_tensor *holding_up(struct ww_context *context, const struct bucket *bucket)
{
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *earlier = &context->buckets[context->order[i]];
        struct ww_tensor *missing = missing_tensor(earlier);
        if (missing != NULL || earlier == bucket) {
            return missing;
        }
    }
    return NULL;
}

/* A bucket that cannot leave, because nobody hands over what must leave before it, is waited for
 * as long as a peer would be. */
static enum ww_status check_patience(struct ww_context *context, const struct bucket *bucket,
                                     uint64_t since_ns)
{
    double waited_s = (double)(clock_now_ns() - since_ns) / NS_PER_S;
    if (waited_s <= context->settings.values.timeout_s) {
        return WW_OK;
    }
    struct ww_tensor *missing = holding_up(context, bucket);
    if (missing == NULL) {
        return WW_OK;
    }
    return log_failure(WW_BAD_STATE,
                       "waited %.3g s for \"%s\", which leaves only after \"%s\" was started or "
                       "skipped",
                       waited_s, bucket->tensors[0]->name, missing->name);
}

/* Whoever waits advances, also where there is a thread: it has nothing better to do. */
static enum ww_status await_moment(struct ww_context *context)
{
    uint64_t now_ns = clock_now_ns();
    return step_advance(context, &now_ns);
}

static int state_of(atomic_int *state)
{
    return atomic_load_explicit(state, memory_order_acquire);
}

/* *latest = what the latest advance came to. */
static enum ww_status await(struct ww_context *context, const struct bucket *bucket,
                            atomic_int *state, enum ww_status *latest)
{
    struct patience patience = patience_of_caller(context);
    uint64_t since = clock_now_ns();
    for (unsigned turn = 0; state_of(state) != BUCKET_DONE; turn++) {
        enum ww_status status = await_moment(context);
        *latest = status;
        if (status >= 0 && state_of(state) != BUCKET_DONE) {
            patience_spend(&patience, step_pulse(context));
        }
        if (turn % 64 == 63 && context->device != NULL) {
            context->device->ops->release(context->device);
        }
        if (turn % 64 == 63 && state_of(state) == BUCKET_READY && status >= 0) {
            status = check_patience(context, bucket, since);
        }
        if (status < 0) { /* of what came after it, perhaps */
            return state_of(state) == BUCKET_DONE ? WW_OK : status;
        }
    }
    return WW_OK;
}

static enum ww_status await_relieving(struct ww_context *context, const struct bucket *bucket,
                                      atomic_int *state)
{
    enum ww_status latest = WW_PENDING; /* whoever never looked knows nothing of other buckets */
    if (context->thread == NULL) {
        return await(context, bucket, state, &latest);
    }
    unsigned calls = progress_relieve(context->thread);
    enum ww_status status = await(context, bucket, state, &latest);
    progress_resume(context->thread, calls, latest != WW_OK);
    return status;
}

enum ww_status step_await(struct ww_context *context, const struct bucket *bucket,
                          atomic_int *state)
{
    if (state_of(state) == BUCKET_DONE) {
        return WW_OK;
    }
    atomic_fetch_add(&context->step.waiters, 1);
    enum ww_status status = await_relieving(context, bucket, state);
    atomic_fetch_sub(&context->step.waiters, 1);
    return status;
}

/* Settings with which a step's results come all at once. */
static enum ww_status check_wait(const struct ww_context *context, const struct ww_tensor *tensor)
{
    const struct ww_config *config = &context->settings.values;
    if (config->clip_norm > 0) {
        return log_failure(WW_BAD_STATE,
                           "ww_tensor_wait(\"%s\"): with clip_norm %g results are there after "
                           "ww_step_end only",
                           tensor->name, config->clip_norm);
    }
    if (config->staleness > 0) {
        return log_failure(WW_BAD_STATE,
                           "ww_tensor_wait(\"%s\"): with staleness %d results of an earlier step "
                           "come with ww_step_end",
                           tensor->name, config->staleness);
    }
    return WW_OK;
}

/* What the program enqueues from now on finds the bucket's results. */
static enum ww_status await_results_on_device(struct ww_context *context, struct bucket *bucket)
{
    struct device *device = context->device;
    enum ww_status status = device == NULL ? WW_OK : device->ops->await_bucket(device, bucket);
    return status == WW_OK ? WW_OK : context_break(context, status, NULL);
}

enum ww_status ww_tensor_wait(struct ww_tensor *tensor)
{
    if (tensor == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_tensor_wait got NULL for the tensor");
    }
    struct ww_context *context = tensor->context;
    enum ww_status status = context_check(context, "ww_tensor_wait");
    if (status != WW_OK) {
        return status;
    }
    status = check_wait(context, tensor);
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    if (tensor->bucket == NULL ||
        atomic_load_explicit(&tensor->state, memory_order_acquire) == TENSOR_IDLE) {
        return context_fail(context, log_failure(WW_BAD_STATE,
                                                 "ww_tensor_wait(\"%s\"): it was neither started "
                                                 "nor skipped in this step",
                                                 tensor->name));
    }
    struct ww_tensor *missing = missing_tensor(tensor->bucket);
    if (missing != NULL) {
        return context_fail(context, log_failure(WW_BAD_STATE,
                                                 "ww_tensor_wait(\"%s\"): \"%s\", which travels in "
                                                 "the same bucket, was neither started nor skipped",
                                                 tensor->name, missing->name));
    }
    if (bucket_state(tensor->bucket) == BUCKET_DONE && context->device == NULL) {
        return WW_OK;
    }
    note_inside(context, clock_now_ns(), 1);
    status = step_await(context, tensor->bucket, &tensor->bucket->state);
    if (status == WW_OK) {
        status = await_results_on_device(context, tensor->bucket);
    }
    note_inside(context, clock_now_ns(), -1);
    if (status != WW_OK) {
        char where[96];
        snprintf(where, sizeof where, "ww_tensor_wait(\"%.64s\")", tensor->name);
        context_tell_where(context, where);
        return context_fail(context, status);
    }
    return WW_OK;
}

/* ---- Steps ------------------------------------------------------------------------------ */

enum ww_status ww_tensors_commit(struct ww_context *context)
{
    enum ww_status status = context_check(context, "ww_tensors_commit");
    if (status != WW_OK) {
        return status;
    }
    if (context->committed) {
        return context_fail(context,
                            log_failure(WW_BAD_STATE, "ww_tensors_commit was called twice"));
    }
    status = buckets_agree(context);
    if (status != WW_OK) {
        return status == WW_MISMATCH ? context_break_alike(context, status)
                                     : context_break(context, status, NULL);
    }
    if (context->tensor_count == 0) { /* on all ranks, since they agree */
        return context_fail(context, log_failure(WW_BAD_STATE, "ww_tensors_commit was called "
                                                               "before any ww_tensor_add"));
    }
    pthread_mutex_lock(&context->steps.lock);
    status = buckets_create(context);
    if (status == WW_OK) {
        status = order_reserve(context);
    }
    if (status == WW_OK) {
        status = ledger_begin(context);
    }
    pthread_mutex_unlock(&context->steps.lock);
    context->committed = status == WW_OK;
    if (status != WW_OK) {
        return context_break(context, status, NULL); /* half a layout is no use */
    }
    coding_tell_if_idle(context);
    return WW_OK;
}

/* Nothing else is on its way. */
static void begin_step_alone(struct ww_context *context)
{
    struct step *step = &context->step;
    step->own = (struct step_terms){step->number, 1, context->coding.now};
    step->terms = &step->own;
    step->launched = 0;
    step->moving = 0;
    step->communication_ns = 0;
    report_begin(context);
    ledger_begin_step(context);
}

/* What was done since since_ns is this step's: waiting for those on their way, writing plans. */
static void begin_step(struct ww_context *context, uint64_t since_ns)
{
    struct step *step = &context->step;
    buckets_reset(context);
    step->number++;
    note_inside(context, since_ns, 1);
    atomic_store(&step->exposed_ns, 0);
    atomic_store(&step->ready_count, 0);
    if (delayed_is_on(context)) {
        if (delayed_count(context) == 0) {
            report_begin(context);
            ledger_begin_step(context);
        }
        step->terms = delayed_begin(context);
    } else {
        begin_step_alone(context);
    }
    step->begin_ns = since_ns;
    note_inside(context, clock_now_ns(), -1);
}

/* Memory that new plans replace is given back once the GPU has come past it. That may take for ever
 * where a rank is gone, so it is waited for while nobody is kept from breaking the context. */
static enum ww_status await_old_plans(struct ww_context *context)
{
    bool waits = device_enqueues(context) && context->step.number > 0 && coding_changes(context);
    return waits ? context->device->ops->settle(context->device) : WW_OK;
}

enum ww_status ww_step_begin(struct ww_context *context)
{
    enum ww_status status = context_check(context, "ww_step_begin");
    if (status != WW_OK) {
        return status;
    }
    bool open = atomic_load(&context->step.open);
    if (!context->committed || open) {
        return context_fail(context, log_failure(WW_BAD_STATE, "ww_step_begin was called %s",
                                                 open ? "while the step before it is still open"
                                                      : "before ww_tensors_commit"));
    }
    uint64_t begin_ns = clock_now_ns();
    if (delayed_count(context) > 0 && coding_changes(context)) {
        status = delayed_await(context, true); /* plans change while nothing runs them */
        if (status != WW_OK) {
            return context_fail(context, status);
        }
    }
    status = await_old_plans(context);
    if (status != WW_OK) {
        return context_break(context, status, NULL);
    }
    pthread_mutex_lock(&context->steps.lock);
    status = coding_begin_step(context);
    if (status == WW_OK) {
        begin_step(context, begin_ns);
    }
    pthread_mutex_unlock(&context->steps.lock);
    if (status != WW_OK) {
        return context_break(context, status, NULL);
    }
    atomic_store_explicit(&context->step.open, true, memory_order_release);
    return WW_OK;
}

/* A step that cannot end: the peers wait for what will not come, so they are told. */
static enum ww_status refuse_end(struct ww_context *context, const struct ww_tensor *missing)
{
    enum ww_status status = log_failure(
        WW_BAD_STATE, "tensor \"%s\" was neither started nor skipped in step %llu", missing->name,
        (unsigned long long)context->step.number);
    return context_break(context, status, NULL);
}

static enum ww_status check_all(struct ww_context *context)
{
    for (int i = 0; i < context->bucket_count; i++) {
        struct ww_tensor *missing = missing_tensor(&context->buckets[i]);
        if (missing != NULL) {
            return refuse_end(context, missing);
        }
    }
    return WW_OK;
}

static enum ww_status await_own(struct ww_context *context)
{
    enum ww_status status = WW_OK;
    for (int i = 0; i < context->bucket_count && status == WW_OK; i++) {
        struct bucket *bucket = &context->buckets[context->order[i]];
        status = step_await(context, bucket, &bucket->state);
        if (status == WW_OK) {
            status = await_results_on_device(context, bucket);
        }
    }
    return status;
}

/* Steps that are compared with each other are timed to their end on the GPU. */
static enum ww_status end_on_device(struct ww_context *context, struct ww_report *report)
{
    struct device *device = context->device;
    bool times = context->ledger.compares && policy_times(&context->ledger.policy);
    enum ww_status status = times ? device->ops->settle(device) : WW_OK;
    if (status == WW_OK) {
        status = device->ops->end_step(device, report);
    }
    return status == WW_OK ? WW_OK : context_break(context, status, NULL);
}

/* What found no room before, or came last, shall leave before the program computes again. */
static enum ww_status push(struct ww_context *context)
{
    enum ww_status status = await_moment(context);
    return status == WW_PENDING ? WW_OK : status;
}

static void take_delayed(struct ww_context *context, struct ww_report *report)
{
    int staleness = 0;
    report->version = delayed_take(context, &staleness);
    ledger_note_staleness(context, staleness);
}

/* Delayed results are taken once more steps than that are on their way. */
static enum ww_status await_results(struct ww_context *context, struct ww_report *report)
{
    enum ww_status status = check_all(context);
    if (status == WW_OK && !delayed_is_on(context)) {
        report->version = context->step.number;
        status = await_own(context);
        ledger_note_staleness(context, 0);
        return status;
    }
    if (status != WW_OK) {
        return status;
    }
    bool due = delayed_count(context) == (uint64_t)context->delayed.depth;
    status = push(context);
    if (status == WW_OK && due) {
        status = delayed_await(context, false);
    }
    if (status == WW_OK && due) {
        take_delayed(context, report);
        status = push(context);
    } else if (status == WW_OK) {
        delayed_take_none(context);
    }
    return status;
}

static enum ww_status check_report(const struct ww_report *report)
{
    if (report == NULL || report->struct_bytes == sizeof *report) {
        return WW_OK;
    }
    return log_failure(WW_BAD_ARGUMENT,
                       "report->struct_bytes is %zu, this library knows %zu: start from "
                       "WW_REPORT_INIT",
                       report->struct_bytes, sizeof *report);
}

/* Results are in place: what they and the way here came to. */
static void account(struct ww_context *context, struct ww_report *report)
{
    report_counters(context, report);
    if (report->version > 0) {
        coding_end_step(context, report);
    } else {
        report->buckets = 0;
    }
}

static enum ww_status end_step(struct ww_context *context, uint64_t since_ns,
                               struct ww_report *made)
{
    ledger_begin_end(context, since_ns);
    enum ww_status status = await_results(context, made);
    if (status == WW_OK && context->device != NULL) {
        status = end_on_device(context, made);
    }
    atomic_store_explicit(&context->step.open, false, memory_order_release);
    if (status == WW_OK) {
        account(context, made);
    }
    if (status == WW_OK && context->coding.dense_next) {
        status = coding_share_momentum(context);
    }
    if (status == WW_OK && context->ledger.compares) {
        uint64_t now = clock_now_ns();
        note_inside(context, now, 0);
        status = compare_end_step(context, now, made);
    }
    context->coding.dense_next = false;
    if (status == WW_OK && order_is_due(context)) {
        status = order_share(context);
    }
    return status;
}

enum ww_status ww_step_end(struct ww_context *context, struct ww_report *report)
{
    enum ww_status status = context_check(context, "ww_step_end");
    if (status != WW_OK) {
        return status;
    }
    if (!atomic_load(&context->step.open)) {
        return context_fail(
            context, log_failure(WW_BAD_STATE, "ww_step_end was called without ww_step_begin"));
    }
    status = check_report(report);
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    struct ww_report made = WW_REPORT_INIT;
    uint64_t since = clock_now_ns();
    note_inside(context, since, 1);
    status = end_step(context, since, &made);
    note_inside(context, clock_now_ns(), -1);
    if (status != WW_OK) {
        char where[64];
        snprintf(where, sizeof where, "ww_step_end of step %llu",
                 (unsigned long long)context->step.number);
        context_tell_where(context, where);
        return context_fail(context, status);
    }
    report_end(context, &made);
    ledger_note(context, &made);
    if (report != NULL) {
        *report = made;
    }
    return WW_OK;
}

/* Ranks that drain differently would go on with other parameters: they meet. */
static enum ww_status drain_one(struct ww_context *context, struct ww_report *report)
{
    uint64_t since = clock_now_ns();
    context->step.begin_ns = since;
    note_inside(context, since, 1);
    atomic_store(&context->step.exposed_ns, 0);
    enum ww_status status = delayed_await(context, false);
    if (status == WW_OK) {
        status = call_meet(context, "ww_step_drain", GATE_LABEL_DRAIN);
    }
    if (status == WW_OK) {
        take_delayed(context, report);
        account(context, report);
        report->skipped = 0;
        report->payload_bytes = 0;
        report->dense_bytes = 0;
    }
    note_inside(context, clock_now_ns(), -1);
    if (status != WW_OK) {
        return status;
    }
    report_end(context, report);
    ledger_note_drain(context, report);
    return WW_OK;
}

enum ww_status ww_step_drain(struct ww_context *context, struct ww_report *report)
{
    static const char call[] = "ww_step_drain";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    status = check_report(report);
    if (status == WW_OK && atomic_load(&context->step.open)) {
        status = log_failure(WW_BAD_STATE, "%s was called inside of a step: end it before", call);
    }
    struct ww_report made = WW_REPORT_INIT;
    made.step = context->step.number;
    made.size = context->world.size;
    if (status == WW_OK && delayed_count(context) > 0) {
        status = drain_one(context, &made);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    if (report != NULL) {
        *report = made;
    }
    return WW_OK;
}
