/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_load.c: takes a generation over. Rank 0 offers one after the other, newest first;
 * every rank judges the files that it needs of it; what all find whole is read aside, and only when
 * all have read it the state changes. */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "checkpoint.h"

static const char call[] = "ww_checkpoint_load";

#define SPREAD_BYTES (FOLD_ROOM_BYTES / 2)

struct loading {
    struct ww_context *context;
    const char *folder;
    struct parley parley;
    struct folder_list list; /* rank 0's */
    int next;                /* of the list */
    struct shard_label label;
    struct shard_stamp *stamps; /* [label.size] */
    struct shard *shards;       /* [shard_count] that this rank reads */
    int shard_count;
    struct restored restored;
    void *room; /* FOLD_ROOM_BYTES through which what is attached goes */
    struct reason reason;
    struct reason first; /* why the newest was passed over */
    uint64_t passed_over;
};

enum offer_fact { OFFER_GENERATION, OFFER_SIZE, OFFER_LAYOUT };
enum judge_fact { JUDGE_COMMON, JUDGE_STATE };

static struct verdict verdict_of(enum fault fault)
{
    return (struct verdict){.status = parley_status(fault), .fault = fault};
}

/* ---- Offering --------------------------------------------------------------------------- */

static enum fault read_stamps(struct loading *loading, const struct shard *manifest)
{
    const struct shard_section *section = shard_find(manifest, SECTION_SHARDS, "");
    uint32_t size = manifest->label.size;
    if (manifest->label.role != SHARD_MANIFEST || section == NULL || size == 0 ||
        section->bytes != 16ULL * size) {
        return reason_set(&loading->reason, FAULT_DAMAGED, "%.400s is no manifest", manifest->path);
    }
    uint8_t *bytes = malloc(section->bytes);
    free(loading->stamps);
    loading->stamps = calloc(size, sizeof *loading->stamps);
    enum fault fault = FAULT_NONE;
    if (bytes == NULL || loading->stamps == NULL) {
        fault = reason_set(&loading->reason, FAULT_MEMORY, "no memory for %u ranks' files", size);
    } else {
        fault = shard_read(manifest, section, 0, bytes, section->bytes, &loading->reason);
    }
    for (uint32_t rank = 0; rank < size && fault == FAULT_NONE; rank++) {
        loading->stamps[rank] = (struct shard_stamp){get_u64(bytes + 16 * rank),
                                                     get_u64(bytes + 16 * rank + 8)};
    }
    free(bytes);
    return fault;
}

/* Rank 0: the manifest of a generation. */
static enum fault read_manifest(struct loading *loading, uint64_t generation)
{
    char path[FILE_PATH_BYTES];
    struct shard manifest;
    folder_path(path, loading->folder, generation, FOLDER_MANIFEST);
    enum fault fault = shard_open(&manifest, path, &loading->reason);
    if (fault != FAULT_NONE) {
        return fault;
    }
    fault = shard_verify(&manifest, &loading->reason);
    if (fault == FAULT_NONE && manifest.label.generation != generation) {
        fault = reason_set(&loading->reason, FAULT_DAMAGED, "%.400s is of generation %llu", path,
                           (unsigned long long)manifest.label.generation);
    }
    if (fault == FAULT_NONE) {
        fault = read_stamps(loading, &manifest);
    }
    loading->label = manifest.label;
    shard_close(&manifest);
    return fault;
}

static bool may_pass_over(enum fault fault)
{
    return fault == FAULT_DAMAGED || fault == FAULT_MISSING || fault == FAULT_SYSTEM;
}

/* The newest reason is the one that people want to hear when nothing is left. */
static void note_passed(struct loading *loading)
{
    if (loading->passed_over++ == 0) {
        loading->first = loading->reason;
    }
}

/* Rank 0: the next generation whose manifest can be used; says why those before it cannot. */
static enum fault find_next(struct loading *loading)
{
    enum fault fault = FAULT_MISSING;
    while (loading->next < loading->list.count && may_pass_over(fault)) {
        fault = read_manifest(loading, loading->list.generations[loading->next++]);
        if (may_pass_over(fault)) {
            note_passed(loading);
            log_warn("%s: %s: an older generation is looked for", call, loading->reason.text);
        }
    }
    if (fault == FAULT_MISSING && loading->passed_over == 0) {
        return reason_set(&loading->reason, FAULT_MISSING, "there is no checkpoint in %.400s",
                          loading->folder);
    }
    if (may_pass_over(fault)) {
        return reason_set(&loading->reason, FAULT_DAMAGED,
                          "no generation in %.200s is whole; the newest: %.480s", loading->folder,
                          loading->first.text);
    }
    return fault;
}

