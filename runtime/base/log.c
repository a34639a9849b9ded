/* SPDX-License-Identifier: BSD-3-Clause
 * log.c: writes one line per message to stderr and keeps each thread's latest error. */
#include "internal/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/size_guard.h"

/* Whoever reads stderr may have been stopped. So long a line waits; then lines are lost, and a step
 * goes on. */
#define READER_NS CLOCK_NS_PER_S

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const level_colours[] = {"\033[31m", "\033[33m", "\033[36m", "\033[2m"};

static struct {
    pthread_mutex_t lock;
    enum ww_log_level level;
    log_sink *sink;
    void *sink_self;
    int quiet;
} logger = {PTHREAD_MUTEX_INITIALIZER, WW_LOG_INFO, NULL, NULL, 0};

static _Thread_local char last_error[LOG_SENTENCE_BYTES];
static _Thread_local int thread_rank = -1;
static _Thread_local unsigned long error_count;
static _Thread_local int held; /* how often last_error is held */

/* Colour is for people: a terminal, and no wish against it (no-color.org). */
static int wants_colour(void)
{
    static atomic_int answer = -1; /* whoever asks at the same time finds the same */
    int colour = atomic_load_explicit(&answer, memory_order_relaxed);
    if (colour < 0) {
        const char *no = getenv("NO_COLOR");
        const char *term = getenv("TERM");
        colour = isatty(STDERR_FILENO) && (no == NULL || *no == '\0') &&
                 !(term != NULL && strcmp(term, "dumb") == 0);
        atomic_store_explicit(&answer, colour, memory_order_relaxed);
    }
    return colour;
}

/* Lines since stderr last took one. */
static atomic_ulong lost;

/* Whether stderr takes a line without waiting for its reader. */
static bool has_room(uint64_t wait_ns)
{
    struct pollfd stream = {.fd = STDERR_FILENO, .events = POLLOUT};
    uint64_t begin_ns = clock_now_ns(), waited_ns = 0;
    int ready;
    do {
        ready = poll(&stream, 1, (int)((wait_ns - waited_ns) / 1000000));
        waited_ns = clock_now_ns() - begin_ns;
    } while (ready < 0 && errno == EINTR && waited_ns < wait_ns);
    return ready > 0 || (ready < 0 && errno != EINTR); /* what is wrong with it, write tells */
}

/* Tells in text how many lines are missing, if any. Returns its bytes. */
static int lost_tell(char *text, size_t bytes)
{
    unsigned long missing = atomic_exchange(&lost, 0);
    *text = '\0';
    return missing == 0 ? 0
                        : snprintf(text, bytes,
                                   "wirewise warning: %lu line%s missing here: nobody read "
                                   "stderr\n",
                                   missing, missing == 1 ? " is" : "s are");
}

static void write_line(enum ww_log_level level, const char *sentence)
{
    if (!has_room(atomic_load(&lost) == 0 ? READER_NS : 0)) {
        atomic_fetch_add(&lost, 1);
        return;
    }
    char rank[32] = "";
    if (thread_rank >= 0) {
        snprintf(rank, sizeof rank, " [rank %d]", thread_rank);
    }
    int colour = wants_colour();
    char line[LOG_SENTENCE_BYTES + 96 + 96];
    int begin = lost_tell(line, sizeof line);
    /* One write per line, if it may be, so that lines of several ranks do not mix. */
    int bytes = begin + snprintf(line + begin, sizeof line - (size_t)begin,
                                 "wirewise%s %s%s:%s %s\n", rank,
                                 colour ? level_colours[level] : "", level_names[level],
                                 colour ? "\033[0m" : "", sentence);
    if (bytes > (int)sizeof line - 1) {
        bytes = (int)sizeof line - 1;
        line[bytes - 1] = '\n';
    }
    struct size_guard guard;
    size_guard_begin(&guard);
    for (int done = 0; done < bytes;) {
        ssize_t written = write(STDERR_FILENO, line + done, (size_t)(bytes - done));
        if (written == 0 || (written < 0 && errno != EINTR)) {
            break; /* there is nowhere left to report a full stderr to */
        }
        done += written > 0 ? (int)written : 0;
    }
    size_guard_end(&guard);
}

static void log_line(enum ww_log_level level, const char *sentence)
{
    pthread_mutex_lock(&logger.lock);
    log_sink *sink = logger.sink;
    void *self = logger.sink_self;
    int shown = level <= logger.level && !(sink != NULL && logger.quiet);
    if (sink != NULL) {
        sink(self, level, sentence);
    }
    pthread_mutex_unlock(&logger.lock);
    if (shown) {
        write_line(level, sentence);
    }
}

enum ww_status log_failure(enum ww_status status, const char *format, ...)
{
    char sentence[LOG_SENTENCE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (held == 0) {
        memcpy(last_error, sentence, sizeof last_error);
        error_count++;
    }
    log_line(held == 0 ? WW_LOG_ERROR : WW_LOG_DEBUG, sentence);
    return status;
}

static void log_formatted(enum ww_log_level level, const char *format, va_list arguments)
{
    char sentence[LOG_SENTENCE_BYTES];
    vsnprintf(sentence, sizeof sentence, format, arguments);
    log_line(level, sentence);
}

void log_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_formatted(WW_LOG_WARN, format, arguments);
    va_end(arguments);
}

void log_info(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_formatted(WW_LOG_INFO, format, arguments);
    va_end(arguments);
}

void log_debug(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_formatted(WW_LOG_DEBUG, format, arguments);
    va_end(arguments);
}

const char *log_last_error(void)
{
    return last_error;
}

unsigned long log_error_count(void)
{
    return error_count;
}

void log_hold_error(void)
{
    held++;
}

void log_release_error(void)
{
    held--;
}

void log_keep_streams(void)
{
    int lowest = open("/dev/null", O_RDWR);
    while (lowest >= 0 && lowest <= STDERR_FILENO) {
        lowest = dup(lowest);
    }
    if (lowest > STDERR_FILENO) {
        close(lowest);
    }
}

/* The child has this thread alone: whoever held the lock is not there to give it back. */
void log_after_fork(void)
{
    static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&logger.lock, &fresh, sizeof fresh);
}

void log_set_level(enum ww_log_level level)
{
    pthread_mutex_lock(&logger.lock);
    logger.level = level;
    pthread_mutex_unlock(&logger.lock);
}

void log_set_rank(int rank)
{
    thread_rank = rank;
}

void log_set_sink(log_sink *sink, void *self, int quiet)
{
    pthread_mutex_lock(&logger.lock);
    logger.sink = sink;
    logger.sink_self = self;
    logger.quiet = quiet;
    pthread_mutex_unlock(&logger.lock);
}
