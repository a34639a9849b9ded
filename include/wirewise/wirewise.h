/* SPDX-License-Identifier: BSD-3-Clause
 * wirewise.h: moves gradients between ranks and tells what each step cost.
 *
 * A program's life:  make a world  ->  ww_context_create  ->  ww_tensor_add ...  ->
 * ww_tensors_commit  ->  { ww_step_begin, ww_tensor_start ..., ww_step_end } per step  ->
 * ww_context_destroy.  Single calls (ww_all_reduce ...) may stand anywhere in between.
 *
 * Every call returns an enum ww_status; ww_last_error gives the whole sentence. Outputs are
 * written only when the status is WW_OK, unless a comment says otherwise. What waits for other
 * ranks returns when they came, one failed, or timeout_s is over: a signal whose handler returns
 * does not end the wait, so an interpreter that calls from its main thread hears Ctrl-C only then.
 *
 * Where dlopen brought the library, dlclose leaves it in the process.
 *
 * Sizes ending in _bytes are bytes, counts are elements, times ending in _s are seconds. */
#ifndef WIREWISE_H
#define WIREWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <wirewise/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WW_VERSION_MAJOR 0
#define WW_VERSION_MINOR 1
#define WW_VERSION_PATCH 0
#define WW_VERSION_TEXT "0.1.0"

/* "0.1.0" of the library that is loaded, which may differ from the header's. */
WW_API const char *ww_version(void);

struct ww_context;
struct ww_tensor;
struct ww_transport; /* wirewise/transport.h */

/* Element types. 16-bit types are summed in fp32 and rounded once, at the end. */
enum ww_type {
    WW_F32,
    WW_F64,
    WW_F16,  /* IEEE 754 binary16 */
    WW_BF16, /* upper half of an fp32 */
    WW_I32,
    WW_I64,
    WW_TYPE_COUNT
};

/* Reductions. Rules:
 *   mean   the sum times 1/size, rounded to the type; refused for integers.
 *   sum    of integers wraps modulo 2^32 or 2^64.
 *   NaN    a NaN from any rank makes that element NaN, for min and max as well; Inf follows
 *          IEEE 754. Every rank gets the same bits.
 *   order  the order of additions follows from the plan, hence from the number of ranks, which of
 *          them share hosts, the count and the type, and between hosts from what the wires cost. It
 *          does not change within a run, nor between runs under WW_DETERMINISTIC_PLAN. */
enum ww_op { WW_SUM, WW_MEAN, WW_MIN, WW_MAX, WW_OP_COUNT };

/* Bytes of one element; 0 for a value that is no type. */
WW_API size_t ww_type_bytes(enum ww_type type);

/* ---- World: who takes part ------------------------------------------------------------- */

/* What the host program tells about its ranks. wirewise/mpi.h makes one from a communicator,
 * ww_local_world_rank makes one for threads of one process, and any launcher can fill it. */
struct ww_world {
    size_t struct_bytes; /* sizeof(struct ww_world), set by WW_WORLD_INIT */
    int rank;            /* 0 .. size - 1 */
    int size;            /* >= 1 */

    /* Gathers `bytes` from every rank into all[size * bytes], in rank order; 0 = success.
     * Called by all ranks, only inside ww_context_create, ww_tensors_commit and ww_cuda_attach, on
     * the thread that makes the call. May be NULL when size is 1. */
    int (*all_gather)(void *self, const void *mine, void *all, size_t bytes);
    void *self; /* handed to all_gather and to the transport */

    /* The fabric between hosts; inside a host shared memory carries what it can. NULL = there is
     * none: ranks on several hosts are refused with a sentence. */
    const struct ww_transport *transport;
};
#define WW_WORLD_INIT                                                                              \
    {                                                                                              \
        sizeof(struct ww_world), 0, 1, NULL, NULL, NULL                                            \
    }

/* Ranks that are threads of one process. create makes the meeting place (size 1 .. 1024), rank
 * fills *world for one of its ranks, destroy frees it at once: first destroy every context made
 * from it.
 * Thread   any.
 * Returns  WW_OK, WW_BAD_ARGUMENT, WW_NO_MEMORY. */
struct ww_local_world;
WW_API enum ww_status ww_local_world_create(int size, struct ww_local_world **local);
WW_API enum ww_status ww_local_world_rank(struct ww_local_world *local, int rank,
                                          struct ww_world *world);
