/* SPDX-License-Identifier: BSD-3-Clause
 * bucket.c: a bucket's way over a GPU: its gradients are ready at some place in the program's
 * stream; once all ranks agree, everything that it takes is enqueued on the runtime's stream; the
 * program's goes on behind it. Or, where it is staged: out into the host's memory, its usual way
 * there, and back. */
#include <stdlib.h>
#include <string.h>

#include "end.h"
#include "internal/clock.h"

static struct mark *mark_of(struct device_bucket *kept, uint64_t step)
{
    return &kept->marks[step % MARKED_STEPS];
}

/* ---- Making ----------------------------------------------------------------------------- */

static enum ww_status mark_create(struct mark *mark)
{
    enum ww_status status = gpu_event_create(true, &mark->begin);
    return status == WW_OK ? gpu_event_create(true, &mark->end) : status;
}

void mark_finish(struct mark *mark)
{
    gpu_event_destroy(mark->begin);
    gpu_event_destroy(mark->end);
}

static enum ww_status fill(struct device_end *end, struct bucket *bucket,
                           struct device_bucket *kept)
{
    enum ww_status status = gpu_event_create(false, &kept->ready);
    for (int i = 0; status == WW_OK && i < MARKED_STEPS; i++) {
        status = mark_create(&kept->marks[i]);
    }
    if (status == WW_OK && end->base.staged) {
        status = gpu_alloc_pinned(bucket->memory_bytes, &bucket->memory);
    }
    return status;
}

enum ww_status end_add_bucket(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    bucket->on_device = calloc(1, sizeof *bucket->on_device);
    if (bucket->on_device == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a bucket on a GPU");
    }
    struct visit before = end_enter(end);
    enum ww_status status = fill(end, bucket, bucket->on_device);
    end_leave(end, before);
    return status;
}

void end_remove_bucket(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    struct device_bucket *kept = bucket->on_device;
    if (kept == NULL) {
        return;
    }
    struct visit before = end_enter(end);
    for (int i = 0; i < MARKED_STEPS; i++) {
        mark_finish(&kept->marks[i]);
    }
    gpu_event_destroy(kept->ready);
    gpu_free(kept->notes);
    gpu_free_pinned(kept->told);
    if (device->staged) {
        gpu_free_pinned(bucket->memory);
    } else {
        gpu_free(bucket->memory);
    }
    end_leave(end, before);
    free(kept);
    bucket->on_device = NULL;
    bucket->memory = NULL;
}

/* ---- Ready ------------------------------------------------------------------------------ */

/* Gradients come out into the host's memory; those that are skipped are zeros there. */
static enum ww_status stage(struct device_end *end, struct bucket *bucket)
{
    struct device_bucket *kept = bucket->on_device;
    size_t element_bytes = ww_type_bytes(bucket->type);
    enum ww_status status = gpu_stream_await(end->stream, kept->ready);
    for (int i = 0; status == WW_OK && i < bucket->tensor_count; i++) {
        struct ww_tensor *tensor = bucket->tensors[i];
        uint8_t *into = (uint8_t *)bucket->memory + tensor->offset * element_bytes;
        size_t bytes = tensor->count * element_bytes;
        if (bytes == 0) {
            continue;
        }
        if (atomic_load(&tensor->state) == TENSOR_STARTED) {
            status = gpu_copy(into, tensor->values, bytes, end->stream);
        } else {
            status = gpu_stream_finish(end->stream); /* what is brought back may still be read */
            memset(into, 0, bytes);
        }
    }
    return status == WW_OK ? gpu_record(kept->ready, end->stream) : status;
}

static enum ww_status reserve_notes(struct device_bucket *kept)
{
    size_t bytes = MARKED_STEPS * sizeof *kept->notes;
    void *notes = NULL;
    void *told = NULL;
    if (kept->notes != NULL) {
        return WW_OK;
    }
    enum ww_status status = gpu_alloc(bytes, &notes);
    if (status == WW_OK) {
        status = gpu_alloc_pinned(bytes, &told);
    }
    if (status != WW_OK) {
        gpu_free(notes);
        return status;
    }
    kept->notes = notes;
    kept->told = told;
    return WW_OK;
}

