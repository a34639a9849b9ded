/* SPDX-License-Identifier: BSD-3-Clause
 * rules.h: choices that need no prices: what ranks that see each other's memory do, how vectors are
 * cut unless something better is known, and what is done where nothing is priced. */
#ifndef COLLECTIVES_RULES_H
#define COLLECTIVES_RULES_H

#include "select.h"

#define AUTOMATIC "auto"
#define HIERARCHICAL "hierarchical"
#define HOSTS "hosts"

bool is_16_bit(enum ww_type type);

/* Segment and window. */
void rule_cut(const struct topology *topology, struct choice *choice);

/* All ranks share one host and see each other. */
void rule_in_memory(const struct topology *topology, const struct sight *sight,
                    const struct wish *wish, struct choice *choice);

/* Cuts a way that fetches, of a choice that rule_in_memory cut, as suits it: sums stay so. */
void rule_cut_fetched(struct choice *choice);

/* Ranks that do not all see each other: how much a rank tells another one at most, and whether the
 * gate's messages have room for it. */
size_t rule_told_bytes(const struct topology *topology, const struct wish *wish);
bool rule_fits_message(const struct topology *topology, const struct sight *sight,
                       const struct wish *wish);

/* By how much that makes messages longer which are sent anyhow: not at all where they all have one
 * length. */
size_t rule_longer_bytes(const struct topology *topology, const struct sight *sight,
                         const struct wish *wish);

/* Whether values that fit go so: whatever prices say, and where nothing is priced. */
bool rule_always_suits_message(const struct topology *topology, const struct sight *sight,
                               const struct wish *wish);
bool rule_suits_message(const struct topology *topology, const struct sight *sight,
                        const struct wish *wish);

/* An all-reduce of fp32 that travels encoded: across hosts where there are several, the ranks of
 * one meet densely before and after; else among all ranks. With momentum that encoding keeps every
 * contribution is encoded once, and no sum: momentum would count twice. */
void rule_coded(const struct topology *topology, const struct codec_spec *spec, bool momentum,
                struct choice *choice);

/* By size and number of ranks alone. */
void rule_plain(const struct topology *topology, const struct wish *wish, struct choice *choice);

#endif
