/* SPDX-License-Identifier: BSD-3-Clause
 * context.c: makes and ends a context, keeps its errors, registers tensors. */
#include "context.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "checkpoint.h"
#include "device.h"
#include "internal/clock.h"
#include "internal/cpu.h"
#include "internal/fabrics.h"
#include "internal/gather.h"
#include "internal/name_set.h"

/* ---- State and errors ------------------------------------------------------------------- */

static atomic_uint process_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void after_fork(void)
{
    log_after_fork();
    preempt_after_fork();
    atomic_fetch_add(&process_generation, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, after_fork);
}

/* Keeps the thread's sentence, and with it what broke the context, if anything did. The sentence
 * of what broke it stays. Returns whether it was whole until now. */
static bool keep_sentence(struct ww_context *context, enum ww_status failure)
{
    pthread_mutex_lock(&context->error_lock);
    bool whole = atomic_load(&context->failure) == WW_OK;
    if (whole) {
        memcpy(context->error, log_last_error(), sizeof context->error);
        atomic_store(&context->failure, failure);
    }
    pthread_mutex_unlock(&context->error_lock);
    return whole;
}

enum ww_status context_fail(struct ww_context *context, enum ww_status status)
{
    keep_sentence(context, WW_OK);
    return status;
}

/* The steps' lane is held for moments only. Its fabric closes before anybody can see the failure:
 * whoever sees it takes the gradients' memory back. Returns whether the context was whole. */
static bool break_steps(struct ww_context *context, enum ww_status status, const struct lane *held)
{
    bool locks = held != &context->steps;
    if (locks) {
        pthread_mutex_lock(&context->steps.lock);
    }
    bool whole = atomic_load(&context->failure) == WW_OK;
    if (whole) {
        engine_fail(context->steps.engine, status, log_last_error());
        keep_sentence(context, status);
        if (context->device != NULL) {
            context->device->ops->abort(context->device);
        }
    }
    if (locks) {
        pthread_mutex_unlock(&context->steps.lock);
    }
    return whole;
}

enum ww_status context_break(struct ww_context *context, enum ww_status status,
                             const struct lane *held)
{
    log_hold_error(); /* what broke it is what callers are told */
    if (break_steps(context, status, held)) {
        if (held == &context->calls) {
            engine_fail(context->calls.engine, status, log_last_error());
        } else {
            context_break_calls(context);
        }
    }
    log_release_error();
    return atomic_load(&context->failure);
}

/* Whoever is inside a single call looks after it when leaving. */
void context_break_calls(struct ww_context *context)
{
    if (atomic_load(&context->failure) != WW_OK &&
        pthread_mutex_trylock(&context->calls.lock) == 0) {
        engine_fail(context->calls.engine, (enum ww_status)atomic_load(&context->failure),
                    ww_last_error(context));
        pthread_mutex_unlock(&context->calls.lock);
    }
}

void context_tell_where(struct ww_context *context, const char *where)
{
    char own[32];
    snprintf(own, sizeof own, "rank %d (", context->world.rank);
    const char *reported = strstr(ww_last_error(context), GATE_REPORTED);
    bool late = atomic_load(&context->failure) == WW_TIMED_OUT;
    if (late && reported != NULL && strstr(reported, own) != NULL) {
        log_warn("rank %d is this one, and was in %s", context->world.rank, where);
    }
}

enum ww_status context_break_alike(struct ww_context *context, enum ww_status status)
{
    keep_sentence(context, status);
    return atomic_load(&context->failure);
}

bool context_is_parents(const struct ww_context *context)
{
    return context->generation != atomic_load(&process_generation);
}

/* Alone there is nobody to be told from. */
static void name_rank(const struct ww_world *world)
{
    log_set_rank(world->size > 1 ? world->rank : -1);
}

void context_name_rank(const struct ww_context *context)
{
    name_rank(&context->world);
}

enum ww_status context_check(struct ww_context *context, const char *call)
{
    if (context == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for the context", call);
    }
    if (context_is_parents(context)) {
        return log_failure(WW_BAD_STATE,
                           "%s was called in a child process (pid %d) on a context of its parent: "
                           "make contexts after fork, in the process that uses them",
                           call, (int)getpid());
    }
    context_name_rank(context); /* a thread may use several, of several worlds */
    return atomic_load(&context->failure);
}

