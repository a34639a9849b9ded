/* SPDX-License-Identifier: BSD-3-Clause
 * call.c: single collectives on device memory, in the order of the program's stream. */
#include "call.h"

#include <string.h>

#include <wirewise/cuda.h>

#include "end.h"

/* ---- Enqueueing ------------------------------------------------------------------------- */

static enum ww_status reserve_next(struct device_end *end, size_t count)
{
    if (count <= end->next_count) {
        return WW_OK;
    }
    void *memory = NULL;
    gpu_free(end->next);
    end->next = NULL;
    end->next_count = 0;
    enum ww_status status = gpu_alloc(count * sizeof *end->next, &memory);
    if (status == WW_OK) {
        end->next = memory;
        end->next_count = count;
    }
    return status;
}

/* What was left out before becomes a part of the contribution, once. */
static enum ww_status take_in(struct device_end *end, struct run_request *request, float *residual)
{
    const void *sources[] = {request->input, residual};
    enum ww_status status = gpu_status(
        cuda_reduce(WW_F32, WW_SUM, request->output, sources, 2, request->count, 1.0, end->program),
        "adding residuals");
    request->input = request->output;
    return status == WW_OK ? gpu_zero(residual, request->count * sizeof *residual, end->program)
                           : status;
}

/* Kernels read residuals while they write the next ones: those have memory of their own. */
static enum ww_status run_coded(struct device_end *end, struct run_request *request,
                                float *residual)
{
    size_t bytes = request->count * sizeof *residual;
    enum ww_status status = WW_OK;
    atomic_store(&end->calls_coded, true);
    if (residual != NULL) { /* places that this rank does not encode keep what they have */
        status = gpu_copy(end->next, residual, bytes, end->program);
        request->coding.residual = residual;
        request->coding.next = end->next;
    }
    if (status == WW_OK) {
        status = end_run(end, request, NULL, &end->calls, end->program);
    }
    if (status == WW_OK && residual != NULL) {
        status = gpu_copy(residual, end->next, bytes, end->program);
    }
    return status;
}

static enum ww_status enqueue(struct device_end *end, const struct device_call *call)
{
    struct run_request request = *call->request;
    enum ww_status status = WW_OK;
    if (call->takes_in && request.count > 0) {
        status = take_in(end, &request, call->residual);
    }
    if (status == WW_OK && request.coding.spec.kind != CODEC_NONE) {
        status = run_coded(end, &request, call->residual);
    } else if (status == WW_OK && request.count > 0) {
        status = end_run(end, &request, NULL, &end->calls, end->program);
    }
    return status;
}

enum ww_status end_reserve_call(struct device *device, const struct device_call *call)
{
    struct device_end *end = end_of(device);
    if (call->residual == NULL || call->request->coding.spec.kind == CODEC_NONE) {
        return WW_OK;
    }
    struct visit before = end_enter(end);
    enum ww_status status = reserve_next(end, call->request->count);
    end_leave(end, before);
    return status;
}

enum ww_status end_run_call(struct device *device, const struct device_call *call)
{
    struct device_end *end = end_of(device);
    struct visit before = end_enter(end);
    enum ww_status status = enqueue(end, call);
    atomic_fetch_add(&end->calls_made, 1);
    end_leave(end, before);
    return status;
}

enum ww_status end_check_calls(struct device_end *end)
{
    struct cuda_notes told = {.damaged = 0};
    if (!atomic_exchange(&end->calls_coded, false)) {
        return WW_OK;
    }
    enum ww_status status = gpu_copy(&told, end->unread, sizeof told, end->program);
    if (status == WW_OK) {
        status = gpu_stream_finish(end->program);
    }
    if (status == WW_OK && told.damaged > 0) {
        status = log_failure(WW_TRANSPORT_FAILED,
                             "%u frames of single calls were damaged: do all ranks load the same "
                             "libwirewise, and is the network's memory sound?",
                             told.damaged);
    }
    return status;
}

/* ---- Staging ---------------------------------------------------------------------------- */

/* What a staged call reads and writes, in the host's memory. */
struct staged {
    void *input;
    void *output;
    float *residual;
    size_t input_bytes;
    size_t output_bytes;
    size_t residual_bytes;
};

static enum ww_status reserve_staging(struct device_end *end, size_t bytes)
{
    if (bytes <= end->staging_bytes) {
        return WW_OK;
    }
    gpu_free_pinned(end->staging);
    end->staging_bytes = 0;
    enum ww_status status = gpu_alloc_pinned(bytes, &end->staging);
    end->staging_bytes = status == WW_OK ? bytes : 0;
    return status;
}

