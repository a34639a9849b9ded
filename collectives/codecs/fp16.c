/* SPDX-License-Identifier: BSD-3-Clause
 * fp16.c: values as f16, scaled by a power of two for each chunk, so that none overflows and few
 * lose digits.
 *
 *     +-------------------+-----------+------------------------------------------+
 *     | exponents         | zeros to  | codes                                    |
 *     | int16 e[chunks]   | 64 bytes  | f16 c[count]                             |
 *     +-------------------+-----------+------------------------------------------+
 *
 * value[i] = c[i] / 2^e[i / CODEC_CHUNK]. e is chosen from the chunk's largest finite number, so
 * that it lands in 2^14 .. 2^15, and lies in -126 .. 126; 0 for a chunk of zeros. */
#include "codecs/codec.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "codecs/layout.h"

enum { EXPONENT_LIMIT = 126, EXPONENT_OF_LARGEST = 15 };

static size_t codes_offset(size_t count)
{
    return layout_padded(layout_parts(count, CODEC_CHUNK) * sizeof(int16_t));
}

static size_t frame_bytes_max(const struct codec_spec *spec, size_t count)
{
    (void)spec;
    return codes_offset(count) + count * sizeof(uint16_t);
}

static int exponent_of(float largest)
{
    int power;
    if (largest == 0.0f) {
        return 0;
    }
    frexpf(largest, &power);
    int exponent = EXPONENT_OF_LARGEST - power;
    return exponent > EXPONENT_LIMIT ? EXPONENT_LIMIT : exponent;
}

/* What a chunk is encoded with before its largest is known: NULL = nothing. */
static const int *guess_of(const struct stretch *in, const int *exponent_before)
{
    bool repeatable = in->residual == NULL || in->next != in->residual;
    return repeatable ? exponent_before : NULL;
}

/* Returns the chunk's exponent. It is seldom another than that of the chunk before: with a guess
 * memory is read once, and only where that was wrong a second time. */
static int chunk_encode(const struct kernels *kernels, uint16_t *codes, const struct stretch *part,
                        const int *guess, size_t *wild)
{
    const struct code_kernels *code = &kernels->code;
    float largest = guess == NULL ? code->magnitude(part, wild)
                                  : code->encode_f16(codes, part, ldexpf(1.0f, *guess), wild);
    int exponent = exponent_of(largest);
    if (guess == NULL || exponent != *guess) {
        code->encode_f16(codes, part, ldexpf(1.0f, exponent), wild);
    }
    return exponent;
}

static void encode(const struct codec_spec *spec, const struct kernels *kernels,
                   const struct encode_input *in, void *frame, void *room,
                   struct encode_result *result)
{
    (void)room;
    size_t count = in->stretch.count;
    size_t offset = codes_offset(count);
    int16_t *exponents = frame;
    uint16_t *codes = (uint16_t *)((unsigned char *)frame + offset);
    int exponent = 0;
    size_t wild = 0;
    memset(frame, 0, offset);
    for (size_t chunk = 0; chunk < layout_parts(count, CODEC_CHUNK); chunk++) {
        size_t first = chunk * CODEC_CHUNK;
        struct stretch part = stretch_part(&in->stretch, first, layout_chunk(count, first));
        size_t wild_here;
        const int *guess = guess_of(&part, chunk == 0 ? NULL : &exponent);
        exponent = chunk_encode(kernels, codes + first, &part, guess, &wild_here);
        exponents[chunk] = (int16_t)exponent;
        wild += wild_here;
    }
    *result = (struct encode_result){
        .bytes = frame_bytes_max(spec, count), .chosen = count, .wild = wild};
}

static bool decode(const struct codec_spec *spec, const struct kernels *kernels, const void *frame,
                   size_t bytes, const struct decode_output *out)
{
    size_t count = out->frame_count;
    assert(out->first % CODEC_CHUNK == 0 && out->first <= count);
    assert(out->unpack.count <= count - out->first);
    if (bytes != frame_bytes_max(spec, count)) {
        return false;
    }
    const int16_t *exponents = (const int16_t *)frame + out->first / CODEC_CHUNK;
    const uint16_t *codes = (const uint16_t *)((const unsigned char *)frame + codes_offset(count)) +
                            out->first;
    for (size_t first = 0; first < out->unpack.count; first += CODEC_CHUNK) {
        int exponent = exponents[first / CODEC_CHUNK];
        if (exponent < -EXPONENT_LIMIT || exponent > EXPONENT_LIMIT) {
            return false;
        }
        struct unpack part = unpack_part(&out->unpack, first,
                                         layout_chunk(out->unpack.count, first));
        kernels->code.decode_f16(&part, codes + first, ldexpf(1.0f, exponent));
    }
    return true;
}

const struct codec codec_fp16 = {
    .name = "fp16",
    .about = "2 bytes an element, 11 digits of each number; scaled so that none overflows",
    .is_fixed = layout_is_fixed,
    .frame_bytes_max = frame_bytes_max,
    .encode = encode,
    .decode = decode,
};
