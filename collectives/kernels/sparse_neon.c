/* SPDX-License-Identifier: BSD-3-Clause
 * sparse_neon.c: sparse_scalar.c's choosing with the vectors of 64-bit Arm, 16 elements at a time.
 * Few elements are chosen: blocks without one pass in vectors, the others one by one. */
#include "kernels/sparse_one.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define LANES 4
#define VECS 4
#define BLOCK (VECS * LANES)

/* A block on its way. */
struct block {
    float32x4_t value[VECS];
    float32x4_t a[VECS];
};

/* False where a key of the block is at or above the threshold. */
static inline bool block_passes(struct block *block, const struct stretch *in,
                                const struct momentum *momentum, size_t i, uint32_t threshold)
{
    uint32x4_t largest = vdupq_n_u32(0);
    for (size_t vec = 0; vec < VECS; vec++) {
        size_t at = i + vec * LANES;
        float32x4_t value = vld1q_f32(in->values + at);
        float32x4_t residual = in->residual == NULL ? vdupq_n_f32(0.0f)
                                                    : vld1q_f32(in->residual + at);
        if (momentum != NULL) {
            value = vaddq_f32(vmulq_n_f32(vld1q_f32(momentum->u + at), momentum->factor), value);
        }
        block->value[vec] = value;
        block->a[vec] = vaddq_f32(value, residual);
        uint32x4_t bits = vreinterpretq_u32_f32(block->a[vec]);
        largest = vmaxq_u32(largest, vandq_u32(bits, vdupq_n_u32(SPARSE_MAGNITUDE)));
    }
    return vmaxvq_u32(largest) < threshold;
}

static size_t keys_neon(uint32_t *keys, const struct stretch *in, const struct momentum *momentum,
                        uint32_t threshold)
{
    struct block block;
    size_t count = 0;
    for (size_t i = 0; i < in->count;) {
        bool is_whole = in->count - i >= BLOCK;
        size_t end = is_whole ? i + BLOCK : in->count;
        if (is_whole && block_passes(&block, in, momentum, i, threshold)) {
            i = end;
        }
        for (; i < end; i++) {
            uint32_t key = sparse_key(sparse_value(in, momentum, i) + sparse_residual(in, i));
            keys[count] = key;
            count += key >= threshold;
        }
    }
    return count;
}

static inline void block_store(const struct block *block, float *next, float *u, size_t i)
{
    for (size_t vec = 0; vec < VECS; vec++) {
        if (next != NULL) {
            vst1q_f32(next + i + vec * LANES, block->a[vec]);
        }
        if (u != NULL) {
            vst1q_f32(u + i + vec * LANES, block->value[vec]);
        }
    }
}

static size_t choose_neon(uint16_t *offsets, uint16_t *codes, const struct stretch *in,
                          uint32_t threshold, struct momentum *momentum, size_t *wild)
{
    struct choosing run = {.offsets = offsets, .codes = codes, .in = in, .momentum = momentum};
    float *u = momentum == NULL ? NULL : momentum->u;
    struct block block;
    run.threshold = threshold < SPARSE_KEY_INFINITY ? threshold : SPARSE_KEY_INFINITY;
    for (size_t i = 0; i < in->count;) {
        bool is_whole = in->count - i >= BLOCK;
        size_t end = is_whole ? i + BLOCK : in->count;
        if (is_whole && block_passes(&block, in, momentum, i, run.threshold)) {
            block_store(&block, in->next, u, i);
            i = end;
        }
        for (; i < end; i++) {
            sparse_choose_one(&run, i);
        }
    }
    *wild = run.wild;
    return run.chosen;
}

void sparse_kernels_neon(struct sparse_kernels *kernels)
{
    kernels->keys = keys_neon;
    kernels->choose = choose_neon;
}
#else
void sparse_kernels_neon(struct sparse_kernels *kernels)
{
    (void)kernels;
}
#endif
