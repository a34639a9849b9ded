/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_image.c: a context's state as sections of a shard. Residuals and momenta lie by tensor
 * in the order of registration, whatever buckets they were in. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "device.h"

#define CODEC_TEXT_BYTES 256

/* ---- Layout ----------------------------------------------------------------------------- */

static void put_tensor(uint8_t *to, const struct ww_tensor *tensor)
{
    put_u32(to, (uint32_t)tensor->type);
    put_u32(to + 4, (uint32_t)tensor->dims);
    for (int d = 0; d < tensor->dims; d++) {
        put_u64(to + 8 + 8 * d, tensor->shape[d]);
    }
    snprintf((char *)to + 72, LAYOUT_NAME_BYTES, "%s", tensor->name);
}

static void put_layout(uint8_t *to, const struct ww_context *context)
{
    for (const struct ww_tensor *t = context->tensors; t != NULL; t = t->next) {
        put_tensor(to, t);
        to += LAYOUT_BYTES;
    }
}

/* Its layout section; free() it. NULL = no memory. */
static uint8_t *make_layout(const struct ww_context *context)
{
    uint8_t *layout = calloc(1, (size_t)context->tensor_count * LAYOUT_BYTES + 1);
    if (layout != NULL) {
        put_layout(layout, context);
    }
    return layout;
}

/* "\"name\" f32[64 8]"; of any bytes. */
static void print_tensor(const uint8_t *record, char *text, size_t bytes)
{
    uint32_t type = get_u32(record);
    uint32_t dims = get_u32(record + 4);
    int used = snprintf(text, bytes, "\"%.*s\" %s[", (int)LAYOUT_NAME_BYTES - 1,
                        (const char *)record + 72, type < WW_TYPE_COUNT ? type_names[type] : "?");
    for (uint32_t d = 0; d < dims && d < 8 && used > 0 && (size_t)used < bytes; d++) {
        used += snprintf(text + used, bytes - (size_t)used, "%s%llu", d == 0 ? "" : " ",
                         (unsigned long long)get_u64(record + 8 + 8 * d));
    }
    if (used > 0 && (size_t)used < bytes) {
        snprintf(text + used, bytes - (size_t)used, "]");
    }
}

static enum fault name_difference(const struct shard *shard, const uint8_t *ours, size_t our_count,
                                  const uint8_t *theirs, size_t their_count, struct reason *reason)
{
    for (size_t i = 0; i < our_count || i < their_count; i++) {
        char here[320] = "absent";
        char there[320] = "absent";
        if (i < our_count && i < their_count &&
            memcmp(ours + i * LAYOUT_BYTES, theirs + i * LAYOUT_BYTES, LAYOUT_BYTES) == 0) {
            continue;
        }
        if (i < our_count) {
            print_tensor(ours + i * LAYOUT_BYTES, here, sizeof here);
        }
        if (i < their_count) {
            print_tensor(theirs + i * LAYOUT_BYTES, there, sizeof there);
        }
        return reason_set(reason, FAULT_OTHER,
                          "tensor %zu is %.200s here and %.200s in %.200s: it is a checkpoint of "
                          "another model",
                          i, here, there, shard->path);
    }
    return FAULT_NONE;
}

enum fault image_compare_layout(const struct ww_context *context, const struct shard *shard,
                                struct reason *reason)
{
    uint8_t *ours = make_layout(context);
    const struct shard_section *section = shard_find(shard, SECTION_LAYOUT, "");
    if (ours == NULL) {
        return reason_set(reason, FAULT_MEMORY, "no memory for the layout of tensors");
    }
    if (section == NULL || section->bytes % LAYOUT_BYTES != 0) {
        free(ours);
        return reason_set(reason, FAULT_DAMAGED, "%.400s has no layout of tensors", shard->path);
    }
    uint8_t *theirs = malloc(section->bytes + 1);
    enum fault fault = theirs == NULL
                           ? reason_set(reason, FAULT_MEMORY, "no memory for a layout")
                           : shard_read(shard, section, 0, theirs, section->bytes, reason);
    if (fault == FAULT_NONE) {
        fault = name_difference(shard, ours, (size_t)context->tensor_count, theirs,
                                section->bytes / LAYOUT_BYTES, reason);
    }
    free(theirs);
    free(ours);
    return fault;
}

/* ---- Saving ----------------------------------------------------------------------------- */

static unsigned place_flags(const struct ww_context *context, const struct ww_tensor *tensor)
{
    const struct coding_state *coding = &context->coding;
    const struct keepers *now = &tensor->bucket->coding.now;
    bool residual = now->holders != 0 && coding->residuals[coding->now] != NULL;
    bool momentum = now->has_momentum && coding->momenta[coding->now] != NULL;
    return tensor->type != WW_F32 || tensor->count == 0
               ? 0
               : (residual ? PLACE_RESIDUAL : 0) | (momentum ? PLACE_MOMENTUM : 0) |
                     (momentum && now->common_momentum ? PLACE_COMMON : 0);
}

