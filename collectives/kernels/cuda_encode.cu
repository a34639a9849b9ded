/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_encode.cu: encodes fp16, bf16 and int8 on a GPU, as code_scalar.c and codecs/ define them.
 */
#include "kernels/cuda_code.cuh"

#include "codecs/layout.h"

/* Groups of a thread: all are loaded before the first is worked on. */
#define GROUPS 4

/* What a thread holds of a tile. */
struct batch {
    float a[GROUPS][GROUP];
    float residual[GROUPS][GROUP];
};

/* Where a thread's groups begin: pairs lie `far` apart, the groups of one `near`. */
struct places {
    size_t first;
    unsigned near;
    unsigned far;
};

static __device__ inline size_t place_of(const struct places &places, int group)
{
    return places.first + group / 2 * places.far + group % 2 * places.near;
}

template <bool WHOLE>
static __device__ inline void batch_load(struct batch *batch, const struct stretch &in,
                                         const struct places &places)
{
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        size_t first = place_of(places, group);
        floats_load<WHOLE>(batch->a[group], in.values, first, in.count);
        residual_load<WHOLE>(batch->residual[group], in.residual, first, in.count);
    }
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < GROUP; i++) {
            batch->a[group][i] += batch->residual[group][i];
        }
    }
}

/* Groups behind the end are zeros, and count for nothing. */
static __device__ inline void given_add(struct tally *tally, const float a[GROUP])
{
    for (int i = 0; i < GROUP; i++) {
        tally->given += (double)a[i] * (double)a[i];
    }
}

/* Stores what is left of a group: a - s, or the residual where a is not finite. */
template <bool WHOLE>
static __device__ inline void next_store(const struct encoding_task &task, struct tally *tally,
                                         const float next[GROUP], size_t first)
{
    if (task.in.next == NULL) {
        return;
    }
    floats_store<WHOLE>(task.in.next, next, first, task.in.count);
    for (int i = 0; i < GROUP && task.weighed; i++) {
        tally->left += (double)next[i] * (double)next[i];
    }
}

static __device__ inline uint2 halves_of(const uint16_t codes[GROUP])
{
    return make_uint2(codes[0] | (uint32_t)codes[1] << 16, codes[2] | (uint32_t)codes[3] << 16);
}

static __device__ inline uint16_t half_of(uint2 codes, int i)
{
    return (uint16_t)((i < 2 ? codes.x : codes.y) >> (i % 2 * 16));
}

/* Zeros between what comes before the codes and the codes themselves; the first block's job. */
static __device__ inline void padding_clear(const struct encoding_task &task, size_t from)
{
    for (size_t i = from + threadIdx.x; blockIdx.x == 0 && i < task.codes_offset; i += blockDim.x) {
        task.frame[i] = 0;
    }
}

/* ---- fp16 --------------------------------------------------------------------------------- */

#define QUIET_NAN_F16 0x7e00
#define LARGEST_BITS_OF_11_DIGITS 0x7f7fe000u
#define EXPONENT_LIMIT 126

/* A chunk is encoded by so many blocks, which tell each other their largest magnitudes. */
#define PARTS 8
#define PART_THREADS 512

/* As codecs/fp16.c: the largest lands in 2^14 .. 2^15. */
static __device__ inline int f16_exponent_of(uint32_t largest)
{
    int exponent = 15 + 126 - (int)(largest >> 23);
    return largest == 0 ? 0 : exponent < EXPONENT_LIMIT ? exponent : EXPONENT_LIMIT;
}

static __device__ inline float power_of_two(int exponent)
{
    return float_of((uint32_t)(exponent + 127) << 23);
}

static __device__ inline uint16_t f16_code_of(float a, float unit)
{
    bool bounded = !is_wild(a) && key_of(a) >= LEAST_BITS_TO_INFINITE_F16;
    float largest = float_of((bits_of(a) & 0x80000000) | LARGEST_BITS_OF_11_DIGITS);
    return a != a ? QUIET_NAN_F16 : f16_narrow((bounded ? largest : a) * unit);
}