const char *ww_last_error(const struct ww_context *context)
{
    if (context == NULL || context->generation != atomic_load(&process_generation)) {
        return log_last_error();
    }
    /* The copy is what const cannot protect: the caller reads it without the lock. */
    struct ww_context *owner = (struct ww_context *)(uintptr_t)context;
    pthread_mutex_lock(&owner->error_lock);
    memcpy(owner->error_copy, owner->error, sizeof owner->error_copy);
    pthread_mutex_unlock(&owner->error_lock);
    return owner->error_copy;
}

int ww_rank(const struct ww_context *context)
{
    return context == NULL ? -1 : context->world.rank;
}

int ww_size(const struct ww_context *context)
{
    return context == NULL ? -1 : context->world.size;
}

size_t ww_config_print(const struct ww_context *context, char *text, size_t bytes)
{
    return context == NULL ? 0 : config_print(&context->settings, text, text == NULL ? 0 : bytes);
}

/* ---- Making ----------------------------------------------------------------------------- */

static enum ww_status check_world(const struct ww_world *world)
{
    if (world == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_context_create got NULL for the world");
    }
    if (world->struct_bytes != sizeof *world) {
        return log_failure(WW_BAD_ARGUMENT,
                           "world->struct_bytes is %zu, this library knows %zu: start from "
                           "WW_WORLD_INIT and build against this version's header",
                           world->struct_bytes, sizeof *world);
    }
    if (world->size < 1 || world->rank < 0 || world->rank >= world->size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "the world says rank %d of %d: ranks count from 0 to size - 1",
                           world->rank, world->size);
    }
    if (world->size > 1 && world->all_gather == NULL) {
        return log_failure(WW_BAD_ARGUMENT,
                           "a world of %d ranks needs an all_gather: ww_mpi_world makes one",
                           world->size);
    }
    return WW_OK;
}

/* A world of one: its messages go nowhere, so any transport does; the local one is always there. */
static enum ww_status take_world(struct ww_context *context, const struct ww_world *world)
{
    context->given = *world;
    context->world = *world;
    context->world.transport = voice_give(&context->voice, world->transport);
    if (world->size > 1 || world->transport != NULL) {
        return WW_OK;
    }
    enum ww_status status = ww_local_world_create(1, &context->alone);
    return status == WW_OK ? ww_local_world_rank(context->alone, 0, &context->world) : status;
}

/* A rank whose own settings are unusable still takes part in the exchange, with an unlikely text:
 * so all ranks fail together instead of waiting for it. */
static enum ww_status agree_on_settings(struct ww_context *context, const struct ww_config *config)
{
    char shared[TOPOLOGY_SETTINGS_BYTES];
    enum ww_status status = config_resolve(config, &context->settings);
    if (status == WW_OK) {
        status = select_check(context->settings.values.algorithm);
    }
    if (status == WW_OK) {
        const struct ww_config *values = &context->settings.values;
        status = menu_parse(values->codec, values->codecs_allowed, "codec", &context->coding.menu);
        if (status == WW_OK) {
            status = menu_parse("auto", values->codecs_allowed, "codec", &context->autos.menu);
            context->autos.tells = context->world.rank == 0;
        }
        if (status == WW_OK) {
            status = menu_check(&context->coding.menu, values, "codec");
        }
        if (status == WW_OK) {
            status = menu_check_delayed(&context->coding.menu, values, "codec");
        }
        status = status == WW_OK ? WW_OK : WW_BAD_CONFIG;
    }
    if (status == WW_OK) {
        status = imitation_parse(context->settings.shape, context->world.size, &context->imitation);
    }
    if (status == WW_OK) {
        config_print_shared(&context->settings, shared, sizeof shared);
    } else {
        snprintf(shared, sizeof shared, "unusable: %.200s", log_last_error());
    }
    const struct settings *settings = &context->settings;
    const struct topology_setup setup = {.host = settings->host[0] == '\0' ? NULL : settings->host,
                                         .settings = shared,
                                         .place = settings->place,
                                         .imitation = &context->imitation,
                                         .discover = status == WW_OK && settings->values.discover,
                                         .votes = context->votes};
    if (status != WW_OK && context->world.size == 1) {
        return status;
    }
    enum ww_status agreed = topology_exchange(&context->world, &setup, &context->topology);
    if (agreed == WW_OK && status != WW_OK) {
        agreed = status; /* every rank is wrong in the same way */
        topology_finish(&context->topology);
    }
    return status != WW_OK ? status : agreed;
}

