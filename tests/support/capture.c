/* SPDX-License-Identifier: BSD-3-Clause
 * capture.c: keeps the log lines of one test. */
#include "capture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct caught {
    enum ww_log_level level;
    bool taken;
    char *text;
};

/* Lines come from every thread of the test. */
static struct {
    pthread_mutex_t lock;
    struct caught *lines;
    size_t count;
    char *printed;
} capture = {PTHREAD_MUTEX_INITIALIZER, NULL, 0, NULL};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

/* A test without memory has nothing left to say. */
static void *or_abort(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void keep_line(void *self, enum ww_log_level level, const char *line)
{
    (void)self;
    pthread_mutex_lock(&capture.lock);
    size_t bytes = (capture.count + 1) * sizeof *capture.lines;
    capture.lines = or_abort(realloc(capture.lines, bytes));
    capture.lines[capture.count] = (struct caught){level, false, or_abort(strdup(line))};
    capture.count++;
    pthread_mutex_unlock(&capture.lock);
}

static void forget_lines(void)
{
    for (size_t i = 0; i < capture.count; i++) {
        free(capture.lines[i].text);
    }
    free(capture.lines);
    free(capture.printed);
    capture.lines = NULL;
    capture.count = 0;
    capture.printed = NULL;
}

static bool is_unexpected(const struct caught *line)
{
    return line->level <= WW_LOG_WARN && !line->taken;
}

static const char *print_lines(bool all)
{
    pthread_mutex_lock(&capture.lock);
    free(capture.printed);
    size_t bytes = 0;
    FILE *text = or_abort(open_memstream(&capture.printed, &bytes));
    for (size_t i = 0; i < capture.count; i++) {
        const struct caught *line = &capture.lines[i];
        if (all || is_unexpected(line)) {
            fprintf(text, "    %s: %s\n", level_names[line->level], line->text);
        }
    }
    fclose(text);
    pthread_mutex_unlock(&capture.lock);
    return or_abort(capture.printed);
}

const char *capture_take(enum ww_log_level level, const char *text)
{
    const char *found = NULL;
    pthread_mutex_lock(&capture.lock);
    for (size_t i = 0; i < capture.count && found == NULL; i++) {
        struct caught *line = &capture.lines[i];
        if (line->level == level && !line->taken && strstr(line->text, text) != NULL) {
            line->taken = true;
            found = line->text;
        }
    }
    pthread_mutex_unlock(&capture.lock);
    return found;
}

const char *capture_all(void)
{
    return print_lines(true);
}

const char *capture_unexpected(void)
{
    return print_lines(false);
}

void capture_start(void)
{
    pthread_mutex_lock(&capture.lock);
    forget_lines();
    pthread_mutex_unlock(&capture.lock);
    log_set_sink(keep_line, NULL, 1);
}

void capture_finish(void)
{
    log_set_sink(NULL, NULL, 0);
    const char *unexpected = capture_unexpected();
    if (*unexpected != '\0') {
        fprintf(stderr, "nobody asked for:\n%s", unexpected);
        /* Criterion does not count what fails in a fixture, but it does count a crash. */
        abort();
    }
    pthread_mutex_lock(&capture.lock);
    forget_lines();
    pthread_mutex_unlock(&capture.lock);
}