/* The group's codes: as four, where all are small enough for it. */
static __device__ inline uint2 f16_codes_of(const float a[GROUP], float unit)
{
    const float limit = float_of(LEAST_BITS_TO_INFINITE_F16);
    bool small = true;
    uint16_t codes[GROUP];
    for (int i = 0; i < GROUP; i++) {
        small = small && fabsf(a[i]) < limit;
    }
    if (small) {
        return make_uint2(f16_narrow_two(a[0] * unit, a[1] * unit),
                          f16_narrow_two(a[2] * unit, a[3] * unit));
    }
    for (int i = 0; i < GROUP; i++) {
        codes[i] = f16_code_of(a[i], unit);
    }
    return halves_of(codes);
}

/* A part of a chunk, and where it lies. */
struct part {
    size_t chunk;
    uint32_t index;
    struct places places;
    bool whole;
};

static __device__ inline struct part part_of_block(const struct encoding_task &task)
{
    struct part part;
    size_t elements = CODEC_CHUNK / PARTS;
    size_t begin = blockIdx.x * elements;
    part.chunk = blockIdx.x / PARTS;
    part.index = blockIdx.x % PARTS;
    part.places.first = begin + threadIdx.x * GROUP;
    part.places.near = PART_THREADS * GROUP;
    part.places.far = 2 * PART_THREADS * GROUP;
    part.whole = task.aligned && begin + elements <= task.in.count;
    return part;
}

/* The sums of a part stay in registers until the chunk's largest is known: residuals are read again
 * where one is not finite, which is rare. */
struct part_values {
    float a[GROUPS][GROUP];
    uint32_t wild;
};

template <bool WHOLE>
static __device__ inline uint32_t
part_load(struct part_values *values, const struct encoding_task &task, const struct places &places)
{
    struct batch batch;
    uint32_t largest = 0;
    batch_load<WHOLE>(&batch, task.in, places);
    values->wild = 0;
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        for (int i = 0; i < GROUP; i++) {
            float a = batch.a[group][i];
            uint32_t key = key_of(a);
            values->a[group][i] = a;
            values->wild += is_wild(a);
            largest = !is_wild(a) && key > largest ? key : largest;
        }
    }
    return largest;
}

template <bool WHOLE>
static __device__ inline void
part_store(const struct part_values &values, const struct encoding_task &task,
           const struct places &places, int exponent, struct tally *tally)
{
    uint16_t *codes = (uint16_t *)(task.frame + task.codes_offset);
    float unit = power_of_two(exponent);
    float inverse = power_of_two(-exponent);
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        size_t first = place_of(places, group);
        const float *a = values.a[group];
        uint2 four = f16_codes_of(a, unit);
        float next[GROUP];
        halves_store<WHOLE>(codes, four, first, task.in.count);
        for (int i = 0; i < GROUP; i++) {
            next[i] = a[i] - f16_widen_one(half_of(four, i)) * inverse;
            if (task.in.next != NULL && is_wild(a[i])) {
                bool has_one = task.in.residual != NULL && first + i < task.in.count;
                next[i] = has_one ? task.in.residual[first + i] : 0.0f;
            }
        }
        if (task.weighed) {
            given_add(tally, a);
        }
        next_store<WHOLE>(task, tally, next, first);
    }
}

static __device__ inline uint32_t
part_read(struct part_values *values, const struct encoding_task &task, const struct part &part)
{
    return block_largest(part.whole ? part_load<true>(values, task, part.places)
                                    : part_load<false>(values, task, part.places));
}

static __device__ inline void part_write(const struct part_values &values,
                                         const struct encoding_task &task, const struct part &part,
                                         uint32_t largest)
{
    int16_t *exponents = (int16_t *)task.frame;
    int exponent = f16_exponent_of(largest);
    struct tally tally = {values.wild, 0, 0, 0};
    if (part.whole) {
        part_store<true>(values, task, part.places, exponent, &tally);
    } else {
        part_store<false>(values, task, part.places, exponent, &tally);
    }
    if (part.index == 0 && threadIdx.x == 0 && part.chunk * CODEC_CHUNK < task.in.count) {
        exponents[part.chunk] = (int16_t)exponent;
    }
    padding_clear(task, layout_parts(task.in.count, CODEC_CHUNK) * sizeof(int16_t));
    tally.chosen = blockIdx.x == 0 && threadIdx.x == 0 ? task.in.count : 0;
    encoding_end(task, tally);
}

