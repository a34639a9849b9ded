/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint.h: what the library keeps from step to step, and what a program adds to it, survives
 * the end of a job: the same one goes on bit for bit, one with another number of ranks owes the
 * same debt. docs/checkpoint.md has the format, what each kill leaves, and the arithmetic. */
#ifndef WIREWISE_CHECKPOINT_H
#define WIREWISE_CHECKPOINT_H

#include <wirewise/wirewise.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whose bytes are kept. */
enum ww_keep {
    WW_KEEP_COMMON,   /* rank 0's, which every rank gets back: parameters, optimizer, counters */
    WW_KEEP_PER_RANK, /* each rank's own; given back where the number of ranks is the same */
    /* float32 of each rank's own, given back likewise. Another number of ranks: */
    WW_KEEP_MEAN, /* all get the mean of all: parameters and optimizers of local steps */
    WW_KEEP_SHARE /* sum(values) / ranks stays as it was, see ww_checkpoint_load */
};

/* Adds bytes of the program's to the checkpoints of this context. Nothing is copied: they are read
 * while ww_checkpoint_save runs, and written while ww_checkpoint_load does.
 * name    1 .. 63 bytes, unique in the context; copied. None that ww_outer_keep took
 * data    bytes of memory, borrowed until ww_context_destroy; NULL takes the name out again
 * bytes   may differ from one checkpoint to the next, but what is loaded must have as many
 * keep    WW_KEEP_MEAN and WW_KEEP_SHARE want a multiple of 4 bytes, aligned to 4
 * Thread  one at a time, never during a save or a load. Not collective; all but WW_KEEP_PER_RANK
 *         alike on all ranks.
 * Returns WW_OK, WW_BAD_ARGUMENT, WW_NO_MEMORY. */
WW_API enum ww_status ww_checkpoint_attach(struct ww_context *context, const char *name, void *data,
                                           size_t bytes, enum ww_keep keep);

/* Whether the latest successful ww_checkpoint_load filled what is attached by that name. */
WW_API bool ww_checkpoint_has(const struct ww_context *context, const char *name);

/* Writes a new generation into a folder: every rank a file of its own, nothing is gathered; then
 * rank 0 a manifest, by which the generation begins to count. Whatever is killed at whatever
 * instant, the folder holds this generation or the one before it whole. Two generations are kept.
 * What saves left that were killed is removed first; no two jobs save into one folder at a time.
 * Each rank's fp32 state takes up to 8 bytes per element: residuals and momentum, where they are.
 * folder   made unless it is there (what it lies in must be). The same text on all ranks. One that
 *          all hosts share can be loaded with any number of ranks; one that is local to each host,
 *          with the same ranks on the same hosts.
 * Thread   any, between steps, after ww_tensors_commit (where tensors were added at all). All ranks
 *          call it, in the same order as single calls (wirewise.h), and with no other thread inside
 *          of one: it makes some of its own. A rank that writes says nothing meanwhile: a file must
 *          be written within timeout_s.
 * Returns  WW_OK on all ranks when the generation counts; else nothing changed, earlier
 *          generations are whole, and the context is: WW_BAD_ARGUMENT; WW_BAD_STATE (within a step,
 *          before ww_tensors_commit); WW_MISMATCH (other folders, or a load, named);
 *          WW_FILE_FAILED (named, with the rank and the system's words); WW_NO_MEMORY. Or a failure
 *          of communication, which breaks it, WW_TIMED_OUT ..., want of memory to hear the others
 *          among them: then the generation may count or not. */
WW_API enum ww_status ww_checkpoint_save(struct ww_context *context, const char *folder);

