/* SPDX-License-Identifier: BSD-3-Clause
 * screen.h: looks at a file in hwloc's format before hwloc does. */
#ifndef SCREEN_H
#define SCREEN_H

#include "xml.h"

/* Refuses what would make hwloc reserve gigabytes or read beyond its arrays: indexes, counts and
 * sets that no machine has, and a root that is no machine.
 * Returns WW_OK, or WW_BAD_ARGUMENT with a sentence that has the line. */
enum ww_status screen_hwloc(const struct xml *xml);

/* The version of the format, "1.x" where the file does not say. */
const char *screen_version(const struct xml *xml);
const char *screen_path(const struct xml *xml);

#endif
