/* SPDX-License-Identifier: BSD-3-Clause
 * memory.h: large plain memory for slots and buckets. */
#ifndef INTERNAL_MEMORY_H
#define INTERNAL_MEMORY_H

#include <stddef.h>

/* What the kernel maps and drops at once: 4096 bytes, on some Arm hosts 16 or 64 KiB. Where a call
 * names less, the kernel takes the whole page. */
size_t memory_page_bytes(void);

/* Aligned to 4096 bytes (to 2 MiB, and on huge pages where the kernel allows, from 2 MiB on).
 * Contents undefined. NULL when there is none; 0 bytes gives NULL as well. */
void *memory_reserve(size_t bytes);

/* Copies between memory that does not overlap, as memcpy does. For callers' vectors and all else
 * that may have kilobytes: there memcpy takes 20 times as long on some processors, where both lie
 * as they often do (memory.c). */
void memory_copy(void *into, const void *from, size_t bytes);

/* The same for what nobody reads while it could still be in a cache: it goes past them where there
 * is a way, and no line of the target is read only to be overwritten. Done when it returns. */
void memory_copy_past(void *into, const void *from, size_t bytes);

/* Gives back what memory_reserve gave, with the same bytes; NULL is fine. */
void memory_release(void *memory, size_t bytes);

#endif
