/* SPDX-License-Identifier: BSD-3-Clause
 * test_log.c: a line is whole, goes where it should, and each thread keeps its own latest error. */
#define _GNU_SOURCE
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Stands between the logger and its reader: whatever is written to stderr can be read back. */
struct stderr_tap {
    int saved;
    int from;
};

static struct stderr_tap tap_open(int from, int to)
{
    struct stderr_tap tap = {dup(STDERR_FILENO), from};
    cr_assert_geq(tap.saved, 0);
    cr_assert_geq(dup2(to, STDERR_FILENO), 0);
    close(to);
    fcntl(from, F_SETFL, O_NONBLOCK);
    return tap;
}

static struct stderr_tap tap_pipe(void)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    return tap_open(ends[0], ends[1]);
}

/* A terminal, because only a terminal is given colours. */
static struct stderr_tap tap_terminal(void)
{
    int control = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert(control >= 0 && grantpt(control) == 0 && unlockpt(control) == 0);
    int terminal = open(ptsname(control), O_RDWR | O_NOCTTY);
    cr_assert_geq(terminal, 0);
    return tap_open(control, terminal);
}

/* Puts stderr back and returns what was written meanwhile; a terminal hands it over in parts. */
static const char *tap_close(struct stderr_tap *tap)
{
    static char text[65536];
    size_t length = 0;
    dup2(tap->saved, STDERR_FILENO);
    close(tap->saved);
    struct pollfd from = {.fd = tap->from, .events = POLLIN};
    while (length < sizeof text - 1 && poll(&from, 1, 10000) == 1) {
        ssize_t bytes = read(tap->from, text + length, sizeof text - 1 - length);
        if (bytes <= 0) {
            break;
        }
        length += (size_t)bytes;
    }
    close(tap->from);
    text[length] = '\0';
    return text;
}

Test(log, a_line_names_program_level_and_sentence)
{
    struct stderr_tap tap = tap_pipe();
    log_warn("%d links of %s", 3, "h1");
    cr_expect_str_eq(tap_close(&tap), "wirewise warning: 3 links of h1\n");
}

Test(log, a_line_names_the_rank_of_its_thread)
{
    struct stderr_tap tap = tap_pipe();
    log_set_rank(7);
    log_info("here");
    log_set_rank(-1);
    log_info("there");
    cr_expect_str_eq(tap_close(&tap), "wirewise [rank 7] info: here\nwirewise info: there\n");
}

Test(log, what_fails_behind_a_failure_does_not_hide_it)
{
    struct stderr_tap tap = tap_pipe();
    log_failure(WW_TIMED_OUT, "first");
    log_hold_error();
    log_hold_error();
    cr_expect_eq(log_failure(WW_PEER_FAILED, "second"), WW_PEER_FAILED);
    log_release_error();
    log_failure(WW_PEER_FAILED, "third");
    cr_expect_str_eq(log_last_error(), "first");
    log_release_error();
    log_failure(WW_PEER_FAILED, "fourth");
    cr_expect_str_eq(log_last_error(), "fourth");
    cr_expect_str_eq(tap_close(&tap), "wirewise error: first\nwirewise error: fourth\n");
}

