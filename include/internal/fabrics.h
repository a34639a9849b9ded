/* SPDX-License-Identifier: BSD-3-Clause
 * fabrics.h: the fabrics that the runtime chooses by itself. */
#ifndef INTERNAL_FABRICS_H
#define INTERNAL_FABRICS_H

#include <wirewise/transport.h>

/* Control messages of so many bytes this library's fabrics take: a head and 16 KiB, which most
 * networks carry without asking the receiver first. */
#define FABRIC_CONTROL_ROOM (64 + ((size_t)16 << 10))

/* Whether a message may come into a receive of so many bytes: control messages may be shorter. */
static inline bool fabric_fits(size_t sent, size_t expected, bool control)
{
    return sent == expected || (control && sent < expected);
}

/* Their control_room. */
static inline size_t fabric_control_room(void *fabric)
{
    (void)fabric;
    return FABRIC_CONTROL_ROOM;
}

/* That of any. */
static inline size_t control_room_of(const struct ww_transport *transport, void *fabric)
{
    size_t room = transport->control_room == NULL ? 0 : transport->control_room(fabric);
    return room > WW_CONTROL_BYTES ? room : WW_CONTROL_BYTES;
}

/* Between threads of one process. */
extern const struct ww_transport ww_local_transport;

/* Carries messages between ranks of one host through memory, the others through the transport that
 * the world names, which may be NULL where all ranks share one host. Neither is opened where it has
 * nothing to carry. Where memory is refused the world's transport carries everything, and rank 0
 * says so in one warning.
 *
 * open returns, beside what the world's transport returns: WW_UNSUPPORTED on every rank, with the
 * same sentence, where there is no way between two ranks; WW_PEER_FAILED where another rank could
 * not open the world's transport; WW_TRANSPORT_FAILED when all_gather failed; WW_NO_MEMORY. */
extern const struct ww_transport ww_route_transport;

/* Over MPI; NULL in a build without it. */
const struct ww_transport *mpi_network(void);

/* ---- A voice for a transport that a program brought -------------------------------------------
 * Where one of its slots returns an error, log_failure tells which, and the ranks of its messages;
 * a status that is no error is one there. All else is handed on. */
struct voice {
    struct ww_transport transport; /* valid as long as the voice */
    const struct ww_transport *below;
};

/* The transport to use in place of `below`: the voice's, or `below` itself where it is NULL or one
 * of this library's, which tell what fails. */
const struct ww_transport *voice_give(struct voice *voice, const struct ww_transport *below);

/* What an open fabric of ww_route_transport joined: "shm", "shm + mpi", "mpi", or "nothing" for a
 * world of one. Valid until it is closed. */
const char *route_describe(const void *fabric);

/* ---- Slower wires, imitated -------------------------------------------------------------------
 * A transport around another one. Messages inside a host pass as they are. A message to another
 * host needs the sender's port and the receiver's for bytes * byte_s each, behind those before it,
 * and latency_s between the two; its receive is not done before its last byte is in, its send not
 * before its last byte has left. Ranks that are parts of one host share its ports. Bytes are the
 * message's own; nothing is added for frames of a network. Beside each message travels a note of
 * 16 bytes, which no counter counts. */
struct shape;

struct shape_setup {
    const struct ww_world *world; /* its transport is the one around which the other is made */
    const int *host_of;           /* [world->size] from 0; outlives the shape. All on one machine */
    int hosts;
    double byte_s; /* 0 = as fast as it goes */
    double latency_s;
    bool apart; /* each rank has ports of its own, with an even part of the host's rate */
    uint64_t (*clock_ns)(void); /* one for all ranks */
};

/* WW_OK; WW_NO_MEMORY; WW_UNSUPPORTED where the world names no transport. Nothing collective. */
enum ww_status shape_create(const struct shape_setup *setup, struct shape **shape);

/* Lets the ranks of each host share its ports; all ranks call it, once, before anything is opened.
 * Where the system refuses shared memory each has an even part instead, and rank 0 warns.
 * Returns WW_OK, WW_TRANSPORT_FAILED when all_gather failed. */
enum ww_status shape_meet(struct shape *shape);

/* Messages of all its fabrics, of one context or of several, go through the same ports. Valid until
 * shape_destroy. A setup that it opens with has it as the world's transport. */
const struct ww_transport *shape_transport(const struct shape *shape);

void shape_destroy(struct shape *shape); /* after its fabrics; NULL is fine */

#endif
