/* SPDX-License-Identifier: BSD-3-Clause
 * shm_ring.c: messages between two ranks of a host, through a ring of cells per direction.
 *
 * Cells are taken in order, messages need not be: one that no receive was posted for is laid aside,
 * so that it blocks nothing behind it. A large message shows only its beginning, up to EAGER_BYTES;
 * its rest follows when the receiver has granted it, so that little ever lies aside. Cells of the
 * rest mix with other messages.
 *
 *     sender    FIRST NEXT NEXT NEXT ............ REST REST FIRST REST ...
 *     receiver                       grant                (another message) */
#include "shm.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/fabrics.h"
#include "internal/log.h"
#include "internal/memory.h"

/* How many cells one call fills or takes in: a fast peer must not keep it for ever. */
#define CELLS_AT_ONCE (2 * CELLS)

enum { SPARE_SMALL, SPARE_LARGE };
static const size_t spare_bytes[] = {256, EAGER_BYTES};

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not be seen by other processes");
_Static_assert(offsetof(struct cell, large) == LINE_BYTES, "a small message is one line");
_Static_assert(FABRIC_CONTROL_ROOM <= EAGER_BYTES, "a control message waits for no receive");
_Static_assert((CELLS & (CELLS - 1)) == 0, "cells are found by a mask");
_Static_assert(EAGER_BYTES / CELL_BYTES < CELLS - CONTROL_CELLS, "a beginning fits the ring");

