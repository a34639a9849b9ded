/* SPDX-License-Identifier: BSD-3-Clause
 * board.c: finds the areas of the ranks of this host and writes the own entries. */
#include "board.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal/log.h"
#include "internal/memory.h"

_Static_assert(offsetof(struct entry, notice) == LINE_BYTES, "few values share a line");
_Static_assert(offsetof(struct entry, values) == 2 * LINE_BYTES, "values begin a line");
_Static_assert(sizeof(struct entry) % LINE_BYTES == 0, "entries share no line");

size_t board_area_bytes(int depth)
{
    return sizeof(struct area) + 2 * (size_t)depth * sizeof(struct entry);
}

void board_destroy(struct board *board)
{
    if (board != NULL) {
        free(board->areas);
        free(board);
    }
}

enum ww_status board_create(const struct ww_transport *transport, void *fabric,
                            const struct topology *topology, int depth, struct board **board)
{
    *board = NULL;
    if (transport->area == NULL || transport->area(fabric, topology->rank) == NULL) {
        return WW_OK;
    }
    assert(depth > 0 && (depth & (depth - 1)) == 0);
    struct board *made = calloc(1, sizeof *made);
    struct area **areas = calloc((size_t)topology->size, sizeof *areas);
    if (made == NULL || areas == NULL) {
        free(made);
        free(areas);
        return log_failure(WW_NO_MEMORY, "no memory for a board of %d ranks", topology->size);
    }
    made->areas = areas;
    made->rank = topology->rank;
    made->size = topology->size;
    made->ring = 2 * (uint64_t)depth - 1;
    made->complete = topology->local_size == topology->size;
    for (int rank = 0; rank < topology->size; rank++) {
        if (topology->peer_level[rank] < topology->host_levels) {
            areas[rank] = transport->area(fabric, rank);
            assert(areas[rank] != NULL);
        }
    }
    *board = made;
    return WW_OK;
}

void board_write(const struct board *board, uint64_t number, const struct signature *signature,
                 const struct notice *notice, const void *values, size_t bytes)
{
    struct entry *entry = board_place(board, board->rank, number);
    assert(bytes <= BOARD_VALUES_BYTES);
    if (notice != NULL) {
        entry->notice = *notice;
    } else if (bytes > BOARD_FEW_BYTES) {
        memory_copy(entry->values, values, bytes);
    } else if (bytes > 0) {
        memcpy(entry->few, values, bytes);
    }
    /* Peers look at this line all the time: it is written last, and at once. */
    entry->signature = *signature;
    atomic_store_explicit(&entry->sequence, number + 1, memory_order_release);
}

/* ---- Giving up ---------------------------------------------------------------------------- */

static struct area *own_area(const struct board *board)
{
    return board->areas[board->rank];
}

int board_inside(const struct board *board)
{
    for (int rank = 0; rank < board->size; rank++) {
        if (rank != board->rank && board->areas[rank] != NULL &&
            atomic_load(&board->areas[rank]->inside.value) != 0) {
            return rank;
        }
    }
    return -1;
}

/* Sequentially consistent, as is board_enter: either the peer sees the revocation, or this rank
 * sees the peer inside. The mark goes first: who misses an entry finds it. */
void board_revoke(const struct board *board, uint64_t passed, uint64_t announced)
{
    atomic_store(&own_area(board)->revoked.value, 1);
    for (uint64_t number = passed; number < announced; number++) {
        atomic_store(&board_place(board, board->rank, number)->sequence, 0);
    }
}

bool board_is_revoked(const struct board *board, int rank)
{
    return atomic_load(&board->areas[rank]->revoked.value) != 0;
}

bool board_enter(const struct board *board, const int32_t *peers, uint32_t count)
{
    atomic_store(&own_area(board)->inside.value, 1);
    for (uint32_t i = 0; i < count; i++) {
        if (board_is_revoked(board, peers[i])) {
            board_leave(board);
            return false;
        }
    }
    return true;
}

void board_leave(const struct board *board)
{
    atomic_store_explicit(&own_area(board)->inside.value, 0, memory_order_release);
}

void board_tell(const struct board *board, uint64_t number)
{
    atomic_store_explicit(&own_area(board)->told.value, number, memory_order_relaxed);
}

uint64_t board_told(const struct board *board, int *ranks)
{
    uint64_t sum = 0;
    *ranks = 0;
    for (int rank = 0; rank < board->size; rank++) {
        if (board->areas[rank] != NULL) {
            sum += atomic_load_explicit(&board->areas[rank]->told.value, memory_order_relaxed);
            ++*ranks;
        }
    }
    return sum;
}
