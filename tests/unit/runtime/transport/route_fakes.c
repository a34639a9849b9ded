/* SPDX-License-Identifier: BSD-3-Clause
 * route_fakes.c: fabrics that do as told and write down what they are asked. */
#include "route_fakes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "transport/route.h"

_Thread_local struct fake fakes[FAKES];
_Thread_local _Alignas(4096) unsigned char fake_shared[FAKE_SHARED_BYTES];
_Thread_local char fake_diary[1024];

static const char *const names[FAKES] = {"memory", "network"};

static void __attribute__((format(printf, 2, 3)))
note(const struct fake *fake, const char *format, ...)
{
    size_t used = strlen(fake_diary);
    char what[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(fake_diary + used, sizeof fake_diary - used, "%s%s %s", used > 0 ? ", " : "",
             names[fake - fakes], what);
}

struct fake_post *fake_latest(int which)
{
    struct fake *fake = &fakes[which];
    return &fake->posts[(fake->post_count + FAKE_POSTS - 1) % FAKE_POSTS];
}

/* ---- What both do --------------------------------------------------------------------------- */

static enum ww_status open_either(struct fake *fake, void **fabric)
{
    note(fake, "opens");
    if (fake->open_status == WW_OK) {
        fake->open = true;
        *fabric = fake;
    }
    return fake->open_status;
}

static void fake_close(void *self, bool failed)
{
    struct fake *fake = self;
    note(fake, failed ? "closes failed" : "closes");
    fake->open = false;
    fake->closed_as_failed = failed;
    fake->kept = fake->asks != NULL && route_keeps(fake->asks);
}

static enum ww_status fake_post(void *self, int tag, bool control,
                                const struct ww_message *messages, int count,
                                struct ww_flight *flight)
{
    struct fake *fake = self;
    struct fake_post *post = &fake->posts[fake->post_count++ % FAKE_POSTS];
    if (count > FAKE_MESSAGES) {
        return log_failure(WW_NO_MEMORY, "a fake takes %d messages", FAKE_MESSAGES);
    }
    *post = (struct fake_post){
        .tag = tag, .control = control, .count = count, .array = messages, .answer = WW_PENDING};
    memcpy(post->messages, messages, (size_t)count * sizeof *messages);
    note(fake, "posts %d", count);
    flight->state = post;
    flight->wait = fake == &fakes[FAKE_MEMORY] ? WW_WAIT_MEMORY : WW_WAIT_NETWORK;
    return fake->post_status;
}

static enum ww_status fake_poll(void *self, struct ww_flight *flight)
{
    (void)self;
    struct fake_post *post = flight->state;
    post->polls++;
    return post->answer;
}

static int fake_waits_for(void *self, const struct ww_flight *flight)
{
    (void)flight;
    const struct fake *fake = self;
    return fake->waits_for;
}

static void fake_counters(void *self, struct ww_traffic *traffic)
{
    const struct fake *fake = self;
    memcpy(traffic, fake->traffic, sizeof fake->traffic);
}

static enum ww_status fake_reserve(void *self, size_t bytes, void **memory)
{
    struct fake *fake = self;
    note(fake, "reserves %zu", bytes);
    *memory = fake == &fakes[FAKE_MEMORY] ? fake_shared + 4096 * fake->reserved : malloc(bytes);
    fake->reserved++;
    return WW_OK;
}

static void fake_release(void *self, void *memory, size_t bytes)
{
    struct fake *fake = self;
    note(fake, "releases %zu", bytes);
    if (fake == &fakes[FAKE_NETWORK]) {
        free(memory);
    }
}

/* ---- Memory --------------------------------------------------------------------------------- */

static enum ww_status memory_open(const struct ww_transport_setup *setup, void **fabric)
{
    (void)setup;
    return open_either(&fakes[FAKE_MEMORY], fabric);
}

/* Like shared memory it logs what is no refusal. */
static enum ww_status memory_open_quietly(const struct ww_transport_setup *setup, void **fabric,
                                          char *sentence, size_t bytes)
{
    enum ww_status status = memory_open(setup, fabric);
    const char *words = fakes[FAKE_MEMORY].sentence;
    if (status == WW_UNSUPPORTED) {
        snprintf(sentence, bytes, "%s", words);
    } else if (status != WW_OK) {
        log_failure(status, "%s", words);
    }
    return status;
}

static void *memory_area(void *self, int rank)
{
    (void)self;
    return fake_shared + 4096 * rank;
}

static bool memory_share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    (void)self;
    const unsigned char *from = memory;
    bool shared = from >= fake_shared && from + bytes <= fake_shared + sizeof fake_shared;
    *key = shared ? (uint64_t)(from - fake_shared) : 0;
    return shared;
}

static void *memory_view(void *self, int peer, uint64_t key)
{
    (void)self;
    return fake_shared + 4096 * peer + key;
}

static enum ww_status memory_fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    (void)self;
    memset(into, (int)from + peer, bytes);
    return WW_OK;
}

static bool memory_fetches(void *self)
{
    (void)self;
    return true;
}

static enum ww_status memory_allocate(size_t bytes, void **memory)
{
    if (!fakes[FAKE_MEMORY].open) {
        return WW_UNSUPPORTED;
    }
    note(&fakes[FAKE_MEMORY], "allocates %zu", bytes);
    *memory = fake_shared;
    return WW_OK;
}

static void memory_deallocate(void *memory, size_t bytes)
{
    (void)memory;
    note(&fakes[FAKE_MEMORY], "deallocates %zu", bytes);
}

const struct ww_transport fake_memory = {
    .name = "memory",
    .open = memory_open,
    .close = fake_close,
    .reserve = fake_reserve,
    .release = fake_release,
    .post = fake_post,
    .poll = fake_poll,
    .waits_for = fake_waits_for,
    .counters = fake_counters,
    .area = memory_area,
    .share = memory_share,
    .view = memory_view,
    .fetch = memory_fetch,
    .fetches = memory_fetches,
    .allocate = memory_allocate,
    .deallocate = memory_deallocate,
};

void fakes_install(void)
{
    static const struct route_memory instead = {&fake_memory, memory_open_quietly};
    route_memory_instead = &instead;
}

/* ---- Network -------------------------------------------------------------------------------- */

static const char *network_thread_trouble(const struct ww_transport_setup *setup)
{
    (void)setup;
    return fakes[FAKE_NETWORK].trouble;
}

static enum ww_status network_open(const struct ww_transport_setup *setup, void **fabric)
{
    (void)setup;
    enum ww_status status = open_either(&fakes[FAKE_NETWORK], fabric);
    return status == WW_OK ? WW_OK : log_failure(status, "%s", fakes[FAKE_NETWORK].sentence);
}

const struct ww_transport fake_network = {
    .name = "network",
    .yields_to_memory = true,
    .thread_trouble = network_thread_trouble,
    .open = network_open,
    .close = fake_close,
    .post = fake_post,
    .poll = fake_poll,
    .counters = fake_counters,
};

const struct ww_transport fake_network_that_reserves = {
    .name = "network",
    .yields_to_memory = true,
    .thread_trouble = network_thread_trouble,
    .open = network_open,
    .close = fake_close,
    .reserve = fake_reserve,
    .release = fake_release,
    .post = fake_post,
    .poll = fake_poll,
    .waits_for = fake_waits_for,
    .counters = fake_counters,
};
