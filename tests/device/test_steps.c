/* SPDX-License-Identifier: BSD-3-Clause
 * test_steps.c: steps whose gradients lie on a (fake) GPU: they give what the host gives, and lose
 * nothing. */
#include <criterion/criterion.h>
#include <cuda_runtime_api.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/checkpoint.h>
#include <wirewise/cuda.h>
#include <wirewise/tools.h>

#include "fake_cudart.h"
#include "fake_kernels.h"
#include "tell_nccl.h"
#include "trainer.h"

static void begin(void)
{
    capture_start();
    setenv("WIREWISE_NCCL", FAKE_NCCL, 1);
}

static void end(void)
{
    trainer_finish_capture();
    cr_expect_eq(fake_cuda_allocations(), 0, "%ld pieces of the GPU's memory were not given back",
                 fake_cuda_allocations());
}

TestSuite(device_steps, .init = begin, .fini = end);

#define STEPS 6

static void attach(struct ww_context *context)
{
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
}

/* How ranks train, and where what came of it is put: [steps][tensors] of rank 0. */
struct course {
    const char *codec;
    int ranks_per_host;
    const char *nccl;
    bool on_device;
    enum ww_op op;
    const char *algorithm;
    float *results;
    uint64_t sent_bytes;
    uint64_t network_bytes;
    uint64_t planned_bytes;
};

static size_t results_count(void)
{
    size_t count = 0;
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        count += trainer_count(t);
    }
    return count;
}

static void keep(const struct trainer *trainer, int step, struct course *course)
{
    float *into = course->results + (size_t)step * results_count();
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        memcpy(into, trainer->values[t], trainer_count(t) * sizeof *into);
        into += trainer_count(t);
    }
    course->sent_bytes = trainer->report.sent_bytes;
    int last = trainer->report.levels - 1;
    course->network_bytes = trainer->report.level[last].sent_bytes;
    course->planned_bytes = trainer->report.level[last].planned_bytes;
}

static void train(const struct ww_world *world, void *shared)
{
    struct course *course = shared;
    struct trainer trainer;
    struct ww_config config = trainer_config(world, course->codec, course->ranks_per_host);
    config.gradient_op = course->op;
    config.algorithm = course->algorithm == NULL ? "auto" : course->algorithm;
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, course->on_device ? attach : NULL);
    for (int step = 0; step < STEPS; step++) {
        trainer_step(&trainer);
        if (world->rank == 0) {
            keep(&trainer, step, course);
        }
    }
    trainer_end(&trainer);
}

static const char *const codecs_tried[] = {"none", "fp16", "bf16", "int8", "topk:0.05:fixed"};
#define CODECS (sizeof codecs_tried / sizeof codecs_tried[0])

/* Sums of small integers are exact in any order, so both ways round the same values. */
Test(device_steps, give_what_the_host_gives, .timeout = 120)
{
    size_t bytes = STEPS * results_count() * sizeof(float);
    float *host = malloc(bytes);
    float *device = malloc(bytes);
    for (size_t c = 0; c < CODECS; c++) {
        for (int size = 1; size <= 5; size++) {
            struct course course = {.codec = codecs_tried[c], .results = host, .op = WW_SUM};
            world_run(size, train, &course);
            course.results = device;
            course.on_device = true;
            world_run(size, train, &course);
            cr_expect_arr_eq(host, device, bytes, "%s among %d ranks", codecs_tried[c], size);
        }
    }
    free(host);
    free(device);
}

Test(device_steps, divide_for_a_mean)
{
    size_t bytes = STEPS * results_count() * sizeof(float);
    float *host = malloc(bytes);
    float *device = malloc(bytes);
    struct course course = {.codec = "none", .results = host, .op = WW_MEAN};
    world_run(4, train, &course);
    course.results = device;
    course.on_device = true;
    world_run(4, train, &course);
    cr_expect_arr_eq(host, device, bytes);
    free(host);
    free(device);
}

