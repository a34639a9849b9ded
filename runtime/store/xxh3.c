/* SPDX-License-Identifier: BSD-3-Clause
 * xxh3.c: checksums by xxHash (Collet), whose header brings its code along. */
#include "checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct checksum *)NULL)->state), "room for XXH3");

static XXH3_state_t *state_of(struct checksum *checksum)
{
    return (XXH3_state_t *)(void *)checksum->state;
}

bool xxh3_is_here(void)
{
    return true;
}

void xxh3_begin(struct checksum *checksum)
{
    XXH3_64bits_reset(state_of(checksum));
}

void xxh3_add(struct checksum *checksum, const void *data, size_t bytes)
{
    XXH3_64bits_update(state_of(checksum), data, bytes);
}

uint64_t xxh3_end(struct checksum *checksum)
{
    return XXH3_64bits_digest(state_of(checksum));
}
