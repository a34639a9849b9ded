/* SPDX-License-Identifier: BSD-3-Clause
 * test_size_guard.c: a limit to the size of files is an error, and no end of the program; nor is a
 * pipe that nobody reads. */
#include "internal/size_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "capture.h"

#define LIMIT 100

static int file;
static volatile sig_atomic_t caught;

static void begin(void)
{
    static char name[] = "/tmp/size-guard-XXXXXX";
    const struct rlimit little = {LIMIT, LIMIT};
    capture_start();
    file = mkstemp(name);
    cr_assert_geq(file, 0);
    unlink(name);
    signal(SIGXFSZ, SIG_DFL);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0);
}

TestSuite(size_guard, .init = begin, .fini = capture_finish);

static bool is_pending(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigpending(&set);
    return sigismember(&set, SIGXFSZ) == 1;
}

static bool is_blocked(void)
{
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, SIGXFSZ) == 1;
}

static void write_too_far(void)
{
    struct size_guard guard;
    size_guard_begin(&guard);
    ssize_t written = pwrite(file, "x", 1, LIMIT);
    size_guard_end(&guard);
    cr_expect_eq(errno, EFBIG);
    cr_expect_eq(written, -1);
}

static void catch (int number)
{
    (void)number;
    caught++;
}

Test(size_guard, a_write_beyond_the_limit_is_an_error)
{
    write_too_far();
    cr_expect_not(is_pending() || is_blocked());
}

Test(size_guard, guards_may_be_nested)
{
    struct size_guard guard;
    size_guard_begin(&guard);
    cr_expect_eq(pwrite(file, "x", 1, LIMIT), -1);
    write_too_far();
    cr_expect(is_blocked());
    size_guard_end(&guard);
    cr_expect_not(is_pending() || is_blocked());
}

Test(size_guard, the_programs_own_signal_stays)
{
    sigset_t set;
    signal(SIGXFSZ, catch);
    write_too_far();
    cr_expect_eq(caught, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    write_too_far();
    cr_expect(is_blocked() && !is_pending());
    raise(SIGXFSZ);
    write_too_far();
    cr_expect(is_blocked() && is_pending());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    cr_expect_eq(caught, 1);
}

/* stderr is a file often enough. */
Test(size_guard, a_line_for_a_full_file_is_lost_alone)
{
    int before = dup(STDERR_FILENO);
    log_set_sink(NULL, NULL, 0);
    cr_assert_eq(ftruncate(file, LIMIT), 0);
    cr_assert_eq(lseek(file, 0, SEEK_END), LIMIT);
    cr_assert_geq(dup2(file, STDERR_FILENO), 0);
    log_warn("nobody reads this");
    dup2(before, STDERR_FILENO);
    cr_expect_not(is_pending() || is_blocked());
}

/* Whoever collects the lines may end before the program does. */
Test(size_guard, a_line_for_a_pipe_that_nobody_reads_is_lost_alone)
{
    int ends[2], before = dup(STDERR_FILENO);
    sigset_t set;
    signal(SIGPIPE, SIG_DFL);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    log_set_sink(NULL, NULL, 0);
    cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
    log_warn("nobody reads this");
    dup2(before, STDERR_FILENO);
    close(ends[1]);
    sigemptyset(&set);
    sigpending(&set);
    cr_expect_eq(sigismember(&set, SIGPIPE), 0);
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    cr_expect_eq(sigismember(&set, SIGPIPE), 0);
}
