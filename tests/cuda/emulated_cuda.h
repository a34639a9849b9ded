/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_cuda.h: lets a C++ compiler take the kernels for GPUs, and runs them on the processor.
 * It takes the place of kernels/cuda_device.cuh.
 *
 * Every thread of a block is a fiber of its own, which runs until it waits for others. Blocks run
 * one after the other, those of a cluster together. Threads run first to last in one launch and
 * last to first in the next: what depends on the order shows. A collective that not all threads
 * reach ends the program with a sentence. */
#ifndef KERNELS_CUDA_DEVICE_CUH
#define KERNELS_CUDA_DEVICE_CUH

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/half.h"

#define __global__
#define __device__
#define __launch_bounds__(...)

/* ---- Where a thread is -------------------------------------------------------------------- */

struct emulated_index {
    unsigned x;
};

struct emulated_place {
    struct emulated_index thread;
    struct emulated_index block;
    struct emulated_index threads;
    struct emulated_index blocks;
};

/* Of the thread that runs. */
extern const struct emulated_place *emulated_here;

#define threadIdx (emulated_here->thread)
#define blockIdx (emulated_here->block)
#define blockDim (emulated_here->threads)
#define gridDim (emulated_here->blocks)

/* ---- Memory and arguments ----------------------------------------------------------------- */

/* The block's memory for what `site` stands for: full of nonsense when the block begins. */
void *emulated_shared(const void *site, size_t bytes);

