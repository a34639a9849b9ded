/* SPDX-License-Identifier: BSD-3-Clause
 * cluster.h: an engine per rank over the simulated fabric, driven by one loop. */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include "algorithms/algorithm.h"
#include "engine.h"
#include "internal/log.h"
#include "sim_transport.h"

struct cluster_options {
    struct sim_options sim;
    int ranks_per_host;
    double timeout_s;
    bool bare;          /* the fabric leaves out what it may */
    bool seen;          /* ranks of one host see each other's memory */
    double cache_bytes; /* of a host; 0 = unknown */
};

struct exercise;

struct member {
    struct topology topology;
    struct engine *engine;
    int next;                          /* in the cluster's programme: what it starts next */
    enum ww_status status;             /* of the latest engine_advance */
    uint64_t ended_ns;                 /* when that was not WW_PENDING any more */
    char sentence[LOG_SENTENCE_BYTES]; /* first error that this rank logged, "" */
    char warning[LOG_SENTENCE_BYTES];  /* likewise */
};

struct cluster {
    struct cluster_options options;
    struct sim *sim;
    int size;
    struct member *members; /* [size] */
    struct kernels kernels;
    uint64_t chance;            /* in which order ranks look at memory */
    int current;                /* rank that is being advanced; -1 = none */
    struct exercise *programme; /* what every rank starts, in this order, when it has room */
    int programme_length;
};

/* A timeout of 10 s, 4 ranks per host. */
struct cluster_options cluster_options(int size, uint64_t seed);

/* Aborts the test program on failure. One cluster at a time: it takes the logger's sink. */
struct cluster *cluster_create(const struct cluster_options *options);
void cluster_destroy(struct cluster *cluster);

/* Advances everybody who started something, as messages arrive, until nobody is pending or the
 * virtual clock reached limit_s. True when nobody alive is pending. */
bool cluster_run(struct cluster *cluster, double limit_s);

/* Every rank is to start these, in order, as soon as its engine has room: cluster_run does it.
 * Borrowed until then. */
void cluster_schedule(struct cluster *cluster, struct exercise *programme, int length);

/* ---- A collective on all ranks, with buffers whose ends a sanitizer watches ------------------ */

struct job {
    enum collective collective;
    const char *algorithm;
    bool hierarchical; /* the algorithm is the top */
    bool announced;    /* the values travel with the announcement instead */
    int root;
    size_t count; /* as in struct run_request */
    enum ww_type type;
    enum ww_op op;
    size_t segment_bytes;
    int window;
    bool in_place;
    uint32_t label;
    struct codec_spec codec; /* where the algorithm needs one */
};

/* An algorithm that ranks need each other's sight for takes a cluster of one host that has it. */
void cluster_options_suit(struct cluster_options *options, const struct job *job);

/* Whether it can run between the owners of a hierarchy, who may be on different hosts. */
bool algorithm_sends(const struct algorithm *algorithm);

/* 4 KiB segments, 2 in flight, a sum of f32; where it is encoded, as fp16, which is exact here. */
struct job job_of(enum collective collective, const char *algorithm, size_t count);

struct exercise {
    struct cluster *cluster;
    struct job job;
    struct plan **plans; /* [size] */
    uint8_t **inputs;    /* [size] of own memory; NULL in place */
    uint8_t **outputs;   /* [size] */
};

/* Makes plans and buffers, filled with small whole numbers, and reserves in every engine: before
 * anything runs. */
struct exercise exercise_init(struct cluster *cluster, const struct job *job);
void exercise_finish(struct exercise *exercise);

/* Starts it on one rank, or on all in a seeded order. */
void exercise_start(struct exercise *exercise, int rank);
void exercise_start_all(struct exercise *exercise);

/* The rank whose result is not the exact one, -1 when all are right. */
int exercise_wrong_rank(const struct exercise *exercise);

/* Overwrites the inputs with arbitrary fractions: order of additions then shows in the bits. */
void exercise_fill_fractions(struct exercise *exercise);

/* Where rank's result begins, and its bytes. */
const uint8_t *exercise_result(const struct exercise *exercise, int rank);
size_t exercise_result_bytes(const struct exercise *exercise);

/* The bytes that all ranks together must have sent, by their plans. */
uint64_t exercise_planned_bytes(const struct exercise *exercise);

/* Bytes of data that all engines' fabrics sent, and that the engines planned. */
void cluster_bytes(const struct cluster *cluster, uint64_t *sent, uint64_t *planned);

#endif