WW_API void ww_local_world_destroy(struct ww_local_world *local);

/* ---- Config: every setting has one row, in runtime/config.c ------------------------------- */

enum ww_progress {
    WW_PROGRESS_AUTO, /* a thread where MPI's thread level, the cores and the system's limits allow
                         it */
    WW_PROGRESS_INLINE, /* inside ww_tensor_start, _skip and _wait, ww_step_begin, _end and _drain,
                           ww_progress and single calls of the same context: with several, all
                           ranks wait in the same order, or call ww_progress for each */
    WW_PROGRESS_THREAD  /* a thread of the runtime; an error where that is not possible */
};
enum ww_deterministic {
    WW_DETERMINISTIC_OFF, /* the order in which buckets leave follows rank 0's backward pass */
    WW_DETERMINISTIC_PLAN /* plans and order frozen: the same run gives the same bits */
};
enum ww_calibrate {
    WW_CALIBRATE_AUTO, /* where a choice depends on it: several hosts, or levels inside a host */
    WW_CALIBRATE_OFF,
    WW_CALIBRATE_ALWAYS
};
enum ww_feedback {
    WW_FEEDBACK_AUTO, /* for int8 and topk; fp16 and bf16 round so little that it hardly helps */
    WW_FEEDBACK_OFF,
    WW_FEEDBACK_ON
};
enum ww_probe {
    WW_PROBE_AUTO,   /* steps, but off under deterministic=plan */
    WW_PROBE_OFF,    /* never: savings are modelled */
    WW_PROBE_STEPS,  /* some steps go dense, residuals and all: slower, and more exact, than others
                      */
    WW_PROBE_SHADOWS /* after some steps as much is reduced again, densely, and thrown away: no
                        result changes. What that sends is in no step's report, but in the
                        ledger's audit (claimed_bytes) */
};
enum ww_log_level { WW_LOG_ERROR, WW_LOG_WARN, WW_LOG_INFO, WW_LOG_DEBUG };

#define WW_STALENESS_MAX 8

/* Settings. Fill with WW_CONFIG_INIT, then change fields. The environment overrides a field by
 * the variable WIREWISE_<FIELD IN CAPITALS>; sizes take K, M, G (binary). All ranks must agree
 * on all but timeout_s, progress, mpi_quiet, log_level, host, place, nccl, calibration_file and
 * those of the ledger's files (ledger, ledger_bytes, metrics, trace, run, labels): a difference is
 * WW_MISMATCH in ww_context_create, named. */
struct ww_config {
    size_t struct_bytes;       /* sizeof(struct ww_config), set by WW_CONFIG_INIT */
    size_t bucket_bytes;       /* small tensors travel together up to this size */
    size_t segment_bytes;      /* piece that slides through a plan; 0 = chosen */
    int segments_in_flight;    /* 1 .. 16; 0 = chosen */
    double timeout_s;          /* a collective without any progress for so long fails. What a rank
                                  spends suspended or computing does not count, where that is a
                                  second and a quarter of this at a stretch, or more */
    const char *algorithm;     /* of all-reduces: "auto", a name that `wirewise plan --list` has for
                                  them, or "hierarchical+ring" and its like, which sum within each
                                  level first, "hosts+ring" only within hosts */
    enum ww_op gradient_op;    /* WW_MEAN or WW_SUM, what a step does with gradients */
    enum ww_progress progress; /* see above */
    enum ww_deterministic deterministic;
    bool mpi_quiet;              /* promise: no MPI call by the program between ww_step_begin and
                                    ww_step_end; lets a thread run under MPI_THREAD_SERIALIZED */
    enum ww_log_level log_level; /* of this process, on stderr; standard streams that are closed
                                    when a context is made become /dev/null. A line waits about a
                                    second for a pipe's reader, then it is left out, which the next
                                    line that finds room tells */
    const char *host;            /* name of this rank's host; ranks that give the same name count as
                                    one host. NULL = found out (those that can meet in memory) */
    bool shared_memory;          /* ranks of one host meet in memory where the system allows it;
                                    false = messages only */
    const char *place;           /* of this rank's host, "site/rack/rail", "rack/rail" or "rail";
                                    parts may be empty. NULL = found out (Slurm's topology) */
    bool discover;               /* the lowest rank of each host looks at its machine, once per
                                    process and up to a second; false = only what is cheap */
    enum ww_calibrate calibrate; /* measure the wires when a context is made, so that choices suit
                                    them */
    double calibrate_s;          /* how long that may take, about; a third of it is for wires, and
                                    hardly needed where calibration_file has them. Ways that differ
                                    by a few percent are told apart in 10 s better than in the
                                    usual 0.3 */
    const char *calibration_file; /* where rank 0 keeps measurements for later jobs; "auto" =
                                     wirewise/calibration in $XDG_CACHE_HOME or ~/.cache, "none" =
                                     nowhere */

