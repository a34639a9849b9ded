/* SPDX-License-Identifier: BSD-3-Clause
 * no_xxh3.c: a build without xxHash. Its files have CRC-64, which every build reads; files with
 * XXH3 are refused with a sentence. */
#include <assert.h>

#include "checksum.h"

bool xxh3_is_here(void)
{
    return false;
}

void xxh3_begin(struct checksum *checksum)
{
    (void)checksum;
    assert(!"checksum_knows says that there is no XXH3");
}

void xxh3_add(struct checksum *checksum, const void *data, size_t bytes)
{
    (void)checksum;
    (void)data;
    (void)bytes;
    assert(!"checksum_knows says that there is no XXH3");
}

uint64_t xxh3_end(struct checksum *checksum)
{
    (void)checksum;
    assert(!"checksum_knows says that there is no XXH3");
    return 0;
}
