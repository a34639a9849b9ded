/* SPDX-License-Identifier: BSD-3-Clause
 * meet.h: what a step of few bytes takes while all ranks are at it, as they are in a plan: cores,
 * ports and naps are shared then, and a ping of one pair alone says too little. */
#ifndef TOPOLOGY_MEET_H
#define TOPOLOGY_MEET_H

#include "measure.h"
#include "rounds.h"

/* Kinds of steps, by the messages that each rank exchanges. */
#define MEET_KINDS 4

/* What a rank notes: a step's seconds and its messages, sent and received ones; 0 = it had none. */
struct meet_record {
    double seconds[MEET_KINDS];
    int messages[MEET_KINDS];
};

/* All ranks call it together. share_s is what it may take, about. Errors of meter_*; WW_NO_MEMORY.
 */
enum ww_status meet_measure(struct meter *meter, const struct ground *ground, double share_s,
                            struct meet_record *record);

/* The line through the steps of all ranks: records[i] lie stride bytes apart. `fixed` is a step of
 * one message, message_s each further one. Without samples nobody met. WW_OK, WW_NO_MEMORY. */
enum ww_status meet_costs(const struct meet_record *records, size_t stride, int size,
                          struct estimate *fixed, double *message_s);

#endif