/* Memory that a bucket needs is there before the ranks agree on it: afterwards the others wait for
 * this one inside of NCCL. */
static enum ww_status reserve(struct device *device, struct bucket *bucket)
{
    bool coded = bucket->request.coding.spec.kind != CODEC_NONE;
    enum ww_status status = device->staged ? WW_OK : bucket_reserve(device->context, bucket);
    return status == WW_OK && coded && !device->staged ? reserve_notes(bucket->on_device) : status;
}

enum ww_status end_note_ready(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    struct visit before = end_enter(end);
    enum ww_status status = reserve(device, bucket);
    if (status == WW_OK) {
        status = gpu_record(bucket->on_device->ready, end->program);
    }
    if (status == WW_OK && device->staged) {
        status = stage(end, bucket);
    }
    end_leave(end, before);
    return status;
}

enum ww_status end_look_ready(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    if (!device->staged) {
        return WW_OK;
    }
    struct visit before = end_enter(end);
    enum ww_status status = gpu_event_look(bucket->on_device->ready);
    end_leave(end, before);
    return status;
}

/* ---- Running ---------------------------------------------------------------------------- */

/* Elements that this rank encodes in a run of the plan. */
static size_t count_encoded(const struct run_request *request)
{
    const struct plan *plan = request->plan;
    size_t chunks = 0;
    for (uint32_t i = 0; i < plan->action_count; i++) {
        chunks += plan->actions[i].kind == ACTION_ENCODE ? plan->actions[i].slice.count : 0;
    }
    return request->count / plan->parts * chunks;
}

/* What runs comes with notes where it encodes: blank ones before it, and told behind it. */
static enum ww_status run(struct device_end *end, struct bucket *bucket,
                          const struct run_request *request)
{
    struct device_bucket *kept = bucket->on_device;
    size_t slot = request->step % MARKED_STEPS;
    bool coded = request->coding.spec.kind != CODEC_NONE;
    struct cuda_notes *notes = NULL;
    enum ww_status status = WW_OK;
    kept->encoded[slot] = coded ? count_encoded(request) : 0;
    if (coded) {
        notes = &kept->notes[slot];
        status = gpu_copy(notes, end->blank, sizeof *notes, end->stream);
    }
    if (status == WW_OK) {
        status = end_run(end, request, notes, &end->steps, end->stream);
    }
    if (status == WW_OK && coded) {
        status = gpu_copy(&kept->told[slot], notes, sizeof *notes, end->stream);
    }
    return status;
}

static enum ww_status enqueue(struct device_end *end, struct bucket *bucket, struct mark *mark)
{
    struct ww_context *context = end->base.context;
    struct run_request request = bucket->request;
    enum ww_status status = gpu_stream_await(end->stream, bucket->on_device->ready);
    if (status == WW_OK) {
        status = gpu_record(mark->begin, end->stream);
    }
    if (status == WW_OK) {
        status = bucket_gather(context, bucket);
    }
    if (status != WW_OK) {
        return status;
    }
    request.input = bucket->values;
    request.output = bucket->values;
    request.step = context->step.number;
    coding_launch(context, bucket, context->step.terms, &request);
    if (request.count > 0) {
        status = run(end, bucket, &request);
    }
    if (status == WW_OK) {
        bucket_scatter(context, bucket);
        status = gpu_record(mark->end, end->stream);
    }
    return status == WW_OK ? atomic_load(&end->trouble) : status;
}

enum ww_status end_run_bucket(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    uint64_t step = device->context->step.number;
    struct mark *mark = mark_of(bucket->on_device, step);
    struct visit before = end_enter(end);
    mark->step = 0;                                 /* the watch leaves it alone */
    atomic_store(&end->entered_ns, clock_now_ns()); /* memory of a first step may be waited for */
    enum ww_status status = enqueue(end, bucket, mark);
    atomic_store(&end->entered_ns, 0);
    atomic_store(&mark->begun_ns, 0);
    mark->step = status == WW_OK ? step : 0;
    end_leave(end, before);
    return status;
}

