/* SPDX-License-Identifier: BSD-3-Clause
 * test_live.c: what ranks that really train write about themselves: files that parse, whose sums
 * are the ledger's, and trouble with files that harms nothing. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "schema.h"
#include "trainer.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define STEPS 60

TestSuite(live, .init = scratch_start, .fini = scratch_finish);

struct plan_of_test {
    const char *codec;
    const char *ledger;
    const char *metrics;
    const char *trace;
    enum ww_progress progress;
    size_t ledger_bytes; /* 0 = the default */
    struct ww_ledger read[WORLD_SIZE_MAX];
};

static void train(const struct ww_world *world, void *shared)
{
    struct plan_of_test *plan = shared;
    struct ww_config config = trainer_config(world, plan->codec, 1);
    config.codecs_allowed = "fp16,topk:0.05";
    config.error_feedback = WW_FEEDBACK_ON;
    config.progress = plan->progress;
    config.ledger = plan->ledger;
    config.metrics = plan->metrics;
    config.trace = plan->trace;
    config.run = "night \"7\"";
    config.labels = "team=vision";
    config.ledger_bytes = plan->ledger_bytes > 0 ? plan->ledger_bytes : config.ledger_bytes;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 1; step < STEPS; step++) {
        trainer_step(&trainer);
    }
    if (strcmp(plan->codec, "none") == 0) {
        trainer_step(&trainer);
    } else {
        trainer_settle(&trainer);
    }
    plan->read[world->rank] = (struct ww_ledger)WW_LEDGER_INIT;
    check_status(ww_ledger_read(trainer.context, &plan->read[world->rank]), WW_OK);
    trainer_end(&trainer);
}

/* ---- The ledger ----------------------------------------------------------------------------- */

static json_int_t integer(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    cr_expect(json_is_integer(value), "%s is no integer", name);
    return json_integer_value(value);
}

struct line_sums {
    json_int_t steps, probes, control, encoded, chosen;
    json_int_t bytes[WW_LEVELS_MAX], dense32[WW_LEVELS_MAX], dense16[WW_LEVELS_MAX];
    double step_s, exposed_s, encode_s;
};

static void add_array(json_int_t *sums, const json_t *line, const char *name)
{
    const json_t *array = json_object_get(line, name);
    for (size_t i = 0; i < json_array_size(array); i++) {
        sums[i] += json_integer_value(json_array_get(array, i));
    }
}

static void add_line(struct line_sums *sums, const json_t *line)
{
    sums->steps += integer(line, "steps");
    sums->probes += integer(line, "probes");
    sums->control += integer(line, "control");
    sums->encoded += integer(line, "encoded");
    sums->chosen += integer(line, "chosen");
    add_array(sums->bytes, line, "bytes");
    add_array(sums->dense32, line, "dense32");
    add_array(sums->dense16, line, "dense16");
    sums->step_s += json_number_value(json_object_get(line, "step_s"));
    sums->exposed_s += json_number_value(json_object_get(line, "exposed_s"));
    sums->encode_s += json_number_value(json_object_get(line, "encode_s"));
}

static bool is_near(double a, double b)
{
    double more = a > b ? a : b;
    return (a > b ? a - b : b - a) <= 1e-4 * more + 1e-9;
}

static void expect_sums(const struct line_sums *sums, const struct ww_ledger *read,
                        const char *what)
{
    cr_expect_eq(sums->steps, (json_int_t)read->steps, "%s", what);
    cr_expect_eq(sums->probes, (json_int_t)read->probes, "%s", what);
    cr_expect_eq(sums->control, (json_int_t)read->control_bytes, "%s", what);
    cr_expect_eq(sums->encoded, (json_int_t)read->encoded, "%s", what);
    cr_expect_eq(sums->chosen, (json_int_t)read->chosen, "%s", what);
    for (int level = 0; level < read->levels; level++) {
        cr_expect_eq(sums->bytes[level], (json_int_t)read->level[level].sent_bytes, "%s", what);
        cr_expect_eq(sums->dense32[level], (json_int_t)read->level[level].dense32_bytes, "%s",
                     what);
        cr_expect_eq(sums->dense16[level], (json_int_t)read->level[level].dense16_bytes, "%s",
                     what);
    }
    cr_expect(is_near(sums->step_s, read->step_s), "%s: %g of %g s", what, sums->step_s,
              read->step_s);
    cr_expect(is_near(sums->exposed_s, read->exposed_s), "%s", what);
    cr_expect(is_near(sums->encode_s, read->encode_s), "%s", what);
}

