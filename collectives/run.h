/* SPDX-License-Identifier: BSD-3-Clause
 * run.h: one collective on its way: a plan that slides along a vector, segment by segment. */
#ifndef COLLECTIVES_RUN_H
#define COLLECTIVES_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include <wirewise/transport.h>

#include "engine.h"

/* One place of a run's window: a segment on its way through the plan. */
struct place {
    bool busy;
    bool begun;  /* the round's local actions are done, its messages posted */
    bool posted; /* these are under way */
    bool ahead;  /* what the first round sends is under way, since before the gate */
    uint32_t round;
    uint32_t awaited; /* peers of the round that are far enough */
    uint64_t uses;    /* segments that went through here before, in all runs */
    size_t first;     /* element at which the segment begins, in the vector or in each share */
    size_t count;     /* its elements */
    const size_t *boundaries;
    uint8_t *scratch;
    int tag;
    struct ww_flight flight;
    struct ww_flight ahead_flight;
    int wild_rank; /* the lowest that a frame of this segment named so far, -1 = none */
};

/* Where this process sees a peer's memory, during one run. */
struct seen {
    int rank;
    uint8_t *scratch;      /* of the run's first place */
    size_t place_bytes;    /* from one place to the next */
    uint8_t *vector[2];    /* slots 0 and 1; NULL when they can only be fetched, ... */
    uint64_t addresses[2]; /* ... from these addresses */
};

enum run_state { RUN_FREE, RUN_AT_GATE, RUN_MOVING, RUN_DONE };

/* What decides how a vector is cut, where its pieces lie and what is sent. Callers repeat
 * themselves, step after step, so the arithmetic is kept while this stays the same. */
struct run_shape {
    uint64_t plan; /* its identity; 0 = none */
    size_t count;
    size_t segment_bytes;
    enum ww_type type;
    int window;
    struct codec_spec codec;
};

struct run {
    enum run_state state;
    struct run_shape shape;
    uint64_t planned[WW_LEVELS_MAX]; /* bytes sent over each level, once planned_known */
    bool planned_known;
    struct run_request request;
    struct slicing slicing;
    bool shares; /* chunk c is rank c's share: chunks lie request.count elements apart */
    size_t element_bytes;
    reduce_kernel *reduce;
    bool past;     /* the output is written past the caches */
    bool prepared; /* it was set up before it passed the gate */
    double scale;
    const struct codec *codec; /* NULL where the plan is not coded */
    bool heads_travel;         /* frames differ in length */
    size_t next_segment;
    size_t segments_done;
    size_t oldest_place;   /* segments_done % window */
    size_t *boundaries[2]; /* of a full segment and of the last one; [parts + 1] */
    size_t *slot_offsets;  /* [slots] in bytes, inside a place's scratch */
    struct seen *seen;     /* [plan->seen_count] */
    uint64_t number;       /* at the gate, where the values went with the announcement */
    uint64_t passed_ns;    /* when it passed the gate, if the caller knew */
    uint64_t encode_ns;    /* spent so far */
    uint64_t decode_ns;
    struct place places[ENGINE_WINDOW_MAX];
};

/* Where runs post to, and room for one round and one reduction. */
struct workspace {
    const struct ww_transport *transport;
    void *fabric;
    const struct kernels *kernels;
    uint64_t (*clock_ns)(void);  /* NULL = encoding and decoding take no time */
    struct ww_message *messages; /* [messages_room] */
    const void **sources;        /* [sources_room] */
    uint32_t messages_room;
    uint32_t sources_room;
    void *codec_memory; /* what encoding needs, [codec_bytes] */
    size_t codec_bytes;
    void *sums; /* floats: where sparse frames are summed; +0 between chunks; [sums_bytes], may be
                   NULL */
    size_t sums_bytes;
    uint64_t framed[WW_LEVELS_MAX]; /* bytes of frames of no fixed length that were posted */
    enum ww_wait wait;              /* WW_WAIT_NETWORK once a posted round waits for a wire */
    uint64_t moves;                 /* rounds done so far */

    const struct gate *gate;
    const struct board *board; /* NULL where ranks do not see each other */
    const uint8_t *peer_level;
    struct ww_traffic seen_traffic[WW_LEVELS_MAX]; /* read and written in peers' memory, or sent
                                                      with announcements */
};

/* A piece of memory that a slice stands for. */
struct span {
    uint8_t *memory; /* NULL = it can only be fetched, from: */
    size_t count;
    uint64_t address;
    int rank;
};

/* ---- cut.c: arithmetic ---------------------------------------------------------------------- */

struct run_shape run_shape(const struct run_request *request);
bool run_shape_same(const struct run_shape *shape, const struct run_request *request);

