/* SPDX-License-Identifier: BSD-3-Clause
 * sizes.h: counts of elements that are likely to find a wrong loop. */
#ifndef SIZES_H
#define SIZES_H

#include "check.h"

/* None to a few, around the sizes of groups, blocks, tiles and chunks; at most `most`. */
static inline size_t size_draw(struct chance *chance, size_t most)
{
    static const size_t edges[] = {0,     1,     2,     3,     4,      31,     255,    256,
                                   257,   4095,  4096,  4097,  8191,   8192,   8193,   65535,
                                   65536, 65537, 65792, 73727, 131071, 131072, 131073, 196608};
    size_t edge = edges[chance_below(chance, sizeof edges / sizeof edges[0])];
    size_t size = chance_below(chance, 3) == 0 ? chance_below(chance, most + 1) : edge;
    return size < most ? size : chance_below(chance, most + 1);
}

#endif