    /* Compression of what steps send, see "Codecs" below. By default there is none. */
    const char *codec;               /* "none", "fp16", "bf16", "int8", "topk:0.01" ... */
    enum ww_feedback error_feedback; /* what encoding leaves out is added in the next step */
    size_t codec_least_count;        /* tensors with fewer elements, and those of less than two
                                        dimensions (norms, biases), travel as they are */
    int density_warmup_steps;        /* topk begins at 0.25 and comes to its density within so many
                                        steps, by 64 equal factors */
    double momentum;                 /* of all fp32 tensors, 0 .. 0.9999: kept here and sent
                                        instead of the gradient, with topk corrected; the
                                        optimizer's own must be 0 then. 0 = none */
    bool momentum_masking;           /* with topk, momentum starts anew where an element is sent;
                                        what that takes away is lost. false = it goes on, and not
                                        a bit of it is lost, as with the other codecs */
    double clip_norm;                /* the results of a step are scaled down to this L2 norm of all
                                        fp32 and fp64 gradients together; 0 = not. Results are
                                        there after ww_step_end only: ww_tensor_wait is refused.
                                        fp64 beyond 1e150 is not clipped */
    const char *codecs_allowed;      /* what codec "auto" may choose among, "fp16,int8,topk:0.01";
                                        dense is always among them; "none" = only that */
    enum ww_probe probe;             /* how savings are known, see "The ledger" */

    /* Delayed results, docs/async.md: see "Delayed results" below. */
    int staleness; /* 0 .. WW_STALENESS_MAX: results come so many steps after their gradients,
                      and travel meanwhile; 0 = ww_step_end waits for its own step's */
    bool allow_stale_topk; /* top-k although staleness is 2 or more, which harms training */

    /* The ledger, docs/ledger.md. Files are written by rank 0, or by every rank where the name has
     * a %r, which becomes the rank. "" or NULL = none. */
    const char *ledger;  /* a line of JSON for every step */
    size_t ledger_bytes; /* it grows to this size at most: then a line is about several steps */
    const char *metrics; /* Prometheus text, written anew every few seconds */
    const char *trace;   /* Chrome trace of buckets and their phases, up to ledger_bytes */
    const char *run;     /* a name for this run, up to 63 bytes; it travels into those files */
    const char *labels;  /* "team=vision,cluster=b": likewise */

    /* What a slower cluster would do, tried on one host: "hosts=2,rate=1gbit,latency=20us" lets the
     * ranks count as that many hosts (groups of neighbouring ranks, as even as can be) and delays
     * what they send to each other, as if each host had one port of that rate in each direction,
     * for this context alone: others have ports of their own.
     * Rates in kbit, mbit, gbit or KB, MB, GB, a second; latency one way in ns, us, ms. Parts may
     * be left out: 2 hosts, any rate, no latency. Payload is counted, without frames of a network.
     * Times are of that imitation, and rank 0 says so in a warning. NULL or "" = wires as they are;
     * refused where there are several real hosts */
    const char *shape;

    const char *nccl; /* for gradients on GPUs (wirewise/cuda.h): file or name of NCCL's library;
                         "auto" = libnccl.so.2, "none" = through the host's memory */
};
#define WW_CONFIG_INIT                                                                             \
    {                                                                                              \
        sizeof(struct ww_config), 4 << 20, 0, 0, 600.0, "auto", WW_MEAN, WW_PROGRESS_AUTO,         \
            WW_DETERMINISTIC_OFF, false, WW_LOG_INFO, NULL, true, NULL, true, WW_CALIBRATE_AUTO,   \
            0.3, "auto", "none", WW_FEEDBACK_AUTO, 16384, 0, 0, true, 0, "none", WW_PROBE_AUTO, 0, \
            false, NULL, 64 << 20, NULL, NULL, NULL, NULL, NULL, "auto"                            \
    }

/* ---- Context: this rank's end of one group of ranks ---------------------------------------- */

