/* SPDX-License-Identifier: BSD-3-Clause
 * cuda.cu: encodes frames and adds them up on a GPU: which codec does it. */
#include "kernels/cuda.h"

#include "kernels/cuda_code.cuh"

/* Bytes of vectors that are loaded at once. */
#define VECTOR_BYTES 16

extern "C" size_t cuda_encode_room(const struct codec_spec *spec, size_t count)
{
    return spec->kind == CODEC_FP16 ? cuda_fp16_room_words(count) * sizeof(uint32_t) : 0;
}

static bool is_sound(const struct cuda_encoding *encoding)
{
    const struct stretch *in = &encoding->in;
    bool kept = in->residual == NULL || in->next != NULL;
    bool apart = in->next == NULL || (in->next != in->residual && in->next != in->values);
    return kept && apart && (encoding->spec.kind != CODEC_TOPK || encoding->spec.fixed) &&
           is_aligned(encoding->frame, 64);
}

extern "C" int cuda_encode(const struct cuda_encoding *encoding, void *stream)
{
    const struct stretch *in = &encoding->in;
    struct encoding_task task = {};
    if (!is_sound(encoding)) {
        return cudaErrorInvalidValue;
    }
    task.in = *in;
    task.frame = (uint8_t *)encoding->frame;
    task.rank = encoding->rank;
    task.aligned = is_aligned(in->values, VECTOR_BYTES) && is_aligned(in->residual, VECTOR_BYTES) &&
                   is_aligned(in->next, VECTOR_BYTES);
    task.weighed = encoding->weighed;
    task.notes = encoding->notes;
    switch (encoding->spec.kind) {
    case CODEC_FP16:
        task.bytes = (uint32_t)codec_fp16.frame_bytes_max(&encoding->spec, in->count);
        return cuda_fp16_encode(task, (uint32_t *)encoding->room, stream);
    case CODEC_BF16:
        task.bytes = (uint32_t)codec_bf16.frame_bytes_max(&encoding->spec, in->count);
        return cuda_bf16_encode(task, stream);
    case CODEC_INT8:
        task.bytes = (uint32_t)codec_int8.frame_bytes_max(&encoding->spec, in->count);
        return cuda_int8_encode(task, encoding->dither, stream);
    case CODEC_TOPK:
        task.bytes = (uint32_t)codec_topk.frame_bytes_max(&encoding->spec, in->count);
        return cuda_topk_encode(task, &encoding->spec, stream);
    default:
        return cudaErrorInvalidValue;
    }
}

extern "C" int cuda_decode_sum(const struct cuda_sum *sum, void *stream)
{
    struct sum_task task = {};
    bool plain = sum->ways >= 1 && sum->frames[0] == NULL;
    if (sum->ways < 1 || sum->ways > CUDA_SOURCES_MAX || sum->spec.kind <= CODEC_NONE ||
        sum->spec.kind >= CODEC_COUNT) {
        return cudaErrorInvalidValue;
    }
    if (plain && sum->ways == 1) {
        const void *from = sum->plain;
        return cuda_reduce(WW_F32, WW_SUM, sum->into, &from, 1, sum->count, (double)sum->scale,
                           stream);
    }
    task.into = sum->into;
    task.plain = plain ? sum->plain : NULL;
    task.count = sum->count;
    task.ways = sum->ways;
    task.scale = sum->scale;
    task.aligned = is_aligned(sum->into, VECTOR_BYTES) && is_aligned(task.plain, VECTOR_BYTES);
    task.bytes = (uint32_t)codecs[sum->spec.kind]->frame_bytes_max(&sum->spec, sum->count);
    task.exact = codecs[sum->spec.kind]->is_fixed(&sum->spec);
    task.notes = sum->notes;
    switch (sum->spec.kind) {
    case CODEC_FP16:
        return cuda_fp16_sum(task, sum->frames, stream);
    case CODEC_BF16:
        return cuda_bf16_sum(task, sum->frames, stream);
    case CODEC_INT8:
        return cuda_int8_sum(task, sum->frames, stream);
    default:
        return cuda_topk_sum(task, &sum->spec, sum->frames, stream);
    }
}
