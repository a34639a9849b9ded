/* SPDX-License-Identifier: BSD-3-Clause
 * shm_peers.c: the arenas of other processes: finds them, makes sure that they are what was
 * announced, and maps each once.
 *
 * The first way is /proc/PID/fd/N. Where it is closed (a program that changed its user, another
 * process namespace, no /proc) the descriptor comes over a socket of the kernel's abstract
 * namespace, which leaves no trace in any file system either. Both ways the arena must begin with
 * the nonce that its owner told through the world, so a number that means something else here is
 * found out. */
#define _GNU_SOURCE
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* What links under /proc/PID/fd say of an arena. */
#define LINK_TEXT "/memfd:wirewise"

/* Anybody on the host may write to a socket: so many messages are looked at. */
#define STRANGERS_MOST 100

static struct mapping *mappings; /* guarded by arena_lock */

/* ---- Mapping -------------------------------------------------------------------------------- */

static bool nonce_is(const uint64_t *nonce, const uint64_t *other)
{
    return nonce[0] == other[0] && nonce[1] == other[1];
}

/* One more user of what is mapped already. */
static struct mapping *mapping_find(const struct card *card)
{
    for (struct mapping *mapping = mappings; mapping != NULL; mapping = mapping->next) {
        if (mapping->pid == card->pid && nonce_is(mapping->nonce, card->nonce)) {
            mapping->references++;
            return mapping;
        }
    }
    return NULL;
}

static int file_check(int fd, const struct card *card)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0) {
        return errno;
    }
    bool alike = S_ISREG(stat.st_mode) && (uint64_t)stat.st_size == card->bytes;
    return alike && stat.st_uid == geteuid() ? 0 : ESTALE;
}

static int arena_map_checked(const struct card *card, int fd, unsigned char **base)
{
    unsigned char *mapped = NULL;
    int error = file_check(fd, card);
    if (error == 0) {
        error = arena_map(fd, card->bytes, &mapped);
    }
    if (error != 0) {
        return error;
    }
    if (memcmp(mapped, card->nonce, sizeof card->nonce) != 0) {
        munmap(mapped, card->bytes);
        return ESTALE;
    }
    madvise(mapped, card->bytes, MADV_DONTDUMP); /* its owner's core has it */
    *base = mapped;
    return 0;
}

/* Called with the lock. fd = -1: the arena is this process's own. */
static int mapping_make(const struct card *card, int fd, struct mapping **mapping)
{
    struct mapping *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return ENOMEM;
    }
    made->own = fd < 0;
    made->base = arena_base();
    int error = made->own ? 0 : arena_map_checked(card, fd, &made->base);
    if (error != 0) {
        free(made);
        return error;
    }
    made->bytes = card->bytes;
    made->pid = card->pid;
    memcpy(made->nonce, card->nonce, sizeof made->nonce);
    made->references = 1;
    made->next = mappings;
    mappings = made;
    *mapping = made;
    return 0;
}

/* Only what looks like an arena is opened: to open a stranger's pipe or tape would have effects. */
static int proc_open(const struct card *card, int *fd)
{
    char path[64];
    char text[sizeof LINK_TEXT];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", card->pid, card->fd);
    ssize_t bytes = shm_pretend.proc_is_hidden ? -1 : readlink(path, text, sizeof text);
    if (bytes < 0) {
        return shm_pretend.proc_is_hidden ? EACCES : errno;
    }
    if (bytes < (ssize_t)sizeof text - 1 || memcmp(text, LINK_TEXT, sizeof text - 1) != 0) {
        return ESTALE;
    }
    *fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return *fd < 0 ? errno : 0;
}

/* True where that process, found under /proc, has the same number for system calls: in a namespace
 * of processes whose /proc is another one's it does not. */
