/* SPDX-License-Identifier: BSD-3-Clause
 * identity.c: beacons, and the hosts that follow from who reached whom. */
#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal/log.h"
#include "internal/size_guard.h"
#include "units.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"
#define BEACON_NAME "wirewise-beacon"
/* What links under /proc/PID/fd say of one. */
#define LINK_TEXT "/memfd:" BEACON_NAME

/* ---- Identity ------------------------------------------------------------------------------- */

static void read_boot_id(char *text, size_t bytes)
{
    FILE *file = fopen(BOOT_ID_FILE, "re");
    if (file == NULL) {
        return; /* not Linux, or hidden */
    }
    if (fgets(text, (int)bytes, file) != NULL) {
        text[strcspn(text, "\n")] = '\0';
    }
    fclose(file);
}

void identity_describe(struct identity *identity, const char *host)
{
    identity->name_given = host != NULL;
    if (host != NULL) {
        snprintf(identity->host_name, sizeof identity->host_name, "%s", host);
        return;
    }
    if (gethostname(identity->host_name, sizeof identity->host_name) != 0) {
        snprintf(identity->host_name, sizeof identity->host_name, "host");
    }
    read_boot_id(identity->boot_id, sizeof identity->boot_id);
}

/* ---- Beacons -------------------------------------------------------------------------------- */

/* Whoever shares these is reached alike. */
static uint64_t namespaces_hash(void)
{
    static const char *const links[] = {"/proc/self/ns/pid", "/proc/self/ns/net",
                                        "/proc/self/ns/user"};
    uint64_t hash = HASH_BEGIN;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        char text[64] = "";
        ssize_t bytes = readlink(links[i], text, sizeof text - 1);
        hash = hash_more(hash, text, bytes > 0 ? (size_t)bytes : 0);
    }
    return hash;
}

/* A name in the abstract namespace: it begins with a zero byte and ends with the socket. */
static socklen_t address_of(const struct token *token, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int bytes = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                         BEACON_NAME "-%016" PRIx64 "%016" PRIx64, token->nonce[0],
                         token->nonce[1]);
    return (socklen_t)(sizeof address->sun_family + 1 + (size_t)bytes);
}

static int datagram_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static bool memory_make(struct beacon *beacon, const struct token *token)
{
    struct size_guard guard;
    beacon->memory = memfd_create(BEACON_NAME, MFD_CLOEXEC);
    size_guard_begin(&guard);
    bool made = beacon->memory >= 0 && pwrite(beacon->memory, token->nonce, sizeof token->nonce,
                                              0) == (ssize_t)sizeof token->nonce;
    size_guard_end(&guard);
    return made;
}

/* One way is enough, so a socket that cannot be had is no failure. */
static void socket_make(struct beacon *beacon, const struct token *token)
{
    struct sockaddr_un address;
    socklen_t bytes = address_of(token, &address);
    beacon->socket = datagram_socket();
    if (beacon->socket >= 0 &&
        bind(beacon->socket, (const struct sockaddr *)&address, bytes) != 0) {
        close(beacon->socket);
        beacon->socket = -1;
    }
}

void beacon_light(struct beacon *beacon, struct token *token)
{
    *beacon = (struct beacon){-1, -1};
    memset(token, 0, sizeof *token);
    if (getentropy(token->nonce, sizeof token->nonce) != 0 || !memory_make(beacon, token)) {
        beacon_douse(beacon);
        return;
    }
    socket_make(beacon, token);
    token->space = namespaces_hash();
    token->user = (uint32_t)geteuid();
    token->fd = (int32_t)beacon->memory;
    token->pid = (int32_t)getpid();
}

void beacon_douse(struct beacon *beacon)
{
    if (beacon->memory >= 0) {
        close(beacon->memory);
    }
    if (beacon->socket >= 0) {
        close(beacon->socket);
    }
    *beacon = (struct beacon){-1, -1};
}

static bool is_beacon(int fd, const struct token *token)
{
    uint64_t nonce[2] = {0, 0};
    struct stat about;
    return fstat(fd, &about) == 0 && about.st_uid == geteuid() &&
           pread(fd, nonce, sizeof nonce, 0) == (ssize_t)sizeof nonce &&
           memcmp(nonce, token->nonce, sizeof nonce) == 0;
}

