/* SPDX-License-Identifier: BSD-3-Clause
 * env_wire.c: the sockets of the world from the environment. None of them ever blocks by itself. */
#include "env_world.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal/clock.h"

#define NS_PER_MS (CLOCK_NS_PER_S / 1000)
#define CONNECT_NS (3 * CLOCK_NS_PER_S) /* for one address: the next one may be better */

/* ---- Moving bytes --------------------------------------------------------------------------- */

int env_move(int socket, enum env_way way, struct env_pieces *pieces)
{
    size_t bytes = pieces->head_bytes + pieces->body_bytes;
    while (pieces->moved < bytes) {
        bool in_head = pieces->moved < pieces->head_bytes;
        size_t past = in_head ? pieces->moved : pieces->moved - pieces->head_bytes;
        unsigned char *at = (unsigned char *)(in_head ? pieces->head : pieces->body) + past;
        size_t left = (in_head ? pieces->head_bytes : pieces->body_bytes) - past;
        int more = in_head && pieces->body_bytes > 0 ? MSG_MORE : 0;
        ssize_t moved = way == ENV_SEND ? send(socket, at, left, MSG_NOSIGNAL | more)
                                        : recv(socket, at, left, 0);
        if (moved == 0) {
            return ECONNRESET;
        }
        if (moved < 0 && errno != EINTR) {
            return errno == EWOULDBLOCK ? EAGAIN : errno == ETIMEDOUT ? EHOSTDOWN : errno;
        }
        pieces->moved += moved > 0 ? (size_t)moved : 0;
    }
    return 0;
}

int env_poll(struct pollfd *polls, int count, uint64_t end_ns)
{
    for (;;) {
        uint64_t now_ns = clock_now_ns();
        uint64_t left_ms = now_ns >= end_ns ? 0 : (end_ns - now_ns) / NS_PER_MS + 1;
        int ready = poll(polls, (nfds_t)count, left_ms > 60000 ? 60000 : (int)left_ms);
        if (ready > 0 || (ready < 0 && errno != EINTR) || (ready == 0 && left_ms <= 60000)) {
            return ready;
        }
    }
}

int env_move_all(int socket, enum env_way way, struct env_pieces *pieces, uint64_t end_ns)
{
    for (;;) {
        int error = env_move(socket, way, pieces);
        if (error != EAGAIN) {
            return error;
        }
        struct pollfd one = {.fd = socket, .events = way == ENV_SEND ? POLLOUT : POLLIN};
        int ready = env_poll(&one, 1, end_ns);
        if (ready <= 0) {
            return ready == 0 ? ETIMEDOUT : errno;
        }
    }
}

/* ---- Sockets -------------------------------------------------------------------------------- */

static void set(int socket, int level, int option, int value)
{
    setsockopt(socket, level, option, &value, sizeof value);
}

/* A host that vanishes says nothing: the kernel asks after it, and gives up within half a minute.
 */
static void prepare(int socket)
{
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
    set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
}

static int make_socket(int family)
{
    int made = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made >= 0 && family == AF_INET6) {
        set(made, IPPROTO_IPV6, IPV6_V6ONLY, 1); /* IPv4 has a socket of its own */
    }
    return made;
}

int env_accept(int listener)
{
    int made = accept(listener, NULL, NULL);
    if (made >= 0) {
        fcntl(made, F_SETFD, FD_CLOEXEC);
        fcntl(made, F_SETFL, fcntl(made, F_GETFL) | O_NONBLOCK);
        prepare(made);
    }
    return made;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, address, sizeof ipv4);
        return ntohl(ipv4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 ipv6;
    memcpy(&ipv6, address, sizeof ipv6);
    return IN6_IS_ADDR_LOOPBACK(&ipv6.sin6_addr);
}

static int look_up(const char *host, const char *port, int flags, struct addrinfo **found)
{
    struct addrinfo wanted = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    return getaddrinfo(host, port, &wanted, found);
}

/* ---- Listening ------------------------------------------------------------------------------ */

static int listen_on(const struct addrinfo *address)
{
    int made = make_socket(address->ai_family);
    if (made < 0) {
        return -1;
    }
    set(made, SOL_SOCKET, SO_REUSEADDR, 1); /* of a job before this one, connections may linger */
    if (bind(made, address->ai_addr, address->ai_addrlen) != 0 || listen(made, SOMAXCONN) != 0) {
        int error = errno;
        close(made);
        errno = error;
        return -1;
    }
    return made;
}

