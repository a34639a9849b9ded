/* SPDX-License-Identifier: BSD-3-Clause
 * identity.h: who a rank is, and with whom it really can meet in memory.
 *
 * A host is where ranks meet in memory, as runtime/transport/shm does. Neither a name nor a boot id
 * says that: containers of one machine have names of their own and may share everything, or
 * nothing. So each rank lights a *beacon* that others of its machine try to reach in both ways by
 * which the transport would: through /proc, and through a socket's name. Nothing stays behind. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

#include "topology.h"

/* How to reach a beacon. */
struct token {
    uint64_t nonce[2];
    uint64_t space; /* of the process's namespaces; 0 = hidden */
    int32_t pid;    /* 0 = there is no beacon */
    int32_t fd;
    uint32_t user;
    uint32_t reserved;
};

/* What one rank says first. Texts are filled up with zeros: records are compared as bytes. */
struct identity {
    char version[16];
    char settings[TOPOLOGY_SETTINGS_BYTES];
    int32_t size;
    int32_t rank;
    char host_name[HOST_NAME_BYTES];
    char boot_id[40];   /* of the machine; "" = unknown: the host's name must do */
    int32_t name_given; /* by a person, who knows best: ranks of that name share a host */
    int32_t reserved;
    struct token token;
};

/* A beacon: memory without a file that begins with the nonce, and a socket that is named by it. */
struct beacon {
    int memory; /* descriptors; -1 = none */
    int socket;
};

/* Lights it; without memory or sockets token->pid is 0. */
void beacon_light(struct beacon *beacon, struct token *token);
void beacon_douse(struct beacon *beacon);

/* Whether this process could share memory with the one that lit the beacon, which still burns. */
bool beacon_reach(const struct token *token);

/* host NULL = found out. */
void identity_describe(struct identity *identity, const char *host);

/* Ranks of one machine, one name, one user and the same namespaces are a crowd: what one of them
 * reaches, all do. Crowds are numbered by their lowest rank. */
struct crowds {
    int size;
    int count;
    int *crowd_of; /* [size] */
    int *leader;   /* [count] the lowest rank */
    int *machine;  /* [count] number of the machine: ranks of one boot id */
    int *place;    /* [count] among the crowds of its machine */
    int *previous; /* [count] crowd of the same machine, -1 = none */
};
enum ww_status crowds_init(struct crowds *crowds, int size, const struct identity *all);
void crowds_finish(struct crowds *crowds);

/* Which crowds of its machine a rank reaches, its own included: a bit for each place. */
#define REACH_MOST 256 /* crowds of a machine; the ranks of further ones stand alone */
struct reach {
    uint64_t crowd[REACH_MOST / 64];
};
struct reach reach_find(const struct crowds *crowds, const struct identity *all, int rank);

/* Labels ranks by host: crowds that all reached each other share one.
 * reach   [size], spaced `stride` bytes apart
 * labels  [size] becomes the lowest rank of the rank's host
 * Returns WW_OK, WW_NO_MEMORY. */
enum ww_status hosts_join(const struct crowds *crowds, const void *reach, size_t stride,
                          uint64_t *labels);

/* Two crowds of one machine that are on different hosts: the first such pair of leaders.
 * Returns false when there is none. */
bool hosts_divided(const struct crowds *crowds, const struct identity *all, const uint64_t *labels,
                   int *one, int *other);

#endif