/* One lane may be refused memory that the other gets: plans are chosen for both alike. */
static void note_sight(struct ww_context *context, const struct lane *lane)
{
    struct sight sight = engine_sight(lane->engine);
    bool second = lane == &context->calls;
    bool apart = second && sight.all != context->sight.all;
    context->sight.host = sight.host && (!second || context->sight.host);
    context->sight.all = sight.all && (!second || context->sight.all);
    context->sight.fetch = sight.fetch && (!second || context->sight.fetch);
    bool less = !second || sight.values_bytes < context->sight.values_bytes;
    context->sight.values_bytes = less ? sight.values_bytes : context->sight.values_bytes;
    if (apart) { /* a board has no room for as many shares as there are long messages */
        context->sight.values_bytes = GATE_VALUES_BYTES;
    }
    topology_note_sight(&context->topology, context->sight.host);
}

static void describe_fabric(struct ww_context *context, const void *fabric)
{
    const char *name = context->transport == &ww_route_transport ? route_describe(fabric)
                                                                 : context->transport->name;
    snprintf(context->fabric_name, sizeof context->fabric_name, "%s", name);
}

/* The promise is about steps; with delayed results messages move between them as well. */
static bool is_quiet(const struct ww_context *context)
{
    return context->settings.values.mpi_quiet && context->settings.values.staleness == 0;
}

static enum ww_status open_fabric(struct ww_context *context, int runs, bool own_thread,
                                  void **fabric)
{
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &context->world,
                                       .levels = context->topology.levels,
                                       .host_levels = context->topology.host_levels,
                                       .peer_level = context->topology.peer_level,
                                       .area_bytes = engine_area_bytes(runs),
                                       .own_thread = own_thread,
                                       .program_is_quiet = is_quiet(context)};
    return context->transport->open(&setup, fabric);
}

/* Takes the fabric over, whatever comes of it. */
static enum ww_status fill_lane(struct ww_context *context, struct lane *lane, int runs,
                                void *fabric)
{
    struct engine_setup setup = {.transport = context->transport,
                                 .fabric = fabric,
                                 .topology = &context->topology,
                                 .kernels = &context->kernels,
                                 .runs = runs,
                                 .timeout_s = context->settings.values.timeout_s,
                                 .warn_s = 30,
                                 .clock_ns = clock_now_ns};
    enum ww_status status = engine_create(&setup, &lane->engine);
    if (status != WW_OK) {
        return status;
    }
    note_sight(context, lane);
    lane->shelf = shelf_create(&context->topology);
    return lane->shelf == NULL ? log_failure(WW_NO_MEMORY, "no memory for a shelf") : WW_OK;
}

/* The wires are measured over the steps' fabric, before its engine uses it. */
static enum ww_status make_steps(struct ww_context *context, bool own_thread)
{
    void *fabric = NULL;
    enum ww_status own = open_fabric(context, 0, own_thread, &fabric);
    enum ww_status status = context_agree(context, own);
    if (status == WW_OK) {
        describe_fabric(context, fabric);
        status = context_learn_wires(context, fabric);
    }
    if (status != WW_OK && own == WW_OK) {
        context->transport->close(fabric, true);
    }
    return status == WW_OK ? context_agree(context, fill_lane(context, &context->steps, 0, fabric))
                           : status;
}

static enum ww_status make_calls(struct ww_context *context, bool own_thread)
{
    void *fabric;
    enum ww_status status = open_fabric(context, 1, own_thread, &fabric);
    if (status == WW_OK) {
        status = fill_lane(context, &context->calls, 1, fabric);
    }
    if (status == WW_OK) {
        status = select_check_sight(context->settings.values.algorithm, &context->sight);
    }
    if (status == WW_OK) {
        status = context_choose(context);
    }
    return context_agree(context, status);
}

/* With imitated ones the machine has more ranks than a host. */
static int ranks_here(const struct ww_context *context)
{
    return context->imitation.hosts > 0 ? context->topology.size : context->topology.local_size;
}

const char *context_thread_trouble(const struct ww_context *context, bool quiet)
{
    const struct ww_transport *transport = context->transport;
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &context->world,
                                       .levels = context->topology.levels,
                                       .host_levels = context->topology.host_levels,
                                       .peer_level = context->topology.peer_level,
                                       .own_thread = true,
                                       .program_is_quiet = quiet};
    return transport->thread_trouble == NULL ? NULL : transport->thread_trouble(&setup);
}

