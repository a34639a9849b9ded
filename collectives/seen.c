/* SPDX-License-Identifier: BSD-3-Clause
 * seen.c: what a run sees of its peers: where their memory lies, or their values on the board. */
#include "run.h"

#include <string.h>

void run_see(struct run *run, const struct workspace *space, uint64_t number)
{
    const struct plan *plan = run->request.plan;
    const struct ww_transport *transport = space->transport;
    for (uint32_t i = 0; i < plan->seen_count; i++) {
        int rank = plan->peers_seen[i];
        const struct notice *notice = &board_place(space->board, rank, number)->notice;
        struct seen *seen = &run->seen[i];
        *seen = (struct seen){.rank = rank, .place_bytes = notice->place_bytes};
        seen->addresses[SLOT_INPUT] = notice->input;
        seen->addresses[SLOT_OUTPUT] = notice->output;
        if (plan->shared_slots > 0) {
            seen->scratch = transport->view(space->fabric, rank, notice->scratch);
        } else if (notice->viewed) {
            seen->vector[SLOT_INPUT] = transport->view(space->fabric, rank, notice->input);
            seen->vector[SLOT_OUTPUT] = transport->view(space->fabric, rank, notice->output);
        }
    }
}

const void *run_board_values(const struct run_request *request, int rank, size_t *bytes)
{
    enum collective collective = request->plan->collective;
    *bytes = request->count * ww_type_bytes(request->type);
    if (collective == COLLECTIVE_REDUCE_SCATTER) {
        *bytes *= (size_t)request->plan->size;
    } else if (collective == COLLECTIVE_BROADCAST) {
        *bytes = rank == request->root ? *bytes : 0;
        return request->output;
    }
    return request->input;
}

size_t run_board_bytes(const struct run_request *request)
{
    size_t share = request->count * ww_type_bytes(request->type);
    const struct plan *plan = request->plan;
    if (plan->collective == COLLECTIVE_BROADCAST) {
        return plan->rank == request->root ? 0 : share;
    }
    return share * ((size_t)plan->size - 1);
}

/* The values of all ranks become space->sources, shifted by `offset` bytes; the own ones are read
 * where they are. */
static void gather_values(const struct run *run, struct workspace *space, uint64_t number,
                          size_t bytes, size_t offset)
{
    const struct plan *plan = run->request.plan;
    for (int rank = 0; rank < plan->size; rank++) {
        const uint8_t *values = board_values(board_place(space->board, rank, number), bytes);
        values = rank == plan->rank ? run->request.input : values;
        space->sources[rank] = values + offset;
    }
}

static void reduce_values(const struct run *run, const struct workspace *space,
                          const struct kernels *kernels)
{
    const struct run_request *request = &run->request;
    int size = request->plan->size;
    kernels->reduce[request->type][request->op](request->output, space->sources, size,
                                                request->count,
                                                request->op == WW_MEAN ? 1.0 / size : 1.0);
}

static void take_values(const struct run *run, const struct workspace *space, size_t bytes)
{
    for (int rank = 0; rank < run->request.plan->size; rank++) {
        uint8_t *into = (uint8_t *)run->request.output + (size_t)rank * bytes;
        if (into != space->sources[rank]) {
            memcpy(into, space->sources[rank], bytes);
        }
    }
}

void run_on_board(struct run *run, struct workspace *space, const struct kernels *kernels,
                  uint64_t number)
{
    const struct run_request *request = &run->request;
    const struct plan *plan = request->plan;
    size_t share = request->count * ww_type_bytes(request->type);
    if (share == 0) {
        return;
    }
    switch (plan->collective) {
    case COLLECTIVE_ALL_REDUCE:
        gather_values(run, space, number, share, 0);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_REDUCE_SCATTER:
        gather_values(run, space, number, share * (size_t)plan->size, share * (size_t)plan->rank);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_ALL_GATHER:
        gather_values(run, space, number, share, 0);
        take_values(run, space, share);
        break;
    default:
        if (plan->rank != request->root) {
            memcpy(request->output,
                   board_values(board_place(space->board, request->root, number), share), share);
        }
    }
    size_t read = run_board_bytes(request);
    space->seen_traffic[0].data_bytes += read;
    space->seen_traffic[0].data_messages += read / share;
}
