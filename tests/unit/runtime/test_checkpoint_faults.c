/* SPDX-License-Identifier: BSD-3-Clause
 * test_checkpoint_faults.c: damaged, foreign, newer and missing files, full and absent folders,
 * calls at the wrong time: a clear sentence each, and nothing is lost. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "allocations.h"
#include "effort.h"
#include "savers.h"
#include "store/folder.h"
#include "store/shard.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(checkpoint_faults, .init = capture_start, .fini = capture_finish);

static const struct saver_plan usual = {.codec = "topk:0.05"};

struct stage {
    char folder[64];
    char other[64];
    int wanted; /* enum ww_status */
    const char *words;
    void (*harm)(struct stage *stage, int round);
    int rounds;
    uint64_t step; /* that is to be found; 0 = none */
};

/* ---- Files ---------------------------------------------------------------------------------- */

static void path_of(const struct stage *stage, uint64_t generation, int rank, char *path)
{
    folder_path(path, stage->folder, generation, rank);
}

static size_t read_file(const char *path, uint8_t **bytes)
{
    struct stat facts;
    int descriptor = open(path, O_RDONLY);
    check(descriptor >= 0 && fstat(descriptor, &facts) == 0, "no %s", path);
    *bytes = malloc((size_t)facts.st_size + 1);
    check(read(descriptor, *bytes, (size_t)facts.st_size) == facts.st_size, "short %s", path);
    close(descriptor);
    return (size_t)facts.st_size;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    check(descriptor >= 0 && write(descriptor, bytes, count) == (ssize_t)count, "no %s", path);
    close(descriptor);
}

/* Two generations of two ranks: steps 1 and 2. */
static void save_twice(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    for (int i = 0; i < 2; i++) {
        saver_step(&saver, world->rank);
        check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    }
    saver_end(&saver);
}

static void stage_begin(struct stage *stage)
{
    *stage = (struct stage){.rounds = 1};
    folder_begin(stage->folder);
    world_run(2, save_twice, stage);
    cr_assert_eq(folder_files(stage->folder), 6);
}

/* ---- Memory --------------------------------------------------------------------------------- */

/* Loads while one allocation of rank 1 fails, and again. */
struct shortage {
    const char *folder;
    int allocation; /* 1 = the first */
    bool came;      /* it did fail */
    bool told;      /* it was that for what is attached */
    int made;       /* by rank 0's save */
};

static void load_short(const struct ww_world *world, void *shared)
{
    struct shortage *shortage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    allocations_left = world->rank == 1 ? shortage->allocation : 0;
    enum ww_status status = ww_checkpoint_load(saver.context, shortage->folder);
    if (world->rank == 1) {
        shortage->came = allocations_left == 0;
        shortage->told = strstr(ww_last_error(saver.context), "to read what is attached") != NULL;
    }
    allocations_left = 0;
    world_meet(world);
    if (shortage->told) { /* on all ranks the same, and the context is whole */
        check_status(status, WW_NO_MEMORY);
        check_words(ww_last_error(saver.context), "rank 1", "to read what is attached", NULL);
        check_status(ww_checkpoint_load(saver.context, shortage->folder), WW_OK);
        check(saver.step == 2, "step %d is there", (int)saver.step);
    }
    saver_end(&saver);
}

Test(checkpoint_faults, memory_for_what_is_attached_is_there_before_any_of_it_is_taken)
{
    struct stage stage;
    stage_begin(&stage);
    struct shortage shortage = {.folder = stage.folder, .came = true};
    while (shortage.came && !shortage.told) {
        shortage.allocation++;
        world_run(2, load_short, &shortage);
        world_forgive();
    }
    cr_expect(shortage.told, "none of %d allocations was for what is attached",
              shortage.allocation - 1);
    folder_end(stage.folder);
}

/* One generation, and another while an allocation of rank 0 fails. */
static void save_short(const struct ww_world *world, void *shared)
{
    struct shortage *shortage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    saver_step(&saver, world->rank);
    check_status(ww_checkpoint_save(saver.context, shortage->folder), WW_OK);
    saver_step(&saver, world->rank);
    int before = allocations_made();
    allocations_left = world->rank == 0 ? shortage->allocation : 0;
    ww_checkpoint_save(saver.context, shortage->folder);
    allocations_left = 0;
    if (world->rank == 0) {
        shortage->made = allocations_made() - before;
    }
    saver_end(&saver);
}

