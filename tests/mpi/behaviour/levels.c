/* SPDX-License-Identifier: BSD-3-Clause
 * levels.c LEVEL: which progress a context gets under each thread level of MPI, and that steps are
 * exact with it. */
#include "check.h"

#include <mpi.h>
#include <string.h>

#include <wirewise/mpi.h>

struct rule {
    const char *name;
    int level;
    enum ww_status thread;       /* what progress=thread gives */
    enum ww_status thread_quiet; /* and mpi_quiet */
};

static const struct rule rules[] = {
    {"single", MPI_THREAD_SINGLE, WW_UNSUPPORTED, WW_UNSUPPORTED},
    {"funneled", MPI_THREAD_FUNNELED, WW_UNSUPPORTED, WW_UNSUPPORTED},
    {"serialized", MPI_THREAD_SERIALIZED, WW_UNSUPPORTED, WW_OK},
    {"multiple", MPI_THREAD_MULTIPLE, WW_OK, WW_OK},
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

static void run_steps(struct ww_context *context)
{
    struct ww_tensor *tensor = NULL;
    size_t count = 50000;
    static double values[50000];
    check(ww_tensor_add(context, "w", WW_F64, 1, &count, &tensor) == WW_OK, "add");
    check(ww_tensors_commit(context) == WW_OK, "commit");
    for (int step = 0; step < 10; step++) {
        for (size_t i = 0; i < count; i++) {
            values[i] = (double)(i + (size_t)step) * (ww_rank(context) + 1);
        }
        check(ww_step_begin(context) == WW_OK && ww_tensor_start(tensor, values) == WW_OK &&
                  ww_step_end(context, NULL) == WW_OK,
              "step %d: %s", step, ww_last_error(context));
        double share = ww_size(context) * (ww_size(context) + 1) / 2.0 * (1.0 / ww_size(context));
        for (size_t i = 0; i < count; i++) {
            double wanted = (double)(i + (size_t)step) * share;
            if (values[i] != wanted) {
                check(false, "element %zu is %g, not %g", i, values[i], wanted);
                break;
            }
        }
    }
}

static void expect(enum ww_status wanted, enum ww_progress progress, bool quiet, bool memory)
{
    struct ww_world world;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_context *context = NULL;
    config.progress = progress;
    config.mpi_quiet = quiet;
    config.shared_memory = memory;
    config.timeout_s = 20;
    check(ww_mpi_world(MPI_COMM_WORLD, &world) == WW_OK, "world");
    enum ww_status status = ww_context_create(&world, &config, &context);
    check(status == wanted, "progress %d, quiet %d: %s instead of %s", (int)progress, quiet,
          ww_status_name(status), ww_status_name(wanted));
    if (wanted != WW_OK) {
        check_line("progress=thread is not possible: a progress thread needs MPI_THREAD_MULTIPLE");
    } else if (context != NULL) {
        run_steps(context);
    }
    ww_context_destroy(context);
}

int main(int argc, char **argv)
{
    const struct rule *rule = argc == 2 ? rule_named(argv[1]) : NULL;
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
    for (int quiet = 0; quiet < 2; quiet++) {
        expect(WW_OK, WW_PROGRESS_INLINE, quiet == 1, false);
        expect(WW_OK, WW_PROGRESS_AUTO, quiet == 1, false);
        expect(quiet == 1 ? rule->thread_quiet : rule->thread, WW_PROGRESS_THREAD, quiet == 1,
               false);
        expect(WW_OK, WW_PROGRESS_THREAD, quiet == 1, true); /* without MPI any thread may */
    }
    MPI_Finalize();
    return checks_end();
}
