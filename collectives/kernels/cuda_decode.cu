/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_decode.cu: adds up frames of fp16, bf16 and int8 on a GPU, in the order and with the
 * roundings of frame.c. */
#include "kernels/cuda_code.cuh"

#include "codecs/layout.h"

#define THREADS 256
#define GROUPS 4
#define TILE ((size_t)THREADS * GROUPS * GROUP)

#define EXPONENT_LIMIT 126
#define NAN_I8 0x7fc00000u

static_assert(CODEC_CHUNK % TILE == 0, "a tile lies in one chunk: one factor of fp16 is enough");

/* ---- Codecs: what a group of codes is, and what it stands for ------------------------------
 * value_of is exact. values_of is for whole groups, and makes any NaN of NaN; false = one may be
 * missing. */

struct from_fp16 {
    typedef uint2 codes;
    static const int FACTORS = 1;

    /* The chunk's 1 / unit. */
    static __device__ inline float factor_of(const uint8_t *frame, size_t first, int, bool *sound)
    {
        int exponent = ((const int16_t *)frame)[first / CODEC_CHUNK];
        *sound = exponent >= -EXPONENT_LIMIT && exponent <= EXPONENT_LIMIT;
        return float_of((uint32_t)(127 - (*sound ? exponent : 0)) << 23);
    }
    template <bool WHOLE>
    static __device__ inline uint2 load(const uint8_t *codes, size_t first, size_t count)
    {
        return halves_load<WHOLE>((const uint16_t *)codes, first, count);
    }
    static __device__ inline float value_of(uint2 codes, int i, float factor)
    {
        uint16_t code = (uint16_t)((i < 2 ? codes.x : codes.y) >> (i % 2 * 16));
        return product_of(f16_widen(code), factor);
    }
    static __device__ inline bool values_of(float values[GROUP], uint2 codes, float factor)
    {
        f16_widen_two(&values[0], codes.x);
        f16_widen_two(&values[2], codes.y);
        for (int i = 0; i < GROUP; i++) {
            values[i] *= factor;
        }
        return true;
    }
};

struct from_bf16 {
    typedef uint2 codes;
    static const int FACTORS = 1;

    static __device__ inline float factor_of(const uint8_t *, size_t, int, bool *sound)
    {
        *sound = true;
        return 1.0f;
    }
    template <bool WHOLE>
    static __device__ inline uint2 load(const uint8_t *codes, size_t first, size_t count)
    {
        return halves_load<WHOLE>((const uint16_t *)codes, first, count);
    }
    static __device__ inline float value_of(uint2 codes, int i, float)
    {
        uint32_t two = i < 2 ? codes.x : codes.y;
        return float_of(i % 2 == 0 ? two << 16 : two & 0xffff0000u);
    }
    static __device__ inline bool values_of(float values[GROUP], uint2 codes, float factor)
    {
        for (int i = 0; i < GROUP; i++) {
            values[i] = value_of(codes, i, factor);
        }
        return true;
    }
};

struct from_int8 {
    typedef uint32_t codes;
    static const int FACTORS = GROUPS;

    /* The block's step. */
    static __device__ inline float factor_of(const uint8_t *frame, size_t first, int group,
                                             bool *sound)
    {
        const float *steps = (const float *)frame + first / CODE_BLOCK;
        float step = steps[group * (THREADS * GROUP / CODE_BLOCK)];
        *sound = step >= 0.0f && step <= CODE_STEP_MAX;
        return *sound ? step : 0.0f;
    }
    template <bool WHOLE>
    static __device__ inline uint32_t load(const uint8_t *codes, size_t first, size_t count)
    {
        return bytes_load<WHOLE>(codes, first, count);
    }
    static __device__ inline float value_of(uint32_t codes, int i, float factor)
    {
        int8_t code = (int8_t)(codes >> (i * 8));
        return code == -128 ? float_of(NAN_I8) : (float)code * factor;
    }
    /* A byte with 128 added is put behind 2^23: a subtraction makes a number of it, which is
     * cheaper than a conversion. -128 is then 0. */
    static __device__ inline bool values_of(float values[GROUP], uint32_t codes, float factor)
    {
        uint32_t raised = codes ^ 0x80808080u;
        for (int i = 0; i < GROUP; i++) {
            values[i] = (byte_shifted(raised, i) - (0x1p23f + 128.0f)) * factor;
        }
        return ((raised - 0x01010101u) & ~raised & 0x80808080u) == 0;
    }
};

