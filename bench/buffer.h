/* SPDX-License-Identifier: BSD-3-Clause
 * buffer.h: memory to measure in, of the kinds that programs use. */
#ifndef BENCH_BUFFER_H
#define BENCH_BUFFER_H

#include <stddef.h>

#include <wirewise/wirewise.h>

enum memory {
    MEMORY_MALLOC, /* as trainers have it today */
    MEMORY_HUGE,   /* mapped, aligned to 2 MiB, on huge pages where the kernel gives them */
    MEMORY_SHARED, /* ww_alloc: ranks of a host see it in each other */
    MEMORY_DEVICE, /* of this thread's GPU */
    MEMORY_COUNT,
    MEMORY_HOST_COUNT = MEMORY_DEVICE /* kinds of the host's memory */
};
extern const char *const memory_names[MEMORY_COUNT]; /* "malloc", "huge", "shared", "device" */

struct buffer {
    char *memory; /* aligned to 16 bytes at least */
    size_t bytes; /* as asked for, at least */
    enum memory kind;
    size_t huge_bytes; /* of a huge one: what lay on huge pages when it had been touched */
};

/* A buffer of at least `bytes`. Touched, when it is a huge one. Ends all ranks with a sentence when
 * there is no such memory. */
struct buffer buffer_open(const struct ww_world *world, struct ww_context *context,
                          enum memory kind, size_t bytes);

/* Gives it back, before the context is destroyed. Zeroes are fine. */
void buffer_close(struct ww_context *context, struct buffer *buffer);

#endif
