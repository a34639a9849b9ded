/* SPDX-License-Identifier: BSD-3-Clause
 * check.c: counts failed checks and keeps the log lines of a rank program. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal/clock.h"
#include "internal/log.h"

static struct {
    pthread_mutex_t lock;
    int failed;
    char lines[8192];
} checks = {PTHREAD_MUTEX_INITIALIZER, 0, ""};

static void keep_line(void *self, enum ww_log_level level, const char *line)
{
    (void)self;
    if (level > WW_LOG_WARN) {
        return;
    }
    pthread_mutex_lock(&checks.lock);
    size_t used = strlen(checks.lines);
    snprintf(checks.lines + used, sizeof checks.lines - used, "    %s\n", line);
    pthread_mutex_unlock(&checks.lock);
}

void checks_begin(void)
{
    log_set_sink(keep_line, NULL, 1);
}

void check(bool good, const char *format, ...)
{
    if (good) {
        return;
    }
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&checks.lock);
    checks.failed++;
    fprintf(stderr, "failed: %s\n", text);
    pthread_mutex_unlock(&checks.lock);
}

static void take_lines(char lines[sizeof checks.lines])
{
    pthread_mutex_lock(&checks.lock);
    memcpy(lines, checks.lines, sizeof checks.lines);
    checks.lines[0] = '\0';
    pthread_mutex_unlock(&checks.lock);
}

void check_line(const char *text)
{
    char lines[sizeof checks.lines];
    take_lines(lines);
    check(strstr(lines, text) != NULL, "no line says \"%s\"; there were:\n%s", text, lines);
}

void check_forget(void)
{
    char lines[sizeof checks.lines];
    take_lines(lines);
}

void check_silence(void)
{
    char lines[sizeof checks.lines];
    take_lines(lines);
    check(lines[0] == '\0', "nobody asked for:\n%s", lines);
}

int checks_end(void)
{
    check(checks.lines[0] == '\0', "nobody asked for:\n%s", checks.lines);
    return checks.failed > 0;
}

double seconds_now(void)
{
    return (double)clock_now_ns() / (double)CLOCK_NS_PER_S;
}

void end_open(struct end *end, uint8_t level, bool own_thread, bool program_is_quiet)
{
    *end = (struct end){.world = WW_WORLD_INIT};
    memset(end->peer_level, level, sizeof end->peer_level);
    end->status = ranks_world(&end->world);
    if (end->status != WW_OK) {
        return;
    }
    end->transport = end->world.transport;
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &end->world,
                                       .levels = 2,
                                       .host_levels = 1,
                                       .peer_level = end->peer_level,
                                       .own_thread = own_thread,
                                       .program_is_quiet = program_is_quiet};
    end->status = end->transport->open(&setup, &end->fabric);
}

void end_close(struct end *end, bool failed)
{
    if (end->fabric != NULL) {
        end->transport->close(end->fabric, failed);
    }
}

enum ww_status end_post(struct end *end, int tag, const struct ww_message *messages, int count,
                        struct ww_flight *flight)
{
    return end->transport->post(end->fabric, tag, false, messages, count, flight);
}

enum ww_status end_wait(struct end *end, struct ww_flight *flight)
{
    uint64_t give_up_ns = clock_now_ns() + 20 * CLOCK_NS_PER_S;
    enum ww_status status;
    while ((status = end->transport->poll(end->fabric, flight)) == WW_PENDING) {
        if (clock_now_ns() > give_up_ns) {
            break;
        }
        sched_yield();
    }
    return status;
}
