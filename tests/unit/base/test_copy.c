/* SPDX-License-Identifier: BSD-3-Clause
 * test_copy.c: copies are whole, and not memcpy's where that would stall. */
#include "internal/memory.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "internal/cpu.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)
#define PAGE ((size_t)4 * KIB)
#define GUARD 64
#define STALLING_BYTES ((size_t)2 * KIB) /* the least that glibc copies by `rep movsb` */

TestSuite(copy, .init = capture_start, .fini = capture_finish);

/* The linker leads calls of the library here. */
static bool stalls;
static size_t most_bytes; /* that one memcpy got */
static size_t calls;

bool __wrap_cpu_copies_stall(void);
bool __wrap_cpu_copies_stall(void)
{
    return stalls;
}

void *__real_memcpy(void *into, const void *from, size_t bytes);
void *__wrap_memcpy(void *into, const void *from, size_t bytes);
void *__wrap_memcpy(void *into, const void *from, size_t bytes)
{
    most_bytes = bytes > most_bytes ? bytes : most_bytes;
    calls++;
    return __real_memcpy(into, from, bytes);
}

static bool all_are(const unsigned char *bytes, size_t count, unsigned char value)
{
    size_t i = 0;
    while (i < count && bytes[i] == value) {
        i++;
    }
    return i == count;
}

/* Copies and compares, with guards around; leaves most_bytes and calls of that copy alone. */
static void expect_copy(void (*copy)(void *, const void *, size_t), unsigned char *into,
                        const unsigned char *from, size_t bytes)
{
    memset(into, 0xee, bytes + 2 * (size_t)GUARD);
    most_bytes = 0;
    calls = 0;
    copy(into + GUARD, from, bytes);
    cr_expect_eq(memcmp(into + GUARD, from, bytes), 0, "%zu bytes", bytes);
    cr_expect(all_are(into, GUARD, 0xee) && all_are(into + GUARD + bytes, GUARD, 0xee),
              "%zu bytes: beyond its ends", bytes);
}

Test(copy, every_size_is_whole_and_nothing_stalls)
{
    static const size_t sizes[] = {0,    1,    511,   512,       513,     575, 2048,
                                   4096, 4099, 65537, 512 * KIB, MIB - 1, MIB, MIB + 1};
    static const size_t distances[] = {0, 1, 8, 16, 31, 63, 64, 65, 2048, 4095};
    unsigned char *from = aligned_alloc(PAGE, MIB + PAGE);
    unsigned char *into = aligned_alloc(PAGE, MIB + 3 * PAGE);
    cr_assert(from != NULL && into != NULL);
    for (size_t i = 0; i < MIB + PAGE; i++) {
        from[i] = (unsigned char)(i * 2654435761u >> 24);
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t d = 0; d < sizeof distances / sizeof *distances; d++) {
            size_t bytes = sizes[s], distance = distances[d];
            unsigned char *guarded = into + PAGE - GUARD + distance;
            stalls = false;
            expect_copy(memory_copy, guarded, from, bytes);
            cr_expect_eq(most_bytes, bytes, "%zu bytes at once", bytes);
            stalls = true;
            expect_copy(memory_copy, guarded, from, bytes);
            bool would_stall = distance > 0 && distance < 64 && bytes < MIB;
            cr_expect(would_stall ? most_bytes < STALLING_BYTES : most_bytes == bytes,
                      "%zu bytes, %zu further into a page: memcpy of %zu", bytes, distance,
                      most_bytes);
        }
    }
    free(from);
    free(into);
}

Test(copy, what_goes_past_the_caches_is_whole_wherever_it_lies)
{
    static const size_t sizes[] = {0, 1, 15, 16, 63, 64, 65, 127, 128, 129, 4096, 100003};
    unsigned char *from = malloc(100003 + 16);
    unsigned char *into = malloc(100003 + 64 + 2 * (size_t)GUARD);
    cr_assert(from != NULL && into != NULL);
    for (size_t i = 0; i < 100003 + 16; i++) {
        from[i] = (unsigned char)(i * 2654435761u >> 24);
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t offset = 0; offset < 64; offset += 3) {
            expect_copy(memory_copy_past, into + offset, from + offset % 16, sizes[s]);
        }
    }
    free(from);
    free(into);
}

Test(copy, nothing_may_lie_nowhere)
{
    memory_copy(NULL, NULL, 0);
    cr_expect_eq(calls, 0u);
}
