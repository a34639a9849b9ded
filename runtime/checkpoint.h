/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint.h: what the files of checkpoints share: what is attached, how ranks agree, and how a
 * context's state lies in a shard. */
#ifndef RUNTIME_CHECKPOINT_H
#define RUNTIME_CHECKPOINT_H

#include <wirewise/checkpoint.h>

#include "context.h"
#include "store/folder.h"
#include "store/shard.h"

/* Kinds of sections. Numbers stand in files: they are never used for anything else. */
enum section_kind {
    SECTION_STATE = 1,     /* u64[STATE_WORDS] */
    SECTION_LAYOUT = 2,    /* a record of LAYOUT_BYTES for each tensor, as they were registered */
    SECTION_PLACES = 3,    /* a record of PLACE_BYTES for each tensor */
    SECTION_ORDER = 4,     /* u32 for each bucket: the order in which they leave */
    SECTION_RESIDUALS = 5, /* f32, of tensors whose place says so, one behind the other */
    SECTION_MOMENTA = 6,   /* likewise */
    SECTION_COMMON = 7,    /* attached by rank 0, with its name */
    SECTION_OWN = 8,       /* attached by this rank */
    SECTION_CODEC = 9,     /* text, for people */
    SECTION_SHARDS = 10    /* manifest: u64 bytes, u64 checksum of each rank's file */
};

enum state_word {
    STATE_STEP,  /* of the step that ended last */
    STATE_WARM,  /* steps towards the density of top-k */
    STATE_CALLS, /* single calls so far: what they draw at random follows from it */
    STATE_OP,    /* enum ww_op */
    STATE_DENSE, /* manifest: 1 = no rank keeps residuals or momentum */
    STATE_SPARE, /* 0 */
    STATE_WORDS
};

#define LAYOUT_NAME_BYTES 128U
#define LAYOUT_BYTES (8U + 8U * 8U + LAYOUT_NAME_BYTES)
#define PLACE_BYTES 32U
#define PLACE_RESIDUAL 1U
#define PLACE_MOMENTUM 2U
#define PLACE_COMMON 4U /* the momentum is the same on all ranks */

/* What the library attaches of its own may be more than bytes that lie there. */
struct attachment_owner {
    const char *(*trouble)(
        const void *self);    /* why there is nothing to save or load; NULL = none */
    void (*fill)(void *self); /* before a save: bring the bytes up to date */
    /* Rank 0, before a load: whether what was saved, as many bytes, fits. */
    bool (*fits)(const void *self, const void *saved, char *why, size_t bytes);
    void (*take)(void *self); /* everything was loaded */
};

/* How many ranks' numbers become those of another number of ranks: as enum ww_keep has it, or */
#define KEEP_MOST ((enum ww_keep)(WW_KEEP_SHARE + 1)) /* u64: all get the largest of all */

struct attachment {
    struct attachment *next;
    char name[SHARD_NAME_BYTES];
    void *data;
    size_t bytes;
    enum ww_keep keep;
    bool is_part; /* of another one, which is told when it is missing */
    bool loaded;
    const struct attachment_owner *owner; /* NULL = the program's, or a part */
    void *self;                           /* the owner's */
};
void checkpoint_detach_all(struct ww_context *context);

/* Takes `wanted` in, or out again where its data is NULL, by its name. WW_OK, WW_NO_MEMORY. */
enum ww_status checkpoint_attach(struct ww_context *context, const struct attachment *wanted);
bool checkpoint_has(struct ww_context *context, const char *name);

/* checkpoint_fold.c: what other ranks than these attached, section by section; all ranks call it.
 * shards[count] are those that this rank reads, 0 where it reads for counters alone. Damage breaks
 * the context. Sets loaded. */
struct fold {
    struct ww_context *context;
    const char *call;
    const struct shard *shards;
    int count;
    uint32_t size_before;
    void *room; /* FOLD_ROOM_BYTES, aligned for any number */
};
#define FOLD_ROOM_BYTES ((size_t)2 << 20)
enum ww_status fold_attached(const struct fold *fold, struct attachment *attached);

/* ---- Agreement --------------------------------------------------------------------------- */

/* What a rank says at the end of a phase. */
struct verdict {
    int64_t status; /* enum ww_status */
    int64_t fault;  /* enum fault, where the status is not WW_OK */
    uint64_t facts[4];
};

/* All ranks hear all verdicts, all[size]. Where one is not WW_OK, the sentence of the lowest such
 * rank is carried to everybody, with the rank's name, in reason->text, and *odd is that rank. On
 * return WW_OK means that the exchange worked; else the context is broken. */
struct parley {
    struct ww_context *context;
    const char *call;
    struct verdict *all; /* [size] */
    int odd;             /* -1 = all are well */
};
enum ww_status parley_begin(struct parley *parley, struct ww_context *context, const char *call);
void parley_end(struct parley *parley);
enum ww_status parley_hold(struct parley *parley, const struct verdict *mine,
                           struct reason *reason);

/* The status that a fault stands for. */
enum ww_status parley_status(enum fault fault);

/* Checks what save and load have in common; then all ranks compare which of them they make, and the
 * folder. */
enum ww_status checkpoint_check(struct ww_context *context, const char *call, const char *folder);
enum ww_status checkpoint_compare_errands(struct parley *parley, const char *folder);

/* ---- A context's state in a shard -------------------------------------------------------- */

/* What a save writes besides what lies in memory already. */
struct image {
    uint64_t layout; /* a checksum of the tensors */
    bool dense;
    uint8_t *records; /* state, layout, places, order, codec, one behind the other */
    struct shard_piece record[5];
    struct shard_piece *residuals; /* [tensors] */
    float *copied;                 /* residuals of a GPU, in the host's memory; else NULL */
    size_t residual_count;
    struct shard_piece *momenta; /* [tensors] */
    size_t momentum_count;
};
enum fault image_make(const struct ww_context *context, struct image *image, struct reason *reason);
void image_free(struct image *image);

/* Writes STATE_WORDS words; dense is for manifests, which speak for all ranks. */
void image_put_state(uint8_t *to, const struct ww_context *context, bool dense);

/* Compares the tensors with those of a shard, in words. FAULT_NONE when they are the same. */
enum fault image_compare_layout(const struct ww_context *context, const struct shard *shard,
                                struct reason *reason);

/* What a load brings in: read aside, then taken over at once. */
struct restored {
    uint64_t state[STATE_WORDS];
    int *order;              /* [bucket_count]; NULL = other buckets than before */
    size_t *offset;          /* [bucket_count] */
    struct keepers *keepers; /* [bucket_count] */
    struct coding_places places;
    bool carries;
    float *residuals[2];
    float *momenta[2];
    const struct vectors *vectors; /* whose the residuals are; NULL = the host's memory */
};

/* The part of a rank in what others had kept. */
struct inheritance {
    bool adds;           /* what they kept is taken; else only what all had in common */
    double scale;        /* of what is added */
    double common_scale; /* of what all had in common */
    bool same;           /* it is this rank's own, of as many ranks */
};

/* Reads the state out of shards[count]; the first one tells counters, order and what is common.
 * restored_take swaps it in, after which restored_free frees what there was. */
enum fault restored_read(struct restored *restored, const struct ww_context *context,
                         const struct shard *shards, int count,
                         const struct inheritance *inheritance, struct reason *reason);
void restored_take(struct restored *restored, struct ww_context *context);
void restored_free(struct restored *restored);

/* Of what must be the same on all ranks. */
uint64_t restored_fingerprint(const struct restored *restored, const struct ww_context *context);

#endif
