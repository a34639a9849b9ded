/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_device.cuh: what kernels take from the GPU beyond C++: shared memory, conversions, clusters
 * of blocks, and launches. tests/cuda puts an emulation in its place. */
#ifndef KERNELS_CUDA_DEVICE_CUH
#define KERNELS_CUDA_DEVICE_CUH

#include <stdint.h>

/* Memory that a block's threads share; contents undefined. */
#define SHARED(type, name) __shared__ type name

/* A kernel's argument that stays where the launch put it, whatever indexes it. */
#define ARGUMENT const __grid_constant__

/* ---- Conversions: two at a time to 16 bits, the first one in the lower half, to nearest even.
 * What they make of NaN is not told. -------------------------------------------------------- */

static __device__ inline uint32_t f16_narrow_two(float low, float high)
{
    uint32_t codes;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(codes) : "f"(high), "f"(low));
    return codes;
}

static __device__ inline uint32_t bf16_narrow_two(float low, float high)
{
    uint32_t codes;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(codes) : "f"(high), "f"(low));
    return codes;
}

static __device__ inline float f16_widen_one(uint16_t code)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(code));
    return value;
}

static __device__ inline void f16_widen_two(float into[2], uint32_t codes)
{
    asm("{ .reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; "
        "cvt.f32.f16 %1, high; }"
        : "=f"(into[0]), "=f"(into[1])
        : "r"(codes));
}

/* Bytes that are chosen of both words, 0 .. 3 of the first and 4 .. 7 of the second, by the four
 * lowest digits of `which`, the first byte by the last digit. */
static __device__ inline uint32_t bytes_joined(uint32_t first, uint32_t second, uint32_t which)
{
    return __byte_perm(first, second, which);
}

/* The byte of that place, 0 .. 3, in the last place of a float of 2^23. */
static __device__ inline float byte_shifted(uint32_t bytes, int place)
{
    return __uint_as_float(__byte_perm(bytes, 0x4b000000, 0x7440 + place));
}

/* ---- Copies into shared memory that registers take no part in ------------------------------ */

/* 16 bytes; both are aligned to as many. */
static __device__ inline void copy_ahead(void *into, const void *from)
{
    uint32_t address = (uint32_t)__cvta_generic_to_shared(into);
    size_t source = __cvta_generic_to_global(from);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(source)
                 : "memory");
}

/* The thread's own copies are done, and it sees them; nobody else does yet. */
static __device__ inline void copies_wait(void)
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/* ---- Clusters: blocks that run at the same time ------------------------------------------- */

#define CLUSTER_CAPABILITY 9 /* of the device, at least */

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

static __device__ inline void cluster_arrive(void)
{
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

static __device__ inline void cluster_wait(void)
{
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/* What lies in another block's shared memory where `mine` lies in this one's. */
static __device__ inline uint32_t cluster_load(const uint32_t *mine, uint32_t block)
{
    uint32_t address = (uint32_t)__cvta_generic_to_shared(mine);
    uint32_t value;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(address), "r"(block));
    asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
    return value;
}

#else /* never launched there */

static __device__ inline void cluster_arrive(void)
{
    __trap();
}

static __device__ inline void cluster_wait(void)
{
    __trap();
}

static __device__ inline uint32_t cluster_load(const uint32_t *mine, uint32_t block)
{
    __trap();
    return *mine + block;
}

#endif

/* ---- Launches ----------------------------------------------------------------------------- */

/* cluster: blocks that run at the same time, 1 = each on its own. */
struct launch_shape {
    size_t blocks;
    unsigned threads;
    unsigned cluster;
    void *stream;
};

/* Returns a cudaError_t. */
template <typename... Wanted, typename... Given>
static inline int launch(const struct launch_shape &shape, void (*kernel)(Wanted...),
                         const Given &...given)
{
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim.x = shape.cluster;
    cluster.val.clusterDim.y = 1;
    cluster.val.clusterDim.z = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3((unsigned)shape.blocks);
    config.blockDim = dim3(shape.threads);
    config.stream = (cudaStream_t)shape.stream;
    config.attrs = &cluster;
    config.numAttrs = shape.cluster > 1 ? 1 : 0;
    return [&](Wanted... arguments) {
        void *addresses[] = {&arguments...};
        return (int)cudaLaunchKernelExC(&config, (const void *)kernel, addresses);
    }(given...);
}

#endif
