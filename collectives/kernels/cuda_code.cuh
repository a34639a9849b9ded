/* SPDX-License-Identifier: BSD-3-Clause
 * cuda_code.cuh: what cuda.cu hands to the codecs' own files. Each enqueues what its name says, and
 * returns a cudaError_t. */
#ifndef KERNELS_CUDA_CODE_CUH
#define KERNELS_CUDA_CODE_CUH

#include "kernels/cuda_parts.cuh"

/* Sums of frames: sources of one launch, and what else all decoders need. */
template <int MOST> struct frames {
    const uint8_t *of[MOST];
};

struct sum_task {
    float *into;
    const float *plain; /* source 0, NULL = that is a frame too */
    size_t count;
    int ways;
    float scale;
    bool aligned;
    uint32_t bytes; /* of a frame: exactly, or at most where lengths differ */
    bool exact;
    uint32_t codes_offset; /* fp16 and int8 */
    struct cuda_notes *notes;
};

/* Frames of few sources make a short argument. */
#define FRAMES_FEW 8

/* The first block looks at all heads: at lengths and at ranks whose values were not finite. A wrong
 * length is told, and the frame is read as if it were the right one. */
template <int MOST>
static __device__ inline void heads_look(const struct sum_task &task,
                                         const struct frames<MOST> &frames)
{
    int first = task.plain != NULL ? 1 : 0;
    for (int way = first + (int)threadIdx.x; blockIdx.x == 0 && way < task.ways;
         way += (int)blockDim.x) {
        struct cuda_head head = *head_of(frames.of[way]);
        if (task.exact ? head.bytes != task.bytes : head.bytes > task.bytes) {
            atomicAdd(&task.notes->damaged, 1);
        }
        if (head.wild_rank >= 0) {
            atomicMin(&task.notes->wild_rank, head.wild_rank);
        }
    }
}

int cuda_fp16_encode(struct encoding_task task, uint32_t *room, void *stream);
int cuda_bf16_encode(struct encoding_task task, void *stream);
int cuda_int8_encode(struct encoding_task task, struct dither dither, void *stream);
int cuda_topk_encode(struct encoding_task task, const struct codec_spec *spec, void *stream);

int cuda_fp16_sum(const struct sum_task &task, const void *const *frames, void *stream);
int cuda_bf16_sum(const struct sum_task &task, const void *const *frames, void *stream);
int cuda_int8_sum(const struct sum_task &task, const void *const *frames, void *stream);
int cuda_topk_sum(const struct sum_task &task, const struct codec_spec *spec,
                  const void *const *frames, void *stream);

/* Words of room that fp16 needs. */
size_t cuda_fp16_room_words(size_t count);

#endif
