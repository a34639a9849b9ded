/* SPDX-License-Identifier: BSD-3-Clause
 * bf16.c: values as bf16, the upper halves of fp32.
 *
 *     +------------------------------------------+
 *     | codes                                    |
 *     | bf16 c[count]                            |
 *     +------------------------------------------+
 */
#include "codecs/codec.h"

#include <assert.h>

#include "codecs/layout.h"

static size_t frame_bytes_max(const struct codec_spec *spec, size_t count)
{
    (void)spec;
    return count * sizeof(uint16_t);
}

static void encode(const struct codec_spec *spec, const struct kernels *kernels,
                   const struct encode_input *in, void *frame, void *room,
                   struct encode_result *result)
{
    (void)room;
    size_t wild = kernels->code.encode_bf16(frame, &in->stretch);
    *result = (struct encode_result){.bytes = frame_bytes_max(spec, in->stretch.count),
                                     .chosen = in->stretch.count,
                                     .wild = wild};
}

static bool decode(const struct codec_spec *spec, const struct kernels *kernels, const void *frame,
                   size_t bytes, const struct decode_output *out)
{
    assert(out->first % CODEC_CHUNK == 0 && out->first <= out->frame_count);
    assert(out->unpack.count <= out->frame_count - out->first);
    if (bytes != frame_bytes_max(spec, out->frame_count)) {
        return false;
    }
    kernels->code.decode_bf16(&out->unpack, (const uint16_t *)frame + out->first);
    return true;
}

const struct codec codec_bf16 = {
    .name = "bf16",
    .about = "2 bytes an element, 8 digits of each number, the range of fp32",
    .is_fixed = layout_is_fixed,
    .frame_bytes_max = frame_bytes_max,
    .encode = encode,
    .decode = decode,
};
