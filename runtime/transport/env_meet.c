/* SPDX-License-Identifier: BSD-3-Clause
 * env_meet.c: how the ranks of a world from the environment find each other. Rank 0 opens its door,
 * hears what each caller says and gives it a seat; the others knock until somebody opens.
 *
 * A stranger is sent away and the door stays open. Two that belong together and contradict each
 * other end the world for all, at once: nobody learns of it by waiting. */
#include "env_world.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/log.h"

#define HELLO_NS (5 * CLOCK_NS_PER_S)  /* a caller must have said its name by then */
#define ANSWER_NS (5 * CLOCK_NS_PER_S) /* the last sentence of rank 0 may take so long */
#define KNOCK_NS (CLOCK_NS_PER_S / 20)
#define STRANGERS_MAX 64 /* callers at a time beyond the ranks that are missing */

struct caller {
    int socket;
    uint64_t end_ns;
    struct env_hello hello;
    struct env_pieces pieces; /* of the hello */
};

/* Rank 0 until all have come. */
struct door {
    struct ww_env_world *env;
    const struct env_launch *launch;
    int listeners[ENV_LISTENERS_MAX];
    int listener_count;
    struct caller *callers; /* [room] */
    int caller_count;
    int room;
    struct pollfd *polls; /* [listeners, callers, seats] */
    int missing;          /* ranks */
};

static struct env_hello own_hello(const struct env_launch *launch)
{
    struct env_hello hello = {.magic = ENV_MAGIC,
                              .version = ENV_VERSION,
                              .rank = launch->rank,
                              .size = launch->size,
                              .pid = (int32_t)getpid(),
                              .job = launch->job};
    if (gethostname(hello.host, sizeof hello.host) != 0) {
        snprintf(hello.host, sizeof hello.host, "unknown");
    }
    return hello;
}

static uint64_t end_after(double seconds)
{
    return clock_now_ns() + (uint64_t)(seconds * (double)CLOCK_NS_PER_S);
}

/* ---- Rank 0: what callers say --------------------------------------------------------------- */

static void caller_drop(struct door *door, struct caller *caller)
{
    if (caller->socket >= 0) {
        close(caller->socket);
    }
    *caller = door->callers[--door->caller_count];
}

/* One sentence for this caller alone; the door stays open. */
static void caller_refuse(struct door *door, struct caller *caller, enum ww_status status,
                          const char *sentence)
{
    log_warn("a caller was sent away: %s", sentence);
    struct env_word word = {
        .magic = ENV_MAGIC, .status = status, .rank = 0, .bytes = strlen(sentence)};
    struct env_pieces pieces = {&word, sizeof word, (void *)(uintptr_t)sentence, word.bytes, 0};
    env_move(caller->socket, ENV_SEND, &pieces);
    shutdown(caller->socket, SHUT_WR);
    caller_drop(door, caller);
}

/* It belongs here, and contradicts: everybody must know. */
static enum ww_status caller_contradicts(struct door *door, struct caller *caller,
                                         const char *sentence)
{
    struct env_word word = {
        .magic = ENV_MAGIC, .status = WW_MISMATCH, .rank = 0, .bytes = strlen(sentence)};
    struct env_pieces pieces = {&word, sizeof word, (void *)(uintptr_t)sentence, word.bytes, 0};
    env_move(caller->socket, ENV_SEND, &pieces);
    shutdown(caller->socket, SHUT_WR);
    return env_break(door->env, WW_MISMATCH, sentence);
}

/* What all versions begin with tells them apart: the rest may be shorter in another one. */
static bool is_of_another_version(const struct caller *caller)
{
    const struct env_hello *hello = &caller->hello;
    size_t head = offsetof(struct env_hello, rank) + sizeof hello->rank;
    return caller->pieces.moved >= head && hello->version != ENV_VERSION;
}

static bool is_strange(struct door *door, struct caller *caller)
{
    const struct env_hello *hello = &caller->hello;
    char sentence[ENV_TEXT_BYTES];
    if (is_of_another_version(caller)) {
        snprintf(sentence, sizeof sentence,
                 "rank %d on %s meets others in the way of version %u, rank 0 in that of %d: all "
                 "ranks need the same version of wirewise",
                 hello->rank, hello->host, hello->version, ENV_VERSION);
        caller_refuse(door, caller, WW_MISMATCH, sentence);
        return true;
    }
    if (hello->job != door->launch->job) {
        snprintf(sentence, sizeof sentence,
                 "rank %d on %s (pid %d) is of another job than rank 0, which listens on %s:%s: "
                 "each job needs a MASTER_PORT of its own, and one WIREWISE_JOB on all its ranks",
                 hello->rank, hello->host, hello->pid, door->launch->host, door->launch->port);
        caller_refuse(door, caller, WW_MISMATCH, sentence);
        return true;
    }
    return false;
}

