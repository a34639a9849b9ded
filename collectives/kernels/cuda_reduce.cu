/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_reduce.cu: reductions on a GPU, as scalar.c defines them. */
#include "kernels/cuda.h"

#include "kernels/cuda_parts.cuh"

#define NAN_QUIET_F64 ((uint64_t)1 << 51)
#define NAN_DEFAULT_F64 ((uint64_t)0xfff8 << 48)

/* ---- Types: what memory holds, what is reduced -------------------------------------------- */

/* f32, f16 and bf16 are reduced as fp32. */
struct in_f32 {
    typedef float wide;
    static const bool PAIRS = false;

    static __device__ inline float sum(float a, float b)
    {
        return sum_of(a, b);
    }
    /* The bits are chosen, so that no instruction makes another NaN of one. */
    static __device__ inline float least(float a, float b)
    {
        return float_of(((a < b) | (a != a)) ? bits_of(a) : bits_of(b));
    }
    static __device__ inline float largest(float a, float b)
    {
        return float_of(((a > b) | (a != a)) ? bits_of(a) : bits_of(b));
    }
    static __device__ inline float scaled(float a, double scale)
    {
        return product_of(a, (float)scale);
    }
};

struct of_f32 : in_f32 {
    typedef float memory;

    static __device__ inline float load(float a)
    {
        return a;
    }
    static __device__ inline float store(float a)
    {
        return a;
    }
};

/* Pairs are loaded and stored at once, where none is NaN: of NaN they make any NaN. */
struct of_f16 : in_f32 {
    typedef uint16_t memory;
    static const bool PAIRS = true;

    static __device__ inline void pair_load(float into[2], uint32_t two)
    {
        f16_widen_two(into, two);
    }
    static __device__ inline uint32_t pair_store(float low, float high)
    {
        return f16_narrow_two(low, high);
    }

    static __device__ inline float load(uint16_t a)
    {
        return f16_widen(a);
    }
    static __device__ inline uint16_t store(float a)
    {
        return f16_narrow(a);
    }
};

struct of_bf16 : in_f32 {
    typedef uint16_t memory;
    static const bool PAIRS = true;

    static __device__ inline void pair_load(float into[2], uint32_t two)
    {
        into[0] = float_of(two << 16);
        into[1] = float_of(two & 0xffff0000u);
    }
    static __device__ inline uint32_t pair_store(float low, float high)
    {
        return bf16_narrow_two(low, high);
    }

    static __device__ inline float load(uint16_t a)
    {
        return bf16_widen(a);
    }
    static __device__ inline uint16_t store(float a)
    {
        return bf16_narrow(a);
    }
};

