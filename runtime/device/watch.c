/* SPDX-License-Identifier: BSD-3-Clause
 * watch.c: looks after the GPU while the program waits for it. A collective that has begun and does
 * not end, an error that NCCL found, a peer's bad news: whatever it is breaks the context, which
 * aborts what is under way, so that no stream hangs without a name. */
#include <stdlib.h>
#include <string.h>

#include "end.h"
#include "internal/clock.h"
#include "internal/thread.h"

#define NS_PER_S 1e9
#define LOOK_EVERY_S 0.02
#define ROLL_CALL_NS                                                                               \
    UINT64_C(1000000000) /* ranks look every LOOK_EVERY_S, unless they are busy                    \
                          */
#define NAMED_MOST 4
#define FORSAKEN_S 1.0

struct watcher {
    struct device_end *end;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending;
    bool hears; /* it may use the host's fabric */
};

/* Sleeps for a moment; false when it is over. */
static bool pause_watch(struct watcher *self)
{
    struct timespec until = clock_deadline(LOOK_EVERY_S);
    pthread_mutex_lock(&self->lock);
    while (!self->ending && pthread_cond_timedwait(&self->wake, &self->lock, &until) == 0) {
        continue;
    }
    bool goes_on = !self->ending;
    pthread_mutex_unlock(&self->lock);
    return goes_on;
}

static bool has_passed(uint64_t since_ns, double seconds)
{
    uint64_t now_ns = clock_now_ns();
    return now_ns > since_ns && (double)(now_ns - since_ns) / NS_PER_S > seconds;
}

/* What a peer takes part in that gave up does not end, unless it had done its part before. */
static bool is_over_time(const struct device_end *end, uint64_t since_ns)
{
    uint64_t news_ns = atomic_load(&end->news_ns);
    uint64_t later_ns = news_ns > since_ns ? news_ns : since_ns;
    return has_passed(since_ns, end->base.context->settings.values.timeout_s) ||
           (news_ns != 0 && has_passed(later_ns, FORSAKEN_S));
}

/* No lock is taken here: whoever is held has them. It breaks the context once it is free. */
void end_release(struct device *device)
{
    struct device_end *end = end_of(device);
    uint64_t since_ns = atomic_load(&end->entered_ns);
    if (end->nccl != NULL && since_ns != 0 && is_over_time(end, since_ns) &&
        !atomic_exchange(&end->overdue, true)) {
        end->base.ops->abort(&end->base);
    }
}

/* Whoever has the steps' lane may be held by NCCL. False when it is over. */
static bool lock_steps(struct watcher *self)
{
    struct device *device = &self->end->base;
    while (pthread_mutex_trylock(&device->context->steps.lock) != 0) {
        end_release(device);
        if (!pause_watch(self)) {
            return false;
        }
    }
    return true;
}

/* Takes in what peers say, and answers them. */
static enum ww_status hear(struct watcher *self)
{
    uint64_t now_ns = clock_now_ns();
    enum ww_status status = self->hears ? step_advance(self->end->base.context, &now_ns) : WW_OK;
    return status < 0 ? status : WW_OK;
}

static void note_news(struct watcher *self)
{
    struct device_end *end = self->end;
    struct lane *steps = &end->base.context->steps;
    if (atomic_load(&end->news_ns) == 0 && pthread_mutex_trylock(&steps->lock) == 0) {
        atomic_store(&end->news_ns, engine_has_news(steps->engine) ? clock_now_ns() : 0);
        pthread_mutex_unlock(&steps->lock);
    }
}

/* ---- What does not end ------------------------------------------------------------------ */

/* True when a collective began so long ago; *status tells what its events say. */
static bool is_stuck(const struct device_end *end, struct mark *mark, enum ww_status *status)
{
    uint64_t step = atomic_load(&mark->step);
    if (step == 0 || step == mark->over || *status < 0) {
        return false;
    }
    enum ww_status ended = gpu_event_look(mark->end);
    bool looks = ended == WW_PENDING && mark->begin != NULL;
    enum ww_status begun = looks ? gpu_event_look(mark->begin) : WW_OK;
    *status = begun < 0 ? begun : ended < 0 ? ended : *status;
    mark->over = ended == WW_OK ? step : mark->over;
    if (ended != WW_PENDING || begun != WW_OK) {
        atomic_store(&mark->begun_ns, 0);
        return false;
    }
    uint64_t since_ns = atomic_load(&mark->begun_ns);
    if (since_ns == 0) {
        atomic_store(&mark->begun_ns, clock_now_ns());
        return false;
    }
    return is_over_time(end, since_ns);
}

