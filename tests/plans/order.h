/* SPDX-License-Identifier: BSD-3-Clause
 * order.h: proves that nobody touches memory too early or too late where ranks see each other's.
 *
 * What a rank does at one position of the window happens one after the other. Between ranks only
 * two things order anything: an await, by the earliest progress that satisfies it, and a message,
 * which tells its receiver what the sender had done when it posted. Every rank keeps a clock: how
 * far it knows each other rank to be. Whoever touches a cell must know of all that was done to it
 * before, by others; it does not matter who happened to come first.
 *
 * A cell is what can be touched at once: a chunk of a caller's buffer, or a scratch slot. It is its
 * owner's to show from when that takes up a segment (the callers' buffers: from the very beginning)
 * until it gives the segment back. */
#ifndef PLANS_ORDER_H
#define PLANS_ORDER_H

#include "state.h"

struct order;

/* False when there is no memory. *order stays NULL where no plan sees or awaits anybody: then all
 * functions below have nothing to do. */
bool order_create(const struct claim *claim, struct order **order);
void order_destroy(struct order *order);

/* place->plan's rank begins place->segment ... */
void order_take_up(struct order *order, const struct place *place);

/* ... has awaited a peer's first `rounds` rounds of it ... */
void order_await(struct order *order, const struct place *place, int peer, uint32_t rounds);

/* ... begins the local actions of a round, then its messages ... */
void order_locals(struct order *order, const struct place *place);
void order_messages(struct order *order, const struct place *place);

/* ... touches a slice. False and FLAW_HAZARD where that is not ordered ... */
bool order_touch(struct order *order, const struct place *place, const struct slice *slice,
                 bool writes, struct verdict *verdict);

/* ... receives at `to` what was sent at `from` ... */
void order_receive(struct order *order, const struct place *from, const struct place *to);

/* ... ends its round ... */
void order_end_round(struct order *order, const struct place *place);

/* ... and the segment. False and FLAW_HAZARD where peers may touch its memory still. */
bool order_give_back(struct order *order, const struct place *place, struct verdict *verdict);

#endif