static void put_places(uint8_t *to, const struct ww_context *context)
{
    for (const struct ww_tensor *t = context->tensors; t != NULL; t = t->next) {
        put_u64(to, t->bucket->coding.now.holders);
        put_u32(to + 8, (uint32_t)t->bucket->index);
        put_u32(to + 12, place_flags(context, t));
        put_u64(to + 16, t->offset);
        put_u64(to + 24, t->bucket->count);
        to += PLACE_BYTES;
    }
}

void image_put_state(uint8_t *to, const struct ww_context *context, bool dense)
{
    const uint64_t words[STATE_WORDS] = {context->step.number,
                                         context->coding.steps,
                                         context->calls_made,
                                         (uint64_t)context->settings.values.gradient_op,
                                         dense,
                                         0};
    for (int i = 0; i < STATE_WORDS; i++) {
        put_u64(to + 8 * i, words[i]);
    }
}

/* Where each tensor's part of what is kept lies in memory. */
static void find_pieces(const struct ww_context *context, struct image *image)
{
    const struct coding_state *coding = &context->coding;
    const float *residuals = image->copied != NULL ? image->copied : coding->residuals[coding->now];
    const float *momenta = coding->momenta[coding->now];
    image->dense = true;
    for (const struct ww_tensor *t = context->tensors; t != NULL; t = t->next) {
        unsigned flags = place_flags(context, t);
        image->dense = image->dense && (flags == 0 || flags == (PLACE_MOMENTUM | PLACE_COMMON));
        size_t at = t->bucket->coding.offset + t->offset;
        if ((flags & PLACE_RESIDUAL) != 0) {
            image->residuals[image->residual_count++] = (struct shard_piece){
                residuals + at, t->count * sizeof(float)};
        }
        if ((flags & PLACE_MOMENTUM) != 0) {
            image->momenta[image->momentum_count++] = (struct shard_piece){
                momenta + at, t->count * sizeof(float)};
        }
    }
}

/* Cuts the records' memory: each begins where the one before ends. */
static size_t cut_records(const struct ww_context *context, struct image *image)
{
    const size_t bytes[] = {8U * STATE_WORDS, (size_t)context->tensor_count * LAYOUT_BYTES,
                            (size_t)context->tensor_count * PLACE_BYTES,
                            (size_t)context->bucket_count * 4, CODEC_TEXT_BYTES};
    size_t at = 0;
    for (int i = 0; i < 5; i++) {
        image->record[i] = (struct shard_piece){image->records == NULL ? NULL : image->records + at,
                                                bytes[i]};
        at += bytes[i];
    }
    return at;
}

/* Files are written out of the host's memory. */
static enum fault copy_residuals(const struct ww_context *context, struct image *image,
                                 struct reason *reason)
{
    const struct coding_state *coding = &context->coding;
    const struct vectors *vectors = &context->vectors;
    const float *residuals = coding->residuals[coding->now];
    size_t bytes = coding->count * sizeof *residuals;
    if (!device_enqueues(context) || residuals == NULL || bytes == 0) {
        return FAULT_NONE;
    }
    image->copied = malloc(bytes);
    if (image->copied == NULL) {
        return reason_set(reason, FAULT_MEMORY, "no memory for %zu bytes of a GPU's residuals",
                          bytes);
    }
    return vectors->read(vectors->self, image->copied, residuals, bytes) == WW_OK
               ? FAULT_NONE
               : reason_set(reason, FAULT_SYSTEM, "residuals cannot be read from the GPU: %.200s",
                            log_last_error());
}

enum fault image_make(const struct ww_context *context, struct image *image, struct reason *reason)
{
    *image = (struct image){.layout = 0};
    size_t tensors = (size_t)context->tensor_count;
    image->records = calloc(1, cut_records(context, image));
    image->residuals = calloc(tensors + 1, sizeof *image->residuals);
    image->momenta = calloc(tensors + 1, sizeof *image->momenta);
    if (image->records == NULL || image->residuals == NULL || image->momenta == NULL) {
        image_free(image);
        return reason_set(reason, FAULT_MEMORY, "no memory for the records of %zu tensors",
                          tensors);
    }
    enum fault fault = copy_residuals(context, image, reason);
    if (fault != FAULT_NONE) {
        image_free(image);
        return fault;
    }
    cut_records(context, image);
    find_pieces(context, image);
    uint8_t *state = image->records;
    uint8_t *layout = state + image->record[0].bytes;
    uint8_t *places = layout + image->record[1].bytes;
    uint8_t *order = places + image->record[2].bytes;
    image_put_state(state, context, false);
    put_layout(layout, context);
    put_places(places, context);
    for (int i = 0; i < context->bucket_count; i++) {
        put_u32(order + 4 * i, (uint32_t)context->order[i]);
    }
    menu_print(&context->coding.menu, (char *)order + image->record[3].bytes, CODEC_TEXT_BYTES);
    image->layout = checksum_crc64(0, layout, image->record[1].bytes);
    return FAULT_NONE;
}

void image_free(struct image *image)
{
    free(image->records);
    free(image->residuals);
    free(image->momenta);
    free(image->copied);
    *image = (struct image){.layout = 0};
}