/* Whether a thread moves messages, and if not although it was asked for, why. */
static enum ww_status choose_progress(const struct ww_context *context, bool *own_thread)
{
    enum ww_progress wish = context->settings.values.progress;
    const char *trouble = context_thread_trouble(context, is_quiet(context));
    bool cores = cpu_count() >= 2 && context->topology.cpus >= 2 * ranks_here(context);
    *own_thread = wish == WW_PROGRESS_THREAD || (wish == WW_PROGRESS_AUTO && cores);
    if (*own_thread && trouble != NULL) {
        *own_thread = false;
        if (wish == WW_PROGRESS_THREAD) {
            return log_failure(WW_UNSUPPORTED, "progress=thread is not possible: %s", trouble);
        }
    }
    return WW_OK;
}

enum ww_status context_agree(struct ww_context *context, enum ww_status own)
{
    return topology_all_well(&context->world, &context->topology, own, context->votes);
}

/* A warning: whoever reads times must not miss it. */
static void announce_imitation(const struct imitation *imitation)
{
    char words[64];
    if (imitation->hosts > 0) {
        imitation_describe(imitation, words, sizeof words);
        log_warn("wires between %d imitated hosts are shaped to %s: times are of that imitation",
                 imitation->hosts, words);
    }
}

static void announce(const struct ww_context *context)
{
    const struct topology *topology = &context->topology;
    if (topology->rank == 0) {
        log_info("%s: %d rank%s on %d host%s over %s, %s progress, %s kernels", WW_VERSION_TEXT,
                 topology->size, topology->size == 1 ? "" : "s", topology->hosts,
                 topology->hosts == 1 ? "" : "s",
                 topology->size == 1 ? "nothing" : context->fabric_name,
                 context->thread != NULL ? "threaded" : "inline", context->kernels.name);
        context_announce_wires(context);
        menu_warn_if_bare(context->settings.values.codec, &context->coding.menu);
        announce_imitation(&context->imitation);
    }
}

/* Puts slower wires around the world's transport. */
static enum ww_status imitate(struct ww_context *context)
{
    const struct imitation *imitation = &context->imitation;
    if (imitation->hosts == 0) {
        return WW_OK;
    }
    struct shape_setup setup = {.world = &context->world,
                                .host_of = context->topology.host_of,
                                .hosts = imitation->hosts,
                                .byte_s = imitation->byte_s,
                                .latency_s = imitation->latency_s,
                                .clock_ns = clock_now_ns};
    enum ww_status status = shape_create(&setup, &context->shape);
    if (status == WW_OK) {
        context->world.transport = shape_transport(context->shape);
    }
    return status;
}

/* Ranks of one host meet in memory, unless they are told not to or their fabric does it better. */
static enum ww_status choose_transport(struct ww_context *context)
{
    const struct ww_transport *given = context->world.transport;
    bool memory = context->settings.values.shared_memory;
    bool yields = given == NULL || given->yields_to_memory;
    context->transport = memory && yields ? &ww_route_transport : given;
    if (context->transport == NULL) {
        return log_failure(WW_UNSUPPORTED,
                           "the world of %d ranks names no transport, and shared_memory is off: "
                           "turn it on, or use ww_mpi_world",
                           context->world.size);
    }
    return WW_OK;
}

/* Everything that needs the other ranks. Whatever may fail on one rank alone is followed by an
 * agreement before the next thing that all must do together. */
static enum ww_status set_up(struct ww_context *context, const struct ww_config *config)
{
    bool own_thread = false;
    enum ww_status status = agree_on_settings(context, config);
    if (status == WW_TRANSPORT_FAILED) {
        return status; /* the world itself does not work: there is nothing to agree by */
    }
    if (status == WW_OK) {
        status = imitate(context);
    }
    if (status == WW_OK) {
        status = choose_transport(context);
    }
    if (status == WW_OK) {
        status = choose_progress(context, &own_thread);
    }
    status = context_agree(context, status);
    if (status == WW_OK && context->shape != NULL) {
        status = shape_meet(context->shape);
    }
    if (status != WW_OK) {
        return status;
    }
    context->ranks_per_cpu = (double)ranks_here(context) / context->topology.cpus;
    context->crowded = context->ranks_per_cpu > 1;
    status = make_steps(context, own_thread);
    if (status == WW_OK) {
        status = make_calls(context, own_thread);
    }
    if (status == WW_OK && context->measures) {
        status = context_try_ways(context);
    }
    if (status != WW_OK) {
        return status; /* the same on all ranks */
    }
    status = context_agree_choices(context);
    if (status == WW_OK && own_thread) {
        bool must = context->settings.values.progress == WW_PROGRESS_THREAD;
        status = progress_start(context, must, &context->thread);
    }
    return context_agree(context, status);
}