/* A chunk is a cluster. */
static __global__ void __launch_bounds__(PART_THREADS, 3)
    fp16_cluster_kernel(ARGUMENT struct encoding_task task)
{
    SHARED(struct warp_values, mine);
    struct part part = part_of_block(task);
    struct part_values values;
    uint32_t largest = part_read(&values, task, part);
    if (threadIdx.x == 0) {
        mine.of[0] = largest;
    }
    cluster_arrive();
    cluster_wait();
    for (uint32_t other = 0; other < PARTS; other++) {
        uint32_t found = cluster_load(&mine.of[0], other);
        largest = found > largest ? found : largest;
    }
    /* No block may end while another one still reads what it shares. */
    cluster_arrive();
    part_write(values, task, part, largest);
    cluster_wait();
}

/* Without clusters: a launch that only looks for the largest, and one that reads them. */
static __global__ void __launch_bounds__(PART_THREADS, 3)
    fp16_largest_kernel(ARGUMENT struct encoding_task task, uint32_t *room)
{
    struct part_values values;
    uint32_t largest = part_read(&values, task, part_of_block(task));
    if (threadIdx.x == 0) {
        room[blockIdx.x] = largest;
    }
}

static __global__ void __launch_bounds__(PART_THREADS, 3)
    fp16_encode_kernel(ARGUMENT struct encoding_task task, const uint32_t *room)
{
    struct part part = part_of_block(task);
    struct part_values values;
    uint32_t largest = 0;
    for (uint32_t other = 0; other < PARTS; other++) {
        uint32_t found = room[part.chunk * PARTS + other];
        largest = found > largest ? found : largest;
    }
    if (part.whole) {
        part_load<true>(&values, task, part.places);
    } else {
        part_load<false>(&values, task, part.places);
    }
    part_write(values, task, part, largest);
}

/* ---- fp16 alone: nothing is added and nothing left over ------------------------------------ */

/* Values wait in shared memory, of which there is more than of registers: more blocks are under
 * way at once. */
#define PLAIN_THREADS 256
#define PLAIN_BLOCKS 6 /* of an SM: 32 KiB each */
#define PLAIN_ELEMENTS (CODEC_CHUNK / PARTS)
#define PLAIN_GROUPS (PLAIN_ELEMENTS / (PLAIN_THREADS * GROUP))
#define PLAIN_WARPS (PLAIN_THREADS / WARP)

struct alignas(16) plain_room {
    float values[PLAIN_ELEMENTS];
    uint32_t largest[PLAIN_WARPS];
};

/* Where a thread's group lies in its part: nobody else touches that. */
static __device__ inline uint32_t plain_place(int group)
{
    return (group * PLAIN_THREADS + threadIdx.x) * GROUP;
}

template <bool WHOLE>
static __device__ inline void plain_load(struct plain_room *room, const struct stretch &in)
{
    size_t begin = (size_t)blockIdx.x * PLAIN_ELEMENTS;
#pragma unroll
    for (int group = 0; group < PLAIN_GROUPS; group++) {
        uint32_t first = plain_place(group);
        if constexpr (WHOLE) {
            copy_ahead(&room->values[first], in.values + begin + first);
        } else {
            floats_load<false>(&room->values[first], in.values, begin + first, in.count);
        }
    }
    copies_wait();
}

/* The largest of the thread's, and of its warp's after that. */
static __device__ inline uint32_t plain_largest(const struct plain_room &room, struct tally *tally)
{
    uint32_t largest = 0;
#pragma unroll
    for (int group = 0; group < PLAIN_GROUPS; group++) {
        float a[GROUP];
        floats_load<true>(a, room.values, plain_place(group), 0);
        for (int i = 0; i < GROUP; i++) {
            uint32_t key = key_of(a[i]);
            tally->wild += key >= INFINITY_BITS;
            largest = key < INFINITY_BITS && key > largest ? key : largest;
        }
    }
    return __reduce_max_sync(ALL_LANES, largest);
}

