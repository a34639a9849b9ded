/* SPDX-License-Identifier: BSD-3-Clause
 * local_pair.c: brings the two halves of a message together, under the lock of their pair. */
#include "local.h"

#include <stdlib.h>
#include <string.h>

#include "internal/cpu.h"
#include "internal/log.h"
#include "internal/memory.h"

#define EAGER_BYTES 256 /* sends up to this size are done at once */
#define LOCK_SPINS 200  /* a pair's lock is held for some ten nanoseconds */

/* A small send, or a control message, that nobody had posted a receive for; its own flight is done.
 */
struct copied_letter {
    struct letter letter;
    unsigned char copy[]; /* EAGER_BYTES, or those of a longer control message */
};

/* Memory in whole cache lines, zeroed; free() it. NULL when there is none. */
static void *allocate(size_t bytes)
{
    size_t whole = (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    void *memory = aligned_alloc(LINE_BYTES, whole);
    return memory == NULL ? NULL : memset(memory, 0, whole);
}

static void queue_append(struct queue *queue, struct letter *letter)
{
    letter->next = NULL;
    letter->queued = true;
    *queue->end = letter;
    queue->end = &letter->next;
}

static void queue_unlink(struct queue *queue, struct letter **link)
{
    struct letter *letter = *link;
    *link = letter->next;
    if (letter->next == NULL) {
        queue->end = link;
    }
    letter->queued = false;
}

/* Takes the oldest letter with this tag out; NULL when there is none. */
static struct letter *queue_take(struct queue *queue, int tag)
{
    for (struct letter **link = &queue->first; *link != NULL; link = &(*link)->next) {
        struct letter *letter = *link;
        if (letter->tag == tag) {
            queue_unlink(queue, link);
            return letter;
        }
    }
    return NULL;
}

static struct pair *pair_create(void)
{
    struct pair *pair = allocate(sizeof *pair);
    if (pair == NULL) {
        return NULL;
    }
    pthread_mutex_init(&pair->lock, NULL);
    for (int kind = 0; kind < 2; kind++) {
        pair->waiting[kind].end = &pair->waiting[kind].first;
    }
    return pair;
}

/* Frees copied letters only: every other letter belongs to a flight. */
static void letters_free(struct letter *letter)
{
    while (letter != NULL) {
        struct letter *next = letter->next;
        if (letter->flight == NULL) {
            free(letter);
        }
        letter = next;
    }
}

void pair_destroy(struct pair *pair)
{
    if (pair == NULL) {
        return;
    }
    letters_free(pair->waiting[WW_SEND].first);
    letters_free(pair->spare);
    pthread_mutex_destroy(&pair->lock);
    free(pair);
}

struct pair *pair_between(struct meeting *meeting, int sender, int receiver)
{
    _Atomic(struct pair *) *place =
        &meeting->pairs[(size_t)sender * (size_t)meeting->size + (size_t)receiver];
    struct pair *pair = atomic_load_explicit(place, memory_order_acquire);
    if (pair != NULL) {
        return pair;
    }
    struct pair *made = pair_create();
    if (made == NULL || atomic_compare_exchange_strong(place, &pair, made)) {
        return made;
    }
    pair_destroy(made);
    return pair;
}

/* Sleeping in the kernel costs a thousand times what the lock is held for. */
static void pair_lock(struct pair *pair)
{
    for (int spin = 0; spin < LOCK_SPINS; spin++) {
        if (pthread_mutex_trylock(&pair->lock) == 0) {
            return;
        }
        cpu_pause();
    }
    pthread_mutex_lock(&pair->lock);
}

/* ---- Delivery ------------------------------------------------------------------------------- */

void letter_finish(struct letter *letter)
{
    if (letter->flight != NULL) {
        atomic_store_explicit(&letter->done, true, memory_order_relaxed);
        atomic_fetch_sub_explicit(&letter->flight->pending, 1, memory_order_acq_rel);
    }
}

static void trouble_note(struct trouble *trouble, const struct letter *send,
                         const struct letter *receive)
{
    int none = TROUBLE_NONE;
    if (!atomic_compare_exchange_strong(&trouble->state, &none, TROUBLE_BEING_WRITTEN)) {
        return;
    }
    trouble->sender = receive->peer;
    trouble->receiver = send->peer;
    trouble->tag = send->tag;
    trouble->sent_bytes = send->bytes;
    trouble->expected_bytes = receive->bytes;
    atomic_store_explicit(&trouble->state, TROUBLE_WRITTEN, memory_order_release);
}

/* Brings two halves together. Both flights stay alive until their letter is finished. */
static void hand_over(struct meeting *meeting, struct letter *one, struct letter *other)
{
    struct letter *send = one->kind == WW_SEND ? one : other;
    struct letter *receive = one->kind == WW_SEND ? other : one;
    if (!fabric_fits(send->bytes, receive->bytes, receive->control)) {
        trouble_note(&meeting->troubles[receive->peer], send, receive);
        trouble_note(&meeting->troubles[send->peer], send, receive);
    } else if (send->bytes > 0) {
        memory_copy(receive->memory, send->memory, send->bytes);
    }
    letter_finish(one);
    letter_finish(other);
}

static struct letter *spare_take(struct pair *pair, size_t bytes)
{
    struct letter *letter = pair->spare;
    if (letter == NULL || bytes > EAGER_BYTES) {
        size_t room = bytes > EAGER_BYTES ? bytes : EAGER_BYTES;
        return malloc(sizeof(struct copied_letter) + room);
    }
    pair->spare = letter->next;
    return letter;
}

static void spare_give(struct pair *pair, struct letter *letter)
{
    if (letter->bytes > EAGER_BYTES) {
        free(letter);
        return;
    }
    letter->next = pair->spare;
    pair->spare = letter;
}

/* Leaves a send's copy in the queue; the send itself is done. Called with the lock. */
static enum ww_status leave_copy(struct pair *pair, struct letter *letter)
{
    struct letter *spare = spare_take(pair, letter->bytes);
    if (spare == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a send of %zu bytes to rank %d",
                           letter->bytes, letter->peer);
    }
    struct copied_letter *copied = (struct copied_letter *)spare;
    copied->letter = (struct letter){.pair = pair,
                                     .memory = copied->copy,
                                     .bytes = letter->bytes,
                                     .tag = letter->tag,
                                     .peer = letter->peer,
                                     .kind = WW_SEND};
    if (letter->bytes > 0) {
        memory_copy(copied->copy, letter->memory, letter->bytes);
    }
    queue_append(&pair->waiting[WW_SEND], spare);
    letter_finish(letter);
    return WW_OK;
}

