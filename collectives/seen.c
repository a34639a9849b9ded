/* SPDX-License-Identifier: BSD-3-Clause
 * seen.c: what a run sees of its peers: where their memory lies, or the values that came with their
 * announcements. */
#include "run.h"

#include "internal/cpu.h"
#include "internal/memory.h"

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

/* ---- Values that come with announcements ---------------------------------------------------- */

const void *run_announced_values(const struct run_request *request, size_t *bytes)
{
    const struct plan *plan = request->plan;
    *bytes = request->count * ww_type_bytes(request->type);
    if (plan->collective == COLLECTIVE_REDUCE_SCATTER) {
        *bytes *= (size_t)plan->size;
    } else if (plan->collective == COLLECTIVE_BROADCAST) {
        *bytes = plan->rank == request->root ? *bytes : 0;
        return request->output;
    }
    return request->input;
}

/* On a board ranks read what they need, and only the innermost wires are looked at. */
static void add_read(const struct run_request *request, struct ww_traffic *traffic)
{
    const struct plan *plan = request->plan;
    size_t share = request->count * ww_type_bytes(request->type);
    size_t entries = plan->collective != COLLECTIVE_BROADCAST ? (size_t)plan->size - 1
                     : plan->rank != request->root            ? 1
                                                              : 0;
    traffic[0].data_bytes += entries * share;
    traffic[0].data_messages += entries;
}

/* A message carries what its receiver needs; the fabric counts that as control. */
static void add_sent(const struct run_request *request, const uint8_t *peer_level,
                     struct ww_traffic *traffic)
{
    const struct plan *plan = request->plan;
    size_t bytes = request->count * ww_type_bytes(request->type);
    bool silent = plan->collective == COLLECTIVE_BROADCAST && plan->rank != request->root;
    bytes = silent ? 0 : bytes;
    for (int peer = 0; bytes > 0 && peer < plan->size; peer++) {
        if (peer != plan->rank) {
            traffic[peer_level[peer]].data_bytes += bytes;
            traffic[peer_level[peer]].data_messages++;
            traffic[peer_level[peer]].control_bytes += bytes;
        }
    }
}

void run_announced_traffic(const struct run_request *request, const struct workspace *space,
                           struct ww_traffic *traffic)
{
    if (request->count == 0) {
        return;
    }
    if (gate_shows_values(space->gate)) {
        add_read(request, traffic);
    } else {
        add_sent(request, space->peer_level, traffic);
    }
}

/* The values of all ranks become space->sources; the own ones are read where they are. Of several
 * shares, each of so many bytes, it is this rank's: a board shows all of them, a message brings it
 * alone. */
static void gather_values(const struct run *run, struct workspace *space, uint64_t number,
                          size_t share, size_t shares)
{
    const struct plan *plan = run->request.plan;
    bool shown = gate_shows_values(space->gate);
    size_t offset = shares > 1 ? share * (size_t)plan->rank : 0;
    size_t bytes = shown ? share * shares : share;
    for (int rank = 0; rank < plan->size; rank++) {
        bool own = rank == plan->rank;
        const uint8_t *values = own ? run->request.input
                                    : gate_values(space->gate, rank, number, bytes);
        space->sources[rank] = values + (own || shown ? offset : 0);
    }
}

static void reduce_values(const struct run *run, const struct workspace *space,
                          const struct kernels *kernels)
{
    const struct run_request *request = &run->request;
    int size = request->plan->size;
    unsigned before = cpu_exact_begin();
    kernels->reduce[request->type][request->op](request->output, space->sources, size,
                                                request->count,
                                                request->op == WW_MEAN ? 1.0 / size : 1.0);
    cpu_exact_end(before);
}

static void take_values(const struct run *run, const struct workspace *space, size_t bytes)
{
    for (int rank = 0; rank < run->request.plan->size; rank++) {
        uint8_t *into = (uint8_t *)run->request.output + (size_t)rank * bytes;
        if (into != space->sources[rank]) {
            memory_copy(into, space->sources[rank], bytes);
        }
    }
}

void run_announced(struct run *run, struct workspace *space, const struct kernels *kernels,
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
        gather_values(run, space, number, share, 1);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_REDUCE_SCATTER:
        gather_values(run, space, number, share, (size_t)plan->size);
        reduce_values(run, space, kernels);
        break;
    case COLLECTIVE_ALL_GATHER:
        gather_values(run, space, number, share, 1);
        take_values(run, space, share);
        break;
    default:
        if (plan->rank != request->root) {
            memory_copy(request->output, gate_values(space->gate, request->root, number, share),
                        share);
        }
    }
    if (gate_shows_values(space->gate)) {
        run_announced_traffic(request, space, space->seen_traffic);
    }
}
