/* SPDX-License-Identifier: BSD-3-Clause
 * cuda.h: the loops over elements on a GPU. Every function enqueues work on a stream of the current
 * device and returns at once: 0, or a cudaError_t. Vectors, frames, heads, notes and rooms are
 * device memory, aligned to their elements or as said; vectors that are aligned to 16 bytes are
 * faster. Structs and arrays of pointers are the host's, read during the call. Nothing allocates
 * and nothing waits, except that the runtime loads a kernel when it is first called, unless
 * CUDA_MODULE_LOADING is EAGER.
 * The same bits as scalar.c and codecs/ give, on every GPU; what Inf - Inf gives is x86's NaN. */
#ifndef KERNELS_CUDA_H
#define KERNELS_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/wirewise.h>

#include "codecs/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sources of one reduction, or of one sum of frames. */
#define CUDA_SOURCES_MAX 512

/* What precedes a frame: frame.c's head, 16 bytes before the frame. */
struct cuda_head {
    uint32_t bytes;
    int32_t wild_rank;
    uint32_t reserved[2];
};

/* What a run's kernels came across, in device memory, aligned to 8. Kernels add to it (atomically).
 * Only one stream may use it at a time. It begins as zeros, but for wild_rank. */
struct cuda_notes {
    /* Lowest rank named so far, INT32_MAX = none: encoding and decoding lower it. Heads may name
     * any rank >= 0: whoever reads it looks whether there is one. */
    int32_t wild_rank;
    uint32_t damaged; /* not 0 = frames came that cannot come from encode; sums are undefined */
    unsigned long long wild;   /* elements encoded here that were not finite */
    unsigned long long chosen; /* elements that travel */
    double given;              /* where asked for: squares of what was encoded, with residuals */
    double left;               /* ... and of the residuals that this left */
    uint32_t wild_here;        /* the kernels' own, 0 between frames */
    uint32_t turn;             /* likewise */
};

/* The stream is a cudaStream_t. See kernels.h for reductions; 1 <= ways <= CUDA_SOURCES_MAX. */
int cuda_reduce(enum ww_type type, enum ww_op op, void *into, const void *const *from, int ways,
                size_t count, double scale, void *stream);

/* Encodes one frame of in.count elements, with its head, whose wild_rank is -1 where all are
 * finite. */
struct cuda_encoding {
    struct codec_spec spec; /* not CODEC_NONE; CODEC_TOPK must be fixed */
    struct stretch in;      /* next is other memory than residual and values; residual alone may be
                               NULL, zeros, too */
    struct dither dither;   /* int8 without next */
    void *frame;            /* aligned to 64, the head lies in the 16 bytes before it */
    int rank;               /* named where elements are not finite, unless notes name one */
    bool weighed;           /* fill given and left */
    struct cuda_notes *notes;
    void *room; /* cuda_encode_room bytes, aligned to 64, contents undefined */
};
size_t cuda_encode_room(const struct codec_spec *spec, size_t count);
int cuda_encode(const struct cuda_encoding *encoding, void *stream);

/* into[count] = scale * (sources in order): as frame.c's frame_reduce does, bit for bit. Frames are
 * aligned to 64, behind their heads; frames[0] NULL = that source is `plain`, fp32 values, which
 * may be `into`. Whatever the bytes of frames and heads are, nothing beyond frame_bytes_max is
 * read. */
struct cuda_sum {
    struct codec_spec spec;
    float *into;
    size_t count;
    int ways; /* 1 .. CUDA_SOURCES_MAX */
    const void *const *frames;
    const float *plain;
    float scale; /* 1 = none */
    struct cuda_notes *notes;
};
int cuda_decode_sum(const struct cuda_sum *sum, void *stream);

/* Top-k with a threshold, for frames of no fixed length and for choosing a threshold once for many
 * steps: one pass as sparse_kernels.choose does on every SPARSE_CHUNK, in order. next may not be
 * residual. counts[chunks]: how many each chunk chose; offsets and codes have `room` entries for
 * each chunk, at most SPARSE_CHUNK; a chunk that chose more than fits keeps those behind in next,
 * so that nothing is lost. */
struct cuda_choice {
    struct stretch in;
    uint32_t threshold;
    const uint32_t *at; /* the threshold, in device memory; NULL = it is `threshold` */
    uint32_t room;
    uint32_t *counts;
    uint16_t *offsets;
    uint16_t *codes;
    struct cuda_notes *notes;
};
int cuda_choose(const struct cuda_choice *choice, void *stream);

/* The key at or above which about `share` of all |value + residual| lie, of a sample, into
 * *threshold (device memory); at least 1. The same sample, and key, for the same data. room is
 * aligned to 4. */
size_t cuda_threshold_room(size_t count);
int cuda_threshold(const struct stretch *in, double share, uint32_t *threshold, void *room,
                   void *stream);

/* Adds the sum of squares to *sum and how many values are not finite to *wild (device memory,
 * either may be NULL), in one pass; the same bits for the same values on every GPU, always. fp32
 * and fp64. room: cuda_squares_room bytes, aligned to 8. */
size_t cuda_squares_room(size_t count);
int cuda_squares(enum ww_type type, const void *values, size_t count, double *sum,
                 unsigned long long *wild, void *room, void *stream);

/* values[i] = fl(values[i] * factor), where fp32 values take (float)factor; fp32 and fp64. The
 * factor is *at, in device memory, where `at` is not NULL. */
int cuda_scale(enum ww_type type, void *values, size_t count, double factor, const double *at,
               void *stream);

/* Copies many pieces at once, for fusing tensors: into[i][bytes[i]] = from[i]; from[i] NULL =
 * zeros. Pieces do not overlap, and need no alignment. Arrays of the host. */
int cuda_copy_pieces(void *const *into, const void *const *from, const size_t *bytes, int count,
                     void *stream);

#ifdef __cplusplus
}
#endif
#endif
