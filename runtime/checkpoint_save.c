/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_save.c: writes a generation. Four phases, each of which all ranks end together: the
 * folder is there and the generation has a number; what saves left that were killed is gone; every
 * rank's file is on the disk; the manifest is. Only then older generations go. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint.h"
#include "internal/clock.h"
#include "internal/size_guard.h"

static const char call[] = "ww_checkpoint_save";

#define FIXED_SECTIONS 7

enum begin_fact { BEGIN_HIGHEST, BEGIN_NEWEST };
enum file_fact { FILE_BYTES, FILE_CHECKSUM, FILE_DENSE, FILE_LAYOUT };
enum end_fact { END_FIRST };

struct saving {
    struct ww_context *context;
    const char *folder;
    struct parley parley;
    struct image image;
    struct shard_label label;
    uint64_t newest; /* generation with a manifest that any host sees; 0 = none */
    bool dense;      /* all ranks' */
    struct reason reason;
};

static struct verdict verdict_of(enum fault fault)
{
    return (struct verdict){.status = parley_status(fault), .fault = fault};
}

static char *own_path(const struct saving *saving, char path[FILE_PATH_BYTES])
{
    folder_path(path, saving->folder, saving->label.generation, saving->context->world.rank);
    return path;
}

/* One rank of each host looks after the host's folder; where all share one, the others find
 * nothing. */
static bool keeps_folder(const struct saving *saving)
{
    const struct topology *topology = &saving->context->topology;
    int rank = 0;
    while (topology->host_of[rank] != topology->host_of[topology->rank]) {
        rank++;
    }
    return rank == topology->rank;
}

/* Counts on from the highest number that any host sees, whatever has it. */
static void take_number(struct saving *saving)
{
    uint64_t highest = 0;
    for (int rank = 0; rank < saving->context->world.size; rank++) {
        const uint64_t *facts = saving->parley.all[rank].facts;
        highest = facts[BEGIN_HIGHEST] > highest ? facts[BEGIN_HIGHEST] : highest;
        saving->newest = facts[BEGIN_NEWEST] > saving->newest ? facts[BEGIN_NEWEST]
                                                              : saving->newest;
    }
    saving->label = (struct shard_label){.role = SHARD_OF_RANK,
                                         .generation = highest + 1,
                                         .layout = saving->image.layout,
                                         .rank = (uint32_t)saving->context->world.rank,
                                         .size = (uint32_t)saving->context->world.size};
}

/* The first phase. */
static enum ww_status begin(struct saving *saving)
{
    struct folder_list list = {.highest = 0};
    enum fault fault = folder_make(saving->folder, &saving->reason);
    if (fault == FAULT_NONE && keeps_folder(saving)) {
        fault = folder_read(saving->folder, &list, &saving->reason);
    }
    if (fault == FAULT_NONE && list.highest >= FOLDER_GENERATION_MOST) {
        fault = reason_set(&saving->reason, FAULT_SYSTEM,
                           "%.400s holds a file of generation %" PRIu64
                           ", behind which there is none: move it away",
                           saving->folder, list.highest);
    }
    if (fault == FAULT_NONE) {
        fault = image_make(saving->context, &saving->image, &saving->reason);
    }
    for (const struct attachment *a = saving->context->attachments; a != NULL; a = a->next) {
        if (a->owner != NULL) {
            a->owner->fill(a->self);
        }
    }
    struct verdict mine = verdict_of(fault);
    mine.facts[BEGIN_HIGHEST] = list.highest;
    mine.facts[BEGIN_NEWEST] = list.count > 0 ? list.generations[0] : 0;
    enum ww_status status = parley_hold(&saving->parley, &mine, &saving->reason);
    take_number(saving);
    return status;
}

/* The second phase: makes room. No rank writes yet, and none does before all are through. */
static enum ww_status make_room(struct saving *saving)
{
    struct verdict mine = verdict_of(FAULT_NONE);
    if (keeps_folder(saving)) {
        folder_clear_orphans(saving->folder, saving->newest);
    }
    return parley_hold(&saving->parley, &mine, &saving->reason);
}

