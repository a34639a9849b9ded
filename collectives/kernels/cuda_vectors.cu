/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_vectors.cu: what is done to whole vectors on a GPU beside reducing: sums of squares,
 * scaling, and copies of many pieces. */
#include "kernels/cuda.h"

#include "kernels/cuda_parts.cuh"

#define THREADS 256

/* ---- Sums of squares ---------------------------------------------------------------------- */

/* Sums are of so many parts at most, whatever the GPU, so that they come out alike on all. */
#define SQUARES_BLOCKS 2048
#define SQUARES_TILE ((size_t)THREADS * 16)

static __device__ inline uint32_t squares_add(double *sum, double value)
{
    *sum += value * value;
    return !(fabs(value) < (double)INFINITY);
}

/* Sixteen at a time, from the front whatever the alignment: the order of a sum must not depend on
 * it. */
template <typename ELEMENT>
static __device__ inline uint32_t squares_of_tile(double *sum, const ELEMENT *values, size_t begin,
                                                  size_t count)
{
    uint32_t wild = 0;
#pragma unroll
    for (size_t i = 0; i < SQUARES_TILE / THREADS; i++) {
        size_t at = begin + i * THREADS + threadIdx.x;
        wild += squares_add(sum, at < count ? (double)values[at] : 0.0);
    }
    return wild;
}

template <typename ELEMENT>
static __global__ void __launch_bounds__(THREADS)
    squares_kernel(const ELEMENT *values, size_t count, double *sums, unsigned long long *wild)
{
    double sum = 0;
    uint32_t found = 0;
    for (size_t begin = blockIdx.x * SQUARES_TILE; begin < count;
         begin += gridDim.x * SQUARES_TILE) {
        found += squares_of_tile(&sum, values, begin, count);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        sums[blockIdx.x] = sum;
    }
    if (found > 0 && wild != NULL) {
        atomicAdd(wild, (unsigned long long)found);
    }
}

static __global__ void __launch_bounds__(THREADS)
    squares_end_kernel(const double *sums, unsigned count, double *result)
{
    double sum = 0;
    for (unsigned i = threadIdx.x; i < count; i += THREADS) {
        sum += sums[i];
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0 && result != NULL) {
        *result += sum;
    }
}

static size_t squares_blocks(size_t count)
{
    size_t tiles = count / SQUARES_TILE + (count % SQUARES_TILE > 0);
    return tiles < SQUARES_BLOCKS ? tiles : SQUARES_BLOCKS;
}

extern "C" size_t cuda_squares_room(size_t count)
{
    return squares_blocks(count) * sizeof(double);
}

extern "C" int cuda_squares(enum ww_type type, const void *values, size_t count, double *sum,
                            unsigned long long *wild, void *room, void *stream)
{
    struct launch_shape shape = {squares_blocks(count), THREADS, 1, stream};
    struct launch_shape end = {1, THREADS, 1, stream};
    double *sums = (double *)room;
    int status;
    if (type != WW_F32 && type != WW_F64) {
        return cudaErrorInvalidValue;
    }
    if (count == 0) {
        return cudaSuccess;
    }
    if (type == WW_F32) {
        status = launch(shape, squares_kernel<float>, (const float *)values, count, sums, wild);
    } else {
        status = launch(shape, squares_kernel<double>, (const double *)values, count, sums, wild);
    }
    if (status != cudaSuccess) {
        return status;
    }
    return launch(end, squares_end_kernel, sums, (unsigned)shape.blocks, sum);
}

/* ---- Scaling ------------------------------------------------------------------------------ */

#define SCALE_GROUPS 4

static __device__ inline double product_of_f64(double a, double factor)
{
    double product = a * factor;
    if (product == product) {
        return product;
    }
    double nan = a != a ? a : factor;
    unsigned long long bits = nan != nan ? (unsigned long long)__double_as_longlong(nan)
                                         : 0xfff0000000000000ull;
    return __longlong_as_double((long long)(bits | 1ull << 51));
}

static __device__ inline float scaled(float a, double factor)
{
    return product_of(a, (float)factor);
}

static __device__ inline double scaled(double a, double factor)
{
    return product_of_f64(a, factor);
}

/* Vectors of 16 bytes; those before `values` and behind the last one are not there. */
template <typename ELEMENT>
static __global__ void __launch_bounds__(THREADS)
    scale_kernel(ELEMENT *values, size_t count, size_t shift, double factor, const double *at)
{
    const size_t LANES = 16 / sizeof(ELEMENT);
    struct alignas(16) vector {
        ELEMENT of[16 / sizeof(ELEMENT)];
    };
    size_t first = ((size_t)blockIdx.x * THREADS * SCALE_GROUPS + threadIdx.x) * LANES;
    factor = at == NULL ? factor : *at;
#pragma unroll
    for (int group = 0; group < SCALE_GROUPS; group++, first += THREADS * LANES) {
        if (first >= shift && first - shift < count && count - (first - shift) >= LANES) {
            struct vector *place = (struct vector *)(values + (first - shift));
            struct vector vector = *place;
            for (size_t i = 0; i < LANES; i++) {
                vector.of[i] = scaled(vector.of[i], factor);
            }
            *place = vector;
            continue;
        }
        for (size_t i = first; i < first + LANES; i++) {
            if (i >= shift && i - shift < count) {
                values[i - shift] = scaled(values[i - shift], factor);
            }
        }
    }
}

