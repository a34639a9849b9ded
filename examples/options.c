/* SPDX-License-Identifier: BSD-3-Clause
 * options.c: the command line of the trainer, by argp. */
#include "options.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wirewise/outer.h>
#include <wirewise/tools.h>

static const struct model_size sizes[] = {
    {"default", 6, 256, 8, 64, 24},
    {"small", 2, 64, 4, 32, 24},
};

enum key {
    KEY_STEPS = 256,
    KEY_BATCH,
    KEY_SIZE,
    KEY_OPTIMIZER,
    KEY_RATE,
    KEY_SCHEDULE,
    KEY_WARMUP,
    KEY_MOMENTUM,
    KEY_SEED,
    KEY_EVAL,
    KEY_CODEC,
    KEY_ALLOW,
    KEY_STALENESS,
    KEY_LOCAL_STEPS,
    KEY_OUTER,
    KEY_OUTER_RATE,
    KEY_OUTER_MOMENTUM,
    KEY_OUTER_CODEC,
    KEY_FRAGMENTS,
    KEY_OUTER_DELAY,
    KEY_OUTER_MIX,
    KEY_DENSE_STEPS,
    KEY_LOSSES,
    KEY_CHECKPOINT,
    KEY_CHECKPOINT_EVERY,
    KEY_RESUME,
    KEY_PROGRESS,
    KEY_NO_PROGRESS,
    KEY_USAGE,
    KEY_VERSION
};

static const struct argp_option rows[] = {
    {NULL, 0, NULL, 0, "Training", 1},
    {"steps", KEY_STEPS, "N", 0, "Steps to train (50)", 0},
    {"batch", KEY_BATCH, "N", 0, "Sequences per step, all ranks together (24)", 0},
    {"size", KEY_SIZE, "NAME", 0, "Model: default (18.6 MiB of gradients) or small (0.5 MiB)", 0},
    {"optimizer", KEY_OPTIMIZER, "NAME", 0, "adam (the default) or sgd", 0},
    {"lr", KEY_RATE, "X", 0, "Learning rate (adam 0.001, sgd 0.1)", 0},
    {"lr-schedule", KEY_SCHEDULE, "NAME", 0,
     "Course of the learning rate: constant (the default), or cosine: down to 0 at the last step",
     0},
    {"lr-warmup", KEY_WARMUP, "N", 0, "The first N steps bring the learning rate up from 0 (0)", 0},
    {"momentum", KEY_MOMENTUM, "X", 0,
     "Momentum of sgd, or of adam's mean of gradients, 0 up to less than 1 (0.9)", 0},
    {"seed", KEY_SEED, "N", 0, "Seed of the first parameters and of the samples (1)", 0},
    {"codec", KEY_CODEC, "SPEC", 0,
     "How gradients travel: none (the default), fp16, bf16, int8, topk:0.01 ..., or auto; with "
     "topk "
     "the library corrects sgd's momentum",
     0},
    {"allow", KEY_ALLOW, "LIST", 0, "What auto may choose among: fp16,int8,topk:0.01 (none)", 0},
    {"staleness", KEY_STALENESS, "N", 0,
     "Gradients travel while the next N steps compute, and are applied N steps late, 0 to 8 (0); "
     "--lr may have to be lower",
     0},
    {"checkpoint", KEY_CHECKPOINT, "DIR", 0,
     "Save to DIR now and then, at the end, and when SIGTERM or SIGUSR1 says that the machine will "
     "be taken away: then the exit code is 6. What is on its way is waited for: with --staleness "
     "or "
     "--outer-delay a training that saves at other steps ends with other digits",
     0},
    {"checkpoint-every", KEY_CHECKPOINT_EVERY, "N", 0, "Steps between two checkpoints (100)", 0},
    {"resume", KEY_RESUME, NULL, 0,
     "Go on from the newest checkpoint in DIR; begin where there is none. One of another --size, "
     "--optimizer, --seed, --batch, --local-steps, --fragments, --outer or --outer-codec is "
     "refused, and one with --staleness where there is none, or the reverse: exit code 4",
     0},
    {NULL, 0, NULL, 0, "Local steps", 2},
    {"local-steps", KEY_LOCAL_STEPS, "H", 0,
     "Send no gradients: ranks train by themselves and average what they learned every H steps (1: "
     "send gradients)",
     0},
    {"outer", KEY_OUTER, "NAME", 0,
     "What is made of that mean: nesterov (the default: DiLoCo) or sgd (plain averages)", 0},
    {"outer-rate", KEY_OUTER_RATE, "X", 0, "Learning rate of it (nesterov 0.9, sgd 1)", 0},
    {"outer-momentum", KEY_OUTER_MOMENTUM, "X", 0, "Momentum of it (nesterov 0.4, sgd 0)", 0},
    {"outer-codec", KEY_OUTER_CODEC, "SPEC", 0, "How it travels, as --codec, but not auto (int8)",
     0},
    {"fragments", KEY_FRAGMENTS, "P", 0, "Parts of the model that are sent in turn (1)", 0},
    {"outer-delay", KEY_OUTER_DELAY, "T", 0,
     "Steps between sending a part and taking its result; local steps go on meanwhile (0)", 0},
    {"outer-mix", KEY_OUTER_MIX, "X", 0,
     "The share of a rank's own parameters that stays when a result is taken (0)", 0},
    {"dense-steps", KEY_DENSE_STEPS, "N", 0, "The first N steps end with a plain average each (0)",
     0},
    {NULL, 0, NULL, 0, "What is shown", 3},
    {"eval-every", KEY_EVAL, "N", 0, "Steps between two held-out losses (10)", 0},
    {"log-losses", KEY_LOSSES, "FILE", 0,
     "Write the loss of every step to FILE, with all digits; with --resume behind what is there",
     0},
    {"quiet", 'q', NULL, 0, "Print the last line only", 0},
    {"progress", KEY_PROGRESS, NULL, 0,
     "Draw the progress bar even where stderr is no terminal, as under mpirun", 0},
    {"no-progress", KEY_NO_PROGRESS, NULL, 0, "Draw no progress bar", 0},
    {NULL, 0, NULL, 0, "Nothing is trained", 4},
    {"help", '?', NULL, 0, "Print this", 0},
    {"usage", KEY_USAGE, NULL, 0, "Print the options in short", 0},
    {"version", KEY_VERSION, NULL, 0, "Print the version of the library", 0},
    {0}};

