/* SPDX-License-Identifier: BSD-3-Clause
 * alone.h: a fabric over UCX of one rank, without a launcher. */
#ifndef TESTS_UCX_ALONE_H
#define TESTS_UCX_ALONE_H

#include <wirewise/wirewise.h>

/* What opening it returns; *fabric is the caller's to close. */
enum ww_status alone_open(void **fabric);

#endif