static enum ww_status bring_out(struct device_end *end, const struct call_on_device *asked,
                                const struct staged *staged)
{
    enum ww_status status = gpu_copy(staged->input, asked->input, staged->input_bytes,
                                     end->program);
    if (status == WW_OK && staged->residual_bytes > 0) {
        status = gpu_copy(staged->residual, asked->residual, staged->residual_bytes, end->program);
    }
    return status == WW_OK ? end_settle(&end->base) : status;
}

static enum ww_status bring_back(struct device_end *end, const struct call_on_device *asked,
                                 const struct staged *staged)
{
    enum ww_status status = gpu_copy(asked->output, staged->output, staged->output_bytes,
                                     end->program);
    if (status == WW_OK && staged->residual_bytes > 0) {
        status = gpu_copy(asked->residual, staged->residual, staged->residual_bytes, end->program);
    }
    return status == WW_OK ? gpu_stream_finish(end->program) : status;
}

static size_t padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static enum ww_status call_host(struct ww_context *context, const struct call_on_device *asked,
                                const struct staged *staged)
{
    switch (asked->collective) {
    case COLLECTIVE_REDUCE_SCATTER:
        return ww_reduce_scatter(context, staged->input, staged->output, asked->count, asked->type,
                                 asked->op);
    case COLLECTIVE_ALL_GATHER:
        return ww_all_gather(context, staged->input, staged->output, asked->count, asked->type);
    case COLLECTIVE_BROADCAST:
        return ww_broadcast(context, staged->output, asked->count, asked->type, asked->root);
    default:
        return asked->codec != NULL
                   ? ww_all_reduce_coded(context, staged->input, staged->output, asked->count,
                                         asked->op, asked->codec, staged->residual)
                   : ww_all_reduce(context, staged->input, staged->output, asked->count,
                                   asked->type, asked->op);
    }
}

static enum ww_status run_through_host(struct device_end *end, const struct call_on_device *asked)
{
    struct ww_context *context = end->base.context;
    size_t size = (size_t)context->world.size;
    size_t bytes = asked->count * ww_type_bytes(asked->type);
    struct staged staged = {.input_bytes = bytes, .output_bytes = bytes};
    staged.input_bytes *= asked->collective == COLLECTIVE_REDUCE_SCATTER ? size : 1;
    staged.output_bytes *= asked->collective == COLLECTIVE_ALL_GATHER ? size : 1;
    staged.residual_bytes = asked->residual != NULL ? bytes : 0;
    struct visit before = end_enter(end);
    enum ww_status status = reserve_staging(
        end, padded(staged.input_bytes) + padded(staged.output_bytes) + staged.residual_bytes);
    if (status == WW_OK) {
        uint8_t *memory = end->staging;
        staged.input = memory;
        staged.output = asked->collective == COLLECTIVE_BROADCAST
                            ? staged.input
                            : memory + padded(staged.input_bytes);
        staged.residual = staged.residual_bytes == 0
                              ? NULL
                              : (float *)(void *)(memory + padded(staged.input_bytes) +
                                                  padded(staged.output_bytes));
        status = bring_out(end, asked, &staged);
    }
    if (status != WW_OK) {
        status = context_break(context, status, NULL); /* the peers wait for this rank */
    } else {
        status = call_host(context, asked, &staged);
    }
    if (status == WW_OK) {
        status = bring_back(end, asked, &staged);
        status = status == WW_OK ? WW_OK : context_break(context, status, NULL);
    }
    end_leave(end, before);
    return status;
}

/* Through the host's memory, here and now. */
static enum ww_status run_staged(struct device_end *end, const struct call_on_device *asked)
{
    struct ww_context *context = end->base.context;
    enum ww_status status = call_check_on_device(context, asked);
    if (status != WW_OK) {
        return status;
    }
    if (atomic_exchange(&end->stages, true)) {
        return context_fail(context, log_failure(WW_BAD_STATE,
                                                 "%s was called while another thread is inside a "
                                                 "single call on the same context",
                                                 asked->name));
    }
    status = run_through_host(end, asked);
    atomic_store(&end->stages, false);
    return status;
}

/* ---- Asked for by the program ------------------------------------------------------------- */

