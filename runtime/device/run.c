/* SPDX-License-Identifier: BSD-3-Clause
 * run.c: how a collective between GPUs goes: by NCCL's own, where that gives what is promised, or
 * by a plan that is enqueued, nested in NCCL's inside hosts where they are alike. And what that
 * sends. */
#include <string.h>

#include "end.h"
#include "internal/clock.h"

/* A stream has one order, so segments do not overlap: they only bound the memory for frames. */
#define SEGMENT_BYTES ((size_t)64 << 20)
#define AUTOMATIC "auto"

/* ---- Running ---------------------------------------------------------------------------- */

/* NCCL's own collectives, where they give what is promised and nobody asks for a certain plan. */
static bool is_native(const struct device_end *end, const struct run_request *request)
{
    const char *algorithm = end->base.context->settings.values.algorithm;
    enum collective collective = request->plan->collective;
    bool free_choice = collective != COLLECTIVE_ALL_REDUCE || strcmp(algorithm, AUTOMATIC) == 0;
    bool reduces = collective == COLLECTIVE_ALL_REDUCE || collective == COLLECTIVE_REDUCE_SCATTER;
    return request->coding.spec.kind == CODEC_NONE && free_choice &&
           (!reduces || nccl_suits(request->type, request->op));
}

static enum ww_status divide(const struct device_end *end, const struct run_request *request,
                             void *stream)
{
    double factor = 1.0 / end->base.context->world.size;
    return request->op != WW_MEAN ? WW_OK
                                  : gpu_status(cuda_scale(request->type, request->output,
                                                          request->count, factor, NULL, stream),
                                               "dividing a sum");
}

static enum ww_status run_native(struct device_end *end, const struct run_request *request,
                                 void *stream)
{
    struct nccl *nccl = end->nccl;
    enum ww_status status;
    switch (request->plan->collective) {
    case COLLECTIVE_ALL_GATHER:
        return nccl_all_gather(nccl, request->input, request->output, request->count, request->type,
                               stream);
    case COLLECTIVE_BROADCAST:
        return nccl_broadcast(nccl, request->output, request->count, request->type, request->root,
                              stream);
    case COLLECTIVE_REDUCE_SCATTER:
        status = nccl_reduce_scatter(nccl, request->input, request->output, request->count,
                                     request->type, request->op, stream);
        break;
    default:
        status = nccl_all_reduce(nccl, request->input, request->output, request->count,
                                 request->type, request->op, stream);
    }
    return status == WW_OK ? divide(end, request, stream) : status;
}

void end_count_planned(const struct device_end *end, const struct run_request *request,
                       struct device_traffic *traffic)
{
    uint64_t bytes[WW_LEVELS_MAX] = {0};
    engine_planned_bytes(end->base.context->steps.engine, request, bytes);
    for (int level = 0; level < end->topology.levels; level++) {
        traffic->planned[level] += bytes[level];
    }
}

/* What the plan sends is what NCCL sends, about: it cuts vectors in its own ways. */
static void count_native(struct device_end *end, const struct run_request *request,
                         struct device_traffic *traffic)
{
    struct counted *latest = &end->counted;
    if (latest->plan != request->plan->identity || latest->count != request->count ||
        latest->type != request->type) { /* programs repeat themselves */
        *latest = (struct counted){request->plan->identity, request->count, request->type, {0}};
        engine_planned_bytes(end->base.context->steps.engine, request, latest->bytes);
    }
    for (int level = 0; level < end->topology.levels; level++) {
        traffic->planned[level] += latest->bytes[level];
        traffic->sent[level].data_bytes += latest->bytes[level];
    }
}

static bool is_nested(const struct device_end *end, const struct run_request *request)
{
    return end->inner != NULL && request->coding.spec.kind != CODEC_NONE;
}

static enum ww_status run_planned(struct device_end *end, const struct run_request *request,
                                  struct cuda_notes *notes, struct device_traffic *traffic,
                                  void *stream)
{
    struct enqueue_tally tally = {end->topology.peer_level, traffic->sent};
    struct cuda_notes *told = notes != NULL ? notes : end->unread;
    if (is_nested(end, request)) {
        return nested_run(end, request, told, traffic, stream);
    }
    end_count_planned(end, request, traffic);
    return enqueue_run(end->enqueuer, request, told, &tally, stream);
}

static enum ww_status tell_overdue(const struct device_end *end)
{
    if (atomic_load(&end->news_ns) != 0) {
        return log_failure(WW_PEER_FAILED, "NCCL waits for a rank to connect that gave up, for a "
                                           "reason of its own");
    }
    return log_failure(WW_TIMED_OUT,
                       "NCCL did not take a collective that all ranks agreed on within %.3g s "
                       "(timeout_s): it waits for a rank to connect, which does not answer",
                       end->base.context->settings.values.timeout_s);
}

enum ww_status end_run(struct device_end *end, const struct run_request *request,
                       struct cuda_notes *notes, struct device_traffic *traffic, void *stream)
{
    if (end->nccl == NULL) { /* one rank: its own values are the result */
        size_t bytes = request->count * ww_type_bytes(request->type);
        return request->output == request->input
                   ? WW_OK
                   : gpu_copy(request->output, request->input, bytes, stream);
    }
    pthread_mutex_lock(&end->lock);
    atomic_store(&end->entered_ns, clock_now_ns());
    enum ww_status status;
    if (is_native(end, request)) {
        status = run_native(end, request, stream);
        count_native(end, request, traffic);
    } else {
        status = run_planned(end, request, notes, traffic, stream);
    }
    atomic_store(&end->entered_ns, 0);
    pthread_mutex_unlock(&end->lock);
    return atomic_load(&end->overdue) ? tell_overdue(end) : status;
}

enum ww_status end_plan(struct device *device, const struct wish *wish, size_t count,
                        const struct codec_spec *spec, struct run_request *request)
{
    struct device_end *end = end_of(device);
    const struct ww_config *config = &device->context->settings.values;
    int root = request->root < 0 ? 0 : request->root;
    pthread_mutex_lock(&end->lock);
    struct choice choice = spec->kind == CODEC_NONE
                               ? selector_choose(end->selector, wish)
                               : selector_choose_coded(end->selector, spec, false);
    request->count = count;
    request->type = wish->type;
    request->coding.spec = *spec;
    enum ww_status status = shelf_fill(end->shelf, &choice, root, request);
    request->with_announcement = false;
    request->elsewhere = true;
    request->window = 1;
    request->segment_bytes = config->segment_bytes > 0 ? config->segment_bytes : SEGMENT_BYTES;
    if (status == WW_OK && end->nccl != NULL && !is_native(end, request)) {
        struct visit before = end_enter(end);
        status = is_nested(end, request) ? nested_reserve(end, request)
                                         : enqueue_reserve(end->enqueuer, request);
        end_leave(end, before);
    }
    pthread_mutex_unlock(&end->lock);
    return status;
}

static void add_counts(const struct device_traffic *from, int levels, struct ww_traffic *traffic,
                       uint64_t *planned)
{
    for (int level = 0; level < levels; level++) {
        traffic[level].data_bytes += from->sent[level].data_bytes;
        traffic[level].data_messages += from->sent[level].data_messages;
        planned[level] += from->planned[level];
    }
}

void end_count(const struct device *device, bool calls, struct ww_traffic *traffic,
               uint64_t *planned)
{
    const struct device_end *end = (const struct device_end *)device; /* its first member */
    add_counts(calls ? &end->calls : &end->steps, end->topology.levels, traffic, planned);
}
