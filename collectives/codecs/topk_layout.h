/* SPDX-License-Identifier: BSD-3-Clause
 * topk_layout.h: how the frames that topk.c draws are laid out, for all who write or read them. */
#ifndef CODECS_TOPK_LAYOUT_H
#define CODECS_TOPK_LAYOUT_H

#include "codecs/layout.h"

#define PART_BYTES 16

enum form { FORM_LIST, FORM_BITMAP, FORM_DENSE, FORM_COUNT };
#define FORM_SHIFT 24
#define COUNT_MASK (((uint32_t)1 << FORM_SHIFT) - 1)

EVERYWHERE size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

EVERYWHERE size_t parts_round(size_t bytes)
{
    return (bytes + PART_BYTES - 1) / PART_BYTES * PART_BYTES;
}

/* ceil(density * count), but never more than there are. */
static inline size_t share_of(const struct codec_spec *spec, size_t count)
{
    double exact = (double)spec->density * (double)count;
    size_t share = (size_t)exact;
    return size_min(share + (exact > (double)share), count);
}

EVERYWHERE size_t body_bytes(enum form form, size_t elements, size_t count)
{
    size_t codes_bytes = parts_round(count * sizeof(uint16_t));
    switch (form) {
    case FORM_LIST:
        return 2 * codes_bytes;
    case FORM_BITMAP:
        return parts_round((elements + 7) / 8) + codes_bytes;
    default:
        return parts_round(elements * sizeof(uint16_t));
    }
}

EVERYWHERE enum form form_shortest(size_t elements, size_t count)
{
    enum form best = FORM_LIST;
    if (body_bytes(FORM_BITMAP, elements, count) < body_bytes(best, elements, count)) {
        best = FORM_BITMAP;
    }
    if (body_bytes(FORM_DENSE, elements, count) < body_bytes(best, elements, count)) {
        best = FORM_DENSE;
    }
    return best;
}

EVERYWHERE size_t heads_bytes(size_t count)
{
    return parts_round(layout_parts(count, CODEC_CHUNK) * sizeof(uint32_t));
}

/* The most that a chunk takes: with as many entries as there may be. */
static inline size_t chunk_bytes_max(const struct codec_spec *spec, size_t elements)
{
    size_t entries = spec->fixed ? share_of(spec, elements) : elements;
    return body_bytes(form_shortest(elements, entries), elements, entries);
}

#endif
