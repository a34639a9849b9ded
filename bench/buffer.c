/* SPDX-License-Identifier: BSD-3-Clause
 * buffer.c: malloc, huge pages, ww_alloc, a GPU's memory. */
#include "buffer.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device.h"
#include "team.h"

#define HUGE_BYTES ((size_t)2 << 20)
#define LEAST_BYTES 64 /* sizes may be 0 */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older kernels refuse it */
#endif

const char *const memory_names[MEMORY_COUNT] = {
    [MEMORY_MALLOC] = "malloc",
    [MEMORY_HUGE] = "huge",
    [MEMORY_SHARED] = "shared",
    [MEMORY_DEVICE] = "device",
};

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* How much of [begin, end) the kernel has put on huge pages, as /proc tells it per mapping: in
 * whole mappings, which may reach beyond. */
static size_t bytes_on_huge_pages(uintptr_t begin, uintptr_t end)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (maps == NULL) {
        return 0;
    }
    char line[512];
    bool inside = false;
    size_t huge = 0;
    while (fgets(line, sizeof(line), maps) != NULL) {
        unsigned long long first;
        unsigned long long last;
        size_t kib;
        if (sscanf(line, "%llx-%llx ", &first, &last) == 2) {
            inside = first < end && last > begin;
        } else if (inside && sscanf(line, "AnonHugePages: %zu kB", &kib) == 1) {
            huge += kib << 10;
        }
    }
    fclose(maps);
    return huge < end - begin ? huge : end - begin;
}

/* Maps 2 MiB more than needed and gives back what lies before and behind. */
static char *map_aligned(size_t bytes)
{
    char *mapped = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) {
        return NULL;
    }
    size_t before = round_up((uintptr_t)mapped, HUGE_BYTES) - (uintptr_t)mapped;
    if (before > 0) {
        munmap(mapped, before);
    }
    if (before < HUGE_BYTES) {
        munmap(mapped + before + bytes, HUGE_BYTES - before);
    }
    return mapped + before;
}

/* The kernel may refuse either advice; what it did is read afterwards. */
static char *map_huge(size_t *bytes, size_t *huge_bytes)
{
    *bytes = round_up(*bytes, HUGE_BYTES);
    char *memory = map_aligned(*bytes);
    if (memory == NULL) {
        return NULL;
    }
    madvise(memory, *bytes, MADV_HUGEPAGE);
    memset(memory, 0, *bytes);
    madvise(memory, *bytes, MADV_COLLAPSE);
    *huge_bytes = bytes_on_huge_pages((uintptr_t)memory, (uintptr_t)memory + *bytes);
    return memory;
}

static char *allocate_shared(struct ww_context *context, size_t bytes, const char **cause)
{
    void *memory = NULL;
    if (ww_alloc(context, bytes, &memory) != WW_OK) {
        *cause = ww_last_error(context);
        return NULL;
    }
    return memory;
}

struct buffer buffer_open(const struct ww_world *world, struct ww_context *context,
                          enum memory kind, size_t bytes)
{
    struct buffer buffer = {.bytes = bytes > LEAST_BYTES ? bytes : LEAST_BYTES, .kind = kind};
    const char *cause = NULL;
    errno = ENOMEM;
    switch (kind) {
    case MEMORY_HUGE:
        buffer.memory = map_huge(&buffer.bytes, &buffer.huge_bytes);
        break;
    case MEMORY_SHARED:
        buffer.memory = allocate_shared(context, buffer.bytes, &cause);
        break;
    case MEMORY_DEVICE:
        buffer.memory = device_alloc(buffer.bytes, &cause);
        break;
    default:
        buffer.memory = malloc(buffer.bytes);
    }
    if (buffer.memory == NULL) {
        team_fail(world, "no %s memory for a buffer of %zu bytes: %s; lower -e", memory_names[kind],
                  buffer.bytes, cause != NULL ? cause : strerror(errno));
    }
    return buffer;
}

void buffer_close(struct ww_context *context, struct buffer *buffer)
{
    switch (buffer->kind) {
    case MEMORY_HUGE:
        if (buffer->memory != NULL) {
            munmap(buffer->memory, buffer->bytes);
        }
        break;
    case MEMORY_SHARED:
        ww_free(context, buffer->memory);
        break;
    case MEMORY_DEVICE:
        device_free(buffer->memory);
        break;
    default:
        free(buffer->memory);
    }
    *buffer = (struct buffer){.kind = MEMORY_MALLOC};
}