/* Of a save in which none fails the last one keeps its debug line for this test. */
Test(checkpoint_faults, a_generation_that_cannot_be_read_now_stays)
{
    struct shortage shortage = {.allocation = 0};
    int most = 1;
    for (; shortage.allocation < most; shortage.allocation++) {
        struct stage stage = {.rounds = 1};
        char path[FILE_PATH_BYTES];
        folder_begin(stage.folder);
        shortage.folder = stage.folder;
        world_run(2, save_short, &shortage);
        world_forgive();
        most = shortage.allocation == 0 ? shortage.made : most;
        path_of(&stage, 1, FOLDER_MANIFEST, path);
        cr_expect_eq(access(path, F_OK), 0, "allocation %d of %d took generation 1 away",
                     shortage.allocation, most);
        folder_end(stage.folder);
    }
    cr_expect_gt(most, 10);
}

/* A network's file system fails after so many entries of a folder; -1 = it does not. */
static atomic_int entries_left = -1;

struct dirent *__real_readdir(DIR *stream); /* NOLINT: the linker's names */
struct dirent *__wrap_readdir(DIR *stream);
struct dirent *__wrap_readdir(DIR *stream)
{
    int left = atomic_load(&entries_left);
    while (left > 0 && !atomic_compare_exchange_weak(&entries_left, &left, left - 1)) {
    }
    if (left == 0) {
        errno = EIO;
        return NULL;
    }
    return __real_readdir(stream);
}

/* A save while the folder cannot be read to its end, then one in peace. */
static void save_half_blind(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    world_meet(world);
    if (world->rank == 0) {
        atomic_store(&entries_left, stage->rounds);
    }
    world_meet(world);
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_FILE_FAILED);
    check_words(ww_last_error(saver.context), "cannot be read", strerror(EIO), stage->folder, NULL);
    world_meet(world);
    atomic_store(&entries_left, -1);
    world_meet(world);
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    saver_end(&saver);
}

Test(checkpoint_faults, a_folder_that_is_not_read_to_its_end_loses_nothing)
{
    for (int entries = 0; entries <= 8; entries++) { /* two of them are . and .. */
        struct stage stage;
        char path[FILE_PATH_BYTES];
        stage_begin(&stage);
        stage.rounds = entries;
        world_run(2, save_half_blind, &stage);
        for (int rank = FOLDER_MANIFEST; rank < 2; rank++) {
            path_of(&stage, 2, rank, path);
            cr_expect_eq(access(path, F_OK), 0, "%d entries: %s is gone", entries, path);
            path_of(&stage, 3, rank, path);
            cr_expect_eq(access(path, F_OK), 0, "%d entries: no %s", entries, path);
        }
        folder_end(stage.folder);
    }
    world_forgive();
}

/* ---- Damage --------------------------------------------------------------------------------- */

/* Loads again and again, each time after some harm. */
static void load_harmed(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    for (int round = 0; round < stage->rounds; round++) {
        if (world->rank == 0) {
            stage->harm(stage, round);
        }
        world_meet(world);
        saver.step = 77;
        enum ww_status status = ww_checkpoint_load(saver.context, stage->folder);
        check(status == (enum ww_status)stage->wanted, "round %d: %s: %s", round,
              ww_status_name(status), ww_last_error(saver.context));
        check(saver.step == (stage->step != 0 ? stage->step : 77), "round %d: step %d is there",
              round, (int)saver.step);
        if (stage->words != NULL) {
            check_words(ww_last_error(saver.context), stage->words, NULL);
        }
        world_meet(world);
    }
    saver_step(&saver, world->rank); /* the context is whole */
    saver_end(&saver);
}

static void expect_load(struct stage *stage, int wanted, uint64_t step, const char *words)
{
    stage->wanted = wanted;
    stage->step = step;
    stage->words = words;
    world_run(2, load_harmed, stage);
    world_forgive();
}

static const int files[] = {FOLDER_MANIFEST, 0, 1};