template <bool WHOLE>
static __device__ inline void plain_store(const struct plain_room &room,
                                          const struct encoding_task &task, int exponent)
{
    uint16_t *codes = (uint16_t *)(task.frame + task.codes_offset);
    size_t begin = (size_t)blockIdx.x * PLAIN_ELEMENTS;
    float unit = power_of_two(exponent);
#pragma unroll
    for (int group = 0; group < PLAIN_GROUPS; group++) {
        uint32_t first = plain_place(group);
        float a[GROUP];
        floats_load<true>(a, room.values, first, 0);
        for (int i = 0; i < GROUP; i++) {
            a[i] += 0.0f; /* -0 is encoded as 0 + -0 is */
        }
        halves_store<WHOLE>(codes, f16_codes_of(a, unit), begin + first, task.in.count);
    }
}

/* All threads of the cluster get the largest of its warps. */
static __device__ inline uint32_t cluster_largest(struct plain_room *room, uint32_t largest)
{
    uint32_t lane = threadIdx.x % WARP;
    if (lane == 0) {
        room->largest[threadIdx.x / WARP] = largest;
    }
    cluster_arrive();
    cluster_wait();
    for (uint32_t warp = lane; warp < PARTS * PLAIN_WARPS; warp += WARP) {
        uint32_t found = cluster_load(&room->largest[warp % PLAIN_WARPS], warp / PLAIN_WARPS);
        largest = found > largest ? found : largest;
    }
    return __reduce_max_sync(ALL_LANES, largest);
}

static __global__ void __launch_bounds__(PLAIN_THREADS, PLAIN_BLOCKS)
    fp16_plain_kernel(ARGUMENT struct encoding_task task)
{
    SHARED(struct plain_room, room);
    struct tally tally = {0, 0, 0, 0};
    size_t chunk = blockIdx.x / PARTS;
    bool whole = task.aligned && (size_t)(blockIdx.x + 1) * PLAIN_ELEMENTS <= task.in.count;
    if (whole) {
        plain_load<true>(&room, task.in);
    } else {
        plain_load<false>(&room, task.in);
    }
    uint32_t largest = cluster_largest(&room, plain_largest(room, &tally));
    int exponent = f16_exponent_of(largest);
    /* No block may end while another one still reads what it shares. */
    cluster_arrive();
    if (whole) {
        plain_store<true>(room, task, exponent);
    } else {
        plain_store<false>(room, task, exponent);
    }
    if (blockIdx.x % PARTS == 0 && threadIdx.x == 0 && chunk * CODEC_CHUNK < task.in.count) {
        ((int16_t *)task.frame)[chunk] = (int16_t)exponent;
    }
    padding_clear(task, layout_parts(task.in.count, CODEC_CHUNK) * sizeof(int16_t));
    tally.chosen = blockIdx.x == 0 && threadIdx.x == 0 ? task.in.count : 0;
    encoding_end(task, tally);
    cluster_wait();
}

/* ---- Which of them ------------------------------------------------------------------------ */

static size_t fp16_blocks(size_t count)
{
    size_t chunks = layout_parts(count, CODEC_CHUNK);
    return (chunks > 0 ? chunks : 1) * PARTS;
}

size_t cuda_fp16_room_words(size_t count)
{
    return fp16_blocks(count);
}

static bool has_clusters(void)
{
    int device = 0;
    int capability = 0;
    return cudaGetDevice(&device) == cudaSuccess &&
           cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, device) ==
               cudaSuccess &&
           capability >= CLUSTER_CAPABILITY;
}

int cuda_fp16_encode(struct encoding_task task, uint32_t *room, void *stream)
{
    struct launch_shape shape = {fp16_blocks(task.in.count), PART_THREADS, 1, stream};
    task.codes_offset = (uint32_t)layout_padded(layout_parts(task.in.count, CODEC_CHUNK) *
                                                sizeof(int16_t));
    bool plain = task.in.residual == NULL && task.in.next == NULL && !task.weighed;
    if (has_clusters() && plain) {
        shape.threads = PLAIN_THREADS;
        shape.cluster = PARTS;
        return launch(shape, fp16_plain_kernel, task);
    }
    if (has_clusters()) {
        shape.cluster = PARTS;
        return launch(shape, fp16_cluster_kernel, task);
    }
    int status = launch(shape, fp16_largest_kernel, task, room);
    return status != cudaSuccess ? status : launch(shape, fp16_encode_kernel, task, room);
}