/* Memory of another place is refused before anything is agreed on: it cannot be read. */
static enum ww_status check_place(struct ww_context *context, const struct call_on_device *asked)
{
    struct device_end *end = end_of(context->device);
    const void *memory[] = {asked->input, asked->output, asked->residual};
    static const char *const roles[] = {"input", "output", "residual"};
    if (memcmp(memory, end->latest, sizeof memory) == 0) {
        return WW_OK; /* programs repeat themselves */
    }
    for (size_t i = 0; i < 3 && asked->count > 0; i++) {
        int owner = memory[i] == NULL ? end->gpu : gpu_owner(memory[i]);
        if (owner != end->gpu) {
            char where[32];
            snprintf(where, sizeof where, "GPU %d's", owner);
            return context_fail(context,
                                log_failure(WW_BAD_ARGUMENT,
                                            "%s got %p for its %s, which is %s memory, not that of "
                                            "GPU %d",
                                            asked->name, memory[i], roles[i],
                                            owner < 0 ? "no GPU's" : where, end->gpu));
        }
    }
    memcpy(end->latest, memory, asked->count > 0 ? sizeof memory : 0);
    return WW_OK;
}

static enum ww_status make(struct ww_context *context, const struct call_on_device *asked)
{
    enum ww_status status = context_check(context, asked->name);
    if (status != WW_OK || context->device == NULL) {
        return status != WW_OK ? status : call_on_device(context, asked); /* which refuses it */
    }
    status = check_place(context, asked);
    if (status != WW_OK) {
        return status;
    }
    return context->device->staged ? run_staged(end_of(context->device), asked)
                                   : call_on_device(context, asked);
}

enum ww_status ww_cuda_all_reduce(struct ww_context *context, const void *input, void *output,
                                  size_t count, enum ww_type type, enum ww_op op)
{
    return make(context, &(struct call_on_device){.name = "ww_cuda_all_reduce",
                                                  .collective = COLLECTIVE_ALL_REDUCE,
                                                  .input = input,
                                                  .output = output,
                                                  .count = count,
                                                  .type = type,
                                                  .op = op,
                                                  .root = -1});
}

enum ww_status ww_cuda_all_reduce_coded(struct ww_context *context, const float *input,
                                        float *output, size_t count, enum ww_op op,
                                        const char *codec, float *residual)
{
    return make(context, &(struct call_on_device){.name = "ww_cuda_all_reduce_coded",
                                                  .collective = COLLECTIVE_ALL_REDUCE,
                                                  .input = input,
                                                  .output = output,
                                                  .count = count,
                                                  .type = WW_F32,
                                                  .op = op,
                                                  .root = -1,
                                                  .codec = codec == NULL ? "" : codec,
                                                  .residual = residual});
}

enum ww_status ww_cuda_reduce_scatter(struct ww_context *context, const void *input, void *output,
                                      size_t count, enum ww_type type, enum ww_op op)
{
    return make(context, &(struct call_on_device){.name = "ww_cuda_reduce_scatter",
                                                  .collective = COLLECTIVE_REDUCE_SCATTER,
                                                  .input = input,
                                                  .output = output,
                                                  .count = count,
                                                  .type = type,
                                                  .op = op,
                                                  .root = -1});
}

enum ww_status ww_cuda_all_gather(struct ww_context *context, const void *input, void *output,
                                  size_t count, enum ww_type type)
{
    return make(context, &(struct call_on_device){.name = "ww_cuda_all_gather",
                                                  .collective = COLLECTIVE_ALL_GATHER,
                                                  .input = input,
                                                  .output = output,
                                                  .count = count,
                                                  .type = type,
                                                  .op = WW_OP_COUNT,
                                                  .root = -1});
}

enum ww_status ww_cuda_broadcast(struct ww_context *context, void *values, size_t count,
                                 enum ww_type type, int root)
{
    return make(context, &(struct call_on_device){.name = "ww_cuda_broadcast",
                                                  .collective = COLLECTIVE_BROADCAST,
                                                  .input = values,
                                                  .output = values,
                                                  .count = count,
                                                  .type = type,
                                                  .op = WW_OP_COUNT,
                                                  .root = root});
}

enum ww_status ww_cuda_synchronize(struct ww_context *context)
{
    enum ww_status status = context_check(context, "ww_cuda_synchronize");
    if (status != WW_OK) {
        return status;
    }
    if (context->device == NULL) {
        return context_fail(context,
                            log_failure(WW_BAD_STATE, "ww_cuda_synchronize: the context has no "
                                                      "GPU: call ww_cuda_attach"));
    }
    status = context->device->ops->settle(context->device);
    return status == WW_OK ? WW_OK : context_break(context, status, NULL);
}
