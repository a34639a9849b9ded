/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint.c: what a program adds to its checkpoints, and what a folder says that it holds. */
#include "checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Attached --------------------------------------------------------------------------- */

static const char call[] = "ww_checkpoint_attach";

static struct attachment **find(struct ww_context *context, const char *name)
{
    struct attachment **at = &context->attachments;
    while (*at != NULL && strcmp((*at)->name, name) != 0) {
        at = &(*at)->next;
    }
    return at;
}

static void detach(struct attachment **at)
{
    struct attachment *gone = *at;
    if (gone != NULL) {
        *at = gone->next;
        free(gone);
    }
}

void checkpoint_detach_all(struct ww_context *context)
{
    while (context->attachments != NULL) {
        detach(&context->attachments);
    }
}

bool checkpoint_has(struct ww_context *context, const char *name)
{
    return *find(context, name) != NULL;
}

enum ww_status checkpoint_attach(struct ww_context *context, const struct attachment *wanted)
{
    struct attachment **at = find(context, wanted->name);
    if (wanted->data == NULL) {
        detach(at);
        return WW_OK;
    }
    if (*at == NULL) {
        *at = calloc(1, sizeof **at);
    }
    if (*at == NULL) {
        return context_fail(
            context, log_failure(WW_NO_MEMORY, "%s: no memory for \"%s\"", call, wanted->name));
    }
    struct attachment *next = (*at)->next;
    **at = *wanted;
    (*at)->next = next;
    return WW_OK;
}

static enum ww_status check_attachment(const char *name, const void *data, size_t bytes,
                                       enum ww_keep keep)
{
    if (name == NULL || name[0] == '\0' || strlen(name) >= SHARD_NAME_BYTES) {
        return log_failure(WW_BAD_ARGUMENT, "%s: a name must have 1 to %u bytes, this has %zu",
                           call, SHARD_NAME_BYTES - 1, name == NULL ? 0 : strlen(name));
    }
    if ((int)keep < WW_KEEP_COMMON || (int)keep > WW_KEEP_SHARE) {
        return log_failure(WW_BAD_ARGUMENT, "%s(\"%s\") got %d for whose bytes are kept", call,
                           name, (int)keep);
    }
    bool numbers = keep == WW_KEEP_MEAN || keep == WW_KEEP_SHARE;
    if (numbers && (bytes % sizeof(float) != 0 || (uintptr_t)data % sizeof(float) != 0)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s(\"%s\") got %zu bytes at %p; a mean or a share is of float32, in "
                           "memory aligned to 4 bytes",
                           call, name, bytes, data);
    }
    return WW_OK;
}

enum ww_status ww_checkpoint_attach(struct ww_context *context, const char *name, void *data,
                                    size_t bytes, enum ww_keep keep)
{
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    status = check_attachment(name, data, bytes, keep);
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    struct attachment *there = *find(context, name);
    if (there != NULL && (there->is_part || there->owner != NULL)) {
        return context_fail(context, log_failure(WW_BAD_ARGUMENT,
                                                 "%s: \"%s\" is kept by the library for an outer "
                                                 "optimizer (ww_outer_keep): take another name",
                                                 call, name));
    }
    struct attachment wanted = {.data = data, .bytes = bytes, .keep = keep};
    snprintf(wanted.name, sizeof wanted.name, "%s", name);
    return checkpoint_attach(context, &wanted);
}

bool ww_checkpoint_has(const struct ww_context *context, const char *name)
{
    if (context == NULL || name == NULL) {
        return false;
    }
    for (const struct attachment *a = context->attachments; a != NULL; a = a->next) {
        if (strcmp(a->name, name) == 0) {
            return a->loaded;
        }
    }
    return false;
}

/* ---- Described -------------------------------------------------------------------------- */

/* Whether the generation's manifest could be read. */
static bool describe(const char *folder, uint64_t generation, struct ww_checkpoint_facts *facts)
{
    char path[FILE_PATH_BYTES];
    uint8_t words[8 * STATE_WORDS];
    struct reason reason;
    struct shard manifest;
    folder_path(path, folder, generation, FOLDER_MANIFEST);
    if (shard_open(&manifest, path, &reason) != FAULT_NONE) {
        return false;
    }
    const struct shard_section *state = shard_find(&manifest, SECTION_STATE, "");
    bool good = manifest.label.role == SHARD_MANIFEST && state != NULL &&
                state->bytes == sizeof words && shard_verify(&manifest, &reason) == FAULT_NONE &&
                shard_read(&manifest, state, 0, words, sizeof words, &reason) == FAULT_NONE;
    if (good) {
        facts->found = true;
        facts->generation = generation;
        facts->size = (int)manifest.label.size;
        facts->step = get_u64(words + 8 * STATE_STEP);
        facts->dense = get_u64(words + 8 * STATE_DENSE) != 0;
    }
    shard_close(&manifest);
    return good;
}

enum ww_status ww_checkpoint_describe(const char *folder, struct ww_checkpoint_facts *facts)
{
    static const char door[] = "ww_checkpoint_describe";
    struct folder_list list;
    struct reason reason;
    if (folder == NULL || folder[0] == '\0' || strlen(folder) > FOLDER_BYTES || facts == NULL ||
        facts->struct_bytes != sizeof *facts) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s wants a path of 1 to %d bytes and facts that were made by "
                           "WW_CHECKPOINT_FACTS_INIT",
                           door, FOLDER_BYTES);
    }
    if (folder_read(folder, &list, &reason) != FAULT_NONE) {
        return log_failure(WW_FILE_FAILED, "%s: %s", door, reason.text);
    }
    *facts = (struct ww_checkpoint_facts)WW_CHECKPOINT_FACTS_INIT;
    facts->manifests = list.count;
    for (int i = 0; i < list.count && !facts->found; i++) {
        describe(folder, list.generations[i], facts);
    }
    return WW_OK;
}