/* Two ranks on each of two hosts, or three hosts and uneven ones: dense inside, encoded between. */
Test(device_steps, encode_between_hosts_only)
{
    static const struct {
        const char *codec;
        double share; /* of what dense owners send to another host; these frames are small */
    } cases[] = {{"fp16", 0.578}, {"bf16", 0.558}, {"int8", 0.33}, {"topk:0.05:fixed", 0.118}};
    float *results = malloc(STEPS * results_count() * sizeof(float));
    struct course dense = {.codec = "none",
                           .ranks_per_host = 2,
                           .results = results,
                           .op = WW_SUM,
                           .on_device = true,
                           .algorithm = "hierarchical"};
    world_run(4, train, &dense);
    cr_expect_eq(dense.network_bytes, dense.planned_bytes);
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct course course = dense;
        course.codec = cases[c].codec;
        course.algorithm = NULL;
        world_run(4, train, &course);
        double share = (double)course.network_bytes / (double)dense.network_bytes;
        cr_expect(share > 0.95 * cases[c].share && share < 1.05 * cases[c].share,
                  "%s sends %.3f of dense bytes between hosts", cases[c].codec, share);
        cr_expect_eq(course.network_bytes, course.planned_bytes, "%s", cases[c].codec);
    }
    free(results);
}

static void train_with_pauses(const struct ww_world *world, void *shared)
{
    const char *codec = shared;
    struct trainer trainer;
    struct ww_config config = trainer_config(world, codec, 2);
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, attach);
    for (int step = 0; step < 4; step++) {
        trainer_step(&trainer);
    }
    trainer_discard(&trainer);
    check_status(ww_step_codec(trainer.context, "topk:0.2"), WW_OK);
    trainer_step(&trainer);
    check_status(ww_step_codec(trainer.context, codec), WW_OK);
    trainer_step(&trainer);
    trainer_settle(&trainer);
    trainer_end(&trainer);
}

/* Residuals live on the GPU; changes of codec and steps that are taken back lose nothing. Of small
 * integers these codecs send exact values, so their sums are exact, too. */
Test(device_steps, lose_nothing)
{
    static char exact[][20] = {"fp16", "bf16", "topk:0.05", "topk:0.5:fixed"};
    for (size_t c = 0; c < sizeof exact / sizeof exact[0]; c++) {
        for (int size = 2; size <= 5; size++) {
            world_run(size, train_with_pauses, exact[c]);
        }
    }
}

static void expect_staged(int size, const char *why)
{
    size_t bytes = STEPS * results_count() * sizeof(float);
    float *host = malloc(bytes);
    float *device = malloc(bytes);
    for (size_t c = 0; c < CODECS; c++) {
        struct course course = {.codec = codecs_tried[c], .results = host, .op = WW_SUM};
        world_run(size, train, &course);
        course.results = device;
        course.on_device = true;
        world_run(size, train, &course);
        cr_expect_arr_eq(host, device, bytes, "%s", codecs_tried[c]);
        expect_line(WW_LOG_WARN, why);
    }
    free(host);
    free(device);
}

Test(device_steps, are_staged_without_nccl)
{
    setenv("WIREWISE_NCCL", "none", 1);
    expect_staged(3, "staged through the host's memory, because rank 0 (a) has no NCCL");
}

/* As on a GPU that is older than those that the library was built for. */
Test(device_steps, are_staged_without_kernels)
{
    fake_kernels_fail(true);
    expect_staged(1, "the GPU of rank 0 (a) does not run this library's kernels");
    expect_staged(3, "the GPU of rank 0 (a) does not run this library's kernels");
    fake_kernels_fail(false);
}

/* ---- Checkpoints ------------------------------------------------------------------------ */

struct resumption {
    char folder[64];
    bool saves_on_device;
    bool loads_on_device;
};

static void save_and_resume(const struct ww_world *world, void *shared)
{
    const struct resumption *resumption = shared;
    struct trainer trainer;
    struct trainer resumed;
    struct ww_config config = trainer_config(world, "topk:0.05:fixed", 0);
    config.probe = WW_PROBE_OFF;
    config.deterministic = WW_DETERMINISTIC_PLAN;
    trainer_begin_with(&trainer, world, &config, resumption->saves_on_device ? attach : NULL);
    for (int step = 0; step < 6; step++) {
        trainer_step(&trainer);
        if (step == 2) {
            check_status(ww_checkpoint_save(trainer.context, resumption->folder), WW_OK);
        }
    }
    trainer_begin_with(&resumed, world, &config, resumption->loads_on_device ? attach : NULL);
    check_status(ww_checkpoint_load(resumed.context, resumption->folder), WW_OK);
    for (resumed.steps = 3; resumed.steps < 6;) {
        trainer_step(&resumed);
    }
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        size_t bytes = trainer_count(t) * sizeof(float);
        check(memcmp(trainer.values[t], resumed.values[t], bytes) == 0,
              "tensor %d goes on differently, saved on %s, loaded on %s", t,
              resumption->saves_on_device ? "a GPU" : "the host",
              resumption->loads_on_device ? "a GPU" : "the host");
    }
    trainer_end(&resumed);
    trainer_end(&trainer);
}

