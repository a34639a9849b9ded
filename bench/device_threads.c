/* SPDX-License-Identifier: BSD-3-Clause
 * device_threads.c: ranks with GPUs are processes. Tests over a fake GPU link another number. */
#include "device.h"

const int device_threads_most = 1;