/* Makes a context. All ranks of the world call it. Any number of contexts may exist at once,
 * over the same or different worlds; each has messages of its own.
 * world    copied, except self, which must outlive the context
 * config   copied, its texts too; NULL = WW_CONFIG_INIT
 * Waits    for every rank to call it, as long as the world's all_gather does, whatever timeout_s:
 *          over MPI for ever (a warning tells after a minute, and later again), in a world from the
 *          environment for ten minutes
 * Thread   any; a context belongs to the process that made it: after fork the child's calls
 *          return WW_BAD_STATE.
 * Returns  WW_OK; WW_BAD_ARGUMENT, WW_BAD_CONFIG, WW_BAD_STATE (MPI does not allow this thread),
 *          WW_UNSUPPORTED, WW_NO_MEMORY, WW_MISMATCH, WW_TIMED_OUT, WW_PEER_FAILED,
 *          WW_TRANSPORT_FAILED. On an error *context is NULL and ww_last_error(NULL) tells why. */
WW_API enum ww_status ww_context_create(const struct ww_world *world,
                                        const struct ww_config *config,
                                        struct ww_context **context);

/* Ends a context: all ranks call it, before MPI_Finalize. A step under way is abandoned, and so are
 * delayed results on their way, of which a warning tells the number. Peers that wait for this rank
 * in such a step, or in one more, fail with WW_MISMATCH a second later. NULL is fine. After a
 * failure it does not wait for other ranks. Frees the context's tensors. */
WW_API void ww_context_destroy(struct ww_context *context);

/* -1 for NULL. */
WW_API int ww_rank(const struct ww_context *context);
WW_API int ww_size(const struct ww_context *context);

/* The latest error of this context as one sentence: what, which rank and host, both values, what
 * to do. NULL asks for the calling thread's latest error (ww_context_create has no context yet).
 * Never NULL; "" when there was none. Valid until the context's next failing call.
 * After a failure amid a collective (WW_MISMATCH, WW_TIMED_OUT, WW_PEER_FAILED,
 * WW_TRANSPORT_FAILED, WW_NO_MEMORY) the peers are told and the context is broken: every later call
 * on it returns that status again. A call refused for its arguments breaks nothing; peers wait for
 * it to be made again. */
WW_API const char *ww_last_error(const struct ww_context *context);

/* ---- Memory that needs no copy -----------------------------------------------------------------
 * Ranks of one host see this memory in each other: a collective whose buffers all lie in it, on
 * every rank, reads and writes them in place and is about twice as fast. Any other memory works as
 * well, through copies. */

/* bytes    0 gives NULL; the memory is zero, aligned to 4096, and on huge pages where the kernel
 *          allows it and the size is 2 MiB or more
 * *memory  the program's until ww_free, or until ww_context_destroy, which frees what is left; it
 *          stays readable after a failure
 * Fork     a child shares this memory with its parent instead of getting a copy of it
 * Thread   any. Not collective: ranks may allocate what and when they like.
 * Returns  WW_OK; WW_BAD_ARGUMENT, WW_BAD_STATE (after fork), WW_NO_MEMORY. Where ranks cannot see
 *          each other's memory it is plain memory. */
WW_API enum ww_status ww_alloc(struct ww_context *context, size_t bytes, void **memory);

/* Gives it back; not while a collective works in it: WW_BAD_STATE, and nothing is freed, while a
 * tensor that was handed over there is under way (beside another thread's ww_step_end it may still
 * seem so). Any thread. NULL is fine. WW_BAD_ARGUMENT for anything that ww_alloc of this context
 * did not give. */
WW_API enum ww_status ww_free(struct ww_context *context, void *memory);

/* Writes one setting a line into text: name, value, origin (default, program, environment),
 * variable, help. Returns the bytes the whole text needs, as snprintf does. */
WW_API size_t ww_config_print(const struct ww_context *context, char *text, size_t bytes);

/* ---- Steps: a trainer with its own buffers --------------------------------------------------
 * Register once, in the same order on all ranks; then per step hand each gradient over as soon
 * as it is ready, in any order, and end the step. Tensors of one type that were registered next
 * to each other travel together in buckets of up to bucket_bytes. A bucket whose gradients lie
 * next to each other in memory, in that order, is reduced in place; others are gathered into
 * memory of the runtime first. */

