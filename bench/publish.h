/* SPDX-License-Identifier: BSD-3-Clause
 * publish.h: the files that the command line asks for. */
#ifndef BENCH_PUBLISH_H
#define BENCH_PUBLISH_H

#include "report.h"

/* True when every file can be written, as far as one can tell before the run; else sentences. */
bool publish_probe(const struct options *options);

/* Writes them all. False, after a sentence for each, when one could not be written. */
bool publish(const struct report *report);

#endif
