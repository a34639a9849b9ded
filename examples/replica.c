/* SPDX-License-Identifier: BSD-3-Clause
 * replica.c: everything a trainer does with wirewise: register the gradients, start each as soon
 * as the backward pass has finished it, end the step, and a few single calls. */
#include "replica.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "local.h"
#include "matrix.h"
#include "model.h"

#define WINDOWS_MAX 64 /* of the held-out text */

/* What a checkpoint holds beside parameters and optimizer. */
struct progress {
    uint64_t step;
    uint64_t applied; /* by the optimizer */
    uint64_t seed;
    uint64_t batch;
    uint64_t local_steps; /* 1 = gradients travelled */
    double loss;          /* of local steps: the latest that ranks spoke of */
    char optimizer[16];
};

struct replica {
    const struct options *options;
    const struct text *text;
    struct ww_context *context;
    struct model *model;
    struct parameters *parameters; /* the model's */
    struct ww_tensor **tensors;    /* [parameters->tensor_count] */
    struct optimizer optimizer;
    struct progress progress;      /* as it is saved and loaded */
    struct ww_tensor *loss_tensor; /* with --staleness: a single call would wait for gradients */
    double loss;                   /* on its way, or back */
    uint8_t *sequences;            /* [share][context + 1] */
    size_t share;                  /* of the batch, in sequences */
    enum ww_status status;         /* the first failure while gradients were started */
    struct local *local;           /* NULL = gradients travel */
};

/* ---- Failures ------------------------------------------------------------------------------ */

static enum exit_code out_of_memory(int rank)
{
    fprintf(stderr, "train: rank %d: no memory for the model; try --size small or fewer ranks\n",
            rank);
    return EXIT_ENVIRONMENT;
}

/* Says which call ended the training, and whether the job or its surroundings are to blame. The
 * sentence with the numbers is in ww_last_error; the library has logged it already. */
static enum exit_code complain(int rank, const char *call, enum ww_status status)
{
    fprintf(stderr, "train: rank %d: %s failed with %s: %s\n", rank, call, ww_status_name(status),
            ww_status_text(status));
    switch (status) {
    case WW_BAD_CONFIG:
    case WW_NO_MEMORY:
    case WW_UNSUPPORTED:
    case WW_FILE_FAILED:
        return EXIT_ENVIRONMENT;
    default:
        return EXIT_COMMUNICATION;
    }
}

static enum exit_code judge(const struct replica *replica, const char *call, enum ww_status status)
{
    if (status == WW_OK) {
        return EXIT_DONE;
    }
    return complain(ww_rank(replica->context), call, status);
}

/* ---- A step -------------------------------------------------------------------------------- */

/* Rank r's share begins behind those of the ranks before it, so that p ranks together see the
 * very batch that one rank would. */
static void take_samples(struct replica *replica, size_t step)
{
    size_t context = replica->options->size->context;
    size_t first = (size_t)ww_rank(replica->context) * replica->share;
    for (size_t i = 0; i < replica->share; i++) {
        text_sample(replica->text, replica->options->seed, step, first + i, context,
                    replica->sequences + i * (context + 1));
    }
}

/* The backward pass has finished a gradient: off it goes, while the pass works on the next. */
static void start_gradient(void *self, size_t index)
{
    struct replica *replica = self;
    if (replica->status == WW_OK) {
        real *gradient = replica->parameters->gradients + replica->parameters->tensors[index].first;
        replica->status = ww_tensor_start(replica->tensors[index], gradient);
    }
}

static void move_parameters(struct replica *replica)
{
    const struct options *options = replica->options;
    struct optimizer *optimizer = &replica->optimizer;
    optimizer->rate = schedule_rate(&options->schedule, options->rate, optimizer->step + 1);
    optimizer_apply(optimizer, replica->parameters->gradients, replica->parameters->values);
}

/* The step left the mean of all ranks in place of this rank's gradients: its own, an earlier one's,
 * or none yet. */
static void apply_gradients(struct replica *replica, const struct ww_report *report)
{
    if (report->version > 0) {
        move_parameters(replica);
    }
}

static void start_loss(struct replica *replica, double loss)
{
    replica->loss = loss;
    if (replica->loss_tensor != NULL) {
        replica->status = ww_tensor_start(replica->loss_tensor, &replica->loss);
    }
}