/* Flips one bit, and puts the one of the round before right. */
static void flip(struct stage *stage, int round)
{
    static uint8_t *bytes[3];
    static size_t counts[3];
    char path[FILE_PATH_BYTES];
    for (int f = 0; f < 3; f++) {
        path_of(stage, 2, files[f], path);
        if (round == 0) {
            counts[f] = read_file(path, &bytes[f]);
        }
        write_file(path, bytes[f], counts[f]);
    }
    int f = round % 3;
    size_t dense = EFFORT(500, 60); /* the first bytes one by one, then samples, and the last one */
    size_t at = (size_t)(round / 3);
    at = at < dense ? at : dense + (at - dense) * EFFORT(331, 1655);
    at = at < counts[f] && round < stage->rounds - 3 ? at : counts[f] - 1;
    bytes[f][at] ^= (uint8_t)(1U << (round % 8));
    path_of(stage, 2, files[f], path);
    write_file(path, bytes[f], counts[f]);
    bytes[f][at] ^= (uint8_t)(1U << (round % 8));
}

Test(checkpoint_faults, a_flipped_bit_is_found_and_the_older_generation_taken)
{
    struct stage stage;
    stage_begin(&stage);
    stage.harm = flip;
    stage.rounds = 3 * EFFORT(650, 90);
    expect_load(&stage, WW_OK, 1, NULL);
    folder_end(stage.folder);
}

static void save_again(const struct ww_world *world, void *shared)
{
    const struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    saver_end(&saver);
}

Test(checkpoint_faults, a_damaged_generation_is_none_of_the_two_that_stay)
{
    struct stage stage;
    uint8_t *bytes;
    char path[FILE_PATH_BYTES];
    stage_begin(&stage);
    path_of(&stage, 2, FOLDER_MANIFEST, path);
    size_t count = read_file(path, &bytes);
    bytes[count - 1] ^= 1; /* behind the head */
    write_file(path, bytes, count);
    free(bytes);
    world_run(2, save_again, &stage);
    for (int f = 0; f < 3; f++) {
        path_of(&stage, 1, files[f], path);
        cr_expect_eq(access(path, R_OK), 0, "%s is gone", path);
    }
    folder_end(stage.folder);
}

#define CUTS EFFORT(40, 10)

static void cut(struct stage *stage, int round)
{
    static uint8_t *bytes[3];
    static size_t counts[3];
    char path[FILE_PATH_BYTES];
    int f = round % 3;
    for (int i = 0; i < 3; i++) {
        path_of(stage, 2, files[i], path);
        if (round == 0) {
            counts[i] = read_file(path, &bytes[i]);
        }
        write_file(path, bytes[i], counts[i]);
    }
    path_of(stage, 2, files[f], path);
    write_file(path, bytes[f], counts[f] * (size_t)(round / 3) / CUTS);
}

Test(checkpoint_faults, a_truncated_file_is_found)
{
    struct stage stage;
    stage_begin(&stage);
    stage.harm = cut;
    stage.rounds = 3 * CUTS;
    expect_load(&stage, WW_OK, 1, NULL);
    folder_end(stage.folder);
}

static void put_text(struct stage *stage, int round)
{
    char path[FILE_PATH_BYTES];
    (void)round;
    path_of(stage, 2, 1, path);
    write_file(path,
               "a text of somebody else, longer than any head of a file of ours would be: "
               "it must not be taken for one.\n",
               103);
}

static void remove_shard(struct stage *stage, int round)
{
    char path[FILE_PATH_BYTES];
    (void)round;
    path_of(stage, 2, 1, path);
    unlink(path);
}

static void remove_both(struct stage *stage, int round)
{
    char path[FILE_PATH_BYTES];
    remove_shard(stage, round);
    path_of(stage, 1, 0, path);
    unlink(path);
}

static void swap_shards(struct stage *stage, int round)
{
    uint8_t *bytes;
    char path[FILE_PATH_BYTES];
    (void)round;
    path_of(stage, 2, 0, path);
    size_t count = read_file(path, &bytes);
    path_of(stage, 2, 1, path);
    write_file(path, bytes, count);
    free(bytes);
}

Test(checkpoint_faults, foreign_missing_and_exchanged_files_are_passed_over)
{
    static void (*const harms[])(struct stage *, int) = {put_text, remove_shard, swap_shards};
    for (size_t i = 0; i < LENGTH(harms); i++) {
        struct stage stage;
        stage_begin(&stage);
        stage.harm = harms[i];
        expect_load(&stage, WW_OK, 1, NULL);
        folder_end(stage.folder);
    }
}

Test(checkpoint_faults, when_nothing_is_whole_the_newest_file_and_its_rank_are_named)
{
    struct stage stage;
    stage_begin(&stage);
    stage.harm = remove_both;
    expect_load(&stage, WW_FILE_FAILED, 0, "2.rank-000001, the file of rank 1 of 2, is missing");
    folder_end(stage.folder);
    folder_begin(stage.folder);
    expect_load(&stage, WW_FILE_FAILED, 0, "there is no checkpoint in");
    folder_end(stage.folder);
    expect_load(&stage, WW_FILE_FAILED, 0, "there is no checkpoint in"); /* nor a folder */
}

