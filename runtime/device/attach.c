/* SPDX-License-Identifier: BSD-3-Clause
 * attach.c: gives a context its GPU: NCCL between the ranks where it can be had, an executor of
 * plans, and the choice of plans for memory that ranks do not see in each other. */
#include <stdlib.h>
#include <string.h>

#include <wirewise/cuda.h>

#include "call.h"
#include "end.h"
#include "internal/clock.h"

/* A stream has one order, so segments do not overlap: they only bound the memory for frames. */
#define SEGMENT_BYTES ((size_t)64 << 20)
#define AUTOMATIC "auto"
#define NOWHERE "none"

int end_enter(const struct device_end *end)
{
    int before = gpu_current();
    if (before != end->gpu) {
        gpu_use(end->gpu);
    }
    return before;
}

/* The runtime's own thread stays: its GPU 0 was nobody's choice, and to use that would make a
 * context on it, hundreds of MiB for each rank of the host. */
void end_leave(const struct device_end *end, int before)
{
    if (before >= 0 && before != end->gpu && !progress_is_own(end->base.context->thread)) {
        gpu_use(before);
    }
}

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

static enum ww_status plan(struct device *device, const struct wish *wish, size_t count,
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
        int before = end_enter(end);
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

static void count(const struct device *device, bool calls, struct ww_traffic *traffic,
                  uint64_t *planned)
{
    const struct device_end *end = (const struct device_end *)device; /* its first member */
    add_counts(calls ? &end->calls : &end->steps, end->topology.levels, traffic, planned);
}

/* ---- Making ----------------------------------------------------------------------------- */

static enum ww_status post(void *self, const struct ww_message *messages, int count, void *stream)
{
    struct device_end *end = self;
    return nccl_post(end->nccl, messages, count, stream);
}

static enum ww_status reserve(void *self, size_t bytes, void **memory)
{
    (void)self;
    return gpu_alloc(bytes, memory);
}

static void release(void *self, void *memory)
{
    (void)self;
    gpu_free(memory);
}

/* Ranks of a host see each other's memory, but not that of GPUs. */
static enum ww_status make_plans(struct device_end *end)
{
    struct ww_context *context = end->base.context;
    const struct ww_config *config = &context->settings.values;
    end->topology = context->topology;
    topology_note_sight(&end->topology, false);
    struct selector_setup choices = {.topology = &end->topology,
                                     .settings = {.algorithm = config->algorithm},
                                     .on_devices = true};
    struct enqueue_setup setup = {.kernels = &context->kernels,
                                  .post = post,
                                  .reserve = reserve,
                                  .release = release,
                                  .self = end};
    enum ww_status status = selector_create(&choices, &end->selector);
    if (status == WW_OK) {
        status = enqueuer_create(&setup, &end->enqueuer);
    }
    if (status == WW_OK) {
        end->shelf = shelf_create(&end->topology);
        status = end->shelf != NULL ? WW_OK : log_failure(WW_NO_MEMORY, "no memory for a shelf");
    }
    return status;
}

/* What notes are before a run. */
static enum ww_status make_blank(struct device_end *end)
{
    struct cuda_notes blank = {.wild_rank = INT32_MAX};
    void *memory = NULL;
    enum ww_status status = gpu_alloc(2 * sizeof blank, &memory);
    end->blank = memory;
    end->unread = end->blank + 1;
    for (int i = 0; status == WW_OK && i < 2; i++) {
        status = gpu_copy(end->blank + i, &blank, sizeof blank, end->stream);
    }
    return status == WW_OK ? gpu_stream_finish(end->stream) : status;
}

static enum ww_status make_streams(struct device_end *end)
{
    enum ww_status status = gpu_use(end->gpu);
    if (status == WW_OK) {
        status = gpu_stream_create(&end->stream);
    }
    if (status == WW_OK) {
        status = gpu_event_create(false, &end->call.end);
    }
    return status == WW_OK ? make_blank(end) : status;
}

static enum ww_status check_settings(const struct ww_context *context)
{
    static const char call[] = "ww_cuda_attach";
    const struct ww_config *config = &context->settings.values;
    static const struct sight none = {false, false, false};
    if (config->staleness > 0) {
        return log_failure(WW_UNSUPPORTED, "%s: staleness %d: results are not delayed on GPUs",
                           call, config->staleness);
    }
    if (config->momentum > 0) {
        return log_failure(WW_UNSUPPORTED,
                           "%s: momentum %g: it is kept in the host's memory only; leave it to the "
                           "optimizer",
                           call, config->momentum);
    }
    if (config->clip_norm > 0) {
        return log_failure(
            WW_UNSUPPORTED,
            "%s: clip_norm %g: the norm would have to be waited for; clip on the GPU, "
            "behind ww_step_end",
            call, config->clip_norm);
    }
    if (config->probe == WW_PROBE_SHADOWS) {
        return log_failure(WW_UNSUPPORTED,
                           "%s: probe=shadows: on GPUs steps are compared: say "
                           "steps or off",
                           call);
    }
    if (context->imitation.hosts > 0) {
        return log_failure(WW_UNSUPPORTED, "%s: shape imitates the host's wires, not NCCL's", call);
    }
    return select_check_sight(config->algorithm, &none);
}

static enum ww_status check_gpu(int gpu)
{
    char why[160] = "";
    int gpus = gpu_count(why, sizeof why);
    if (gpus == 0) {
        return log_failure(WW_UNSUPPORTED, "ww_cuda_attach: no GPU can be used here: %s", why);
    }
    if (gpu < 0 || gpu >= gpus) {
        return log_failure(WW_BAD_ARGUMENT,
                           "ww_cuda_attach got device %d; this process sees 0 to %d", gpu,
                           gpus - 1);
    }
    return WW_OK;
}

/* ---- Together --------------------------------------------------------------------------- */

#define WORDS_BYTES 200

/* What each rank says before NCCL connects them. */
struct candidacy {
    int32_t nccl; /* its version, 0 = it has none */
    char why[WORDS_BYTES];
};

static void look_for_nccl(const struct ww_context *context, struct candidacy *own)
{
    const char *wish = context->settings.values.nccl;
    bool usual = wish == NULL || wish[0] == '\0' || strcmp(wish, AUTOMATIC) == 0;
    if (!usual && strcmp(wish, NOWHERE) == 0) {
        snprintf(own->why, sizeof own->why, "nccl=none was asked for");
        return;
    }
    own->nccl = nccl_load(usual ? NULL : wish, own->why, sizeof own->why);
}

/* All ranks come to the same. -1 = NCCL everywhere, else the first rank that has none. */
static int find_without(const struct candidacy *all, int size)
{
    for (int rank = 0; rank < size; rank++) {
        if (all[rank].nccl == 0) {
            return rank;
        }
    }
    return -1;
}

static void describe(struct device_end *end, const struct candidacy *own)
{
    char name[80];
    gpu_name(end->gpu, name, sizeof name);
    const char *way = end->base.staged ? "through the host's memory" : "one rank";
    char version[32];
    snprintf(version, sizeof version, "NCCL %d.%d.%d", own->nccl / 10000, own->nccl / 100 % 100,
             own->nccl % 100);
    snprintf(end->base.description, sizeof end->base.description, "%s on %s",
             end->nccl != NULL ? version : way, name);
}

static enum ww_status connect_ranks(struct device_end *end, const struct candidacy *own,
                                    struct candidacy *all)
{
    struct ww_context *context = end->base.context;
    enum ww_status status = topology_gather(&context->world, own, all, sizeof *own);
    if (status != WW_OK) {
        return status;
    }
    int without = find_without(all, context->world.size);
    end->base.staged = without >= 0;
    if (without >= 0) {
        if (context->world.rank == 0) {
            log_warn("gradients on GPUs are staged through the host's memory, because rank %d (%s) "
                     "has no NCCL: %s; WIREWISE_NCCL names the library",
                     without, context->topology.host_name[context->topology.host_of[without]],
                     all[without].why);
        }
        return WW_OK;
    }
    struct nccl_setup setup = {.world = &context->world,
                               .size = context->world.size,
                               .rank = context->world.rank,
                               .device = end->gpu,
                               .timeout_s = context->settings.values.timeout_s};
    return nccl_open(&setup, &end->nccl);
}

static enum ww_status join(struct device_end *end)
{
    struct ww_context *context = end->base.context;
    struct candidacy own = {.nccl = 0};
    struct candidacy *all = calloc((size_t)context->world.size, sizeof *all);
    enum ww_status status = all != NULL ? WW_OK
                                        : log_failure(WW_NO_MEMORY, "no memory to compare %d GPUs",
                                                      context->world.size);
    status = context_agree(context, status);
    if (status == WW_OK && context->world.size > 1) {
        look_for_nccl(context, &own);
        status = context_agree(context, connect_ranks(end, &own, all));
        if (status == WW_OK && !end->base.staged && nested_is_possible(end)) {
            status = context_agree(context, nested_connect(end));
        }
    }
    free(all);
    if (status == WW_OK) {
        describe(end, &own);
    }
    return status;
}

/* ---- Ending ----------------------------------------------------------------------------- */

static void abort_all(struct device *device)
{
    struct device_end *end = end_of(device);
    if (end->nccl != NULL) {
        nccl_abort(end->nccl);
    }
    if (end->inner != NULL) {
        nccl_abort(end->inner);
    }
}

static void rest(struct device *device)
{
    struct device_end *end = end_of(device);
    watcher_stop(end->watcher);
    end->watcher = NULL;
}

static void destroy(struct device *device, bool failed)
{
    struct device_end *end = end_of(device);
    int before = end_enter(end);
    rest(device);
    if (failed) {
        abort_all(device);
    }
    if (end->stream != NULL) {
        gpu_stream_finish(end->stream);
    }
    nested_finish(end);
    nccl_close(end->nccl);
    enqueuer_destroy(end->enqueuer);
    shelf_destroy(end->shelf);
    selector_destroy(end->selector);
    mark_finish(&end->call);
    gpu_free(end->blank);
    gpu_free(end->next);
    gpu_free_pinned(end->staging);
    gpu_stream_destroy(end->stream);
    end_leave(end, before);
    pthread_mutex_destroy(&end->lock);
    device->context->device = NULL;
    free(end);
}

static bool owns(const struct device *device, const void *memory, int *owner)
{
    const struct device_end *end = (const struct device_end *)device; /* its first member */
    *owner = gpu_owner(memory);
    return *owner == end->gpu;
}

static const struct device_ops ops = {.plan = plan,
                                      .owns = owns,
                                      .add_bucket = end_add_bucket,
                                      .remove_bucket = end_remove_bucket,
                                      .note_ready = end_note_ready,
                                      .look_ready = end_look_ready,
                                      .run_bucket = end_run_bucket,
                                      .await_bucket = end_await_bucket,
                                      .end_step = end_end_step,
                                      .run_call = end_run_call,
                                      .release = end_release,
                                      .settle = end_settle,
                                      .count = count,
                                      .abort = abort_all,
                                      .rest = rest,
                                      .destroy = destroy};

/* ---- Asked for by the program ------------------------------------------------------------- */

static enum ww_status check_state(const struct ww_context *context)
{
    return context->committed || context->device != NULL
               ? log_failure(WW_BAD_STATE, "ww_cuda_attach came %s",
                             context->committed ? "after ww_tensors_commit" : "twice")
               : WW_OK;
}

static struct device_end *end_new(struct ww_context *context, int gpu, void *stream)
{
    struct device_end *end = calloc(1, sizeof *end);
    if (end != NULL) {
        end->base = (struct device){.ops = &ops, .context = context};
        end->gpu = gpu;
        end->program = stream;
        pthread_mutex_init(&end->lock, NULL);
    }
    return end;
}

/* From here on the context's gradients are memory of the GPU. */
static void move_in(struct device_end *end)
{
    struct ww_context *context = end->base.context;
    if (!end->base.staged) {
        context->vectors = end_vectors(end);
        context->ledger.whole_steps = true; /* what overlaps on a GPU is seen in whole steps only */
    }
    context->copier = end_copier(end);
    if (context->world.rank == 0) {
        log_info("gradients on GPUs: %s", end->base.description);
    }
}

/* What may fail on one rank alone comes before the ranks agree to go on. */
static enum ww_status attach(struct ww_context *context, int gpu, void *stream)
{
    struct device_end *end = NULL;
    enum ww_status status = check_gpu(gpu);
    if (status == WW_OK) {
        status = check_settings(context);
    }
    if (status == WW_OK) {
        end = end_new(context, gpu, stream);
        status = end != NULL ? WW_OK : log_failure(WW_NO_MEMORY, "no memory for a GPU's end");
    }
    if (status == WW_OK) {
        status = make_streams(end);
    }
    if (status == WW_OK) {
        status = make_plans(end);
    }
    status = context_agree(context, status);
    if (status == WW_OK) {
        context->device = &end->base;
        status = join(end);
    }
    if (status == WW_OK) {
        status = context_agree(context, watcher_start(end));
    }
    if (status == WW_OK) {
        move_in(end);
        return WW_OK;
    }
    if (end != NULL) {
        destroy(&end->base, true);
    }
    return status;
}

enum ww_status ww_cuda_attach(struct ww_context *context, int device, struct CUstream_st *stream)
{
    enum ww_status status = context_check(context, "ww_cuda_attach");
    if (status != WW_OK) {
        return status;
    }
    status = check_state(context);
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    status = call_meet(context, "ww_cuda_attach", GATE_LABEL_ATTACH);
    if (status != WW_OK) {
        return status;
    }
    int before = gpu_current();
    status = attach(context, device, stream);
    if (before >= 0) {
        gpu_use(before);
    }
    return status == WW_OK ? WW_OK : context_break_alike(context, status);
}

const char *ww_cuda_describe(const struct ww_context *context)
{
    return context == NULL || context->device == NULL ? "" : context->device->description;
}
