/* SPDX-License-Identifier: BSD-3-Clause
 * test_memory.c: reserved memory is aligned, whole, and really given back. */
#include "internal/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"

#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * KIB)

TestSuite(memory, .init = capture_start, .fini = capture_finish);

Test(memory, it_is_aligned_and_every_byte_is_usable)
{
    static const struct {
        size_t bytes;
        size_t alignment;
    } cases[] = {{1, 4 * KIB},       {4095, 4 * KIB},           {4096, 4 * KIB},
                 {4097, 4 * KIB},    {2 * MIB - 4097, 4 * KIB}, {2 * MIB - 1, 2 * MIB},
                 {2 * MIB, 2 * MIB}, {2 * MIB + 1, 2 * MIB},    {33 * MIB, 2 * MIB}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char *memory = memory_reserve(cases[i].bytes);
        cr_assert_not_null(memory, "%zu bytes", cases[i].bytes);
        cr_expect_eq((uintptr_t)memory % cases[i].alignment, 0u, "%zu bytes", cases[i].bytes);
        memset(memory, 0xa5, cases[i].bytes);
        cr_expect_eq(memory[cases[i].bytes - 1], 0xa5);
        memory_release(memory, cases[i].bytes);
    }
}

Test(memory, nothing_and_too_much_give_null)
{
    cr_expect_null(memory_reserve(0));
    cr_expect_null(memory_reserve(SIZE_MAX));
    cr_expect_null(memory_reserve(SIZE_MAX - 4096));
    cr_expect_null(memory_reserve(SIZE_MAX / 2));
}

Test(memory, releasing_null_is_fine)
{
    memory_release(NULL, 0);
    memory_release(NULL, 4096);
}

/* msync knows pages that are not mapped: it fails with ENOMEM there. */
static int is_mapped(void *page)
{
    return msync(page, 4096, MS_ASYNC) == 0 || errno != ENOMEM;
}

Test(memory, releasing_returns_every_page)
{
    static const size_t sizes[] = {1, 5000, 2 * MIB, 3 * MIB + 1};
    size_t page_bytes = memory_page_bytes();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *memory = memory_reserve(sizes[i]);
        size_t last = (sizes[i] - 1) / page_bytes * page_bytes;
        cr_expect(is_mapped(memory) && is_mapped(memory + last));
        memory_release(memory, sizes[i]);
        cr_expect(!is_mapped(memory), "first page of %zu bytes", sizes[i]);
        cr_expect(!is_mapped(memory + last), "last page of %zu bytes", sizes[i]);
    }
}

/* Bytes of address space that this process holds, as the kernel counts them. */
static size_t bytes_held(void)
{
    char text[64] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    cr_assert(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    return strtoul(text, NULL, 10) * (size_t)getpagesize();
}

Test(memory, what_was_cut_off_to_align_is_not_kept)
{
    static const size_t sizes[] = {1, 5000, 2 * MIB, 3 * MIB + 1, 64 * MIB};
    size_t page_bytes = memory_page_bytes();
    memory_release(memory_reserve(1), 1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t before = bytes_held();
        void *memory = memory_reserve(sizes[i]);
        size_t reserved = bytes_held();
        memory_release(memory, sizes[i]);
        size_t pages = (sizes[i] + page_bytes - 1) / page_bytes;
        cr_expect_eq(reserved - before, pages * page_bytes, "%zu bytes", sizes[i]);
        cr_expect_eq(bytes_held(), before, "%zu bytes", sizes[i]);
    }
}