/* Drafts of what is attached: rank 0 writes what is common. Returns how many. */
static size_t draft_attached(const struct ww_context *context, struct shard_draft *drafts,
                             struct shard_piece *pieces)
{
    size_t count = 0;
    for (const struct attachment *a = context->attachments; a != NULL; a = a->next) {
        if (a->keep == WW_KEEP_COMMON && context->world.rank != 0) {
            continue;
        }
        pieces[count] = (struct shard_piece){a->data, a->bytes};
        drafts[count] = (struct shard_draft){
            a->keep == WW_KEEP_COMMON ? SECTION_COMMON : SECTION_OWN, a->name, &pieces[count], 1};
        count++;
    }
    return count;
}

static size_t count_attached(const struct ww_context *context)
{
    size_t count = 0;
    for (const struct attachment *a = context->attachments; a != NULL; a = a->next) {
        count++;
    }
    return count;
}

/* A limit to the size of files is taken as a full disk is. */
static enum fault write_shard(struct saving *saving, const char *path,
                              const struct shard_label *label, const struct shard_draft *drafts,
                              size_t count, struct shard_stamp *stamp)
{
    struct size_guard guard;
    size_guard_begin(&guard);
    enum fault fault = shard_write(path, label, drafts, count, stamp, &saving->reason);
    size_guard_end(&guard);
    return fault;
}

static enum fault write_own(struct saving *saving, struct shard_stamp *stamp)
{
    const struct image *image = &saving->image;
    size_t attached = count_attached(saving->context);
    char path[FILE_PATH_BYTES];
    struct shard_draft *drafts = calloc(FIXED_SECTIONS + attached, sizeof *drafts);
    struct shard_piece *pieces = calloc(attached + 1, sizeof *pieces);
    enum fault fault = FAULT_NONE;
    if (drafts == NULL || pieces == NULL) {
        fault = reason_set(&saving->reason, FAULT_MEMORY, "no memory for %zu sections",
                           FIXED_SECTIONS + attached);
    } else {
        static const uint32_t kinds[] = {SECTION_STATE, SECTION_LAYOUT, SECTION_PLACES,
                                         SECTION_ORDER, SECTION_CODEC};
        size_t count = 0;
        for (; count < 5; count++) {
            drafts[count] = (struct shard_draft){kinds[count], "", &image->record[count], 1};
        }
        drafts[count++] = (struct shard_draft){SECTION_RESIDUALS, "", image->residuals,
                                               image->residual_count};
        drafts[count++] = (struct shard_draft){SECTION_MOMENTA, "", image->momenta,
                                               image->momentum_count};
        count += draft_attached(saving->context, drafts + count, pieces);
        fault = write_shard(saving, own_path(saving, path), &saving->label, drafts, count, stamp);
    }
    free(drafts);
    free(pieces);
    return fault;
}

/* The third phase. */
static enum ww_status write_files(struct saving *saving)
{
    struct shard_stamp stamp = {0, 0};
    struct verdict mine = verdict_of(write_own(saving, &stamp));
    mine.facts[FILE_BYTES] = stamp.bytes;
    mine.facts[FILE_CHECKSUM] = stamp.checksum;
    mine.facts[FILE_DENSE] = saving->image.dense;
    mine.facts[FILE_LAYOUT] = saving->image.layout;
    enum ww_status status = parley_hold(&saving->parley, &mine, &saving->reason);
    saving->dense = true;
    for (int rank = 0; rank < saving->context->world.size; rank++) {
        saving->dense = saving->dense && saving->parley.all[rank].facts[FILE_DENSE] != 0;
    }
    return status;
}

static enum fault write_manifest(struct saving *saving)
{
    size_t size = (size_t)saving->context->world.size;
    char path[FILE_PATH_BYTES];
    uint8_t state[8 * STATE_WORDS];
    struct shard_stamp stamp;
    struct shard_label label = saving->label;
    uint8_t *stamps = malloc(16 * size);
    if (stamps == NULL) {
        return reason_set(&saving->reason, FAULT_MEMORY, "no memory for a manifest of %zu ranks",
                          size);
    }
    for (size_t rank = 0; rank < size; rank++) {
        put_u64(stamps + 16 * rank, saving->parley.all[rank].facts[FILE_BYTES]);
        put_u64(stamps + 16 * rank + 8, saving->parley.all[rank].facts[FILE_CHECKSUM]);
    }
    image_put_state(state, saving->context, saving->dense);
    const struct shard_piece pieces[] = {{state, sizeof state}, {stamps, 16 * size}};
    const struct shard_draft drafts[] = {{SECTION_STATE, "", &pieces[0], 1},
                                         {SECTION_SHARDS, "", &pieces[1], 1}};
    label.role = SHARD_MANIFEST;
    folder_path(path, saving->folder, label.generation, FOLDER_MANIFEST);
    enum fault fault = write_shard(saving, path, &label, drafts, 2, &stamp);
    if (fault != FAULT_NONE) {
        unlink(path); /* it may be in place, and not on the disk */
    }
    free(stamps);
    return fault;
}

