/* SPDX-License-Identifier: BSD-3-Clause
 * tell_nccl.h: calls what the fake NCCL has for tests: it is loaded as the library loads it. */
#ifndef DEVICE_TELL_NCCL_H
#define DEVICE_TELL_NCCL_H

#include <stdbool.h>

void tell_nccl(const char *what, bool on);
int ask_nccl(const char *what);

/* From now on it knows the GPU of the thread that calls it. */
void tell_nccl_of_gpus(void);

#endif