static size_t least(size_t one, size_t other)
{
    return one < other ? one : other;
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static void letters_append(struct letters *list, struct letter *letter)
{
    letter->next = NULL;
    *list->end = letter;
    list->end = &letter->next;
}

static struct letter *letters_unlink(struct letters *list, struct letter **link)
{
    struct letter *letter = *link;
    *link = letter->next;
    if (letter->next == NULL) {
        list->end = link;
    }
    return letter;
}

static struct letter **letters_find(struct letters *list, int tag)
{
    struct letter **link = &list->first;
    while (*link != NULL && (*link)->tag != tag) {
        link = &(*link)->next;
    }
    return link;
}

static void arrivals_append(struct arrivals *list, struct arrival *arrival)
{
    arrival->next = NULL;
    *list->end = arrival;
    list->end = &arrival->next;
}

static struct arrival *arrivals_unlink(struct arrivals *list, struct arrival **link)
{
    struct arrival *arrival = *link;
    *link = arrival->next;
    if (arrival->next == NULL) {
        list->end = link;
    }
    return arrival;
}

static struct arrival **arrivals_find(struct arrivals *list, int tag)
{
    struct arrival **link = &list->first;
    while (*link != NULL && (*link)->tag != tag) {
        link = &(*link)->next;
    }
    return link;
}

static void letter_mark_done(struct letter *letter)
{
    letter->done = true;
    letter->flight->pending--;
}

/* ---- Sending -------------------------------------------------------------------------------- */

/* The pages of the cells come with the first message: a ring that nobody uses costs nothing. */
static enum ww_status cells_begin(struct outgoing *out, const struct peer *peer)
{
    int error = arena_populate(out->cells, RING_BYTES);
    if (error != 0) {
        return log_failure(WW_NO_MEMORY, "no memory for messages to rank %d: %s", peer->rank,
                           strerror(error));
    }
    atomic_store_explicit(&out->head->in_use, 1, memory_order_release);
    out->in_use = true;
    return WW_OK;
}

/* The receiver's line is looked at only when the cells seem to be used up. */
static bool has_room(struct outgoing *out, unsigned cells)
{
    if (out->sent - out->taken < cells) {
        return true;
    }
    out->taken = atomic_load_explicit(&out->head->taken, memory_order_acquire);
    return out->sent - out->taken < cells;
}

/* Puts the letter's next bytes, up to `limit` of it, into the next cell. */
static void cell_fill(struct outgoing *out, struct letter *letter, enum cell_kind kind,
                      size_t limit)
{
    struct cell *cell = &out->cells[out->sent & (CELLS - 1)];
    size_t bytes = least(limit - letter->moved, CELL_BYTES);
    cell->bytes = letter->bytes;
    cell->number = letter->number;
    cell->tag = (uint16_t)letter->tag;
    cell->kind = (uint16_t)kind;
    if (bytes > 0) {
        memory_copy(letter->bytes <= SMALL_BYTES ? cell->small : cell->large,
                    letter->memory + letter->moved, bytes);
    }
    letter->moved += bytes;
    atomic_store_explicit(&cell->sequence, ++out->sent, memory_order_release);
}

static void send_control(struct outgoing *out)
{
    while (out->control.first != NULL && has_room(out, CELLS)) {
        struct letter *letter = letters_unlink(&out->control, &out->control.first);
        cell_fill(out, letter, CELL_FIRST, letter->bytes);
        letter_mark_done(letter);
    }
}

/* Messages up to EAGER_BYTES, and the beginnings of larger ones. */
static void send_eager(struct outgoing *out)
{
    for (int count = 0;
         count < CELLS_AT_ONCE && out->data.first != NULL && has_room(out, CELLS - CONTROL_CELLS);
         count++) {
        struct letter *letter = out->data.first;
        size_t limit = least(letter->bytes, EAGER_BYTES);
        bool begins = letter->moved == 0;
        if (begins && letter->bytes > EAGER_BYTES) {
            letter->number = out->numbers++;
        }
        cell_fill(out, letter, begins ? CELL_FIRST : CELL_NEXT, limit);
        if (letter->moved < limit) {
            continue;
        }
        letters_unlink(&out->data, &out->data.first);
        if (letter->moved == letter->bytes) {
            letter_mark_done(letter);
        } else {
            letters_append(&out->waiting, letter);
        }
    }
}

static enum ww_status refusal_hear(const struct fabric *fabric, const struct peer *peer)
{
    const struct head *head = peer->out.head;
    return log_failure(WW_TRANSPORT_FAILED,
                       "rank %d sent %llu bytes with tag %d to rank %d, which expected %llu bytes: "
                       "both ends must state the same size",
                       fabric->rank, (unsigned long long)head->sent_bytes, head->refused_tag,
                       peer->rank, (unsigned long long)head->expected_bytes);
}

/* The oldest granted letter, or NULL. */
static struct letter *granted_next(struct outgoing *out)
{
    struct head *head = out->head;
    if (out->streaming == NULL &&
        atomic_load_explicit(&head->granted, memory_order_acquire) > out->streamed) {
        uint32_t number = head->grants[out->streamed % GRANTS];
        struct letter **link = &out->waiting.first;
        while (*link != NULL && (*link)->number != number) {
            link = &(*link)->next;
        }
        assert(*link != NULL);
        out->streaming = letters_unlink(&out->waiting, link);
    }
    return out->streaming;
}

static void send_rest(struct outgoing *out)
{
    for (int count = 0; count < CELLS_AT_ONCE && has_room(out, CELLS - CONTROL_CELLS); count++) {
        struct letter *letter = granted_next(out);
        if (letter == NULL) {
            return;
        }
        cell_fill(out, letter, CELL_REST, letter->bytes);
        if (letter->moved == letter->bytes) {
            letter_mark_done(letter);
            out->streaming = NULL;
            out->streamed++;
        }
    }
}

static enum ww_status send_progress(struct fabric *fabric, struct peer *peer)
{
    struct outgoing *out = &peer->out;
    send_control(out);
    if (out->control.first != NULL) {
        return WW_OK; /* data would overtake it */
    }
    send_eager(out);
    if (out->waiting.first == NULL && out->streaming == NULL) {
        return WW_OK;
    }
    if (atomic_load_explicit(&out->head->refused, memory_order_acquire) != 0) {
        return refusal_hear(fabric, peer);
    }
    send_rest(out);
    return WW_OK;
}

static enum ww_status send_post(struct fabric *fabric, struct letter *letter)
{
    struct peer *peer = letter->peer;
    struct outgoing *out = &peer->out;
    enum ww_status status = out->in_use ? WW_OK : cells_begin(out, peer);
    if (status != WW_OK) {
        return status;
    }
    /* A control message of one cell passes data that waits for cells, unless that has its tag. */
    bool passes = letter->control && letter->bytes <= CELL_BYTES &&
                  *letters_find(&out->data, letter->tag) == NULL;
    letters_append(passes ? &out->control : &out->data, letter);
    return send_progress(fabric, peer);
}

/* ---- Laying aside --------------------------------------------------------------------------- */

/* Kept for the next time: in a steady state nothing is allocated. */
static struct arrival *arrival_take(struct fabric *fabric, size_t aside_bytes)
{
    int kind = aside_bytes <= spare_bytes[SPARE_SMALL] ? SPARE_SMALL : SPARE_LARGE;
    struct arrival *arrival = fabric->spare[kind];
    if (arrival != NULL) {
        fabric->spare[kind] = arrival->next;
        return arrival;
    }
    arrival = malloc(sizeof *arrival + spare_bytes[kind]);
    if (arrival != NULL) {
        arrival->capacity = spare_bytes[kind];
    }
    return arrival;
}

static void arrival_give(struct fabric *fabric, struct arrival *arrival)
{
    int kind = arrival->capacity == spare_bytes[SPARE_SMALL] ? SPARE_SMALL : SPARE_LARGE;
    arrival->next = fabric->spare[kind];
    fabric->spare[kind] = arrival;
}

static void arrivals_free(struct arrival *arrival)
{
    while (arrival != NULL) {
        struct arrival *next = arrival->next;
        free(arrival);
        arrival = next;
    }
}

/* ---- Receiving ------------------------------------------------------------------------------ */

/* Both ends must learn it: the sender of a large message waits for a grant. */
static enum ww_status refuse(struct fabric *fabric, struct peer *peer, int tag, size_t sent,
                             size_t expected)
{
    struct head *head = peer->in.head;
    head->sent_bytes = sent;
    head->expected_bytes = expected;
    head->refused_tag = tag;
    atomic_store_explicit(&head->refused, 1, memory_order_release);
    return log_failure(WW_TRANSPORT_FAILED,
                       "rank %d sent %zu bytes with tag %d to rank %d, which expected %zu bytes: "
                       "both ends must state the same size",
                       peer->rank, sent, tag, fabric->rank, expected);
}

static void receive_finish(struct incoming *in, struct letter *receive)
{
    in->expected--;
    letter_mark_done(receive);
}

static void arrival_finish(struct fabric *fabric, struct incoming *in, struct arrival *arrival)
{
    receive_finish(in, arrival->receive);
    arrival_give(fabric, arrival);
}

/* Tells the sender as many grants as it has places for. */
static void grants_tell(struct incoming *in)
{
    struct head *head = in->head;
    while (*in->ungranted != NULL && in->grants - in->finished < GRANTS) {
        head->grants[in->grants % GRANTS] = (*in->ungranted)->number;
        in->ungranted = &(*in->ungranted)->next;
        atomic_store_explicit(&head->granted, ++in->grants, memory_order_release);
    }
}

/* Its beginning is there: what becomes of it now? */
static void arrival_settle(struct fabric *fabric, struct incoming *in, struct arrival *arrival)
{
    if (arrival->receive == NULL) {
        return; /* it lies aside */
    }
    if (arrival->got == arrival->bytes) {
        arrival_finish(fabric, in, arrival);
    } else {
        arrivals_append(&in->granted, arrival);
        grants_tell(in);
    }
}

static void deposit(struct arrival *arrival, const unsigned char *from, size_t bytes)
{
    unsigned char *into = arrival->receive != NULL ? arrival->receive->memory : arrival->aside;
    if (bytes > 0) {
        memory_copy(into + arrival->got, from, bytes);
    }
    arrival->got += bytes;
}

/* A message that takes several cells, or that nobody has asked for. */
static enum ww_status arrival_begin(struct fabric *fabric, struct peer *peer,
                                    struct letter *receive, const struct cell *cell)
{
    struct incoming *in = &peer->in;
    size_t aside_bytes = receive != NULL ? 0 : least(cell->bytes, EAGER_BYTES);
    struct arrival *arrival = arrival_take(fabric, aside_bytes);
    if (arrival == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a message of %llu bytes from rank %d",
                           (unsigned long long)cell->bytes, peer->rank);
    }
    arrival->receive = receive;
    arrival->bytes = cell->bytes;
    arrival->got = 0;
    arrival->number = cell->number;
    arrival->tag = cell->tag;
    deposit(arrival, cell->bytes <= SMALL_BYTES ? cell->small : cell->large,
            least(cell->bytes, CELL_BYTES));
    if (receive == NULL) {
        arrivals_append(&in->aside, arrival);
    }
    if (arrival->got < least(arrival->bytes, EAGER_BYTES)) {
        in->arriving = arrival;
    } else {
        arrival_settle(fabric, in, arrival);
    }
    return WW_OK;
}

