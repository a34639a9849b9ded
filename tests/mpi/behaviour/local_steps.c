/* SPDX-License-Identifier: BSD-3-Clause
 * local_steps.c LEVEL: local steps whose results come later, under each thread level of MPI: beside
 * the steps where a thread may call it, else with one line, and with the same results. */
#include "check.h"

#include <mpi.h>
#include <string.h>

#include <wirewise/mpi.h>
#include <wirewise/outer.h>

#define COUNT 3000
#define STEPS 20

struct rule {
    const char *name;
    int level;
    const char *sentence; /* why no thread exchanges; NULL = one does */
};

static const struct rule rules[] = {
    {"single", MPI_THREAD_SINGLE, "needs MPI_THREAD_MULTIPLE, but MPI runs at MPI_THREAD_SINGLE"},
    {"funneled", MPI_THREAD_FUNNELED, "but MPI runs at MPI_THREAD_FUNNELED"},
    {"serialized", MPI_THREAD_SERIALIZED, "but MPI runs at MPI_THREAD_SERIALIZED"},
    {"multiple", MPI_THREAD_MULTIPLE, NULL},
};

static const struct rule *rule_named(const char *name)
{
    for (size_t i = 0; i < LENGTH(rules); i++) {
        if (strcmp(rules[i].name, name) == 0) {
            return &rules[i];
        }
    }
    return NULL;
}

/* Every step takes rank + 1 off every parameter; windows of 4 steps are taken 2 steps later, so
 * that those two steps are lost. */
static void run_steps(struct ww_context *context, struct ww_outer *outer, const float *values,
                      float *model)
{
    double mean = (ww_size(context) + 1) / 2.0;
    double windows = 0;
    for (int step = 1; step <= STEPS; step++) {
        struct ww_outer_report report = WW_OUTER_REPORT_INIT;
        for (size_t i = 0; i < COUNT; i++) {
            model[i] -= (float)(ww_rank(context) + 1);
        }
        MPI_Barrier(MPI_COMM_WORLD); /* the program's own calls go on */
        check(ww_outer_step(outer, &report) == WW_OK, "step %d: %s", step, ww_last_error(context));
        bool taken = step > 4 && step % 4 == 2;
        check((report.changed == 1) == taken, "step %d changed %d", step, report.changed);
        if (taken) {
            windows += step == 6 ? 4 : 2;
            check(model[7] == values[7] - (float)(mean * windows), "step %d: %g", step, model[7]);
        }
    }
}

int main(int argc, char **argv)
{
    const struct rule *rule = argc == 2 ? rule_named(argv[1]) : NULL;
    static float values[COUNT];
    static float model[COUNT];
    int provided;
    if (rule == NULL) {
        return 2;
    }
    checks_begin();
    MPI_Init_thread(&argc, &argv, rule->level, &provided);
    if (provided != rule->level) {
        MPI_Finalize();
        return EXIT_SKIPPED;
    }
    struct ww_world world;
    struct ww_context *context = NULL;
    struct ww_outer *outer = NULL;
    struct ww_config settings = WW_CONFIG_INIT;
    struct ww_outer_config config = WW_OUTER_INIT;
    struct ww_outer_region all = {model, COUNT};
    settings.shared_memory = false;
    settings.timeout_s = 20;
    config.local_steps = 4;
    config.delay = 2;
    config.rate = 1;
    config.momentum = 0;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (float)(i % 100);
    }
    memcpy(model, values, sizeof model);
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_OK, "world");
    check(ww_context_create(&world, &settings, &context) == WW_OK, "context");
    check(ww_outer_create(context, &config, &all, 1, &outer) == WW_OK, "%s",
          ww_last_error(context));
    if (rule->sentence != NULL && world.rank == 0) {
        check_line(rule->sentence);
    }
    if (outer != NULL) {
        run_steps(context, outer, values, model);
        check(ww_outer_drain(outer, NULL) == WW_OK, "drain");
    }
    check_silence();
    ww_outer_destroy(outer);
    ww_context_destroy(context);
    MPI_Finalize();
    return checks_end();
}