/* Registers one tensor.
 * name     unique in the context, 1 .. 127 bytes; copied
 * dims     0 .. 8 (0 = a scalar); shape[dims] elements per dimension, 0 allowed
 * *tensor  owned by the context
 * Thread   one at a time, before ww_tensors_commit
 * Returns  WW_OK, WW_BAD_ARGUMENT, WW_BAD_STATE, WW_NO_MEMORY, WW_UNSUPPORTED (an integer type
 *          while gradient_op is WW_MEAN). */
WW_API enum ww_status ww_tensor_add(struct ww_context *context, const char *name, enum ww_type type,
                                    int dims, const size_t *shape, struct ww_tensor **tensor);

/* Agrees on the layout with all ranks and makes the buckets. All ranks call it, once.
 * Returns  WW_OK; WW_MISMATCH names the first tensor that differs, the rank and both forms;
 *          WW_BAD_STATE when called twice or without tensors; WW_NO_MEMORY; WW_TIMED_OUT,
 *          WW_PEER_FAILED, WW_TRANSPORT_FAILED. */
WW_API enum ww_status ww_tensors_commit(struct ww_context *context);

/* Begins a step. Thread: the one that will end it. Returns WW_OK, WW_BAD_STATE. */
WW_API enum ww_status ww_step_begin(struct ww_context *context);

/* Hands one gradient over and returns at once; the result replaces it in place. (With staleness the
 * result is an earlier step's, see "Delayed results".)
 * values   count elements of the registered type, aligned to the type; the runtime's from now
 *          until ww_tensor_wait, ww_step_end or, where the step is abandoned (an exception),
 *          ww_context_destroy returns; may lie elsewhere in every step.
 *          NULL only when the tensor has no elements.
 * Thread   any, one caller per tensor.
 * Returns  WW_OK, WW_BAD_ARGUMENT, WW_BAD_STATE (no step, or already started or skipped). */
WW_API enum ww_status ww_tensor_start(struct ww_tensor *tensor, void *values);

/* Says that this rank has no gradient for the tensor in this step (unused, frozen): it counts as
 * zeros. values receives the result, or NULL where this rank does not want it.
 * Thread, Returns  as ww_tensor_start. */
WW_API enum ww_status ww_tensor_skip(struct ww_tensor *tensor, void *values);

/* Waits until the result of a started or skipped tensor is in place, so that an optimizer can
 * begin before the step's end. A bucket leaves when all its tensors were started and those ahead of
 * it in the agreed order have left, at first those of tensors registered later: what another thread
 * has yet to hand over there is waited for, as long as timeout_s.
 * Thread   any. Returns WW_OK, WW_BAD_STATE (not started, or a tensor of the same bucket was not,
 *          or one ahead never was, which is named) or the step's failure. */
WW_API enum ww_status ww_tensor_wait(struct ww_tensor *tensor);

/* Lets inline progress advance; cheap, never blocks. WW_OK, or the step's failure. */
WW_API enum ww_status ww_progress(struct ww_context *context);

/* ---- Codecs: compression of what steps send --------------------------------------------------
 * A codec turns fp32 values into a frame: lossy, so nothing is encoded unless the program or the
 * environment says so. Between hosts the ranks of one host first sum densely, and each encodes its
 * part of the host's sum; where all ranks share one host, each encodes its own gradients.
 *   none         fp32 as it is
 *   fp16         half the bytes; a power of two for every 65536 values keeps them in range: finite
 *                values never overflow
 *   bf16         half the bytes, 8 bits of precision
 *   int8         a quarter; blocks of 256 share a scale
 *   topk:D       the share D (0 < D <= 1) with the largest magnitudes, as 16-bit offsets and bf16
 *   topk:D:fixed the same number of every 65536 values, so that all frames are equally long
 * Sums are made in fp32, values are encoded twice at most whatever the number of ranks, and all
 * ranks end with the same bits.
 * Error feedback keeps, at each place that encodes, exactly what was left out, and adds it there
 * in the next step: for every element fl(sent + kept) == fl(gradient + kept before). Residuals
 * belong to places in the registered tensors: a change of codec or plan hands them on. They are in
 * units of the sum of all ranks, and take 8 bytes per element of coded tensors (4 for the step
 * before, so that a step can be discarded); momentum takes 8 more.
 * NaN and infinity never enter them: the result is not finite either on any rank (NaN with int8;
 * with topk:D:fixed at least one element), and the report names a rank that encoded them. */