/* Everybody learns the generation and the files it consists of. */
static enum ww_status offer(struct loading *loading)
{
    struct ww_context *context = loading->context;
    struct verdict mine = verdict_of(FAULT_NONE);
    if (context->world.rank == 0) {
        mine = verdict_of(find_next(loading));
        mine.facts[OFFER_GENERATION] = loading->label.generation;
        mine.facts[OFFER_SIZE] = loading->label.size;
        mine.facts[OFFER_LAYOUT] = loading->label.layout;
    }
    enum ww_status status = parley_hold(&loading->parley, &mine, &loading->reason);
    if (status != WW_OK || loading->parley.odd >= 0) {
        return status;
    }
    const struct verdict *offered = &loading->parley.all[0];
    size_t size = offered->facts[OFFER_SIZE];
    loading->label = (struct shard_label){.role = SHARD_OF_RANK,
                                          .generation = offered->facts[OFFER_GENERATION],
                                          .layout = offered->facts[OFFER_LAYOUT],
                                          .size = (uint32_t)size};
    if (context->world.rank != 0) {
        free(loading->stamps);
        loading->stamps = calloc(size, sizeof *loading->stamps);
    }
    if (loading->stamps == NULL) { /* peers wait for this rank */
        return context_break(
            context, log_failure(WW_NO_MEMORY, "%s: no memory for %zu files", call, size), NULL);
    }
    return call_spread(context, &(struct call_purpose){call, GATE_LABEL_CHECKPOINT},
                       loading->stamps, size * sizeof *loading->stamps, 0);
}

/* ---- Judging ---------------------------------------------------------------------------- */

static void close_shards(struct loading *loading)
{
    for (int i = 0; i < loading->shard_count; i++) {
        shard_close(&loading->shards[i]);
    }
    free(loading->shards);
    loading->shards = NULL;
    loading->shard_count = 0;
}

/* The shard must be the very file that its manifest speaks of. */
static enum fault judge_shard(struct loading *loading, const struct shard *shard, uint32_t rank)
{
    const struct shard_label *label = &shard->label;
    const struct shard_stamp *stamp = &loading->stamps[rank];
    if (label->role != SHARD_OF_RANK || label->generation != loading->label.generation ||
        label->rank != rank || label->size != loading->label.size ||
        shard->stamp.checksum != stamp->checksum || shard->stamp.bytes != stamp->bytes) {
        return reason_set(&loading->reason, FAULT_DAMAGED,
                          "%.400s is not the file that its manifest speaks of (rank %u of %u, "
                          "generation %llu)",
                          shard->path, label->rank, label->size,
                          (unsigned long long)label->generation);
    }
    enum fault fault = shard_verify(shard, &loading->reason);
    return fault == FAULT_NONE ? image_compare_layout(loading->context, shard, &loading->reason)
                               : fault;
}

static enum fault open_shard(struct loading *loading, uint32_t rank)
{
    char path[FILE_PATH_BYTES];
    struct shard *shard = &loading->shards[loading->shard_count];
    folder_path(path, loading->folder, loading->label.generation, (int)rank);
    enum fault fault = shard_open(shard, path, &loading->reason);
    if (fault == FAULT_MISSING) {
        return reason_set(&loading->reason, FAULT_MISSING,
                          "%.400s, the file of rank %u of %u, is missing here: with another number "
                          "of ranks, or other hosts, all files must lie in a folder that all share",
                          path, rank, loading->label.size);
    }
    if (fault == FAULT_NONE) {
        loading->shard_count++;
        fault = judge_shard(loading, shard, rank);
    }
    return fault;
}

/* Rank r reads r, r + size ...; one that is beyond those who saved reads counters alone. */
static enum fault open_shards(struct loading *loading)
{
    uint32_t size = (uint32_t)loading->context->world.size;
    uint32_t rank = (uint32_t)loading->context->world.rank % loading->label.size;
    uint32_t most = loading->label.size / size + 1;
    close_shards(loading);
    loading->shards = calloc(most, sizeof *loading->shards);
    if (loading->shards == NULL) {
        return reason_set(&loading->reason, FAULT_MEMORY, "no memory for %u files", most);
    }
    enum fault fault = open_shard(loading, rank);
    for (rank += size; rank < loading->label.size && fault == FAULT_NONE; rank += size) {
        fault = open_shard(loading, rank);
    }
    return fault;
}

