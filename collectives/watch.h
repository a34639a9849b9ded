/* SPDX-License-Identifier: BSD-3-Clause
 * watch.h: notices that nothing moves, finds out who is missing, and gives up in time. */
#ifndef COLLECTIVES_WATCH_H
#define COLLECTIVES_WATCH_H

#include "gate.h"
#include "run.h"

struct watch {
    uint64_t timeout_ns;
    uint64_t warn_ns;
    uint64_t moves; /* at last_move_ns */
    uint64_t last_move_ns;
    uint64_t looked_ns; /* the latest look */
    bool resting;       /* until the next look nobody waited */
    bool warned;
    bool asked; /* before the warning, who came */
    bool roll_called;
    uint64_t roll_called_ns;
    uint64_t asked_ns; /* whether those awaited live */
    int ended_rank;    /* of whom it was found then that it does not, -1 = none */
    uint64_t news_ns;  /* a peer's bad news were seen then; 0 = never */
};

/* What is looked at: the oldest collective that is under way. */
struct watched {
    struct gate *gate;
    const struct topology *topology;
    const struct workspace *space;
    const struct run *run;
};

void watch_init(struct watch *watch, double timeout_s, double warn_s);

/* Waiting begins with the next look. */
void watch_rest(struct watch *watch);

/* Looks at the clock: WW_PENDING, or WW_TIMED_OUT with whoever is missing named in the log,
 * WW_PEER_FAILED for an awaited one whose process ended, or a peer's failure after which nothing
 * moves any more. */
enum ww_status watch_look(struct watch *watch, const struct watched *watched, uint64_t moves,
                          uint64_t now_ns);

#endif
