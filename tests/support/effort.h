/* SPDX-License-Identifier: BSD-3-Clause
 * effort.h: how much a test tries. A sanitizer wants each path once, not each size, and makes
 * everything many times slower:
 *
 *     static const size_t counts[] = {1, 257, EFFORT(300007, 8193)};
 */
#ifndef TESTS_EFFORT_H
#define TESTS_EFFORT_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EFFORT_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define EFFORT_CHECKED 1
#endif
#endif

#ifdef __SANITIZE_THREAD__
#define EFFORT_THREADS_WATCHED true
#else
#define EFFORT_THREADS_WATCHED false
#endif

/* The first where nobody watches, the second under a sanitizer; both are constants. */
#ifdef EFFORT_CHECKED
#define EFFORT(whole, checked) (checked)
#else
#define EFFORT(whole, checked) (whole)
#endif

#endif
