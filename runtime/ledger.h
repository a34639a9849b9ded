/* SPDX-License-Identifier: BSD-3-Clause
 * ledger.h: what steps sent, cost and saved; which arm each step goes. */
#ifndef RUNTIME_LEDGER_H
#define RUNTIME_LEDGER_H

#include <stdatomic.h>

#include <wirewise/ledger.h>

#include "menu.h"
#include "policy.h"
#include "report/audit.h"
#include "report/gpu_energy.h"
#include "report/nvlink.h"
#include "report/outputs.h"

/* What a bucket's dense plans send over each level. */
struct yardstick {
    uint64_t dense32[WW_LEVELS_MAX];
    uint64_t dense16[WW_LEVELS_MAX];
};

struct ledger {
    struct policy policy; /* of the steps */
    bool compares;        /* something may be encoded */
    bool encoded;         /* something was, by some rank */
    bool shadows;         /* probes are dense sums after a step, not dense steps */
    bool overlaps;        /* results are delayed: steps overlap */
    bool whole_steps;     /* the basis is the step, else the time inside wirewise; alike on all
                             ranks: buckets_agree chooses */
    struct ww_ledger totals;
    struct yardstick dense;   /* of all buckets */
    struct interval model;    /* seconds of all buckets, dense; mean 0 = no wires were measured */
    struct interval modelled; /* saved, by the model, in all steps */
    struct interval past;     /* saved under earlier menus */
    bool past_known;
    uint64_t slowest[64]; /* steps by rank modulo 64, each of: */
    int slowest_rank[64];
    uint64_t steps_sent; /* to other hosts, by both lanes, since they were made ... */
    atomic_ullong calls_sent;
    uint64_t sent_since; /* ... and when account began */
    struct audit_counters counted_since;
    struct energy_counters energy_since; /* read at energy_ns, as the next */
    struct gpu_meter gpu_meter;
    struct nvlink_meter nvlink_meter;
    uint64_t energy_ns;
    struct ww_report held; /* where results are delayed: of the latest step, for a line that comes
                              once it is known what was drained behind it; step 0 = none */
    uint64_t held_ns;
    uint64_t first_step;        /* of the lines */
    uint64_t charged_ns;        /* what comparing took in all steps, beyond probes themselves */
    uint64_t meeting_ns;        /* the least that all ranks took to meet; 0 = they did not yet */
    unsigned told_units;        /* bits of those whose first choice was told */
    struct codec_spec named;    /* in totals.codec */
    bool told_loss;             /* that encoding costs time */
    struct outputs *outputs;    /* NULL = none */
    struct bucket_times *times; /* [bucket_count], for outputs */
    void *shadow;               /* what they sum, [shadow_bytes] */
    size_t shadow_bytes;

    /* The present step. */
    atomic_ullong handover_ns; /* spent in handing residuals on, which is no part of an arm */
    uint64_t encode_ns;
    uint64_t decode_ns;
    uint64_t delay_ns;    /* the engine's, at the begin, ... */
    uint64_t ending_ns;   /* ... and when the caller came to end it, where it makes progress */
    uint64_t waited_ns;   /* by the caller for late ranks, since then */
    uint64_t shadow_ns;   /* spent in shadows, ... */
    uint64_t agreeing_ns; /* ... and in deciding together */
    bool encodes;         /* something is encoded, by some rank */
    bool was_home;        /* how it went: all units at home, or ... */
    bool was_probe;       /* ... dense to be compared with (or it had shadows) */
    bool race_tells;      /* what it saved, where probes do not yet: */
    struct interval race_saving;
    double probe_s; /* the basis of a dense one; 0 = it was none */
};

#endif