/* Residuals of a GPU are saved and loaded, also where the other side has none. */
Test(device_steps, go_on_from_checkpoints)
{
    for (int i = 0; i < 4; i++) {
        struct resumption resumption = {"/tmp/wirewise-device-XXXXXX", i % 2 == 1, i / 2 == 1};
        char command[96];
        cr_assert_not_null(mkdtemp(resumption.folder));
        world_run(3, save_and_resume, &resumption);
        snprintf(command, sizeof command, "rm -r %s", resumption.folder);
        cr_expect_eq(system(command), 0);
    }
}

/* ---- Reports ---------------------------------------------------------------------------- */

static void look_at_reports(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "topk:0.05", 0);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, attach);
    check(strstr(ww_cuda_describe(trainer.context), "NCCL 2.28.9 on fake GPU") != NULL, "%s",
          ww_cuda_describe(trainer.context));
    for (int step = 1; step <= 3; step++) {
        trainer_step(&trainer);
        const struct ww_report *report = &trainer.report;
        check(report->timed_step == (uint64_t)step, "%llu of step %d",
              (unsigned long long)report->timed_step, step);
        check(report->communication_s > 0 && report->communication_s <= report->step_s, "%g of %g",
              report->communication_s, report->step_s);
        check(report->chosen > 0 && report->chosen < report->encoded / 10, "%llu of %llu",
              (unsigned long long)report->chosen, (unsigned long long)report->encoded);
        check(report->wild_rank == -1, "%d", report->wild_rank);
    }
    trainer_end(&trainer);
}

Test(device_steps, tell_what_the_gpu_did)
{
    world_run(2, look_at_reports, NULL);
}

static void give_nan(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 0);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, attach);
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_step_begin(trainer.context), WW_OK);
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        for (size_t i = 0; i < trainer_count(t); i++) {
            trainer.values[t][i] = 1;
        }
        trainer.values[t][3] = world->rank == 1 ? NAN : 1;
        check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
    }
    check_status(ww_step_end(trainer.context, &report), WW_OK);
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        check(isnan(trainer.values[t][3]), "%g", (double)trainer.values[t][3]);
    }
    check(report.wild_rank == 1, "rank %d is named", report.wild_rank);
    trainer_end(&trainer);
}

Test(device_steps, name_the_rank_of_a_nan)
{
    world_run(3, give_nan, NULL);
    while (capture_take(WW_LOG_WARN, "is not finite") != NULL) {
        continue;
    }
}

struct mishap {
    bool breaks; /* the bucket cannot be enqueued; else rank 1 has no memory for it */
    bool waits;
};

static void fail_amid(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "none", 0);
    const struct mishap *mishap = shared;
    config.probe = WW_PROBE_OFF;
    config.bucket_bytes = 1 << 20; /* one bucket, whose memory is reserved when it is needed */
    trainer_begin_with(&trainer, world, &config, attach);
    world_meet(world);
    fake_cuda_be_poor(!mishap->breaks && world->rank == 1);
    fake_kernels_fail(mishap->breaks);
    check_status(ww_step_begin(trainer.context), WW_OK);
    if (world->rank == 1) {
        world_meet(world); /* so that others find out in their wait */
    }
    enum ww_status status = WW_OK;
    for (int t = 0; t < TRAINER_TENSORS && status == WW_OK; t++) {
        status = ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    if (world->rank != 1) {
        check_status(status, WW_OK);
        world_meet(world);
        status = mishap->waits ? ww_tensor_wait(trainer.tensors[0])
                               : ww_step_end(trainer.context, NULL);
    } else if (status == WW_OK) {
        status = ww_step_end(trainer.context, NULL);
    }
    enum ww_status wanted = mishap->breaks ? WW_TRANSPORT_FAILED : WW_NO_MEMORY;
    check(status == wanted || status == WW_PEER_FAILED, "%d", (int)status);
    world_meet(world);
    fake_cuda_be_poor(false);
    fake_kernels_fail(false);
    trainer_end(&trainer);
}

Test(device_steps, without_memory_do_not_end_well)
{
    for (int i = 0; i < 4; i++) {
        struct mishap mishap = {i / 2 == 1, i % 2 == 1};
        world_run(2, fail_amid, &mishap);
        world_forgive();
    }
}