/* Who does not answer; "" = everybody does, or nobody can be asked. */
static void call_roll(struct watcher *self, char *text, size_t bytes)
{
    struct ww_context *context = self->end->base.context;
    int ranks[NAMED_MOST];
    int count = 0;
    size_t used = 0;
    text[0] = '\0';
    if (!self->hears) {
        return;
    }
    if (!lock_steps(self)) {
        return;
    }
    engine_call_roll(context->steps.engine);
    pthread_mutex_unlock(&context->steps.lock);
    uint64_t since_ns = clock_now_ns();
    while (clock_now_ns() - since_ns < ROLL_CALL_NS && hear(self) == WW_OK && pause_watch(self)) {
        continue;
    }
    if (!lock_steps(self)) {
        return;
    }
    count = engine_unanswered(context->steps.engine, ranks, NAMED_MOST);
    pthread_mutex_unlock(&context->steps.lock);
    for (int i = 0; i < count && i < NAMED_MOST && used < bytes; i++) {
        const char *host = context->topology.host_name[context->topology.host_of[ranks[i]]];
        used += (size_t)snprintf(text + used, bytes - used, "%srank %d (%s)",
                                 i == 0 ? ": no answer from " : ", ", ranks[i], host);
    }
    if (count > NAMED_MOST && used < bytes) {
        snprintf(text + used, bytes - used, " and %d more", count - NAMED_MOST);
    }
}

/* What NCCL found is a broken connection; whose it was is asked on the host. */
static enum ww_status tell_failed(struct watcher *self, enum ww_status status)
{
    const struct ww_context *context = self->end->base.context;
    char found[512];
    char who[256];
    snprintf(found, sizeof found, "%s", log_last_error());
    call_roll(self, who, sizeof who);
    enum ww_status failure = atomic_load(&context->failure);
    if (failure != WW_OK || who[0] == '\0') {
        return failure != WW_OK ? failure : status;
    }
    return log_failure(WW_PEER_FAILED, "%s%s", found, who);
}

/* Why a peer gave up, told as a failure; WW_OK = none did. */
static enum ww_status tell_news(struct watcher *self)
{
    struct lane *steps = &self->end->base.context->steps;
    enum ww_status news = WW_OK;
    if (atomic_load(&self->end->news_ns) != 0 && lock_steps(self)) {
        news = engine_tell_news(steps->engine);
        pthread_mutex_unlock(&steps->lock);
    }
    return news;
}

static enum ww_status tell_stuck(struct watcher *self, const struct bucket *bucket, uint64_t number)
{
    const struct ww_context *context = self->end->base.context;
    enum ww_status news = tell_news(self);
    char what[160];
    char who[256];
    if (news != WW_OK) {
        return news;
    }
    if (bucket == NULL) {
        snprintf(what, sizeof what, "single call %llu", (unsigned long long)number);
    } else {
        snprintf(what, sizeof what, "bucket %d of step %llu (\"%.60s\" ...)", bucket->index,
                 (unsigned long long)number, bucket->tensors[0]->name);
    }
    call_roll(self, who, sizeof who);
    enum ww_status failure = atomic_load(&context->failure);
    return failure != WW_OK
               ? failure
               : log_failure(WW_TIMED_OUT,
                             "%s began on the GPU and did not end within %.3g s (timeout_s)%s",
                             what, context->settings.values.timeout_s, who);
}

/* Unless the place of an earlier call is waited for, that of the latest one is. A stream that is
 * being made into a graph must not be touched. */
static enum ww_status mark_call(struct device_end *end)
{
    struct mark *mark = &end->call;
    uint64_t made = atomic_load(&end->calls_made);
    bool waits = atomic_load(&mark->begun_ns) != 0;
    if (waits || made == mark->step || gpu_stream_captures(end->program)) {
        return WW_OK;
    }
    enum ww_status status = gpu_record(mark->end, end->program);
    mark->step = status == WW_OK ? made : mark->step;
    return status;
}