template <typename ELEMENT>
static int scale_launch(ELEMENT *values, size_t count, double factor, const double *at,
                        void *stream)
{
    size_t shift = (uintptr_t)values % 16 / sizeof(ELEMENT);
    size_t tile = THREADS * SCALE_GROUPS * 16 / sizeof(ELEMENT);
    struct launch_shape shape = {(count + shift + tile - 1) / tile, THREADS, 1, stream};
    return launch(shape, scale_kernel<ELEMENT>, values, count, shift, factor, at);
}

extern "C" int cuda_scale(enum ww_type type, void *values, size_t count, double factor,
                          const double *at, void *stream)
{
    if (type != WW_F32 && type != WW_F64) {
        return cudaErrorInvalidValue;
    }
    if (count == 0) {
        return cudaSuccess;
    }
    return type == WW_F32 ? scale_launch((float *)values, count, factor, at, stream)
                          : scale_launch((double *)values, count, factor, at, stream);
}

/* ---- Copies of many pieces ---------------------------------------------------------------- */

#define PIECES_MOST 128 /* of one launch: they are its argument */
#define PIECE_TILE ((size_t)32 * 1024)
#define WORDS_AHEAD 8 /* under way at once, of each thread */

struct pieces {
    uint8_t *into[PIECES_MOST];
    const uint8_t *from[PIECES_MOST];
    size_t bytes[PIECES_MOST];
    uint32_t tiles_before[PIECES_MOST]; /* a block copies one tile */
    uint32_t count;
};

/* from NULL = zeros. */
template <typename WORD>
static __device__ inline void words_copy(uint8_t *into, const uint8_t *from, size_t bytes)
{
    size_t count = bytes / sizeof(WORD);
    for (size_t first = threadIdx.x; first < count; first += THREADS * WORDS_AHEAD) {
        WORD words[WORDS_AHEAD] = {};
#pragma unroll
        for (size_t i = 0; i < WORDS_AHEAD; i++) {
            size_t at = first + i * THREADS;
            if (from != NULL && at < count) {
                words[i] = ((const WORD *)from)[at];
            }
        }
#pragma unroll
        for (size_t i = 0; i < WORDS_AHEAD; i++) {
            size_t at = first + i * THREADS;
            if (at < count) {
                ((WORD *)into)[at] = words[i];
            }
        }
    }
}

/* In words as far as both ends allow it, and bytes before and behind them. */
template <typename WORD>
static __device__ inline void part_copy(uint8_t *into, const uint8_t *from, size_t bytes)
{
    size_t head = (sizeof(WORD) - (uintptr_t)into % sizeof(WORD)) % sizeof(WORD);
    head = head < bytes ? head : bytes;
    size_t tail = bytes - (bytes - head) % sizeof(WORD);
    words_copy<uint8_t>(into, from, head);
    words_copy<WORD>(into + head, from == NULL ? NULL : from + head, tail - head);
    words_copy<uint8_t>(into + tail, from == NULL ? NULL : from + tail, bytes - tail);
}

static __device__ inline uint32_t piece_of(const struct pieces &pieces, uint32_t tile)
{
    uint32_t low = 0;
    uint32_t high = pieces.count;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        low = pieces.tiles_before[middle] <= tile ? middle : low;
        high = pieces.tiles_before[middle] <= tile ? high : middle;
    }
    return low;
}

static __global__ void __launch_bounds__(THREADS) pieces_kernel(ARGUMENT struct pieces pieces)
{
    uint32_t piece = piece_of(pieces, blockIdx.x);
    size_t first = (blockIdx.x - pieces.tiles_before[piece]) * PIECE_TILE;
    size_t bytes = pieces.bytes[piece] - first;
    uint8_t *into = pieces.into[piece] + first;
    const uint8_t *from = pieces.from[piece] == NULL ? NULL : pieces.from[piece] + first;
    bytes = bytes < PIECE_TILE ? bytes : PIECE_TILE;
    uintptr_t apart = from == NULL ? 0 : (uintptr_t)into ^ (uintptr_t)from;
    if (apart % sizeof(uint4) == 0) {
        part_copy<uint4>(into, from, bytes);
    } else if (apart % sizeof(uint32_t) == 0) {
        part_copy<uint32_t>(into, from, bytes);
    } else {
        part_copy<uint8_t>(into, from, bytes);
    }
}

/* Takes pieces from *next on until the launch is full: of blocks there are 2^31 - 1 at most. */
static uint32_t pieces_take(struct pieces *pieces, void *const *into, const void *const *from,
                            const size_t *bytes, int count, int *next)
{
    uint32_t tiles = 0;
    pieces->count = 0;
    for (; *next < count && pieces->count < PIECES_MOST; (*next)++) {
        size_t more = (bytes[*next] + PIECE_TILE - 1) / PIECE_TILE;
        if (more > (size_t)INT32_MAX - tiles) {
            break;
        }
        if (more > 0) {
            pieces->into[pieces->count] = (uint8_t *)into[*next];
            pieces->from[pieces->count] = (const uint8_t *)from[*next];
            pieces->bytes[pieces->count] = bytes[*next];
            pieces->tiles_before[pieces->count++] = tiles;
            tiles += (uint32_t)more;
        }
    }
    return tiles;
}

extern "C" int cuda_copy_pieces(void *const *into, const void *const *from, const size_t *bytes,
                                int count, void *stream)
{
    struct pieces pieces = {};
    int status = cudaSuccess;
    int next = 0;
    while (next < count && status == cudaSuccess) {
        uint32_t tiles = pieces_take(&pieces, into, from, bytes, count, &next);
        struct launch_shape shape = {tiles, THREADS, 1, stream};
        status = tiles == 0 ? (int)cudaSuccess : launch(shape, pieces_kernel, pieces);
    }
    return status;
}
