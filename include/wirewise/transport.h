/* SPDX-License-Identifier: BSD-3-Clause
 * transport.h: the contract for fabrics. UNSTABLE: it may change in any release before 1.0.
 *
 * A fabric carries rounds of messages between numbered ranks. Messages between one pair of ranks
 * that carry the same tag arrive in the order in which they were posted; nothing else is
 * promised about order. A fabric is used by one thread at a time. Where a slot returns an error,
 * ww_last_error tells which, with the transport's name and the ranks of its messages. */
#ifndef WIREWISE_TRANSPORT_H
#define WIREWISE_TRANSPORT_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ww_message_kind { WW_SEND, WW_RECEIVE };

/* One message of a round. Both ends state the same bytes (0 is allowed and still travels). The
 * memory is borrowed from post until poll reports the flight done, or until close. */
struct ww_message {
    enum ww_message_kind kind;
    int peer; /* never the own rank */
    void *memory;
    size_t bytes;
};

/* What a pending flight waits for: it decides how the caller may wait. */
enum ww_wait {
    WW_WAIT_MEMORY, /* another core: pause, then yield; the answer is microseconds away */
    WW_WAIT_NETWORK /* a wire: a few yields, then sleep; yielding for ever eats the core */
};

/* A posted round. Filled by post; `state` belongs to the transport until poll returns something
 * else than WW_PENDING. */
struct ww_flight {
    void *state;
    enum ww_wait wait;
};

/* What a fabric sent so far over one level of the hierarchy. `control` counts what was posted
 * with control set, data the rest. */
struct ww_traffic {
    uint64_t data_bytes;
    uint64_t data_messages; /* as handed to the fabric, after any cutting */
    uint64_t control_bytes;
};

/* How a fabric is opened. */
struct ww_transport_setup {
    size_t struct_bytes;
    const struct ww_world *world; /* copied by open where it is needed later, except self */
    int levels;                   /* 1 .. WW_LEVELS_MAX */
    int host_levels;              /* 1 .. levels: so many, from 0 on, stay inside a host */
    const uint8_t *peer_level;    /* [world->size]: the level that a message to a peer crosses;
                                     below host_levels = same host; outlives the fabric */
    size_t area_bytes;            /* what `area` is asked for; 0 = it is not needed */
    bool own_thread;              /* a thread of the runtime will use the fabric, while the program
                                     goes on */
    bool program_is_quiet;        /* and the program promised not to call the fabric's library
                                     meanwhile */
};

#define WW_TRANSPORT_TAGS 4096 /* tags are 0 .. WW_TRANSPORT_TAGS - 1 */
#define WW_CONTROL_BYTES 256   /* of a control message, where the fabric takes no longer ones */

struct ww_transport {
    const char *name;

    /* This fabric's messages between ranks of one host may be carried through memory instead, by
     * the runtime's own transport `shm`; false = it wants to carry them itself. */
    bool yields_to_memory;

    /* Why a thread of the runtime could not use a fabric opened so (setup->own_thread is set), as a
     * sentence; NULL = it can. Static text. Nothing collective. NULL slot = it always can. */
    const char *(*thread_trouble)(const struct ww_transport_setup *setup);

    /* Opens this rank's end. All ranks call it, in the same order. *fabric is owned by the caller
     * until close. own_thread is asked for only where thread_trouble has nothing against it. */
    enum ww_status (*open)(const struct ww_transport_setup *setup, void **fabric);

    /* Ends it and cancels what is under way; no flight may be polled afterwards. `failed` says
     * that peers may be gone: nothing collective is attempted then. */
    void (*close)(void *fabric, bool failed);

    /* Memory for messages that suits the fabric (registered, shared, on a device), aligned to
     * 4096, contents undefined. release gives it back while nothing is under way in it; close gives
     * back the rest, as soon as nobody can work in it any more. Never called during a step. Both
     * NULL = plain aligned memory serves. */
    enum ww_status (*reserve)(void *fabric, size_t bytes, void **memory);
    void (*release)(void *fabric, void *memory, size_t bytes);

