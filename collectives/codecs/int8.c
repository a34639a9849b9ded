/* SPDX-License-Identifier: BSD-3-Clause
 * int8.c: values as multiples of a step for each block of CODE_BLOCK, -127 .. 127 of them.
 *
 *     +-------------------+-----------+------------------------------------------+
 *     | steps             | zeros to  | codes                                    |
 *     | fp32 s[blocks]    | 64 bytes  | int8 c[count]                            |
 *     +-------------------+-----------+------------------------------------------+
 *
 * value[i] = c[i] * s[i / CODE_BLOCK]; c = -128 stands for NaN. A decoder refuses steps that are
 * negative, NaN, or above CODE_STEP_MAX, so what it accepts is finite or was not finite. */
#include "codecs/codec.h"

#include <assert.h>
#include <string.h>

#include "codecs/layout.h"

static size_t codes_offset(size_t count)
{
    return layout_padded(layout_parts(count, CODE_BLOCK) * sizeof(float));
}

static size_t frame_bytes_max(const struct codec_spec *spec, size_t count)
{
    (void)spec;
    return codes_offset(count) + count;
}

static void encode(const struct codec_spec *spec, const struct kernels *kernels,
                   const struct encode_input *in, void *frame, void *room,
                   struct encode_result *result)
{
    (void)room;
    size_t count = in->stretch.count;
    size_t offset = codes_offset(count);
    size_t steps_bytes = layout_parts(count, CODE_BLOCK) * sizeof(float);
    unsigned char *bytes = frame;
    const struct dither *dither = in->stretch.residual == NULL ? &in->dither : NULL;
    memset(bytes + steps_bytes, 0, offset - steps_bytes);
    size_t wild = kernels->code.encode_i8((int8_t *)bytes + offset, frame, &in->stretch, dither);
    *result = (struct encode_result){
        .bytes = frame_bytes_max(spec, count), .chosen = count, .wild = wild};
}

static bool steps_are_sound(const float *steps, size_t blocks)
{
    bool sound = true;
    for (size_t block = 0; block < blocks; block++) {
        sound &= steps[block] >= 0.0f && steps[block] <= CODE_STEP_MAX;
    }
    return sound;
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
    const float *steps = (const float *)frame + out->first / CODE_BLOCK;
    const int8_t *codes = (const int8_t *)frame + codes_offset(count) + out->first;
    if (!steps_are_sound(steps, layout_parts(out->unpack.count, CODE_BLOCK))) {
        return false;
    }
    kernels->code.decode_i8(&out->unpack, codes, steps);
    return true;
}

const struct codec codec_int8 = {
    .name = "int8",
    .about = "1 byte an element, multiples of a step for every 256",
    .is_fixed = layout_is_fixed,
    .frame_bytes_max = frame_bytes_max,
    .encode = encode,
    .decode = decode,
};
