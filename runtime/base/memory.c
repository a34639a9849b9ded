/* SPDX-License-Identifier: BSD-3-Clause
 * memory.c: reserves large memory straight from the kernel, on huge pages where it may, and copies
 * it. */
#include "internal/memory.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "internal/cpu.h"

#define HUGE_BYTES ((size_t)2 << 20)

/* On AMD's processors loads and stores of vectors wait for each other where the target lies a part
 * of one (32 or 64 bytes) further into its page than the source does, as what malloc maps lies
 * behind what begins a page: a core of an EPYC 7003 moves 15 to 19 GB/s by memcpy's loop there, and
 * 2 by the processor's `rep movsb`, which glibc before 2.39 takes from 2 or 4 KiB (without or with
 * AVX) up to the size of the second cache, 1 MiB at most. Loads and stores of 16 bytes do not: 38
 * to 50. */
#define PAGE_MASK ((uintptr_t)4095)
#define STALL_DISTANCE 64
#define STALLS_FROM ((size_t)512)   /* bytes; what is less costs no more than to look */
#define STALLS_TO ((size_t)1 << 20) /* from here on memcpy knows better */

#define LINE_BYTES 64

size_t memory_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static void unmap(uint8_t *from, uint8_t *to)
{
    if (to > from) {
        munmap(from, (size_t)(to - from));
    }
}

/* Maps more than asked and cuts both ends off, so that huge pages can begin at the start. */
static void *map_aligned(size_t bytes, size_t alignment)
{
    uint8_t *start = mmap(NULL, bytes + alignment, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        return NULL;
    }
    uint8_t *memory = (uint8_t *)round_up((uintptr_t)start, alignment);
    unmap(start, memory);
    unmap(memory + bytes, start + bytes + alignment);
    return memory;
}

void *memory_reserve(size_t bytes)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2) {
        return NULL;
    }
    size_t page_bytes = memory_page_bytes();
    size_t whole = round_up(bytes, page_bytes);
    if (whole < HUGE_BYTES) {
        return map_aligned(whole, page_bytes);
    }
    void *memory = map_aligned(whole, HUGE_BYTES);
    if (memory != NULL) {
        madvise(memory, whole, MADV_HUGEPAGE); /* a wish: small pages serve as well */
    }
    return memory;
}

#if defined(__SSE2__)

/* One line, in registers of its own: compilers put arrays on the stack. */
struct line {
    __m128i a, b, c, d;
};

static inline struct line line_load(const uint8_t *from)
{
    const __m128i *vecs = (const void *)from;
    return (struct line){_mm_loadu_si128(vecs), _mm_loadu_si128(vecs + 1),
                         _mm_loadu_si128(vecs + 2), _mm_loadu_si128(vecs + 3)};
}

/* How vectors are stored. An argument: only inlining makes straight code of it. */
typedef void store(__m128i *into, __m128i vec);

static inline void store_near(__m128i *into, __m128i vec)
{
    _mm_storeu_si128(into, vec);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

/* These do not look at streaming stores. */
static inline void store_past(__m128i *into, __m128i vec)
{
    store_near(into, vec);
}

#else

/* `into` is aligned, and whole lines are written: they are gathered and go past the caches. */
static inline void store_past(__m128i *into, __m128i vec)
{
    _mm_stream_si128(into, vec);
}

#endif

static inline __attribute__((always_inline)) void lines_move(uint8_t *into, const uint8_t *from,
                                                             size_t bytes, store *store_vec)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES) {
        struct line line = line_load(from + at);
        __m128i *vecs = (void *)(into + at);
        store_vec(vecs, line.a);
        store_vec(vecs + 1, line.b);
        store_vec(vecs + 2, line.c);
        store_vec(vecs + 3, line.d);
    }
}

static void lines_copy(uint8_t *into, const uint8_t *from, size_t bytes)
{
    lines_move(into, from, bytes, store_near);
}

static void lines_copy_past(uint8_t *into, const uint8_t *from, size_t bytes)
{
    lines_move(into, from, bytes, store_past);
    _mm_sfence(); /* else a flag that is set behind it could be seen first */
}

#else

static void lines_copy(uint8_t *into, const uint8_t *from, size_t bytes)
{
    memcpy(into, from, bytes);
}

static void lines_copy_past(uint8_t *into, const uint8_t *from, size_t bytes)
{
    memory_copy(into, from, bytes);
}

#endif

static bool stalls(const void *into, const void *from, size_t bytes)
{
    uintptr_t distance = ((uintptr_t)into - (uintptr_t)from) & PAGE_MASK;
    return bytes >= STALLS_FROM && bytes < STALLS_TO && distance > 0 && distance < STALL_DISTANCE &&
           cpu_copies_stall();
}

void memory_copy(void *into, const void *from, size_t bytes)
{
    size_t lines = stalls(into, from, bytes) ? bytes / LINE_BYTES * LINE_BYTES : 0;
    if (lines > 0) {
        lines_copy(into, from, lines);
    }
    /* One call with a size that compilers do not know: they make `rep movsq` of one they know. */
    if (lines < bytes) {
        memcpy((uint8_t *)into + lines, (const uint8_t *)from + lines, bytes - lines);
    }
}

void memory_copy_past(void *into, const void *from, size_t bytes)
{
    uint8_t *target = into;
    const uint8_t *source = from;
    size_t head = (size_t)(-(uintptr_t)target % LINE_BYTES);
    head = head < bytes ? head : bytes;
    size_t lines = (bytes - head) / LINE_BYTES * LINE_BYTES;
    size_t tail = bytes - head - lines;
    memcpy(target, source, head);
    lines_copy_past(target + head, source + head, lines);
    memcpy(target + head + lines, source + head + lines, tail);
}

void memory_release(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, round_up(bytes, memory_page_bytes()));
    }
}
