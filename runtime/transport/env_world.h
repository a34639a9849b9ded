/* SPDX-License-Identifier: BSD-3-Clause
 * env_world.h: what the files of the world from the environment share.
 *
 * Ranks form a star of sockets around rank 0. Everything on them is a head and a body; numbers are
 * in the order of this machine's bytes, and a machine with another order is a stranger. */
#ifndef TRANSPORT_ENV_WORLD_H
#define TRANSPORT_ENV_WORLD_H

#include <poll.h>
#include <stdint.h>
#include <sys/types.h>

#include <wirewise/env.h>

#define ENV_MAGIC UINT64_C(0x57495245574d4554) /* "WIREWMET" */
#define ENV_VERSION 3
#define ENV_HOST_BYTES 72 /* Linux allows 64 letters */
#define ENV_TEXT_BYTES 768

/* ---- env_launch.c: what this rank was told -------------------------------------------------- */

struct env_launch {
    int rank;
    int size;
    char host[256]; /* of rank 0; "" in a world of one */
    char port[8];
    uint64_t job; /* a hash; that of no text where nothing names the job */
    double timeout_s;
};

/* WW_OK, or WW_BAD_ARGUMENT, logged. */
enum ww_status env_launch_read(const struct ww_env *env, struct env_launch *launch);

/* ---- env_wire.c: sockets -------------------------------------------------------------------- */

/* A head and a body that travel behind each other, and how far they are. */
struct env_pieces {
    void *head;
    size_t head_bytes;
    void *body;
    size_t body_bytes;
    size_t moved;
};

enum env_way { ENV_RECEIVE, ENV_SEND };

/* Moves as much as goes at once. 0 = all has moved, EAGAIN = not yet, ECONNRESET = the other end
 * has closed, EHOSTDOWN = the kernel gave it up, or another errno. */
int env_move(int socket, enum env_way way, struct env_pieces *pieces);

/* Moves everything, until end_ns at most. 0, ETIMEDOUT = it is later, or an errno as above. */
int env_move_all(int socket, enum env_way way, struct env_pieces *pieces, uint64_t end_ns);

/* As poll, until end_ns at most; an interruption is no answer. */
int env_poll(struct pollfd *polls, int count, uint64_t end_ns);

#define ENV_LISTENERS_MAX 8

/* Listens where the name leads. Returns how many sockets there are, or 0 with *cause. */
int env_listen(const struct env_launch *launch, int sockets[ENV_LISTENERS_MAX], int *cause);

/* A connection out of a listener, or -1 with errno. */
int env_accept(int listener);

/* One attempt. The socket, or -1; cause[bytes] says why not. */
int env_connect(const struct env_launch *launch, uint64_t end_ns, char *cause, size_t bytes);

/* ---- The star ------------------------------------------------------------------------------- */

/* What a rank says first. */
struct env_hello {
    uint64_t magic;
    uint32_t version;
    int32_t rank;
    int32_t size;
    int32_t pid;
    uint64_t job;
    char host[ENV_HOST_BYTES];
};

/* The head of all that follows. Where the status is not WW_OK, the body is a sentence. */
struct env_word {
    uint64_t magic;
    int32_t status;
    int32_t rank;
    uint64_t turn; /* 0 = all have come; then of the all_gather */
    uint64_t bytes;
};

/* The other end of a connection. */
struct env_seat {
    int socket; /* -1 = nobody */
    int pid;
    char host[ENV_HOST_BYTES];
    struct env_word word; /* under way */
    struct env_pieces pieces;
};

struct ww_env_world {
    pid_t pid; /* whose it is */
    int rank;
    int size;
    struct env_seat
        *seats;           /* [size] on rank 0, whose own is empty; of others only that of rank 0 */
    struct pollfd *polls; /* [size] on rank 0 */
    uint64_t turn;
    bool answers; /* rank 0 is sending the whole */
    bool broken;
    char why[ENV_TEXT_BYTES]; /* what was said then */
};

/* The ranks without a mark: "rank 3", "ranks 3 and 5", "ranks 1, 2, 3 and 90 more". */
void env_list_missing(const bool *marks, int size, char *text, size_t bytes);

/* On rank 0: tells all seats why the world ends here, and marks it broken. Returns the status. */
enum ww_status env_break(struct ww_env_world *env, enum ww_status status, const char *sentence);

/* A sentence that rank 0 sent instead of what was wanted: logs it, returns its status. */
enum ww_status env_hear_failure(struct ww_env_world *env, const struct env_word *word);

/* env_meet.c: all ranks find each other, or none does. Logged. */
enum ww_status env_meet(struct ww_env_world *env, const struct env_launch *launch);

/* What carries messages between hosts; NULL = nothing in this build. In env_ucx.c or
 * env_no_ucx.c. */
const struct ww_transport *env_network(void);

/* env_gather.c: the world's all_gather. */
int env_all_gather(void *self, const void *mine, void *all, size_t bytes);

#endif
