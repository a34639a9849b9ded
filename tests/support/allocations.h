/* SPDX-License-Identifier: BSD-3-Clause
 * allocations.h: counts allocations, and lets one of them fail, in tests that wirewise_allocations
 * (cmake/WirewiseTest.cmake) links so. Both are this thread's. */
#ifndef SUPPORT_ALLOCATIONS_H
#define SUPPORT_ALLOCATIONS_H

/* Calls of malloc, calloc or realloc so far. */
int allocations_made(void);

/* So many are left until one fails, which makes it 0; 0 = none ever does. */
extern _Thread_local int allocations_left;

#endif
