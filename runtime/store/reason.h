/* SPDX-License-Identifier: BSD-3-Clause
 * reason.h: why a file could not be written or is not taken: a kind, and a sentence for people.
 * Nothing is logged here: whether it is an error depends on what else there is. */
#ifndef STORE_REASON_H
#define STORE_REASON_H

#include <stddef.h>

enum fault {
    FAULT_NONE,
    FAULT_SYSTEM,  /* the system refused something */
    FAULT_MISSING, /* there is no such file */
    FAULT_DAMAGED, /* it is not what was written, or never was one of ours */
    FAULT_NEWER,   /* another version, or a checksum that this build does not have, wrote it */
    FAULT_OTHER,   /* it is whole, but of another model or use */
    FAULT_MEMORY
};

#define REASON_BYTES 768

struct reason {
    enum fault fault;
    char text[REASON_BYTES];
};

/* Fills *reason and returns the fault. */
enum fault reason_set(struct reason *reason, enum fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "PATH cannot be WHAT: no space left ..."; by errno. FAULT_MISSING or FAULT_SYSTEM. */
enum fault reason_errno(struct reason *reason, const char *path, const char *what);

#endif
