/* SPDX-License-Identifier: BSD-3-Clause
 * fake_threads.c: the fake GPU takes ranks that are threads, and the fake NCCL so many. */
#include "device.h"

const int device_threads_most = 16;