static enum ww_status caller_sits_down(struct door *door, struct caller *caller)
{
    const struct env_hello *hello = &caller->hello;
    struct ww_env_world *env = door->env;
    char sentence[ENV_TEXT_BYTES];
    if (hello->size != env->size || hello->rank < 0 || hello->rank >= env->size) {
        snprintf(sentence, sizeof sentence,
                 "rank %d on %s says that the world has %d ranks, rank 0 that it has %d: "
                 "WORLD_SIZE must be the same for all",
                 hello->rank, hello->host, hello->size, env->size);
        return caller_contradicts(door, caller, sentence);
    }
    struct env_seat *seat = &env->seats[hello->rank];
    if (seat->socket >= 0 || hello->rank == 0) {
        snprintf(
            sentence, sizeof sentence,
            "two processes say that they are rank %d: pid %d on %s and pid %d on %s; RANK must "
            "differ",
            hello->rank, seat->pid, seat->host, hello->pid, hello->host);
        return caller_contradicts(door, caller, sentence);
    }
    *seat = (struct env_seat){.socket = caller->socket, .pid = hello->pid};
    memcpy(seat->host, hello->host, sizeof seat->host);
    door->missing--;
    caller->socket = -1;
    caller_drop(door, caller);
    return WW_OK;
}

static enum ww_status caller_hear(struct door *door, struct caller *caller)
{
    int error = env_move(caller->socket, ENV_RECEIVE, &caller->pieces);
    bool foreign = caller->pieces.moved >= sizeof caller->hello.magic &&
                   caller->hello.magic != ENV_MAGIC;
    if (foreign || (error != 0 && error != EAGAIN)) {
        log_debug("a caller that is no rank was sent away after %zu bytes", caller->pieces.moved);
        caller_drop(door, caller);
        return WW_OK;
    }
    caller->hello.host[ENV_HOST_BYTES - 1] = '\0';
    bool incomplete = error == EAGAIN && !is_of_another_version(caller);
    if (incomplete || is_strange(door, caller)) {
        return WW_OK;
    }
    return caller_sits_down(door, caller);
}

/* ---- Rank 0: the door ----------------------------------------------------------------------- */

/* Nobody learns why by waiting, so those who have a seat are told. */
static enum ww_status door_is_full(const struct door *door, int error)
{
    char sentence[ENV_TEXT_BYTES];
    snprintf(sentence, sizeof sentence,
             "rank 0 cannot take in more connections: %s; it needs one for each of %d ranks "
             "(ulimit -n)",
             strerror(error), door->env->size);
    return env_break(door->env, WW_TRANSPORT_FAILED, sentence);
}

static enum ww_status door_admit(struct door *door, int listener)
{
    int socket = env_accept(listener);
    if (socket < 0) {
        bool short_of_room = errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                             errno == ENOMEM;
        return short_of_room ? door_is_full(door, errno) : WW_OK;
    }
    if (door->caller_count == door->room) {
        close(socket);
        return WW_OK;
    }
    struct caller *caller = &door->callers[door->caller_count++];
    *caller = (struct caller){.socket = socket, .end_ns = clock_now_ns() + HELLO_NS};
    return WW_OK;
}

/* Everything that rank 0 listens to; returns how many that are. */
static int door_fill_polls(struct door *door)
{
    int count = 0;
    for (int index = 0; index < door->listener_count; index++) {
        door->polls[count++] = (struct pollfd){.fd = door->listeners[index], .events = POLLIN};
    }
    for (int index = 0; index < door->caller_count; index++) {
        door->polls[count++] = (struct pollfd){.fd = door->callers[index].socket, .events = POLLIN};
    }
    for (int rank = 0; rank < door->env->size; rank++) {
        door->polls[count++] = (struct pollfd){.fd = door->env->seats[rank].socket,
                                               .events = POLLIN};
    }
    return count;
}