/* A head that was changed and signed again. */
static void sign(uint8_t *bytes)
{
    uint32_t length = get_u32(bytes + 56);
    memset(bytes + 16, 0, 8);
    put_u64(bytes + 16, checksum_crc64(0, bytes, length));
}

static void make_newer(struct stage *stage, int round)
{
    char path[FILE_PATH_BYTES];
    uint8_t *bytes;
    path_of(stage, 2, files[round], path);
    size_t count = read_file(path, &bytes);
    put_u32(bytes + 8, SHARD_VERSION + 1);
    sign(bytes);
    write_file(path, bytes, count);
    free(bytes);
}

Test(checkpoint_faults, a_newer_version_is_refused_and_stays)
{
    struct stage stage;
    stage_begin(&stage);
    stage.harm = make_newer;
    stage.rounds = 2;
    expect_load(&stage, WW_UNSUPPORTED, 0, "version 2 of the format, this library knows 1");
    cr_expect_eq(folder_files(stage.folder), 6);
    folder_end(stage.folder);
}

/* ---- Other models --------------------------------------------------------------------------- */

static void load_other_model(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    static const char *const first[] = {"first", "premier", "first", "first"};
    static const size_t shapes[][2] = {{100, 60}, {100, 60}, {60, 100}, {100, 60}};
    static const char *const words[] = {"tensor 1 is absent here and \"bias\" f32[300]",
                                        "tensor 0 is \"premier\" f32[100 60] here and \"first\"",
                                        "\"first\" f32[60 100] here and \"first\" f32[100 60]",
                                        "\"first\" f64[100 60] here and \"first\" f32[100 60]"};
    for (size_t i = 0; i < LENGTH(first); i++) {
        struct ww_config config = world_config();
        struct ww_context *context = world_context(world, &config);
        struct ww_tensor *tensor;
        check_status(
            ww_tensor_add(context, first[i], i == 3 ? WW_F64 : WW_F32, 2, shapes[i], &tensor),
            WW_OK);
        check_status(ww_tensors_commit(context), WW_OK);
        check_status(ww_checkpoint_load(context, stage->folder), WW_MISMATCH);
        check_words(ww_last_error(context), words[i], NULL);
        ww_context_destroy(context);
    }
}

static void load_other_op(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    uint8_t more[100];
    struct saver_plan plan = usual;
    plan.op = WW_MEAN;
    saver_begin(&saver, world, &plan);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_MISMATCH);
    check_words(ww_last_error(saver.context), "gradient_op sum, here it is mean", NULL);
    saver_end(&saver);
    saver_begin(&saver, world, &usual);
    check_status(ww_checkpoint_attach(saver.context, "step", more, sizeof more, WW_KEEP_COMMON),
                 WW_OK);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_BAD_ARGUMENT);
    check_words(ww_last_error(saver.context), "\"step\" has 8 bytes", "here 100 are attached",
                NULL);
    if (world->rank == 1) {
        ww_checkpoint_attach(saver.context, "step", more, 8, WW_KEEP_COMMON);
    } else {
        ww_checkpoint_attach(saver.context, "step", NULL, 0, WW_KEEP_COMMON);
    }
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_MISMATCH);
    check_words(ww_last_error(saver.context), "rank 1 attached other common names", NULL);
    _Alignas(4) uint8_t kept[8];
    ww_checkpoint_attach(saver.context, "step", kept, sizeof kept,
                         world->rank == 1 ? WW_KEEP_MEAN : WW_KEEP_COMMON);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_MISMATCH);
    check_words(ww_last_error(saver.context), "rank 1 attached other common names", NULL);
    saver_end(&saver);
}

Test(checkpoint_faults, another_model_is_named_by_its_first_tensor)
{
    struct stage stage;
    stage_begin(&stage);
    world_run(2, load_other_model, &stage);
    world_run(2, load_other_op, &stage);
    world_forgive();
    folder_end(stage.folder);
}

/* ---- Saving goes wrong ---------------------------------------------------------------------- */