/* Takes over the newest generation that is whole on all ranks: residuals, momentum, counters of
 * steps, the order of buckets, and what is attached. One with a damaged or missing file is passed
 * over by all ranks, with a warning that names the file and the rank.
 *   same ranks     a run with deterministic=plan and a fixed codec goes on bit for bit
 *   other number   rank r takes what ranks r, r + size, r + 2 size ... had kept, added in that
 *                  order in fp64, times new / old ranks where gradient_op is mean, rounded once to
 *                  fp32: what the model is owed, sum(residuals) / ranks, stays as it was. It enters
 *                  each rank's next gradient, once.
 * Codec, bucket_bytes and plans may be others than before; gradient_op may not.
 * Thread   as ww_checkpoint_save
 * Returns  WW_OK; else the context is as it was before, on all ranks: WW_BAD_ARGUMENT (attached
 *          bytes differ); WW_BAD_STATE; WW_MISMATCH (another model: names the first tensor that
 *          differs; another gradient_op; other folders, or a save); WW_UNSUPPORTED (a newer version
 *          wrote it); WW_FILE_FAILED (there is none, or none is whole); WW_NO_MEMORY. Or a failure
 *          of communication, which breaks the context, want of memory to hear the others and a file
 *          that went bad since it was judged among them: attached memory is undefined then. */
WW_API enum ww_status ww_checkpoint_load(struct ww_context *context, const char *folder);

/* What a folder holds, as far as its newest readable manifest tells: files are not looked at. */
struct ww_checkpoint_facts {
    size_t struct_bytes; /* sizeof(struct ww_checkpoint_facts), set by WW_CHECKPOINT_FACTS_INIT */
    bool found;
    uint64_t generation;
    uint64_t step; /* the number of the last step before it was saved */
    int size;      /* ranks that saved it */
    bool dense;    /* of gradients it holds no residuals, and no momentum that is not everybody's */
    int manifests; /* in the folder, readable or not */
};
#define WW_CHECKPOINT_FACTS_INIT                                                                   \
    {                                                                                              \
        sizeof(struct ww_checkpoint_facts), false, 0, 0, 0, false, 0                               \
    }

/* Not collective; needs no context. A folder that is not there, or empty, is WW_OK and not found.
 * Returns WW_OK, WW_BAD_ARGUMENT, WW_FILE_FAILED (the folder cannot be read). */
WW_API enum ww_status ww_checkpoint_describe(const char *folder, struct ww_checkpoint_facts *facts);

/* Lets the next step go dense: every residual enters its rank's gradient and travels, and nothing
 * is left out; momentum becomes the same on all ranks, their mean. A checkpoint saved right after
 * it holds nothing that depends on the rank. Between steps, after ww_tensors_commit, by all ranks
 * alike: a difference is WW_MISMATCH in that step. After ww_step_discard of that step it must be
 * asked for again. Returns WW_OK, WW_BAD_STATE; WW_UNSUPPORTED with staleness. */
WW_API enum ww_status ww_step_dense_next(struct ww_context *context);

/* ---- Being told to go ------------------------------------------------------------------------
 * Machines that are cheap because they may be taken away say so with a signal, shortly before. */

/* From now on that signal, to any thread of the process, is noticed and does nothing else: it is
 * not handed on to a handler that was there before, nor, after another call, to one that was put in
 * its place meanwhile. ww_context_destroy brings the earlier handling back once no context watches
 * the signal any more; a forked child has it at once.
 * signal   SIGTERM, SIGUSR1 ...; not SIGKILL, SIGSTOP
 * Thread   any. Not collective.
 * Returns  WW_OK, WW_BAD_ARGUMENT. */
WW_API enum ww_status ww_preemption_watch(struct ww_context *context, int signal);

/* Says the same by a call, from any thread (not from a signal handler). WW_OK, WW_BAD_ARGUMENT. */
WW_API enum ww_status ww_preemption_notice(struct ww_context *context);

/* *any becomes true on all ranks when any of them was told, and stays so. One number is reduced:
 * microseconds inside a host, one latency between hosts. Rules of a single call (wirewise.h): all
 * ranks call it, between steps or in them.
 * Returns  as ww_all_reduce; *any is written on WW_OK only. */
WW_API enum ww_status ww_preempted(struct ww_context *context, bool *any);

#ifdef __cplusplus
}
#endif
#endif
