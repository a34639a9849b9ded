/* SPDX-License-Identifier: BSD-3-Clause
 * shm.h: what the files of the fabric in shared memory share.
 *
 * Each process has one `arena`: a large sparse memory without a name that the processes of its
 * host map. A fabric has a `ground` in the arena of each of its ranks:
 *
 *     one head per peer | area | one ring of cells per peer
 *
 * A ring carries the messages from the rank whose ground it is to one peer. The peer writes its
 * part of the head in that ground, nothing else. Offsets in a ground are the same on all ranks of
 * a host; places number the ranks of the own host, by rank. A ring takes its pages, 260 KiB, when
 * it is used first. */
#ifndef TRANSPORT_SHM_H
#define TRANSPORT_SHM_H

#include <stdatomic.h>
#include <sys/types.h>

#include <wirewise/transport.h>

#include "flights.h"

extern const struct ww_transport ww_shm_transport;

/* As open of ww_shm_transport, but a refusal (WW_UNSUPPORTED) is told in sentence[bytes] instead
 * of being logged, for a caller that can do without. Every rank gets the same sentence. */
enum ww_status shm_open_quietly(const struct ww_transport_setup *setup, void **fabric,
                                char *sentence, size_t bytes);

/* What the fabric reserved stays for good when it closes: a network may still work in it. */
void shm_keep_reserved(void *fabric);

/* For tests: what this process pretends. */
struct shm_pretence {
    bool proc_is_hidden;     /* peers' descriptors cannot be opened under /proc */
    bool sockets_are_deaf;   /* nor do they come over a socket */
    bool fetch_is_forbidden; /* process_vm_readv */
    bool arena_is_refused;   /* there is no memory to share */
    bool pages_are_refused;  /* nor for what is allocated from it */
    bool kernel_is_old;      /* it does not make pages or huge pages on demand */
    bool pages_are_kept;     /* the kernel does not take back pages */
};
extern struct shm_pretence shm_pretend;

#define SHM_PAGE_BYTES ((size_t)4096)
#define SHM_HUGE_BYTES ((size_t)2 << 20)

static inline size_t shm_round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* ---- shm_arena.c: the memory of this process ------------------------------------------------
 * Any thread. Functions that return an int give 0 or an errno. */

/* What a peer must know to find an arena. */
struct card {
    uint64_t nonce[2]; /* the arena's own, at its beginning; also in memory that is not shared */
    uint64_t bytes;
    uint64_t proof; /* address of the nonce in memory that is not shared */
    int32_t pid;
    int32_t fd;
};

enum block_use {
    BLOCK_FREE,
    BLOCK_GROUND,    /* of a fabric; pages come when they are touched or by arena_populate */
    BLOCK_RESERVED,  /* of a fabric */
    BLOCK_ALLOCATED, /* the program's: it keeps the arena */
    BLOCK_LOST       /* given back after a failure: without pages, never given again */
};

/* One more fabric uses the arena, which is made with so many bytes when there is none. */
int arena_join(uint64_t bytes);

/* It is closed. failed = somebody may still write into the arena: it stays for good. */
void arena_leave(bool failed);

/* Only while a fabric uses the arena. */
struct card arena_card(void);
unsigned char *arena_base(void);

/* Zeroed memory out of the arena, aligned to 4096, from 2 MiB on to 2 MiB. Its pages are there,
 * those of a ground excepted. ENOTSUP when no fabric uses the arena. */
int arena_take(size_t bytes, enum block_use use, void **memory);
void arena_give(void *memory);

/* The pages of memory taken as ground come now, so that nobody's touch can fail. */
int arena_populate(void *memory, size_t bytes);

/* What peers may still work in: the ground and the reserved memory of a fabric that closed. The
 * arena takes it back once all have left. */
struct remnant {
    struct remnant *next;
    const struct head *heads; /* the ground */
    int size;                 /* ranks of the host */
    int place;                /* own */
    void **reserved;          /* [reserved_count], from malloc like the remnant itself */
    int reserved_count;
};
void arena_retire(struct remnant *remnant); /* the arena's from now on */

/* The lock of everything that fabrics of this process share. Held over a fork. */
void arena_lock(void);
void arena_unlock(void);

/* Maps an arena's file at a multiple of 2 MiB, no page of it touched or locked. */
int arena_map(int fd, size_t bytes, unsigned char **base);

/* ---- shm_room.c ----------------------------------------------------------------------------- */

/* A limit of this process that leaves no room, as ulimit tells it. */
struct room_limit {
    uint64_t kib;
    uint64_t needed_kib; /* at least, for the smallest arenas */
    int32_t option;      /* "ulimit -f" or "-v"; 0 = no limit is known */
    int32_t padding;
};