static void keep_gradient(void *self, size_t index)
{
    (void)self;
    (void)index;
}

/* The same without anything that is sent, until local steps have come to an exchange. */
static enum exit_code step_locally(struct replica *replica, size_t step, double *loss,
                                   struct ww_report *report)
{
    const char *what = NULL;
    take_samples(replica, step);
    double mean = model_forward(replica->model, replica->sequences, replica->share);
    model_backward(replica->model, keep_gradient, NULL);
    move_parameters(replica);
    enum ww_status status = local_step(replica->local, step, &mean, report, &what);
    if (status == WW_OK) {
        *loss = mean;
    }
    return judge(replica, what, status);
}

enum exit_code replica_step(struct replica *replica, size_t step, double *loss,
                            struct ww_report *report)
{
    if (replica->local != NULL) {
        return step_locally(replica, step, loss, report);
    }
    enum exit_code code = judge(replica, "ww_step_begin", ww_step_begin(replica->context));
    if (code != EXIT_DONE) {
        return code;
    }
    take_samples(replica, step);
    double mean = model_forward(replica->model, replica->sequences, replica->share);
    start_loss(replica, mean);
    model_backward(replica->model, start_gradient, replica);
    code = judge(replica, "ww_tensor_start", replica->status);
    if (code != EXIT_DONE) {
        return code;
    }
    code = judge(replica, "ww_step_end", ww_step_end(replica->context, report));
    if (code != EXIT_DONE) {
        return code;
    }
    apply_gradients(replica, report);
    if (replica->loss_tensor != NULL && report->version > 0) {
        *loss = replica->loss;
        return EXIT_DONE;
    }
    enum ww_status status = ww_all_reduce(replica->context, &mean, &mean, 1, WW_F64, WW_MEAN);
    if (status == WW_OK) {
        *loss = mean;
    }
    return judge(replica, "ww_all_reduce of the loss", status);
}

enum exit_code replica_drain(struct replica *replica, double *loss, struct ww_report *report)
{
    enum exit_code code = judge(replica, "ww_step_drain", ww_step_drain(replica->context, report));
    if (code == EXIT_DONE && report->version > 0) {
        apply_gradients(replica, report);
        *loss = replica->loss;
    }
    return code;
}

/* ---- The held-out loss --------------------------------------------------------------------- */

/* Windows rank, rank + size, ... up to a model's batch of them. Returns how many. */
static size_t take_windows(struct replica *replica, size_t next, size_t windows)
{
    size_t context = replica->options->size->context;
    size_t size = (size_t)ww_size(replica->context);
    size_t taken = 0;
    for (; next < windows && taken < replica->share; next += size) {
        text_window(replica->text, next, windows, context,
                    replica->sequences + taken * (context + 1));
        taken++;
    }
    return taken;
}

enum exit_code replica_held_out(struct replica *replica, double *loss)
{
    size_t windows = text_windows(replica->text, replica->options->size->context, WINDOWS_MAX);
    size_t size = (size_t)ww_size(replica->context);
    size_t next = (size_t)ww_rank(replica->context);
    double sum = 0;
    size_t taken;
    while ((taken = take_windows(replica, next, windows)) > 0) {
        sum += model_forward(replica->model, replica->sequences, taken) * (double)taken;
        next += taken * size;
    }
    enum ww_status status = ww_all_reduce(replica->context, &sum, &sum, 1, WW_F64, WW_SUM);
    if (status == WW_OK) {
        *loss = sum / (double)windows;
    }
    return judge(replica, "ww_all_reduce of the held-out loss", status);
}

enum exit_code replica_ledger(const struct replica *replica, struct ww_ledger *ledger)
{
    return judge(replica, "ww_ledger_read", ww_ledger_read(replica->context, ledger));
}

/* ---- Checkpoints --------------------------------------------------------------------------- */

/* Where gradients travel all of this is the same on all ranks; with local steps each has parameters
 * of its own, and another number of ranks begins with their means. The library adds what it keeps
 * by itself. An optimizer's state has its name, as another one has no use for it. */