/* Overrides the codec of one tensor, also of a small one; NULL = by the config again. Not "auto",
 * which is for a whole context. Before ww_tensors_commit, alike on all ranks.
 * Returns  WW_OK, WW_BAD_ARGUMENT, WW_BAD_STATE, WW_UNSUPPORTED (only fp32 is encoded). */
WW_API enum ww_status ww_tensor_codec(struct ww_tensor *tensor, const char *codec);

/* Changes the codec of all large tensors without an override, from the next step on. Between steps,
 * by all ranks alike: a difference is WW_MISMATCH in that step. Residuals go on. Before
 * ww_tensors_commit it takes the place of the config's. Where the codec was "none" at
 * ww_tensors_commit large and small tensors share buckets, and it is refused, as where no tensor is
 * large or all those have overrides.
 * Returns WW_OK, WW_BAD_ARGUMENT, WW_NO_MEMORY; WW_BAD_STATE inside of a step, or refused. */
WW_API enum ww_status ww_step_codec(struct ww_context *context, const char *codec);

/* Says that the fp32 and fp64 gradients of this step are `scale` times the true ones (loss
 * scaling): they are divided by it before anything else, so that results and residuals are true.
 * Right after ww_step_begin, before any tensor is handed over; by all ranks alike: a difference
 * that fp32 can tell is WW_MISMATCH in that step. scale > 0 and finite. Returns WW_OK,
 * WW_BAD_ARGUMENT, WW_BAD_STATE. */
WW_API enum ww_status ww_step_loss_scale(struct ww_context *context, double scale);

/* Takes back what the last step did to residuals and momentum, bit for bit: for a program that
 * throws the step's results away, because they are not finite. After ww_step_end and before the
 * next ww_step_begin, by all ranks: a difference is WW_MISMATCH in the next step.
 * Returns WW_OK, WW_BAD_STATE (no step to take back, or results are delayed). */
WW_API enum ww_status ww_step_discard(struct ww_context *context);

/* One level of the hierarchy in a report: what crossed the wires of that level. Level 0 is the
 * innermost; the last one is the host's own where all ranks share one, else the network between
 * hosts. */
#define WW_LEVELS_MAX 8
struct ww_level_report {
    const char *name;       /* "cache", "NUMA", "package", "island", "host", "rail", "rack",
                               "site", "network"; static */
    uint64_t sent_bytes;    /* payload this rank sent, counted by the transport */
    uint64_t planned_bytes; /* the same by the plans that ran; equal for dense plans */
    uint64_t dense32_bytes; /* by the plans that the same step would have run densely, fp32 */
    uint64_t dense16_bytes; /* and the same with the fp32 gradients in a 16-bit type */
    uint64_t messages;      /* sends handed to the fabric */
};

/* How a saving is known. */
enum ww_evidence {
    WW_EVIDENCE_DENSE,        /* nothing was encoded: nothing to compare */
    WW_EVIDENCE_INSUFFICIENT, /* too few probes; without, no measured wires; or results are delayed
                               */
    WW_EVIDENCE_MODELLED,     /* by what the wires cost */
    WW_EVIDENCE_MEASURED      /* by probes, or while codecs were tried */
};

/* Seconds that encoding saved, or cost: they are negative then. */
struct ww_savings {
    double seconds;
    double least_s; /* 95 % interval; both ends are infinite with insufficient data */
    double most_s;
    enum ww_evidence evidence;
};