/* Only what looks like a beacon is opened: the number may mean a stranger's device here. */
static bool reach_through_proc(const struct token *token)
{
    char path[64];
    char text[sizeof LINK_TEXT];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", token->pid, token->fd);
    ssize_t bytes = readlink(path, text, sizeof text);
    if (bytes < (ssize_t)sizeof text - 1 || memcmp(text, LINK_TEXT, sizeof text - 1) != 0) {
        return false;
    }
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool reached = fd >= 0 && is_beacon(fd, token);
    if (fd >= 0) {
        close(fd);
    }
    return reached;
}

/* Descriptors travel to sockets that have a name here, between processes of one user. */
static bool reach_through_socket(const struct token *token)
{
    struct sockaddr_un address;
    socklen_t bytes = address_of(token, &address);
    int fd = token->user == (uint32_t)geteuid() ? datagram_socket() : -1;
    bool reached = fd >= 0 && connect(fd, (const struct sockaddr *)&address, bytes) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return reached;
}

bool beacon_reach(const struct token *token)
{
    return token->pid > 0 && (reach_through_proc(token) || reach_through_socket(token));
}

/* ---- Crowds --------------------------------------------------------------------------------- */

/* Where a person gave the name, or nothing else is known, the name is the machine. */
static bool name_decides(const struct identity *identity)
{
    return identity->name_given || identity->boot_id[0] == '\0';
}

static uint64_t machine_label(const struct identity *identity)
{
    uint64_t hash = hash_text(HASH_BEGIN, name_decides(identity) ? "name" : "boot");
    hash = hash_more(hash, &identity->name_given, sizeof identity->name_given);
    return hash_text(hash, name_decides(identity) ? identity->host_name : identity->boot_id);
}

static uint64_t crowd_label(const struct identity *identity)
{
    const struct token *token = &identity->token;
    uint64_t hash = hash_text(machine_label(identity), identity->host_name);
    if (!name_decides(identity) && token->pid > 0) {
        hash = hash_more(hash, &token->space, sizeof token->space);
        hash = hash_more(hash, &token->user, sizeof token->user);
    }
    return hash;
}

static enum ww_status crowds_number(struct crowds *crowds, const struct identity *all,
                                    uint64_t *labels)
{
    for (int rank = 0; rank < crowds->size; rank++) {
        labels[rank] = crowd_label(&all[rank]);
    }
    enum ww_status status = units_number(crowds->size, NULL, labels, crowds->crowd_of,
                                         &crowds->count);
    if (status != WW_OK) {
        return status;
    }
    int known = 0;
    for (int rank = 0; rank < crowds->size; rank++) {
        if (crowds->crowd_of[rank] == known) {
            labels[known] = machine_label(&all[rank]);
            crowds->leader[known++] = rank;
        }
    }
    int machines = 0;
    return units_number(crowds->count, NULL, labels, crowds->machine, &machines);
}

/* latest[size] is room. */
static void crowds_chain(struct crowds *crowds, int *latest)
{
    for (int crowd = 0; crowd < crowds->count; crowd++) {
        latest[crowd] = -1; /* machines are at most as many */
    }
    for (int crowd = 0; crowd < crowds->count; crowd++) {
        int previous = latest[crowds->machine[crowd]];
        crowds->previous[crowd] = previous;
        crowds->place[crowd] = previous < 0 ? 0 : crowds->place[previous] + 1;
        latest[crowds->machine[crowd]] = crowd;
    }
}

enum ww_status crowds_init(struct crowds *crowds, int size, const struct identity *all)
{
    size_t count = (size_t)size;
    int *room = calloc(6 * count, sizeof *room);
    uint64_t *labels = calloc(count, sizeof *labels);
    enum ww_status status = WW_NO_MEMORY;
    memset(crowds, 0, sizeof *crowds);
    if (room == NULL || labels == NULL) {
        free(room);
        log_failure(status, "no memory for the hosts of %d ranks", size);
        goto free_labels;
    }
    *crowds = (struct crowds){.size = size,
                              .crowd_of = room,
                              .leader = room + count,
                              .machine = room + 2 * count,
                              .place = room + 3 * count,
                              .previous = room + 4 * count};
    status = crowds_number(crowds, all, labels);
    if (status == WW_OK) {
        crowds_chain(crowds, room + 5 * count);
    } else {
        crowds_finish(crowds);
    }
free_labels:
    free(labels);
    return status;
}

void crowds_finish(struct crowds *crowds)
{
    free(crowds->crowd_of); /* and all behind it */
    memset(crowds, 0, sizeof *crowds);
}

/* ---- Reach ---------------------------------------------------------------------------------- */

