/* SPDX-License-Identifier: BSD-3-Clause
 * train.c: trains a byte-level language model, data parallel over the ranks of a job. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "local.h"
#include "options.h"
#include "ranks.h"
#include "replica.h"
#include "text.h"

/* Nats per byte; knowing nothing costs log(256), which is less than 6. */
#define DIVERGED 1000

/* A training on this rank. */
struct run {
    struct options options;
    struct ww_world world;
    struct text text;
    struct replica *replica;
    struct console console;
    FILE *losses; /* of the first rank, or NULL */
    bool refused; /* its checkpoint, by all ranks alike */
};

/* The figures of the last line. */
struct summary {
    size_t begin; /* the step that a resumed job goes on behind */
    double first; /* held-out losses */
    double last;
    double start_s;
    uint64_t sent_bytes;
    double communication_s;
    double exposed_s;
    size_t drained; /* steps whose gradients were applied behind the last one */
};

static bool is_first(const struct run *run)
{
    return run->world.rank == 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- Before the training: refuse what cannot work, on all ranks alike ---------------------- */

static bool batch_divides(const struct run *run)
{
    size_t size = (size_t)run->world.size;
    if (run->options.batch % size == 0) {
        return true;
    }
    if (is_first(run)) {
        fprintf(stderr,
                "train: a batch of %zu sequences cannot be shared by %zu ranks; give --batch a "
                "multiple of %zu, for example %zu\n",
                run->options.batch, size, size, (run->options.batch / size + 1) * size);
    }
    return false;
}

/* The first save may come after hours: a folder that cannot take it is told now. */
static bool make_folder(const struct run *run, struct complaint *complaint)
{
    const char *folder = run->options.checkpoint;
    if (folder == NULL) {
        return true;
    }
    bool there = mkdir(folder, 0777) == 0 || errno == EEXIST;
    int opened = there ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
    bool fits = opened >= 0 && faccessat(opened, ".", W_OK | X_OK, 0) == 0;
    if (!fits) {
        snprintf(complaint->text, sizeof complaint->text,
                 "--checkpoint=%s cannot take files: %s; name a folder that this user may write "
                 "to, or a new one in such a folder",
                 folder, strerror(errno));
    }
    if (opened >= 0) {
        close(opened);
    }
    return fits;
}

static bool open_losses(struct run *run, struct complaint *complaint)
{
    const char *path = run->options.losses_path;
    if (path == NULL || !is_first(run)) {
        return true;
    }
    run->losses = fopen(path, run->options.resume ? "a" : "w");
    if (run->losses == NULL) {
        snprintf(complaint->text, sizeof complaint->text,
                 "--log-losses=%s cannot be written: %s; name a file in a folder that this user "
                 "may write to",
                 path, strerror(errno));
        return false;
    }
    setvbuf(run->losses, NULL, _IOLBF, 0); /* who is killed leaves what there was */
    return true;
}

/* Hosts may differ in their files: if one rank fails all stop, and the first that failed says
 * why. */
static bool all_ready(const struct run *run, bool ready, const struct complaint *complaint)
{
    int mine = ready ? run->world.size : run->world.rank;
    int first = ranks_least(&run->world, mine);
    if (first == run->world.rank) {
        fprintf(stderr, "train: rank %d: %s\n", first, complaint->text);
    }
    return first == run->world.size;
}

static enum exit_code prepare(struct run *run)
{
    if (!batch_divides(run)) {
        return EXIT_USAGE;
    }
    struct complaint complaint = {""};
    bool ready = text_load(run->options.texts, run->options.text_count, run->options.size->context,
                           &run->text, &complaint) &&
                 make_folder(run, &complaint) && open_losses(run, &complaint);
    return all_ready(run, ready, &complaint) ? EXIT_DONE : EXIT_ENVIRONMENT;
}

/* ---- The training -------------------------------------------------------------------------- */

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static void print_head(const struct run *run)
{
    const struct options *options = &run->options;
    const struct model_size *size = options->size;
    size_t count = replica_parameter_count(run->replica);
    if (!run->console.lines) {
        return;
    }
    printf("%d rank%s, %zu of %zu sequences each; %s with learning rate %g\n", run->world.size,
           run->world.size == 1 ? "" : "s", options->batch / (size_t)run->world.size,
           options->batch, options->optimizer->name, options->rate);
    printf("model %s: %zu layers, width %zu, context %zu; %zu parameters, %.1f MiB of gradients\n",
           size->name, size->layers, size->width, size->context, count, mib(count * sizeof(float)));
    if (options->outer.local_steps > 1) {
        printf(
            "local steps: %llu, then outer %s with rate %g and momentum %g, as %s; %d fragment%s, "
            "delay %llu\n",
            (unsigned long long)options->outer.local_steps,
            options->outer.nesterov ? "nesterov" : "sgd", options->outer.rate,
            options->outer.momentum, options->outer.codec, options->outer.fragments,
            options->outer.fragments == 1 ? "" : "s", (unsigned long long)options->outer.delay);
    }
    printf("%zu texts: %zu bytes to train on, %zu held out\n", run->text.files,
           run->text.training.count, run->text.held_out.count);
}

/* What the whole run sent, and what encoding saved. */
static void print_ledger(const struct run *run)
{
    struct ww_ledger ledger = WW_LEDGER_INIT;
    char table[4096];
    if (run->console.lines && replica_ledger(run->replica, &ledger) == EXIT_DONE) {
        ww_ledger_print(&ledger, table, sizeof table);
        fputs(table, stdout);
    }
}

/* What the whole run sent beside what dense synchronous training would have sent. */
static void print_outer(const struct run *run)
{
    char line[512];
    local_print(replica_local(run->replica), line, sizeof line);
    printf("local steps, rank 0: %s\n", line);
}

static void print_tail(const struct run *run, const struct summary *summary)
{
    size_t last = run->options.steps;
    size_t steps = last > summary->begin ? last - summary->begin : 0; /* of this job */
    if (!is_first(run)) {
        return;
    }
    if (steps == 0) {
        printf("step %zu was reached before: there is nothing left to train; ", summary->begin);
    }
    printf("held-out loss %.4f -> %.4f in %zu steps, %.1f s", summary->first, summary->last, steps,
           seconds_now() - summary->start_s);
    if (summary->sent_bytes > 0 && summary->communication_s > 0) {
        double shown = fmin(1, summary->exposed_s / summary->communication_s);
        printf("; rank 0 sent %.1f MiB a step, %.0f %% of the communication was hidden",
               mib(summary->sent_bytes / steps), 100 * (1 - shown));
    }
    if (run->options.staleness > 0) {
        printf("; %zu more gradients applied behind the last step", summary->drained);
    }
    printf("\n");
    if (run->options.checkpoint != NULL) {
        printf("parameters %016llx\n", (unsigned long long)replica_fingerprint(run->replica));
    }
    if (replica_local(run->replica) != NULL) {
        print_outer(run);
    } else if (run->world.size > 1) {
        print_ledger(run);
    }
    fflush(stdout);
}

static void log_loss(const struct run *run, size_t step, double loss)
{
    if (run->losses != NULL) {
        fprintf(run->losses, "%zu %.9g\n", step, loss);
    }
}

static enum exit_code refuse_divergence(const struct run *run, size_t step, double loss)
{
    console_clear(&run->console);
    if (is_first(run)) {
        fprintf(stderr,
                "train: the loss is %g at step %zu: the training diverged; lower --lr (%g)\n", loss,
                step, run->options.rate);
    }
    return EXIT_USAGE;
}

static bool is_judged(const struct options *options, size_t step)
{
    return step % options->eval_every == 0 || step == options->steps;
}

/* Behind the last step, or before a checkpoint: what is still on its way, of so many steps. */
static enum exit_code drain(struct run *run, size_t *steps)
{
    struct ww_report report = WW_REPORT_INIT;
    double loss = 0;
    enum exit_code code;
    do {
        code = replica_drain(run->replica, &loss, &report);
        if (code == EXIT_DONE && report.version > 0) {
            if (run->options.staleness > 0) {
                log_loss(run, (size_t)report.version, loss);
            }
            (*steps)++;
        }
    } while (code == EXIT_DONE && report.version > 0);
    return code;
}

static enum exit_code one_step(struct run *run, size_t step, struct summary *summary)
{
    struct ww_report report = WW_REPORT_INIT;
    double loss = 0;
    double held_out = NAN;
    enum exit_code code = replica_step(run->replica, step, &loss, &report);
    bool late = run->options.staleness > 0;
    if (code == EXIT_DONE && (!late || report.version > 0)) {
        log_loss(run, late ? (size_t)report.version : step, loss);
    }
    if (code == EXIT_DONE && step == run->options.steps) {
        code = drain(run, &summary->drained);
    }
    if (code == EXIT_DONE && is_judged(&run->options, step)) {
        code = replica_held_out(run->replica, &held_out);
    }
    if (code != EXIT_DONE) {
        return code;
    }
    if (!(loss < DIVERGED)) {
        return refuse_divergence(run, step, loss);
    }
    summary->last = held_out;
    summary->sent_bytes += report.sent_bytes;
    summary->communication_s += report.communication_s;
    summary->exposed_s += report.exposed_s;
    console_step(&run->console, step, loss, held_out, &report);
    console_bar(&run->console, step, loss, seconds_now() - summary->start_s);
    return EXIT_DONE;
}

/* Where the training begins: behind step 0, or where it was left. */
static enum exit_code find_start(struct run *run, size_t *step)
{
    *step = 0;
    if (!run->options.resume) {
        return EXIT_DONE;
    }
    enum exit_code code = replica_resume(run->replica, step, &run->refused);
    if (code == EXIT_DONE && run->console.lines) {
        if (*step > 0) {
            printf("goes on behind step %zu\n", *step);
        } else {
            printf("nothing to resume in %s: begins\n", run->options.checkpoint);
        }
    }
    return code;
}

/* Gradients on their way are no part of a checkpoint: they are applied before. */
static enum exit_code save(struct run *run, size_t step)
{
    size_t drained = 0;
    enum exit_code code = run->options.staleness > 0 ? drain(run, &drained) : EXIT_DONE;
    return code == EXIT_DONE ? replica_save(run->replica, step) : code;
}

/* Saves where that is due. Whoever is told to go has saved when it goes. Ranks that do local steps
 * ask each other only where they meet: asking takes a latency of the wires. */
static enum exit_code keep(struct run *run, size_t step)
{
    const struct options *options = &run->options;
    bool told = false;
    bool due = step % options->checkpoint_every == 0 || step == options->steps;
    if (options->checkpoint == NULL || !(due || replica_met(run->replica))) {
        return EXIT_DONE;
    }
    enum exit_code code = replica_preempted(run->replica, &told);
    if (code == EXIT_DONE && (told || due)) {
        code = save(run, step);
    }
    if (code != EXIT_DONE || !told || step == options->steps) {
        return code;
    }
    console_clear(&run->console);
    if (is_first(run)) {
        fprintf(stderr, "train: told to go; step %zu is saved in %s: --resume goes on\n", step,
                options->checkpoint);
    }
    return EXIT_PREEMPTED;
}

static enum exit_code train(struct run *run)
{
    struct summary summary = {.start_s = seconds_now()};
    size_t begin = 0;
    print_head(run);
    enum exit_code code = find_start(run, &begin);
    if (code != EXIT_DONE) {
        return code;
    }
    code = replica_held_out(run->replica, &summary.first);
    if (code == EXIT_DONE && run->console.lines) {
        printf("held-out loss %.4f before the first step\n", summary.first);
        fflush(stdout);
    }
    summary.begin = begin;
    run->console.begin = begin;
    summary.last = summary.first; /* where nothing is left to do */
    for (size_t step = begin + 1; code == EXIT_DONE && step <= run->options.steps; step++) {
        code = one_step(run, step, &summary);
        if (code == EXIT_DONE) {
            code = keep(run, step);
        }
    }
    console_clear(&run->console);
    if (code == EXIT_DONE) {
        print_tail(run, &summary);
    }
    return code;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static enum exit_code close_losses(struct run *run, enum exit_code code)
{
    if (run->losses == NULL) {
        return code;
    }
    bool bad = ferror(run->losses) != 0;
    bad = fclose(run->losses) != 0 || bad;
    run->losses = NULL;
    if (bad && code == EXIT_DONE) {
        fprintf(stderr, "train: --log-losses=%s could not be written to its end: %s\n",
                run->options.losses_path, strerror(errno));
        return EXIT_ENVIRONMENT;
    }
    return code;
}

static enum exit_code run_training(struct run *run)
{
    if (!ranks_meet(&run->world)) {
        ranks_abort(EXIT_ENVIRONMENT);
    }
    console_init(&run->console, &run->options, is_first(run));
    enum exit_code code = prepare(run);
    if (code == EXIT_DONE) {
        code = replica_create(&run->options, &run->text, &run->world, &run->replica);
        if (code != EXIT_DONE) {
            ranks_abort(code);
        }
        code = train(run);
        /* The other ranks may wait in a collective that this one will not join: all are ended. */
        if ((code == EXIT_COMMUNICATION || code == EXIT_ENVIRONMENT) && !run->refused) {
            ranks_abort(code);
        }
    }
    code = close_losses(run, code);
    replica_destroy(run->replica);
    text_finish(&run->text);
    return code;
}

int main(int argc, char **argv)
{
    struct run run = {.world = WW_WORLD_INIT};
    enum errand errand = options_parse(argc, argv, &run.options);
    if (errand == ERRAND_NONE) {
        return EXIT_DONE;
    }
    ranks_begin(&argc, &argv);
    /* A refused rank still meets the others here: mpirun would otherwise end the job before the
     * first rank has said why. */
    enum exit_code code = errand == ERRAND_TRAIN ? run_training(&run) : EXIT_USAGE;
    ranks_end();
    return (int)code;
}
