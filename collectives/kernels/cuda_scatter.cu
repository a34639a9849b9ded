/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_scatter.cu: adds up frames of top-k on a GPU, as codecs/topk.c decodes them and frame.c adds
 * them.
 *
 * A block of threads keeps a tile of the result in shared memory while it goes through the frames,
 * one after the other: of each it reads its chunk's entries and adds those that lie in its tile. No
 * element has two entries in a frame, so nothing depends on the order within one. */
#include "kernels/cuda_code.cuh"

#include "codecs/topk_layout.h"

#define THREADS 256
#define TILE 8192
#define BLOCKS 6                   /* of an SM, which has memory for as many */
#define TILES (CODEC_CHUNK / TILE) /* of a chunk */
#define WORD_BITS 32

struct tile_room {
    float sums[TILE];
    uint32_t warps[THREADS / WARP];
    unsigned long long bytes;
    uint32_t count;
    uint32_t bad;
    uint32_t filled; /* a list has entries that only fill it up */
};

struct scatter_task {
    struct sum_task sum;
    bool fixed;
    uint32_t chunks;
    uint32_t heads_bytes;
    uint32_t full_head; /* where all frames are equally long */
    uint32_t last_head;
    uint32_t full_bytes;
};

/* A chunk's body in one frame, and the part of it that concerns this block. */
struct body {
    const uint8_t *bytes;
    enum form form;
    uint32_t elements; /* of the chunk */
    uint32_t count;
    uint32_t first; /* of the tile, in the chunk */
};

/* How a source adds to what lies there. */
struct adding {
    float scale;
    bool first; /* nothing lies there */
    bool padded;
};

static __device__ inline uint32_t elements_of(const struct scatter_task &task, uint32_t chunk)
{
    size_t rest = task.sum.count - (size_t)chunk * CODEC_CHUNK;
    return rest < CODEC_CHUNK ? (uint32_t)rest : CODEC_CHUNK;
}

/* ---- Where a body lies -------------------------------------------------------------------- */

static __device__ inline void bad_set(struct tile_room *room)
{
    room->bad = 1;
}

/* Bytes of the body that this head belongs to; 0 where no encoder writes such a head. */
static __device__ inline size_t bytes_of_head(uint32_t head, uint32_t elements)
{
    uint32_t count = head & COUNT_MASK;
    if (count > elements) {
        return 0;
    }
    enum form form = form_shortest(elements, count);
    if (head >> FORM_SHIFT != (uint32_t)form || (form == FORM_DENSE && count != elements)) {
        return 0;
    }
    return body_bytes(form, elements, count);
}

/* Frames of no fixed length: all heads before the chunk's own tell where it begins. An empty list
 * is a body of no bytes. */
static __device__ inline size_t offset_find(struct tile_room *room, const struct scatter_task &task,
                                            const uint8_t *frame, uint32_t chunk)
{
    const uint32_t *heads = (const uint32_t *)frame;
    size_t bytes = head_of(frame)->bytes;
    unsigned long long mine = 0;
    if (bytes > task.sum.bytes || bytes < task.heads_bytes) {
        bad_set(room);
        return 0;
    }
    for (uint32_t i = threadIdx.x; i <= chunk; i += THREADS) {
        uint32_t head = heads[i];
        size_t here = bytes_of_head(head, elements_of(task, i));
        if (here == 0 && head != 0) {
            bad_set(room);
        }
        mine += i < chunk ? here : 0;
    }
    if (mine > 0) {
        atomicAdd(&room->bytes, mine);
    }
    return bytes;
}

/* Called by all threads. False = the frame is damaged. */
static __device__ inline bool body_find(struct tile_room *room, const struct scatter_task &task,
                                        const uint8_t *frame, uint32_t chunk, struct body *body)
{
    uint32_t elements = elements_of(task, chunk);
    size_t offset = (size_t)chunk * task.full_bytes;
    if (task.fixed) {
        uint32_t wanted = elements < CODEC_CHUNK ? task.last_head : task.full_head;
        if (((const uint32_t *)frame)[chunk] != wanted) {
            bad_set(room);
        }
    } else {
        size_t bytes = offset_find(room, task, frame, chunk);
        __syncthreads();
        offset = room->bytes;
        if (room->bad == 0) {
            size_t end = task.heads_bytes + offset +
                         bytes_of_head(((const uint32_t *)frame)[chunk], elements);
            bool last = chunk + 1 == task.chunks;
            __syncthreads();
            if (last ? end != bytes : end > bytes) {
                bad_set(room);
            }
        }
    }
    __syncthreads();
    bool bad = room->bad != 0;
    __syncthreads(); /* those who go ahead may find damage: everybody has read first */
    if (bad) {
        return false;
    }
    uint32_t head = ((const uint32_t *)frame)[chunk];
    body->bytes = frame + task.heads_bytes + offset;
    body->form = (enum form)(head >> FORM_SHIFT);
    body->elements = elements;
    body->count = head & COUNT_MASK;
    body->first = blockIdx.x % TILES * TILE;
    return true;
}

