/* SPDX-License-Identifier: BSD-3-Clause
 * board.h: what ranks of one host show each other in memory that all of them see.
 *
 * Every rank has an area, which it alone writes:
 *
 *     words     for every place of every run: how far the rank is there
 *     entries   a ring: for every collective what it is, where the rank's memory lies, and the
 *               values themselves where they are few
 *
 * An entry of collective n is written anew for n + 2 * depth. By then every rank has announced
 * n + depth, hence is done with n: nobody reads the old one any more. */
#ifndef COLLECTIVES_BOARD_H
#define COLLECTIVES_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#include "signature.h"
#include "topology.h"

#define LINE_BYTES 64  /* what two cores must not write to in turn */
#define BOARD_WORDS 64 /* ENGINE_RUNS_MAX * ENGINE_WINDOW_MAX */
#define BOARD_VALUES_BYTES ((size_t)32 << 10)
#define BOARD_FEW_BYTES 16 /* so many lie in the entry's first line */

/* Where a rank's memory lies for one collective: keys for those who see it. */
struct notice {
    uint64_t scratch;     /* of the run's first place */
    uint64_t place_bytes; /* from one place to the next */
    uint64_t input;       /* a key when viewed, else the address */
    uint64_t output;
    uint32_t viewed; /* both are seen */
    uint32_t way;    /* rank 0's word for all: enum tuned_way */
};

struct entry {
    _Atomic uint64_t sequence; /* number of the collective + 1, written last */
    struct signature signature;
    unsigned char few[BOARD_FEW_BYTES];
    struct notice notice;
    unsigned char reserved[LINE_BYTES - sizeof(struct notice)];
    unsigned char values[BOARD_VALUES_BYTES];
};

struct word {
    _Alignas(LINE_BYTES) _Atomic uint64_t value;
};

struct area {
    struct word inside;  /* 1 while the rank touches buffers of its peers' callers */
    struct word revoked; /* 1 once the rank gave up: its callers' buffers are theirs again */
    struct word told;    /* a number for the ranks of this host */
    struct word words[BOARD_WORDS];
    struct entry entries[]; /* [2 * depth] */
};

struct board {
    struct area **areas; /* [size], NULL for ranks of other hosts */
    int rank;
    int size;
    bool complete; /* all ranks share this host */
    uint64_t ring; /* 2 * depth - 1, a mask */
};

/* Bytes of an area for `depth` collectives under way, a power of two. */
size_t board_area_bytes(int depth);

/* Finds the areas. NULL in *board where the fabric shows none. WW_OK, WW_NO_MEMORY. */
enum ww_status board_create(const struct ww_transport *transport, void *fabric,
                            const struct topology *topology, int depth, struct board **board);
void board_destroy(struct board *board); /* NULL is fine */

static inline struct entry *board_place(const struct board *board, int rank, uint64_t number)
{
    return &board->areas[rank]->entries[number & board->ring];
}

/* The rank's entry for a collective, NULL while it is not there. */
static inline const struct entry *board_read(const struct board *board, int rank, uint64_t number)
{
    struct entry *entry = board_place(board, rank, number);
    uint64_t sequence = atomic_load_explicit(&entry->sequence, memory_order_acquire);
    return sequence == number + 1 ? entry : NULL;
}

/* Values that an entry carries; `bytes` as its signature says. */
static inline const void *board_values(const struct entry *entry, size_t bytes)
{
    return bytes <= BOARD_FEW_BYTES ? entry->few : entry->values;
}

/* Shows the next collective: where memory lies, or the values themselves (notice NULL). */
void board_write(const struct board *board, uint64_t number, const struct signature *signature,
                 const struct notice *notice, const void *values, size_t bytes);

/* A rank that gives up takes back what it announced from collective `passed` on: who has not seen
 * it yet never will; its signature stays for those who have. Nobody enters its callers' buffers any
 * more. */
void board_revoke(const struct board *board, uint64_t passed, uint64_t announced);

/* True once a rank of this host gave up. */
bool board_is_revoked(const struct board *board, int rank);

/* A rank that is inside buffers of its peers' callers right now, -1 = none: they stay for the time
 * of one local action. Who was killed there stays for ever. */
int board_inside(const struct board *board);

/* Around every access to buffers of peers' callers: true when none of the peers gave up. */
bool board_enter(const struct board *board, const int32_t *peers, uint32_t count);
void board_leave(const struct board *board);

/* Shows a number; the sum of what the ranks of this host show, and how many these are. */
void board_tell(const struct board *board, uint64_t number);
uint64_t board_told(const struct board *board, int *ranks);

static inline void board_publish(const struct board *board, int word, uint64_t value)
{
    atomic_store_explicit(&board->areas[board->rank]->words[word].value, value,
                          memory_order_release);
}

static inline uint64_t board_observe(const struct board *board, int rank, int word)
{
    return atomic_load_explicit(&board->areas[rank]->words[word].value, memory_order_acquire);
}

#endif
