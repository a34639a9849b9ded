/* SPDX-License-Identifier: BSD-3-Clause
 * layout.h: how frames are laid out: what comes before the codes is padded, and both are worked on
 * chunk by chunk. */
#ifndef CODECS_LAYOUT_H
#define CODECS_LAYOUT_H

#include "codecs/codec.h"
#include "kernels/code_parts.h"

static inline size_t layout_padded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* Elements of the chunk that begins at first. */
static inline size_t layout_chunk(size_t count, size_t first)
{
    return count - first < CODEC_CHUNK ? count - first : CODEC_CHUNK;
}

#endif
