/* SPDX-License-Identifier: BSD-3-Clause
 * port.h: an address of this machine that nobody listens on. */
#ifndef TESTS_ENV_PORT_H
#define TESTS_ENV_PORT_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A socket bound to a port of 127.0.0.1 that the kernel chose, and that port. */
static inline int port_bind(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int made = socket(AF_INET, SOCK_STREAM, 0);
    *port = 0;
    if (bind(made, (struct sockaddr *)&address, sizeof address) == 0 &&
        getsockname(made, (struct sockaddr *)&address, &bytes) == 0) {
        *port = ntohs(address.sin_port);
    }
    return made;
}

struct port_address {
    char text[32];
};

/* "127.0.0.1:40123" */
static inline struct port_address port_free(void)
{
    int port;
    struct port_address address;
    close(port_bind(&port));
    snprintf(address.text, sizeof address.text, "127.0.0.1:%d", port);
    return address;
}

/* A connection to whoever will listen there within ten seconds; -1 = nobody. */
static inline int port_connect(const struct port_address *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)atoi(strchr(address->text, ':') + 1))};
    for (int turn = 0; turn < 1000; turn++) {
        int made = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(made, (struct sockaddr *)&to, sizeof to) == 0) {
            return made;
        }
        close(made);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return -1;
}

#endif
