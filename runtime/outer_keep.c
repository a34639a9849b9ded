/* SPDX-License-Identifier: BSD-3-Clause
 * outer_keep.c: local steps as a part of checkpoints: what all ranks share once, what each keeps by
 * itself in its own file.
 *
 *     NAME            struct outer_head, rank 0's
 *     NAME.start      common
 *     NAME.momentum   common, if there is any
 *     NAME.residual   each rank's share, if anything is encoded
 *     NAME.counts     each rank's own steps of each fragment, its place in the window, its sums for
 *                     reports */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint.h"
#include "outer.h"

#define NAME_MOST 48
#define COUNTS(outer) ((size_t)(outer)->config.fragments + 1 + OUTER_SUMS)

static const char call[] = "ww_outer_keep";

/* ---- What checkpoints ask ------------------------------------------------------------------- */

static const char *trouble(const void *self)
{
    return outer_trouble(self);
}

static void fill(void *self)
{
    struct ww_outer *outer = self;
    uint64_t *counts = outer->kept.counts;
    for (int f = 0; f < outer->config.fragments; f++) {
        counts[f] = outer->fragments[f].own_steps;
    }
    counts += outer->config.fragments;
    *counts++ = outer->clock % outer->config.local_steps;
    memcpy(counts, &outer->sums, sizeof outer->sums);
    outer_head_fill(outer, sizeof outer->kept.head, &outer->kept.head);
}

static bool fits(const void *self, const void *saved, char *why, size_t bytes)
{
    const struct ww_outer *outer = self;
    struct outer_head head;
    memcpy(&head, saved, sizeof head);
    return outer_head_fits(outer, &head, true, why, bytes);
}

static void forget_vector(float *vector, bool was_there, size_t count)
{
    if (vector != NULL && !was_there) {
        memset(vector, 0, count * sizeof *vector);
    }
}

static void take(void *self)
{
    struct ww_outer *outer = self;
    const struct outer_head *head = &outer->kept.head;
    const uint64_t *counts = outer->kept.counts;
    for (int f = 0; f < outer->config.fragments; f++) {
        outer->fragments[f].own_steps = counts[f];
    }
    counts += outer->config.fragments;
    uint64_t place = *counts++;
    memcpy(&outer->sums, counts, sizeof outer->sums);
    forget_vector(outer->velocity, head->has_velocity != 0, outer->count);
    forget_vector(outer->residual, head->debt != DEBT_ABSENT, outer->count);
    outer_head_take(outer, head);
    outer->clock = place; /* the head tells rank 0's, and ranks of uneven speeds have their own */
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static const struct attachment_owner owner = {trouble, fill, fits, take};

enum part { PART_HEAD, PART_START, PART_MOMENTUM, PART_RESIDUAL, PART_COUNTS, PARTS };

static struct attachment part_of(struct ww_outer *outer, enum part part)
{
    static const char *const endings[PARTS] = {"", ".start", ".momentum", ".residual", ".counts"};
    struct kept *kept = &outer->kept;
    size_t count_bytes = COUNTS(outer) * sizeof(uint64_t);
    size_t bytes = outer->count * sizeof(float);
    struct attachment parts[PARTS] = {
        {.data = &kept->head, .bytes = sizeof kept->head, .keep = WW_KEEP_COMMON},
        {.data = outer->start, .bytes = bytes, .keep = WW_KEEP_COMMON},
        {.data = outer->velocity, .bytes = bytes, .keep = WW_KEEP_COMMON},
        {.data = outer->residual, .bytes = bytes, .keep = WW_KEEP_SHARE},
        {.data = kept->counts, .bytes = count_bytes, .keep = KEEP_MOST}};
    struct attachment *wanted = &parts[part];
    wanted->is_part = part != PART_HEAD;
    wanted->owner = part == PART_HEAD ? &owner : NULL;
    wanted->self = outer;
    snprintf(wanted->name, sizeof wanted->name, "%.*s%s", NAME_MOST, kept->name, endings[part]);
    return *wanted;
}

void outer_forget(struct ww_outer *outer)
{
    for (int part = 0; part < PARTS && outer->kept.name[0] != '\0'; part++) {
        struct attachment gone = part_of(outer, (enum part)part);
        gone.data = NULL;
        checkpoint_attach(outer->context, &gone);
    }
    outer->kept.name[0] = '\0';
    free(outer->kept.counts);
    outer->kept.counts = NULL;
}

/* What has these names already is somebody else's. */
static enum ww_status check_names(struct ww_outer *outer)
{
    for (int part = 0; part < PARTS; part++) {
        struct attachment wanted = part_of(outer, (enum part)part);
        if (checkpoint_has(outer->context, wanted.name)) {
            outer->kept.name[0] = '\0';
            return context_fail(outer->context,
                                log_failure(WW_BAD_ARGUMENT,
                                            "%s: \"%s\" is attached already; give what is kept a "
                                            "name of its own",
                                            call, wanted.name));
        }
    }
    return WW_OK;
}

enum ww_status ww_outer_keep(struct ww_outer *outer, const char *name)
{
    if (outer == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for what ww_outer_create makes", call);
    }
    enum ww_status status = context_check(outer->context, call);
    if (status != WW_OK) {
        return status;
    }
    if (name == NULL || name[0] == '\0' || strlen(name) > NAME_MOST) {
        return context_fail(outer->context,
                            log_failure(WW_BAD_ARGUMENT,
                                        "%s: a name must have 1 to %d bytes, this has %zu", call,
                                        NAME_MOST, name == NULL ? 0 : strlen(name)));
    }
    outer_forget(outer);
    outer->kept.counts = calloc(COUNTS(outer), sizeof *outer->kept.counts);
    if (outer->kept.counts == NULL) {
        return context_fail(outer->context, log_failure(WW_NO_MEMORY, "%s: no memory", call));
    }
    snprintf(outer->kept.name, sizeof outer->kept.name, "%s", name);
    status = check_names(outer);
    for (int part = 0; part < PARTS && status == WW_OK; part++) {
        struct attachment wanted = part_of(outer, (enum part)part);
        status = checkpoint_attach(outer->context, &wanted); /* vectors that are not there: none */
    }
    if (status != WW_OK) {
        outer_forget(outer);
    }
    return status;
}
