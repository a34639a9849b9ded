/* SPDX-License-Identifier: BSD-3-Clause
 * fake_kernels.h: what tests tell the fake kernels. */
#ifndef DEVICE_FAKE_KERNELS_H
#define DEVICE_FAKE_KERNELS_H

#include <stdbool.h>

/* From now on pieces cannot be copied: this GPU takes no kernels of the library. */
void fake_kernels_fail(bool fail);

#endif