#define SHARED(type, name)                                                                         \
    static const char name##_site = 0;                                                             \
    type &name = *static_cast<type *>(emulated_shared(&name##_site, sizeof(type)))
#define ARGUMENT const

/* ---- Vectors ------------------------------------------------------------------------------ */

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};

static inline float4 make_float4(float x, float y, float z, float w)
{
    return float4{x, y, z, w};
}

static inline uint2 make_uint2(uint32_t x, uint32_t y)
{
    return uint2{x, y};
}

/* ---- Conversions: what a GPU makes of NaN is told apart from what half.h does ------------- */

static inline uint32_t emulated_f16(float a)
{
    return a == a ? f16_narrow(a) : 0x7fffu;
}

static inline uint32_t emulated_bf16(float a)
{
    return a == a ? bf16_narrow(a) : 0x7fffu;
}

static inline uint32_t f16_narrow_two(float low, float high)
{
    return emulated_f16(low) | emulated_f16(high) << 16;
}

static inline uint32_t bf16_narrow_two(float low, float high)
{
    return emulated_bf16(low) | emulated_bf16(high) << 16;
}

static inline float f16_widen_one(uint16_t code)
{
    return (code & 0x7fff) > 0x7c00 ? float_of(0x7fffffff) : f16_widen(code);
}

static inline void f16_widen_two(float into[2], uint32_t codes)
{
    into[0] = f16_widen_one((uint16_t)codes);
    into[1] = f16_widen_one((uint16_t)(codes >> 16));
}

static inline uint32_t bytes_joined(uint32_t first, uint32_t second, uint32_t which)
{
    uint64_t both = first | (uint64_t)second << 32;
    uint32_t bytes = 0;
    for (unsigned i = 0; i < 4; i++) {
        bytes |= (uint32_t)(both >> (which >> (i * 4) & 7) * 8 & 0xff) << (i * 8);
    }
    return bytes;
}

static inline float byte_shifted(uint32_t bytes, int place)
{
    return float_of(0x4b000000 | (bytes >> (place * 8) & 0xff));
}

static inline long long __double_as_longlong(double a)
{
    long long bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

static inline double __longlong_as_double(long long bits)
{
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline int __popc(unsigned bits)
{
    return __builtin_popcount(bits);
}

/* ---- Copies into shared memory ------------------------------------------------------------ */

static inline void copy_ahead(void *into, const void *from)
{
    memcpy(into, from, 16);
}

static inline void copies_wait(void)
{
}

/* ---- Collectives -------------------------------------------------------------------------- */

void __syncthreads(void);
bool __syncthreads_or(bool mine);
void cluster_arrive(void);
void cluster_wait(void);
uint32_t cluster_load(const uint32_t *mine, uint32_t block);

/* Hands `value` in and returns those of all 32 lanes, once all have come; of one kind only. */
const uint64_t *emulated_lanes(const char *kind, uint64_t value);

static inline unsigned emulated_lane(void)
{
    return threadIdx.x % 32;
}

template <typename T> static inline T emulated_taken(uint64_t bits)
{
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <typename T> static inline uint64_t emulated_given(T value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof value);
    return bits;
}

static inline uint32_t __ballot_sync(uint32_t, bool mine)
{
    const uint64_t *lanes = emulated_lanes("ballot", mine);
    uint32_t bits = 0;
    for (unsigned lane = 0; lane < 32; lane++) {
        bits |= (uint32_t)lanes[lane] << lane;
    }
    return bits;
}

static inline uint32_t __reduce_max_sync(uint32_t, uint32_t mine)
{
    const uint64_t *lanes = emulated_lanes("reduce_max", mine);
    for (unsigned lane = 0; lane < 32; lane++) {
        mine = lanes[lane] > mine ? (uint32_t)lanes[lane] : mine;
    }
    return mine;
}

template <typename T> static inline T __shfl_sync(uint32_t, T mine, int from)
{
    return emulated_taken<T>(emulated_lanes("shfl", emulated_given(mine))[from % 32]);
}

template <typename T> static inline T __shfl_up_sync(uint32_t, T mine, unsigned distance)
{
    const uint64_t *lanes = emulated_lanes("shfl_up", emulated_given(mine));
    unsigned lane = emulated_lane();
    return emulated_taken<T>(lanes[lane >= distance ? lane - distance : lane]);
}

template <typename T> static inline T __shfl_down_sync(uint32_t, T mine, unsigned distance)
{
    const uint64_t *lanes = emulated_lanes("shfl_down", emulated_given(mine));
    unsigned lane = emulated_lane();
    return emulated_taken<T>(lanes[lane + distance < 32 ? lane + distance : lane]);
}

/* ---- Atomics: there is one thread of the system ------------------------------------------- */

template <typename T, typename U> static inline T atomicAdd(T *at, U value)
{
    T before = *at;
    *at = (T)(before + (T)value);
    return before;
}

template <typename T, typename U> static inline T atomicMin(T *at, U value)
{
    T before = *at;
    *at = (T)value < before ? (T)value : before;
    return before;
}

template <typename T, typename U, typename V> static inline T atomicCAS(T *at, U wanted, V value)
{
    T before = *at;
    *at = before == (T)wanted ? (T)value : before;
    return before;
}

template <typename T, typename U> static inline T atomicOr(T *at, U value)
{
    T before = *at;
    *at = before | (T)value;
    return before;
}

template <typename T, typename U> static inline T atomicExch(T *at, U value)
{
    T before = *at;
    *at = (T)value;
    return before;
}

static inline uint32_t atomicInc(uint32_t *at, uint32_t most)
{
    uint32_t before = *at;
    *at = before >= most ? 0 : before + 1;
    return before;
}

static inline void __threadfence(void)
{
}

/* ---- The runtime -------------------------------------------------------------------------- */

typedef int cudaError_t;
typedef void *cudaStream_t;
enum { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum { cudaMemcpyDeviceToDevice = 3 };
enum { cudaDevAttrComputeCapabilityMajor = 75 };

/* What the device says it can do. */
extern int emulated_capability;

static inline cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

static inline cudaError_t cudaDeviceGetAttribute(int *value, int, int)
{
    *value = emulated_capability;
    return cudaSuccess;
}

static inline cudaError_t cudaMemcpyAsync(void *into, const void *from, size_t bytes, int,
                                          cudaStream_t)
{
    memmove(into, from, bytes);
    return cudaSuccess;
}

#define CLUSTER_CAPABILITY 9

struct launch_shape {
    size_t blocks;
    unsigned threads;
    unsigned cluster;
    void *stream;
};

/* Calls body(argument) as every thread of the launch. */
void emulated_launch(const struct launch_shape *shape, void (*body)(const void *),
                     const void *argument);

template <typename... Wanted, typename... Given>
static inline int launch(const struct launch_shape &shape, void (*kernel)(Wanted...),
                         const Given &...given)
{
    auto call = [&]() { kernel(Wanted(given)...); };
    emulated_launch(
        &shape, [](const void *argument) { (*(const decltype(call) *)argument)(); }, &call);
    return cudaSuccess;
}

#endif
