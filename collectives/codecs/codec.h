/* SPDX-License-Identifier: BSD-3-Clause
 * codec.h: what a codec is: fp32 values become a frame, and a frame becomes values again. Each
 * codec's file begins with a drawing of its frames. Adding one is a file here and a line in
 * table.c.
 *
 * Bytes of a frame are little-endian, and the same for every kernel variant. A frame says nothing
 * about its codec or count: both ends know them. */
#ifndef CODECS_CODEC_H
#define CODECS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* Frames are decoded in ranges that begin at multiples of this many elements. */
#define CODEC_CHUNK SPARSE_CHUNK

enum codec_kind { CODEC_NONE, CODEC_FP16, CODEC_BF16, CODEC_INT8, CODEC_TOPK, CODEC_COUNT };

/* A codec with its parameters, as text: "none", "fp16", "bf16", "int8", "topk:0.01",
 * "topk:0.01:fixed". */
struct codec_spec {
    enum codec_kind kind;
    float density; /* topk: share of the elements that are sent, 0 < density <= 1; else 0 */
    bool fixed;    /* topk: the same number in every chunk, so that all frames are equally long */
};

/* What is encoded: see kernels/code.h for values, residual and next. */
struct encode_input {
    struct stretch stretch;
    struct dither dither;      /* for rounding where there is no residual */
    struct momentum *momentum; /* topk only; NULL = none */
};

struct encode_result {
    size_t bytes;  /* of the frame; at most frame_bytes_max */
    size_t chosen; /* elements that travel */
    size_t wild;   /* elements that were not finite */
};

/* Which part of a frame is decoded, and where to. */
struct decode_output {
    size_t frame_count; /* elements of the whole frame */
    size_t first;       /* a multiple of CODEC_CHUNK */
    struct unpack unpack;
};

struct codec {
    const char *name;
    const char *about; /* one line */

    /* True where every frame of `count` elements has frame_bytes_max(count) bytes. */
    bool (*is_fixed)(const struct codec_spec *spec);

    size_t (*frame_bytes_max)(const struct codec_spec *spec, size_t count);

    /* Decoding touches few elements: where nothing is added to, it begins with zeros. */
    bool is_sparse;

    /* Encodes at once. frame has room for frame_bytes_max and is aligned to 64. room: memory of
     * room_bytes(spec, count), aligned to 64, contents undefined; NULL slot = none is needed. It
     * never falls with count: room for many is room for few. */
    size_t (*room_bytes)(const struct codec_spec *spec, size_t count);
    void (*encode)(const struct codec_spec *spec, const struct kernels *kernels,
                   const struct encode_input *in, void *frame, void *room,
                   struct encode_result *result);

    /* Decodes a range, which ends at a multiple of CODEC_CHUNK or with the frame; frame is aligned
     * to 4. Whatever the bytes are, it reads frame[bytes] and writes into[count] only. False when
     * they cannot come from encode; into is then undefined. */
    bool (*decode)(const struct codec_spec *spec, const struct kernels *kernels, const void *frame,
                   size_t bytes, const struct decode_output *out);
};

extern const struct codec codec_fp16, codec_bf16, codec_int8, codec_topk;

/* By kind; NULL for CODEC_NONE. */
extern const struct codec *const codecs[CODEC_COUNT];

/* "topk", whatever its density; static. */
const char *codec_name(enum codec_kind kind);

/* Reads a spec. On a failure *spec is unchanged and the sentence, which names what was read, what
 * is possible and an example, lies in reason[bytes]. */
bool codec_parse(const char *text, struct codec_spec *spec, char *reason, size_t bytes);

/* Writes the text that codec_parse reads. Returns what snprintf does. */
int codec_print(const struct codec_spec *spec, char *text, size_t bytes);

bool codec_spec_same(const struct codec_spec *one, const struct codec_spec *other);

/* Bytes on the wire per element, about: of one frame. */
double codec_bytes_per_element(const struct codec_spec *spec);

#endif