/* What one step cost this rank. */
struct ww_report {
    size_t struct_bytes;    /* sizeof(struct ww_report), set by WW_REPORT_INIT */
    uint64_t step;          /* 1 for the first */
    uint64_t version;       /* the step whose results came: this one, or an earlier one where they
                               are delayed; 0 = none, there are none yet. What encoding did, codec,
                               wild values and norms are told of that step; bytes and seconds are
                               since the report before */
    int size;               /* ranks */
    int tensors;            /* registered */
    int skipped;            /* of these, skipped here in this step */
    int buckets;            /* collectives that ran */
    uint64_t payload_bytes; /* all gradients of this rank, in their own types */
    uint64_t sent_bytes;    /* sum over levels */
    uint64_t dense_bytes;   /* sent by the best dense plan in fp32: 2 (size - 1) / size of the
                               elements * 4 bytes (bandwidth bound of reduce-scatter plus
                               all-gather, Patarasuk & Yuan 2009) */
    uint64_t control_bytes; /* agreement and order messages, not in sent_bytes */
    uint64_t shadow_bytes;  /* sent by the step's shadows (enum ww_probe), not in sent_bytes */
    int levels;
    struct ww_level_report level[WW_LEVELS_MAX];
    double step_s;          /* from ww_step_begin to the end of ww_step_end */
    double communication_s; /* while at least one bucket was on its way */
    double exposed_s;       /* the caller's time inside wirewise: what overlap did not hide. While
                               several of its threads are inside it counts once */
    uint64_t encoded;       /* elements that this rank encoded ... */
    uint64_t chosen;        /* ... and sent: fewer with topk */
    uint64_t wild;          /* ... and found not finite */
    int wild_rank;          /* the lowest rank that encoded something not finite, its own gradient,
                               its host's sum or the sum of a part, as far as this rank was told;
                               -1 = none */
    int wild_bucket;        /* the first bucket with such values, counted from the tensors
                               registered last; -1 = none */
    double masked;          /* sum of |momentum| that momentum correction discarded here */
    double gradient_norm;   /* L2, of all fp32 and fp64 results before clipping; 0 unless clip_norm
                               asks for it */

    /* The ledger's part. */
    char codec[24];  /* how most of the gradients travelled: "none", "int8" ... */
    bool probe;      /* this step went dense to be compared with, or had a shadow that did */
    double encode_s; /* in encoding, and in decoding and adding: of whichever thread does it */
    double decode_s;
    double skew_s;    /* waiting at the gate for the slowest rank while nothing moved */
    int slowest_rank; /* the one waited for the longest in this step; -1 = nobody, or unknown */
    double ledger_s;  /* what comparing cost: more than a usual step, for a probe */
    struct ww_savings saved;
    uint64_t timed_step;  /* on a GPU: the step that communication_s, encoded, chosen and wild are
                             of, the latest one it had finished; 0 = none since the report before,
                             or gradients are not on one */
    double residual_norm; /* L2, of what error feedback keeps here, when it was last looked at;
                             -1 = never, or none is kept */
    double captured;      /* the share of squares that was sent then; -1 likewise */
};
#define WW_REPORT_INIT                                                                             \
    {                                                                                              \
        sizeof(struct ww_report), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {{NULL, 0, 0, 0, 0, 0}}, 0,  \
            0, 0, 0, 0, 0, -1, -1, 0, 0, "", false, 0, 0, 0, -1, 0, {0, 0, 0, WW_EVIDENCE_DENSE},  \
            0, -1, -1                                                                              \
    }

/* Ends the step: waits for all buckets. All ranks call it; with several contexts, in the same order
 * on all of them, also where threads make progress, as ranks agree in it on more than results.
 * When a tensor was neither started nor skipped, the step fails on every rank with its name
 * (WW_BAD_STATE here, WW_PEER_FAILED there).
 * report   filled on WW_OK; may be NULL.
 * Returns  WW_OK; WW_BAD_ARGUMENT (a report without WW_REPORT_INIT: the step is open still);
 *          WW_BAD_STATE; WW_MISMATCH, WW_TIMED_OUT, WW_PEER_FAILED, WW_TRANSPORT_FAILED. */
WW_API enum ww_status ww_step_end(struct ww_context *context, struct ww_report *report);

/* ---- Delayed results: the network works while the next steps compute -------------------------
 * With staleness s > 0 in the config ww_tensor_start copies a gradient: its memory is the program's
 * again at once, though results will be written there. ww_step_end of step t does not wait for
 * step t but for step t - s, and writes that step's results, reduced as ever, to where tensors were
 * handed over in step t. report->version says whose they are. While there are none yet, in the
 * first s steps and those behind a drain, version is 0 and results are zeros: leave the optimizer
 * out then. All ranks get the same versions with the same bits; w(t + 1) = w(t) - rate * mean g(t -
 * s). Learning rates may have to be lower: on a quadratic of curvature c it is stable below 2
 * sin(pi / (4 s + 2)) / c, and momentum adds to the delay's own (Mitliagkas et al. 2016). Up to s +
 * 1 steps are on their way, and need as many copies of all gradients. Error feedback, loss scale,
 * momentum and clip_norm belong to the step they were given for. Buckets leave in the order of
 * registration, backwards. Not possible: ww_tensor_wait, ww_step_discard, codec "auto", probes; and
 * top-k with s > 1 unless allow_stale_topk says so (staleness amplifies the harm of compression,
 * Chen et al., DeCo-SGD, 2024). A progress thread moves messages between steps too, so mpi_quiet
 * promises nothing: it needs MPI_THREAD_MULTIPLE.
 *
 * Completes the oldest step on its way and writes its results to where tensors were handed over
 * last, which must still be memory for them. Between steps, by all ranks alike; a rank that does
 * something else is named. Call it until version is 0: before a checkpoint, a change of the
 * learning rate's course, the end; before an evaluation if it shall see every gradient:
 *     do {
 *         ww_step_drain(context, &report);
 *         if (report.version > 0) optimizer();
 *     } while (report.version > 0);
 * report   as by ww_step_end, but of no step of its own: step is the latest one; may be NULL.
 *          version 0 = nothing was on its way, and nothing was written, nor waited for
 * Thread   the one that ends steps; with no other thread inside of a single call, as it makes one
 * Returns  WW_OK; WW_BAD_ARGUMENT, WW_BAD_STATE (inside of a step); the failures of ww_step_end. */
