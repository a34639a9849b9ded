/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_streams.h: where a block of elements comes from, for loops over vectors. Included once by
 * a file that defines LANES, the type vec_f32 of LANES floats, and vec_load, vec_all,
 * vec_add and vec_multiply on it. A block has STREAMS_BLOCK_MAX elements or fewer. */
#include "kernels/sparse_one.h"

/* Where there is no residual, every block reads these. */
#define STREAMS_BLOCK_MAX 64
static const float zeros[STREAMS_BLOCK_MAX];

struct streams {
    const float *values;
    const float *residual;
    size_t residual_mask; /* all ones, or 0 */
    float *u;
    vec_f32 factor;
};

static inline struct streams streams_of(const struct stretch *in, const struct momentum *momentum)
{
    struct streams streams = {in->values, zeros, 0, NULL, vec_all(0)};
    if (in->residual != NULL) {
        streams.residual = in->residual;
        streams.residual_mask = SIZE_MAX;
    }
    if (momentum != NULL) {
        streams.u = momentum->u;
        streams.factor = vec_all(momentum->factor);
    }
    return streams;
}

/* Of a vec of the block that begins at i. */
static inline vec_f32 residual_at(const struct streams *streams, size_t i, size_t number)
{
    return vec_load(streams->residual + (i & streams->residual_mask) + number * LANES);
}

/* What takes the place of values. */
static inline vec_f32 value_at(const struct streams *streams, size_t i, size_t number,
                               bool has_momentum)
{
    vec_f32 value = vec_load(streams->values + i + number * LANES);
    if (has_momentum) {
        vec_f32 u = vec_load(streams->u + i + number * LANES);
        value = vec_add(vec_multiply(streams->factor, u), value);
    }
    return value;
}