/* What the parser fills besides the options. */
struct parsing {
    struct options *options;
    bool first_rank;
    bool printed;
    bool batch_named;
    bool rate_named;
    bool outer_rate_named;
    bool outer_momentum_named;
    bool codec_named;
    const char *outer; /* names what other options of local steps need: --local-steps */
};

static error_t parse(int key, char *value, struct argp_state *state);
static const struct argp command = {
    rows,
    parse,
    "[TEXT...]",
    "Trains a language model on text files, data parallel over the ranks that mpirun starts, or "
    "torchrun; every gradient goes through wirewise.\v"
    "Without TEXT it reads the licence texts in /usr/share/common-licenses. The last tenth of each "
    "file is held out.\n\n"
    "Exit codes: 0 done, 2 usage, 4 environment (texts, memory, settings, checkpoints), 5 "
    "communication, 6 told to go and saved.",
    NULL,
    NULL,
    NULL};

/* ---- Values -------------------------------------------------------------------------------- */

/* A whole number from least to most; complains otherwise. */
static error_t parse_count(struct argp_state *state, const char *name, const char *value,
                           uint64_t least, uint64_t most, uint64_t *count)
{
    char *end = NULL;
    errno = 0;
    unsigned long long parsed = strtoull(value, &end, 10);
    if (errno != 0 || *value < '0' || *value > '9' || *end != '\0' || parsed < least ||
        parsed > most) {
        argp_error(state, "--%s=%s: give a whole number from %llu to %llu", name, value,
                   (unsigned long long)least, (unsigned long long)most);
        return EINVAL;
    }
    *count = parsed;
    return 0;
}

static error_t parse_size_t(struct argp_state *state, const char *name, const char *value,
                            size_t *count)
{
    uint64_t parsed = 0;
    error_t error = parse_count(state, name, value, 1, 1000000, &parsed);
    if (error == 0) {
        *count = (size_t)parsed;
    }
    return error;
}