static void free_tensors(struct ww_context *context)
{
    while (context->tensors != NULL) {
        struct ww_tensor *tensor = context->tensors;
        context->tensors = tensor->next;
        name_set_remove(&context->names, tensor->name);
        free(tensor->name);
        free(tensor);
    }
}

static void tear_down(struct ww_context *context, bool failed)
{
    progress_stop(context->thread);
    if (context->device != NULL) {
        /* Of a step that did not end peers may never enqueue what this rank did. */
        if (failed || atomic_load(&context->step.open)) {
            context->device->ops->abort(context->device);
        }
        context->device->ops->rest(context->device);
    }
    preempt_end(&context->preemption);
    checkpoint_detach_all(context);
    autos_destroy(&context->autos);
    ledger_destroy(context, (enum ww_status)atomic_load(&context->failure));
    engine_destroy(context->steps.engine, failed);
    engine_destroy(context->calls.engine, failed);
    shelf_destroy(context->steps.shelf);
    shelf_destroy(context->calls.shelf);
    selector_destroy(context->selector);
    buckets_destroy(context);
    if (context->device != NULL) {
        context->device->ops->destroy(context->device, failed);
    }
    free_tensors(context);
    allocations_end(context);
    shape_destroy(context->shape);
    topology_finish(&context->topology);
    free(context->votes);
    ww_local_world_destroy(context->alone);
    pthread_mutex_destroy(&context->steps.lock);
    pthread_mutex_destroy(&context->calls.lock);
    pthread_mutex_destroy(&context->error_lock);
    pthread_mutex_destroy(&context->allocations_lock);
    free(context);
}

enum ww_status ww_context_create(const struct ww_world *world, const struct ww_config *config,
                                 struct ww_context **context)
{
    if (context == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_context_create got NULL for where to put it");
    }
    *context = NULL;
    enum ww_status status = check_world(world);
    if (status != WW_OK) {
        return status;
    }
    pthread_once(&fork_once, watch_forks);
    log_keep_streams();
    name_rank(world);
    struct ww_context *made = calloc(1, sizeof *made);
    int32_t *votes = calloc((size_t)world->size, sizeof *votes);
    if (made == NULL || votes == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for a context");
    }
    status = world_all_well(world, status, "make its context");
    if (status != WW_OK) {
        free(made);
        free(votes);
        return status;
    }
    made->votes = votes;
    made->generation = atomic_load(&process_generation);
    made->tensors_end = &made->tensors;
    pthread_mutex_init(&made->steps.lock, NULL);
    pthread_mutex_init(&made->calls.lock, NULL);
    pthread_mutex_init(&made->error_lock, NULL);
    pthread_mutex_init(&made->allocations_lock, NULL);
    kernels_init(&made->kernels);
    made->vectors = vectors_of_host(&made->kernels);
    made->copier = copier_of_host();
    status = take_world(made, world);
    if (status == WW_OK) {
        status = set_up(made, config);
    }
    if (status != WW_OK) {
        tear_down(made, true);
        return status;
    }
    announce(made);
    *context = made;
    return WW_OK;
}

static void warn_of_abandoned(const struct ww_context *context)
{
    uint64_t steps = delayed_count(context);
    if (steps > 0 && atomic_load(&context->failure) == WW_OK) {
        log_warn("ww_context_destroy: the results of %" PRIu64 " step%s on the way, from step "
                 "%" PRIu64 " on, are abandoned; ww_step_drain would have brought them",
                 steps, steps == 1 ? "" : "s", context->delayed.oldest);
    }
}

/* What is under way on a GPU comes to its end, while somebody looks after it. */
static bool has_settled(struct ww_context *context)
{
    struct device *device = context->device;
    enum ww_status status = device == NULL ? WW_OK : device->ops->settle(device);
    return status == WW_OK || context_break(context, status, NULL) == WW_OK;
}

