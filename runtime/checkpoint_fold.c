/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_fold.c: numbers that each of p ranks attached become those of p' ranks. Rank r' reads
 * what ranks r', r' + p', r' + 2p' ... had, and adds it in that order in fp64. */
#include "call.h"
#include "checkpoint.h"
#include "internal/cpu.h"

#define PART (FOLD_ROOM_BYTES / 16) /* elements that are read at once, and their sums */

static size_t element_bytes(enum ww_keep keep)
{
    return keep == KEEP_MOST ? sizeof(uint64_t) : sizeof(float);
}

static const struct shard_section *section_in(const struct shard *shard,
                                              const struct attachment *attached)
{
    return shard_find(shard, SECTION_OWN, attached->name);
}

/* Either all ranks find all of it, or none takes anything. */
static enum ww_status find(const struct fold *fold, struct attachment *attached)
{
    int32_t missing = 0;
    for (int i = 0; i < fold->count; i++) {
        missing |= section_in(&fold->shards[i], attached) == NULL;
    }
    const struct call_purpose purpose = {fold->call, GATE_LABEL_CHECKPOINT};
    enum ww_status status = call_highest(fold->context, &purpose, &missing);
    attached->loaded = status == WW_OK && missing == 0;
    return status;
}

/* Of the elements of one rank, [0, count) of `values`. */
static void add(const void *values, size_t count, enum ww_keep keep, double *sums)
{
    const float *numbers = values;
    const uint64_t *counts = values;
    for (size_t i = 0; i < count; i++) {
        if (keep == KEEP_MOST) {
            sums[i] = (double)counts[i] > sums[i] ? (double)counts[i] : sums[i];
        } else {
            sums[i] += (double)numbers[i];
        }
    }
}

static enum ww_status read_part(const struct fold *fold, const struct attachment *attached,
                                size_t first, size_t count, void *values, double *sums)
{
    size_t each = element_bytes(attached->keep);
    struct reason reason;
    for (size_t i = 0; i < count; i++) {
        sums[i] = 0;
    }
    for (int i = 0; i < fold->count; i++) {
        const struct shard *shard = &fold->shards[i];
        if (shard_read(shard, section_in(shard, attached), first * each, values, count * each,
                       &reason) != FAULT_NONE) {
            return context_break(fold->context,
                                 log_failure(WW_FILE_FAILED, "%s: %s", fold->call, reason.text),
                                 NULL);
        }
        add(values, count, attached->keep, sums);
    }
    return WW_OK;
}

/* What the sums of all ranks come to. A share needs no other rank. */
static enum ww_status join(const struct fold *fold, enum ww_keep keep, double *sums, size_t count)
{
    return keep == WW_KEEP_SHARE ? WW_OK
                                 : ww_all_reduce(fold->context, sums, sums, count, WW_F64,
                                                 keep == KEEP_MOST ? WW_MAX : WW_SUM);
}

static void write_part(const struct fold *fold, struct attachment *attached, size_t first,
                       size_t count, const double *sums)
{
    double factor = attached->keep == WW_KEEP_SHARE ? fold->context->world.size : 1;
    for (size_t i = 0; i < count; i++) {
        if (attached->keep == KEEP_MOST) {
            ((uint64_t *)attached->data)[first + i] = (uint64_t)sums[i];
        } else {
            ((float *)attached->data)[first + i] = (float)(sums[i] * factor / fold->size_before);
        }
    }
}

enum ww_status fold_attached(const struct fold *fold, struct attachment *attached)
{
    size_t count = attached->bytes / element_bytes(attached->keep);
    double *sums = fold->room;
    void *values = sums + PART;
    enum ww_status status = find(fold, attached);
    unsigned before = cpu_exact_begin(); /* all ranks get the same bits, whatever threads flush */
    for (size_t first = 0; first < count && status == WW_OK && attached->loaded; first += PART) {
        size_t part = count - first < PART ? count - first : PART;
        status = read_part(fold, attached, first, part, values, sums);
        if (status == WW_OK) {
            status = join(fold, attached->keep, sums, part);
        }
        if (status == WW_OK) {
            write_part(fold, attached, first, part, sums);
        }
    }
    cpu_exact_end(before);
    return status;
}