Test(log, lines_above_the_level_are_dropped)
{
    static const struct {
        enum ww_log_level level;
        const char *shown;
    } cases[] = {{WW_LOG_ERROR, "wirewise error: e\n"},
                 {WW_LOG_WARN, "wirewise error: e\nwirewise warning: w\n"},
                 {WW_LOG_INFO, "wirewise error: e\nwirewise warning: w\nwirewise info: i\n"},
                 {WW_LOG_DEBUG, "wirewise error: e\nwirewise warning: w\nwirewise info: i\n"
                                "wirewise debug: d\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct stderr_tap tap = tap_pipe();
        log_set_level(cases[i].level);
        log_failure(WW_BAD_STATE, "e");
        log_warn("w");
        log_info("i");
        log_debug("d");
        cr_expect_str_eq(tap_close(&tap), cases[i].shown);
    }
}

Test(log, a_failure_returns_its_status_and_stays_the_latest_error)
{
    capture_start();
    cr_expect_str_empty(log_last_error());
    cr_expect_eq(log_failure(WW_MISMATCH, "count %d and %d", 4, 5), WW_MISMATCH);
    log_warn("later");
    cr_expect_str_eq(log_last_error(), "count 4 and 5");
    log_failure(WW_TIMED_OUT, "rank %d", 2);
    cr_expect_str_eq(log_last_error(), "rank 2");
}

Test(log, a_long_sentence_is_cut_and_its_line_still_ends)
{
    char words[3 * LOG_SENTENCE_BYTES];
    memset(words, 'x', sizeof words);
    words[sizeof words - 1] = '\0';
    struct stderr_tap tap = tap_pipe();
    log_set_rank(2147483647);
    log_failure(WW_BAD_ARGUMENT, "%s", words);
    const char *line = tap_close(&tap);
    cr_expect_eq(strlen(log_last_error()), (size_t)LOG_SENTENCE_BYTES - 1);
    cr_expect_eq(strlen(line),
                 strlen("wirewise [rank 2147483647] error: \n") + strlen(log_last_error()));
    cr_expect_eq(strchr(line, '\n'), line + strlen(line) - 1);
}

Test(log, a_quiet_sink_gets_every_line_and_stderr_none)
{
    struct stderr_tap tap = tap_pipe();
    log_set_level(WW_LOG_ERROR);
    capture_start();
    log_debug("small");
    log_failure(WW_BAD_STATE, "large");
    cr_expect_str_empty(tap_close(&tap));
    expect_line(WW_LOG_DEBUG, "small");
    expect_line(WW_LOG_ERROR, "large");
}

static void count_line(void *self, enum ww_log_level level, const char *line)
{
    (void)level;
    (void)line;
    *(int *)self += 1;
}

Test(log, a_sink_that_is_not_quiet_shares_with_stderr)
{
    int count = 0;
    struct stderr_tap tap = tap_pipe();
    log_set_sink(count_line, &count, 0);
    log_warn("both");
    log_set_sink(NULL, NULL, 0);
    log_warn("stderr");
    cr_expect_str_eq(tap_close(&tap), "wirewise warning: both\nwirewise warning: stderr\n");
    cr_expect_eq(count, 1);
}

Test(log, colours_are_for_terminals_that_want_them)
{
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    struct stderr_tap tap = tap_terminal();
    log_warn("bright");
    cr_expect_str_eq(tap_close(&tap), "wirewise \033[33mwarning:\033[0m bright\r\n");
}

Test(log, no_color_is_obeyed)
{
    setenv("NO_COLOR", "1", 1);
    setenv("TERM", "xterm", 1);
    struct stderr_tap tap = tap_terminal();
    log_warn("plain");
    cr_expect_str_eq(tap_close(&tap), "wirewise warning: plain\r\n");
}

Test(log, a_dumb_terminal_gets_no_colours)
{
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    struct stderr_tap tap = tap_terminal();
    log_warn("plain");
    cr_expect_str_eq(tap_close(&tap), "wirewise warning: plain\r\n");
}

#define THREADS 4
#define LINES 200

struct talker {
    int number;
    int mixed; /* latest errors that were another thread's */
};

static void *talk(void *self)
{
    struct talker *talker = self;
    log_set_rank(talker->number);
    for (int line = 0; line < LINES; line++) {
        char mine[32];
        snprintf(mine, sizeof mine, "talker %d line %d", talker->number, line);
        log_failure(WW_BAD_STATE, "%s", mine);
        talker->mixed += strcmp(log_last_error(), mine) != 0;
    }
    return NULL;
}

Test(log, threads_keep_their_own_errors_and_whole_lines)
{
    struct stderr_tap tap = tap_pipe();
    fcntl(tap.from, F_SETPIPE_SZ, 1 << 20);
    pthread_t threads[THREADS];
    struct talker talkers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        talkers[i] = (struct talker){i, 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, talk, &talkers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        cr_expect_eq(talkers[i].mixed, 0);
    }
    int lines = 0;
    char *rest = NULL;
    char *text = strdup(tap_close(&tap));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        int rank = -1;
        int talker = -2;
        int number = -1;
        char end = 0;
        int words = sscanf(line, "wirewise [rank %d] error: talker %d line %d%c", &rank, &talker,
                           &number, &end);
        cr_assert(words == 3 && rank == talker, "a mixed line: %s", line);
        lines++;
    }
    free(text);
    cr_expect_eq(lines, THREADS * LINES);
}