static void expect_ledger(const char *name, int rank, const struct ww_ledger *read)
{
    char *text = strdup(scratch_read(name));
    size_t lines = line_count(text);
    struct line_sums sums = {0};
    struct line_sums all = {0};
    cr_assert_geq(lines, 3, "%s has %zu lines", name, lines);
    for (size_t i = 0; i < lines; i++) {
        json_t *line = line_json(text, i);
        if (i == 0) {
            schema_check(line, "Header, the first line", NULL);
            cr_expect_eq(integer(line, "rank"), rank);
            cr_expect_eq(integer(line, "ranks"), read->size);
            cr_expect_str_eq(json_string_value(json_object_get(line, "run")), "night \"7\"");
        } else if (i + 1 == lines) {
            const json_t *summary = json_object_get(line, "summary");
            cr_expect_not_null(summary);
            add_line(&all, summary);
        } else if (json_object_get(line, "event") == NULL) {
            schema_check(line, "Steps", NULL);
            add_line(&sums, line);
        }
        json_decref(line);
    }
    expect_sums(&sums, read, "lines");
    expect_sums(&all, read, "summary");
    free(text);
}

static void expect_files(struct plan_of_test *plan, int size)
{
    char ledger[512];
    char metrics[512];
    char trace[512];
    snprintf(ledger, sizeof ledger, "%s", scratch_path("ledger.%r.jsonl"));
    snprintf(metrics, sizeof metrics, "%s", scratch_path("metrics.%r.prom"));
    snprintf(trace, sizeof trace, "%s", scratch_path("trace.%r.json"));
    plan->ledger = ledger;
    plan->metrics = metrics;
    plan->trace = trace;
    world_run(size, train, plan);
    for (int rank = 0; rank < size; rank++) {
        char name[32];
        char words[64];
        json_error_t error;
        snprintf(name, sizeof name, "ledger.%d.jsonl", rank);
        expect_ledger(name, rank, &plan->read[rank]);
        snprintf(name, sizeof name, "trace.%d.json", rank);
        json_t *events = json_loads(scratch_read(name), JSON_REJECT_DUPLICATES, &error);
        cr_expect(json_array_size(events) > STEPS, "%s: %s", name, error.text);
        json_decref(events);
        snprintf(name, sizeof name, "metrics.%d.prom", rank);
        snprintf(words, sizeof words, "} %d\n", STEPS);
        const char *steps = strstr(scratch_read(name), "wirewise_steps_total{");
        cr_expect(steps != NULL && strstr(steps, words) != NULL, "%s:\n%s", name,
                  scratch_read(name));
        cr_expect_not_null(strstr(scratch_read(name), "team=\"vision\""));
    }
}

Test(live, files_tell_what_the_ledger_tells)
{
    static const char *const codecs[] = {"none", "topk:0.05", "auto"};
    for (size_t c = 0; c < LENGTH(codecs); c++) {
        struct plan_of_test plan = {.codec = codecs[c], .progress = WW_PROGRESS_INLINE};
        expect_files(&plan, 2);
        expect_files(&plan, 3);
        plan.progress = WW_PROGRESS_THREAD;
        expect_files(&plan, 2);
        plan.ledger_bytes = 65536;
        expect_files(&plan, 2);
    }
    world_forgive();
}

