/* SPDX-License-Identifier: BSD-3-Clause
 * attach.c: gives a context its GPU: NCCL between the ranks where it can be had, an executor of
 * plans, and the choice of plans for memory that ranks do not see in each other. */
#include <stdlib.h>
#include <string.h>

#include <wirewise/cuda.h>

#include "call.h"
#include "end.h"
#include "internal/clock.h"

#define AUTOMATIC "auto"
#define NOWHERE "none"

struct visit end_enter(const struct device_end *end)
{
    struct visit before = {gpu_current(), gpu_spare_captures()};
    if (before.gpu != end->gpu) {
        gpu_use(end->gpu);
    }
    return before;
}

/* The runtime's own thread stays: its GPU 0 was nobody's choice, and to use that would make a
 * context on it, hundreds of MiB for each rank of the host. */
void end_leave(const struct device_end *end, struct visit before)
{
    if (before.gpu >= 0 && before.gpu != end->gpu && !progress_is_own(end->base.context->thread)) {
        gpu_use(before.gpu);
    }
    gpu_mind_captures(before.captures);
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

/* What notes are before a run. Half of it is copied by a kernel: GPUs older than those that the
 * library was built for, and drivers that cannot translate for newer ones, refuse the first. */
static enum ww_status make_blank(struct device_end *end)
{
    struct cuda_notes blank = {.wild_rank = INT32_MAX};
    size_t bytes = sizeof blank;
    void *memory = NULL;
    enum ww_status status = gpu_alloc(2 * bytes, &memory);
    end->blank = memory;
    end->unread = end->blank + 1;
    if (status == WW_OK) {
        status = gpu_copy(end->blank, &blank, bytes, end->stream);
    }
    if (status == WW_OK) {
        void *into = end->unread;
        const void *from = end->blank;
        end->launched = cuda_copy_pieces(&into, &from, &bytes, 1, end->stream);
        status = gpu_stream_finish(end->stream);
    }
    return status;
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
    static const struct sight none = {.values_bytes = 0};
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
    int32_t nccl;    /* its version, 0 = it has none */
    int32_t kernels; /* this library's run on its GPU */
    char why[WORDS_BYTES];
};

static void look_for_kernels(const struct device_end *end, struct candidacy *own)
{
    own->kernels = end->launched == 0;
    if (end->launched != 0) {
        snprintf(own->why, sizeof own->why, "%s", gpu_excuse(end->launched));
    }
}

static void look_for_nccl(const struct ww_context *context, struct candidacy *own)
{
    const char *wish = context->settings.values.nccl;
    if (!own->kernels) {
        return; /* it would not help */
    }
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

static void warn_of_staging(const struct ww_context *context, const struct candidacy *all, int rank)
{
    const char *host = context->topology.host_name[context->topology.host_of[rank]];
    if (all[rank].kernels) {
        log_warn("gradients on GPUs are staged through the host's memory, because rank %d (%s) has "
                 "no NCCL: %s; WIREWISE_NCCL names the library",
                 rank, host, all[rank].why);
    } else {
        log_warn("gradients on GPUs are staged through the host's memory, because the GPU of rank "
                 "%d (%s) does not run this library's kernels: %s",
                 rank, host, all[rank].why);
    }
}

static enum ww_status connect_ranks(struct device_end *end, const struct candidacy *own,
                                    struct candidacy *all)
{
    struct ww_context *context = end->base.context;
    enum ww_status status = world_gather(&context->world, own, all, sizeof *own);
    if (status != WW_OK) {
        return status;
    }
    int without = find_without(all, context->world.size);
    end->base.staged = without >= 0;
    if (without >= 0) {
        if (context->world.rank == 0) {
            warn_of_staging(context, all, without);
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
    look_for_kernels(end, &own);
    if (status == WW_OK && context->world.size == 1 && !own.kernels) {
        end->base.staged = true;
        warn_of_staging(context, &own, 0);
    }
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
    nccl_abort(end->nccl, end->inner);
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
    struct visit before = end_enter(end);
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

static const struct device_ops ops = {.plan = end_plan,
                                      .owns = owns,
                                      .add_bucket = end_add_bucket,
                                      .remove_bucket = end_remove_bucket,
                                      .note_ready = end_note_ready,
                                      .look_ready = end_look_ready,
                                      .run_bucket = end_run_bucket,
                                      .await_bucket = end_await_bucket,
                                      .end_step = end_end_step,
                                      .reserve_call = end_reserve_call,
                                      .run_call = end_run_call,
                                      .release = end_release,
                                      .settle = end_settle,
                                      .count = end_count,
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
        end->program = gpu_stream_of_all(stream); /* the watch looks at it, too */
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
    struct visit before = {gpu_current(), gpu_spare_captures()};
    status = attach(context, device, stream);
    if (before.gpu >= 0) {
        gpu_use(before.gpu);
    }
    gpu_mind_captures(before.captures);
    return status == WW_OK ? WW_OK : context_break_alike(context, status);
}

const char *ww_cuda_describe(const struct ww_context *context)
{
    return context == NULL || context->device == NULL ? "" : context->device->description;
}
