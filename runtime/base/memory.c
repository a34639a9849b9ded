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

/* glibc before 2.39 copies 2 or 4 KiB (without or with AVX) up to the size of the second cache, 1
 * MiB at most, by the processor's `rep movsb`. Where the source begins a page and the target is 16
 * bytes into one, as what malloc maps is, a core of AMD EPYC 7003 moves 2 GB/s by it, and 40 by
 * memcpy of such pieces; where nothing stalls pieces are as fast. */
#define PIECE_BYTES ((size_t)1984)
#define PIECES_BYTES ((size_t)1 << 20) /* from here on memcpy does not use it */

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

/* One call with a size that compilers do not know: they make `rep movsq` of one they know. */
void memory_copy(void *into, const void *from, size_t bytes)
{
    bool stalls = bytes > PIECE_BYTES && bytes < PIECES_BYTES && cpu_strings_stall();
    size_t most = stalls ? PIECE_BYTES : bytes;
    for (size_t done = 0; done < bytes; done += most) {
        size_t rest = bytes - done;
        memcpy((uint8_t *)into + done, (const uint8_t *)from + done, rest < most ? rest : most);
    }
}

#if defined(__SSE2__)

#define LINE_BYTES 64 /* what goes past the caches is gathered and written by the line */
#define VECS (LINE_BYTES / sizeof(__m128i))

/* Whole lines; `into` begins one. */
static void lines_past(uint8_t *into, const uint8_t *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE_BYTES) {
        __m128i line[VECS];
        for (size_t i = 0; i < VECS; i++) {
            line[i] = _mm_loadu_si128((const void *)(from + at + i * sizeof line[i]));
        }
        for (size_t i = 0; i < VECS; i++) {
            _mm_stream_si128((void *)(into + at + i * sizeof line[i]), line[i]);
        }
    }
    _mm_sfence(); /* else a flag that is set behind it could be seen first */
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
    lines_past(target + head, source + head, lines);
    memcpy(target + head + lines, source + head + lines, tail);
}

#else

void memory_copy_past(void *into, const void *from, size_t bytes)
{
    memory_copy(into, from, bytes);
}

#endif

void memory_release(void *memory, size_t bytes)
{
    if (memory != NULL) {
        munmap(memory, round_up(bytes, memory_page_bytes()));
    }
}