/* ---- Children --------------------------------------------------------------------------- */

static sem_t inside;
static sem_t leave;

static void hold(void *self, enum ww_log_level level, const char *line)
{
    (void)self;
    (void)level;
    (void)line;
    sem_post(&inside);
    sem_wait(&leave);
}

static void *log_and_be_held(void *self)
{
    log_warn("held");
    return self;
}

/* Another thread of the parent is in the middle of a line. */
Test(log, a_forked_child_logs)
{
    pthread_t thread;
    sem_init(&inside, 0, 0);
    sem_init(&leave, 0, 0);
    log_set_sink(hold, NULL, 1);
    cr_assert_eq(pthread_create(&thread, NULL, log_and_be_held, NULL), 0);
    sem_wait(&inside);
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        log_after_fork();
        log_set_sink(NULL, NULL, 0);
        log_warn("the child's");
        _exit(0);
    }
    int how = -1;
    cr_expect_eq(waitpid(child, &how, 0), child);
    cr_expect(WIFEXITED(how) && WEXITSTATUS(how) == 0, "the child ended with %d", how);
    sem_post(&leave);
    pthread_join(thread, NULL);
    log_set_sink(NULL, NULL, 0);
}

/* ---- Signals -------------------------------------------------------------------------------- */

static int full_pipe; /* its end to read from */

static void empty_pipe(int signal)
{
    char bytes[4096];
    int before = errno;
    (void)signal;
    while (read(full_pipe, bytes, sizeof bytes) > 0) {
        continue;
    }
    errno = before;
}

/* A profiler's signal, say, while whoever reads stderr is slow. */
Test(log, a_signal_that_comes_while_stderr_is_full_takes_no_line_away)
{
    struct stderr_tap tap = tap_pipe();
    struct sigaction action = {.sa_handler = empty_pipe};
    struct itimerval soon = {.it_value.tv_usec = 50000};
    char bytes[4096] = {0};
    full_pipe = tap.from;
    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    while (write(STDERR_FILENO, bytes, sizeof bytes) > 0) {
        continue;
    }
    fcntl(STDERR_FILENO, F_SETFL, 0);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    log_warn("waits for room");
    cr_expect_str_eq(tap_close(&tap), "wirewise warning: waits for room\n");
}

/* ---- Readers that stopped ------------------------------------------------------------------- */

/* A launcher that is held in a debugger, say. */
Test(log, a_pipe_that_nobody_reads_holds_nobody_up, .timeout = 20)
{
    struct stderr_tap tap = tap_pipe();
    char bytes[4096] = {0};
    fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK);
    while (write(STDERR_FILENO, bytes, sizeof bytes) > 0) {
        continue;
    }
    fcntl(STDERR_FILENO, F_SETFL, 0);
    log_warn("one");
    log_failure(WW_BAD_STATE, "two");
    cr_expect_str_eq(log_last_error(), "two");
    while (read(tap.from, bytes, sizeof bytes) > 0) {
        continue;
    }
    log_warn("three");
    log_warn("four");
    cr_expect_str_eq(tap_close(&tap),
                     "wirewise warning: 2 lines are missing here: nobody read stderr\n"
                     "wirewise warning: three\nwirewise warning: four\n");
}
