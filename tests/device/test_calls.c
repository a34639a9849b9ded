/* SPDX-License-Identifier: BSD-3-Clause
 * test_calls.c: single calls on memory of a (fake) GPU, and what may go wrong there. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <wirewise/cuda.h>
#include <wirewise/transport.h>

#include "fake_cudart.h"
#include "tell_nccl.h"
#include "world.h"

static void begin(void)
{
    capture_start();
    setenv("WIREWISE_NCCL", FAKE_NCCL, 1);
}

static void end(void)
{
    capture_finish();
    cr_expect_eq(fake_cuda_allocations(), 0, "%ld pieces of the GPU's memory were not given back",
                 fake_cuda_allocations());
}

TestSuite(device_calls, .init = begin, .fini = end);

static struct ww_context *context_on_gpu(const struct ww_world *world)
{
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    return context;
}

/* ---- Results ---------------------------------------------------------------------------- */

#define COUNT 1000

static double value_of(int rank, size_t i)
{
    return (double)((rank + 1) * 7 + (int)(i % 13)) - 20;
}

static void put(enum ww_type type, void *values, size_t i, double value)
{
    switch (type) {
    case WW_F32:
        ((float *)values)[i] = (float)value;
        break;
    case WW_F64:
        ((double *)values)[i] = value;
        break;
    case WW_I32:
        ((int32_t *)values)[i] = (int32_t)value;
        break;
    default:
        ((int64_t *)values)[i] = (int64_t)value;
    }
}

static double get(enum ww_type type, const void *values, size_t i)
{
    switch (type) {
    case WW_F32:
        return (double)((const float *)values)[i];
    case WW_F64:
        return ((const double *)values)[i];
    case WW_I32:
        return (double)((const int32_t *)values)[i];
    default:
        return (double)((const int64_t *)values)[i];
    }
}

static double fold(enum ww_op op, int size, size_t i)
{
    double result = value_of(0, i);
    for (int rank = 1; rank < size; rank++) {
        double next = value_of(rank, i);
        result = op == WW_MIN   ? fmin(result, next)
                 : op == WW_MAX ? fmax(result, next)
                                : result + next;
    }
    return op == WW_MEAN ? result / size : result;
}

static void reduce_all(const struct ww_world *world, void *shared)
{
    static const enum ww_type types[] = {WW_F32, WW_F64, WW_I32, WW_I64};
    struct ww_context *context = context_on_gpu(world);
    double input[COUNT];
    double output[COUNT];
    (void)shared;
    for (int t = 0; t < 4; t++) {
        bool whole = types[t] == WW_I32 || types[t] == WW_I64;
        for (enum ww_op op = WW_SUM; op < WW_OP_COUNT; op++) {
            if (whole && op == WW_MEAN) {
                continue;
            }
            for (size_t i = 0; i < COUNT; i++) {
                put(types[t], input, i, value_of(world->rank, i));
            }
            check_status(ww_cuda_all_reduce(context, input, output, COUNT, types[t], op), WW_OK);
            for (size_t i = 0; i < COUNT; i++) {
                double wanted = fold(op, world->size, i);
                double got = get(types[t], output, i);
                check(fabs(got - wanted) <= 1e-6 * fabs(wanted), "type %d op %d: %g, not %g",
                      (int)types[t], (int)op, got, wanted);
            }
        }
    }
    check_status(ww_cuda_synchronize(context), WW_OK);
    ww_context_destroy(context);
}

Test(device_calls, reduce)
{
    for (int size = 1; size <= 4; size++) {
        world_run(size, reduce_all, NULL);
    }
}

static void move_around(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    size_t size = (size_t)world->size;
    float own[COUNT];
    float all[4 * COUNT];
    (void)shared;
    for (size_t i = 0; i < COUNT; i++) {
        own[i] = (float)value_of(world->rank, i);
    }
    check_status(ww_cuda_all_gather(context, own, all, COUNT, WW_F32), WW_OK);
    for (size_t i = 0; i < size * COUNT; i++) {
        float wanted = (float)value_of((int)(i / COUNT), i % COUNT);
        check(all[i] == wanted, "%g, not %g", (double)all[i], (double)wanted);
        all[i] = (float)value_of(world->rank, i);
    }
    check_status(ww_cuda_reduce_scatter(context, all, own, COUNT, WW_F32, WW_SUM), WW_OK);
    for (size_t i = 0; i < COUNT; i++) {
        float wanted = (float)fold(WW_SUM, world->size, i + (size_t)world->rank * COUNT);
        check(own[i] == wanted, "%g, not %g", (double)own[i], (double)wanted);
    }
    check_status(ww_cuda_broadcast(context, own, COUNT, WW_F32, world->size - 1), WW_OK);
    check(own[0] == (float)fold(WW_SUM, world->size, (size_t)(world->size - 1) * COUNT), "%g",
          (double)own[0]);
    ww_context_destroy(context);
}