/* Who has a seat says nothing more before all have come: it has left, and may come again. */
static void seats_watch(struct door *door, const struct pollfd *polls)
{
    for (int rank = 0; rank < door->env->size; rank++) {
        struct env_seat *seat = &door->env->seats[rank];
        if (seat->socket >= 0 && polls[rank].revents != 0) {
            log_warn("rank %d (pid %d on %s) left again before all ranks had come", rank, seat->pid,
                     seat->host);
            close(seat->socket);
            seat->socket = -1;
            door->missing++;
        }
    }
}

static enum ww_status door_look(struct door *door)
{
    enum ww_status status = WW_OK;
    const struct pollfd *of_callers = door->polls + door->listener_count;
    seats_watch(door, of_callers + door->caller_count);
    /* From behind: who is dropped is replaced by the last. */
    uint64_t now_ns = clock_now_ns();
    for (int index = door->caller_count - 1; status == WW_OK && index >= 0; index--) {
        struct caller *caller = &door->callers[index];
        if (of_callers[index].revents != 0) {
            caller->pieces.head = &caller->hello;
            caller->pieces.head_bytes = sizeof caller->hello;
            status = caller_hear(door, caller);
        } else if (now_ns > caller->end_ns) {
            caller_drop(door, caller);
        }
    }
    for (int index = 0; status == WW_OK && index < door->listener_count; index++) {
        status = door->polls[index].revents == 0 ? WW_OK : door_admit(door, door->listeners[index]);
    }
    return status;
}

static enum ww_status ranks_are_late(const struct door *door)
{
    struct ww_env_world *env = door->env;
    char missing[160], sentence[ENV_TEXT_BYTES];
    bool *marks = calloc((size_t)env->size, sizeof *marks);
    if (marks == NULL) {
        return env_break(env, WW_TIMED_OUT, "some ranks did not come");
    }
    for (int rank = 0; rank < env->size; rank++) {
        marks[rank] = rank == 0 || env->seats[rank].socket >= 0;
    }
    env_list_missing(marks, env->size, missing, sizeof missing);
    free(marks);
    snprintf(sentence, sizeof sentence,
             "%s of %d did not come to rank 0 on %s:%s within %g s: %s started, with the same "
             "MASTER_ADDR and MASTER_PORT?",
             missing, env->size, door->launch->host, door->launch->port, door->launch->timeout_s,
             door->missing == 1 ? "is it" : "are they");
    return env_break(env, WW_TIMED_OUT, sentence);
}