/* The oldest generation that stays: the second newest of those whose manifest is whole, or was
 * written by somebody who knows more. One that cannot be read now, for want of memory or
 * descriptors, may be whole: it stays, and is none of the two. */
static uint64_t first_kept(const struct saving *saving)
{
    struct folder_list list;
    struct reason reason;
    uint64_t first = saving->label.generation;
    int kept = 0;
    if (folder_read(saving->folder, &list, &reason) != FAULT_NONE) {
        return 0;
    }
    for (int i = 0; i < list.count && kept < 2; i++) {
        char path[FILE_PATH_BYTES];
        struct shard manifest;
        folder_path(path, saving->folder, list.generations[i], FOLDER_MANIFEST);
        enum fault fault = shard_open(&manifest, path, &reason);
        if (fault == FAULT_NONE) {
            bool own = manifest.label.generation == list.generations[i];
            fault = own ? shard_verify(&manifest, &reason) : FAULT_DAMAGED;
            shard_close(&manifest);
        }
        if (fault == FAULT_NONE || fault == FAULT_NEWER) {
            first = list.generations[i];
            kept++;
        } else if (fault == FAULT_SYSTEM || fault == FAULT_MEMORY) {
            first = list.generations[i];
        }
    }
    return first;
}

/* The fourth phase. From the manifest on the generation counts. */
static enum ww_status end(struct saving *saving)
{
    const struct ww_context *context = saving->context;
    struct verdict mine = verdict_of(FAULT_NONE);
    if (context->world.rank == 0) {
        mine = verdict_of(write_manifest(saving));
        mine.facts[END_FIRST] = mine.status == WW_OK ? first_kept(saving) : 0;
    }
    return parley_hold(&saving->parley, &mine, &saving->reason);
}

/* What was written for a generation that will not be. */
static void withdraw(const struct saving *saving)
{
    char path[FILE_PATH_BYTES];
    if (saving->label.generation > 0) {
        unlink(own_path(saving, path));
    }
}

static enum ww_status refuse(const struct saving *saving)
{
    return context_fail(saving->context, log_failure(parley_status(saving->reason.fault), "%s: %s",
                                                     call, saving->reason.text));
}

static enum ww_status run_phases(struct saving *saving)
{
    enum ww_status status = begin(saving);
    if (status != WW_OK || saving->parley.odd >= 0) {
        saving->label.generation = 0; /* nothing was written yet */
        return status;
    }
    status = make_room(saving);
    if (status == WW_OK) {
        status = write_files(saving);
    }
    if (status == WW_OK && saving->parley.odd < 0) {
        status = end(saving);
    }
    return status;
}

static enum ww_status save(struct saving *saving)
{
    enum ww_status status = checkpoint_compare_errands(&saving->parley, saving->folder);
    if (status != WW_OK) {
        return status;
    }
    uint64_t since_ns = clock_now_ns();
    status = run_phases(saving);
    if (status != WW_OK) {
        return status; /* broken: nobody knows whether the manifest is there */
    }
    if (saving->parley.odd >= 0) {
        withdraw(saving);
        return refuse(saving);
    }
    if (keeps_folder(saving)) {
        folder_clean(saving->folder, saving->parley.all[0].facts[END_FIRST]);
    }
    if (saving->context->world.rank == 0) {
        log_debug("generation %llu of %s holds step %llu, saved in %.3g s",
                  (unsigned long long)saving->label.generation, saving->folder,
                  (unsigned long long)saving->context->step.number,
                  (double)(clock_now_ns() - since_ns) * 1e-9);
    }
    return WW_OK;
}

enum ww_status ww_checkpoint_save(struct ww_context *context, const char *folder)
{
    enum ww_status status = checkpoint_check(context, call, folder);
    if (status != WW_OK) {
        return status;
    }
    struct saving saving = {.context = context, .folder = folder};
    status = parley_begin(&saving.parley, context, call);
    if (status == WW_OK) {
        status = save(&saving);
    }
    image_free(&saving.image);
    parley_end(&saving.parley);
    return status;
}