static enum exit_code attach(struct replica *replica)
{
    enum ww_keep keep = replica->local != NULL ? WW_KEEP_MEAN : WW_KEEP_COMMON;
    const char *what = "ww_checkpoint_attach";
    const struct parameters *parameters = replica->parameters;
    const struct optimizer *optimizer = &replica->optimizer;
    const struct {
        const char *name;
        void *data;
        size_t bytes;
        enum ww_keep keep;
    } parts[] = {{"parameters", parameters->values, parameters->count * sizeof(real), keep},
                 {optimizer->kind->name, optimizer->state,
                  (size_t)optimizer->kind->states * optimizer->count * sizeof(real), keep},
                 {"progress", &replica->progress, sizeof replica->progress, WW_KEEP_COMMON}};
    enum ww_status status = WW_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == WW_OK; i++) {
        status = ww_checkpoint_attach(replica->context, parts[i].name, parts[i].data,
                                      parts[i].bytes, parts[i].keep);
    }
    if (status == WW_OK && replica->local != NULL) {
        status = local_keep(replica->local, &what);
    }
    return judge(replica, what, status);
}

static enum exit_code watch_signals(struct replica *replica)
{
    enum ww_status status = ww_preemption_watch(replica->context, SIGTERM);
    if (status == WW_OK) {
        status = ww_preemption_watch(replica->context, SIGUSR1);
    }
    return judge(replica, "ww_preemption_watch", status);
}

static enum exit_code prepare_checkpoints(struct replica *replica)
{
    if (replica->options->checkpoint == NULL) {
        return EXIT_DONE;
    }
    enum exit_code code = attach(replica);
    return code == EXIT_DONE ? watch_signals(replica) : code;
}

enum exit_code replica_save(struct replica *replica, size_t step)
{
    const struct options *options = replica->options;
    replica->progress = (struct progress){.step = step,
                                          .applied = replica->optimizer.step,
                                          .seed = options->seed,
                                          .batch = options->batch,
                                          .local_steps = options->outer.local_steps};
    snprintf(replica->progress.optimizer, sizeof replica->progress.optimizer, "%s",
             options->optimizer->name);
    if (replica->local != NULL) {
        const char *what = NULL;
        enum ww_status status = local_ready(replica->local, &replica->progress.loss, &what);
        if (status != WW_OK) {
            return judge(replica, what, status);
        }
    }
    return judge(replica, "ww_checkpoint_save",
                 ww_checkpoint_save(replica->context, replica->options->checkpoint));
}

/* Rank 0 looks: what the others see may be older. Only where there is nothing at all a training may
 * begin anew; what cannot be read is told by the load. */
static enum ww_status find_checkpoint(struct replica *replica, bool *found)
{
    struct ww_checkpoint_facts facts = WW_CHECKPOINT_FACTS_INIT;
    int32_t seen = 0;
    if (ww_rank(replica->context) == 0) {
        enum ww_status status = ww_checkpoint_describe(replica->options->checkpoint, &facts);
        seen = status != WW_OK || facts.manifests > 0;
    }
    enum ww_status status = ww_broadcast(replica->context, &seen, 1, WW_I32, 0);
    *found = seen != 0;
    return status;
}

/* Rank 0's words: where, what it is of, what was asked for, and what helps. */
static enum exit_code refuse_checkpoint(const struct replica *replica, const char *saved,
                                        const char *asked, const char *why)
{
    if (ww_rank(replica->context) == 0) {
        fprintf(stderr,
                "train: the checkpoint in %s is of %s, not %s%s: give %s, or another folder\n",
                replica->options->checkpoint, saved, asked, why, saved);
    }
    return EXIT_ENVIRONMENT;
}