static enum ww_status door_wait(struct door *door)
{
    uint64_t end_ns = end_after(door->launch->timeout_s);
    while (door->missing > 0) {
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= end_ns) {
            return ranks_are_late(door);
        }
        uint64_t look_ns = now_ns + CLOCK_NS_PER_S; /* callers may have become too slow */
        int count = door_fill_polls(door);
        if (env_poll(door->polls, count, look_ns < end_ns ? look_ns : end_ns) < 0) {
            /* The kernel refuses to look at more than may be open. */
            return door_is_full(door, errno == EINVAL ? EMFILE : errno);
        }
        enum ww_status status = door_look(door);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

static enum ww_status door_open(struct door *door)
{
    int cause = 0;
    door->listener_count = env_listen(door->launch, door->listeners, &cause);
    if (door->listener_count > 0) {
        return WW_OK;
    }
    if (cause == EADDRINUSE) {
        return log_failure(WW_TRANSPORT_FAILED,
                           "rank 0 cannot listen on %s:%s, somebody else does already: is there "
                           "another rank 0, or another job? Choose another MASTER_PORT",
                           door->launch->host, door->launch->port);
    }
    return log_failure(WW_TRANSPORT_FAILED, "rank 0 cannot listen on %s:%s: %s", door->launch->host,
                       door->launch->port, cause != 0 ? strerror(cause) : "no such address");
}

static void door_close(struct door *door)
{
    while (door->caller_count > 0) {
        caller_drop(door, &door->callers[door->caller_count - 1]);
    }
    while (door->listener_count > 0) {
        close(door->listeners[--door->listener_count]);
    }
    free(door->callers);
    free(door->polls);
}

static enum ww_status seats_welcome(struct ww_env_world *env)
{
    for (int rank = 1; rank < env->size; rank++) {
        struct env_word word = {.magic = ENV_MAGIC, .status = WW_OK, .rank = 0};
        struct env_pieces pieces = {&word, sizeof word, NULL, 0, 0};
        uint64_t end_ns = clock_now_ns() + ANSWER_NS;
        int error = env_move_all(env->seats[rank].socket, ENV_SEND, &pieces, end_ns);
        if (error != 0) {
            char sentence[ENV_TEXT_BYTES];
            snprintf(sentence, sizeof sentence,
                     "rank %d (pid %d on %s) left when all ranks had come: %s", rank,
                     env->seats[rank].pid, env->seats[rank].host, strerror(error));
            return env_break(env, WW_PEER_FAILED, sentence);
        }
    }
    return WW_OK;
}

static enum ww_status meet_as_first(struct ww_env_world *env, const struct env_launch *launch)
{
    struct door door = {
        .env = env, .launch = launch, .missing = env->size - 1, .room = env->size + STRANGERS_MAX};
    struct env_hello own = own_hello(launch);
    env->seats[0].pid = own.pid;
    memcpy(env->seats[0].host, own.host, sizeof own.host);
    door.callers = calloc((size_t)door.room, sizeof *door.callers);
    door.polls = calloc((size_t)(ENV_LISTENERS_MAX + door.room + env->size), sizeof *door.polls);
    enum ww_status status = WW_OK;
    if (door.callers == NULL || door.polls == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory to meet %d ranks", env->size);
    }
    status = status == WW_OK ? door_open(&door) : status;
    status = status == WW_OK ? door_wait(&door) : status;
    door_close(&door); /* before anybody is told: the next world may want the port */
    return status == WW_OK ? seats_welcome(env) : status;
}

/* ---- The others ----------------------------------------------------------------------------- */

/* Says hello and waits for what rank 0 says when all have come. 0, or an errno: nobody is there
 * who would answer, so knock again. */
static int knock(struct env_seat *first, const struct env_launch *launch, struct env_word *word)
{
    struct env_hello hello = own_hello(launch);
    struct env_pieces out = {&hello, sizeof hello, NULL, 0, 0};
    struct env_pieces in = {word, sizeof *word, NULL, 0, 0};
    uint64_t end_ns = end_after(launch->timeout_s) + ANSWER_NS;
    int error = env_move_all(first->socket, ENV_SEND, &out, end_ns);
    error = error == 0 ? env_move_all(first->socket, ENV_RECEIVE, &in, end_ns) : error;
    return error == 0 && word->magic != ENV_MAGIC ? EPROTO : error;
}

static void seat_close(struct env_seat *seat)
{
    if (seat->socket >= 0) {
        close(seat->socket);
        seat->socket = -1;
    }
}

static enum ww_status nobody_opens(const struct env_launch *launch, const char *cause)
{
    return log_failure(WW_TRANSPORT_FAILED,
                       "rank %d did not reach rank 0 on %s:%s within %g s: %s; is rank 0 started, "
                       "with the same MASTER_ADDR and MASTER_PORT?",
                       launch->rank, launch->host, launch->port, launch->timeout_s, cause);
}

static enum ww_status meet_as_other(struct ww_env_world *env, const struct env_launch *launch)
{
    struct env_seat *first = &env->seats[0];
    char cause[128] = "there was no time";
    uint64_t end_ns = end_after(launch->timeout_s);
    uint64_t now_ns;
    while ((now_ns = clock_now_ns()) < end_ns) {
        struct env_word word;
        first->socket = env_connect(launch, end_ns, cause, sizeof cause);
        int error = first->socket < 0 ? 0 : knock(first, launch, &word);
        if (first->socket >= 0 && error == 0) {
            return word.status == WW_OK ? WW_OK : env_hear_failure(env, &word);
        }
        if (error != 0) {
            snprintf(cause, sizeof cause, "who listens there is no rank 0, or left: %s",
                     strerror(error));
            seat_close(first);
        }
        env_poll(NULL, 0, now_ns + KNOCK_NS < end_ns ? now_ns + KNOCK_NS : end_ns);
    }
    return nobody_opens(launch, cause);
}

enum ww_status env_meet(struct ww_env_world *env, const struct env_launch *launch)
{
    if (env->size == 1) {
        return WW_OK;
    }
    return env->rank == 0 ? meet_as_first(env, launch) : meet_as_other(env, launch);
}
