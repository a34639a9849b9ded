/* SPDX-License-Identifier: BSD-3-Clause
 * calibration_file.h: keeps what was measured for the next job of the same shape.
 *
 * A small text file, a section per shape of job, the latest last:
 *
 *     [3f2a00917c55e01d]
 *     levels = 2
 *     link.1.flow.byte_s = 8.3676e-09
 *     ...
 *
 * Who cannot read or write it does without: a calibration then takes its time again. */
#ifndef TOPOLOGY_CALIBRATION_FILE_H
#define TOPOLOGY_CALIBRATION_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "cost.h"

#define FILE_SECTIONS_MAX 32

/* Overwrites in *wires what the file tells for this fingerprint; false, with *wires as it was, when
 * it tells nothing complete and sane. Garbage is told in one warning. */
bool calibration_read(const char *file, uint64_t fingerprint, struct wires *wires);

/* Puts these wires last, in the place of older ones of the same fingerprint, and drops the oldest
 * beyond FILE_SECTIONS_MAX. All at once, so that readers see the old file or the new one. false,
 * with a line that says why, when that is not possible. */
bool calibration_write(const char *file, uint64_t fingerprint, const struct wires *wires);

#endif