/* ---- Sums --------------------------------------------------------------------------------- */

/* What a tile needs of one frame. Places behind the end take part with codes 0. */
template <typename FROM> struct batch {
    typename FROM::codes codes[GROUPS];
    float factors[FROM::FACTORS]; /* one for all groups, or one for each */
};

static __device__ inline size_t place_of(int group)
{
    return blockIdx.x * TILE + (size_t)group * THREADS * GROUP + threadIdx.x * GROUP;
}

/* *damaged: told at the end, so that no load waits for another one's factors. */
template <typename FROM, bool WHOLE>
static __device__ inline void batch_load(struct batch<FROM> *batch, const struct sum_task &task,
                                         const uint8_t *frame, bool *damaged)
{
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        batch->codes[group] = FROM::template load<WHOLE>(frame + task.codes_offset, place_of(group),
                                                         task.count);
    }
#pragma unroll
    for (int group = 0; group < FROM::FACTORS; group++) {
        bool sound = true;
        batch->factors[group] = 0.0f;
        if (WHOLE || place_of(group) < task.count) {
            batch->factors[group] = FROM::factor_of(frame, place_of(0), group, &sound);
        }
        *damaged = *damaged | !sound;
    }
}

/* A group as frame.c adds it up, one element after the other. */
template <typename FROM, bool WHOLE, int MOST>
static __device__ inline void group_exact(const struct sum_task &task,
                                          const struct frames<MOST> &frames, size_t first)
{
    float sums[GROUP];
    int way = task.plain != NULL ? 1 : 0;
    if (way == 1) {
        floats_load<WHOLE>(sums, task.plain, first, task.count);
    }
#pragma unroll 1
    for (; way < task.ways; way++) {
        const uint8_t *frame = frames.of[way];
        bool sound;
        float factor = first < task.count ? FROM::factor_of(frame, first, 0, &sound) : 0.0f;
        auto codes = FROM::template load<WHOLE>(frame + task.codes_offset, first, task.count);
        for (int i = 0; i < GROUP; i++) {
            float value = FROM::value_of(codes, i, factor);
            sums[i] = way == 0 ? value : sum_of(sums[i], value);
        }
    }
    for (int i = 0; i < GROUP && task.scale != 1.0f; i++) {
        sums[i] = product_of(sums[i], task.scale);
    }
    floats_store<WHOLE>(task.into, sums, first, task.count);
}

/* Adds one frame to the sums. False = a NaN may be missing. */
template <typename FROM>
static __device__ inline bool batch_add(float sums[GROUPS][GROUP], const struct batch<FROM> &batch)
{
    bool sound = true;
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        float values[GROUP];
        sound = sound &
                FROM::values_of(values, batch.codes[group], batch.factors[group % FROM::FACTORS]);
        for (int i = 0; i < GROUP; i++) {
            sums[group][i] += values[i];
        }
    }
    return sound;
}

/* Source 0. */
template <typename FROM, bool WHOLE>
static __device__ inline bool first_load(float sums[GROUPS][GROUP], const struct sum_task &task,
                                         const uint8_t *frame, bool *damaged)
{
    struct batch<FROM> batch;
    bool sound = true;
    if (task.plain != NULL) {
#pragma unroll
        for (int group = 0; group < GROUPS; group++) {
            floats_load<WHOLE>(sums[group], task.plain, place_of(group), task.count);
        }
        return true;
    }
    batch_load<FROM, WHOLE>(&batch, task, frame, damaged);
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        sound = sound & FROM::values_of(sums[group], batch.codes[group],
                                        batch.factors[group % FROM::FACTORS]);
    }
    return sound;
}