static void save_in_vain(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    const char *folder = stage->other[0] != '\0' ? stage->other : stage->folder;
    saver_begin(&saver, world, &usual);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    saver_step(&saver, world->rank);
    check_status(ww_checkpoint_save(saver.context, folder), WW_FILE_FAILED);
    check_words(ww_last_error(saver.context), stage->words, NULL);
    saver_step(&saver, world->rank);
    saver_end(&saver);
}

static void do_nothing(struct stage *stage, int round)
{
    (void)stage;
    (void)round;
}

static void expect_refused_save(struct stage *stage, const char *words)
{
    stage->words = words;
    world_run(2, save_in_vain, stage);
    world_forgive();
}

Test(checkpoint_faults, no_space_left_loses_nothing)
{
    struct stage stage;
    struct rlimit before;
    stage_begin(&stage);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_DFL); /* which ends a program */
    static const rlim_t limits[] = {0, 100, 4096, 20000};
    for (size_t i = 0; i < LENGTH(limits); i++) {
        struct rlimit little = {limits[i], before.rlim_max};
        setrlimit(RLIMIT_FSIZE, &little);
        expect_refused_save(&stage, "File too large: make room there");
        setrlimit(RLIMIT_FSIZE, &before);
        cr_expect_eq(folder_files(stage.folder), 6, "something was left behind");
        stage.harm = do_nothing;
        expect_load(&stage, WW_OK, 2, NULL);
    }
    folder_end(stage.folder);
}

/* A folder where rank 1's file should be: only that rank fails. */
Test(checkpoint_faults, one_rank_that_cannot_write_is_named_by_all)
{
    struct stage stage;
    char path[FILE_PATH_BYTES];
    stage_begin(&stage);
    path_of(&stage, 3, 1, path);
    strcat(path, ".new");
    mkdir(path, 0777);
    expect_refused_save(&stage, "rank 1 (");
    rmdir(path);
    path_of(&stage, 3, FOLDER_MANIFEST, path);
    strcat(path, ".new");
    mkdir(path, 0777);
    expect_refused_save(&stage, "Is a directory");
    rmdir(path);
    cr_expect_eq(folder_files(stage.folder), 6, "something was left behind");
    stage.harm = do_nothing;
    expect_load(&stage, WW_OK, 2, NULL);
    folder_end(stage.folder);
}