/* What is not of this host, or of a family it lacks, is left out; any other trouble is told. */
static int listen_on_all(const struct addrinfo *addresses, int sockets[ENV_LISTENERS_MAX],
                         int *cause)
{
    int count = 0;
    *cause = 0;
    for (; addresses != NULL && count < ENV_LISTENERS_MAX; addresses = addresses->ai_next) {
        int made = listen_on(addresses);
        if (made >= 0) {
            sockets[count++] = made;
        } else if (errno != EADDRNOTAVAIL && errno != EAFNOSUPPORT) {
            *cause = errno;
        }
    }
    for (; *cause != 0 && count > 0; count--) {
        close(sockets[count - 1]);
    }
    return count;
}

/* May others come by these addresses? A host often knows its own name as 127.0.1.1. */
static bool lead_home_only(const char *host, const struct addrinfo *addresses)
{
    struct addrinfo *number = NULL;
    if (strcmp(host, "localhost") == 0) {
        return false; /* nobody else is meant */
    }
    if (look_up(host, NULL, AI_NUMERICHOST, &number) == 0) {
        freeaddrinfo(number);
        return false; /* nor here */
    }
    while (addresses != NULL && !is_loopback(addresses->ai_addr)) {
        addresses = addresses->ai_next;
    }
    return addresses != NULL;
}

int env_listen(const struct env_launch *launch, int sockets[ENV_LISTENERS_MAX], int *cause)
{
    struct addrinfo *addresses = NULL;
    int count = 0;
    *cause = 0;
    if (look_up(launch->host, launch->port, 0, &addresses) == 0) {
        if (!lead_home_only(launch->host, addresses)) {
            count = listen_on_all(addresses, sockets, cause);
        }
        freeaddrinfo(addresses);
    }
    /* The name is known elsewhere, or means something in front of this host. */
    if (count == 0 && *cause == 0 && look_up(NULL, launch->port, AI_PASSIVE, &addresses) == 0) {
        count = listen_on_all(addresses, sockets, cause);
        freeaddrinfo(addresses);
    }
    return count;
}

/* ---- Connecting ----------------------------------------------------------------------------- */

/* Who tries a port of its own host again and again may meet itself there. */
static bool is_itself(int socket)
{
    struct sockaddr_storage own = {0}, other = {0};
    socklen_t own_bytes = sizeof own, other_bytes = sizeof other;
    return getsockname(socket, (struct sockaddr *)&own, &own_bytes) == 0 &&
           getpeername(socket, (struct sockaddr *)&other, &other_bytes) == 0 &&
           own_bytes == other_bytes && memcmp(&own, &other, own_bytes) == 0;
}

/* 0 or an errno. */
static int finish_connect(int socket, uint64_t end_ns)
{
    struct pollfd one = {.fd = socket, .events = POLLOUT};
    uint64_t own_end_ns = clock_now_ns() + CONNECT_NS;
    if (env_poll(&one, 1, own_end_ns < end_ns ? own_end_ns : end_ns) <= 0) {
        return ETIMEDOUT;
    }
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) {
        return errno;
    }
    return error == 0 && is_itself(socket) ? ECONNREFUSED : error;
}

static int connect_to(const struct addrinfo *address, uint64_t end_ns, int *error)
{
    int made = make_socket(address->ai_family);
    if (made < 0) {
        *error = errno;
        return -1;
    }
    *error = connect(made, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (*error == 0 || *error == EINPROGRESS) {
        *error = finish_connect(made, end_ns);
    }
    if (*error != 0) {
        close(made);
        return -1;
    }
    prepare(made);
    return made;
}

int env_connect(const struct env_launch *launch, uint64_t end_ns, char *cause, size_t bytes)
{
    struct addrinfo *addresses = NULL;
    int trouble = look_up(launch->host, launch->port, 0, &addresses);
    if (trouble != 0) {
        snprintf(cause, bytes, "%s", gai_strerror(trouble));
        return -1;
    }
    int made = -1;
    for (const struct addrinfo *at = addresses; at != NULL && made < 0; at = at->ai_next) {
        int error = 0;
        made = connect_to(at, end_ns, &error);
        if (made < 0) {
            snprintf(cause, bytes, "%s", strerror(error));
        }
    }
    freeaddrinfo(addresses);
    return made;
}