/* ---- What a body adds --------------------------------------------------------------------- */

static __device__ inline void code_add(struct tile_room *room, uint32_t at, uint16_t code,
                                       float scale)
{
    room->sums[at] = sum_of(room->sums[at], product_of(scale, bf16_widen(code)));
}

/* Entries 0, 0 fill up a list; they add to what the one that belongs to element 0 made of it, so
 * they wait. */
static __device__ inline void list_add(struct tile_room *room, const struct body &body,
                                       const struct adding &adding)
{
    const uint16_t *offsets = (const uint16_t *)body.bytes;
    const uint16_t *codes = offsets + parts_round(body.count * sizeof(uint16_t)) / sizeof(uint16_t);
    for (uint32_t i = threadIdx.x; i < body.count; i += THREADS) {
        uint32_t at = offsets[i] - body.first;
        if (offsets[i] >= body.elements) {
            bad_set(room);
        } else if (at < TILE) {
            uint16_t code = codes[i];
            if (offsets[i] == 0 && code == 0) {
                room->filled = 1;
            } else {
                code_add(room, at, code, adding.scale);
            }
        }
    }
    __syncthreads();
    if (threadIdx.x == 0 && room->filled != 0) {
        code_add(room, 0, 0, adding.scale);
    }
}

static __device__ inline void dense_add(struct tile_room *room, const struct body &body,
                                        const struct adding &adding)
{
    const uint16_t *codes = (const uint16_t *)body.bytes;
    for (uint32_t at = threadIdx.x; at < TILE && body.first + at < body.elements; at += THREADS) {
        float value = product_of(adding.scale, bf16_widen(codes[body.first + at]));
        room->sums[at] = adding.first ? value : sum_of(room->sums[at], value);
    }
}

/* A word's bits that stand for elements; others are damage. */
static __device__ inline uint32_t word_read(struct tile_room *room, const struct body &body,
                                            uint32_t word)
{
    const uint32_t *words = (const uint32_t *)body.bytes;
    uint32_t bits = word < parts_round((body.elements + 7) / 8) / sizeof(uint32_t) ? words[word]
                                                                                   : 0;
    uint32_t rest = word * WORD_BITS < body.elements ? body.elements - word * WORD_BITS : 0;
    uint32_t sound = rest >= WORD_BITS ? bits : bits & ((1u << rest) - 1);
    if (sound != bits) {
        bad_set(room);
    }
    return sound;
}

/* The bits of words before `end`, added up over the block into room->count. */
static __device__ inline void bits_count(struct tile_room *room, const struct body &body,
                                         uint32_t end)
{
    uint32_t mine = 0;
    for (uint32_t word = threadIdx.x; word < end; word += THREADS) {
        mine += (uint32_t)__popc(word_read(room, body, word));
    }
    if (mine > 0) {
        atomicAdd(&room->count, mine);
    }
    __syncthreads();
}

/* A thread reads one word of the tile, a warp then works on its words one by one: neighbours read
 * neighbouring codes. */
static __device__ inline void bitmap_add(struct tile_room *room, const struct body &body,
                                         const struct adding &adding)
{
    size_t bits_bytes = parts_round((body.elements + 7) / 8);
    const uint16_t *codes = (const uint16_t *)(body.bytes + bits_bytes);
    uint32_t lane = threadIdx.x % WARP;
    uint32_t bits = word_read(room, body, body.first / WORD_BITS + threadIdx.x);
    bits_count(room, body, body.first / WORD_BITS);
    uint32_t before = room->count + block_before(room->warps, (uint32_t)__popc(bits));
    for (uint32_t from = 0; from < WARP; from++) {
        uint32_t word = __shfl_sync(ALL_LANES, bits, (int)from);
        uint32_t place = __shfl_sync(ALL_LANES, before, (int)from) +
                         (uint32_t)__popc(word & ((1u << lane) - 1));
        if ((word >> lane & 1) == 0) {
            continue;
        }
        if (place < body.count) {
            uint32_t at = (threadIdx.x - lane + from) * WORD_BITS + lane;
            code_add(room, at, codes[place], adding.scale);
        } else {
            bad_set(room);
        }
    }
    if (threadIdx.x == THREADS - 1 && body.elements - body.first <= TILE) {
        bool full = before + (uint32_t)__popc(bits) == body.count;
        if (!full && !adding.padded) {
            bad_set(room);
        }
    }
}

