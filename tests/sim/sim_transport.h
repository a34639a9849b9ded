/* SPDX-License-Identifier: BSD-3-Clause
 * sim_transport.h: a fabric for tests: all ranks in one thread, under a virtual clock.
 *
 * Messages take the time of their link, arrive out of order between different (pair, tag)s by
 * seeded chance, and stay in order within one. Ranks can be slow, and can die. Nothing here reads
 * a clock or starts a thread, so a seed replays a run event by event. */
#ifndef SIM_TRANSPORT_H
#define SIM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/transport.h>

/* A kind of wire. A rank sends one message at a time over each. */
struct sim_link {
    uint64_t latency_ns;
    uint64_t jitter_ns; /* chance adds 0 .. jitter_ns to the latency */
    double ns_per_byte;
};

struct sim_options {
    int size;
    uint64_t seed;
    struct sim_link links[WW_LEVELS_MAX]; /* by level */
    size_t eager_bytes;   /* sends up to so many bytes are done at once, as if buffered */
    size_t control_room;  /* struct ww_transport; 0 = control messages are as long as receives */
    int slow_rank;        /* -1 = none */
    double slow_factor;   /* on all that the slow rank sends */
    int dying_rank;       /* -1 = none */
    uint64_t dies_at_ns;  /* UINT64_MAX = not by time */
    int dies_after_posts; /* of data; -1 = not by posts */
    bool tells_ended;     /* whoever sees the dead one's memory can ask whether it lives */
};

/* Two levels (1 us, 10 GB/s and 20 us, 1 GB/s), jitter as large as the latency, nobody slow or
 * dying; half of the seeds buffer small messages, the others nothing, and a third take long control
 * messages. */
struct sim_options sim_options(int size, uint64_t seed);

/* The seed to use: WIREWISE_SIM_SEED where it is set, to replay one run, else `seed`. */
uint64_t sim_seed(uint64_t seed);

struct sim;

/* NULL when there is no memory. destroy after every fabric was closed. */
struct sim *sim_create(const struct sim_options *options);
void sim_destroy(struct sim *sim);

/* The world of one rank; sim_transport.open takes it. */
void sim_world(struct sim *sim, int rank, struct ww_world *world);

extern const struct ww_transport sim_transport;

/* The same without the slots that may be NULL. */
extern const struct ww_transport sim_transport_bare;

/* The same; ranks of one host see each other's memory at once. */
extern const struct ww_transport sim_transport_seen;

uint64_t sim_now_ns(const struct sim *sim);

/* Delivers the next message that is due by until_ns and returns how many ranks it affects (1 or
 * 2), written to affected. Returns 0, with the clock at until_ns, when there is none. */
int sim_deliver(struct sim *sim, uint64_t until_ns, int affected[2]);

bool sim_is_dead(const struct sim *sim, int rank);

/* Fingerprint of all that was delivered so far: when, between whom, and what. */
uint64_t sim_trace(const struct sim *sim);

/* The first breach of the transport's contract by its user (sizes that differ, memory used twice
 * or changed while it was lent, ...), "" when there was none. */
const char *sim_complaint(const struct sim *sim);

#endif
