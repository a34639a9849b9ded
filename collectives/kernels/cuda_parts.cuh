/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_parts.cuh: what the kernels for GPUs share: arithmetic that keeps NaNs as a processor does,
 * groups of four elements, and how a frame's encoding ends. */
#ifndef KERNELS_CUDA_PARTS_CUH
#define KERNELS_CUDA_PARTS_CUH

#include "kernels/cuda_device.cuh"
#include "kernels/cuda.h"
#include "kernels/half.h"

/* Elements that a thread loads and stores at once. */
#define GROUP 4

#define WARP 32
#define ALL_LANES 0xffffffffu

/* ---- Arithmetic: a GPU makes one NaN of all; a processor keeps the left one's bits -------- */

#define NAN_QUIET_F32 0x00400000u
#define NAN_DEFAULT_F32 0xffc00000u

static __device__ inline float nan_of(float left, float right)
{
    if (left != left) {
        return float_of(bits_of(left) | NAN_QUIET_F32);
    }
    return float_of(right != right ? bits_of(right) | NAN_QUIET_F32 : NAN_DEFAULT_F32);
}

static __device__ inline float sum_of(float left, float right)
{
    float sum = left + right;
    return sum == sum ? sum : nan_of(left, right);
}

static __device__ inline float product_of(float left, float right)
{
    float product = left * right;
    return product == product ? product : nan_of(left, right);
}

static __device__ inline bool is_wild(float a)
{
    return !(fabsf(a) < INFINITY);
}

static __device__ inline uint32_t key_of(float a)
{
    return bits_of(a) & 0x7fffffff;
}

/* ---- Groups: WHOLE ones are aligned and end before count ---------------------------------- */

static inline bool is_aligned(const void *memory, size_t bytes)
{
    return (uintptr_t)memory % bytes == 0;
}

template <bool WHOLE>
static __device__ inline void floats_load(float into[GROUP], const float *from, size_t first,
                                          size_t count)
{
    if constexpr (WHOLE) {
        float4 four = *(const float4 *)(from + first);
        into[0] = four.x;
        into[1] = four.y;
        into[2] = four.z;
        into[3] = four.w;
    } else {
        for (size_t i = 0; i < GROUP; i++) {
            into[i] = first + i < count ? from[first + i] : 0.0f;
        }
    }
}

template <bool WHOLE>
static __device__ inline void floats_store(float *into, const float from[GROUP], size_t first,
                                           size_t count)
{
    if constexpr (WHOLE) {
        *(float4 *)(into + first) = make_float4(from[0], from[1], from[2], from[3]);
    } else {
        for (size_t i = 0; i < GROUP; i++) {
            if (first + i < count) {
                into[first + i] = from[i];
            }
        }
    }
}

/* NULL = zeros. */
template <bool WHOLE>
static __device__ inline void residual_load(float into[GROUP], const float *from, size_t first,
                                            size_t count)
{
    if (from != NULL) {
        floats_load<WHOLE>(into, from, first, count);
        return;
    }
    for (int i = 0; i < GROUP; i++) {
        into[i] = 0.0f;
    }
}

/* Codes lie behind a frame's beginning, so groups of them are aligned. */
template <bool WHOLE>
static __device__ inline void halves_store(uint16_t *into, uint2 from, size_t first, size_t count)
{
    if constexpr (WHOLE) {
        *(uint2 *)(into + first) = from;
    } else {
        for (size_t i = 0; i < GROUP && first + i < count; i++) {
            into[first + i] = (uint16_t)((i < 2 ? from.x : from.y) >> (i % 2 * 16));
        }
    }
}

template <bool WHOLE>
static __device__ inline uint2 halves_load(const uint16_t *from, size_t first, size_t count)
{
    if constexpr (WHOLE) {
        return *(const uint2 *)(from + first);
    } else {
        uint32_t halves[GROUP] = {0, 0, 0, 0};
        for (size_t i = 0; i < GROUP && first + i < count; i++) {
            halves[i] = from[first + i];
        }
        return make_uint2(halves[0] | halves[1] << 16, halves[2] | halves[3] << 16);
    }
}

template <bool WHOLE>
static __device__ inline void bytes_store(uint8_t *into, uint32_t from, size_t first, size_t count)
{
    if constexpr (WHOLE) {
        *(uint32_t *)(into + first) = from;
    } else {
        for (size_t i = 0; i < GROUP && first + i < count; i++) {
            into[first + i] = (uint8_t)(from >> (i * 8));
        }
    }
}

