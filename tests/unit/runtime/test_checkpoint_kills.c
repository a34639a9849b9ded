/* SPDX-License-Identifier: BSD-3-Clause
 * test_checkpoint_kills.c: processes that save all the time are killed at random instants. What
 * they leave is always the last generation that they told about, or the next one, whole, and files
 * of one save at most that count for nothing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "savers.h"
#include "store/folder.h"

#define KILLS 200
#define MOST_FILES 9 /* two generations, and what one save left */

TestSuite(checkpoint_kills, .init = capture_start, .fini = capture_finish);

static const struct saver_plan usual = {.codec = "int8"};

/* In the child and in the parent: pipe = what the child tells. */
struct stage {
    char folder[64];
    int pipe;
    bool resumes;
    uint64_t found;
    int residues; /* ranks that found what they kept */
};

/* What the program attaches says by itself which step it is of. */
static void fill(uint64_t *words, size_t count, uint64_t step)
{
    for (size_t i = 0; i < count; i++) {
        words[i] = step * UINT64_C(0x9e3779b97f4a7c15) + i;
    }
}

#define WORDS 40000

static void save_until_killed(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    uint64_t *words = calloc(WORDS, sizeof *words);
    saver_begin(&saver, world, &usual);
    ww_checkpoint_attach(saver.context, "words", words, WORDS * sizeof *words, WW_KEEP_PER_RANK);
    if (stage->resumes && ww_checkpoint_load(saver.context, stage->folder) != WW_OK) {
        _exit(3);
    }
    for (;;) {
        saver_step(&saver, world->rank);
        fill(words, WORDS, saver.step + (uint64_t)world->rank);
        if (ww_checkpoint_save(saver.context, stage->folder) != WW_OK) {
            _exit(4);
        }
        if (world->rank == 0 && write(stage->pipe, &saver.step, sizeof saver.step) < 0) {
            _exit(5);
        }
    }
}

static void look(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    uint64_t *words = calloc(2 * WORDS, sizeof *words);
    saver_begin(&saver, world, &usual);
    ww_checkpoint_attach(saver.context, "words", words, WORDS * sizeof *words, WW_KEEP_PER_RANK);
    check_status(ww_checkpoint_load(saver.context, stage->folder), WW_OK);
    fill(words + WORDS, WORDS, saver.step + (uint64_t)world->rank);
    check(memcmp(words, words + WORDS, WORDS * sizeof *words) == 0,
          "rank %d: what is attached is not of step %d", world->rank, (int)saver.step);
    if (world->rank == 0) {
        stage->found = saver.step;
    }
    saver_step(&saver, world->rank);
    check(saver.report.step == saver.step, "step %d counts as %d", (int)saver.step,
          (int)saver.report.step);
    saver_end(&saver);
    free(words);
}

/* The last step that the child told of; 0 = none. Waits for the first one. */
static uint64_t listen_for(int pipe, uint64_t last)
{
    uint64_t step;
    while (read(pipe, &step, sizeof step) == (ssize_t)sizeof step) {
        last = step;
    }
    return last;
}

static void wait_us(long us)
{
    struct timespec time = {0, us * 1000};
    nanosleep(&time, NULL);
}

/* One life: it saves at least once, and is killed up to 20 ms later. */
static uint64_t live_and_die(struct stage *stage, int size, long us)
{
    int ends[2];
    uint64_t first = 0;
    cr_assert_eq(pipe(ends), 0);
    stage->pipe = ends[1];
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        world_run(size, save_until_killed, stage);
        _exit(6);
    }
    close(ends[1]);
    cr_assert_eq(read(ends[0], &first, sizeof first), (ssize_t)sizeof first,
                 "the child ended by itself");
    wait_us(us);
    kill(child, SIGKILL);
    int how;
    waitpid(child, &how, 0);
    cr_assert(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
    uint64_t last = listen_for(ends[0], first);
    close(ends[0]);
    return last;
}

Test(checkpoint_kills, a_kill_at_any_instant_leaves_the_old_or_the_new_one)
{
    struct stage stage = {.resumes = false};
    int newer = 0;
    int files = 0;
    unsigned chance = 12345;
    folder_begin(stage.folder);
    for (int kills = 0; kills < KILLS; kills++) {
        int size = 2; /* all lives continue one run */
        chance = chance * 1103515245U + 12345U;
        uint64_t told = live_and_die(&stage, size, (long)(chance >> 8) % 20000);
        stage.resumes = true;
        world_run(size, look, &stage);
        cr_assert(stage.found == told || stage.found == told + 1,
                  "kill %d: step %d was told, step %d is there", kills, (int)told,
                  (int)stage.found);
        newer += stage.found != told;
        int here = folder_files(stage.folder);
        files += here != 6;
        cr_assert_leq(here, MOST_FILES, "%d files pile up", here);
    }
    expect_no_warnings(); /* nothing that counted was damaged */
    printf("%d kills: %d left a newer generation than was told of, %d amid files\n", KILLS, newer,
           files);
    folder_end(stage.folder);
}

/* ---- Before anything counts ----------------------------------------------------------------- */

#define LARGE ((size_t)8 << 20) /* rank 1 is the last one to have written */
#define EARLY_KILLS 12

static void save_large(const struct ww_world *world, void *shared)
{
    struct stage *stage = shared;
    struct saver saver;
    char *bytes = calloc(LARGE, 1);
    saver_begin(&saver, world, &usual);
    ww_checkpoint_attach(saver.context, "bytes", bytes, world->rank == 1 ? LARGE : 1,
                         WW_KEEP_PER_RANK);
    ww_checkpoint_save(saver.context, stage->folder);
    for (;;) {
        wait_us(100000);
    }
}

/* Killed once rank 0's file is in place, before the manifest is, where that can be. */
static void die_amid_save(struct stage *stage)
{
    char path[FILE_PATH_BYTES];
    struct folder_list list;
    struct reason reason;
    cr_assert_eq(folder_read(stage->folder, &list, &reason), FAULT_NONE);
    folder_path(path, stage->folder, list.highest + 1, 0);
    pid_t child = fork();
    if (child == 0) {
        world_run(2, save_large, stage);
        _exit(6);
    }
    while (access(path, F_OK) != 0) {
        cr_assert_eq(waitpid(child, NULL, WNOHANG), 0, "the child ended by itself");
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

Test(checkpoint_kills, what_saves_leave_that_never_count_does_not_pile_up)
{
    struct stage stage = {.resumes = false};
    folder_begin(stage.folder);
    for (int kills = 0; kills < EARLY_KILLS; kills++) {
        die_amid_save(&stage);
        int here = folder_files(stage.folder);
        cr_assert_leq(here, MOST_FILES, "%d files pile up after %d kills", here, kills + 1);
    }
    folder_end(stage.folder);
}