static bool is_same_size(const struct loading *loading)
{
    return loading->label.size == (uint32_t)loading->context->world.size;
}

/* Whether what each rank attached goes to another number of ranks. */
static bool is_folded(const struct loading *loading, const struct attachment *attached)
{
    return attached->keep != WW_KEEP_COMMON && attached->keep != WW_KEEP_PER_RANK &&
           !is_same_size(loading);
}

/* The section of a shard that fills what is attached, NULL when there is none; only rank 0 sees
 * common ones. */
static const struct shard_section *section_of(const struct loading *loading,
                                              const struct shard *shard,
                                              const struct attachment *attached)
{
    bool common = attached->keep == WW_KEEP_COMMON;
    if (common ? loading->context->world.rank != 0 || shard != &loading->shards[0]
               : attached->keep == WW_KEEP_PER_RANK && !is_same_size(loading)) {
        return NULL;
    }
    return shard_find(shard, common ? SECTION_COMMON : SECTION_OWN, attached->name);
}

/* Its owner knows whether the bytes, which are as many as here, fit. */
static enum ww_status ask_owner(struct loading *loading, const struct attachment *attached,
                                const struct shard_section *section)
{
    const struct shard *shard = &loading->shards[0];
    char why[REASON_BYTES / 2] = "";
    void *saved = malloc(section->bytes + 1);
    if (saved == NULL) {
        reason_set(&loading->reason, FAULT_MEMORY, "no memory to judge \"%s\"", attached->name);
        return WW_NO_MEMORY;
    }
    enum fault fault = shard_read(shard, section, 0, saved, section->bytes, &loading->reason);
    if (fault == FAULT_NONE && !attached->owner->fits(attached->self, saved, why, sizeof why)) {
        fault = reason_set(&loading->reason, FAULT_OTHER, "\"%s\" in %.300s %s", attached->name,
                           shard->path, why);
    }
    free(saved);
    return parley_status(fault);
}

/* A size that differs is not damage: an older generation would not fit either. */
static enum ww_status judge_attached(struct loading *loading, const struct shard *shard)
{
    enum ww_status status = WW_OK;
    for (const struct attachment *a = loading->context->attachments; a != NULL && status == WW_OK;
         a = a->next) {
        const struct shard_section *section = section_of(loading, shard, a);
        if (section != NULL && section->bytes != a->bytes) {
            reason_set(&loading->reason, FAULT_OTHER,
                       "\"%s\" has %llu bytes in %.400s, here %zu are attached", a->name,
                       (unsigned long long)section->bytes, shard->path, a->bytes);
            return WW_BAD_ARGUMENT;
        }
        if (section != NULL && a->owner != NULL) {
            status = ask_owner(loading, a, section);
        }
    }
    return status;
}

static uint64_t common_fingerprint(const struct ww_context *context)
{
    uint64_t crc = 0;
    for (const struct attachment *a = context->attachments; a != NULL; a = a->next) {
        if (a->keep != WW_KEEP_PER_RANK) {
            const uint64_t form[] = {a->bytes, (uint64_t)a->keep};
            crc = checksum_crc64(crc, a->name, sizeof a->name);
            crc = checksum_crc64(crc, form, sizeof form);
        }
    }
    return crc;
}

static enum fault read_state(struct loading *loading)
{
    const struct ww_context *context = loading->context;
    uint32_t size = (uint32_t)context->world.size;
    bool mean = context->settings.values.gradient_op == WW_MEAN;
    double ratio = (double)size / loading->label.size;
    const struct inheritance inheritance = {.adds = (uint32_t)context->world.rank <
                                                    loading->label.size,
                                            .scale = mean ? ratio : 1,
                                            .common_scale = mean ? 1 : 1 / ratio,
                                            .same = is_same_size(loading)};
    restored_free(&loading->restored);
    return restored_read(&loading->restored, context, loading->shards, loading->shard_count,
                         &inheritance, &loading->reason);
}

/* What taking over needs is there before all ranks begin with it: what one lacks then breaks the
 * context. */