/* Whether the checkpoint, which was loaded, is of such a training as was asked for. */
static enum exit_code compare_progress(const struct replica *replica)
{
    const struct progress *progress = &replica->progress;
    const struct options *options = replica->options;
    char saved[96];
    char asked[96];
    snprintf(saved, sizeof saved, "--optimizer %.15s", progress->optimizer);
    snprintf(asked, sizeof asked, "--optimizer %s", options->optimizer->name);
    if (strcmp(saved, asked) != 0) {
        return refuse_checkpoint(replica, saved, asked, "");
    }
    snprintf(saved, sizeof saved, "--local-steps %llu", (unsigned long long)progress->local_steps);
    snprintf(asked, sizeof asked, "--local-steps %llu",
             (unsigned long long)options->outer.local_steps);
    if (strcmp(saved, asked) != 0) {
        return refuse_checkpoint(replica, saved, asked, "");
    }
    snprintf(saved, sizeof saved, "--seed %llu --batch %llu", (unsigned long long)progress->seed,
             (unsigned long long)progress->batch);
    snprintf(asked, sizeof asked, "--seed %llu --batch %llu", (unsigned long long)options->seed,
             (unsigned long long)options->batch);
    if (strcmp(saved, asked) != 0) {
        return refuse_checkpoint(replica, saved, asked, ", whose samples are others");
    }
    return EXIT_DONE;
}

/* What the library did not take, on no rank. Its sentence tells what differs, where and how. */
static enum exit_code refuse_load(const struct replica *replica)
{
    const struct options *options = replica->options;
    if (ww_rank(replica->context) == 0) {
        fprintf(
            stderr,
            "train: the checkpoint in %s does not fit --size %s --staleness %d --local-steps %llu "
            "--fragments %d --outer %s --outer-codec %s on %d ranks: %s; give the options that "
            "it was saved with, or another folder\n",
            options->checkpoint, options->size->name, options->staleness,
            (unsigned long long)options->outer.local_steps, options->outer.fragments,
            options->outer.nesterov ? "nesterov" : "sgd", options->outer.codec,
            ww_size(replica->context), ww_last_error(replica->context));
    }
    return EXIT_ENVIRONMENT;
}

static enum exit_code take_progress(struct replica *replica, size_t *step)
{
    const char *what = NULL;
    enum ww_status status = WW_OK;
    replica->optimizer.step = (size_t)replica->progress.applied;
    *step = (size_t)replica->progress.step;
    if (replica->local != NULL) {
        status = local_resume(replica->local, replica->progress.loss, &what);
    }
    return judge(replica, what, status);
}

enum exit_code replica_resume(struct replica *replica, size_t *step, bool *refused)
{
    bool found = false;
    *step = 0;
    enum exit_code code = judge(replica, "ww_broadcast of what was found",
                                find_checkpoint(replica, &found));
    if (code != EXIT_DONE || !found) {
        return code;
    }
    enum ww_status status = ww_checkpoint_load(replica->context, replica->options->checkpoint);
    *refused = status == WW_MISMATCH || status == WW_BAD_ARGUMENT;
    if (status != WW_OK) {
        return *refused ? refuse_load(replica) : judge(replica, "ww_checkpoint_load", status);
    }
    code = compare_progress(replica);
    *refused = code != EXIT_DONE;
    return *refused ? code : take_progress(replica, step);
}

bool replica_met(const struct replica *replica)
{
    return replica->local == NULL || local_met(replica->local);
}

enum exit_code replica_preempted(struct replica *replica, bool *any)
{
    return judge(replica, "ww_preempted", ww_preempted(replica->context, any));
}

