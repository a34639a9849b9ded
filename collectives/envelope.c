/* SPDX-License-Identifier: BSD-3-Clause
 * envelope.c: the lower envelope of prices over sizes. */
#include "envelope.h"

/* Sizes that are priced: from LEAST on, STEPS of them in each factor of 2. */
#define LEAST_BYTES ((size_t)64)
#define MOST_BYTES ((size_t)1 << 36)
#define STEPS 4
/* A change between two sizes is looked for until it is known to 1/16. */
#define NARROW 16

struct offer envelope_offer(const struct option *option, const struct wires *wires, size_t bytes)
{
    struct offer best = {0, 0, 0};
    for (int p = 0; p < option->pace_count; p++) {
        struct pace pace = {(double)bytes, (double)option->pace[p].segment_bytes,
                            option->pace[p].window};
        /* One segment is one segment. */
        if (p > 0 && option->pace[p].segment_bytes >= bytes &&
            option->pace[best.pace].segment_bytes >= bytes) {
            continue;
        }
        double its = correction_apply(option->correction, (double)bytes,
                                      load_seconds(option->load, wires, pace));
        if (p == 0 || its < ENVELOPE_TIE * best.seconds) {
            best = (struct offer){p, its, load_core_seconds(option->load, wires, pace)};
        }
    }
    return best;
}

bool offer_beats(const struct offer *offer, const struct offer *best)
{
    return offer->seconds < ENVELOPE_TIE * best->seconds ||
           (ENVELOPE_TIE * offer->seconds < best->seconds &&
            offer->core_s < ENVELOPE_CORES * best->core_s);
}

static struct envelope_row cheapest(const struct option *options, int count,
                                    const struct wires *wires, size_t bytes)
{
    struct envelope_row row = {bytes, 0};
    struct offer best = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        struct offer offer = envelope_offer(&options[i], wires, bytes);
        if (i == 0 || offer_beats(&offer, &best)) {
            row.option = i;
            best = offer;
        }
    }
    return row;
}

/* The largest size, about, at which `below` is still the cheapest. */
static size_t find_change(const struct option *options, int count, const struct wires *wires,
                          const struct envelope_row *below, size_t above_bytes)
{
    size_t low = below->bytes;
    size_t high = above_bytes;
    while (high - low > low / NARROW + 1) {
        size_t middle = low + (high - low) / 2;
        struct envelope_row row = cheapest(options, count, wires, middle);
        *(row.option == below->option ? &low : &high) = middle;
    }
    return low;
}

static size_t next_size(size_t bytes)
{
    size_t octave = LEAST_BYTES;
    while (octave * 2 <= bytes) {
        octave *= 2;
    }
    return bytes + octave / STEPS;
}

void envelope_draw(const struct option *options, int count, const struct wires *wires,
                   struct envelope *envelope)
{
    envelope->rows = 0;
    struct envelope_row last = cheapest(options, count, wires, LEAST_BYTES);
    for (size_t bytes = next_size(LEAST_BYTES);
         bytes <= MOST_BYTES && envelope->rows < ENVELOPE_ROWS_MAX - 1; bytes = next_size(bytes)) {
        struct envelope_row row = cheapest(options, count, wires, bytes);
        if (row.option != last.option) {
            size_t change = find_change(options, count, wires, &last, bytes);
            envelope->row[envelope->rows++] = (struct envelope_row){change, last.option};
        }
        last = row;
    }
    last.bytes = SIZE_MAX;
    envelope->row[envelope->rows++] = last;
}

bool envelope_has(const struct envelope *envelope, int option)
{
    for (int i = 0; i < envelope->rows; i++) {
        if (envelope->row[i].option == option) {
            return true;
        }
    }
    return false;
}
