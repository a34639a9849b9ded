/* SPDX-License-Identifier: BSD-3-Clause
 * ledger.h: what all steps of a run sent, cost and saved. docs/ledger.md tells how savings are
 * known; the files of a run hold the same numbers. */
#ifndef WIREWISE_LEDGER_H
#define WIREWISE_LEDGER_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the ledger claims that this host sent to others, beside what the kernel counted meanwhile.
 * Taken when it is read; it costs a few files of /proc and /sys. */
struct ww_audit {
    uint64_t claimed_bytes;  /* payload and control of this host's ranks. It is known while all its
                                ranks see each other's memory; else this rank's own */
    int ranks;               /* so many ranks' */
    bool counted;            /* a counter was readable, and what was claimed left through it */
    char interface[32];      /* the one that sent the most: "eth0", "mlx5_0/1"; with others where
                                it cannot have carried it all: "mlx5_0/1 and 7 more" */
    uint64_t counted_bytes;  /* that it sent, or they */
    uint64_t overhead_bytes; /* of these, framing: 66 bytes of Ethernet, IP and TCP with time stamps
                                for every packet it counted; what a card cuts up itself counts as
                                one. None for InfiniBand */
    double unexplained;      /* (counted - claimed - overhead) / claimed */
    bool linked;             /* NVML counts what this host's GPUs send each other by NVLink. False:
                                no NVML, GPU or link, or one stopped answering; then these are 0 */
    uint64_t nvlink_sent_bytes; /* by all GPUs that NVML shows, for whatever program. Nothing
                                   of it is in claimed_bytes, which leave the host */
    uint64_t nvlink_received_bytes;
};

/* Totals since the context was made. */
struct ww_ledger {
    size_t struct_bytes; /* sizeof(struct ww_ledger), set by WW_LEDGER_INIT */
    uint64_t steps;
    uint64_t probes; /* of these, went dense to be compared with, or had shadows that did */
    int size;        /* ranks */
    int levels;
    struct ww_level_report level[WW_LEVELS_MAX];
    uint64_t payload_bytes;
    uint64_t control_bytes;
    uint64_t shadow_bytes; /* sent by shadows, not in any level's */
    double step_s;
    double communication_s;
    double exposed_s;
    double encode_s;
    double decode_s;
    double skew_s;
    double ledger_s;
    int slowest_rank;        /* the one most often waited for; -1 = nobody */
    uint64_t slowest_steps;  /* so often */
    struct ww_savings saved; /* of all steps; probes, which save nothing, are among them */
    double dense_s;          /* what a step's basis took by the latest probes, and ... */
    double coded_s;          /* ... beside them; 0 = there were none */
    const char *basis;       /* "exposed" or "step": what is compared; static */
    char codec[24];          /* of the latest step */
    uint64_t encoded;        /* elements; of these, ... */
    uint64_t chosen;         /* ... sent */
    uint64_t wild;           /* ... not finite */
    double residual_norm;    /* as in struct ww_report */
    double captured;
    uint64_t policy_changes;                  /* how often "auto" chose anew */
    uint64_t staleness[WW_STALENESS_MAX + 1]; /* steps' results that came, by how many other results
                                                 were taken since their gradients were made */
    double energy_j; /* of this host's processors; -1 = not readable (powercap) */
    struct ww_audit audit;
    double gpu_energy_j; /* of all GPUs that NVML shows on this host, whoever uses them; -1 = not
                            readable: no NVML or GPU, or one that cannot tell (before Volta) */
};
#define WW_LEDGER_INIT                                                                             \
    {                                                                                              \
        sizeof(struct ww_ledger), 0, 0, 0, 0, {{NULL, 0, 0, 0, 0, 0}}, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
            0, -1, 0, {0, 0, 0, WW_EVIDENCE_DENSE}, 0, 0, NULL, "", 0, 0, 0, 0, 0, 0, {0}, -1,     \
            {0, 0, false, "", 0, 0, 0, false, 0, 0}, -1                                            \
    }

/* Reads the totals of this rank. Between steps. Not collective.
 * Returns WW_OK, WW_BAD_ARGUMENT, WW_BAD_STATE (a step is open, or nothing was committed). */
WW_API enum ww_status ww_ledger_read(struct ww_context *context, struct ww_ledger *ledger);

/* A table of a dozen lines for people, each with a line feed. Returns the bytes it needs, as
 * snprintf does. */
WW_API size_t ww_ledger_print(const struct ww_ledger *ledger, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