static __device__ inline void frame_add(struct tile_room *room, const struct scatter_task &task,
                                        const uint8_t *frame, const struct adding &adding)
{
    struct body body;
    if (threadIdx.x == 0) {
        room->bytes = 0;
        room->count = 0;
        room->bad = 0;
        room->filled = 0;
    }
    __syncthreads();
    if (body_find(room, task, frame, blockIdx.x / TILES, &body)) {
        switch (body.form) {
        case FORM_LIST:
            list_add(room, body, adding);
            break;
        case FORM_BITMAP:
            bitmap_add(room, body, adding);
            break;
        default:
            dense_add(room, body, adding);
            break;
        }
    }
    __syncthreads();
    if (threadIdx.x == 0 && room->bad != 0) {
        atomicAdd(&task.sum.notes->damaged, 1);
    }
    __syncthreads();
}

/* ---- Short lists of fixed frames: where they lie is known, so several are read ahead ------- */

#define LISTED_EACH 4   /* entries of a thread in each frame */
#define LISTED_FRAMES 4 /* under way at once */

/* A thread's entries of one frame: the offset, and the code above it. */
struct listed {
    uint32_t entries[LISTED_EACH];
};

static __device__ inline uint32_t listed_place(int i)
{
    return (uint32_t)i * THREADS + threadIdx.x;
}

static __device__ inline void listed_load(struct listed *listed, const uint8_t *body,
                                          uint32_t count)
{
    const uint16_t *offsets = (const uint16_t *)body;
    const uint16_t *codes = offsets + parts_round(count * sizeof(uint16_t)) / sizeof(uint16_t);
#pragma unroll
    for (int i = 0; i < LISTED_EACH; i++) {
        uint32_t place = listed_place(i);
        listed->entries[i] = place < count ? offsets[place] | (uint32_t)codes[place] << 16 : 0;
    }
}

/* True = there are entries 0, 0: they wait, as in list_add. */
static __device__ inline bool listed_add(struct tile_room *room, const struct listed &listed,
                                         const struct body &body, float scale, bool *bad)
{
    bool filled = false;
#pragma unroll
    for (int i = 0; i < LISTED_EACH; i++) {
        uint32_t offset = listed.entries[i] & 0xffff;
        uint32_t at = offset - body.first;
        if (listed_place(i) >= body.count) {
            continue;
        }
        if (offset >= body.elements) {
            *bad = true;
        } else if (at < TILE && listed.entries[i] == 0) {
            filled = true;
        } else if (at < TILE) {
            code_add(room, at, (uint16_t)(listed.entries[i] >> 16), scale);
        }
    }
    return filled;
}

/* Called by all threads; false = the frames are not such, or one has a wrong head. */
template <int MOST>
static __device__ inline bool listed_sum(struct tile_room *room, const struct scatter_task &task,
                                         const struct frames<MOST> &frames, int first, float scale)
{
    uint32_t chunk = blockIdx.x / TILES;
    uint32_t elements = elements_of(task, chunk);
    uint32_t wanted = elements < CODEC_CHUNK ? task.last_head : task.full_head;
    struct body body = {NULL, (enum form)(wanted >> FORM_SHIFT), elements, wanted & COUNT_MASK,
                        blockIdx.x % TILES * TILE};
    size_t offset = task.heads_bytes + (size_t)chunk * task.full_bytes;
    bool bad = !task.fixed || body.form != FORM_LIST || body.count > LISTED_EACH * THREADS;
    for (int way = first + (int)threadIdx.x; !bad && way < task.sum.ways; way += THREADS) {
        bad = ((const uint32_t *)frames.of[way])[chunk] != wanted;
    }
    if (__syncthreads_or(bad)) {
        return false;
    }
#pragma unroll 1
    for (int from = first; from < task.sum.ways; from += LISTED_FRAMES) {
        struct listed listed[LISTED_FRAMES];
#pragma unroll
        for (int i = 0; i < LISTED_FRAMES; i++) {
            if (from + i < task.sum.ways) {
                listed_load(&listed[i], frames.of[from + i] + offset, body.count);
            }
        }
#pragma unroll
        for (int i = 0; i < LISTED_FRAMES && from + i < task.sum.ways; i++) {
            if (__syncthreads_or(listed_add(room, listed[i], body, scale, &bad))) {
                if (threadIdx.x == 0) {
                    code_add(room, 0, 0, scale);
                }
                __syncthreads();
            }
        }
    }
    if (bad) {
        atomicAdd(&task.sum.notes->damaged, 1);
    }
    return true;
}

