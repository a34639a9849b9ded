/* SPDX-License-Identifier: BSD-3-Clause
 * layout.h: how frames are laid out: what comes before the codes is padded, and both are worked on
 * chunk by chunk. */
#ifndef CODECS_LAYOUT_H
#define CODECS_LAYOUT_H

#include "codecs/codec.h"
#include "kernels/code_parts.h"

EVERYWHERE size_t layout_padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Parts of `each` elements, the last of which may hold fewer. */
EVERYWHERE size_t layout_parts(size_t count, size_t each)
{
    return count / each + (count % each > 0);
}

/* For codecs all of whose frames are as long as can be. */
static inline bool layout_is_fixed(const struct codec_spec *spec)
{
    (void)spec;
    return true;
}

/* Elements of the chunk that begins at first. */
EVERYWHERE size_t layout_chunk(size_t count, size_t first)
{
    return count - first < CODEC_CHUNK ? count - first : CODEC_CHUNK;
}

#endif
