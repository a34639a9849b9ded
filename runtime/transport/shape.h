/* SPDX-License-Identifier: BSD-3-Clause
 * shape.h: what the files of the imitated wires share: ports of hosts, and flights over them. */
#ifndef TRANSPORT_SHAPE_H
#define TRANSPORT_SHAPE_H

#include <stdatomic.h>

#include "around.h"
#include "flights.h"
#include "internal/fabrics.h"

/* ---- shape_ports.c -------------------------------------------------------------------------- */

enum direction { PORT_OUT, PORT_IN, DIRECTIONS };

/* One direction of a host's port, in a line of its own. */
struct port {
    _Alignas(64) _Atomic uint64_t free_ns; /* until then it is taken */
};

struct ports {
    struct port *port; /* [hosts * DIRECTIONS] */
    void *memory;      /* it begins with a page that tells whose they are; NULL = not open */
    size_t bytes;
    bool shared; /* with all ranks; else they are this rank's alone */
};

/* How ports are looked for: rank 0 tells this to all. */
struct port_card {
    uint64_t nonce[2];
    int32_t pid;
    int32_t fd;
    int32_t error; /* errno of rank 0, which has none then; or whether a rank found them */
    int32_t reserved;
};

/* Makes ports of this rank's own. WW_OK, WW_NO_MEMORY. */
enum ww_status ports_open(struct ports *ports, int hosts);

/* Exchanges them for ports that all ranks share; collective. cards[world->size] is room. Where that
 * is not possible all keep their own, and rank 0 warns. WW_OK, WW_TRANSPORT_FAILED. */
enum ww_status ports_share(struct ports *ports, const struct ww_world *world, int hosts,
                           struct port_card *cards);

void ports_close(struct ports *ports);

/* Takes the port for span_ns, from first_ns on or as soon as it is free. Returns when that begins.
 * Any thread of any rank. */
uint64_t port_take(struct port *port, uint64_t first_ns, uint64_t span_ns);

/* ---- The fabric ------------------------------------------------------------------------------ */

/* A message between hosts. */
struct crossing {
    struct note {
        uint64_t ns; /* the first byte is at the receiver's port */
        uint64_t bytes;
    } note;           /* travels */
    uint64_t over_ns; /* the last byte has passed this end's port; UNKNOWN = it has no turn yet */
    int peer;
    enum ww_message_kind kind;
};

/* A posted round. */
struct flight {
    struct flight_link link;
    struct ww_flight below;
    bool under_way; /* below */
    bool lends;     /* the fabric below may still read the notes after it is closed */
    int first;      /* crossings before it are over */
    int count;
    int capacity;
    struct crossing *crossings;
};

struct shape {
    struct ww_transport transport; /* first: a fabric finds its shape by it */
    char name[32];
    const struct ww_transport *below;
    struct ww_world world;
    const int *host_of;
    int *ranks_of; /* [hosts] */
    int hosts;
    double byte_ns;
    uint64_t latency_ns;
    bool apart;
    uint64_t (*clock_ns)(void);
    struct ports ports;
    struct port_card *cards; /* [size] */
};

struct fabric {
    struct around around;
    const struct shape *shape;
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    struct flights flights;
    struct ww_message *widened; /* room for a round with its notes */
    int widened_capacity;
    struct ww_traffic notes[WW_LEVELS_MAX]; /* sent, as the fabric below counts them */
};

/* ---- shape_flight.c ------------------------------------------------------------------------- */

/* No less than asked for; but a product that is meant to be whole may be a little more. */
uint64_t whole_ns(double ns);

/* A flight with room for so many crossings. NULL when there is no memory. */
struct flight *flight_take(struct fabric *fabric, int count);
void flight_give(struct fabric *fabric, struct flight *flight);

/* Puts a note before each message between hosts: on both ends a pair's messages of one tag are then
 * note, message, note, message, however they are parted into rounds. Returns how many there are;
 * widened has room for twice as many as before. */
int flight_widen(const struct fabric *fabric, struct flight *flight,
                 const struct ww_message *messages, int count, struct ww_message *widened);

/* Takes the port for what it sends, and fills the notes. */
void flight_depart(const struct fabric *fabric, struct flight *flight, bool control);

/* It was posted: its notes are not to be counted as the program's. */
void flight_count_notes(struct fabric *fabric, const struct flight *flight, bool control);

/* Once nothing of it is under way below: true when all its messages have passed this end. */
bool flight_is_over(const struct fabric *fabric, struct flight *flight);

/* Frees them all, when the fabric below is closed. */
void flights_end(struct fabric *fabric, bool failed);

#endif