static enum ww_status first_take(struct fabric *fabric, struct peer *peer, const struct cell *cell)
{
    struct incoming *in = &peer->in;
    struct letter **link = letters_find(&in->receives, cell->tag);
    struct letter *receive = *link;
    if (receive == NULL) {
        return arrival_begin(fabric, peer, NULL, cell);
    }
    if (!fabric_fits(cell->bytes, receive->bytes, receive->control)) {
        return refuse(fabric, peer, cell->tag, cell->bytes, receive->bytes);
    }
    letters_unlink(&in->receives, link);
    if (cell->bytes > CELL_BYTES) {
        return arrival_begin(fabric, peer, receive, cell);
    }
    if (cell->bytes > 0) {
        memory_copy(receive->memory, cell->bytes <= SMALL_BYTES ? cell->small : cell->large,
                    cell->bytes);
    }
    receive_finish(in, receive);
    return WW_OK;
}

static void next_take(struct fabric *fabric, struct incoming *in, const struct cell *cell)
{
    struct arrival *arrival = in->arriving;
    assert(arrival != NULL);
    size_t limit = least(arrival->bytes, EAGER_BYTES);
    deposit(arrival, cell->large, least(limit - arrival->got, CELL_BYTES));
    if (arrival->got == limit) {
        in->arriving = NULL;
        arrival_settle(fabric, in, arrival);
    }
}