WW_API enum ww_status ww_step_drain(struct ww_context *context, struct ww_report *report);

/* The report as one line without a line feed. Returns the bytes needed, as snprintf does. */
WW_API size_t ww_report_print(const struct ww_report *report, char *text, size_t bytes);

/* ---- Single calls: they run here and now, and return when this rank's part is done ----------
 * All ranks call the same function with the same count, type, op and root: anything else is
 * WW_MISMATCH on every rank, with the odd rank and both values, before any payload is reduced.
 * input may equal output (in place) but not overlap it otherwise. count 0 moves nothing and still
 * checks. One at a time per context; use several contexts to have several in flight.
 * Thread   any one at a time.
 * Returns  WW_OK; WW_BAD_ARGUMENT, WW_UNSUPPORTED (integer mean), WW_BAD_STATE (another call is
 *          inside, after fork); WW_MISMATCH, WW_TIMED_OUT, WW_PEER_FAILED, WW_TRANSPORT_FAILED:
 *          the output's contents are then undefined. */

/* output[i] = op over ranks of input[i]; count elements each. */
WW_API enum ww_status ww_all_reduce(struct ww_context *context, const void *input, void *output,
                                    size_t count, enum ww_type type, enum ww_op op);

/* The same for fp32, encoded on its way (see "Codecs"): WW_SUM and WW_MEAN.
 * codec     as in the config
 * residual  [count] of the program's, by place in the vector: added to what this rank encodes, and
 *           replaced by what was left out, in units of the sum; zeros to begin with. NULL = no
 *           error feedback: int8 then rounds at random, unbiased. Its contents belong to this
 *           codec, this count and these ranks; a call with "none" takes them in, whichever it was.
 *           It overlaps neither input nor output.
 * Returns   as ww_all_reduce; WW_BAD_ARGUMENT for a codec that does not exist; WW_UNSUPPORTED for
 *           WW_MIN and WW_MAX. */
WW_API enum ww_status ww_all_reduce_coded(struct ww_context *context, const float *input,
                                          float *output, size_t count, enum ww_op op,
                                          const char *codec, float *residual);

/* input[size * count]; rank r's output[count] = op over ranks of input[r * count ...].
 * In place: output == input + rank * count elements. */
WW_API enum ww_status ww_reduce_scatter(struct ww_context *context, const void *input, void *output,
                                        size_t count, enum ww_type type, enum ww_op op);

/* input[count]; output[size * count] = all inputs in rank order.
 * In place: input == output + rank * count elements. */
WW_API enum ww_status ww_all_gather(struct ww_context *context, const void *input, void *output,
                                    size_t count, enum ww_type type);

/* values[count] of rank root replace those of every rank. */
WW_API enum ww_status ww_broadcast(struct ww_context *context, void *values, size_t count,
                                   enum ww_type type, int root);

/* What this rank's single calls sent since the context was made: take it twice and subtract.
 * report   size, levels and bytes as after a step; step counts the calls; all the rest is as
 *          in WW_REPORT_INIT
 * Thread   any
 * Returns  WW_OK; WW_BAD_ARGUMENT; WW_BAD_STATE (a call is inside); the failure of a broken
 * context. */
WW_API enum ww_status ww_calls_report(struct ww_context *context, struct ww_report *report);

#ifdef __cplusplus
}
#endif
#endif
