/* SPDX-License-Identifier: BSD-3-Clause
 * meet.c: everybody exchanges few bytes with neighbours, over and over.
 *
 * Neighbours are those up to 1, 2 or 4 places away in the ring of a group's ranks, as far as they
 * are in other units: so whoever has a neighbour is its neighbour, too. */
#include "meet.h"

#include <stdlib.h>
#include <string.h>

#include "internal/log.h"

#define BATCHES 3
#define WARM 3
#define LEAST_TIMES 4
#define MOST_TIMES 40
#define FARTHEST 4
#define NEIGHBOURS_MAX (2 * FARTHEST)
#define COPIES 4

static const struct {
    int places; /* how far away neighbours are */
    int copies; /* messages to each, and from each */
} kinds[MEET_KINDS] = {{1, 1}, {2, 1}, {FARTHEST, 1}, {1, COPIES}};

struct crowd {
    struct meter *meter;
    const struct ground *ground;
    int *ring; /* [ring_size] ranks of the own group, by rank */
    int ring_size;
    int own; /* place in it */
};

static enum ww_status crowd_init(struct crowd *crowd, struct meter *meter,
                                 const struct ground *ground)
{
    int rank = meter->setup->topology->rank;
    *crowd = (struct crowd){.meter = meter, .ground = ground};
    crowd->ring = malloc((size_t)ground->size * sizeof *crowd->ring);
    if (crowd->ring == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for a ring of %d ranks", ground->size);
    }
    for (int r = 0; r < ground->size; r++) {
        if (ground->group[r] == ground->group[rank]) {
            crowd->own = r == rank ? crowd->ring_size : crowd->own;
            crowd->ring[crowd->ring_size++] = r;
        }
    }
    return WW_OK;
}

static int find_neighbours(const struct crowd *crowd, int places, int *neighbours)
{
    const struct ground *ground = crowd->ground;
    int count = 0;
    for (int away = -places; away <= places; away++) {
        int at = ((crowd->own + away) % crowd->ring_size + crowd->ring_size) % crowd->ring_size;
        int peer = crowd->ring[at];
        bool known = ground->unit[peer] == ground->unit[crowd->ring[crowd->own]];
        for (int i = 0; i < count; i++) {
            known = known || neighbours[i] == peer;
        }
        if (!known) {
            neighbours[count++] = peer;
        }
    }
    return count;
}

static enum ww_status meet_times(struct crowd *crowd, int kind, int times, double *seconds,
                                 int *messages)
{
    int neighbours[NEIGHBOURS_MAX];
    int count = find_neighbours(crowd, kinds[kind].places, neighbours);
    uint64_t begin_ns = meter_now_ns(crowd->meter);
    enum ww_status status = WW_OK;
    for (int i = 0; i < times && count > 0 && status == WW_OK; i++) {
        status = meter_exchange(crowd->meter, neighbours, count, kinds[kind].copies);
    }
    *seconds = (double)(meter_now_ns(crowd->meter) - begin_ns) * 1e-9 / (times > 0 ? times : 1);
    *messages = 2 * count * kinds[kind].copies;
    return status;
}

/* The slowest rank's word, so that all go on together, and alike. */
static enum ww_status agree(struct crowd *crowd, double *value, double *room)
{
    enum ww_status status = meter_gather(crowd->meter, value, room, sizeof *value);
    for (int r = 0; status == WW_OK && r < crowd->ground->size; r++) {
        *value = room[r] > *value ? room[r] : *value;
    }
    return status;
}

static enum ww_status meet_kind(struct crowd *crowd, int kind, double share_s, double *room,
                                struct meet_record *record)
{
    double batches[BATCHES];
    double slowest;
    enum ww_status status = meet_times(crowd, kind, WARM, &slowest, &record->messages[kind]);
    status = status == WW_OK ? agree(crowd, &slowest, room) : status;
    double fit = slowest > 0 ? share_s / MEET_KINDS / BATCHES / slowest : MOST_TIMES;
    int times = fit > MOST_TIMES ? MOST_TIMES : fit < LEAST_TIMES ? LEAST_TIMES : (int)fit;
    for (int b = 0; b < BATCHES && status == WW_OK; b++) {
        status = meet_times(crowd, kind, times, &batches[b], &record->messages[kind]);
    }
    record->seconds[kind] = record->messages[kind] > 0 ? fit_median(batches, BATCHES) : 0;
    return status;
}

enum ww_status meet_measure(struct meter *meter, const struct ground *ground, double share_s,
                            struct meet_record *record)
{
    struct crowd crowd;
    double *room = malloc((size_t)ground->size * sizeof *room);
    enum ww_status status = crowd_init(&crowd, meter, ground);
    memset(record, 0, sizeof *record);
    if (status == WW_OK && room == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory to hear from %d ranks", ground->size);
    }
    for (int kind = 0; kind < MEET_KINDS && status == WW_OK; kind++) {
        status = meet_kind(&crowd, kind, share_s, room, record);
    }
    free(crowd.ring);
    free(room);
    return status;
}

/* ---- Reading ----------------------------------------------------------------------------------
 */

struct steps {
    double messages[MEET_KINDS];
    double seconds[MEET_KINDS];
    int count;
};

/* The middle rank's step of one kind. */
static bool middle_step(const unsigned char *records, size_t stride, int size, int kind,
                        double *list, struct steps *steps)
{
    double messages = 0;
    int count = 0;
    for (int r = 0; r < size; r++) {
        const struct meet_record *record = (const void *)(records + (size_t)r * stride);
        if (record->seconds[kind] > 0) {
            list[count++] = record->seconds[kind];
            messages += record->messages[kind];
        }
    }
    if (count == 0) {
        return false;
    }
    steps->messages[steps->count] = messages / count;
    steps->seconds[steps->count++] = fit_median(list, count);
    return true;
}

static bool grows(const struct steps *steps)
{
    return steps->count > 1 && steps->messages[steps->count - 1] > steps->messages[0];
}

enum ww_status meet_costs(const struct meet_record *records, size_t stride, int size,
                          struct estimate *fixed, double *message_s)
{
    struct steps steps = {.count = 0};
    double *list = malloc((size_t)size * sizeof *list);
    *fixed = (struct estimate){0, 0, 0};
    *message_s = 0;
    if (list == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the steps of %d ranks", size);
    }
    for (int kind = 0; kind < MEET_KINDS; kind++) {
        bool copies = kinds[kind].copies > 1; /* only where neighbours do not show it */
        bool further = steps.count == 0 ||
                       kinds[kind].places > 1; /* as many again would add nothing */
        if ((copies && grows(&steps)) || (!copies && !further)) {
            continue;
        }
        int before = steps.count;
        if (middle_step((const void *)records, stride, size, kind, list, &steps) && before > 0 &&
            steps.messages[before] <= steps.messages[before - 1]) {
            steps.count--;
        }
    }
    free(list);
    if (steps.count == 0) {
        return WW_OK;
    }
    struct estimate slope = {0, 0, 0};
    if (grows(&steps)) {
        slope = fit_slope(steps.messages, steps.seconds, steps.count);
    }
    *message_s = slope.value > 0 ? slope.value : 0;
    double at_one[MEET_KINDS];
    for (int i = 0; i < steps.count; i++) {
        at_one[i] = steps.seconds[i] - *message_s * (steps.messages[i] - 1);
    }
    *fixed = fit_estimate(at_one, steps.count);
    double least = steps.seconds[0] / 4; /* a line through few points must not end below the axis */
    fixed->value = fixed->value > least ? fixed->value : least;
    return WW_OK;
}
