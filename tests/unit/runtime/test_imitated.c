/* SPDX-License-Identifier: BSD-3-Clause
 * test_imitated.c: a context with imitated wires sums as any other, over a network that is never
 * faster than it should be, and says so. */
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <wirewise/ledger.h>

#include "context.h"
#include "internal/clock.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(imitated, .init = capture_start, .fini = capture_finish);

struct trial {
    int size;
    size_t count;
    const char *shape;
    const char *algorithm;
    double least_s; /* of one sum */
    const char *warning;
    atomic_bool crossed; /* something did, on any rank */
};

/* Seconds count from a moment at which no rank had sent anything. */
static void add_up(const struct ww_world *world, struct ww_context *context,
                   const struct trial *trial, float *values)
{
    int size = ww_size(context);
    int wrong = 0;
    for (size_t i = 0; i < trial->count; i++) {
        values[i] = (float)(ww_rank(context) + (int)(i % 97));
    }
    uint64_t begin = clock_now_ns();
    world_meet(world);
    check_status(ww_all_reduce(context, values, values, trial->count, WW_F32, WW_SUM), WW_OK);
    double spent = (double)(clock_now_ns() - begin) * 1e-9;
    check(spent >= trial->least_s, "%g s are faster than the wire", spent);
    for (size_t i = 0; i < trial->count; i++) {
        wrong += values[i] != (float)(size * (size - 1) / 2 + size * (int)(i % 97));
    }
    check(wrong == 0, "%d wrong sums", wrong);
}

static void compare_report(struct ww_context *context, struct trial *trial)
{
    struct ww_report report = WW_REPORT_INIT;
    check_status(ww_calls_report(context, &report), WW_OK);
    const struct ww_level_report *last = &report.level[report.levels - 1];
    check(strcmp(last->name, "network") == 0, "the outermost level is %s", last->name);
    if (last->sent_bytes > 0) {
        atomic_store(&trial->crossed, true);
    }
    check(last->sent_bytes == last->planned_bytes, "%llu bytes sent, %llu planned",
          (unsigned long long)last->sent_bytes, (unsigned long long)last->planned_bytes);
}

static void try_wires(const struct ww_world *world, void *shared)
{
    struct trial *trial = shared;
    struct ww_config config = world_config();
    config.shape = trial->shape;
    config.algorithm = trial->algorithm;
    struct ww_context *context = world_context(world, &config);
    float *values = malloc(trial->count * sizeof *values);
    if (check(context != NULL && values != NULL, "no context")) {
        add_up(world, context, trial, values);
        compare_report(context, trial);
    }
    free(values);
    ww_context_destroy(context);
}

/* Of 2 ranks each sends and receives all bytes; of 2 hosts with 2 ranks each port likewise. */
Test(imitated, sums_are_right_and_no_faster_than_the_wire)
{
    static struct trial trials[] = {
        {2, 250000, "hosts=2,rate=1gbit,latency=20us", "auto", 8e-3,
         "wires between 2 imitated hosts are shaped to 1 Gbit/s, 20 us: times are of that", false},
        {4, 250000, "rate=125MB", "auto", 8e-3, "2 imitated hosts are shaped to 1 Gbit/s: ", false},
        {4, 1000, "latency=2ms", "auto", 2e-3,
         "2 imitated hosts are shaped to any rate, 2 ms: ", false},
        {5, 100000, "hosts=3,rate=1gbit", "ring", 0,
         "3 imitated hosts are shaped to 1 Gbit/s: ", false},
        {4, 100000, "hosts=4", "auto", 0, "4 imitated hosts are shaped to any rate: ", false},
    };
    for (size_t i = 0; i < LENGTH(trials); i++) {
        world_run(trials[i].size, try_wires, &trials[i]);
        cr_expect(trials[i].crossed, "%s: nothing crossed the network", trials[i].shape);
        expect_line(WW_LOG_WARN, trials[i].warning);
        expect_no_warnings();
    }
}

struct refusal {
    int size;
    const char *shape;
    const char *hosts; /* a letter for each rank */
    const char *words;
};

static void try_refusal(const struct ww_world *world, void *shared)
{
    const struct refusal *refusal = shared;
    char host[2] = {refusal->hosts[world->rank], '\0'};
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.shape = refusal->shape;
    config.host = host;
    check_status(ww_context_create(world, &config, &context), WW_BAD_CONFIG);
    check_words(ww_last_error(NULL), refusal->words);
}

Test(imitated, what_cannot_be_is_refused_on_every_rank)
{
    static const struct refusal refusals[] = {
        {2, "hosts=3", "aa", "hosts is 3, but there are 2 ranks"},
        {2, "rate=0mbit", "aa", "is too slow"},
        {2, "speed=1gbit", "aa", "\"speed=1gbit\" begins with none of its keys"},
        {4, "hosts=2", "aabb", "ranks 0 (a) and 2 (b) are on different hosts"},
    };
    for (size_t i = 0; i < LENGTH(refusals); i++) {
        struct refusal refusal = refusals[i];
        world_run(refusal.size, try_refusal, &refusal);
        cr_expect_geq(world_forgive(), 1);
    }
}

