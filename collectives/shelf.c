/* SPDX-License-Identifier: BSD-3-Clause
 * shelf.c: keeps the plans that were written. */
#include "shelf.h"

#include <stdlib.h>

#include "internal/log.h"
#include "rules.h"

/* In place nothing is staged: segments bound how long a rank is inside its peers' buffers. */
#define VIEWED_SEGMENT_BYTES ((size_t)512 << 10)
#define VIEWED_WINDOW 8

struct shelved {
    const struct algorithm *algorithm;
    enum nesting nesting;
    int root;
    struct plan *plan;
    struct shelved *next;
};

struct shelf {
    const struct topology *topology;
    struct shelved *entries;
};

struct shelf *shelf_create(const struct topology *topology)
{
    struct shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf != NULL) {
        shelf->topology = topology;
    }
    return shelf;
}

void shelf_destroy(struct shelf *shelf)
{
    if (shelf == NULL) {
        return;
    }
    while (shelf->entries != NULL) {
        struct shelved *entry = shelf->entries;
        shelf->entries = entry->next;
        plan_destroy(entry->plan);
        free(entry);
    }
    free(shelf);
}

static enum ww_status write_plan(const struct topology *topology, const struct choice *choice,
                                 int root, struct plan **plan)
{
    if (choice->nesting != NEST_NONE) {
        return plan_hierarchical(choice->algorithm, nesting_of(topology, choice->nesting),
                                 topology->rank, plan);
    }
    return plan_flat(choice->algorithm, topology->rank, topology->size, root, plan);
}

enum ww_status shelf_plan(struct shelf *shelf, const struct choice *choice, int root,
                          const struct plan **plan)
{
    for (struct shelved *entry = shelf->entries; entry != NULL; entry = entry->next) {
        if (entry->algorithm == choice->algorithm && entry->nesting == choice->nesting &&
            entry->root == root) {
            *plan = entry->plan;
            return WW_OK;
        }
    }
    struct shelved *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to shelve a plan");
    }
    enum ww_status status = write_plan(shelf->topology, choice, root, &entry->plan);
    if (status != WW_OK) {
        free(entry);
        return status;
    }
    entry->algorithm = choice->algorithm;
    entry->nesting = choice->nesting;
    entry->root = root;
    entry->next = shelf->entries;
    shelf->entries = entry;
    *plan = entry->plan;
    return WW_OK;
}

static enum ww_status fill_way(struct shelf *shelf, const struct algorithm *algorithm, int root,
                               struct way cut, struct way *way)
{
    if (algorithm == NULL) {
        return WW_OK;
    }
    struct choice choice = {.algorithm = algorithm};
    *way = cut;
    return shelf_plan(shelf, &choice, root, &way->plan);
}

/* Beside the plan: way TUNED_STAGED. */
static enum ww_status fill_tuned(struct shelf *shelf, const struct choice *choice, int root,
                                 struct run_request *request)
{
    struct way own = {NULL, choice->segment_bytes, choice->window, false};
    struct choice fetched = *choice;
    struct choice sent;
    rule_cut_fetched(&fetched);
    rule_cut(shelf->topology, &sent);
    if (choice->calm) {
        request->tuned[TUNED_CALM] = own;
        request->tuned[TUNED_CALM].plan = request->plan;
    }
    enum ww_status status = fill_way(shelf, choice->sent, root,
                                     (struct way){NULL, sent.segment_bytes, sent.window, false},
                                     &request->tuned[TUNED_SENT]);
    return status == WW_OK
               ? fill_way(shelf, choice->fetched, root,
                          (struct way){NULL, fetched.segment_bytes, fetched.window, false},
                          &request->tuned[TUNED_FETCHED])
               : status;
}

enum ww_status shelf_fill(struct shelf *shelf, const struct choice *choice, int root,
                          struct run_request *request)
{
    enum ww_status status = shelf_plan(shelf, choice, root, &request->plan);
    request->segment_bytes = choice->segment_bytes;
    request->window = choice->window;
    request->with_announcement = choice->with_announcement;
    request->early = true;
    if (status == WW_OK) {
        status = fill_way(shelf, choice->viewed, root,
                          (struct way){NULL, VIEWED_SEGMENT_BYTES, VIEWED_WINDOW, true},
                          &request->viewed);
    }
    return status == WW_OK ? fill_tuned(shelf, choice, root, request) : status;
}