static void be_poor_alone(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, shared, 0);
    bool poor = world->rank == 1;
    config.probe = WW_PROBE_OFF;
    config.timeout_s = 10;
    trainer_begin_with(&trainer, world, &config, attach);
    fake_cuda_be_poor(poor);
    enum ww_status status = ww_step_begin(trainer.context);
    for (int t = 0; t < TRAINER_TENSORS && status == WW_OK; t++) {
        status = ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    status = status == WW_OK ? ww_step_end(trainer.context, NULL) : status;
    check_status(status, poor ? WW_NO_MEMORY : WW_PEER_FAILED);
    check_words(ww_last_error(trainer.context), poor ? "no memory" : "rank 1", "no memory", NULL);
    fake_cuda_be_poor(false);
    trainer_end(&trainer);
}

/* The others would wait inside of NCCL for a rank that agreed on what it has no memory for. */
Test(device_steps, without_memory_are_not_agreed_on)
{
    static char codecs[][8] = {"none", "int8"};
    for (int c = 0; c < 2; c++) {
        world_run(2, be_poor_alone, codecs[c]);
        world_forgive();
    }
}

static void use_gpu_1(struct ww_context *context)
{
    check_status(ww_cuda_attach(context, 1, NULL), WW_OK);
}

static void train_on_gpu_1(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 0);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    config.progress = WW_PROGRESS_THREAD;
    fake_cuda_use(1);
    trainer_begin_with(&trainer, world, &config, use_gpu_1);
    for (int step = 0; step < STEPS; step++) {
        trainer_step(&trainer);
    }
    trainer_end(&trainer);
}

Test(device_steps, use_no_other_gpu)
{
    tell_nccl_of_gpus();
    for (int i = 0; i < 2; i++) {
        setenv("WIREWISE_NCCL", i == 0 ? FAKE_NCCL : "none", 1);
        world_run(2, train_on_gpu_1, NULL);
    }
    cr_expect_eq(fake_cuda_uses(0), 0, "GPU 0 was used %d times", fake_cuda_uses(0));
    cr_expect_eq(ask_nccl("fake_nccl_strays"), 0, "%d of NCCL's calls found another GPU",
                 ask_nccl("fake_nccl_strays"));
    expect_line(WW_LOG_WARN, "staged through the host's memory");
}

static void check_gpu(void)
{
    int device = -1;
    cudaGetDevice(&device);
    check(device == 0, "GPU %d is current", device);
}

static void train_elsewhere(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 2);
    float values[100] = {0};
    float residual[100] = {0};
    config.probe = WW_PROBE_OFF;
    config.progress = *(const enum ww_progress *)shared;
    trainer_begin_with(&trainer, world, &config, use_gpu_1);
    check_gpu();
    for (int step = 0; step < STEPS; step++) {
        trainer_step(&trainer);
        check_gpu();
    }
    trainer_discard(&trainer);
    check_status(ww_step_codec(trainer.context, "topk:0.2"), WW_OK);
    trainer_step(&trainer);
    check_status(ww_step_begin(trainer.context), WW_OK);
    check_status(ww_step_loss_scale(trainer.context, 8), WW_OK);
    for (int t = 0; t < TRAINER_TENSORS; t++) {
        check_status(ww_tensor_start(trainer.tensors[t], trainer.values[t]), WW_OK);
        check_gpu();
    }
    check_status(ww_tensor_wait(trainer.tensors[0]), WW_OK);
    check_status(ww_step_end(trainer.context, NULL), WW_OK);
    check_status(
        ww_cuda_all_reduce_coded(trainer.context, values, values, 100, WW_SUM, "int8", residual),
        WW_OK);
    check_gpu();
    check_status(ww_cuda_all_reduce(trainer.context, values, values, 100, WW_F32, WW_MEAN), WW_OK);
    check_status(ww_cuda_synchronize(trainer.context), WW_OK);
    check_gpu();
    trainer_end(&trainer);
    check_gpu();
}

/* Threads whose own GPU is another one: it is the context's inside of calls, and theirs again. */
Test(device_steps, of_another_gpu_than_the_threads)
{
    fake_cuda_wants(1);
    tell_nccl_of_gpus();
    for (int i = 0; i < 4; i++) {
        enum ww_progress progress = i % 2 == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD;
        setenv("WIREWISE_NCCL", i < 2 ? FAKE_NCCL : "none", 1);
        world_run(4, train_elsewhere, &progress);
    }
    fake_cuda_wants(-1);
    cr_expect_eq(fake_cuda_strays(), 0, "%d times work was for GPU 0", fake_cuda_strays());
    cr_expect_eq(ask_nccl("fake_nccl_strays"), 0);
    for (int i = 0; i < 2; i++) {
        expect_line(WW_LOG_WARN, "staged through the host's memory");
    }
}