static void rest_take(struct fabric *fabric, struct incoming *in, const struct cell *cell)
{
    struct arrival *arrival = in->granted.first;
    assert(arrival != NULL);
    deposit(arrival, cell->large, least(arrival->bytes - arrival->got, CELL_BYTES));
    if (arrival->got < arrival->bytes) {
        return;
    }
    /* It was told, or its rest had not come; so the first that was not told lies behind it. */
    if (in->ungranted == &arrival->next) {
        in->ungranted = &in->granted.first;
    }
    arrivals_unlink(&in->granted, &in->granted.first);
    in->finished++;
    arrival_finish(fabric, in, arrival);
    grants_tell(in);
}

static enum ww_status cell_take(struct fabric *fabric, struct peer *peer, const struct cell *cell)
{
    switch (cell->kind) {
    case CELL_FIRST:
        return first_take(fabric, peer, cell);
    case CELL_NEXT:
        next_take(fabric, &peer->in, cell);
        return WW_OK;
    default:
        rest_take(fabric, &peer->in, cell);
        return WW_OK;
    }
}

/* Looks at the ring only while a receive waits: nothing is laid aside without need. */
static enum ww_status receive_progress(struct fabric *fabric, struct peer *peer)
{
    struct incoming *in = &peer->in;
    if (!in->in_use) {
        in->in_use = atomic_load_explicit(&in->head->in_use, memory_order_acquire) != 0;
    }
    for (int count = 0; in->in_use && in->expected > 0 && count < CELLS_AT_ONCE; count++) {
        const struct cell *cell = &in->cells[in->taken & (CELLS - 1)];
        if (atomic_load_explicit(&cell->sequence, memory_order_acquire) != in->taken + 1) {
            return WW_OK;
        }
        enum ww_status status = cell_take(fabric, peer, cell);
        if (status != WW_OK) {
            return status;
        }
        atomic_store_explicit(&in->head->taken, ++in->taken, memory_order_release);
    }
    return WW_OK;
}

