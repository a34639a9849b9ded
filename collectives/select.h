/* SPDX-License-Identifier: BSD-3-Clause
 * select.h: which algorithm, segment and window a collective gets. */
#ifndef COLLECTIVES_SELECT_H
#define COLLECTIVES_SELECT_H

#include <stddef.h>

#include "algorithms/algorithm.h"
#include "engine.h"
#include "plan.h"
#include "price.h"
#include "topology.h"

/* What is asked for. */
struct wish {
    enum collective collective;
    size_t bytes; /* of the whole vector: all ranks' shares together */
    enum ww_type type;
    int root; /* broadcast only, else 0 */
};

/* count as in struct run_request, size = ranks. */
static inline struct wish wish_of(enum collective collective, size_t count, enum ww_type type,
                                  int root, int size)
{
    size_t shares = collective_has_shares(collective) ? (size_t)size : 1;
    return (struct wish){collective, count * shares * ww_type_bytes(type), type, root};
}

/* What it gets. Further ways are those of struct run_request; algorithm NULL = none. */
struct choice {
    const struct algorithm *algorithm; /* among the owners when nested */
    enum nesting nesting;
    size_t segment_bytes;
    int window;
    bool with_announcement; /* the values travel with it */
    const struct algorithm *viewed;
    const struct algorithm *fetched;
    const struct algorithm *sent; /* by messages */
    bool calm;                    /* staged without asking early as well */
};

/* Settings that override the choice. */
struct select_settings {
    const char *algorithm; /* "auto" or a name; counts for all-reduce only */
    size_t segment_bytes;  /* 0 = chosen */
    int window;            /* 0 = chosen */
};

/* ---- Names ---------------------------------------------------------------------------------- */

/* WW_OK when `name` is "auto" or an all-reduce that can be chosen: an algorithm's name, or
 * "hierarchical" or "hierarchical+<algorithm>", "hosts" or "hosts+<algorithm>". */
enum ww_status select_check(const char *name);

/* By the names that plans print. WW_OK, or WW_BAD_ARGUMENT with a sentence that lists them. */
enum ww_status select_collective(const char *name, enum collective *collective);

/* Splits "hierarchical+ring" into its parts; NULL when no all-reduce algorithm is named. */
const struct algorithm *select_parse(const char *name, enum nesting *nesting);

/* WW_OK when the named algorithm can run where ranks have this sight of each other. */
enum ww_status select_check_sight(const char *name, const struct sight *sight);

/* False for an all-reduce that would round 16-bit values more than once. */
bool choice_suits(const struct choice *choice, enum ww_type type);

/* "ring", "hierarchical+ring". Cut at bytes - 1. */
void choice_name(const struct choice *choice, char *text, size_t bytes);

/* The same, but ANNOUNCEMENT where the values travel with that and no algorithm runs. */
#define ANNOUNCEMENT "announcement"
void way_name(const struct choice *choice, char *text, size_t bytes);

/* ---- Selector: the choices of one context ------------------------------------------------------
 *
 * Where there are several ways, each is priced over the wires at many sizes; those that are the
 * cheapest anywhere, the lower envelope, are compared again for each call's size. The earlier one
 * of those that are within 1 % is taken. */

struct selector_setup {
    const struct topology *topology; /* outlives the selector */
    struct sight sight;
    const struct wires *wires; /* copied; NULL = nothing is priced: fixed rules */
    struct select_settings settings;
    bool on_devices; /* an action costs what copying a few MiB does: larger segments may pay */
    bool lazy;       /* decisions are made by selector_decide, when they are asked for */
};

/* The same arguments give the same selector on all ranks. settings.algorithm passed select_check.
 * Returns WW_OK, WW_NO_MEMORY. */
struct selector;
enum ww_status selector_create(const struct selector_setup *setup, struct selector **selector);
void selector_destroy(struct selector *selector);

/* Makes the decision on this kind of wish, where that was not done yet. WW_OK, WW_NO_MEMORY. */
enum ww_status selector_decide(struct selector *selector, const struct wish *wish);

/* Other wires: what was decided is decided anew. */
void selector_change_wires(struct selector *selector, const struct wires *wires);

/* The decision. */
struct choice selector_choose(const struct selector *selector, const struct wish *wish);

/* The choice of values that travel with the announcement, which may be taken or not; false where
 * they do not fit, or a way was named. */
bool selector_announcement(const struct selector *selector, const struct wish *wish,
                           struct choice *choice);

/* The choice for an fp32 all-reduce of this codec, which is not CODEC_NONE, with momentum
 * correction or without. Settings of segment and window count. */
struct choice selector_choose_coded(const struct selector *selector, const struct codec_spec *spec,
                                    bool momentum);

/* What a choice will take: of selector_choose, or of selector_candidate. Reads the plans of all
 * ranks when it sees a choice's algorithm for the first time.
 * Returns WW_OK, WW_UNSUPPORTED (the selector has no wires), WW_NO_MEMORY. */
enum ww_status selector_price(struct selector *selector, const struct wish *wish,
                              const struct choice *choice, struct price *price);

/* What a choice sends, as load_bytes tells it. */
enum ww_status selector_bytes(struct selector *selector, const struct wish *wish,
                              const struct choice *choice, double *rank_bytes, double *port_bytes);

/* Tells what a choice really took, the same on all ranks, for growing wishes: from then on prices
 * follow, see struct correction. What was decided is to be decided again (selector_decide). */
enum ww_status selector_correct(struct selector *selector, const struct wish *wish,
                                const struct choice *choice, double measured_s, bool grows);

/* How many ways can run; settings do not narrow it. */
int selector_candidates(const struct selector *selector, const struct wish *wish);

/* Candidate `index` of them, from 0, with its best segment and window. */
enum ww_status selector_candidate(struct selector *selector, const struct wish *wish, int index,
                                  struct choice *choice);

/* A fingerprint of all decisions, and the one on fp32 all-reduces in words: "<= 16K direct, <= 1M
 * halving, else hierarchical+ring". */
uint64_t selector_hash(const struct selector *selector);
void selector_describe(const struct selector *selector, char *text, size_t bytes);

#endif