/* The largest arena that this process can map once for each of `ranks` ranks; 0 = none. */
uint64_t room_for_arenas(int ranks);

/* Why there was none. */
struct room_limit room_limit_find(int ranks);

/* What host and control groups could give now without ending somebody; UINT64_MAX = unknown. */
uint64_t room_bytes_free(void);

/* ---- shm_peers.c: the arenas of other processes ---------------------------------------------
 * Any thread; each is mapped once, however many fabrics use it. An int is 0 or an errno; ESTALE =
 * it is not what the card announced. */

struct mapping {
    struct mapping *next;
    unsigned char *base;
    size_t bytes;
    uint64_t nonce[2];
    pid_t pid;
    int references;
    bool own;    /* the arena of this process: its ranks are threads */
    bool by_pid; /* its owner's number means the same to system calls here */
};

/* By way of /proc. */
int mapping_open(const struct card *card, struct mapping **mapping);

/* From a descriptor, which stays the caller's. */
int mapping_open_fd(const struct card *card, int fd, struct mapping **mapping);
void mapping_close(struct mapping *mapping); /* NULL is fine */

/* The descriptors of arenas by way of sockets without a name in the file system. `number` tells the
 * sockets of one process apart. Nothing here waits. */
int envoy_open(const struct card *own, uint64_t number, int *socket);
int envoy_send(int socket, const struct card *own, const struct card *to, uint64_t number);
int envoy_receive(int socket, const struct card *from, int *fd);

/* ---- The ground ------------------------------------------------------------------------------ */

#define LINE_BYTES 64 /* what two cores must not write to in turn */

/* Messages above CELL_BYTES take several cells; beyond EAGER_BYTES they wait for a receive. The
 * last CONTROL_CELLS free cells are for control messages: these pass when nobody takes in data. */
#define CELL_BYTES ((size_t)8 << 10)
#define CELLS 32
#define CONTROL_CELLS 8
#define EAGER_BYTES (4 * CELL_BYTES)
#define GRANTS 10

/* Of one ring. What sender and receiver write lies in lines of their own. */
struct head {
    /* By the sender: the cells may be looked at. */
    _Alignas(LINE_BYTES) atomic_uint in_use;

    /* By the receiver: how many cells it took, which may be filled again; and that it will not look
     * again. */
    _Alignas(LINE_BYTES) _Atomic uint64_t taken;
    atomic_uint left;

    /* By the receiver: how many large messages may send their rest, and the `number`s of the latest
     * of them; and that a message had the wrong size, see the next line. */
    _Alignas(LINE_BYTES) _Atomic uint64_t granted;
    atomic_uint refused;
    uint32_t grants[GRANTS];

    _Alignas(LINE_BYTES) uint64_t sent_bytes;
    uint64_t expected_bytes;
    int32_t refused_tag;
};

enum cell_kind {
    CELL_FIRST, /* of a message */
    CELL_NEXT,  /* of the message that is not complete up to EAGER_BYTES */
    CELL_REST   /* of the oldest granted message that is not complete */
};

/* Up to SMALL_BYTES travel in the line that says that they are there. */
#define SMALL_BYTES 40

struct cell {
    _Alignas(LINE_BYTES) _Atomic uint64_t sequence; /* n + 1 = the n-th cell is filled */
    uint64_t bytes;                                 /* of the whole message */
    uint32_t number;
    uint16_t tag;
    uint16_t kind;
    unsigned char small[SMALL_BYTES];
    unsigned char large[CELL_BYTES];
};

#define RING_BYTES                                                                                 \
    ((CELLS * sizeof(struct cell) + SHM_PAGE_BYTES - 1) / SHM_PAGE_BYTES * SHM_PAGE_BYTES)

/* ---- The fabric ------------------------------------------------------------------------------ */

/* One message. */
struct letter {
    struct letter *next;
    struct flight *flight;
    unsigned char *memory;
    size_t bytes;
    size_t moved;    /* sends: so much is in cells */
    uint32_t number; /* sends beyond EAGER_BYTES: what the receiver grants */
    int tag;
    struct peer *peer;
    enum ww_message_kind kind;
    bool control;
    bool done;
};

struct letters {
    struct letter *first;
    struct letter **end;
};

/* A message that is not complete, or that no receive was posted for. */
struct arrival {
    struct arrival *next;
    struct letter *receive; /* NULL = what arrived lies aside */
    size_t bytes;
    size_t got;
    uint32_t number;
    int tag;
    size_t capacity;
    unsigned char aside[];
};

struct arrivals {
    struct arrival *first;
    struct arrival **end;
};