template <bool WHOLE>
static __device__ inline uint32_t bytes_load(const uint8_t *from, size_t first, size_t count)
{
    if constexpr (WHOLE) {
        return *(const uint32_t *)(from + first);
    } else {
        uint32_t bytes = 0;
        for (size_t i = 0; i < GROUP && first + i < count; i++) {
            bytes |= (uint32_t)from[first + i] << (i * 8);
        }
        return bytes;
    }
}

/* ---- Whole blocks ------------------------------------------------------------------------- */

struct warp_sums {
    double of[WARP];
};

struct warp_values {
    uint32_t of[WARP];
};

/* Called by all threads of a block, whose number is a multiple of 32; thread 0 gets the sum, always
 * added up in the same order. */
static __device__ inline double block_sum(double value)
{
    SHARED(struct warp_sums, sums);
    for (unsigned distance = WARP / 2; distance > 0; distance /= 2) {
        value += __shfl_down_sync(ALL_LANES, value, distance);
    }
    if (threadIdx.x % WARP == 0) {
        sums.of[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    for (unsigned warp = 1; threadIdx.x == 0 && warp < blockDim.x / WARP; warp++) {
        value += sums.of[warp];
    }
    __syncthreads();
    return value;
}

/* All threads get the largest. */
static __device__ inline uint32_t block_largest(uint32_t value)
{
    SHARED(struct warp_values, values);
    value = __reduce_max_sync(ALL_LANES, value);
    if (threadIdx.x % WARP == 0) {
        values.of[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    for (unsigned warp = 0; warp < blockDim.x / WARP; warp++) {
        value = values.of[warp] > value ? values.of[warp] : value;
    }
    __syncthreads();
    return value;
}

/* ---- Encoding ----------------------------------------------------------------------------- */

/* A frame on its way, as all encoders get it. */
struct encoding_task {
    struct stretch in;
    uint8_t *frame;
    uint32_t codes_offset; /* bytes; fp16 and int8 */
    uint32_t bytes;        /* of the whole frame */
    int32_t rank;
    bool aligned; /* all vectors, to 16 bytes */
    bool weighed;
    struct cuda_notes *notes;
};

/* What a thread came across. */
struct tally {
    uint32_t wild;
    unsigned long long chosen;
    double given;
    double left;
};

static __device__ inline struct cuda_head *head_of(const void *frame)
{
    return (struct cuda_head *)frame - 1;
}

/* Whichever block comes last writes the frame's head: only then is known whether all is finite. */
static __device__ inline void head_write(const struct encoding_task &task)
{
    struct cuda_notes *notes = task.notes;
    struct cuda_head head = {task.bytes, -1, {0, 0}};
    if (atomicExch(&notes->wild_here, 0) > 0) {
        head.wild_rank = atomicCAS(&notes->wild_rank, INT32_MAX, task.rank);
        head.wild_rank = head.wild_rank == INT32_MAX ? task.rank : head.wild_rank;
    }
    *head_of(task.frame) = head;
}

/* Called by all threads of all blocks, once. */
static __device__ inline void encoding_end(const struct encoding_task &task,
                                           const struct tally &tally)
{
    struct cuda_notes *notes = task.notes;
    if (tally.wild > 0) {
        atomicAdd(&notes->wild, (unsigned long long)tally.wild);
        atomicAdd(&notes->wild_here, tally.wild);
    }
    if (task.weighed) {
        double given = block_sum(tally.given);
        double left = block_sum(tally.left);
        if (threadIdx.x == 0) {
            atomicAdd(&notes->given, given);
            atomicAdd(&notes->left, left);
        }
    }
    bool any_wild = __syncthreads_or(tally.wild > 0);
    if (threadIdx.x == 0) {
        if (tally.chosen > 0) {
            atomicAdd(&notes->chosen, tally.chosen);
        }
        /* The head tells of nothing else: a block without them need not wait for its stores. */
        if (any_wild) {
            __threadfence();
        }
        if (atomicInc(&notes->turn, gridDim.x - 1) == gridDim.x - 1) {
            __threadfence();
            head_write(task);
        }
    }
}

/* The sum of the values of all threads before this one. warps: shared memory, a word for each. */
static __device__ inline uint32_t block_before(uint32_t *warps, uint32_t value)
{
    uint32_t lane = threadIdx.x % WARP;
    uint32_t sum = value;
    for (uint32_t distance = 1; distance < WARP; distance *= 2) {
        uint32_t below = __shfl_up_sync(ALL_LANES, sum, distance);
        sum += lane >= distance ? below : 0;
    }
    if (lane == WARP - 1) {
        warps[threadIdx.x / WARP] = sum;
    }
    __syncthreads();
    for (uint32_t warp = 0; warp < threadIdx.x / WARP; warp++) {
        sum += warps[warp];
    }
    __syncthreads();
    return sum - value;
}

#endif