static __device__ inline bool sums_scale(float sums[GROUPS][GROUP], float scale)
{
    bool sound = true;
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < GROUP; i++) {
            sums[group][i] = scale == 1.0f ? sums[group][i] : sums[group][i] * scale;
            sound = sound & (sums[group][i] == sums[group][i]);
        }
    }
    return sound;
}

/* What comes of a NaN is one: only where there is one at the end are its bits looked after. */
template <typename FROM, bool WHOLE, int MOST>
static __device__ inline void tile_sum(const struct sum_task &task,
                                       const struct frames<MOST> &frames)
{
    float sums[GROUPS][GROUP];
    bool damaged = false;
    bool sound = first_load<FROM, WHOLE>(sums, task, frames.of[0], &damaged);
#pragma unroll(WHOLE ? 2 : 1)
    for (int way = 1; way < task.ways; way++) {
        struct batch<FROM> batch;
        batch_load<FROM, WHOLE>(&batch, task, frames.of[way], &damaged);
        sound = batch_add<FROM>(sums, batch) & sound;
    }
    if (damaged) {
        atomicAdd(&task.notes->damaged, 1);
    }
    sound = sums_scale(sums, task.scale) & sound;
#pragma unroll
    for (int group = 0; sound && group < GROUPS; group++) {
        floats_store<WHOLE>(task.into, sums[group], place_of(group), task.count);
    }
#pragma unroll 1
    for (int group = 0; !sound && group < GROUPS; group++) {
        group_exact<FROM, WHOLE, MOST>(task, frames, place_of(group));
    }
}

template <typename FROM, int MOST>
static __global__ void __launch_bounds__(THREADS, 4)
    sum_kernel(ARGUMENT struct sum_task task, ARGUMENT struct frames<MOST> frames)
{
    heads_look<MOST>(task, frames);
    if (task.aligned && (blockIdx.x + 1) * TILE <= task.count) {
        tile_sum<FROM, true, MOST>(task, frames);
    } else {
        tile_sum<FROM, false, MOST>(task, frames);
    }
}

template <typename FROM, int MOST>
static int sum_launch(const struct sum_task &task, const void *const *from, void *stream)
{
    struct frames<MOST> frames = {
    };
    size_t tiles = layout_parts(task.count, TILE);
    struct launch_shape shape = {tiles > 0 ? tiles : 1, THREADS, 1, stream};
    for (int way = 0; way < task.ways; way++) {
        frames.of[way] = (const uint8_t *)from[way];
    }
    return launch(shape, sum_kernel<FROM, MOST>, task, frames);
}

template <typename FROM>
static int sum_ways(const struct sum_task &task, const void *const *from, void *stream)
{
    return task.ways <= FRAMES_FEW ? sum_launch<FROM, FRAMES_FEW>(task, from, stream)
                                   : sum_launch<FROM, CUDA_SOURCES_MAX>(task, from, stream);
}

int cuda_fp16_sum(const struct sum_task &task, const void *const *frames, void *stream)
{
    struct sum_task fp16 = task;
    fp16.codes_offset = (uint32_t)layout_padded(layout_parts(task.count, CODEC_CHUNK) *
                                                sizeof(int16_t));
    return sum_ways<from_fp16>(fp16, frames, stream);
}

int cuda_bf16_sum(const struct sum_task &task, const void *const *frames, void *stream)
{
    return sum_ways<from_bf16>(task, frames, stream);
}

int cuda_int8_sum(const struct sum_task &task, const void *const *frames, void *stream)
{
    struct sum_task int8 = task;
    int8.codes_offset = (uint32_t)layout_padded(layout_parts(task.count, CODE_BLOCK) *
                                                sizeof(float));
    return sum_ways<from_int8>(int8, frames, stream);
}