    /* Posts all messages of a round at once; never blocks. The array `messages` is read during the
     * call only, the memory it points to longer, see struct ww_message. control marks the
     * runtime's own messages (of WW_CONTROL_BYTES, or see control_room) for the counters; the
     * memory of those must not be read any more once close has returned. On an error nothing of the
     * round may be relied on. */
    enum ww_status (*post)(void *fabric, int tag, bool control, const struct ww_message *messages,
                           int count, struct ww_flight *flight);

    /* WW_OK once every message of the flight is done: its memory is the caller's again.
     * WW_PENDING, or an error: the fabric is then good for close only, but that for some
     * milliseconds what other peers said last may still be asked for. Never blocks. */
    enum ww_status (*poll)(void *fabric, struct ww_flight *flight);

    /* The peer of a message of this flight that is not done, or -1 when the fabric cannot tell.
     * NULL = it never can. */
    int (*waits_for)(void *fabric, const struct ww_flight *flight);

    /* Fills traffic[levels] with totals since open. */
    void (*counters)(void *fabric, struct ww_traffic *traffic);

    /* ---- Memory that ranks of one host see in each other ---------------------------------------
     * NULL = they do not. What one rank writes with release order another sees once it has read
     * with acquire order, as between threads. */

    /* Where this process sees the area of `rank`: setup->area_bytes bytes, zero when the fabric was
     * opened, at a multiple of 4096, for the runtime's own protocol. Valid until close. NULL for
     * ranks of other hosts. open agrees: either every rank sees the areas of all ranks of its host,
     * its own included, or area gives NULL to every rank for every rank. */
    void *(*area)(void *fabric, int rank);

    /* True when ranks of this host see these bytes of the own memory; *key then tells them where.
     * Memory from reserve and allocate is always seen. Cheap: it looks nothing up. */
    bool (*share)(void *fabric, const void *memory, size_t bytes, uint64_t *key);

    /* Where this process sees what `peer`, of this host, shared under `key`. It may read and write
     * there. */
    void *(*view)(void *fabric, int peer, uint64_t key);

    /* Copies `bytes` from address `from` of the process of `peer`, of this host, whose memory need
     * not be shared. WW_OK, WW_PEER_FAILED when it is gone, WW_TRANSPORT_FAILED. NULL slot, or
     * `fetches` false = it cannot; open agrees on that, too: all ranks can fetch from all ranks of
     * their host, or none can. */
    enum ww_status (*fetch)(void *fabric, int peer, uint64_t from, void *into, size_t bytes);
    bool (*fetches)(void *fabric);

    /* Memory for the program's own buffers, which ranks of this host see: zero, aligned to 4096
     * (to 2 MiB, on huge pages where the kernel allows, from 2 MiB on). It stays valid beyond any
     * fabric, until deallocate. Any thread. WW_OK; WW_NO_MEMORY; WW_UNSUPPORTED while no fabric of
     * this process shares memory, or none is left to share: plain memory serves then. Both NULL =
     * any memory is seen. */
    enum ww_status (*allocate)(size_t bytes, void **memory);
    void (*deallocate)(void *memory, size_t bytes);

    /* True when the process of `peer` is known to have ended, in good order or not: what it did not
     * write or send before never comes. Takes microseconds: it is asked now and then while nothing
     * moves. NULL = nobody can tell. */
    bool (*ended)(void *fabric, int peer);

    /* Control messages may have so many bytes, the same on every rank; and any of them may be
     * shorter than the receive that takes it, beyond whose first bytes the memory's contents are
     * undefined then. What is small travels with them: it takes one message instead of two.
     * NULL, or WW_CONTROL_BYTES = both ends of a control message state the same bytes. */
    size_t (*control_room)(void *fabric);
};

#ifdef __cplusplus
}
#endif
#endif