static enum fault make_room(struct loading *loading)
{
    if (loading->room == NULL) {
        loading->room = malloc(FOLD_ROOM_BYTES);
    }
    return loading->room != NULL
               ? FAULT_NONE
               : reason_set(&loading->reason, FAULT_MEMORY,
                            "no memory to read what is attached: %zu bytes", FOLD_ROOM_BYTES);
}

static enum ww_status judge(struct loading *loading)
{
    enum fault fault = open_shards(loading);
    if (fault == FAULT_NONE) {
        fault = read_state(loading);
    }
    if (fault == FAULT_NONE) {
        fault = make_room(loading);
    }
    struct verdict mine = verdict_of(fault);
    if (fault == FAULT_NONE) {
        for (int i = 0; i < loading->shard_count && mine.status == WW_OK; i++) {
            mine.status = judge_attached(loading, &loading->shards[i]);
        }
        mine.fault = mine.status == WW_OK ? FAULT_NONE : FAULT_OTHER;
        mine.facts[JUDGE_COMMON] = common_fingerprint(loading->context);
        mine.facts[JUDGE_STATE] = restored_fingerprint(&loading->restored, loading->context);
    }
    return parley_hold(&loading->parley, &mine, &loading->reason);
}

/* All are well, each for itself: but do they agree? Every rank comes to the same words. */
static enum ww_status compare_ranks(struct loading *loading)
{
    const struct verdict *all = loading->parley.all;
    for (int rank = 1; rank < loading->context->world.size; rank++) {
        if (all[rank].facts[JUDGE_COMMON] != all[0].facts[JUDGE_COMMON]) {
            return log_failure(WW_MISMATCH,
                               "%s: rank %d attached other common names or sizes than rank 0, or "
                               "keeps one in another way: attach the same on all ranks",
                               call, rank);
        }
        if (all[rank].facts[JUDGE_STATE] != all[0].facts[JUDGE_STATE]) {
            return log_failure(WW_FILE_FAILED,
                               "%s: the files of ranks 0 and %d tell other steps or orders of "
                               "buckets: they are not of one run",
                               call, rank);
        }
    }
    return WW_OK;
}

/* ---- Taking over ------------------------------------------------------------------------ */

/* Rank 0's bytes for everybody, in parts. A file that cannot be read any more breaks the context:
 * peers wait for its bytes. */
static enum ww_status spread(struct loading *loading, const struct attachment *attached,
                             const struct shard_section *section)
{
    struct ww_context *context = loading->context;
    uint8_t *part = loading->room;
    for (size_t done = 0; done < attached->bytes;) {
        size_t left = attached->bytes - done;
        size_t bytes = left < SPREAD_BYTES ? left : SPREAD_BYTES;
        if (context->world.rank == 0 && shard_read(&loading->shards[0], section, done, part, bytes,
                                                   &loading->reason) != FAULT_NONE) {
            return context_break(
                context, log_failure(WW_FILE_FAILED, "%s: %s", call, loading->reason.text), NULL);
        }
        enum ww_status status = call_spread(context,
                                            &(struct call_purpose){call, GATE_LABEL_CHECKPOINT},
                                            part, (bytes + 3) & ~(size_t)3, 0);
        if (status != WW_OK) {
            return status;
        }
        memcpy((uint8_t *)attached->data + done, part, bytes);
        done += bytes;
    }
    return WW_OK;
}

/* Whether rank 0's file has it: everybody must know. */
static enum ww_status fill_common(struct loading *loading, struct attachment *attached)
{
    const struct shard_section *section = section_of(loading, &loading->shards[0], attached);
    int32_t there = section != NULL;
    enum ww_status status = call_spread(loading->context,
                                        &(struct call_purpose){call, GATE_LABEL_CHECKPOINT}, &there,
                                        sizeof there, 0);
    if (status == WW_OK && there != 0) {
        status = spread(loading, attached, section);
    }
    attached->loaded = status == WW_OK && there != 0;
    return status;
}

static enum ww_status fill_own(struct loading *loading, struct attachment *attached)
{
    struct ww_context *context = loading->context;
    const struct shard_section *section = section_of(loading, &loading->shards[0], attached);
    attached->loaded = false;
    if (section == NULL) {
        return WW_OK;
    }
    if (shard_read(&loading->shards[0], section, 0, attached->data, attached->bytes,
                   &loading->reason) != FAULT_NONE) {
        return context_break(
            context, log_failure(WW_FILE_FAILED, "%s: %s", call, loading->reason.text), NULL);
    }
    attached->loaded = true;
    return WW_OK;
}

