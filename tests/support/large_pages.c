/* SPDX-License-Identifier: BSD-3-Clause
 * large_pages.c: a kernel with pages of 64 KiB, as some Arm hosts run it. The linker leads here
 * what the library asks of the kernel (--wrap, see wirewise_large_pages). */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_BYTES ((size_t)64 << 10)

long __real_sysconf(int name);
void *__real_mmap(void *place, size_t bytes, int access, int flags, int file, off_t offset);
int __real_munmap(void *place, size_t bytes);
int __real_madvise(void *place, size_t bytes, int advice);

long __wrap_sysconf(int name);
void *__wrap_mmap(void *place, size_t bytes, int access, int flags, int file, off_t offset);
int __wrap_munmap(void *place, size_t bytes);
int __wrap_madvise(void *place, size_t bytes, int advice);

static size_t whole(size_t bytes)
{
    return (bytes + LARGE_BYTES - 1) / LARGE_BYTES * LARGE_BYTES;
}

static bool is_no_page(const void *place)
{
    bool is_none = (uintptr_t)place % LARGE_BYTES != 0;
    errno = is_none ? EINVAL : errno;
    return is_none;
}

long __wrap_sysconf(int name)
{
    long answer = __real_sysconf(name);
    if (name == _SC_PHYS_PAGES) {
        return (long)((size_t)answer * (size_t)__real_sysconf(_SC_PAGESIZE) / LARGE_BYTES);
    }
    return name == _SC_PAGESIZE ? (long)LARGE_BYTES : answer;
}

void *__wrap_mmap(void *place, size_t bytes, int access, int flags, int file, off_t offset)
{
    if ((flags & MAP_FIXED) != 0) {
        return is_no_page(place) ? MAP_FAILED
                                 : __real_mmap(place, whole(bytes), access, flags, file, offset);
    }
    size_t all = whole(bytes) + LARGE_BYTES;
    uint8_t *start = __real_mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) {
        return MAP_FAILED;
    }
    uint8_t *first = (uint8_t *)whole((uintptr_t)start);
    uint8_t *last = first + whole(bytes);
    if (first > start) {
        __real_munmap(start, (size_t)(first - start));
    }
    if (start + all > last) {
        __real_munmap(last, (size_t)(start + all - last));
    }
    return __real_mmap(first, whole(bytes), access, flags | MAP_FIXED, file, offset);
}

int __wrap_munmap(void *place, size_t bytes)
{
    return is_no_page(place) ? -1 : __real_munmap(place, whole(bytes));
}

int __wrap_madvise(void *place, size_t bytes, int advice)
{
    return is_no_page(place) ? -1 : __real_madvise(place, whole(bytes), advice);
}