static error_t parse_staleness(struct argp_state *state, const char *value, int *staleness)
{
    uint64_t parsed = 0;
    error_t error = parse_count(state, "staleness", value, 0, WW_STALENESS_MAX, &parsed);
    if (error == 0) {
        *staleness = (int)parsed;
    }
    return error;
}

/* A number from 0 to less than `below`; complains otherwise. */
static error_t parse_real(struct argp_state *state, const char *name, const char *value,
                          double below, double *number)
{
    char *end = NULL;
    double parsed = strtod(value, &end);
    if (end == value || *end != '\0' || !(parsed >= 0) || !(parsed < below)) {
        argp_error(state, "--%s=%s: give a number from 0 to less than %g", name, value, below);
        return EINVAL;
    }
    *number = parsed;
    return 0;
}

static error_t parse_model(struct argp_state *state, const char *value, struct options *options)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (strcmp(sizes[i].name, value) == 0) {
            options->size = &sizes[i];
            return 0;
        }
    }
    argp_error(state, "--size=%s: there are the sizes default and small", value);
    return EINVAL;
}

static error_t parse_optimizer(struct argp_state *state, const char *value, struct options *options)
{
    const struct optimizer_kind *kind = optimizer_kind_find(value);
    if (kind == NULL) {
        argp_error(state, "--optimizer=%s: there are the optimizers adam and sgd", value);
        return EINVAL;
    }
    options->optimizer = kind;
    return 0;
}

static error_t parse_schedule(struct argp_state *state, const char *value, struct options *options)
{
    const struct schedule_kind *kind = schedule_kind_find(value);
    if (kind == NULL) {
        argp_error(state, "--lr-schedule=%s: there are the schedules constant and cosine", value);
        return EINVAL;
    }
    options->schedule.kind = kind;
    return 0;
}

/* How far steps go. */
static error_t parse_rate(int key, char *value, struct argp_state *state)
{
    struct parsing *parsing = state->input;
    struct options *options = parsing->options;
    uint64_t count = 0;
    error_t error;
    switch (key) {
    case KEY_RATE:
        parsing->rate_named = true;
        return parse_real(state, "lr", value, 1000, &options->rate);
    case KEY_SCHEDULE:
        return parse_schedule(state, value, options);
    case KEY_WARMUP:
        error = parse_count(state, "lr-warmup", value, 0, 1000000, &count);
        options->schedule.warmup = (size_t)count;
        return error;
    default:
        return parse_real(state, "momentum", value, 1, &options->momentum);
    }
}

static error_t parse_codec(struct argp_state *state, const char *value, struct options *options)
{
    struct ww_codec_facts facts = WW_CODEC_FACTS_INIT;
    if (ww_codec_describe(value, &facts) != WW_OK) {
        argp_error(state, "--%s", ww_last_error(NULL));
        return EINVAL;
    }
    options->codec = value;
    return 0;
}

/* The outer optimizers, with what they do where the user names no numbers. */
static const struct {
    const char *name;
    double rate;
    double momentum;
    bool nesterov;
} outer_kinds[] = {{"nesterov", 0.9, 0.4, true}, {"sgd", 1, 0, false}};

static error_t parse_outer_kind(struct argp_state *state, const char *value,
                                struct options *options)
{
    for (size_t i = 0; i < sizeof outer_kinds / sizeof outer_kinds[0]; i++) {
        if (strcmp(outer_kinds[i].name, value) == 0) {
            options->outer.nesterov = outer_kinds[i].nesterov;
            return 0;
        }
    }
    argp_error(state, "--outer=%s: there are the outer optimizers nesterov and sgd", value);
    return EINVAL;
}

static error_t parse_outer_codec(struct argp_state *state, const char *value,
                                 struct options *options)
{
    struct ww_codec_facts facts = WW_CODEC_FACTS_INIT;
    if (strcmp(value, "auto") == 0) {
        argp_error(state, "--outer-codec=auto: name one, local steps measure too seldom to choose");
        return EINVAL;
    }
    if (ww_codec_describe(value, &facts) != WW_OK) {
        argp_error(state, "--outer-%s", ww_last_error(NULL));
        return EINVAL;
    }
    options->outer.codec = value;
    return 0;
}