/* ---- bf16 and int8: tiles that know nothing of each other --------------------------------- */

#define THREADS 256
#define TILE ((size_t)THREADS * GROUPS * GROUP)

#define QUIET_NAN_BF16 0x7fc0
#define LARGEST_BF16 0x7f7f

static __device__ inline uint16_t bf16_code_of(float a)
{
    uint16_t code = bf16_narrow(a);
    uint16_t largest = (uint16_t)((code & 0x8000) | LARGEST_BF16);
    code = !is_wild(a) && (code & 0x7fff) > LARGEST_BF16 ? largest : code;
    return a != a ? QUIET_NAN_BF16 : code;
}

static __device__ inline uint2 bf16_codes_of(const float a[GROUP])
{
    const float limit = float_of(LEAST_BITS_TO_INFINITE_BF16);
    bool small = true;
    uint16_t codes[GROUP];
    for (int i = 0; i < GROUP; i++) {
        small = small && fabsf(a[i]) < limit;
    }
    if (small) {
        return make_uint2(bf16_narrow_two(a[0], a[1]), bf16_narrow_two(a[2], a[3]));
    }
    for (int i = 0; i < GROUP; i++) {
        codes[i] = bf16_code_of(a[i]);
    }
    return halves_of(codes);
}

template <bool WHOLE>
static __device__ inline void bf16_tile(const struct encoding_task &task, struct tally *tally)
{
    struct places places = {blockIdx.x * TILE + threadIdx.x * GROUP, THREADS * GROUP,
                            2 * THREADS * GROUP};
    struct batch batch;
    batch_load<WHOLE>(&batch, task.in, places);
#pragma unroll
    for (int group = 0; group < GROUPS; group++) {
        size_t first = place_of(places, group);
        const float *a = batch.a[group];
        uint2 codes = bf16_codes_of(a);
        float next[GROUP];
        halves_store<WHOLE>((uint16_t *)task.frame, codes, first, task.in.count);
        for (int i = 0; i < GROUP; i++) {
            bool wild = is_wild(a[i]);
            next[i] = wild ? batch.residual[group][i] : a[i] - bf16_widen(half_of(codes, i));
            tally->wild += wild;
        }
        if (task.weighed) {
            given_add(tally, a);
        }
        next_store<WHOLE>(task, tally, next, first);
    }
}

static __device__ inline bool tile_is_whole(const struct encoding_task &task)
{
    return task.aligned && (blockIdx.x + 1) * TILE <= task.in.count;
}

static __global__ void __launch_bounds__(THREADS, 4)
    bf16_encode_kernel(ARGUMENT struct encoding_task task)
{
    struct tally tally = {0, 0, 0, 0};
    if (tile_is_whole(task)) {
        bf16_tile<true>(task, &tally);
    } else {
        bf16_tile<false>(task, &tally);
    }
    tally.chosen = blockIdx.x == 0 && threadIdx.x == 0 ? task.in.count : 0;
    encoding_end(task, tally);
}

static size_t tiles_of(size_t count)
{
    return count == 0 ? 1 : layout_parts(count, TILE);
}

int cuda_bf16_encode(struct encoding_task task, void *stream)
{
    struct launch_shape shape = {tiles_of(task.in.count), THREADS, 1, stream};
    return launch(shape, bf16_encode_kernel, task);
}

/* A warp encodes whole blocks of codes, two at a time. Eight lanes share 64 elements, each the same
 * four of both halves: elements that share random bits lie in one lane.
 *
 *     lane 0: 0 .. 3 and 32 .. 35    lane 1: 4 .. 7 and 36 .. 39    ...    lane 8: 64 .. 67 ... */
#define WILD_I8 0x80u
#define BLOCK_GROUPS 2 /* of a lane in each block */
#define NEAREST_SHIFT 0x1.8p23f