static enum ww_status aside_take(struct fabric *fabric, struct arrival **link,
                                 struct letter *receive)
{
    struct incoming *in = &receive->peer->in;
    struct arrival *arrival = *link;
    if (!fabric_fits(arrival->bytes, receive->bytes, receive->control)) {
        return refuse(fabric, receive->peer, receive->tag, arrival->bytes, receive->bytes);
    }
    arrivals_unlink(&in->aside, link);
    if (arrival->got > 0) {
        memory_copy(receive->memory, arrival->aside, arrival->got);
    }
    arrival->receive = receive;
    if (in->arriving != arrival) {
        arrival_settle(fabric, in, arrival);
    }
    return WW_OK;
}

static enum ww_status receive_post(struct fabric *fabric, struct letter *letter)
{
    struct incoming *in = &letter->peer->in;
    struct arrival **link = arrivals_find(&in->aside, letter->tag);
    in->expected++;
    if (*link != NULL) {
        return aside_take(fabric, link, letter);
    }
    letters_append(&in->receives, letter);
    return receive_progress(fabric, letter->peer);
}

/* ---- Both ----------------------------------------------------------------------------------- */

void ring_begin(struct fabric *fabric, struct peer *peer)
{
    size_t cells = ground_cells_offset(fabric->size, fabric->area_bytes);
    struct outgoing *out = &peer->out;
    struct incoming *in = &peer->in;
    out->head = (struct head *)(void *)fabric->ground + peer->place;
    out->cells = (void *)(fabric->ground + cells + (size_t)peer->place * RING_BYTES);
    out->control.end = &out->control.first;
    out->data.end = &out->data.first;
    out->waiting.end = &out->waiting.first;
    in->head = (struct head *)(void *)peer->ground + fabric->place;
    in->cells = (void *)(peer->ground + cells + (size_t)fabric->place * RING_BYTES);
    in->receives.end = &in->receives.first;
    in->aside.end = &in->aside.first;
    in->granted.end = &in->granted.first;
    in->ungranted = &in->granted.first;
}

enum ww_status ring_post(struct fabric *fabric, struct letter *letter)
{
    return letter->kind == WW_SEND ? send_post(fabric, letter) : receive_post(fabric, letter);
}

enum ww_status ring_progress(struct fabric *fabric, struct peer *peer)
{
    enum ww_status status = receive_progress(fabric, peer);
    return status == WW_OK ? send_progress(fabric, peer) : status;
}

bool ring_is_busy(const struct peer *peer)
{
    const struct outgoing *out = &peer->out;
    return peer->in.expected > 0 || out->control.first != NULL || out->data.first != NULL ||
           out->waiting.first != NULL || out->streaming != NULL;
}

void ring_finish(struct fabric *fabric)
{
    for (int place = 0; place < fabric->size; place++) {
        struct incoming *in = &fabric->peers[place].in;
        if (in->arriving != NULL && in->arriving->receive != NULL) {
            free(in->arriving); /* otherwise it lies aside */
        }
        arrivals_free(in->aside.first);
        arrivals_free(in->granted.first);
    }
    arrivals_free(fabric->spare[SPARE_SMALL]);
    arrivals_free(fabric->spare[SPARE_LARGE]);
}