/* ---- Sums --------------------------------------------------------------------------------- */

template <bool WHOLE>
static __device__ inline void tile_load(struct tile_room *room, const struct sum_task &sum,
                                        size_t begin)
{
    for (uint32_t at = threadIdx.x * GROUP; at < TILE; at += THREADS * GROUP) {
        residual_load<WHOLE>(&room->sums[at], sum.plain, begin + at, sum.count);
    }
    __syncthreads();
}

/* A single frame was scaled as it was decoded, a sum is behind. */
template <bool WHOLE>
static __device__ inline void tile_store(const struct tile_room *room, const struct sum_task &sum,
                                         size_t begin)
{
    for (uint32_t at = threadIdx.x * GROUP; at < TILE; at += THREADS * GROUP) {
        float group[GROUP];
        for (int i = 0; i < GROUP; i++) {
            float value = room->sums[at + i];
            group[i] = sum.ways > 1 && sum.scale != 1.0f ? product_of(value, sum.scale) : value;
        }
        floats_store<WHOLE>(sum.into, group, begin + at, sum.count);
    }
}

template <int MOST>
static __global__ void __launch_bounds__(THREADS, BLOCKS)
    scatter_kernel(ARGUMENT struct scatter_task task, ARGUMENT struct frames<MOST> frames)
{
    SHARED(struct tile_room, room);
    const struct sum_task &sum = task.sum;
    size_t begin = (size_t)blockIdx.x * TILE;
    bool whole = sum.aligned && begin + TILE <= sum.count;
    heads_look<MOST>(sum, frames);
    if (begin >= sum.count) {
        return;
    }
    if (whole) {
        tile_load<true>(&room, sum, begin);
    } else {
        tile_load<false>(&room, sum, begin);
    }
    int first = sum.plain != NULL ? 1 : 0;
    float scale = sum.ways == 1 ? sum.scale : 1.0f;
    bool done = listed_sum<MOST>(&room, task, frames, first, scale);
    for (int way = first; !done && way < sum.ways; way++) {
        struct adding adding = {scale, way == 0, task.fixed};
        frame_add(&room, task, frames.of[way], adding);
    }
    if (whole) {
        tile_store<true>(&room, sum, begin);
    } else {
        tile_store<false>(&room, sum, begin);
    }
}

template <int MOST>
static int scatter_launch(const struct scatter_task &task, const void *const *from, void *stream)
{
    struct frames<MOST> frames = {
    };
    size_t tiles = layout_parts(task.sum.count, TILE);
    struct launch_shape shape = {tiles > 0 ? tiles : 1, THREADS, 1, stream};
    for (int way = 0; way < task.sum.ways; way++) {
        frames.of[way] = (const uint8_t *)from[way];
    }
    return launch(shape, scatter_kernel<MOST>, task, frames);
}

static uint32_t fixed_head(const struct codec_spec *spec, size_t elements)
{
    size_t share = share_of(spec, elements);
    enum form form = form_shortest(elements, share);
    return (uint32_t)form << FORM_SHIFT | (uint32_t)(form == FORM_DENSE ? elements : share);
}

int cuda_topk_sum(const struct sum_task &sum, const struct codec_spec *spec,
                  const void *const *frames, void *stream)
{
    struct scatter_task task = {};
    task.sum = sum;
    task.fixed = spec->fixed;
    task.chunks = (uint32_t)layout_parts(sum.count, CODEC_CHUNK);
    task.heads_bytes = (uint32_t)heads_bytes(sum.count);
    task.full_head = fixed_head(spec, CODEC_CHUNK);
    task.last_head = fixed_head(spec, sum.count % CODEC_CHUNK);
    task.full_bytes = (uint32_t)chunk_bytes_max(spec, CODEC_CHUNK);
    return sum.ways <= FRAMES_FEW ? scatter_launch<FRAMES_FEW>(task, frames, stream)
                                  : scatter_launch<CUDA_SOURCES_MAX>(task, frames, stream);
}