struct int8_task {
    struct encoding_task task;
    struct dither_keys keys;
    uint32_t index;
    bool dithered;
};

/* Both groups of a lane: the largest key of all. */
static __device__ inline uint32_t lane_largest(const float a[BLOCK_GROUPS][GROUP])
{
    uint32_t largest = 0;
    for (int i = 0; i < BLOCK_GROUPS * GROUP; i++) {
        uint32_t key = key_of(a[i / GROUP][i % GROUP]);
        largest = key > largest ? key : largest;
    }
    return largest;
}

/* A block's scale; all lanes of its warp call it, with their largest keys. */
static __device__ inline struct block_scale block_scale_find(const float a[BLOCK_GROUPS][GROUP],
                                                             uint32_t largest)
{
    if (largest >= INFINITY_BITS) {
        largest = 0;
        for (int i = 0; i < BLOCK_GROUPS * GROUP; i++) {
            uint32_t key = key_of(a[i / GROUP][i % GROUP]);
            largest = key < INFINITY_BITS && key > largest ? key : largest;
        }
    }
    return block_scale_of(float_of(__reduce_max_sync(ALL_LANES, largest)));
}

static __device__ inline int32_t nearest_of(float quotient)
{
    return (int32_t)(bits_of(quotient + NEAREST_SHIFT) - bits_of(NEAREST_SHIFT));
}

/* Codes of one group: `place` is that in the block, `index` the block's. */
static __device__ inline uint32_t int8_codes_of(const struct int8_task &task, const float a[GROUP],
                                                struct block_scale scale, uint32_t index,
                                                uint32_t place)
{
    uint32_t codes = 0;
    for (uint32_t i = 0; i < GROUP; i++) {
        float quotient = a[i] * scale.inverse;
        if (task.dithered) {
            quotient += (float)dither_of(&task.keys, index, place + i) * 0x1p-32f;
        }
        int32_t code = nearest_of(quotient);
        code = code > 127 ? 127 : code < -127 ? -127 : code;
        codes |= (is_wild(a[i]) ? WILD_I8 : (uint32_t)code & 0xff) << (i * 8);
    }
    return codes;
}

/* What dither_of gives times 2^-32, without conversions, of which a GPU makes few at a time: a half
 * put behind an exponent is a number once its offset is taken off. One rounding joins two halves,
 * as a conversion of both does. */
static __device__ inline float dither_of_all(uint32_t bits)
{
    float upper = float_of(0x43000000u | (bits >> 16 ^ 0x8000)) - (0x1p7f + 0.5f);
    float lower = float_of(0x3b000000u | (bits & 0xffff)) - 0x1p-9f;
    return upper + lower;
}

static __device__ inline float dither_of_lower(uint32_t bits)
{
    return float_of(0x43000000u | ((bits & 0xffff) ^ 0x8000)) - (0x1p7f + 0.5f);
}

/* Behind NEAREST_SHIFT the code is the lowest byte. */
static __device__ inline uint32_t bounded_bits(float quotient)
{
    quotient = fminf(fmaxf(quotient, -127.0f), 127.0f);
    return bits_of(quotient + NEAREST_SHIFT);
}

static __device__ inline uint32_t bytes_of(const uint32_t from[GROUP])
{
    return bytes_joined(bytes_joined(from[0], from[1], 0x0040),
                        bytes_joined(from[2], from[3], 0x0040), 0x5410);
}

/* Codes of both groups of a lane, dithered, where all are finite: as int8_codes_of gives them. Each
 * hash serves two. */
static __device__ inline void int8_dithered(uint32_t codes[BLOCK_GROUPS],
                                            const struct int8_task &task,
                                            const float a[BLOCK_GROUPS][GROUP], float inverse,
                                            uint32_t index)
{
    uint32_t found[BLOCK_GROUPS][GROUP];
    for (uint32_t i = 0; i < GROUP; i++) {
        uint32_t bits = dither_bits(&task.keys, index + i);
        found[0][i] = bounded_bits(a[0][i] * inverse + dither_of_all(bits));
        found[1][i] = bounded_bits(a[1][i] * inverse + dither_of_lower(bits));
    }
    codes[0] = bytes_of(found[0]);
    codes[1] = bytes_of(found[1]);
}