static enum ww_status look_for_stuck(struct watcher *self)
{
    struct device_end *end = self->end;
    struct ww_context *context = end->base.context;
    enum ww_status status = mark_call(end);
    if (is_stuck(end, &end->call, &status)) {
        return tell_stuck(self, NULL, end->call.step);
    }
    bool known = atomic_load(&context->committed);
    for (int i = 0; known && i < context->bucket_count && status == WW_OK; i++) {
        struct device_bucket *kept = context->buckets[i].on_device;
        for (int m = 0; m < MARKED_STEPS; m++) {
            if (is_stuck(end, &kept->marks[m], &status)) {
                return tell_stuck(self, &context->buckets[i], kept->marks[m].step);
            }
        }
    }
    return status;
}

/* ---- Thread ----------------------------------------------------------------------------- */

static enum ww_status look(struct watcher *self)
{
    struct device_end *end = self->end;
    end_release(&end->base);
    enum ww_status status = end->nccl == NULL ? WW_OK : nccl_look(end->nccl);
    if (status == WW_OK && end->inner != NULL) {
        status = nccl_look(end->inner);
    }
    if (status != WW_OK) {
        return tell_failed(self, status);
    }
    status = hear(self);
    note_news(self);
    return status == WW_OK ? look_for_stuck(self) : status;
}

/* Where the host's fabric is not this thread's, peers are told by whoever calls next, or find out
 * by themselves. */
static void give_up(struct watcher *self, enum ww_status status)
{
    struct device *device = &self->end->base;
    struct ww_context *context = device->context;
    if (!self->hears) {
        context_break_alike(context, status);
        device->ops->abort(device);
    } else if (lock_steps(self)) {
        context_break(context, status, &context->steps);
        pthread_mutex_unlock(&context->steps.lock);
    }
}

static void *run(void *argument)
{
    struct watcher *self = argument;
    struct ww_context *context = self->end->base.context;
    context_name_rank(context);
    end_enter(self->end);
    while (pause_watch(self)) {
        if (atomic_load(&context->failure) != WW_OK) {
            continue;
        }
        enum ww_status status = look(self);
        if (status != WW_OK) {
            give_up(self, status);
        }
    }
    return NULL;
}

enum ww_status watcher_start(struct device_end *end)
{
    struct watcher *self = calloc(1, sizeof *self);
    if (self == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to watch a GPU");
    }
    self->end = end;
    self->hears = context_thread_trouble(end->base.context, false) == NULL;
    pthread_mutex_init(&self->lock, NULL);
    clock_condition_init(&self->wake);
    int failure = thread_start(&self->thread, run, self);
    if (failure != 0) {
        pthread_cond_destroy(&self->wake);
        pthread_mutex_destroy(&self->lock);
        free(self);
        return log_failure(WW_NO_MEMORY, "no thread to watch a GPU: %s", strerror(failure));
    }
    end->watcher = self;
    return WW_OK;
}

void watcher_stop(struct watcher *watcher)
{
    if (watcher == NULL) {
        return;
    }
    pthread_mutex_lock(&watcher->lock);
    watcher->ending = true;
    pthread_cond_signal(&watcher->wake);
    pthread_mutex_unlock(&watcher->lock);
    pthread_join(watcher->thread, NULL);
    pthread_mutex_destroy(&watcher->lock);
    pthread_cond_destroy(&watcher->wake);
    free(watcher);
}

/* What the watch may not hear whoever waits does. */
static void hear_instead(struct device_end *end)
{
    uint64_t now_ns = clock_now_ns();
    if (!end->watcher->hears) {
        step_advance(end->base.context, &now_ns); /* its failure is the context's */
    }
}

/* The watch finds out what goes wrong meanwhile; the aborted stream ends, with a failure known. */
enum ww_status end_settle(struct device *device)
{
    struct device_end *end = end_of(device);
    struct ww_context *context = device->context;
    struct patience patience = {.crowded = context->crowded};
    struct visit before = end_enter(end);
    enum ww_status status = gpu_stream_look(end->program);
    while (status == WW_PENDING && atomic_load(&context->failure) == WW_OK) {
        patience_spend(&patience, (struct pulse){WW_WAIT_NETWORK, 0});
        end_release(device);
        hear_instead(end);
        status = gpu_stream_look(end->program);
    }
    if (status == WW_OK) {
        status = end_check_calls(end);
    }
    if (status == WW_OK) {
        status = end_check_steps(end);
    }
    end_leave(end, before);
    enum ww_status failure = atomic_load(&context->failure);
    return failure != WW_OK ? failure : status;
}
