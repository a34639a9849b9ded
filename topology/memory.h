/* SPDX-License-Identifier: BSD-3-Clause
 * memory.h: measures what copying and adding cost while all ranks of a host do it. */
#ifndef TOPOLOGY_MEMORY_H
#define TOPOLOGY_MEMORY_H

#include "measure.h"

/* What a rank notes, in seconds of wall time; zeroes = not measured. Travels as bytes. */
struct memory_record {
    double await_s;
    double copy_byte_s;        /* private, in the cache */
    double sum_byte_s;         /* the same, per byte of each of two sources */
    double staged_near_byte_s; /* a staged all-reduce, per byte of a vector in the cache */
    double staged_far_byte_s;  /* the same beyond the cache */
    double alone_far_byte_s;   /* adding to a private vector beyond the cache, per byte of it */
    double fetch_s;
    double fetch_byte_s;
};

/* All ranks call it together and learn what each of them noted, records[size].
 * cache_bytes: as in struct memory_cost. Errors of meter_*, and of reserve and fetch. */
enum ww_status memory_measure(struct meter *meter, double cache_bytes, double share_s,
                              struct memory_record *records);

/* Replaces what could be measured. records [size]; cores: of a host. WW_OK, WW_NO_MEMORY. */
enum ww_status memory_costs(const struct topology *topology, const struct memory_record *records,
                            int cores, struct memory_cost *costs);

#endif
