/* SPDX-License-Identifier: BSD-3-Clause
 * places.c: asks the system about this rank's host, and compares hosts by name. */
#include "places.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "markers.h"
#include "team.h"

/* The processor's name where the kernel tells it, else its kind. */
static void read_cpu(char *cpu, size_t bytes, const char *machine)
{
    snprintf(cpu, bytes, "%s", machine);
    FILE *info = fopen("/proc/cpuinfo", "r");
    if (info == NULL) {
        return;
    }
    char line[256];
    while (fgets(line, sizeof(line), info) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL && colon[1] == ' ') {
            line[strcspn(line, "\n")] = '\0';
            snprintf(cpu, bytes, "%s", colon + 2);
            break;
        }
    }
    fclose(info);
}

/* Ranks of a host take its GPUs in turn, and share them where there are fewer. */
static void choose_gpu(struct place *place, int rank, const struct options *options)
{
    place->gpu = -1;
    if (!options->on_gpu) {
        return;
    }
    int gpus = device_count(place->gpu_why, sizeof(place->gpu_why));
    if (gpus > 0) {
        int local = options->processes && options->launch.local >= 0 ? options->launch.local : rank;
        place->gpu = local % gpus;
        device_describe(place->gpu, place->gpu_name, sizeof(place->gpu_name), place->gpu_address,
                        sizeof(place->gpu_address));
    }
}

static struct place place_here(void)
{
    struct place place = {
        .pid = (int)getpid(),
        .cores = (int)sysconf(_SC_NPROCESSORS_ONLN),
        .memory_bytes = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE),
    };
    struct utsname system;
    if (uname(&system) != 0) {
        memset(&system, 0, sizeof(system));
    }
    const char *name = system.nodename[0] != '\0' ? system.nodename : "unknown";
    snprintf(place.host, sizeof(place.host), "%.*s", (int)sizeof(place.host) - 1, name);
    place.host[strcspn(place.host, ".")] = '\0';
    snprintf(place.kernel, sizeof(place.kernel), "%.16s %.60s", system.sysname, system.release);
    read_cpu(place.cpu, sizeof(place.cpu), system.machine);
    return place;
}

struct place *places_gather(const struct ww_world *world, const struct options *options)
{
    struct place mine = place_here();
    choose_gpu(&mine, world->rank, options);
    struct place *places = calloc((size_t)world->size, sizeof(places[0]));
    if (places == NULL) {
        team_fail(world, "no memory for the list of %d ranks", world->size);
    }
    team_gather(world, &mine, places, sizeof(mine));
    return places;
}

int places_first(const struct place *places, int rank)
{
    int first = 0;
    while (strcmp(places[first].host, places[rank].host) != 0) {
        first++;
    }
    return first;
}

int places_neighbours(const struct place *places, int rank, int size)
{
    int neighbours = 0;
    for (int i = 0; i < size; i++) {
        neighbours += strcmp(places[i].host, places[rank].host) == 0;
    }
    return neighbours;
}

int places_host_count(const struct place *places, int size)
{
    int hosts = 0;
    for (int rank = 0; rank < size; rank++) {
        hosts += places_first(places, rank) == rank;
    }
    return hosts;
}

static bool share_gpu(const struct place *one, const struct place *other)
{
    return one->gpu >= 0 && other->gpu >= 0 && strcmp(one->host, other->host) == 0 &&
           strcmp(one->gpu_address, other->gpu_address) == 0;
}

int places_gpu_count(const struct place *places, int size)
{
    int gpus = 0;
    for (int rank = 0; rank < size; rank++) {
        int first = 0;
        while (first < rank && !share_gpu(&places[first], &places[rank])) {
            first++;
        }
        gpus += first == rank && places[rank].gpu >= 0;
    }
    return gpus;
}

bool places_have_gpus(const struct place *places, const struct ww_world *world,
                      const struct options *options)
{
    int rank = 0;
    while (rank < world->size && places[rank].gpu >= 0) {
        rank++;
    }
    if (!options->on_gpu || rank == world->size) {
        return true;
    }
    if (world->rank == 0 && rank == 0) {
        fprintf(stderr, "wirewise bench: no GPU can be used here: %s\n", places[0].gpu_why);
    } else if (world->rank == 0) {
        fprintf(stderr, "wirewise bench: rank %d on host %s: no GPU can be used here: %s\n", rank,
                places[rank].host, places[rank].gpu_why);
    }
    return false;
}

static int buffers_needed(const struct options *options)
{
    if (options->on_gpu) {
        return 1;
    }
    return (options->versus_mpi ? 4 : 2) + (options->feeds_back ? 1 : 0);
}

/* Per rank. On a GPU the host's memory holds values on their way only. A contest has a huge and a
 * shared buffer beside those of the table; the markers' own come and go before. */
static size_t bytes_needed(const struct options *options)
{
    size_t buffers = options->bytes_max > SIZE_MAX / 4 ? SIZE_MAX / 4 : options->bytes_max;
    return (size_t)buffers_needed(options) * buffers + (options->versus_mpi ? MARKER_BYTES * 2 : 0);
}

bool places_have_room(const struct place *places, const struct ww_world *world,
                      const struct options *options)
{
    size_t needed = bytes_needed(options);
    for (int rank = 0; rank < world->size; rank++) {
        size_t room = places[rank].memory_bytes /
                      (size_t)places_neighbours(places, rank, world->size);
        if (needed <= room) {
            continue;
        }
        if (world->rank == 0) {
            fprintf(stderr,
                    "wirewise bench: -e %zu takes %d buffers of that size per rank, but host %s "
                    "has %zu MiB of memory per rank; lower -e\n",
                    options->bytes_max, buffers_needed(options), places[rank].host, room >> 20);
        }
        return false;
    }
    return true;
}