Test(live, without_a_mark_rank_0_alone_writes)
{
    char ledger[512];
    snprintf(ledger, sizeof ledger, "%s", scratch_path("run.jsonl"));
    struct plan_of_test plan = {.codec = "topk:0.05", .ledger = ledger};
    world_run(2, train, &plan);
    expect_ledger("run.jsonl", 0, &plan.read[0]);
    world_forgive(); /* the codec may cost time */
    cr_expect(!scratch_has("run.jsonl.1"), "somebody else wrote");
}

/* ---- GPUs ------------------------------------------------------------------------------------ */

/* Two ranks train on a host whose four GPUs count as these words say. */
static double energy_of_gpus(const char *words, struct plan_of_test *plan)
{
    setenv("FAKE_NVML", "pairs", 1);
    setenv("FAKE_NVML_ENERGY", words, 1);
    void *fake = dlopen(FAKE_NVML_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(fake, "%s", dlerror());
    char ledger[512];
    char metrics[512];
    snprintf(ledger, sizeof ledger, "%s", scratch_path("run.jsonl"));
    snprintf(metrics, sizeof metrics, "%s", scratch_path("run.prom"));
    *plan = (struct plan_of_test){.codec = "none", .ledger = ledger, .metrics = metrics};
    world_run(2, train, plan);
    dlclose(fake);
    char *text = strdup(scratch_read("run.jsonl"));
    json_t *end = line_json(text, line_count(text) - 1);
    const json_t *summary = json_object_get(end, "summary");
    schema_check(summary, "Steps", "The end, the last line of a run that was ended");
    const json_t *told = json_object_get(summary, "gpu_energy_j");
    double joules = json_is_null(told) ? -1 : json_number_value(told);
    json_decref(end);
    free(text);
    return joules;
}

/* Every reading of the fake shows more, so what stands in files comes after what was read. */
Test(live, energy_of_gpus_is_in_the_ledger_and_in_files)
{
    struct plan_of_test plan;
    double told = energy_of_gpus("ticks,ticks,ticks,ticks", &plan);
    cr_expect_geq(plan.read[0].gpu_energy_j, 4 * 4);
    cr_expect_geq(plan.read[1].gpu_energy_j, 4 * 4);
    cr_expect_geq(told, plan.read[0].gpu_energy_j + 4);
    cr_expect_not_null(strstr(scratch_read("run.prom"), "\nwirewise_gpu_energy_joules_total{"));
    world_forgive();
}

/* A tick is a KiB sent and two received; four GPUs count them. */
Test(live, what_gpus_sent_by_nvlink_is_in_the_ledger_and_in_files)
{
    struct plan_of_test plan;
    setenv("FAKE_NVML_LINKS", "ticks,none,ticks,ticks", 1);
    energy_of_gpus("none,none,none,none", &plan);
    for (int rank = 0; rank < 2; rank++) {
        const struct ww_audit *audit = &plan.read[rank].audit;
        cr_expect(audit->linked);
        cr_expect_geq(audit->nvlink_sent_bytes, 3 * 3 * 1024);
        cr_expect_geq(audit->nvlink_received_bytes, 2 * audit->nvlink_sent_bytes);
    }
    const char *text = scratch_read("run.jsonl");
    json_t *end = line_json(text, line_count(text) - 1);
    const json_t *told = json_object_get(json_object_get(end, "summary"), "audit");
    schema_check(told, "Audit", NULL);
    cr_expect_geq(integer(told, "nvlink_sent"), (json_int_t)plan.read[0].audit.nvlink_sent_bytes);
    json_decref(end);
    cr_expect_not_null(
        strstr(scratch_read("run.prom"), "\nwirewise_audit_nvlink_sent_bytes_total{"));
    world_forgive();
}

Test(live, energy_of_gpus_that_do_not_count_it_is_not_known)
{
    struct plan_of_test plan;
    cr_expect_eq(energy_of_gpus("ticks,ticks,none,ticks", &plan), -1);
    cr_expect_eq(plan.read[0].gpu_energy_j, -1);
    cr_expect_eq(plan.read[1].gpu_energy_j, -1);
    cr_expect_null(strstr(scratch_read("run.prom"), "gpu_energy"));
    world_forgive();
}

/* ---- Trouble -------------------------------------------------------------------------------- */

Test(live, trouble_with_files_harms_no_training)
{
    /* Of devices only those that swallow what they are given, and only by links in the folder: who
     * runs tests may own the machine's. */
    static const char *const targets[] = {"/dev/full", "/dev/null"};
    static const char *const names[] = {"full", "null", "no/such/folder", "taken"};
    scratch_write("taken/file", "");
    for (size_t i = 0; i < LENGTH(targets); i++) {
        cr_assert_eq(symlink(targets[i], scratch_path(names[i])), 0);
    }
    for (size_t i = 0; i < LENGTH(names); i++) {
        char place[512];
        snprintf(place, sizeof place, "%s", scratch_path(names[i]));
        bool device = i < LENGTH(targets);
        struct plan_of_test plan = {.codec = "topk:0.05",
                                    .ledger = place,
                                    .metrics = device ? NULL : place,
                                    .trace = place};
        world_run(2, train, &plan);
        cr_expect_eq(plan.read[0].steps, STEPS);
        cr_expect_eq(plan.read[0].level[0].sent_bytes, plan.read[1].level[0].sent_bytes);
        while (capture_take(WW_LOG_WARN, "encoding costs time here") != NULL) {
            continue;
        }
        int said = world_forgive();
        cr_expect(said <= 3 && (said >= 1 || strcmp(names[i], "null") == 0), "%s: %d warnings",
                  names[i], said);
    }
    struct stat status;
    for (size_t i = 0; i < LENGTH(targets); i++) {
        cr_expect(lstat(scratch_path(names[i]), &status) == 0 && S_ISLNK(status.st_mode),
                  "the link to %s was replaced", targets[i]);
    }
}

/* A rank that gives up: what was written until then is whole, and the failure is told. The other
 * one may hear of it in any call of the step. */
static void give_up(const struct ww_world *world, void *shared)
{
    const struct plan_of_test *plan = shared;
    struct ww_config config = trainer_config(world, "fp16", 1);
    config.ledger = plan->ledger;
    struct trainer trainer;
    trainer_begin(&trainer, world, &config);
    for (int step = 0; step < 12; step++) {
        trainer_step(&trainer);
    }
    enum ww_status begun = ww_step_begin(trainer.context);
    check(begun == WW_OK || (begun == WW_PEER_FAILED && world->rank == 0), "%s",
          ww_status_name(begun));
    for (int t = TRAINER_TENSORS; t-- > world->rank;) {
        ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    check_status(ww_step_end(trainer.context, NULL),
                 world->rank == 1 ? WW_BAD_STATE : WW_PEER_FAILED);
    trainer_end(&trainer);
}

Test(live, a_failure_is_told)
{
    char ledger[512];
    snprintf(ledger, sizeof ledger, "%s", scratch_path("failed.jsonl"));
    struct plan_of_test plan = {.ledger = ledger};
    world_run(2, give_up, &plan);
    char *text = strdup(scratch_read("failed.jsonl"));
    size_t lines = line_count(text);
    json_int_t steps = 0;
    int failures = 0;
    for (size_t i = 1; i < lines; i++) {
        json_t *line = line_json(text, i);
        steps += json_integer_value(json_object_get(line, "steps"));
        const char *event = json_string_value(json_object_get(line, "event"));
        if (event != NULL && strcmp(event, "failure") == 0) {
            failures++;
            cr_expect_not_null(strstr(json_string_value(json_object_get(line, "text")), "\"t0\""));
        }
        cr_expect_null(json_object_get(line, "summary"), "it did not end");
        json_decref(line);
    }
    cr_expect_eq(steps, 12);
    cr_expect_eq(failures, 1, "%d failures are told in\n%s", failures, text);
    free(text);
    world_forgive();
}
