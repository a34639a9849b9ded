/* SPDX-License-Identifier: BSD-3-Clause
 * route_fakes.h: two fabrics that carry nothing: one stands where shared memory would, the other
 * for a network. Each rank is a thread with fakes of its own, which do as told and write down what
 * they are asked. */
#ifndef TESTS_ROUTE_FAKES_H
#define TESTS_ROUTE_FAKES_H

#include <wirewise/transport.h>

#define FAKE_POSTS 16
#define FAKE_MESSAGES 8
#define FAKE_SHARED_BYTES 65536

enum { FAKE_MEMORY, FAKE_NETWORK, FAKES };

struct fake_post {
    int tag;
    bool control;
    int count;
    const struct ww_message *array; /* as handed in */
    struct ww_message messages[FAKE_MESSAGES];
    enum ww_status answer; /* of poll; WW_PENDING at first */
    int polls;
};

struct fake {
    /* What it shall do. */
    enum ww_status open_status;
    const char *sentence; /* what it says when open fails */
    const char *trouble;
    enum ww_status post_status;
    int waits_for;
    struct ww_traffic traffic[2];
    const void *asks; /* close asks whether this memory is kept */

    /* What happened. */
    bool open;
    bool closed_as_failed;
    bool kept; /* the answer */
    int post_count;
    struct fake_post posts[FAKE_POSTS]; /* used in turn */
    int reserved;                       /* blocks so far */
};
extern _Thread_local struct fake fakes[FAKES];

/* The memory that the fake in memory's place calls shared. */
extern _Thread_local _Alignas(4096) unsigned char fake_shared[FAKE_SHARED_BYTES];

/* "memory opens, network opens, network posts 2, ...", up to now. */
extern _Thread_local char fake_diary[1024];

extern const struct ww_transport fake_memory;
extern const struct ww_transport fake_network; /* without reserve and waits_for */
extern const struct ww_transport fake_network_that_reserves;

/* From now on route takes fake_memory for shared memory. */
void fakes_install(void);

/* The latest post of a fake. */
struct fake_post *fake_latest(int which);

#endif