static __device__ inline uint64_t bits_of_f64(double a)
{
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

static __device__ inline double f64_of(uint64_t bits)
{
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static __device__ inline double nan_of_f64(double left, double right)
{
    if (left != left) {
        return f64_of(bits_of_f64(left) | NAN_QUIET_F64);
    }
    return f64_of(right != right ? bits_of_f64(right) | NAN_QUIET_F64 : NAN_DEFAULT_F64);
}

struct of_f64 {
    typedef double memory;
    typedef double wide;
    static const bool PAIRS = false;

    static __device__ inline double load(double a)
    {
        return a;
    }
    static __device__ inline double store(double a)
    {
        return a;
    }
    static __device__ inline double sum(double a, double b)
    {
        double sum = a + b;
        return sum == sum ? sum : nan_of_f64(a, b);
    }
    static __device__ inline double least(double a, double b)
    {
        return f64_of(((a < b) | (a != a)) ? bits_of_f64(a) : bits_of_f64(b));
    }
    static __device__ inline double largest(double a, double b)
    {
        return f64_of(((a > b) | (a != a)) ? bits_of_f64(a) : bits_of_f64(b));
    }
    static __device__ inline double scaled(double a, double scale)
    {
        double product = a * scale;
        return product == product ? product : nan_of_f64(a, scale);
    }
};

template <typename SIGNED, typename UNSIGNED> struct of_integer {
    typedef SIGNED memory;
    typedef SIGNED wide;
    static const bool PAIRS = false;

    static __device__ inline SIGNED load(SIGNED a)
    {
        return a;
    }
    static __device__ inline SIGNED store(SIGNED a)
    {
        return a;
    }
    static __device__ inline SIGNED sum(SIGNED a, SIGNED b)
    {
        return (SIGNED)((UNSIGNED)a + (UNSIGNED)b);
    }
    static __device__ inline SIGNED least(SIGNED a, SIGNED b)
    {
        return a < b ? a : b;
    }
    static __device__ inline SIGNED largest(SIGNED a, SIGNED b)
    {
        return a > b ? a : b;
    }
    static __device__ inline SIGNED scaled(SIGNED a, double)
    {
        return a;
    }
};

/* ---- The loop ----------------------------------------------------------------------------- */

#define THREADS 256
#define VECTOR_BYTES 16

template <enum ww_op OP, typename TYPE>
static __device__ inline typename TYPE::wide combined(typename TYPE::wide a, typename TYPE::wide b)
{
    return OP == WW_MIN ? TYPE::least(a, b) : OP == WW_MAX ? TYPE::largest(a, b) : TYPE::sum(a, b);
}

template <int MOST> struct sources {
    const void *from[MOST];
};

/* Vectors begin `shift` elements before the arrays, so that they are aligned wherever the arrays
 * begin, provided all begin alike. */
struct reduction {
    void *into;
    int ways;
    size_t count;
    unsigned shift;
    double scale; /* 1 = none */
};

/* What 16 bytes hold. */
template <typename TYPE> struct vector {
    static const int LANES = VECTOR_BYTES / sizeof(typename TYPE::memory);
    alignas(VECTOR_BYTES) typename TYPE::memory of[LANES];
};

/* `first` may lie before the array, by less than a vector: size_t wraps, and i < count is false. */
template <typename TYPE, bool WHOLE>
static __device__ inline struct vector<TYPE> vector_load(const void *from, size_t first,
                                                         size_t count) {
    const typename TYPE::memory *values = (const typename TYPE::memory *)from;
    if constexpr (WHOLE) {
        union {
            uint4 bits;
            struct vector<TYPE> lanes;
        } loaded;
        loaded.bits = *(const uint4 *)(values + first);
        return loaded.lanes;
    } else {
        struct vector<TYPE> lanes;
        for (size_t i = 0; i < vector<TYPE>::LANES; i++) {
            lanes.of[i] = first + i < count ? values[first + i] : (typename TYPE::memory)0;
        }
        return lanes;
    }
}

template <typename TYPE, bool WHOLE>
static __device__ inline void vector_store(void *into, const struct vector<TYPE> &from,
                                           size_t first, size_t count)
{
    typename TYPE::memory *values = (typename TYPE::memory *)into;
    if constexpr (WHOLE) {
        union {
            uint4 bits;
            struct vector<TYPE> lanes;
        } stored;
        stored.lanes = from;
        *(uint4 *)(values + first) = stored.bits;
    } else {
        for (size_t i = 0; i < vector<TYPE>::LANES; i++) {
            if (first + i < count) {
                values[first + i] = from.of[i];
            }
        }
    }
}

/* ---- Tiles -------------------------------------------------------------------------------- */

/* Vectors of a thread: as many as keep memory busy, with registers for their widened elements. */
template <typename TYPE> struct tile {
    static const int LANES = vector<TYPE>::LANES;
    static const int VECTORS = LANES == 8 ? 2 : 4;
    static const size_t ELEMENTS = (size_t)THREADS * VECTORS * LANES;
};

template <enum ww_op OP, typename TYPE, bool WHOLE, int MOST>
static __device__ inline void tile_reduce(const struct reduction &task,
                                          const struct sources<MOST> &sources, size_t first)
{
    const int VECTORS = tile<TYPE>::VECTORS;
    const int LANES = tile<TYPE>::LANES;
    const size_t stride = (size_t)THREADS * LANES;
    struct vector<TYPE> vectors[VECTORS];
    typename TYPE::wide sums[VECTORS][LANES];
    for (int v = 0; v < VECTORS; v++) {
        vectors[v] = vector_load<TYPE, WHOLE>(sources.from[0], first + v * stride, task.count);
    }
    for (int v = 0; v < VECTORS; v++) {
        for (int i = 0; i < LANES; i++) {
            sums[v][i] = TYPE::load(vectors[v].of[i]);
        }
    }
#pragma unroll 2
    for (int way = 1; way < task.ways; way++) {
        for (int v = 0; v < VECTORS; v++) {
            vectors[v] = vector_load<TYPE, WHOLE>(sources.from[way], first + v * stride,
                                                  task.count);
        }
        for (int v = 0; v < VECTORS; v++) {
            for (int i = 0; i < LANES; i++) {
                sums[v][i] = combined<OP, TYPE>(sums[v][i], TYPE::load(vectors[v].of[i]));
            }
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        for (int i = 0; i < LANES; i++) {
            typename TYPE::wide sum = sums[v][i];
            vectors[v].of[i] = TYPE::store(task.scale == 1.0 ? sum : TYPE::scaled(sum, task.scale));
        }
        vector_store<TYPE, WHOLE>(task.into, vectors[v], first + v * stride, task.count);
    }
}

/* ---- Pairs: what comes of a NaN is one, so only where there is one at the end are its bits
 * looked after ------------------------------------------------------------------------------ */

template <typename TYPE, bool WHOLE>
static __device__ inline void pairs_load(float into[tile<TYPE>::VECTORS][tile<TYPE>::LANES],
                                         const void *from, size_t first, size_t count)
{
    struct vector<TYPE> vectors[tile<TYPE>::VECTORS];
#pragma unroll
    for (int v = 0; v < tile<TYPE>::VECTORS; v++) {
        size_t at = first + v * (size_t)THREADS * tile<TYPE>::LANES;
        vectors[v] = vector_load<TYPE, WHOLE>(from, at, count);
    }
#pragma unroll
    for (int v = 0; v < tile<TYPE>::VECTORS; v++) {
#pragma unroll
        for (int i = 0; i < tile<TYPE>::LANES; i += 2) {
            uint32_t two;
            memcpy(&two, &vectors[v].of[i], sizeof two);
            TYPE::pair_load(&into[v][i], two);
        }
    }
}

/* One vector, element by element. */
template <enum ww_op OP, typename TYPE, bool WHOLE, int MOST>
static __device__ inline void vector_exact(const struct reduction &task,
                                           const struct sources<MOST> &sources, size_t first)
{
    struct vector<TYPE> vector;
    float sums[tile<TYPE>::LANES];
#pragma unroll 1
    for (int way = 0; way < task.ways; way++) {
        vector = vector_load<TYPE, WHOLE>(sources.from[way], first, task.count);
        for (int i = 0; i < tile<TYPE>::LANES; i++) {
            float a = TYPE::load(vector.of[i]);
            sums[i] = way == 0 ? a : combined<OP, TYPE>(sums[i], a);
        }
    }
    for (int i = 0; i < tile<TYPE>::LANES; i++) {
        float sum = task.scale == 1.0 ? sums[i] : TYPE::scaled(sums[i], task.scale);
        vector.of[i] = TYPE::store(sum);
    }
    vector_store<TYPE, WHOLE>(task.into, vector, first, task.count);
}

template <typename TYPE, bool WHOLE>
static __device__ inline void pairs_store(const struct reduction &task,
                                          const float sums[tile<TYPE>::VECTORS][tile<TYPE>::LANES],
                                          size_t first)
{
#pragma unroll
    for (int v = 0; v < tile<TYPE>::VECTORS; v++) {
        struct vector<TYPE> vector;
#pragma unroll
        for (int i = 0; i < tile<TYPE>::LANES; i += 2) {
            uint32_t two = TYPE::pair_store(sums[v][i], sums[v][i + 1]);
            memcpy(&vector.of[i], &two, sizeof two);
        }
        size_t at = first + v * (size_t)THREADS * tile<TYPE>::LANES;
        vector_store<TYPE, WHOLE>(task.into, vector, at, task.count);
    }
}

template <enum ww_op OP, typename TYPE, bool WHOLE, int MOST>
static __device__ inline void pairs_reduce(const struct reduction &task,
                                           const struct sources<MOST> &sources, size_t first)
{
    const int VECTORS = tile<TYPE>::VECTORS;
    const int LANES = tile<TYPE>::LANES;
    float scale = (float)task.scale;
    float sums[VECTORS][LANES];
    bool sound = true;
    pairs_load<TYPE, WHOLE>(sums, sources.from[0], first, task.count);
#pragma unroll 2
    for (int way = 1; way < task.ways; way++) {
        float more[VECTORS][LANES];
        pairs_load<TYPE, WHOLE>(more, sources.from[way], first, task.count);
        for (int i = 0; i < VECTORS * LANES; i++) {
            float *sum = &sums[i / LANES][i % LANES];
            float a = more[i / LANES][i % LANES];
            *sum = OP == WW_MIN || OP == WW_MAX ? combined<OP, TYPE>(*sum, a) : *sum + a;
        }
    }
    for (int i = 0; i < VECTORS * LANES; i++) {
        float *sum = &sums[i / LANES][i % LANES];
        *sum = task.scale == 1.0 ? *sum : *sum * scale;
        sound = sound & (*sum == *sum);
    }
    if (sound) {
        pairs_store<TYPE, WHOLE>(task, sums, first);
        return;
    }
#pragma unroll 1
    for (int v = 0; v < VECTORS; v++) {
        size_t at = first + v * (size_t)THREADS * LANES;
        vector_exact<OP, TYPE, WHOLE, MOST>(task, sources, at);
    }
}

template <enum ww_op OP, typename TYPE, bool WHOLE, int MOST>
static __device__ inline void any_reduce(const struct reduction &task,
                                         const struct sources<MOST> &sources, size_t first)
{
    if constexpr (TYPE::PAIRS) {
        pairs_reduce<OP, TYPE, WHOLE, MOST>(task, sources, first);
    } else {
        tile_reduce<OP, TYPE, WHOLE, MOST>(task, sources, first);
    }
}

template <enum ww_op OP, typename TYPE, int MOST>
static __global__ void __launch_bounds__(THREADS, 4)
    reduce_kernel_of(ARGUMENT struct reduction task, ARGUMENT struct sources<MOST> sources,
                     bool aligned)
{
    size_t begin = blockIdx.x * tile<TYPE>::ELEMENTS;
    size_t first = begin + threadIdx.x * tile<TYPE>::LANES - task.shift;
    bool inside = begin >= task.shift && begin + tile<TYPE>::ELEMENTS - task.shift <= task.count;
    if (aligned && inside) {
        any_reduce<OP, TYPE, true, MOST>(task, sources, first);
    } else {
        any_reduce<OP, TYPE, false, MOST>(task, sources, first);
    }
}

/* ---- Choices ------------------------------------------------------------------------------ */

/* Arguments of a launch are copied: few sources make a short one. */
#define SOURCES_FEW 8

template <enum ww_op OP, typename TYPE, int MOST>
static int reduce_launch(struct reduction task, const void *const *from, void *stream)
{
    struct sources<MOST> sources = {
    };
    size_t bytes = sizeof(typename TYPE::memory);
    size_t shift = (uintptr_t)task.into % VECTOR_BYTES;
    bool aligned = true;
    for (int way = 0; way < task.ways; way++) {
        sources.from[way] = from[way];
        aligned &= (uintptr_t)from[way] % VECTOR_BYTES == shift;
    }
    task.shift = (unsigned)(shift / bytes);
    size_t elements = tile<TYPE>::ELEMENTS;
    struct launch_shape shape = {(task.count + task.shift + elements - 1) / elements, THREADS, 1,
                                 stream};
    return launch(shape, reduce_kernel_of<OP, TYPE, MOST>, task, sources, aligned);
}

template <enum ww_op OP, typename TYPE>
static int reduce_ways(const struct reduction &task, const void *const *from, void *stream)
{
    /* Least and largest are rare, and every kernel takes seconds to compile. */
    const int few = OP == WW_SUM ? SOURCES_FEW : CUDA_SOURCES_MAX;
    return task.ways <= few ? reduce_launch<OP, TYPE, few>(task, from, stream)
                            : reduce_launch<OP, TYPE, CUDA_SOURCES_MAX>(task, from, stream);
}

template <typename TYPE>
static int reduce_op(enum ww_op op, const struct reduction &task, const void *const *from,
                     void *stream)
{
    switch (op) {
    case WW_MIN:
        return reduce_ways<WW_MIN, TYPE>(task, from, stream);
    case WW_MAX:
        return reduce_ways<WW_MAX, TYPE>(task, from, stream);
    default:
        return reduce_ways<WW_SUM, TYPE>(task, from, stream);
    }
}

static size_t element_bytes(enum ww_type type)
{
    static const uint8_t bytes[WW_TYPE_COUNT] = {4, 8, 2, 2, 4, 8};
    return bytes[type];
}

extern "C" int cuda_reduce(enum ww_type type, enum ww_op op, void *into, const void *const *from,
                           int ways, size_t count, double scale, void *stream)
{
    struct reduction task = {into, ways, count, 0, scale};
    if (ways < 1 || ways > CUDA_SOURCES_MAX || (unsigned)type >= WW_TYPE_COUNT ||
        (op == WW_MEAN && (type == WW_I32 || type == WW_I64))) {
        return cudaErrorInvalidValue;
    }
    if (count == 0 || (ways == 1 && scale == 1.0 && into == from[0])) {
        return cudaSuccess;
    }
    if (ways == 1 && scale == 1.0) {
        return cudaMemcpyAsync(into, from[0], count * element_bytes(type), cudaMemcpyDeviceToDevice,
                               (cudaStream_t)stream);
    }
    switch (type) {
    case WW_F32:
        return reduce_op<of_f32>(op, task, from, stream);
    case WW_F64:
        return reduce_op<of_f64>(op, task, from, stream);
    case WW_F16:
        return reduce_op<of_f16>(op, task, from, stream);
    case WW_BF16:
        return reduce_op<of_bf16>(op, task, from, stream);
    case WW_I32:
        return reduce_op<of_integer<int32_t, uint32_t>>(op, task, from, stream);
    default:
        return reduce_op<of_integer<int64_t, uint64_t>>(op, task, from, stream);
    }
}