/* What kills left, and names that only look like ours. */
static void leave_files(const struct stage *stage)
{
    static const char *const names[] = {"wirewise-0000000002.rank-000007.new",
                                        "wirewise-0000000003.rank-000000",
                                        "wirewise-0000000003.rank-000001.new",
                                        "wirewise-0000000004.rank-000001",
                                        "wirewise-0000000004.manifest.new",
                                        "wirewise-0000000005.rank-000000.kept",
                                        "wirewise-0000000005.text",
                                        "wirewise-notes.new"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        char path[FILE_PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", stage->folder, names[i]);
        write_file(path, names[i], strlen(names[i]));
    }
}

/* Where no manifest is seen, files stay that rank 0's does not lie beside. */
Test(checkpoint_faults, without_a_manifest_only_what_lies_beside_rank_0_goes)
{
    struct stage stage;
    struct folder_list list;
    struct reason reason;
    char path[FILE_PATH_BYTES];
    folder_begin(stage.folder);
    leave_files(&stage);
    folder_clear_orphans(stage.folder, 0);
    cr_assert_eq(folder_read(stage.folder, &list, &reason), FAULT_NONE);
    path_of(&stage, 4, 1, path);
    cr_expect_eq(access(path, F_OK), 0, "rank 1's file is gone");
    path_of(&stage, 3, 0, path);
    cr_expect_neq(access(path, F_OK), 0, "rank 0's file is there");
    folder_clear_orphans(stage.folder, 3);
    path_of(&stage, 4, 1, path);
    cr_expect_neq(access(path, F_OK), 0, "rank 1's file is there");
    folder_end(stage.folder);
}

static void save_once(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    struct saver_plan plan = usual;
    plan.ranks_per_host = stage->rounds;
    saver_begin(&saver, world, &plan);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    saver_step(&saver, world->rank);
    check_status(ww_checkpoint_save(saver.context, stage->folder), (enum ww_status)stage->wanted);
    saver_end(&saver);
}

/* A save that fails as soon as it writes has made room all the same. */
static void expect_room(int ranks_per_host)
{
    struct stage stage;
    char path[FILE_PATH_BYTES];
    struct ww_checkpoint_facts facts = WW_CHECKPOINT_FACTS_INIT;
    stage_begin(&stage);
    leave_files(&stage);
    stage.rounds = ranks_per_host;
    stage.wanted = WW_FILE_FAILED;
    path_of(&stage, 6, 0, path); /* numbers that were there are not used again */
    strcat(path, ".new");
    mkdir(path, 0777);
    world_run(2, save_once, &stage);
    world_forgive();
    rmdir(path);
    cr_expect_eq(folder_files(stage.folder), 6 + 3, "%d files", folder_files(stage.folder));
    stage.wanted = WW_OK;
    world_run(2, save_once, &stage);
    cr_expect_eq(folder_files(stage.folder), 6 + 3);
    cr_expect_eq(ww_checkpoint_describe(stage.folder, &facts), WW_OK);
    cr_expect(facts.generation == 6 && facts.step == 3, "generation %d, step %d",
              (int)facts.generation, (int)facts.step);
    folder_end(stage.folder);
}

Test(checkpoint_faults, what_killed_saves_left_goes_before_anything_is_written)
{
    expect_room(0);
    expect_room(1); /* each host's first rank looks */
}

Test(checkpoint_faults, folders_that_cannot_be_are_named)
{
    struct stage stage;
    stage_begin(&stage);
    snprintf(stage.other, sizeof stage.other, "%.40s/no/where", stage.folder);
    expect_refused_save(&stage, "no/where cannot be made: No such file or directory");
    snprintf(stage.other, sizeof stage.other, "/proc/version");
    expect_refused_save(&stage, "/proc/version is no folder");
    snprintf(stage.other, sizeof stage.other, "/proc/%d/fdinfo", (int)getpid());
    expect_refused_save(&stage, "cannot be written");
    folder_end(stage.folder);
}

/* ---- Wrong calls ---------------------------------------------------------------------------- */

static void call_wrongly(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    struct ww_config config = world_config();
    struct ww_context *bare = world_context(world, &config);
    static char long_path[4000];
    memset(long_path, 'x', sizeof long_path - 1);
    struct ww_tensor *early;
    check_status(ww_tensor_add(bare, "early", WW_F32, 1, (size_t[]){4}, &early), WW_OK);
    check_status(ww_checkpoint_save(bare, stage->folder), WW_BAD_STATE);
    check_status(ww_checkpoint_load(bare, stage->folder), WW_BAD_STATE);
    check_status(ww_step_dense_next(bare), WW_BAD_STATE);
    ww_context_destroy(bare);
    check_status(ww_checkpoint_save(NULL, stage->folder), WW_BAD_ARGUMENT);
    saver_begin(&saver, world, &usual);
    check_status(ww_checkpoint_save(saver.context, NULL), WW_BAD_ARGUMENT);
    check_status(ww_checkpoint_load(saver.context, ""), WW_BAD_ARGUMENT);
    check_status(ww_checkpoint_save(saver.context, long_path), WW_BAD_ARGUMENT);
    check_status(ww_checkpoint_attach(saver.context, "", &saver, 1, WW_KEEP_COMMON),
                 WW_BAD_ARGUMENT);
    check_status(ww_checkpoint_attach(saver.context, long_path, &saver, 1, WW_KEEP_COMMON),
                 WW_BAD_ARGUMENT);
    check_status(ww_checkpoint_attach(saver.context, "x", &saver, 1, (enum ww_keep)7),
                 WW_BAD_ARGUMENT);
    check_status(ww_step_begin(saver.context), WW_OK);
    check_status(ww_checkpoint_save(saver.context, stage->folder), WW_BAD_STATE);
    check_words(ww_last_error(saver.context), "inside of step 1", NULL);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_BAD_STATE);
    check_status(ww_step_dense_next(saver.context), WW_BAD_STATE);
    for (int t = 0; t < SAVER_TENSORS; t++) {
        check_status(ww_tensor_skip(saver.tensors[t], NULL), WW_OK);
    }
    check_status(ww_step_end(saver.context, NULL), WW_OK);
    check_status(ww_checkpoint_save(saver.context, world->rank == 1 ? "/tmp" : stage->folder),
                 WW_MISMATCH);
    check_words(ww_last_error(saver.context), "was given the folder", "/tmp", "rank 1", NULL);
    check_status(ww_checkpoint_load(saver.context, world->rank == 1 ? "/tmp" : stage->folder),
                 WW_MISMATCH);
    check_status(world->rank == 1 ? ww_checkpoint_load(saver.context, stage->folder)
                                  : ww_checkpoint_save(saver.context, stage->folder),
                 WW_MISMATCH);
    check_words(ww_last_error(saver.context), "rank 1", "called ww_checkpoint_load, rank 0",
                "ww_checkpoint_save: all ranks make the same call", NULL);
    for (int i = 0; i < 5; i++) {
        check_status(ww_checkpoint_save(saver.context, stage->folder), WW_OK);
    }
    saver_end(&saver);
}

