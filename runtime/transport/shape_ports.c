/* SPDX-License-Identifier: BSD-3-Clause
 * shape_ports.c: the ports of imitated hosts, in memory that their ranks share.
 *
 * Rank 0 makes a memory without a name and tells all where it is; each maps it by way of /proc,
 * threads of one process likewise. Nothing stays behind when a rank dies. */
#define _GNU_SOURCE
#include "shape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/gather.h"
#include "internal/log.h"
#include "internal/size_guard.h"

#define PAGE_BYTES ((size_t)4096)
#define FILE_NAME "wirewise-ports"
/* What links under /proc/PID/fd say of one. */
#define LINK_TEXT "/memfd:" FILE_NAME

uint64_t port_take(struct port *port, uint64_t first_ns, uint64_t span_ns)
{
    uint64_t free_ns = atomic_load_explicit(&port->free_ns, memory_order_relaxed);
    uint64_t begin_ns;
    do {
        begin_ns = free_ns > first_ns ? free_ns : first_ns;
    } while (!atomic_compare_exchange_weak_explicit(&port->free_ns, &free_ns, begin_ns + span_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return begin_ns;
}

static size_t bytes_for(int hosts)
{
    size_t bytes = (size_t)hosts * DIRECTIONS * sizeof(struct port);
    return PAGE_BYTES + (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static bool map_ports(struct ports *ports, int fd, int hosts)
{
    int kind = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    size_t bytes = bytes_for(hosts);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind, fd, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    *ports = (struct ports){.port = (struct port *)(void *)((char *)memory + PAGE_BYTES),
                            .memory = memory,
                            .bytes = bytes,
                            .shared = fd >= 0};
    return true;
}

enum ww_status ports_open(struct ports *ports, int hosts)
{
    return map_ports(ports, -1, hosts)
               ? WW_OK
               : log_failure(WW_NO_MEMORY, "no memory for the ports of %d hosts", hosts);
}

void ports_close(struct ports *ports)
{
    if (ports->memory != NULL) {
        munmap(ports->memory, ports->bytes);
    }
    *ports = (struct ports){.port = NULL};
}

/* ---- Meeting -------------------------------------------------------------------------------- */

/* A file with the nonce in front, as long as it needs to be. 0 or an errno. */
static int make_file(struct port_card *card, int hosts)
{
    if (getentropy(card->nonce, sizeof card->nonce) != 0) {
        return errno;
    }
    int fd = memfd_create(FILE_NAME, MFD_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    struct size_guard guard;
    size_guard_begin(&guard);
    bool made = ftruncate(fd, (off_t)bytes_for(hosts)) == 0 &&
                pwrite(fd, card->nonce, sizeof card->nonce, 0) == (ssize_t)sizeof card->nonce;
    size_guard_end(&guard);
    if (!made) {
        int error = errno;
        close(fd);
        return error;
    }
    card->pid = (int32_t)getpid();
    card->fd = fd;
    return 0;
}

/* The number may mean something else here: only what looks like such a file is opened. */
static int open_file(const struct port_card *card)
{
    char path[64];
    char text[sizeof LINK_TEXT];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", card->pid, card->fd);
    ssize_t bytes = readlink(path, text, sizeof text);
    if (bytes < 0) {
        return -1;
    }
    if (bytes < (ssize_t)sizeof text - 1 || memcmp(text, LINK_TEXT, sizeof text - 1) != 0) {
        errno = ESTALE;
        return -1;
    }
    return open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
}

/* 0 or an errno. */
static int find_ports(struct ports *ports, const struct port_card *card, int hosts)
{
    uint64_t nonce[2] = {0, 0};
    struct stat about;
    int fd = open_file(card);
    if (fd < 0) {
        return errno;
    }
    int error = 0;
    if (fstat(fd, &about) != 0 || (size_t)about.st_size != bytes_for(hosts) ||
        pread(fd, nonce, sizeof nonce, 0) != (ssize_t)sizeof nonce ||
        memcmp(nonce, card->nonce, sizeof nonce) != 0) {
        error = ESTALE;
    } else if (!map_ports(ports, fd, hosts)) {
        error = errno;
    }
    close(fd);
    return error;
}

/* The lowest rank that could not; -1 when all could. */
static int rank_in_trouble(const struct port_card *cards, int size)
{
    for (int rank = 0; rank < size; rank++) {
        if (cards[rank].error != 0) {
            return rank;
        }
    }
    return -1;
}

/* Tells how it went here, and hears how it went elsewhere: true when all found the ports. */
static enum ww_status settle(const struct ww_world *world, int error, struct port_card *cards,
                             bool *all)
{
    struct port_card own = {.error = error};
    enum ww_status status = world_gather(world, &own, cards, sizeof own);
    int troubled = status == WW_OK ? rank_in_trouble(cards, world->size) : -1;
    *all = status == WW_OK && troubled < 0;
    if (troubled >= 0 && world->rank == 0) {
        log_warn("the ranks of an imitated host cannot share its port (rank %d: %s): each has an "
                 "even part of the rate, also while the others send nothing",
                 troubled, strerror(cards[troubled].error));
    }
    return status;
}

enum ww_status ports_share(struct ports *ports, const struct ww_world *world, int hosts,
                           struct port_card *cards)
{
    struct port_card own = {.fd = -1};
    struct ports found = {.port = NULL};
    bool all = false;
    own.error = world->rank == 0 ? make_file(&own, hosts) : 0;
    enum ww_status status = world_gather(world, &own, cards, sizeof own);
    if (status == WW_OK) {
        int error = cards[0].error != 0 ? cards[0].error : find_ports(&found, &cards[0], hosts);
        status = settle(world, error, cards, &all);
    }
    if (own.fd >= 0) {
        close(own.fd);
    }
    ports_close(all ? ports : &found);
    if (all) {
        *ports = found;
    }
    return status;
}