/* Bytes of scratch that one place needs for such a request, and of one of its slots, for segments
 * of `segment` elements. */
size_t run_scratch_bytes(const struct run_request *request);
size_t run_slot_bytes(const struct run_request *request, size_t segment, uint16_t slot);

/* Places that are used: no more than there are segments. */
int run_window(const struct slicing *slicing, int window);

/* Makes room in a run for plans of so many chunks, slots and peers seen. False without memory. */
bool run_grow(struct run *run, uint32_t parts, uint32_t slots, uint32_t seen);
void run_finish(struct run *run);

/* What the request's plan sends over each level; added to bytes. */
void run_plan_bytes(const struct run_request *request, const struct topology *topology,
                    uint64_t *bytes);

/* The same for a run that is set up. */
void run_planned_bytes(struct run *run, const struct topology *topology, uint64_t *bytes);

/* ---- act.c: local actions ------------------------------------------------------------------- */

/* Where a slice lies while its segment is in that place. */
struct span run_span(const struct run *run, const struct place *place, const struct slice *slice);

/* Runs `count` local actions. WW_PENDING when none was run, because a peer gave up; what fetching
 * returns. */
enum ww_status run_locals(struct workspace *space, struct run *run, struct place *place,
                          const struct action *actions, uint32_t count);

/* Elements from the begin of the own slot 0 or 1 to the slice in this segment. */
size_t run_vector_offset(const struct run *run, const struct place *place,
                         const struct slice *slice);

/* ---- frame.c: local actions on frames, and their messages -------------------------------------
 */

/* Bytes of a slot for a frame of so many elements, and of encoding's own memory for a segment. */
size_t frame_slot_bytes(const struct codec_spec *spec, size_t count);
size_t frame_codec_bytes(const struct codec_spec *spec, size_t segment);

/* Bytes of workspace.sums for such vectors: their sums come together in the cache and go past it,
 * from there, to where they belong. 0 = they come together where they belong. */
size_t frame_sums_bytes(const struct codec_spec *spec, size_t count);

/* Bytes of a message with a frame of so many elements; 0 where frames differ in length. */
size_t frame_message_bytes(const struct codec_spec *spec, size_t count);

/* Of what encoding draws: ranks draw different random numbers. */
uint64_t run_seed(const struct run *run);

/* Encodes source 0 of the action. */
void frame_encode(struct workspace *space, struct run *run, struct place *place,
                  const struct action *action);

/* Sums the action's sources, of which some are frames. WW_OK; WW_TRANSPORT_FAILED for a frame that
 * no codec made. */
enum ww_status frame_reduce(struct workspace *space, struct run *run, struct place *place,
                            const struct action *action);

/* The message of an action on a frame; message->bytes 0 = nothing travels. WW_TRANSPORT_FAILED for
 * a head that no codec made. */
enum ww_status frame_message(struct workspace *space, const struct run *run,
                             const struct place *place, const struct action *action,
                             struct ww_message *message);

/* ---- seen.c: the board, and values that come with announcements ----------------------------- */

/* Looks up where the peers' memory is that the plan sees; collective `number` is on the board. */
void run_see(struct run *run, const struct workspace *space, uint64_t number);

/* The values that a rank announces: where they begin, and their bytes. */
const void *run_announced_values(const struct run_request *request, size_t *bytes);

/* What passes between this rank and its peers that way, over each level; added to traffic. */
void run_announced_traffic(const struct run_request *request, const struct workspace *space,
                           struct ww_traffic *traffic);

/* Runs a collective whose values came with the announcements, all at once. */
void run_announced(struct run *run, struct workspace *space, const struct kernels *kernels,
                   uint64_t number);

/* ---- run.c ---------------------------------------------------------------------------------- */

/* Sets a run up: everything that depends on the request only, so that rounds are cheap.
 * scratch      [window] pieces of place_bytes
 * first_tag    of the tags that belong to this run's places */
void run_prepare(struct run *run, const struct run_request *request, const struct kernels *kernels,
                 uint8_t *scratch, size_t place_bytes, int first_tag);

/* Posts what the first round sends, if that is little and only what the caller handed in: it waits
 * at the peers until they have passed the gate as well, so the gate costs no time of its own. */
enum ww_status run_send_ahead(struct run *run, struct workspace *space);

/* The next segment comes to this place. */
void run_place_segment(struct run *run, struct place *place);

/* Takes all segments as far as they go: WW_OK when the collective is done, WW_PENDING, an error. */
enum ww_status run_advance(struct run *run, struct workspace *space);

/* A peer that the run waits for, -1 when there is none or the fabric cannot tell. */
int run_awaited_peer(const struct run *run, const struct workspace *space);

struct signature run_signature(const struct run_request *request);

#endif