template <bool WHOLE>
static __device__ inline void int8_group(const struct int8_task &task, const float a[GROUP],
                                         const float residual[GROUP], struct block_scale scale,
                                         size_t block, uint32_t place, struct tally *tally)
{
    const struct encoding_task &all = task.task;
    size_t first = block * CODE_BLOCK + place;
    uint32_t index = task.index + (uint32_t)(block * CODE_BLOCK);
    uint32_t codes = int8_codes_of(task, a, scale, index, place);
    float next[GROUP];
    bytes_store<WHOLE>(all.frame + all.codes_offset, codes, first, all.in.count);
    for (int i = 0; i < GROUP; i++) {
        bool wild = is_wild(a[i]);
        float code = (float)(int8_t)(codes >> (i * 8));
        next[i] = wild ? residual[i] : a[i] - code * scale.step;
        tally->wild += wild;
    }
    if (all.weighed) {
        given_add(tally, a);
    }
    next_store<WHOLE>(all, tally, next, first);
}

template <bool WHOLE>
static __device__ inline void int8_tile(const struct int8_task &task, struct tally *tally)
{
    const struct encoding_task &all = task.task;
    uint32_t lane = threadIdx.x % WARP;
    size_t block = blockIdx.x * (TILE / CODE_BLOCK) + threadIdx.x / WARP * (GROUPS / BLOCK_GROUPS);
    uint32_t place = lane / 8 * (2 * CODE_GROUP) + lane % 8 * GROUP;
    struct batch batch;
    struct places places = {block * CODE_BLOCK + place, CODE_GROUP, CODE_BLOCK};
    batch_load<WHOLE>(&batch, all.in, places);
#pragma unroll
    for (int i = 0; i < GROUPS / BLOCK_GROUPS; i++, block++) {
        const int group = i * BLOCK_GROUPS;
        uint32_t largest = lane_largest(&batch.a[group]);
        struct block_scale scale = block_scale_find(&batch.a[group], largest);
        if (lane == 0 && block * CODE_BLOCK < all.in.count) {
            ((float *)all.frame)[block] = scale.step;
        }
        if (task.dithered && !all.weighed && largest < INFINITY_BITS) {
            uint32_t codes[BLOCK_GROUPS];
            size_t first = block * CODE_BLOCK + place;
            uint8_t *into = all.frame + all.codes_offset;
            int8_dithered(codes, task, &batch.a[group], scale.inverse,
                          task.index + (uint32_t)first);
            bytes_store<WHOLE>(into, codes[0], first, all.in.count);
            bytes_store<WHOLE>(into, codes[1], first + CODE_GROUP, all.in.count);
            continue;
        }
        int8_group<WHOLE>(task, batch.a[group], batch.residual[group], scale, block, place, tally);
        int8_group<WHOLE>(task, batch.a[group + 1], batch.residual[group + 1], scale, block,
                          place + CODE_GROUP, tally);
    }
}

static __global__ void __launch_bounds__(THREADS, 4)
    int8_encode_kernel(ARGUMENT struct int8_task task)
{
    const struct encoding_task &all = task.task;
    struct tally tally = {0, 0, 0, 0};
    if (tile_is_whole(all)) {
        int8_tile<true>(task, &tally);
    } else {
        int8_tile<false>(task, &tally);
    }
    padding_clear(all, layout_parts(all.in.count, CODE_BLOCK) * sizeof(float));
    tally.chosen = blockIdx.x == 0 && threadIdx.x == 0 ? all.in.count : 0;
    encoding_end(all, tally);
}

int cuda_int8_encode(struct encoding_task task, struct dither dither, void *stream)
{
    struct launch_shape shape = {tiles_of(task.in.count), THREADS, 1, stream};
    task.codes_offset = (uint32_t)layout_padded(layout_parts(task.in.count, CODE_BLOCK) *
                                                sizeof(float));
    struct int8_task int8 = {task, dither_keys_of(&dither), (uint32_t)dither.index,
                             task.in.next == NULL};
    return launch(shape, int8_encode_kernel, int8);
}