Test(checkpoint_faults, calls_at_the_wrong_time_break_nothing)
{
    struct stage stage = {.rounds = 1};
    folder_begin(stage.folder);
    world_run(3, call_wrongly, &stage);
    cr_expect_eq(folder_files(stage.folder), 8, "two generations are kept, here are %d files",
                 folder_files(stage.folder));
    world_forgive();
    folder_end(stage.folder);
}

static void differ(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    float values[4] = {0};
    saver_begin(&saver, world, &usual);
    enum ww_status status = world->rank == 0
                                ? ww_checkpoint_save(saver.context, stage->folder)
                                : ww_all_reduce(saver.context, values, values, 4, WW_F32, WW_SUM);
    check(status == WW_MISMATCH, "rank %d got %s", world->rank, ww_status_name(status));
    check_words(ww_last_error(saver.context), "a checkpoint (ww_checkpoint_save", NULL);
    saver_end(&saver);
}

Test(checkpoint_faults, a_rank_that_does_something_else_is_named)
{
    struct stage stage = {.rounds = 1};
    folder_begin(stage.folder);
    world_run(2, differ, &stage);
    world_forgive();
    folder_end(stage.folder);
}

static void wish_alone(const struct ww_world *world, void *shared)
{
    struct saver saver;
    (void)shared;
    saver_begin(&saver, world, &usual);
    if (world->rank == 1) {
        check_status(ww_step_dense_next(saver.context), WW_OK);
    }
    check_status(ww_step_begin(saver.context), WW_OK);
    enum ww_status status = WW_OK;
    for (int t = SAVER_TENSORS; t-- > 0 && status == WW_OK;) {
        status = ww_tensor_skip(saver.tensors[t], NULL);
    }
    status = status == WW_OK ? ww_step_end(saver.context, NULL) : status;
    check(status == WW_MISMATCH, "rank %d got %s", world->rank, ww_status_name(status));
    check_words(ww_last_error(saver.context), "rank 1", "topk:0.05", NULL);
    saver_end(&saver);
}

Test(checkpoint_faults, a_dense_step_that_one_rank_alone_asked_for_is_named)
{
    world_run(3, wish_alone, NULL);
    world_forgive();
}

/* ---- Any bytes ------------------------------------------------------------------------------ */