enum ww_status letter_post(struct meeting *meeting, struct letter *letter)
{
    struct pair *pair = letter->pair;
    enum ww_status status = WW_OK;
    pair_lock(pair);
    struct letter *other = queue_take(
        &pair->waiting[letter->kind == WW_SEND ? WW_RECEIVE : WW_SEND], letter->tag);
    bool copied = letter->kind == WW_SEND && (letter->bytes <= EAGER_BYTES || letter->control);
    if (other == NULL && copied) {
        status = leave_copy(pair, letter);
    } else if (other == NULL) {
        queue_append(&pair->waiting[letter->kind], letter);
    } else if (other->flight == NULL) {
        hand_over(meeting, letter, other); /* shorter than taking the lock twice */
        spare_give(pair, other);
        other = NULL;
    }
    pthread_mutex_unlock(&pair->lock);
    if (other != NULL) {
        hand_over(meeting, letter, other); /* may be long: the pair stays open meanwhile */
    }
    return status;
}

/* The letter, and those of its tag behind it: the peer would take one of them for it. */
static void queue_withdraw(struct pair *pair, const struct letter *letter)
{
    struct queue *queue = &pair->waiting[letter->kind];
    int tag = letter->tag;
    struct letter **link = &queue->first;
    while (*link != letter) {
        link = &(*link)->next;
    }
    while (*link != NULL) {
        struct letter *behind = *link;
        if (behind->tag != tag) {
            link = &behind->next;
            continue;
        }
        queue_unlink(queue, link);
        letter_finish(behind);
        if (behind->flight == NULL) {
            spare_give(pair, behind);
        }
    }
}

void letter_withdraw(struct letter *letter)
{
    struct pair *pair = letter->pair;
    pair_lock(pair);
    if (letter->queued) {
        queue_withdraw(pair, letter);
    }
    pthread_mutex_unlock(&pair->lock);
}