/* What this rank sends to a peer. */
struct outgoing {
    struct head *head;
    struct cell *cells;
    uint64_t sent;     /* cells */
    uint64_t taken;    /* as last seen */
    uint64_t streamed; /* grants that were followed to their end */
    uint32_t numbers;
    bool in_use;
    struct letters control;   /* they go first */
    struct letters data;      /* not in cells up to EAGER_BYTES */
    struct letters waiting;   /* for a grant */
    struct letter *streaming; /* the granted one */
};

/* What it receives from there. */
struct incoming {
    struct head *head;
    const struct cell *cells;
    uint64_t taken; /* cells */
    bool in_use;
    int expected;             /* receives that are not done */
    struct letters receives;  /* nothing of them arrived */
    struct arrivals aside;    /* no receive was posted */
    struct arrival *arriving; /* it lacks something up to EAGER_BYTES */
    struct arrivals granted;
    struct arrival **ungranted; /* in `granted`: the first that the sender does not know of */
    uint64_t grants;            /* told so far */
    uint64_t finished;          /* of them complete */
};

struct peer {
    int rank;
    int place;
    struct mapping *mapping;
    struct card card;
    uint64_t ground_offset;
    unsigned char *base; /* of its arena, as this process sees it */
    unsigned char *ground;
    bool active; /* among the fabric's active ones */
    struct outgoing out;
    struct incoming in;
};

/* A posted round. */
struct flight {
    struct flight_link link;
    struct letter *letters;
    int first; /* letters before it are done */
    int count;
    int capacity;
    int pending;
};

struct fabric {
    pid_t pid; /* whose it is: a child after fork must not touch it */
    int rank;
    int world_size;
    int levels;
    const uint8_t *peer_level;
    int place;           /* own */
    int size;            /* ranks of this host */
    struct peer *peers;  /* [size] by place */
    int *place_of;       /* [world_size]; -1 = another host */
    unsigned char *base; /* the own arena */
    size_t arena_bytes;
    unsigned char *ground; /* the own one */
    size_t area_bytes;
    bool fetches;
    struct remnant *remnant; /* for the day it closes */
    enum ww_status status;   /* the failure that ended it */
    struct flights flights;
    struct peer **active; /* [size] peers with something to do */
    int active_count;
    int turn;                 /* among them: whom the next poll looks after beside its own */
    struct arrival *spare[2]; /* by capacity: small, EAGER_BYTES */
    void **reserved;          /* [reserved_count] */
    int reserved_count;
    int reserved_capacity;
    bool lends; /* others than peers may work in it, nobody knows for how long */
    struct ww_traffic traffic[WW_LEVELS_MAX];
};

static inline size_t ground_heads_bytes(int size)
{
    return shm_round_up((size_t)size * sizeof(struct head), SHM_PAGE_BYTES);
}

static inline size_t ground_cells_offset(int size, size_t area_bytes)
{
    return ground_heads_bytes(size) + shm_round_up(area_bytes, SHM_PAGE_BYTES);
}

static inline size_t ground_bytes(int size, size_t area_bytes)
{
    return ground_cells_offset(size, area_bytes) + (size_t)size * RING_BYTES;
}

/* Copies from the peer's memory, shared or not. 0 or an errno. In shm_peers.c. */
int peer_read(const struct peer *peer, uint64_t from, void *into, size_t bytes);

/* True when its process is known to have ended. */
bool peer_ended(const struct peer *peer);

/* ---- shm_meet.c ------------------------------------------------------------------------------ */

/* Makes a fabric whose peers see each other; collective over the world. WW_OK on every rank;
 * WW_UNSUPPORTED on every rank with the same sentence; WW_TRANSPORT_FAILED when all_gather failed
 * and WW_NO_MEMORY, both logged. */
enum ww_status fabric_meet(const struct ww_transport_setup *setup, struct fabric **fabric,
                           char *sentence, size_t bytes);

/* Gives back all that fabric_meet made; never waits. */
void fabric_part(struct fabric *fabric, bool failed);

/* ---- shm_ring.c ------------------------------------------------------------------------------ */

/* Where the rings to and from the peer are. */
void ring_begin(struct fabric *fabric, struct peer *peer);

/* Takes a filled letter on its way. */
enum ww_status ring_post(struct fabric *fabric, struct letter *letter);

/* Moves what can be moved to and from the peer. */
enum ww_status ring_progress(struct fabric *fabric, struct peer *peer);

/* Something is under way to or from the peer. */
bool ring_is_busy(const struct peer *peer);

/* Frees what was laid aside. */
void ring_finish(struct fabric *fabric);

#endif