static bool reach_has(const struct reach *reach, int place)
{
    return place < REACH_MOST && (reach->crowd[place / 64] >> (place % 64) & 1) != 0;
}

/* Without beacons on both sides the name must do. */
static bool can_meet(const struct identity *own, const struct identity *other)
{
    if (name_decides(own)) {
        return true; /* machines are names */
    }
    if (own->token.pid == 0 || other->token.pid == 0) {
        return strcmp(own->host_name, other->host_name) == 0;
    }
    return beacon_reach(&other->token);
}

struct reach reach_find(const struct crowds *crowds, const struct identity *all, int rank)
{
    struct reach reach = {{0}};
    int machine = crowds->machine[crowds->crowd_of[rank]];
    for (int crowd = 0; crowd < crowds->count; crowd++) {
        int place = crowds->place[crowd];
        if (crowds->machine[crowd] == machine && place < REACH_MOST &&
            can_meet(&all[rank], &all[crowds->leader[crowd]])) {
            reach.crowd[place / 64] |= UINT64_C(1) << (place % 64);
        }
    }
    return reach;
}

/* ---- Hosts ---------------------------------------------------------------------------------- */

/* What every rank of each crowd reached. */
static void reach_together(const struct crowds *crowds, const void *reach, size_t stride,
                           struct reach *together)
{
    memset(together, 0xff, (size_t)crowds->count * sizeof *together);
    for (int rank = 0; rank < crowds->size; rank++) {
        struct reach one; /* copied: records of any stride may lie anyhow */
        memcpy(&one, (const char *)reach + (size_t)rank * stride, sizeof one);
        for (int word = 0; word < REACH_MOST / 64; word++) {
            together[crowds->crowd_of[rank]].crowd[word] &= one.crowd[word];
        }
    }
}

static bool both_reach(const struct crowds *crowds, const struct reach *together, int a, int b)
{
    return reach_has(&together[a], crowds->place[b]) && reach_has(&together[b], crowds->place[a]);
}

/* The crowd whose host this one joins: itself when there is no host where all reach it, -1 when its
 * own ranks do not reach each other. refused[count] is room. */
static int host_for(const struct crowds *crowds, const struct reach *together, const int *host,
                    int crowd, int *refused)
{
    if (!reach_has(&together[crowd], crowds->place[crowd])) {
        return -1;
    }
    int joined = crowd;
    for (int other = crowds->previous[crowd]; other >= 0; other = crowds->previous[other]) {
        if (host[other] >= 0 && !both_reach(crowds, together, crowd, other)) {
            refused[host[other]] = crowd;
        }
    }
    for (int other = crowds->previous[crowd]; other >= 0; other = crowds->previous[other]) {
        if (host[other] == other && refused[other] != crowd) {
            joined = other;
        }
    }
    return joined;
}

enum ww_status hosts_join(const struct crowds *crowds, const void *reach, size_t stride,
                          uint64_t *labels)
{
    size_t count = (size_t)crowds->count;
    struct reach *together = calloc(count, sizeof *together);
    int *host = calloc(count, sizeof *host);
    int *refused = calloc(count, sizeof *refused); /* crowd 0 refuses nobody */
    enum ww_status status = WW_OK;
    if (together == NULL || host == NULL || refused == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for the hosts of %d ranks", crowds->size);
        goto free_all;
    }
    reach_together(crowds, reach, stride, together);
    for (int crowd = 0; crowd < crowds->count; crowd++) {
        host[crowd] = host_for(crowds, together, host, crowd, refused);
    }
    for (int rank = 0; rank < crowds->size; rank++) {
        int joined = host[crowds->crowd_of[rank]];
        labels[rank] = (uint64_t)(joined < 0 ? rank : crowds->leader[joined]);
    }
free_all:
    free(refused);
    free(host);
    free(together);
    return status;
}

/* Crowds of one name are looked at by their leaders; one that fell apart by its second rank. */
bool hosts_divided(const struct crowds *crowds, const struct identity *all, const uint64_t *labels,
                   int *one, int *other)
{
    for (int rank = 0; rank < crowds->size; rank++) {
        int crowd = crowds->crowd_of[rank];
        int before = crowds->previous[crowd];
        int peer = crowds->leader[crowd] != rank ? crowds->leader[crowd]
                   : before >= 0                 ? crowds->leader[before]
                                                 : rank;
        if (labels[rank] != labels[peer] && !name_decides(&all[rank])) {
            *one = peer;
            *other = rank;
            return true;
        }
    }
    return false;
}