void ww_context_destroy(struct ww_context *context)
{
    if (context == NULL) {
        return;
    }
    if (context->generation != atomic_load(&process_generation)) {
        return; /* the parent's: its threads and messages do not exist here */
    }
    progress_stop(context->thread);
    context->thread = NULL;
    warn_of_abandoned(context);
    bool failed = atomic_load(&context->failure) != WW_OK || !has_settled(context) ||
                  call_meet(context, "ww_context_destroy", GATE_LABEL_FAREWELL) != WW_OK;
    tear_down(context, failed);
}

/* ---- Tensors ---------------------------------------------------------------------------- */

#define TENSOR_NAME_MOST 127
#define TENSOR_DIMS_MOST 8

/* Elements of a shape; false when they do not fit memory. */
static bool count_elements(enum ww_type type, int dims, const size_t *shape, size_t *count)
{
    *count = 1;
    for (int d = 0; d < dims; d++) {
        if (shape[d] == 0) {
            *count = 0;
            return true;
        }
    }
    for (int d = 0; d < dims; d++) {
        if (__builtin_mul_overflow(*count, shape[d], count)) {
            return false;
        }
    }
    return *count <= PTRDIFF_MAX / ww_type_bytes(type);
}

static enum ww_status check_tensor(const struct ww_context *context, const char *name,
                                   enum ww_type type, int dims, const size_t *shape)
{
    if (context->committed) {
        return log_failure(WW_BAD_STATE, "ww_tensor_add(\"%s\") came after ww_tensors_commit",
                           name == NULL ? "" : name);
    }
    if (name == NULL || name[0] == '\0' || strlen(name) > TENSOR_NAME_MOST) {
        return log_failure(WW_BAD_ARGUMENT, "a tensor's name must have 1 to %d bytes, this has %zu",
                           TENSOR_NAME_MOST, name == NULL ? 0 : strlen(name));
    }
    if (name_set_has(&context->names, name)) {
        return log_failure(WW_BAD_ARGUMENT, "tensor \"%s\" is registered already", name);
    }
    if ((unsigned)type >= WW_TYPE_COUNT) {
        return log_failure(WW_BAD_ARGUMENT, "tensor \"%s\" has unknown type %d (0 to %d exist)",
                           name, (int)type, WW_TYPE_COUNT - 1);
    }
    if (dims < 0 || dims > TENSOR_DIMS_MOST || (dims > 0 && shape == NULL)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "tensor \"%s\" has %d dimensions%s; 0 to %d are possible", name, dims,
                           shape == NULL ? " and no shape" : "", TENSOR_DIMS_MOST);
    }
    if ((type == WW_I32 || type == WW_I64) && context->settings.values.gradient_op == WW_MEAN) {
        return log_failure(WW_UNSUPPORTED,
                           "tensor \"%s\" is of integers, whose mean is not defined: set "
                           "gradient_op to WW_SUM",
                           name);
    }
    return WW_OK;
}

/* Its name is taken from now on. */
static struct ww_tensor *tensor_new(struct ww_context *context, const char *name)
{
    struct ww_tensor *tensor = calloc(1, sizeof *tensor);
    char *copy = strdup(name);
    if (tensor == NULL || copy == NULL || !name_set_add(&context->names, copy)) {
        free(tensor);
        free(copy);
        return NULL;
    }
    tensor->context = context;
    tensor->name = copy;
    atomic_init(&tensor->state, TENSOR_IDLE);
    return tensor;
}

enum ww_status ww_tensor_add(struct ww_context *context, const char *name, enum ww_type type,
                             int dims, const size_t *shape, struct ww_tensor **tensor)
{
    enum ww_status status = context_check(context, "ww_tensor_add");
    if (status != WW_OK) {
        return status;
    }
    status = check_tensor(context, name, type, dims, shape);
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    size_t count;
    if (tensor == NULL || !count_elements(type, dims, shape, &count)) {
        return context_fail(context,
                            log_failure(WW_BAD_ARGUMENT, "tensor \"%s\" %s", name,
                                        tensor == NULL ? "has nowhere to go: tensor is NULL"
                                                       : "has more elements than memory can hold"));
    }
    struct ww_tensor *made = tensor_new(context, name);
    if (made == NULL) {
        return context_fail(context,
                            log_failure(WW_NO_MEMORY, "no memory to register \"%s\"", name));
    }
    made->type = type;
    made->dims = dims;
    made->count = count;
    if (dims > 0) {
        memcpy(made->shape, shape, (size_t)dims * sizeof *shape);
    }
    *context->tensors_end = made;
    context->tensors_end = &made->next;
    context->tensor_count++;
    *tensor = made;
    return WW_OK;
}
