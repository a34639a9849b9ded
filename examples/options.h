/* SPDX-License-Identifier: BSD-3-Clause
 * options.h: what the user asked for on the command line. */
#ifndef TRAIN_OPTIONS_H
#define TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wirewise/outer.h>

#include "optimizer.h"
#include "parameters.h"
#include "schedule.h"

/* How the program ends. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 2,         /* the command line asks for something that cannot be done */
    EXIT_ENVIRONMENT = 4,   /* texts, memory, MPI, checkpoints or a setting of the library */
    EXIT_COMMUNICATION = 5, /* ranks were lost or disagreed */
    EXIT_PREEMPTED = 6      /* told to go, and saved: --resume goes on */
};

/* What the command line is for. */
enum errand { ERRAND_TRAIN, ERRAND_NONE, ERRAND_REFUSED };

/* When the progress bar is drawn. */
enum bar { BAR_AUTO, BAR_ALWAYS, BAR_NEVER };

struct options {
    const struct model_size *size;
    const struct optimizer_kind *optimizer;
    size_t steps;
    size_t batch; /* sequences per step, all ranks together */
    double rate;  /* its peak, where it has a schedule */
    struct schedule schedule;
    double momentum;
    uint64_t seed;
    size_t eval_every;
    const char *codec;
    const char *allowed;     /* to codec auto */
    int staleness;           /* gradients are applied so many steps late */
    const char *losses_path; /* NULL = none */
    const char *checkpoint;  /* a folder; NULL = none */
    size_t checkpoint_every; /* steps */
    bool resume;
    struct ww_outer_config outer; /* local_steps 1 = gradients travel */
    bool quiet;
    enum bar bar;
    char **texts; /* [text_count], of argv; 0 = the default texts */
    size_t text_count;
};

/* Reads the command line. The first rank of a job prints help and complaints, the others keep
 * quiet: before MPI runs, the launcher's environment tells who is first.
 * Returns  ERRAND_TRAIN with *options filled; ERRAND_NONE when help or the version was printed
 *          and nothing is left to do; ERRAND_REFUSED after a complaint. */
enum errand options_parse(int argc, char **argv, struct options *options);

#endif
