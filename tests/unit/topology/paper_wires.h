/* SPDX-License-Identifier: BSD-3-Clause
 * paper_wires.h: a network on paper, for code that waits: every rank has a stack of its own, and
 * whenever all of them wait, a virtual clock goes on to the next arrival. Nothing depends on the
 * machine. */
#ifndef TESTS_PAPER_WIRES_H
#define TESTS_PAPER_WIRES_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#define PAPER_RANKS_MAX 64

/* Hosts on a switch. Ranks of one host reach each other through memory. */
struct paper_wires {
    int size;
    int host_of[PAPER_RANKS_MAX];
    double gbit_s; /* of each port, in each direction */
    double latency_s;
    double jitter_s;    /* chance adds 0 .. so much */
    double burst_bytes; /* pass at ten times the speed after a rest */
    double memory_byte_s;
    double memory_latency_s;
    int slow_port; /* host, -1 = none */
    double port_factor;
    int slow_path[2]; /* hosts, -1 = none */
    double path_factor;
    int dead;       /* rank, -1 = none */
    int dies_after; /* posts */
    double held_s;  /* then it goes on; 0 = never */
    bool lost;      /* posts to the dead rank fail then, and so do polls that wait for it; and to
                       ranks that came to their end, but what they said before is heard */
    bool seen;      /* nothing fails, but the fabric knows which ranks ended */
};

/* A port of 1 Gbit/s, 20 us, no jitter, bursts of 128 KiB, nobody slow or dead. */
struct paper_wires paper_wires(int hosts, int ranks_per_host);

extern const struct ww_transport paper_transport;

typedef void paper_work(const struct ww_world *world, void *fabric, void *shared);

/* Runs work as all ranks, until they are done or nothing can happen any more within limit_s.
 * Returns how many did not come to an end. */
int paper_run(const struct paper_wires *wires, paper_work *work, void *shared, double limit_s);

/* Messages that nobody took, or that never came, in the last run. */
int paper_left(void);

/* Within work. */
uint64_t paper_now_ns(void);
uint64_t paper_core_ns(void);
void paper_wait(void *waiter, enum ww_wait wait, uint64_t moves);

#endif