static void disagree(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.shape = world->rank == 1 ? "rate=1gbit" : "rate=2gbit";
    check_status(ww_context_create(world, &config, &context), WW_MISMATCH);
    check_words(ww_last_error(NULL), "rank 1", "shape=rate=1gbit", "shape=rate=2gbit");
}

Test(imitated, all_ranks_must_imitate_alike)
{
    world_run(3, disagree, NULL);
    cr_expect_geq(world_forgive(), 1);
}

/* ---- Failures ------------------------------------------------------------------------------- */

static void differ_in_counts(const struct ww_world *world, void *shared)
{
    (void)shared;
    float values[1000] = {0};
    struct ww_config config = world_config();
    config.shape = "rate=1gbit,latency=1ms";
    struct ww_context *context = world_context(world, &config);
    if (check(context != NULL, "no context")) {
        size_t count = world->rank == 3 ? 999 : 1000;
        check_status(ww_all_reduce(context, values, values, count, WW_F32, WW_SUM), WW_MISMATCH);
        check_words(ww_last_error(context), "rank 3", "999", "1000");
    }
    ww_context_destroy(context);
}

Test(imitated, failures_cross_the_wires_as_well)
{
    world_run(4, differ_in_counts, NULL);
    cr_expect_geq(world_forgive(), 4);
}

/* ---- Earlier measurements ------------------------------------------------------------------- */

struct memory_of_wires {
    char file[64];
    const char *shape;
    atomic_bool remembered;
};

static void remember(const struct ww_world *world, void *shared)
{
    struct memory_of_wires *memory = shared;
    struct ww_config config = world_config();
    config.shape = memory->shape;
    config.calibrate = WW_CALIBRATE_ALWAYS;
    config.calibrate_s = 0.05;
    config.calibration_file = memory->file;
    struct ww_context *context = world_context(world, &config);
    if (context != NULL && context->calibration.from_file) {
        atomic_store(&memory->remembered, true);
    }
    ww_context_destroy(context);
}

/* Wires so alike that measuring could not tell them apart. */
Test(imitated, measurements_serve_the_same_imitation_only)
{
    static const char *const shapes[] = {"rate=1gbit", "rate=1gbit,latency=10ns", "rate=1000mbit",
                                         "hosts=2,rate=1gbit"};
    struct memory_of_wires memory = {.remembered = false};
    snprintf(memory.file, sizeof memory.file, "imitated-%d.calibration", (int)getpid());
    unsetenv("WIREWISE_CALIBRATION_FILE"); /* whoever runs tests may keep it away from them */
    for (size_t i = 0; i < LENGTH(shapes); i++) {
        memory.shape = shapes[i];
        world_run(2, remember, &memory);
        cr_expect_not(memory.remembered, "of %s", shapes[i]);
    }
    cr_expect_eq(access(memory.file, F_OK), 0, "nothing was kept");
    remove(memory.file);
    cr_expect_geq(world_forgive(), (int)LENGTH(shapes));
}

/* Sends so many bytes through the loopback interface, to nobody who reads. */
static void make_noise(size_t bytes)
{
    static const char packet[1 << 15];
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof self;
    int noise = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    cr_assert(noise >= 0 && bind(noise, (struct sockaddr *)&self, length) == 0 &&
              getsockname(noise, (struct sockaddr *)&self, &length) == 0 &&
              connect(noise, (struct sockaddr *)&self, length) == 0);
    for (size_t sent = 0; sent < bytes; sent += sizeof packet) {
        cr_assert_eq(send(noise, packet, sizeof packet, 0), (ssize_t)sizeof packet);
    }
    close(noise);
}

static void step_amid_noise(const struct ww_world *world, void *shared)
{
    static float gradients[2][50000];
    float *own = gradients[world->rank];
    const size_t count = LENGTH(gradients[0]);
    struct ww_config config = world_config();
    struct ww_ledger read = WW_LEDGER_INIT;
    struct ww_tensor *tensor = NULL;
    config.shape = shared;
    struct ww_context *context = world_context(world, &config);
    if (check(context != NULL, "no context")) {
        check_status(ww_tensor_add(context, "own", WW_F32, 1, &count, &tensor), WW_OK);
        check_status(ww_tensors_commit(context), WW_OK);
        check_status(ww_step_begin(context), WW_OK);
        check_status(ww_tensor_start(tensor, own), WW_OK);
        check_status(ww_step_end(context, NULL), WW_OK);
        make_noise(sizeof gradients[0]);
        check_status(ww_ledger_read(context, &read), WW_OK);
        check(read.audit.claimed_bytes >= sizeof gradients[0], "%llu bytes claimed",
              (unsigned long long)read.audit.claimed_bytes);
        check(!read.audit.counted, "%llu bytes are said to have left through %s",
              (unsigned long long)read.audit.counted_bytes, read.audit.interface);
    }
    ww_context_destroy(context);
}

Test(imitated, what_interfaces_count_is_not_held_against_imitated_hosts)
{
    world_run(2, step_amid_noise, "hosts=2");
    expect_line(WW_LOG_WARN, "2 imitated hosts are shaped to any rate: ");
    expect_no_warnings();
}