Test(device_calls, gather_scatter_and_broadcast)
{
    for (int size = 1; size <= 4; size++) {
        world_run(size, move_around, NULL);
    }
}

/* Sixteen-bit sums are made in fp32 and rounded once, unlike NCCL's own. */
static void sum_halves(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    uint16_t values[3] = {0x3c00, 0x1400, 0x7e01}; /* 1, 2^-10, a NaN */
    (void)shared;
    if (world->rank > 0) {
        values[0] = 0x1000; /* 2^-11: half of the last place of 1 */
        values[1] = 0x1400;
        values[2] = 0x3c00;
    }
    check_status(ww_cuda_all_reduce(context, values, values, 3, WW_F16, WW_SUM), WW_OK);
    check(values[0] == 0x3c02, "%04x: 1 + 4 * 2^-11", values[0]);
    check(values[1] == 0x1d00, "%04x: 5 * 2^-10", values[1]);
    check((values[2] & 0x7fff) > 0x7c00, "%04x is no NaN", values[2]);
    ww_context_destroy(context);
}

Test(device_calls, round_halves_once)
{
    world_run(5, sum_halves, NULL);
}

/* What a codec leaves out stays in the residual, and a last dense call brings it. */
static void call_coded(const struct ww_world *world, void *shared)
{
    static const char *const codecs[] = {"int8", "topk:0.1", "fp16", "none"};
    struct ww_context *context = context_on_gpu(world);
    enum { LARGE = 70000 };
    float *input = malloc(LARGE * sizeof *input);
    float *output = malloc(LARGE * sizeof *output);
    float *residual = calloc(LARGE, sizeof *residual);
    double *sums = calloc(LARGE, sizeof *sums);
    (void)shared;
    for (size_t c = 0; c < 4; c++) {
        for (size_t i = 0; i < LARGE; i++) {
            input[i] = (float)value_of(world->rank, i);
        }
        check_status(
            ww_cuda_all_reduce_coded(context, input, output, LARGE, WW_SUM, codecs[c], residual),
            WW_OK);
        for (size_t i = 0; i < LARGE; i++) {
            sums[i] += (double)output[i];
        }
        if (c < 3) { /* a residual belongs to one codec: only "none" takes any in */
            check_status(
                ww_cuda_all_reduce_coded(context, input, output, LARGE, WW_SUM, "none", residual),
                WW_OK);
            for (size_t i = 0; i < LARGE; i++) {
                sums[i] += (double)output[i];
            }
        }
    }
    for (size_t i = 0; i < LARGE; i++) {
        double wanted = 7 * fold(WW_SUM, world->size, i);
        bool near = fabs(sums[i] - wanted) <= 1e-5 * fabs(wanted) + 1e-5;
        if (!check(near && residual[i] == 0.0F, "element %zu: %g, not %g; left %g", i, sums[i],
                   wanted, (double)residual[i])) {
            break;
        }
    }
    free(input);
    free(output);
    free(residual);
    free(sums);
    ww_context_destroy(context);
}

Test(device_calls, keep_what_codecs_leave_out)
{
    for (int size = 1; size <= 4; size++) {
        world_run(size, call_coded, NULL);
    }
}

/* NCCL_COMM_BLOCKING=0 is for all communicators of a process. */
Test(device_calls, wait_for_what_nccl_has_begun)
{
    tell_nccl("fake_nccl_never_blocks", true);
    world_run(3, reduce_all, NULL);
    world_run(3, move_around, NULL);
    world_run(3, call_coded, NULL);
    world_run(5, sum_halves, NULL);
    tell_nccl("fake_nccl_never_blocks", false);
}