static enum ww_status fill(struct loading *loading, struct attachment *attached)
{
    struct ww_context *context = loading->context;
    bool reads = (uint32_t)context->world.rank < loading->label.size;
    const struct fold fold = {
        context,      call, loading->shards, reads ? loading->shard_count : 0, loading->label.size,
        loading->room};
    if (is_folded(loading, attached)) {
        return fold_attached(&fold, attached);
    }
    return attached->keep == WW_KEEP_COMMON ? fill_common(loading, attached)
                                            : fill_own(loading, attached);
}

static void tell_owners(struct ww_context *context)
{
    for (struct attachment *a = context->attachments; a != NULL; a = a->next) {
        if (a->owner != NULL && a->loaded) {
            a->owner->take(a->self);
        }
    }
}

static enum ww_status fill_attached(struct loading *loading)
{
    enum ww_status status = WW_OK;
    for (struct attachment *a = loading->context->attachments; a != NULL && status == WW_OK;
         a = a->next) {
        status = fill(loading, a);
        if (status == WW_OK && !a->loaded && !a->is_part && loading->context->world.rank == 0) {
            log_warn("%s: generation %llu does not give \"%s\": it stays as it is", call,
                     (unsigned long long)loading->label.generation, a->name);
        }
    }
    return status;
}

static enum ww_status refuse(const struct loading *loading)
{
    const struct parley *parley = &loading->parley;
    enum ww_status status = (enum ww_status)parley->all[parley->odd].status;
    return context_fail(loading->context,
                        log_failure(status, "%s: %s", call, loading->reason.text));
}

static void announce(const struct loading *loading)
{
    if (loading->context->world.rank == 0) {
        log_info("goes on behind step %llu: generation %llu of %u rank%s",
                 (unsigned long long)loading->context->step.number,
                 (unsigned long long)loading->label.generation, loading->label.size,
                 loading->label.size == 1 ? "" : "s");
    }
}

static enum ww_status take_over(struct loading *loading)
{
    enum ww_status status = compare_ranks(loading);
    if (status != WW_OK) {
        return context_fail(loading->context, status);
    }
    status = fill_attached(loading);
    if (status == WW_OK) {
        restored_take(&loading->restored, loading->context);
        tell_owners(loading->context);
        announce(loading);
    }
    return status;
}

static enum ww_status load(struct loading *loading)
{
    struct parley *parley = &loading->parley;
    for (;;) {
        enum ww_status status = offer(loading);
        if (status == WW_OK && parley->odd < 0) {
            status = judge(loading);
            if (status == WW_OK && parley->odd >= 0 && may_pass_over(loading->reason.fault)) {
                note_passed(loading);
                if (loading->context->world.rank == 0) {
                    log_warn("%s: %s: an older generation is looked for", call,
                             loading->reason.text);
                }
                continue;
            }
        }
        if (status != WW_OK) {
            return status;
        }
        return parley->odd >= 0 ? refuse(loading) : take_over(loading);
    }
}

static enum ww_status prepare(struct loading *loading)
{
    enum ww_status status = checkpoint_compare_errands(&loading->parley, loading->folder);
    if (status != WW_OK) {
        return status;
    }
    struct verdict mine = verdict_of(FAULT_NONE);
    if (loading->context->world.rank == 0) {
        mine = verdict_of(folder_read(loading->folder, &loading->list, &loading->reason));
    }
    status = parley_hold(&loading->parley, &mine, &loading->reason);
    return status == WW_OK && loading->parley.odd >= 0 ? refuse(loading) : status;
}

enum ww_status ww_checkpoint_load(struct ww_context *context, const char *folder)
{
    enum ww_status status = checkpoint_check(context, call, folder);
    if (status != WW_OK) {
        return status;
    }
    struct loading loading = {.context = context, .folder = folder};
    status = parley_begin(&loading.parley, context, call);
    if (status == WW_OK) {
        status = prepare(&loading);
    }
    if (status == WW_OK) {
        status = load(&loading);
    }
    close_shards(&loading);
    restored_free(&loading.restored);
    free(loading.stamps);
    free(loading.room);
    parley_end(&loading.parley);
    return status;
}
