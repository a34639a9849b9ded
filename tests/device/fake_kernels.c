/* SPDX-License-Identifier: BSD-3-Clause
 * fake_kernels.c: the kernels of cuda.h on the host, by the host's own: so what a fake GPU makes of
 * a plan must be what the host makes of it, bit for bit. */
#include "fake_kernels.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fake_cudart.h"
#include "kernels/cuda.h"

#define NO_KERNEL_IMAGE 209

static atomic_bool fails;

void fake_kernels_fail(bool fail)
{
    atomic_store(&fails, fail);
}

static const struct kernels *scalar(void)
{
    static _Thread_local struct kernels kernels;
    kernels_init_scalar(&kernels);
    return &kernels;
}

int cuda_reduce(enum ww_type type, enum ww_op op, void *into, const void *const *from, int ways,
                size_t count, double scale, void *stream)
{
    (void)stream;
    fake_cuda_enqueue();
    scalar()->reduce[type][op](into, from, ways, count, scale);
    return 0;
}

size_t cuda_encode_room(const struct codec_spec *spec, size_t count)
{
    const struct codec *codec = codecs[spec->kind];
    return 64 + (codec->room_bytes == NULL ? 0 : codec->room_bytes(spec, count));
}

static double squares(const float *values, const float *more, size_t count)
{
    return more == NULL ? kernel_squares_f32(values, count)
                        : kernel_squares_of_sum_f32(values, more, count);
}

int cuda_encode(const struct cuda_encoding *encoding, void *stream)
{
    struct encode_input in = {.stretch = encoding->in, .dither = encoding->dither};
    if (in.stretch.residual == NULL && in.stretch.next != NULL) {
        memset(in.stretch.next, 0, in.stretch.count * sizeof *in.stretch.next);
        in.stretch.residual = in.stretch.next;
    }
    struct encode_result result = {0, 0, 0};
    struct cuda_head *head = (struct cuda_head *)encoding->frame - 1;
    struct cuda_notes none = {.wild_rank = INT32_MAX};
    struct cuda_notes *notes = encoding->notes != NULL ? encoding->notes : &none;
    (void)stream;
    fake_cuda_enqueue();
    if (encoding->weighed) {
        notes->given += squares(in.stretch.values, in.stretch.residual, in.stretch.count);
    }
    codecs[encoding->spec.kind]->encode(&encoding->spec, scalar(), &in, encoding->frame,
                                        encoding->room, &result);
    if (encoding->weighed) {
        notes->left += squares(in.stretch.next, NULL, in.stretch.count);
    }
    notes->wild += result.wild;
    notes->chosen += result.chosen;
    if (result.wild > 0 && notes->wild_rank == INT32_MAX) {
        notes->wild_rank = encoding->rank;
    }
    *head = (struct cuda_head){.bytes = (uint32_t)result.bytes,
                               .wild_rank = result.wild > 0 ? notes->wild_rank : -1};
    return 0;
}

static void add_frame(const struct cuda_sum *sum, const void *frame, struct decode_output *out)
{
    const struct cuda_head *head = (const struct cuda_head *)frame - 1;
    struct cuda_notes *notes = sum->notes;
    bool sound = codecs[sum->spec.kind]->decode(&sum->spec, scalar(), frame, head->bytes, out);
    if (notes != NULL) {
        notes->damaged += !sound;
        if (head->wild_rank >= 0 && head->wild_rank < notes->wild_rank) {
            notes->wild_rank = head->wild_rank;
        }
    }
}

int cuda_decode_sum(const struct cuda_sum *sum, void *stream)
{
    bool single = sum->ways == 1;
    struct decode_output out = {.frame_count = sum->count,
                                .unpack = {.into = sum->into, .count = sum->count}};
    (void)stream;
    fake_cuda_enqueue();
    out.unpack.scale = single ? sum->scale : 1.0F;
    for (int i = 0; i < sum->ways; i++) {
        out.unpack.add = i > 0;
        if (sum->frames[i] != NULL) {
            add_frame(sum, sum->frames[i], &out);
        } else if (sum->plain != sum->into) {
            memcpy(sum->into, sum->plain, sum->count * sizeof *sum->into);
        }
    }
    if (!single && sum->scale != 1.0F) {
        const void *source = sum->into;
        scalar()->reduce[WW_F32][WW_SUM](sum->into, &source, 1, sum->count, (double)sum->scale);
    }
    return 0;
}

int cuda_scale(enum ww_type type, void *values, size_t count, double factor, const double *at,
               void *stream)
{
    const void *source = values;
    (void)stream;
    fake_cuda_enqueue();
    scalar()->reduce[type][WW_SUM](values, &source, 1, count, at != NULL ? *at : factor);
    return 0;
}

int cuda_copy_pieces(void *const *into, const void *const *from, const size_t *bytes, int count,
                     void *stream)
{
    (void)stream;
    fake_cuda_enqueue();
    if (atomic_load(&fails)) {
        return NO_KERNEL_IMAGE;
    }
    for (int i = 0; i < count; i++) {
        if (bytes[i] > 0 && from[i] != NULL) {
            memcpy(into[i], from[i], bytes[i]);
        } else if (bytes[i] > 0) {
            memset(into[i], 0, bytes[i]);
        }
    }
    return 0;
}