/* Through the host's memory the same comes of it. */
Test(device_calls, are_staged_without_nccl)
{
    setenv("WIREWISE_NCCL", "none", 1);
    world_run(3, reduce_all, NULL);
    world_run(3, move_around, NULL);
    world_run(3, call_coded, NULL);
    world_run(5, sum_halves, NULL);
    for (int i = 0; i < 4; i++) {
        expect_line(WW_LOG_WARN, "nccl=none was asked for");
    }
}

/* ---- What goes wrong -------------------------------------------------------------------- */

static void differ(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    float values[16] = {0};
    (void)shared;
    size_t count = world->rank == 1 ? 15 : 16;
    check_status(ww_cuda_all_reduce(context, values, values, count, WW_F32, WW_SUM), WW_MISMATCH);
    check_words(ww_last_error(context), "rank 1", "all_reduce of 15", "all_reduce of 16", "GPU");
    check_status(ww_cuda_all_reduce(context, values, values, count, WW_F32, WW_SUM), WW_MISMATCH);
    ww_context_destroy(context);
}

Test(device_calls, that_do_not_match_are_named)
{
    world_run(3, differ, NULL);
    world_forgive();
}

static void mix(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    float values[16] = {0};
    (void)shared;
    enum ww_status status = world->rank == 0
                                ? ww_all_reduce(context, values, values, 16, WW_F32, WW_SUM)
                                : ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM);
    check(status == WW_MISMATCH, "%d", (int)status);
    ww_context_destroy(context);
}

Test(device_calls, on_other_memory_do_not_match)
{
    world_run(2, mix, NULL);
    world_forgive();
}

static void hang(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    config.timeout_s = 0.4;
    struct ww_context *context = world_context(world, &config);
    float values[16] = {0};
    (void)shared;
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    world_meet(world);
    fake_cuda_never_ends(true);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    enum ww_status status = ww_cuda_synchronize(context);
    check(status == WW_TIMED_OUT || status == WW_PEER_FAILED, "%d", (int)status);
    check_words(ww_last_error(context), "single call 1", "did not end within 0.4 s", NULL);
    world_meet(world);
    fake_cuda_never_ends(false);
    ww_context_destroy(context);
}

Test(device_calls, that_never_end_are_given_up)
{
    world_run(2, hang, NULL);
    world_forgive();
}

/* A fabric like MPI's where MPI_Init started it: only the program's thread may use it. */
static struct ww_transport sound;
static struct ww_transport shy;
static _Thread_local bool is_programs;
static atomic_int foreign;

static const char *be_shy(const struct ww_transport_setup *setup)
{
    (void)setup;
    return "it is shy";
}

static enum ww_status post_shyly(void *fabric, int tag, bool control,
                                 const struct ww_message *messages, int count,
                                 struct ww_flight *flight)
{
    atomic_fetch_add(&foreign, !is_programs);
    return sound.post(fabric, tag, control, messages, count, flight);
}

static void close_shyly(void *fabric, bool failed)
{
    atomic_fetch_add(&foreign, !is_programs);
    sound.close(fabric, failed);
}

