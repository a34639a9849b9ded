/* SPDX-License-Identifier: BSD-3-Clause
 * tsan_arena.c: lets Criterion run under ThreadSanitizer, by loading its dice.
 *
 * Criterion shares memory with its workers at an address that it draws with rand_r, from
 *     0x200000000000 + (drawn & 0x3fffff) * 16 MiB,
 * until one is free. ThreadSanitizer (x86-64) keeps nearly all of that range for its shadow and
 * leaves programs only 0x550000000000 .. 0x567fffffffff, which chance hardly finds in ten draws.
 * This rand_r, which the program lends to the shared library, draws from the upper end of it. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>

#define DRAWN_FOR_0x567000000000 0x367000

__attribute__((visibility("default"))) int rand_r(unsigned *seed)
{
    static atomic_int draws;
    (void)seed;
    return DRAWN_FOR_0x567000000000 + atomic_fetch_add(&draws, 1) % 0x800;
}
