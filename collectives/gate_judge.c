/* SPDX-License-Identifier: BSD-3-Clause
 * gate_judge.c: compares what ranks want, and names who wants something else. */
#include "gate_parts.h"

#include <string.h>

#include "internal/log.h"
#include "internal/vote.h"

/* The odd rank out, by majority; all who hear the same votes come to the same words. */
static void collect_votes(struct gate *gate, const struct signature *own)
{
    for (int rank = 0; gate->on_board && rank < gate->topology->size; rank++) {
        gate->votes[rank] = board_place(gate->board, rank, gate->passed)->signature;
    }
    for (int i = 0; !gate->on_board && i < gate->peer_count; i++) {
        const struct peer *peer = &gate->peers[i];
        gate->votes[peer->rank] = said_of(gate, peer, gate->passed)->signature;
    }
    gate->votes[gate->topology->rank] = *own;
}

static enum ww_status tell_mismatch(const struct gate *gate, int odd,
                                    const struct signature *theirs, int usual,
                                    const struct signature *ours)
{
    char odd_text[SIGNATURE_TEXT_BYTES];
    char usual_text[SIGNATURE_TEXT_BYTES];
    signature_print(theirs, odd_text, sizeof odd_text);
    signature_print(ours, usual_text, sizeof usual_text);
    return log_failure(WW_MISMATCH, "rank %d (%s) wants %s, rank %d (%s) wants %s", odd,
                       host_of(gate, odd), odd_text, usual, host_of(gate, usual), usual_text);
}

static enum ww_status name_mismatch(struct gate *gate, const struct signature *own)
{
    collect_votes(gate, own);
    int usual;
    int odd = vote_odd_one(gate->votes, gate->topology->size, sizeof *gate->votes,
                           sizeof *gate->votes, &usual);
    return tell_mismatch(gate, odd, &gate->votes[odd], usual, &gate->votes[usual]);
}

static enum ww_status judge_board(struct gate *gate, const struct signature *own)
{
    for (int rank = 0; rank < gate->topology->size; rank++) {
        if (!same(&board_place(gate->board, rank, gate->passed)->signature, own)) {
            return name_mismatch(gate, own);
        }
    }
    return WW_OK;
}

/* Those that a peer speaks for do not all want the same. */
static bool differ(const struct peer *peer, uint64_t number)
{
    return peer->wishes != NULL && peer->wishes->count > 0 && peer->wishes_number == number;
}

bool gate_agree(const struct gate *gate, uint64_t number)
{
    const struct signature *own = &gate->own[own_slot(gate, number)].signature;
    for (int i = 0; i < gate->near_count; i++) {
        const struct peer *peer = gate->near[i];
        if (peer != gate->above &&
            (differ(peer, number) || !same(&said_of(gate, peer, number)->signature, own))) {
            return false;
        }
    }
    return true;
}

struct wishes gate_collect_wishes(const struct gate *gate, uint64_t number)
{
    struct wishes wishes = {.count = 1};
    wishes.wish[0] = (struct wish){gate->own[own_slot(gate, number)].signature,
                                   gate->topology->rank, 1};
    for (int i = 0; i < gate->relay.below; i++) {
        const struct peer *peer = gate->near[i];
        if (!differ(peer, number)) {
            wishes_add(&wishes, &(struct wish){said_of(gate, peer, number)->signature, peer->rank,
                                               peer->speaks_for});
            continue;
        }
        for (int w = 0; w < peer->wishes->count; w++) {
            wishes_add(&wishes, &peer->wishes->wish[w]);
        }
    }
    return wishes;
}

static enum ww_status name_odd_wish(const struct gate *gate, uint64_t number)
{
    const struct wishes wishes = gate_collect_wishes(gate, number);
    const struct wish *usual;
    const struct wish *odd = wishes_odd(&wishes, &usual);
    return tell_mismatch(gate, odd->rank, &odd->signature, usual->rank, &usual->signature);
}

enum ww_status gate_judge(struct gate *gate)
{
    const struct signature *own = &gate->own[own_slot(gate, gate->passed)].signature;
    if (gate->on_board) {
        return judge_board(gate, own);
    }
    if (gate->above != NULL || gate_agree(gate, gate->passed)) {
        return WW_OK; /* rank 0 of a tree compared, and the word from above is "go" */
    }
    return gate->relays ? name_odd_wish(gate, gate->passed) : name_mismatch(gate, own);
}