static void train_beside_graphs(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 0);
    config.probe = WW_PROBE_OFF;
    config.progress = *(const enum ww_progress *)shared;
    trainer_begin_with(&trainer, world, &config, attach);
    for (int step = 0; step < STEPS; step++) {
        trainer_step(&trainer);
    }
    check_status(ww_cuda_synchronize(trainer.context), WW_OK);
    trainer_end(&trainer);
}

/* Graphs of other streams: no call of the library breaks one, on whichever thread. */
Test(device_steps, leave_graphs_of_the_program_alone)
{
    fake_cuda_captures(true);
    for (int i = 0; i < 4; i++) {
        enum ww_progress progress = i % 2 == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD;
        setenv("WIREWISE_NCCL", i < 2 ? FAKE_NCCL : "none", 1);
        world_run(2, train_beside_graphs, &progress);
    }
    fake_cuda_captures(false);
    for (int i = 0; i < 2; i++) {
        expect_line(WW_LOG_WARN, "staged through the host's memory");
    }
}

static void leave_amid(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 0);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, attach);
    trainer_step(&trainer);
    check_status(ww_step_begin(trainer.context), WW_OK);
    for (int t = 0; t < TRAINER_TENSORS - world->rank; t++) {
        trainer_start(&trainer, t);
    }
    trainer_end(&trainer);
}

Test(device_steps, that_did_not_end_may_be_left)
{
    world_run(3, leave_amid, NULL);
    world_forgive();
}

static void end_damaged(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 0);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    trainer_begin_with(&trainer, world, &config, attach);
    world_meet(world);
    fake_cuda_never_ends(true);
    tell_nccl("fake_nccl_damages", true);
    trainer_step(&trainer);
    world_meet(world);
    fake_cuda_never_ends(false);
    enum ww_status status = ww_cuda_synchronize(trainer.context);
    check(status == WW_TRANSPORT_FAILED || status == WW_PEER_FAILED, "%d", (int)status);
    check_words(ww_last_error(trainer.context), "of step 1 were damaged", NULL);
    trainer_end(&trainer);
}

/* The GPU comes past a last step when nobody ends another one. */
Test(device_steps, that_are_the_last_tell_of_damage)
{
    world_run(2, end_damaged, NULL);
    tell_nccl("fake_nccl_damages", false);
    world_forgive();
}

/* Both communicators of a rank work on one stream. */
static void stick_between_hosts(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "int8", 2);
    (void)shared;
    config.probe = WW_PROBE_OFF;
    config.timeout_s = 1;
    trainer_begin_with(&trainer, world, &config, attach);
    world_meet(world);
    fake_cuda_never_ends(true);
    enum ww_status status = ww_step_begin(trainer.context);
    for (int t = 0; t < TRAINER_TENSORS && status == WW_OK; t++) {
        status = ww_tensor_start(trainer.tensors[t], trainer.values[t]);
    }
    status = status == WW_OK ? ww_step_end(trainer.context, NULL) : status;
    status = status == WW_OK ? ww_cuda_synchronize(trainer.context) : status;
    check(status == WW_TIMED_OUT || status == WW_PEER_FAILED, "%d", (int)status);
    world_meet(world);
    fake_cuda_never_ends(false);
    trainer_end(&trainer);
}

Test(device_steps, that_never_end_are_given_up_between_hosts)
{
    tell_nccl("fake_nccl_stuck_streams", true);
    world_run(4, stick_between_hosts, NULL);
    tell_nccl("fake_nccl_stuck_streams", false);
    cr_expect_eq(ask_nccl("fake_nccl_aborts_held"), 0, "aborts waited for each other");
    world_forgive();
}

/* `auto` compares steps that are timed to their end on the GPU. */
static void choose(const struct ww_world *world, void *shared)
{
    struct trainer trainer;
    struct ww_config config = trainer_config(world, "auto", 0);
    (void)shared;
    config.codecs_allowed = "fp16,topk:0.05";
    trainer_begin_with(&trainer, world, &config, attach);
    for (int step = 0; step < 80; step++) {
        trainer_step(&trainer);
    }
    check(trainer.report.saved.evidence != WW_EVIDENCE_MODELLED, "evidence %d",
          (int)trainer.report.saved.evidence);
    trainer_settle(&trainer);
    trainer_end(&trainer);
}

Test(device_steps, are_chosen_for_by_time)
{
    world_run(2, choose, NULL);
}