static bool number_is_ours(pid_t pid)
{
    char path[64];
    struct stat own, its;
    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    return stat("/proc/self/ns/pid", &own) == 0 && stat(path, &its) == 0 &&
           own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

int mapping_open(const struct card *card, struct mapping **mapping)
{
    int error = 0, fd = -1;
    arena_lock();
    struct mapping *found = mapping_find(card);
    bool own = nonce_is(card->nonce, arena_card().nonce);
    if (found == NULL && !own) {
        error = proc_open(card, &fd);
    }
    if (found == NULL && error == 0) {
        error = mapping_make(card, fd, &found);
    }
    if (error == 0 && fd >= 0) {
        found->by_pid = number_is_ours(card->pid);
    }
    arena_unlock();
    if (fd >= 0) {
        close(fd);
    }
    if (error == 0) {
        *mapping = found;
    }
    return error;
}

int mapping_open_fd(const struct card *card, int fd, struct mapping **mapping)
{
    arena_lock();
    struct mapping *found = mapping_find(card);
    int error = found == NULL ? mapping_make(card, fd, &found) : 0;
    arena_unlock();
    if (error == 0) {
        *mapping = found;
    }
    return error;
}

void mapping_close(struct mapping *mapping)
{
    if (mapping == NULL) {
        return;
    }
    arena_lock();
    if (--mapping->references == 0) {
        struct mapping **link = &mappings;
        while (*link != mapping) {
            link = &(*link)->next;
        }
        *link = mapping->next;
        if (!mapping->own) {
            munmap(mapping->base, mapping->bytes);
        }
        free(mapping);
    }
    arena_unlock();
}

/* ---- Memory that is not shared -------------------------------------------------------------- */

/* Each read brings the nonce along: the process may have ended, and its number be another's. */
static ssize_t read_some(const struct peer *peer, uint64_t from, unsigned char *into, size_t bytes)
{
    uint64_t nonce[2] = {0, 0};
    struct iovec local[2] = {{nonce, sizeof nonce}, {into, bytes}};
    struct iovec remote[2] = {{(void *)(uintptr_t)peer->card.proof, sizeof nonce},
                              {(void *)(uintptr_t)from, bytes}};
    ssize_t got = process_vm_readv(peer->card.pid, local, 2, remote, 2, 0);
    if (got >= 0 && (got < (ssize_t)sizeof nonce || !nonce_is(nonce, peer->card.nonce))) {
        errno = ESRCH;
        return -1;
    }
    return got < 0 ? -1 : got - (ssize_t)sizeof nonce;
}

int peer_read(const struct peer *peer, uint64_t from, void *into, size_t bytes)
{
    unsigned char *place = into;
    if (shm_pretend.fetch_is_forbidden) {
        return EPERM;
    }
    while (bytes > 0) {
        ssize_t got = read_some(peer, from, place, bytes);
        if (got < 0) {
            return errno;
        }
        if (got == 0) {
            return EFAULT;
        }
        from += (uint64_t)got;
        place += got;
        bytes -= (size_t)got;
    }
    return 0;
}

/* ---- Processes that ended ------------------------------------------------------------------- */

/* "PID (NAME) STATE ...", see proc(5): the 20th word is the number of threads. A name may have
 * spaces and brackets. Z alone does not tell: so does a first thread that others outlived. */
static bool is_zombie(pid_t pid)
{
    char path[64], text[1024], state;
    int threads;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (bytes <= 0) {
        return false;
    }
    text[bytes] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL &&
           sscanf(name_end,
                  ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d", &state,
                  &threads) == 2 &&
           (state == 'X' || (state == 'Z' && threads <= 1));
}

bool peer_ended(const struct peer *peer)
{
    if (peer->mapping->own || !peer->mapping->by_pid) {
        return false;
    }
    return kill(peer->card.pid, 0) != 0 ? errno == ESRCH : is_zombie(peer->card.pid);
}

/* ---- Descriptors over sockets --------------------------------------------------------------- */

/* What travels beside a descriptor. */
struct greeting {
    uint64_t nonce[2];
    uint64_t number;
};

/* A name in the abstract namespace: it begins with a zero byte and ends with the process. */
static socklen_t address_of(const struct card *card, uint64_t number, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int bytes = snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                         "wirewise-%016" PRIx64 "%016" PRIx64 "-%" PRIu64, card->nonce[0],
                         card->nonce[1], number);
    return (socklen_t)(sizeof address->sun_family + 1 + (size_t)bytes);
}

int envoy_open(const struct card *own, uint64_t number, int *socket_fd)
{
    struct sockaddr_un address;
    socklen_t bytes = address_of(own, number, &address);
    int on = 1;
    int made = shm_pretend.sockets_are_deaf
                   ? -1
                   : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) {
        return shm_pretend.sockets_are_deaf ? EACCES : errno;
    }
    if (setsockopt(made, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        bind(made, (struct sockaddr *)&address, bytes) != 0) {
        int error = errno;
        close(made);
        return error;
    }
    *socket_fd = made;
    return 0;
}

int envoy_send(int socket_fd, const struct card *own, const struct card *to, uint64_t number)
{
    struct sockaddr_un address;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control = {{0}};
    struct greeting greeting = {{own->nonce[0], own->nonce[1]}, number};
    struct iovec text = {&greeting, sizeof greeting};
    struct msghdr message = {.msg_name = &address,
                             .msg_namelen = address_of(to, number, &address),
                             .msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    int fd = own->fd;
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* The first descriptor is kept, more than one nobody of ours sends. */
static void descriptors_read(const struct cmsghdr *part, int *fd)
{
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof *fd;
    for (size_t index = 0; index < count; index++) {
        int received;
        memcpy(&received, CMSG_DATA(part) + index * sizeof received, sizeof received);
        if (*fd < 0) {
            *fd = received;
        } else {
            close(received);
        }
    }
}

static void parts_read(struct msghdr *message, int *fd, uid_t *user)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        struct ucred sender;
        if (part->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (part->cmsg_type == SCM_RIGHTS) {
            descriptors_read(part, fd);
        } else if (part->cmsg_type == SCM_CREDENTIALS) {
            memcpy(&sender, CMSG_DATA(part), sizeof sender);
            *user = sender.uid;
        }
    }
}

int envoy_receive(int socket_fd, const struct card *from, int *fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
        struct cmsghdr aligned;
    } control;
    struct greeting greeting;
    struct iovec text = {&greeting, sizeof greeting};
    for (int tries = 0; tries < STRANGERS_MOST; tries++) {
        struct msghdr message = {.msg_iov = &text,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t bytes = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (bytes < 0 && errno == EINTR) {
            continue;
        }
        if (bytes < 0) {
            return errno; /* EAGAIN: nothing came */
        }
        int received = -1;
        uid_t user = (uid_t)-1;
        parts_read(&message, &received, &user);
        if (bytes == (ssize_t)sizeof greeting && nonce_is(greeting.nonce, from->nonce) &&
            user == geteuid() && received >= 0) {
            *fd = received;
            return 0;
        }
        if (received >= 0) {
            close(received); /* from a stranger */
        }
    }
    return EAGAIN;
}