enum ww_status end_await_bucket(struct device *device, struct bucket *bucket)
{
    struct device_end *end = end_of(device);
    struct mark *mark = mark_of(bucket->on_device, device->context->step.number);
    struct visit before = end_enter(end);
    enum ww_status status = device->staged ? gpu_record(mark->end, end->stream) : WW_OK;
    if (status == WW_OK) {
        status = gpu_stream_await(end->program, mark->end);
    }
    end_leave(end, before);
    return status == WW_OK ? atomic_load(&end->trouble) : status;
}

/* ---- Telling ---------------------------------------------------------------------------- */

static bool is_over(const struct ww_context *context, uint64_t step)
{
    for (int i = 0; i < context->bucket_count; i++) {
        struct mark *mark = mark_of(context->buckets[i].on_device, step);
        if (mark->step != step || gpu_event_look(mark->end) != WW_OK) {
            return false;
        }
    }
    return true;
}

static void tell_bucket(struct bucket *bucket, uint64_t step, struct ww_report *report)
{
    struct device_bucket *kept = bucket->on_device;
    size_t slot = step % MARKED_STEPS;
    report->communication_s += gpu_seconds(kept->marks[slot].begin, kept->marks[slot].end);
    if (kept->encoded[slot] == 0) {
        return;
    }
    const struct cuda_notes *told = &kept->told[slot];
    struct coding_outcome *outcome = &bucket->coding.outcome;
    outcome->encoded = kept->encoded[slot];
    outcome->chosen = told->chosen;
    outcome->wild = told->wild;
    outcome->wild_rank = told->wild_rank == INT32_MAX ? -1 : told->wild_rank;
    outcome->given = told->given;
    outcome->left = told->left;
}

static enum ww_status check_damage(struct device_end *end, uint64_t step)
{
    const struct ww_context *context = end->base.context;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct device_bucket *kept = context->buckets[i].on_device;
        size_t slot = step % MARKED_STEPS;
        bool known = kept->marks[slot].step == step && kept->encoded[slot] > 0;
        if (known && kept->told[slot].damaged > 0) {
            return log_failure(
                WW_TRANSPORT_FAILED,
                "%u frames of bucket %d of step %llu were damaged: do all ranks load "
                "the same libwirewise, and is the network's memory sound?",
                kept->told[slot].damaged, i, (unsigned long long)step);
        }
    }
    return WW_OK;
}

enum ww_status end_check_steps(struct device_end *end)
{
    const struct ww_context *context = end->base.context;
    enum ww_status status = WW_OK;
    if (!atomic_load(&context->committed) || atomic_load(&context->step.open)) {
        return WW_OK; /* a step's end looks itself */
    }
    uint64_t now = context->step.number;
    for (uint64_t back = 0; status == WW_OK && back < MARKED_STEPS && now > end->told_step + back;
         back++) {
        status = check_damage(end, now - back);
    }
    return status;
}

/* Of the latest step that the GPU has finished and that was not told of yet. */
enum ww_status end_end_step(struct device *device, struct ww_report *report)
{
    struct device_end *end = end_of(device);
    struct ww_context *context = device->context;
    uint64_t now = context->step.number;
    if (device->staged) {
        report->timed_step = now;
        return WW_OK;
    }
    struct visit before = end_enter(end);
    enum ww_status status = WW_OK;
    uint64_t found = 0;
    for (uint64_t back = 0; found == 0 && back < MARKED_STEPS && now - back > end->told_step;
         back++) {
        found = is_over(context, now - back) ? now - back : 0;
    }
    for (int i = 0; found > 0 && i < context->bucket_count; i++) {
        tell_bucket(&context->buckets[i], found, report);
    }
    for (uint64_t back = 0; status == WW_OK && back < MARKED_STEPS && found > end->told_step + back;
         back++) {
        status = check_damage(end, found - back);
    }
    if (found > 0) {
        end->told_step = found;
        report->timed_step = found;
    }
    end_leave(end, before);
    return status;
}
