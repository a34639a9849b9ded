/* SPDX-License-Identifier: BSD-3-Clause
 * memory.h: large plain memory for slots and buckets. */
#ifndef INTERNAL_MEMORY_H
#define INTERNAL_MEMORY_H

#include <stddef.h>

/* Aligned to 4096 bytes (to 2 MiB, and on huge pages where the kernel allows, from 2 MiB on).
 * Contents undefined. NULL when there is none; 0 bytes gives NULL as well. */
void *memory_reserve(size_t bytes);

/* Gives back what memory_reserve gave, with the same bytes; NULL is fine. */
void memory_release(void *memory, size_t bytes);

#endif