uint64_t replica_fingerprint(const struct replica *replica)
{
    const uint8_t *bytes = (const uint8_t *)replica->parameters->values;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < replica->parameters->count * sizeof(real); i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static enum exit_code register_gradients(struct replica *replica)
{
    const struct parameters *parameters = replica->parameters;
    enum ww_status status = WW_OK;
    for (size_t i = 0; status == WW_OK && i < parameters->tensor_count; i++) {
        const struct tensor *tensor = &parameters->tensors[i];
        status = ww_tensor_add(replica->context, tensor->name, WW_F32, tensor->dims, tensor->shape,
                               &replica->tensors[i]);
    }
    if (status == WW_OK && replica->options->staleness > 0) {
        status = ww_tensor_add(replica->context, "loss", WW_F64, 0, NULL, &replica->loss_tensor);
    }
    if (status != WW_OK) {
        return judge(replica, "ww_tensor_add", status);
    }
    return judge(replica, "ww_tensors_commit", ww_tensors_commit(replica->context));
}

static enum exit_code share_first_parameters(struct replica *replica)
{
    if (ww_rank(replica->context) == 0) {
        parameters_draw(replica->parameters, replica->options->seed);
    }
    return judge(replica, "ww_broadcast of the first parameters",
                 ww_broadcast(replica->context, replica->parameters->values,
                              replica->parameters->count, WW_F32, 0));
}

/* Momentum of what was sent late would come too late as well: with top-k the library keeps it, and
 * the optimizer has none. */
static bool library_keeps_momentum(const struct options *options)
{
    return strncmp(options->codec, "topk", 4) == 0 && strcmp(options->optimizer->name, "sgd") == 0;
}

static bool take_memory(struct replica *replica)
{
    const struct options *options = replica->options;
    replica->model = model_create(options->size, replica->share);
    if (replica->model == NULL) {
        return false;
    }
    replica->parameters = model_parameters(replica->model);
    replica->optimizer = (struct optimizer){
        .kind = options->optimizer,
        .momentum = library_keeps_momentum(options) ? 0 : options->momentum,
        .count = replica->parameters->count};
    replica->tensors = calloc(replica->parameters->tensor_count, sizeof(struct ww_tensor *));
    replica->sequences = calloc(replica->share, options->size->context + 1);
    return replica->tensors != NULL && replica->sequences != NULL &&
           optimizer_init(&replica->optimizer);
}

/* Where ranks of one host see each other's gradients, none of them is copied there. The context
 * gives the memory back when it ends. */
static enum exit_code place_gradients(struct replica *replica)
{
    void *memory = NULL;
    enum ww_status status = ww_alloc(replica->context, replica->parameters->count * sizeof(real),
                                     &memory);
    if (status == WW_OK) {
        model_move_gradients(replica->model, memory);
    }
    return judge(replica, "ww_alloc of the gradients", status);
}

static enum exit_code begin_local_steps(struct replica *replica)
{
    const char *what = NULL;
    enum ww_status status = local_create(replica->context, replica->options,
                                         replica->parameters->values, replica->parameters->count,
                                         &replica->local, &what);
    return judge(replica, what, status);
}

static enum exit_code connect(struct replica *replica, const struct ww_world *world)
{
    struct ww_config config = WW_CONFIG_INIT;
    config.codec = replica->options->codec;
    config.codecs_allowed = replica->options->allowed;
    config.momentum = library_keeps_momentum(replica->options) ? replica->options->momentum : 0;
    config.staleness = replica->options->staleness;
    config.mpi_quiet = true; /* between begin and end of a step this program leaves MPI alone */
    enum ww_status status = ww_context_create(world, &config, &replica->context);
    if (status != WW_OK) {
        return complain(world->rank, "ww_context_create", status);
    }
    enum exit_code code = place_gradients(replica);
    if (code == EXIT_DONE) {
        code = register_gradients(replica);
    }
    if (code == EXIT_DONE) {
        code = share_first_parameters(replica);
    }
    if (code == EXIT_DONE) {
        code = begin_local_steps(replica);
    }
    return code == EXIT_DONE ? prepare_checkpoints(replica) : code;
}

const struct local *replica_local(const struct replica *replica)
{
    return replica->local;
}

size_t replica_parameter_count(const struct replica *replica)
{
    return replica->parameters->count;
}

void replica_destroy(struct replica *replica)
{
    if (replica == NULL) {
        return;
    }
    local_destroy(replica->local);
    ww_context_destroy(replica->context);
    optimizer_finish(&replica->optimizer);
    free(replica->sequences);
    free(replica->tensors);
    model_destroy(replica->model);
    free(replica);
}

enum exit_code replica_create(const struct options *options, const struct text *text,
                              const struct ww_world *world, struct replica **replica)
{
    assert(options->batch % (size_t)world->size == 0);
    struct replica *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return out_of_memory(world->rank);
    }
    matrix_use_one_thread();
    made->options = options;
    made->text = text;
    made->share = options->batch / (size_t)world->size;
    enum exit_code code = EXIT_DONE;
    if (!take_memory(made)) {
        code = out_of_memory(world->rank);
    }
    if (code == EXIT_DONE) {
        code = connect(made, world);
    }
    if (code != EXIT_DONE) {
        replica_destroy(made);
        return code;
    }
    *replica = made;
    return EXIT_DONE;
}
