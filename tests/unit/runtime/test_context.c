/* SPDX-License-Identifier: BSD-3-Clause
 * test_context.c: contexts begin and end: what they refuse, agree on, keep apart, leave behind. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <wirewise/transport.h>

#include "threads.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(context, .init = capture_start, .fini = capture_finish);

static void expect_sum(struct ww_context *context, float mine, float sum)
{
    float value = mine;
    check_status(ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM), WW_OK);
    check(value == sum, "the sum is %g, not %g", (double)value, (double)sum);
}

/* ---- Refusals --------------------------------------------------------------------------- */

static int gather_nothing(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self, (void)mine, (void)all, (void)bytes;
    return 5;
}

static int gather_nothing_well(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self, (void)mine, (void)all, (void)bytes;
    return 0;
}

Test(context, a_world_that_makes_no_sense_is_refused)
{
    struct ww_local_world *local = NULL;
    struct ww_world good;
    cr_assert_eq(ww_local_world_create(2, &local), WW_OK);
    cr_assert_eq(ww_local_world_rank(local, 0, &good), WW_OK);
    struct ww_world worlds[] = {good, good, good, good, good, good, good};
    worlds[0].struct_bytes = 0;
    worlds[1].size = 0;
    worlds[2].rank = -1;
    worlds[3].rank = 2;
    worlds[4].all_gather = NULL;
    worlds[5].all_gather = gather_nothing;
    worlds[6].all_gather = gather_nothing_well;
    static const struct {
        enum ww_status status;
        const char *words;
    } rows[] = {
        {WW_BAD_ARGUMENT, "world->struct_bytes is 0"},
        {WW_BAD_ARGUMENT, "rank 0 of 0"},
        {WW_BAD_ARGUMENT, "rank -1 of 2"},
        {WW_BAD_ARGUMENT, "rank 2 of 2"},
        {WW_BAD_ARGUMENT, "needs an all_gather"},
        {WW_TRANSPORT_FAILED, "all_gather returned 5"},
        {WW_TRANSPORT_FAILED, "all_gather returned 0, but wrote none"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct ww_context *context = (struct ww_context *)&good;
        cr_expect_eq(ww_context_create(&worlds[i], NULL, &context), rows[i].status, "row %zu", i);
        cr_expect_null(context, "row %zu", i);
        cr_expect_not_null(strstr(ww_last_error(NULL), rows[i].words), "\"%s\"",
                           ww_last_error(NULL));
        expect_line(WW_LOG_ERROR, rows[i].words);
    }
    ww_local_world_destroy(local);
}

Test(context, null_is_refused_or_harmless_everywhere)
{
    struct ww_world alone = WW_WORLD_INIT;
    struct ww_context *context = NULL;
    struct ww_tensor *tensor = NULL;
    cr_expect_eq(ww_context_create(NULL, NULL, &context), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_context_create(&alone, NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_tensor_add(NULL, "a", WW_F32, 0, NULL, &tensor), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_tensors_commit(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_begin(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_tensor_start(NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_tensor_skip(NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_tensor_wait(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_progress(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_end(NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_codec(NULL, "int8"), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_loss_scale(NULL, 1), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_discard(NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(ww_step_drain(NULL, NULL), WW_BAD_ARGUMENT);
    cr_expect_eq(world_forgive(), 14, "each refusal is a line");
    ww_context_destroy(NULL);
    char text[80];
    cr_expect_eq(ww_rank(NULL), -1);
    cr_expect_eq(ww_size(NULL), -1);
    cr_expect_eq(ww_config_print(NULL, text, sizeof text), 0);
    cr_expect_eq(ww_report_print(NULL, text, sizeof text), strlen("no report"));
    cr_expect_eq(ww_report_print(NULL, NULL, sizeof text), strlen("no report"));
}

Test(context, a_world_of_one_needs_nothing_from_the_program)
{
    struct ww_world alone = WW_WORLD_INIT;
    struct ww_context *context = NULL;
    cr_assert_eq(ww_context_create(&alone, NULL, &context), WW_OK);
    cr_expect_eq(ww_rank(context), 0);
    cr_expect_eq(ww_size(context), 1);
    expect_sum(context, 3, 3);
    ww_context_destroy(context);
    checks_settle();
    expect_line(WW_LOG_INFO, "1 rank on 1 host");
}

Test(context, an_unknown_algorithm_is_refused_with_those_that_exist)
{
    struct ww_world alone = WW_WORLD_INIT;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.algorithm = "rang";
    cr_expect_eq(ww_context_create(&alone, &config, &context), WW_BAD_CONFIG);
    const char *line = capture_take(WW_LOG_ERROR, "\"rang\"");
    cr_assert_not_null(line);
    cr_expect_not_null(strstr(line, "auto, hierarchical, hosts, ring, halving"), "%s", line);
}

/* ---- Agreement -------------------------------------------------------------------------- */

struct disagreement {
    const char *usual;
    const char *odd; /* rank 1's */
    void (*spoil)(struct ww_config *config);
    enum ww_status status; /* on rank 1 */
};

static void other_bucket_bytes(struct ww_config *config)
{
    config->bucket_bytes = 1000;
}

static void other_segment_bytes(struct ww_config *config)
{
    config->segment_bytes = 2000;
}

static void other_window(struct ww_config *config)
{
    config->segments_in_flight = 7;
}

static void other_algorithm(struct ww_config *config)
{
    config->algorithm = "ring";
}

static void other_op(struct ww_config *config)
{
    config->gradient_op = WW_SUM;
}

static void other_determinism(struct ww_config *config)
{
    config->deterministic = WW_DETERMINISTIC_PLAN;
}

static void no_algorithm(struct ww_config *config)
{
    config->algorithm = "rang";
}

static void no_timeout(struct ww_config *config)
{
    config->timeout_s = -1;
}

static void another_version(struct ww_config *config)
{
    config->struct_bytes--;
}

static const struct disagreement disagreements[] = {
    {"bucket_bytes=4194304", "bucket_bytes=1000", other_bucket_bytes, WW_MISMATCH},
    {"segment_bytes=0", "segment_bytes=2000", other_segment_bytes, WW_MISMATCH},
    {"segments_in_flight=0", "segments_in_flight=7", other_window, WW_MISMATCH},
    {"algorithm=auto", "algorithm=ring", other_algorithm, WW_MISMATCH},
    {"gradient_op=mean", "gradient_op=sum", other_op, WW_MISMATCH},
    {"deterministic=off", "deterministic=plan", other_determinism, WW_MISMATCH},
    {"algorithm=auto", "\"rang\"", no_algorithm, WW_BAD_CONFIG},
    {"gradient_op=mean", "timeout_s", no_timeout, WW_BAD_CONFIG},
    {"gradient_op=mean", "config->struct_bytes", another_version, WW_BAD_ARGUMENT},
};

static void create_apart(const struct ww_world *world, void *shared)
{
    const struct disagreement *row = shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    bool odd = world->rank == 1;
    config.host = odd ? "odd" : "usual";
    if (odd) {
        row->spoil(&config);
    }
    check_status(ww_context_create(world, &config, &context), odd ? row->status : WW_MISMATCH);
    check(context == NULL, "there is a context");
    if (!odd || row->status == WW_MISMATCH) {
        check_words(ww_last_error(NULL), "rank 1 (", row->odd, "rank 0 (usual)", row->usual);
    }
}

Test(context, settings_that_differ_between_ranks_are_named_with_both_values)
{
    for (size_t i = 0; i < LENGTH(disagreements); i++) {
        struct disagreement row = disagreements[i];
        world_run(3, create_apart, &row);
        cr_expect_geq(world_forgive(), 3);
    }
}

static void create_badly(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.algorithm = "rang";
    check_status(ww_context_create(world, &config, &context), WW_BAD_CONFIG);
    config.algorithm = "ring";
    check_status(ww_context_create(world, &config, &context), WW_OK);
    expect_sum(context, 1, 3);
    ww_context_destroy(context);
}

Test(context, ranks_that_are_all_wrong_alike_learn_why_and_may_try_again)
{
    world_run(3, create_badly, NULL);
    cr_expect_geq(world_forgive(), 3);
}

static void differ_where_allowed(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.timeout_s = 50 + world->rank;
    config.progress = world->rank == 0 ? WW_PROGRESS_INLINE : WW_PROGRESS_THREAD;
    config.mpi_quiet = world->rank == 1;
    config.ledger_bytes += (size_t)world->rank;
    config.run = world->rank == 0 ? "first" : "other";
    config.labels = world->rank == 0 ? NULL : "rank=other";
    struct ww_context *context = world_context(world, &config);
    expect_sum(context, 1, 3);
    ww_context_destroy(context);
}

Test(context, ranks_may_differ_in_what_concerns_one_rank_only)
{
    world_run(3, differ_where_allowed, NULL);
}

static bool leads_nowhere(int descriptor)
{
    struct stat nowhere, about;
    return stat("/dev/null", &nowhere) == 0 && fstat(descriptor, &about) == 0 &&
           about.st_rdev == nowhere.st_rdev;
}

/* As daemons leave them. Else a later file or socket would get what is logged. */
Test(context, closed_standard_streams_are_taken_by_nothing_else)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    int kept[3];
    for (int stream = 0; stream < 3; stream++) {
        kept[stream] = fcntl(stream, F_DUPFD_CLOEXEC, 3);
    }
    for (int stream = 0; stream < 3; stream++) {
        close(stream);
    }
    struct ww_context *context = NULL;
    enum ww_status status = ww_context_create(&world, &config, &context);
    bool nowhere = leads_nowhere(0) && leads_nowhere(1) && leads_nowhere(2);
    for (int stream = 0; stream < 3; stream++) {
        dup2(kept[stream], stream);
        close(kept[stream]);
    }
    cr_expect_eq(status, WW_OK);
    cr_expect(nowhere);
    ww_context_destroy(context);
}

/* ---- Where threads are limited ---------------------------------------------------------- */

static void live_without_threads(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.progress = WW_PROGRESS_AUTO;
    threads_are_refused = true;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor = NULL;
    size_t shape = 1;
    float gradient = 3;
    check_status(ww_tensor_add(context, "w", WW_F32, 1, &shape, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, &gradient), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    check(gradient == 3, "the mean of threes is %g", (double)gradient);
    expect_sum(context, 1, (float)world->size);
    ww_context_destroy(context);
    threads_are_refused = false;
}

Test(context, where_the_system_gives_no_thread_messages_move_inside_calls)
{
    for (int size = 1; size <= 2; size++) {
        world_run(size, live_without_threads, NULL);
        for (int rank = 0; rank < size; rank++) {
            expect_line(WW_LOG_WARN, "a progress thread cannot be started: ");
        }
        expect_no_warnings();
    }
}

Test(context, whoever_insists_on_a_thread_is_refused_without_one)
{
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    config.progress = WW_PROGRESS_THREAD;
    threads_are_refused = true;
    cr_expect_eq(ww_context_create(&world, &config, &context), WW_UNSUPPORTED);
    threads_are_refused = false;
    cr_expect_null(context);
    expect_line(WW_LOG_ERROR, "a progress thread cannot be started: ");
}

static void print_settings(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    config.bucket_bytes = 12345;
    struct ww_context *context = world_context(world, &config);
    char text[8192];
    check(ww_config_print(context, text, sizeof text) == strlen(text), "the length is wrong");
    check(ww_config_print(context, NULL, sizeof text) == strlen(text),
          "the length depends on text");
    check_words(text, "bucket_bytes       12345          program", "WIREWISE_BUCKET_BYTES",
                "segments_in_flight 4              environment", "algorithm          auto");
    ww_context_destroy(context);
}

Test(context, settings_are_printed_with_where_they_came_from)
{
    setenv("WIREWISE_SEGMENTS_IN_FLIGHT", "4", 1);
    world_run(2, print_settings, NULL);
}

/* ---- Side by side ----------------------------------------------------------------------- */

/* Contexts over the same ranks, used in another order on every rank would deadlock if they shared
 * messages; here every context is driven by a progress thread of its own. */
static void use_three(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *contexts[3];
    for (int i = 0; i < 3; i++) {
        config.progress = i == 1 ? WW_PROGRESS_THREAD : WW_PROGRESS_INLINE;
        contexts[i] = world_context(world, &config);
    }
    for (int turn = 0; turn < 20; turn++) {
        for (int i = 0; i < 3; i++) {
            expect_sum(contexts[i], (float)(i + turn), (float)((i + turn) * world->size));
        }
    }
    ww_context_destroy(contexts[1]);
    expect_sum(contexts[0], 1, (float)world->size);
    ww_context_destroy(contexts[0]);
    expect_sum(contexts[2], 1, (float)world->size);
    ww_context_destroy(contexts[2]);
}

Test(context, several_over_the_same_ranks_do_not_disturb_each_other)
{
    world_run(3, use_three, NULL);
}

/* Ranks 0 .. 3 make {0, 1, 2, 3}, {0, 1, 2} and {3}. */
static void use_groups(const struct ww_world *world, void *shared)
{
    struct ww_local_world **groups = shared;
    struct ww_world part;
    int group = world->rank < 3 ? 0 : 1;
    check_status(ww_local_world_rank(groups[group], world->rank % 3, &part), WW_OK);
    struct ww_config config = world_config();
    struct ww_context *all = world_context(world, &config);
    struct ww_context *some = world_context(&part, &config);
    check(ww_size(some) == (group == 0 ? 3 : 1), "the group has %d ranks", ww_size(some));
    for (int turn = 0; turn < 20; turn++) {
        expect_sum(some, 1, (float)part.size);
        expect_sum(all, (float)world->rank, 6);
    }
    ww_context_destroy(some);
    ww_context_destroy(all);
}

Test(context, groups_of_ranks_have_contexts_of_their_own)
{
    struct ww_local_world *groups[2];
    cr_assert_eq(ww_local_world_create(3, &groups[0]), WW_OK);
    cr_assert_eq(ww_local_world_create(1, &groups[1]), WW_OK);
    world_run(4, use_groups, groups);
    ww_local_world_destroy(groups[0]);
    ww_local_world_destroy(groups[1]);
}

/* ---- Errors ----------------------------------------------------------------------------- */

static void fail_twice(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *first = world_context(world, &config);
    struct ww_context *second = world_context(world, &config);
    check(ww_last_error(first)[0] == '\0', "a new context says \"%s\"", ww_last_error(first));
    float value = 0;
    check_status(ww_broadcast(first, &value, 1, WW_F32, 90 + world->rank), WW_BAD_ARGUMENT);
    check_status(ww_broadcast(second, &value, 1, WW_F32, 70 + world->rank), WW_BAD_ARGUMENT);
    char wanted[2][32];
    snprintf(wanted[0], sizeof wanted[0], "root %d", 90 + world->rank);
    snprintf(wanted[1], sizeof wanted[1], "root %d", 70 + world->rank);
    check_words(ww_last_error(first), wanted[0]);
    check_words(ww_last_error(second), wanted[1]);
    check_words(ww_last_error(NULL), wanted[1]);
    ww_context_destroy(first);
    ww_context_destroy(second);
}

Test(context, every_context_and_every_thread_keeps_its_own_latest_error)
{
    cr_expect_str_empty(ww_last_error(NULL));
    world_run(3, fail_twice, NULL);
    cr_expect_str_empty(ww_last_error(NULL));
    cr_expect_eq(world_forgive(), 6);
}

/* ---- Fork ------------------------------------------------------------------------------- */

/* Exit status 0 when everything in the child went as promised, else the number of the check. */
static int use_in_child(struct ww_context *context, struct ww_tensor *tensor)
{
    float value = 1;
    const enum ww_status statuses[] = {
        ww_all_reduce(context, &value, &value, 1, WW_F32, WW_SUM),
        ww_tensor_start(tensor, &value),
        ww_step_begin(context),
        ww_step_end(context, NULL),
        ww_tensor_wait(tensor),
        ww_progress(context),
        ww_tensors_commit(context),
    };
    for (int i = 0; i < (int)LENGTH(statuses); i++) {
        if (statuses[i] != WW_BAD_STATE) {
            return 10 + i;
        }
    }
    if (strstr(ww_last_error(context), "child process") == NULL) {
        return 30;
    }
    ww_context_destroy(context);
    return 0;
}

static void fork_and_go_on(const struct ww_world *world, void *shared)
{
    struct ww_config config = world_config();
    config.progress = *(enum ww_progress *)shared;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor = NULL;
    float gradient = 1;
    check_status(ww_tensor_add(context, "w", WW_F32, 0, NULL, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    if (world->rank == 0) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            _exit(use_in_child(context, tensor));
        }
        check(waitpid(child, &status, 0) == child && WIFEXITED(status), "the child died");
        check(WEXITSTATUS(status) == 0, "check %d failed in the child", WEXITSTATUS(status));
    }
    check_status(ww_tensor_start(tensor, &gradient), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    expect_sum(context, 1, (float)world->size);
    ww_context_destroy(context);
}

Test(context, after_fork_the_child_is_refused_and_the_parent_goes_on)
{
    enum ww_progress progress = WW_PROGRESS_INLINE;
    world_run(2, fork_and_go_on, &progress);
    progress = WW_PROGRESS_THREAD;
    world_run(2, fork_and_go_on, &progress);
}

/* ---- What is left behind ---------------------------------------------------------------- */

static int entries(const char *folder)
{
    int count = 0;
    DIR *directory = opendir(folder);
    cr_assert_not_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

/* MiB of address space. */
static size_t mapped_mib(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE) >> 20;
}

#define TENSOR_COUNT ((size_t)1 << 19)

static void live_and_die(const struct ww_world *world, void *shared)
{
    float *values = ((float **)shared)[world->rank];
    struct ww_config config = world_config();
    config.progress = WW_PROGRESS_THREAD;
    struct ww_context *context = world_context(world, &config);
    struct ww_tensor *tensor = NULL;
    size_t shape = TENSOR_COUNT;
    check_status(ww_tensor_add(context, "w", WW_F32, 1, &shape, &tensor), WW_OK);
    check_status(ww_tensors_commit(context), WW_OK);
    check_status(ww_step_begin(context), WW_OK);
    check_status(ww_tensor_start(tensor, values), WW_OK);
    check_status(ww_step_end(context, NULL), WW_OK);
    expect_sum(context, 1, 2);
    ww_context_destroy(context);
}

/* Each life maps 2 MiB for its bucket and more for scratch on either rank. */
Test(context, a_hundred_lives_leave_no_thread_file_or_memory_behind)
{
    float *values[2] = {calloc(TENSOR_COUNT, sizeof(float)), calloc(TENSOR_COUNT, sizeof(float))};
    for (int life = 0; life < 10; life++) {
        world_run(2, live_and_die, values);
    }
    int threads = entries("/proc/self/task");
    int files = entries("/proc/self/fd");
    size_t mib = mapped_mib();
    for (int life = 0; life < 100; life++) {
        world_run(2, live_and_die, values);
    }
    cr_expect_eq(entries("/proc/self/task"), threads);
    cr_expect_eq(entries("/proc/self/fd"), files);
    cr_expect_lt(mapped_mib(), mib + 100, "%zu MiB have become %zu MiB", mib, mapped_mib());
    free(values[0]);
    free(values[1]);
}

/* ---- Worlds without a fabric of their own -------------------------------------------------- */

static void meet_in_memory(const struct ww_world *world, void *shared)
{
    struct ww_world bare = *world;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    (void)shared;
    bare.transport = NULL;
    check_status(ww_context_create(&bare, &config, &context), WW_OK);
    for (size_t count = 1; context != NULL && count <= 300000; count = count * 7 + 3) {
        float *values = malloc(count * sizeof *values);
        for (size_t i = 0; i < count; i++) {
            values[i] = (float)(i % 1000) * (float)(world->rank + 1);
        }
        check_status(ww_all_reduce(context, values, values, count, WW_F32, WW_SUM), WW_OK);
        float share = (float)(world->size * (world->size + 1) / 2);
        size_t wrong = 0;
        for (size_t i = 0; i < count; i++) {
            wrong += values[i] != (float)(i % 1000) * share;
        }
        check(wrong == 0, "%zu of %zu elements are wrong", wrong, count);
        free(values);
    }
    ww_context_destroy(context);
}

Test(context, ranks_of_one_host_need_no_fabric_beside_memory)
{
    for (int size = 2; size <= 4; size++) {
        world_run(size, meet_in_memory, NULL);
    }
}

static void refuse_without_fabric(const struct ww_world *world, void *shared)
{
    struct ww_world bare = *world;
    struct ww_config config = world_config();
    struct ww_context *context = NULL;
    const bool *memory = shared;
    bare.transport = NULL;
    config.shared_memory = *memory;
    config.host = world->rank == 0 ? "a" : "b";
    check_status(ww_context_create(&bare, &config, &context), WW_UNSUPPORTED);
    check(context == NULL, "a context came");
}

Test(context, without_a_fabric_ranks_must_share_a_host_and_memory)
{
    for (int memory = 0; memory < 2; memory++) {
        bool allowed = memory == 1;
        world_run(3, refuse_without_fabric, &allowed);
        cr_expect_geq(world_forgive(), 3);
    }
}

/* ---- ww_alloc ------------------------------------------------------------------------------ */

static void use_memory(struct ww_context *context, size_t bytes)
{
    void *memory = NULL;
    check_status(ww_alloc(context, bytes, &memory), WW_OK);
    unsigned char *byte = memory;
    check(((uintptr_t)memory & 4095) == 0, "%p is not aligned", memory);
    for (size_t i = 0; i < bytes; i += 997) {
        check(byte[i] == 0, "byte %zu of %zu is not zero", i, bytes);
        byte[i] = 1;
    }
    check_status(ww_free(context, memory), WW_OK);
}

static void allocate(const struct ww_world *world, void *shared)
{
    static const size_t sizes[] = {1, 4095, 4096, 100000, (size_t)2 << 20, ((size_t)5 << 20) + 7};
    struct ww_world chosen = *world;
    const bool *by_memory = shared;
    chosen.transport = *by_memory ? NULL : world->transport;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(&chosen, &config);
    for (size_t i = 0; context != NULL && i < 3 * LENGTH(sizes); i++) {
        use_memory(context, sizes[(i + (size_t)world->rank) % LENGTH(sizes)]);
    }
    void *memory = &config;
    check_status(ww_alloc(context, 0, &memory), WW_OK);
    check(memory == NULL, "no bytes gave %p", memory);
    check_status(ww_free(context, NULL), WW_OK);
    check_status(ww_alloc(context, 100, &memory), WW_OK); /* the context gives it back */
    ww_context_destroy(context);
}

Test(context, memory_is_zero_aligned_and_given_back)
{
    for (int by_memory = 0; by_memory < 2; by_memory++) {
        bool choice = by_memory == 1;
        world_run(3, allocate, &choice);
    }
}

static void allocate_wrongly(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_config config = world_config();
    struct ww_context *context = world_context(world, &config);
    char own[64];
    check_status(ww_alloc(NULL, 10, &(void *){NULL}), WW_BAD_ARGUMENT);
    check_status(ww_alloc(context, 10, NULL), WW_BAD_ARGUMENT);
    check_status(ww_free(context, own), WW_BAD_ARGUMENT);
    void *memory = NULL;
    check_status(ww_alloc(context, SIZE_MAX / 2, &memory), WW_NO_MEMORY);
    check_status(ww_alloc(context, 64, &memory), WW_OK);
    check_status(ww_free(context, memory), WW_OK);
    check_status(ww_free(context, memory), WW_BAD_ARGUMENT);
    ww_context_destroy(context);
}

Test(context, memory_that_is_not_its_own_is_refused)
{
    world_run(2, allocate_wrongly, NULL);
    cr_expect_eq(world_forgive(), 2 * 5);
}