static struct ww_context *context_over(const struct ww_world *world, double timeout_s,
                                       struct ww_tensor **tensor)
{
    struct ww_config config = world_config();
    const size_t shape[] = {16};
    config.timeout_s = timeout_s;
    struct ww_context *context = world_context(world, &config);
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    check_status(ww_tensor_add(context, "t", WW_F32, 1, shape, tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    return context;
}

static struct ww_context *shy_context(const struct ww_world *world, double timeout_s,
                                      struct ww_tensor **tensor)
{
    struct ww_world shy_world = *world;
    shy_world.transport = &shy;
    is_programs = true;
    return context_over(&shy_world, timeout_s, tensor);
}

static void begin_shy(void)
{
    sound = *world_transport();
    shy = sound;
    shy.thread_trouble = be_shy;
    shy.post = post_shyly;
    shy.close = close_shyly;
    atomic_store(&foreign, 0);
}

static void hang_shyly(const struct ww_world *world, void *shared)
{
    struct ww_tensor *tensor;
    struct ww_context *context = shy_context(world, 1, &tensor);
    float values[16] = {0};
    (void)shared;
    world_meet(world);
    fake_cuda_never_ends(true);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    enum ww_status status = ww_cuda_synchronize(context);
    check(status == WW_TIMED_OUT || status == WW_PEER_FAILED, "%d", (int)status);
    check_words(ww_last_error(context), "did not end within 1 s", NULL);
    world_meet(world);
    fake_cuda_never_ends(false);
    ww_context_destroy(context);
}

/* The watch says what it found, and leaves the fabric to the program's thread. */
Test(device_calls, that_never_end_are_given_up_where_threads_are_not_welcome)
{
    begin_shy();
    world_run(2, hang_shyly, NULL);
    world_forgive();
    cr_expect_eq(atomic_load(&foreign), 0, "%d times another thread used the fabric",
                 atomic_load(&foreign));
}

/* Rank 1 fails while the other one waits for its GPU. */
static void hear_of_failure(const struct ww_world *world, void *shared)
{
    struct ww_tensor *tensor;
    bool shyly = *(const bool *)shared;
    struct ww_context *context = shyly ? shy_context(world, 20, &tensor)
                                       : context_over(world, 20, &tensor);
    float values[16] = {0};
    world_meet(world);
    fake_cuda_never_ends(true);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    if (world->rank == 1) {
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_step_end(context, NULL), WW_BAD_STATE);
    } else {
        check_status(ww_cuda_synchronize(context), WW_PEER_FAILED);
        check_words(ww_last_error(context), "rank 1", "neither started nor skipped", NULL);
    }
    world_meet(world);
    fake_cuda_never_ends(false);
    ww_context_destroy(context);
}

/* What it had agreed on before may never end on the GPU. */
Test(device_calls, failures_of_peers_are_heard_at_once)
{
    for (int i = 0; i < 2; i++) {
        bool shyly = i == 1;
        begin_shy();
        world_run(2, hear_of_failure, &shyly);
        world_forgive();
    }
}

static void wait_for_connections(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    const size_t shape[] = {16};
    enum ww_status status;
    struct ww_tensor *tensor;
    float values[16] = {0};
    bool steps = *(const bool *)shared;
    config.timeout_s = 0.4;
    config.codec = "none";
    struct ww_context *context = world_context(world, &config);
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    check_status(ww_tensor_add(context, "t", WW_F32, 1, shape, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    if (steps) {
        check_status(ww_step_begin(context), WW_OK);
        status = ww_tensor_start(tensor, values);
        status = status == WW_OK ? ww_step_end(context, NULL) : status;
    } else {
        status = ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM);
    }
    check(status == WW_TIMED_OUT || status == WW_PEER_FAILED, "%d", (int)status);
    check_words(ww_last_error(context), "NCCL", NULL);
    world_meet(world);
    ww_context_destroy(context);
}

/* NCCL waits in a call, with locks held, until whoever else is there lets it go. */
Test(device_calls, that_wait_for_connections_are_given_up)
{
    for (int steps = 0; steps < 2; steps++) {
        bool of_steps = steps == 1;
        tell_nccl("fake_nccl_never_connects", true);
        world_run(2, wait_for_connections, &of_steps);
        world_forgive();
    }
    tell_nccl("fake_nccl_never_connects", false);
}

static void part(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    float values[16] = {0};
    (void)shared;
    config.timeout_s = 3;
    struct ww_context *context = world_context(world, &config);
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    check_status(ww_cuda_synchronize(context), WW_OK);
    ww_context_destroy(context);
}

/* A rank that dies between its last call and its end would keep all others for ever. */
Test(device_calls, parting_comes_to_an_end)
{
    tell_nccl("fake_nccl_never_parts", true);
    world_run(3, part, NULL);
    for (int rank = 0; rank < 3; rank++) {
        cr_expect_not_null(capture_take(WW_LOG_WARN, "3 ranks did not part within 3 s"));
    }
    tell_nccl("fake_nccl_never_parts", false);
}

static void make_graphs(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    float values[16] = {0};
    (void)shared;
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    check_status(ww_cuda_synchronize(context), WW_OK);
    world_meet(world);
    fake_cuda_captures(true);
    usleep(100000); /* while the watch looks */
    world_meet(world);
    fake_cuda_captures(false);
    world_meet(world);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    ww_context_destroy(context);
}

Test(device_calls, leave_graphs_of_the_program_alone)
{
    world_run(2, make_graphs, NULL);
}

struct beside {
    struct ww_context *context;
    enum ww_status status;
};

static void *call_beside(void *shared)
{
    struct beside *beside = shared;
    float values[16] = {0};
    beside->status = ww_cuda_all_reduce(beside->context, values, values, 16, WW_F32, WW_SUM);
    return NULL;
}

/* On rank 0 a step begins while another thread's call waits for rank 1. */
static void begin_step_amid(const struct ww_world *world, void *shared)
{
    struct ww_tensor *tensor;
    struct beside beside = {context_over(world, 10, &tensor), WW_OK};
    pthread_t thread;
    (void)shared;
    if (world->rank == 0) {
        check(pthread_create(&thread, NULL, call_beside, &beside) == 0, "no thread");
        usleep(100000);
        check_status(ww_step_begin(beside.context), WW_OK);
        world_meet(world);
        pthread_join(thread, NULL);
        check_status(beside.status, WW_BAD_STATE);
    } else {
        world_meet(world);
        call_beside(&beside);
        check(beside.status < 0, "%d", (int)beside.status);
    }
    ww_context_destroy(beside.context);
}

Test(device_calls, in_which_a_step_begins_are_refused)
{
    world_run(2, begin_step_amid, NULL);
    world_forgive();
}

static void call_on_own_stream(const struct ww_world *world, void *shared)
{
    struct CUstream_st *const per_thread = (struct CUstream_st *)2; /* cudaStreamPerThread */
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    float values[16] = {0};
    (void)shared;
    check_status(ww_cuda_attach(context, 0, per_thread), WW_OK);
    check_status(ww_cuda_all_reduce(context, values, values, 16, WW_F32, WW_SUM), WW_OK);
    check_status(ww_cuda_synchronize(context), WW_OK);
    ww_context_destroy(context);
}

/* The watch would look at a stream of its own, and find nothing that hangs. */
Test(device_calls, use_no_stream_that_is_another_one_in_each_thread)
{
    world_run(2, call_on_own_stream, NULL);
    cr_expect_eq(fake_cuda_uses_of_threads(), 0);
}

static void refuse(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    float values[4] = {0};
    const size_t shape[] = {4};
    struct ww_tensor *tensor;
    (void)shared;
    check_status(ww_cuda_all_reduce(context, values, values, 4, WW_F32, WW_SUM), WW_BAD_STATE);
    check_words(ww_last_error(context), "ww_cuda_attach", NULL);
    check_status(ww_cuda_synchronize(context), WW_BAD_STATE);
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    check_status(ww_cuda_attach(context, 0, NULL), WW_BAD_STATE);
    check_status(ww_cuda_all_reduce(context, values, values, 4, WW_I32, WW_MEAN), WW_UNSUPPORTED);
    check_status(ww_cuda_all_reduce(context, NULL, values, 4, WW_F32, WW_SUM), WW_BAD_ARGUMENT);
    check_status(ww_cuda_all_reduce(context, values, values + 1, 3, WW_F32, WW_SUM),
                 WW_BAD_ARGUMENT);
    check_status(ww_cuda_all_reduce_coded(context, values, values, 4, WW_SUM, "topk", NULL),
                 WW_BAD_ARGUMENT);
    check_status(ww_cuda_broadcast(context, values, 4, WW_F32, 9), WW_BAD_ARGUMENT);
    static const float hosts[4] = {0};
    fake_cuda_hosts(hosts);
    check_status(ww_cuda_all_reduce(context, hosts, values, 4, WW_F32, WW_SUM), WW_BAD_ARGUMENT);
    check_words(ww_last_error(context), "input", "no GPU's memory", NULL);
    check_status(ww_cuda_all_reduce(context, NULL, NULL, 4, WW_F32, WW_SUM), WW_BAD_ARGUMENT);
    check_status(ww_cuda_all_reduce_coded(context, values, values, 4, WW_SUM, "auto", NULL),
                 WW_BAD_ARGUMENT);
    check_status(ww_tensor_add(context, "t", WW_F32, 1, shape, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_cuda_all_reduce(context, values, values, 4, WW_F32, WW_SUM), WW_BAD_STATE);
    check_words(ww_last_error(context), "inside of a step", NULL);
    check_status(ww_tensor_start(tensor, (void *)(uintptr_t)hosts), WW_BAD_ARGUMENT);
    check_words(ww_last_error(context), "\"t\"", "no GPU's memory", NULL);
    check_status(ww_tensor_start(tensor, values), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    check_status(ww_cuda_all_reduce(context, values, values, 0, WW_F32, WW_SUM), WW_OK);
    ww_context_destroy(context);
}

Test(device_calls, with_bad_arguments_are_refused)
{
    world_run(2, refuse, NULL);
    setenv("WIREWISE_NCCL", "none", 1); /* staged, too */
    world_run(2, refuse, NULL);
    world_forgive();
}

static void be_poor_alone(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    config.timeout_s = 10;
    struct ww_context *context = world_context(world, &config);
    float values[1000] = {0};
    float residual[1000] = {0};
    bool poor = world->rank == 1;
    (void)shared;
    check_status(ww_cuda_attach(context, 0, NULL), WW_OK);
    check_status(ww_cuda_all_reduce_coded(context, values, values, 1000, WW_SUM, "int8", NULL),
                 WW_OK);
    fake_cuda_be_poor(poor);
    check_status(ww_cuda_all_reduce_coded(context, values, values, 1000, WW_SUM, "int8", residual),
                 poor ? WW_NO_MEMORY : WW_PEER_FAILED);
    check_words(ww_last_error(context), poor ? "no memory" : "rank 1", "no memory", NULL);
    fake_cuda_be_poor(false);
    ww_context_destroy(context);
}

Test(device_calls, without_memory_are_not_agreed_on)
{
    world_run(2, be_poor_alone, NULL);
    world_forgive();
}

static void send_damaged(const struct ww_world *world, void *shared)
{
    struct ww_context *context = context_on_gpu(world);
    float values[1000] = {0};
    (void)shared;
    tell_nccl("fake_nccl_damages", true);
    check_status(ww_cuda_all_reduce_coded(context, values, values, 1000, WW_SUM, "int8", NULL),
                 WW_OK);
    enum ww_status status = ww_cuda_synchronize(context);
    check(status == WW_TRANSPORT_FAILED || status == WW_PEER_FAILED, "%d", (int)status);
    check_words(ww_last_error(context), "frames of single calls were damaged", NULL);
    ww_context_destroy(context);
}

Test(device_calls, with_damaged_frames_are_told)
{
    world_run(2, send_damaged, NULL);
    tell_nccl("fake_nccl_damages", false);
    world_forgive();
}

/* ---- Attaching ---------------------------------------------------------------------------- */

static void attach_oddly(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    (void)shared;
    int gpu = world->rank == 1 ? 7 : 0;
    enum ww_status status = ww_cuda_attach(context, gpu, NULL);
    check(status == (world->rank == 1 ? WW_BAD_ARGUMENT : WW_PEER_FAILED), "%d", (int)status);
    check_words(ww_last_error(context), world->rank == 1 ? "device 7" : "rank 1", NULL);
    ww_context_destroy(context);
}

Test(device_calls, need_a_gpu_on_every_rank)
{
    world_run(3, attach_oddly, NULL);
    world_forgive();
}

static void attach_poorly(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    const struct ww_config *unlike = shared;
    config.staleness = unlike->staleness;
    config.momentum = unlike->momentum;
    config.clip_norm = unlike->clip_norm;
    config.probe = unlike->probe;
    config.algorithm = unlike->algorithm;
    struct ww_context *context = world_context(world, &config);
    enum ww_status status = ww_cuda_attach(context, 0, NULL);
    check(status < 0, "it is accepted");
    ww_context_destroy(context);
}

Test(device_calls, refuse_settings_that_gpus_do_not_know)
{
    struct ww_config unlike[5];
    for (int i = 0; i < 5; i++) {
        unlike[i] = (struct ww_config)WW_CONFIG_INIT;
    }
    unlike[0].staleness = 1;
    unlike[1].momentum = 0.9;
    unlike[2].clip_norm = 1;
    unlike[3].probe = WW_PROBE_SHADOWS;
    unlike[4].algorithm = "staged";
    for (int i = 0; i < 5; i++) {
        world_run(2, attach_poorly, &unlike[i]);
    }
    world_forgive();
}

static void attach_without_memory(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    (void)shared;
    check(ww_cuda_attach(context, 0, NULL) < 0, "it succeeds without memory");
    ww_context_destroy(context);
}

Test(device_calls, fail_together_without_memory)
{
    fake_cuda_allocations_left(1);
    world_run(2, attach_without_memory, NULL);
    fake_cuda_allocations_left(-1);
    world_forgive();
}
