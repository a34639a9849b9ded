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
    bool posted; /* the round's messages are under way */
    uint32_t round;
    size_t first; /* element at which the segment begins, in the vector or in each share */
    size_t count; /* its elements */
    const size_t *boundaries;
    uint8_t *scratch;
    int tag;
    struct ww_flight flight;
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
    double scale;
    uint32_t origin[2]; /* chunk at which slots 0 and 1 begin */
    size_t next_segment;
    size_t segments_done;
    size_t oldest_place;   /* segments_done % window */
    size_t *boundaries[2]; /* of a full segment and of the last one; [parts + 1] */
    size_t *slot_offsets;  /* [slots] in bytes, inside a place's scratch */
    struct place places[ENGINE_WINDOW_MAX];
};

/* Where runs post to, and room for one round and one reduction. */
struct workspace {
    const struct ww_transport *transport;
    void *fabric;
    struct ww_message *messages; /* [messages_room] */
    const void **sources;        /* [sources_room] */
    uint32_t messages_room;
    uint32_t sources_room;
    enum ww_wait wait; /* WW_WAIT_NETWORK once a posted round waits for a wire */
    uint64_t moves;    /* rounds done so far */
};

struct run_shape run_shape(const struct run_request *request);
bool run_shape_same(const struct run_shape *shape, const struct run_request *request);

/* Bytes of scratch that one place needs for such a request. */
size_t run_scratch_bytes(const struct run_request *request);

/* Places that are used: no more than there are segments. */
int run_window(const struct slicing *slicing, int window);

/* Makes room in a run for plans of so many chunks and slots. False without memory. */
bool run_grow(struct run *run, uint32_t parts, uint32_t slots);
void run_finish(struct run *run);

/* Sets a run up: everything that depends on the request only, so that rounds are cheap.
 * scratch      [window] pieces of place_bytes
 * first_tag    of the tags that belong to this run's places */
void run_prepare(struct run *run, const struct run_request *request, const struct kernels *kernels,
                 uint8_t *scratch, size_t place_bytes, int first_tag);

/* Takes all segments as far as they go: WW_OK when the collective is done, WW_PENDING, an error. */
enum ww_status run_advance(struct run *run, struct workspace *space);

/* A peer that the run's messages wait for, -1 when there is none or the fabric cannot tell. */
int run_awaited_peer(const struct run *run, const struct workspace *space);

/* What engine_planned_bytes says, for a run that is set up. */
void run_planned_bytes(struct run *run, const struct topology *topology, uint64_t *bytes);

struct signature run_signature(const struct run_request *request);

#endif
