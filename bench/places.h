/* SPDX-License-Identifier: BSD-3-Clause
 * places.h: where the ranks live. */
#ifndef BENCH_PLACES_H
#define BENCH_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "device.h"
#include "options.h"

struct place {
    int pid;
    int cores;           /* of the host, online */
    size_t memory_bytes; /* of the host */
    char host[64];       /* up to the first dot */
    char cpu[80];        /* "AMD EPYC ..." */
    char kernel[80];     /* "Linux 6.1.0-18-amd64" */
    int gpu;             /* as its process counts them; -1 = none, or none was asked for */
    char gpu_name[DEVICE_NAME_BYTES];
    char gpu_address[DEVICE_ADDRESS_BYTES];
    char gpu_why[DEVICE_WHY_BYTES]; /* why there is none */
};

/* Gathers all ranks' places[world->size], to be freed by the caller; called by all ranks. */
struct place *places_gather(const struct ww_world *world, const struct options *options);

/* The lowest rank on the host of this one. */
int places_first(const struct place *places, int rank);

/* Ranks on the host of this one. */
int places_neighbours(const struct place *places, int rank, int size);

int places_host_count(const struct place *places, int size);

/* Different GPUs that the ranks have. */
int places_gpu_count(const struct place *places, int size);

/* True when every rank has a GPU, or none was asked for. All ranks come to the same answer; rank 0
 * says why not. */
bool places_have_gpus(const struct place *places, const struct ww_world *world,
                      const struct options *options);

/* True when each rank's part of its host's memory has room for the buffers of this run: what does
 * not fit would be promised by the system and then cost the job its life. All ranks come to the
 * same answer; rank 0 says why not. */
bool places_have_room(const struct place *places, const struct ww_world *world,
                      const struct options *options);

#endif