static uint64_t draw(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Random bytes, or one of our heads with random bytes in it, signed or not. */
Test(checkpoint_faults, any_bytes_are_judged_without_a_crash)
{
    char folder[64];
    char path[FILE_PATH_BYTES];
    uint64_t state = 1;
    uint8_t bytes[1200];
    folder_begin(folder);
    folder_path(path, folder, 1, 0);
    const struct shard_piece piece = {"some bytes", 10};
    const struct shard_draft drafts[] = {{3, "name", &piece, 1}, {4, "", &piece, 1}};
    int whole = 0;
    for (int round = 0; round < EFFORT(4000, 600); round++) {
        struct shard shard;
        struct shard_stamp stamp;
        struct reason reason;
        const struct shard_label label = {SHARD_OF_RANK, 1, 2, 0, 1};
        size_t count = draw(&state) % sizeof bytes;
        if (round % 4 == 0) {
            for (size_t i = 0; i < count; i++) {
                bytes[i] = (uint8_t)draw(&state);
            }
        } else {
            uint8_t *made;
            cr_assert_eq(shard_write(path, &label, drafts, 2, &stamp, &reason), FAULT_NONE);
            count = read_file(path, &made);
            memcpy(bytes, made, count);
            free(made);
            for (uint64_t i = draw(&state) % 6; i > 0; i--) {
                bytes[draw(&state) % count] = (uint8_t)draw(&state);
            }
            if (round % 4 != 1 && get_u32(bytes + 56) >= 64 && get_u32(bytes + 56) <= count) {
                sign(bytes);
            }
        }
        write_file(path, bytes, count);
        if (shard_open(&shard, path, &reason) == FAULT_NONE) {
            whole += shard_verify(&shard, &reason) == FAULT_NONE;
            shard_close(&shard);
        } else {
            cr_assert_gt(strlen(reason.text), 10);
        }
    }
    cr_expect_gt(whole, 20, "only %d files were whole", whole);
    checks_settle();
    folder_end(folder);
}

/* Whole files with valid checksums, whose sections make no sense. */
static void write_nonsense(struct stage *stage, int round)
{
    uint64_t state = (uint64_t)round + 1;
    static uint8_t data[4096];
    uint8_t stamps[32];
    char path[FILE_PATH_BYTES];
    struct reason reason;
    struct shard_stamp stamp;
    for (int rank = 0; rank < 2; rank++) {
        struct shard_label label = {SHARD_OF_RANK, 9, draw(&state), (uint32_t)rank, 2};
        struct shard_piece pieces[8];
        struct shard_draft drafts[8];
        uint8_t *real;
        struct shard whole;
        path_of(stage, 1, rank, path);
        read_file(path, &real);
        check(shard_open(&whole, path, &reason) == FAULT_NONE, "%s", reason.text);
        for (size_t i = 0; i < 8; i++) { /* true sections, some with a wrong byte or length */
            const struct shard_section *section = &whole.sections[i];
            size_t bytes = section->bytes;
            uint8_t *at = real + section->offset;
            if (draw(&state) % 3 == 0 && bytes > 0) {
                at[draw(&state) % bytes] = (uint8_t)draw(&state);
            }
            bytes -= draw(&state) % 7 == 0 && bytes > 0 ? draw(&state) % bytes : 0;
            bool wild = draw(&state) % 9 == 0;
            pieces[i] = wild ? (struct shard_piece){data, draw(&state) % sizeof data}
                             : (struct shard_piece){at, bytes};
            drafts[i] = (struct shard_draft){section->kind, section->name, &pieces[i], 1};
        }
        path_of(stage, 9, rank, path);
        check(shard_write(path, &label, drafts, draw(&state) % 4 == 0 ? draw(&state) % 9 : 8,
                          &stamp, &reason) == FAULT_NONE,
              "%s", reason.text);
        put_u64(stamps + 16 * rank, stamp.bytes);
        put_u64(stamps + 16 * rank + 8, stamp.checksum);
        shard_close(&whole);
        free(real);
    }
    const struct shard_piece piece = {stamps, 32};
    const struct shard_draft draft = {10, "", &piece, 1};
    const struct shard_label label = {SHARD_MANIFEST, 9, 0, 0, 2};
    path_of(stage, 9, FOLDER_MANIFEST, path);
    check(shard_write(path, &label, &draft, 1, &stamp, &reason) == FAULT_NONE, "%s", reason.text);
}

static void load_nonsense(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    saver_begin(&saver, world, &usual);
    for (int round = 0; round < EFFORT(400, 60); round++) {
        if (world->rank == 0) {
            write_nonsense(stage, round);
        }
        world_meet(world);
        enum ww_status status = ww_checkpoint_load(saver.context, stage->folder);
        check(status == WW_OK || status == WW_MISMATCH || status == WW_BAD_ARGUMENT ||
                  status == WW_FILE_FAILED,
              "round %d: %s", round, ww_status_name(status));
        world_meet(world);
        if (round % 10 == 0) {
            saver_step(&saver, world->rank);
        }
    }
    saver_end(&saver);
}

Test(checkpoint_faults, sections_without_sense_do_no_harm)
{
    struct stage stage;
    stage_begin(&stage);
    world_run(2, load_nonsense, &stage);
    world_forgive();
    folder_end(stage.folder);
}

/* ---- Checksums ------------------------------------------------------------------------------ */

/* The catalogue of parametrised CRCs gives this one for CRC-64/XZ; xxHash gives the other. */
Test(checkpoint_faults, checksums_are_the_published_ones)
{
    cr_expect_eq(checksum_crc64(0, "123456789", 9), UINT64_C(0x995dc9bbdf1939fa));
    cr_expect_eq(checksum_crc64(checksum_crc64(0, "1234", 4), "56789", 5),
                 UINT64_C(0x995dc9bbdf1939fa));
    struct checksum checksum;
    checksum_begin(&checksum, checksum_best());
    cr_expect_eq(checksum_end(&checksum),
                 checksum_best() == CHECKSUM_XXH3 ? UINT64_C(0x2d06800538d394c2) : 0);
}