/* Options of local steps. */
static error_t parse_outer(int key, char *value, struct argp_state *state)
{
    struct parsing *parsing = state->input;
    struct ww_outer_config *outer = &parsing->options->outer;
    uint64_t count = 0;
    error_t error;
    switch (key) {
    case KEY_LOCAL_STEPS:
        return parse_count(state, "local-steps", value, 1, 1000000, &outer->local_steps);
    case KEY_OUTER:
        parsing->outer = "outer";
        return parse_outer_kind(state, value, parsing->options);
    case KEY_OUTER_RATE:
        parsing->outer = "outer-rate";
        parsing->outer_rate_named = true;
        return parse_real(state, "outer-rate", value, 100, &outer->rate);
    case KEY_OUTER_MOMENTUM:
        parsing->outer = "outer-momentum";
        parsing->outer_momentum_named = true;
        return parse_real(state, "outer-momentum", value, 1, &outer->momentum);
    case KEY_OUTER_CODEC:
        parsing->outer = "outer-codec";
        return parse_outer_codec(state, value, parsing->options);
    case KEY_FRAGMENTS:
        parsing->outer = "fragments";
        error = parse_count(state, "fragments", value, 1, 4096, &count);
        outer->fragments = (int)count;
        return error;
    case KEY_OUTER_DELAY:
        parsing->outer = "outer-delay";
        return parse_count(state, "outer-delay", value, 0, 1000000, &outer->delay);
    case KEY_OUTER_MIX:
        parsing->outer = "outer-mix";
        return parse_real(state, "outer-mix", value, 1, &outer->mix);
    case KEY_DENSE_STEPS:
        parsing->outer = "dense-steps";
        return parse_count(state, "dense-steps", value, 0, 1000000, &outer->dense_steps);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What can be said once all options are read. */
static error_t finish_outer(struct argp_state *state)
{
    struct parsing *parsing = state->input;
    struct ww_outer_config *outer = &parsing->options->outer;
    size_t kind = outer->nesterov ? 0 : 1;
    outer->rate = parsing->outer_rate_named ? outer->rate : outer_kinds[kind].rate;
    outer->momentum = parsing->outer_momentum_named ? outer->momentum : outer_kinds[kind].momentum;
    if (outer->local_steps <= 1 && parsing->outer != NULL) {
        argp_error(state, "--%s is for local steps: give --local-steps as well, 20 for example",
                   parsing->outer);
        return EINVAL;
    }
    if (!(outer->rate > 0)) {
        argp_error(state, "--outer-rate=%g: give a number above 0", outer->rate);
        return EINVAL;
    }
    if (outer->local_steps > 1 && parsing->codec_named) {
        argp_error(state,
                   "--codec is for gradients, and local steps send none: give --outer-codec");
        return EINVAL;
    }
    if (outer->local_steps > 1 && parsing->options->staleness > 0) {
        argp_error(state, "--staleness is for gradients, and local steps send none: give "
                          "--outer-delay");
        return EINVAL;
    }
    if ((uint64_t)outer->fragments > outer->local_steps || outer->delay >= outer->local_steps) {
        argp_error(state,
                   "--fragments=%d and --outer-delay=%llu: with %llu local steps there can be "
                   "as many fragments, and a delay of fewer steps",
                   outer->fragments, (unsigned long long)outer->delay,
                   (unsigned long long)outer->local_steps);
        return EINVAL;
    }
    return 0;
}

/* ---- The parser ---------------------------------------------------------------------------- */

/* Prints what was asked for and has the parser stop quietly: ECANCELED is no complaint. */
static error_t print_and_stop(struct argp_state *state, int key)
{
    struct parsing *parsing = state->input;
    parsing->printed = true;
    if (parsing->first_rank && key == KEY_VERSION) {
        printf("wirewise_train, wirewise %s\n", ww_version());
    } else if (parsing->first_rank) {
        argp_help(&command, stdout, key == KEY_USAGE ? ARGP_HELP_USAGE : ARGP_HELP_STD_HELP,
                  state->name);
    }
    return ECANCELED;
}

/* Options about checkpoints. */
static error_t parse_checkpoint(int key, char *value, struct argp_state *state)
{
    struct options *options = ((struct parsing *)state->input)->options;
    switch (key) {
    case KEY_CHECKPOINT:
        if (value[0] == '\0') {
            argp_error(state, "--checkpoint=: name a folder");
            return EINVAL;
        }
        options->checkpoint = value;
        return 0;
    case KEY_CHECKPOINT_EVERY:
        return parse_size_t(state, "checkpoint-every", value, &options->checkpoint_every);
    case KEY_RESUME:
        options->resume = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What options say together. */
static error_t finish(struct argp_state *state)
{
    const struct options *options = ((struct parsing *)state->input)->options;
    if (options->resume && options->checkpoint == NULL) {
        argp_error(state, "--resume: say from where, --checkpoint DIR");
        return EINVAL;
    }
    return finish_outer(state);
}

/* Options that only set something. */
static error_t parse_display(int key, char *value, struct options *options)
{
    switch (key) {
    case KEY_LOSSES:
        options->losses_path = value;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    case KEY_PROGRESS:
        options->bar = BAR_ALWAYS;
        return 0;
    case KEY_NO_PROGRESS:
        options->bar = BAR_NEVER;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct parsing *parsing = state->input;
    struct options *options = parsing->options;
    switch (key) {
    case KEY_STEPS:
        return parse_size_t(state, "steps", value, &options->steps);
    case KEY_BATCH:
        parsing->batch_named = true;
        return parse_size_t(state, "batch", value, &options->batch);
    case KEY_SIZE:
        return parse_model(state, value, options);
    case KEY_OPTIMIZER:
        return parse_optimizer(state, value, options);
    case KEY_RATE:
    case KEY_SCHEDULE:
    case KEY_WARMUP:
    case KEY_MOMENTUM:
        return parse_rate(key, value, state);
    case KEY_SEED:
        return parse_count(state, "seed", value, 0, UINT64_MAX, &options->seed);
    case KEY_CODEC:
        parsing->codec_named = true;
        return parse_codec(state, value, options);
    case KEY_ALLOW:
        options->allowed = value;
        return 0;
    case KEY_STALENESS:
        return parse_staleness(state, value, &options->staleness);
    case KEY_EVAL:
        return parse_size_t(state, "eval-every", value, &options->eval_every);
    case '?':
    case KEY_USAGE:
    case KEY_VERSION:
        return print_and_stop(state, key);
    case ARGP_KEY_ARGS:
        options->texts = state->argv + state->next;
        options->text_count = (size_t)(state->argc - state->next);
        return 0;
    case KEY_CHECKPOINT:
    case KEY_CHECKPOINT_EVERY:
    case KEY_RESUME:
        return parse_checkpoint(key, value, state);
    case ARGP_KEY_END:
        return finish(state);
    default:
        break;
    }
    error_t error = parse_outer(key, value, state);
    return error == ARGP_ERR_UNKNOWN ? parse_display(key, value, options) : error;
}

/* ---- The door ------------------------------------------------------------------------------ */

static bool is_first_rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "RANK",
                                        "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *rank = getenv(names[i]);
        if (rank != NULL) {
            return strcmp(rank, "0") == 0;
        }
    }
    return true;
}

enum errand options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.size = &sizes[0],
                                .optimizer = optimizer_kind_find("adam"),
                                .steps = 50,
                                .schedule = {.kind = schedule_kind_find("constant")},
                                .momentum = 0.9,
                                .seed = 1,
                                .eval_every = 10,
                                .checkpoint_every = 100,
                                .codec = "none",
                                .allowed = "none",
                                .bar = BAR_AUTO,
                                .outer = WW_OUTER_INIT};
    options->outer.local_steps = 1;
    options->outer.codec = "int8";
    struct parsing parsing = {.options = options, .first_rank = is_first_rank()};
    unsigned flags = ARGP_NO_HELP | ARGP_NO_EXIT | (parsing.first_rank ? 0 : ARGP_NO_ERRS);
    error_t error = argp_parse(&command, argc, argv, flags, NULL, &parsing);
    if (parsing.printed) {
        return ERRAND_NONE;
    }
    if (error != 0) {
        return ERRAND_REFUSED;
    }
    options->batch = parsing.batch_named ? options->batch : options->size->batch;
    options->schedule.steps = options->steps;
    options->rate = parsing.rate_named ? options->rate : options->optimizer->rate;
    return ERRAND_TRAIN;
}
