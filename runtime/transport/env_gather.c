/* SPDX-License-Identifier: BSD-3-Clause
 * env_gather.c: the all_gather of a world from the environment. Rank 0 collects what all ranks
 * bring, and sends the whole to everybody. Whoever leaves ends it for all. */
#include "env_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal/clock.h"
#include "internal/log.h"

#define PATIENCE_S 600 /* for ranks that live and do not come */
/* More than that is sent when rank 0 has come and asks for it: the kernel ends a connection whose
 * other end takes nothing in for half a minute, as if its host were gone. */
#define AT_ONCE_BYTES ((size_t)64 << 10)
#define FAILURE_NS (CLOCK_NS_PER_S / 5)
#define NAMED_MAX 8

static bool is_whole(const struct env_pieces *pieces)
{
    return pieces->moved == pieces->head_bytes + pieces->body_bytes;
}

/* ---- Failures ------------------------------------------------------------------------------- */

void env_list_missing(const bool *marks, int size, char *text, size_t bytes)
{
    int missing = 0, named = 0;
    for (int rank = 0; rank < size; rank++) {
        missing += !marks[rank];
    }
    size_t used = (size_t)snprintf(text, bytes, missing == 1 ? "rank" : "ranks");
    for (int rank = 0; rank < size && named < NAMED_MAX && used < bytes; rank++) {
        if (!marks[rank]) {
            bool last = ++named == missing;
            used += (size_t)snprintf(text + used, bytes - used, "%s%d",
                                     named == 1 ? " " : (last ? " and " : ", "), rank);
        }
    }
    if (missing > named && used < bytes) {
        snprintf(text + used, bytes - used, " and %d more", missing - named);
    }
}

/* The world ends here; whoever asks later is told why. Returns the status. */
static enum ww_status env_end(struct ww_env_world *env, enum ww_status status, const char *sentence)
{
    env->broken = true;
    snprintf(env->why, sizeof env->why, "%s", sentence);
    return log_failure(status, "%s", sentence);
}

enum ww_status env_break(struct ww_env_world *env, enum ww_status status, const char *sentence)
{
    struct env_word word = {.magic = ENV_MAGIC, .status = status, .bytes = strlen(sentence)};
    uint64_t end_ns = clock_now_ns() + FAILURE_NS;
    for (int rank = 1; rank < env->size; rank++) {
        struct env_seat *seat = &env->seats[rank];
        struct env_pieces pieces = {&word, sizeof word, (void *)(uintptr_t)sentence, word.bytes, 0};
        /* Amid an answer a sentence would be taken for a part of it. */
        bool amid = env->answers && seat->pieces.moved > 0 && !is_whole(&seat->pieces);
        if (seat->socket >= 0 && !amid) {
            env_move_all(seat->socket, ENV_SEND, &pieces, end_ns);
        }
        if (seat->socket >= 0) {
            shutdown(seat->socket, SHUT_WR);
        }
    }
    return env_end(env, status, sentence);
}

enum ww_status env_hear_failure(struct ww_env_world *env, const struct env_word *word)
{
    char sentence[ENV_TEXT_BYTES] = "";
    bool fits = word->status < 0 && word->bytes < sizeof sentence;
    struct env_pieces pieces = {sentence, fits ? word->bytes : 0, NULL, 0, 0};
    if (env_move_all(env->seats[0].socket, ENV_RECEIVE, &pieces, clock_now_ns() + CLOCK_NS_PER_S) !=
            0 ||
        !fits) {
        return env_end(env, WW_PEER_FAILED, "rank 0 failed: its own lines tell why");
    }
    return env_end(env, (enum ww_status)word->status, sentence);
}

static const char *or_unreachable(int error)
{
    return error == ECONNRESET ? "" : " or cannot be reached";
}

static const char *why_lost(int error)
{
    return error == ECONNRESET  ? "it has closed its connection"
           : error == EHOSTDOWN ? strerror(ETIMEDOUT)
                                : strerror(error);
}

static enum ww_status seat_lost(struct ww_env_world *env, int rank, int error)
{
    char sentence[ENV_TEXT_BYTES];
    const struct env_seat *seat = &env->seats[rank];
    snprintf(sentence, sizeof sentence,
             "rank %d (pid %d on %s) is gone%s, so ranks cannot gather what each brings: %s", rank,
             seat->pid, seat->host, or_unreachable(error), why_lost(error));
    return env_break(env, WW_PEER_FAILED, sentence);
}

static enum ww_status seats_are_late(struct ww_env_world *env)
{
    char missing[160] = "some ranks", sentence[ENV_TEXT_BYTES];
    bool *marks = calloc((size_t)env->size, sizeof *marks);
    for (int rank = 0; marks != NULL && rank < env->size; rank++) {
        marks[rank] = rank == 0 || is_whole(&env->seats[rank].pieces);
    }
    if (marks != NULL) {
        env_list_missing(marks, env->size, missing, sizeof missing);
    }
    free(marks);
    snprintf(sentence, sizeof sentence, "%s of %d did not come within %d s to gather", missing,
             env->size, PATIENCE_S);
    return env_break(env, WW_TIMED_OUT, sentence);
}

/* The kernel refuses to look at more than may be open. */
static enum ww_status seats_unseen(struct ww_env_world *env, int error)
{
    char sentence[ENV_TEXT_BYTES];
    snprintf(sentence, sizeof sentence,
             "rank 0 cannot wait for %d ranks: %s; it needs a connection for each (ulimit -n)",
             env->size, strerror(error == EINVAL ? EMFILE : error));
    return env_break(env, WW_TRANSPORT_FAILED, sentence);
}

/* ---- Rank 0 --------------------------------------------------------------------------------- */

/* Rank 0 is here, and takes in what a rank brings. */
static enum ww_status seat_ask(struct ww_env_world *env, int rank)
{
    struct env_word word = {.magic = ENV_MAGIC, .status = WW_OK, .turn = env->turn};
    struct env_pieces pieces = {&word, sizeof word, NULL, 0, 0};
    int error = env_move_all(env->seats[rank].socket, ENV_SEND, &pieces,
                             clock_now_ns() + CLOCK_NS_PER_S);
    return error == 0 ? WW_OK : seat_lost(env, rank, error);
}

/* The head has come: is it of this call? Then the body has a place. */
static enum ww_status seat_head(struct ww_env_world *env, int rank, unsigned char *all,
                                size_t bytes)
{
    struct env_seat *seat = &env->seats[rank];
    const struct env_word *word = &seat->word;
    char sentence[ENV_TEXT_BYTES];
    if (word->magic != ENV_MAGIC || word->turn != env->turn || word->bytes != bytes) {
        snprintf(sentence, sizeof sentence,
                 "all_gather number %llu of %zu bytes on rank 0, number %llu of %llu bytes on rank "
                 "%d",
                 (unsigned long long)env->turn, bytes, (unsigned long long)word->turn,
                 (unsigned long long)word->bytes, rank);
        return env_break(env, WW_MISMATCH, sentence);
    }
    seat->pieces.body = all + (size_t)rank * bytes;
    seat->pieces.body_bytes = bytes;
    return bytes > AT_ONCE_BYTES ? seat_ask(env, rank) : WW_OK;
}

static enum ww_status seat_hear(struct ww_env_world *env, int rank, unsigned char *all,
                                size_t bytes)
{
    struct env_seat *seat = &env->seats[rank];
    if (is_whole(&seat->pieces) && seat->pieces.body != NULL) {
        char byte; /* it has nothing to say before it is answered */
        ssize_t more = recv(seat->socket, &byte, 1, MSG_PEEK);
        bool nothing = more < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        return nothing ? WW_OK : seat_lost(env, rank, more < 0 ? errno : ECONNRESET);
    }
    bool had_head = seat->pieces.body != NULL;
    int error = env_move(seat->socket, ENV_RECEIVE, &seat->pieces);
    if (error == 0 && !had_head) {
        enum ww_status status = seat_head(env, rank, all, bytes);
        if (status != WW_OK) {
            return status;
        }
        error = env_move(seat->socket, ENV_RECEIVE, &seat->pieces);
    }
    return error == 0 || error == EAGAIN ? WW_OK : seat_lost(env, rank, error);
}

static int missing_count(const struct ww_env_world *env)
{
    int missing = 0;
    for (int rank = 1; rank < env->size; rank++) {
        const struct env_pieces *pieces = &env->seats[rank].pieces;
        missing += pieces->body == NULL || !is_whole(pieces);
    }
    return missing;
}

/* Waits until a seat has something to say, or can take something more. */
static enum ww_status seats_poll(struct ww_env_world *env, enum env_way way, uint64_t end_ns)
{
    for (int rank = 0; rank < env->size; rank++) {
        const struct env_seat *seat = &env->seats[rank];
        bool all_sent = way == ENV_SEND && is_whole(&seat->pieces);
        env->polls[rank] = (struct pollfd){.fd = all_sent ? -1 : seat->socket,
                                           .events = way == ENV_SEND ? POLLOUT : POLLIN};
    }
    int ready = env_poll(env->polls, env->size, end_ns);
    if (ready < 0) {
        return seats_unseen(env, errno);
    }
    return ready > 0 ? WW_OK : seats_are_late(env);
}

static enum ww_status collect(struct ww_env_world *env, unsigned char *all, size_t bytes,
                              uint64_t end_ns)
{
    enum ww_status status = WW_OK;
    for (int rank = 1; rank < env->size; rank++) {
        struct env_seat *seat = &env->seats[rank];
        seat->pieces = (struct env_pieces){&seat->word, sizeof seat->word, NULL, 0, 0};
    }
    while (status == WW_OK && missing_count(env) > 0) {
        status = seats_poll(env, ENV_RECEIVE, end_ns);
        for (int rank = 1; status == WW_OK && rank < env->size; rank++) {
            status = env->polls[rank].revents == 0 ? WW_OK : seat_hear(env, rank, all, bytes);
        }
    }
    return status;
}

static enum ww_status distribute(struct ww_env_world *env, unsigned char *all, size_t bytes,
                                 uint64_t end_ns)
{
    enum ww_status status = WW_OK;
    int unfinished = 0;
    size_t whole = bytes * (size_t)env->size;
    for (int rank = 1; rank < env->size; rank++) {
        struct env_seat *seat = &env->seats[rank];
        seat->word = (struct env_word){
            .magic = ENV_MAGIC, .status = WW_OK, .turn = env->turn, .bytes = whole};
        seat->pieces = (struct env_pieces){&seat->word, sizeof seat->word, all, whole, 0};
    }
    do {
        unfinished = 0;
        for (int rank = 1; status == WW_OK && rank < env->size; rank++) {
            struct env_seat *seat = &env->seats[rank];
            int error = env_move(seat->socket, ENV_SEND, &seat->pieces);
            unfinished += error == EAGAIN;
            status = error == 0 || error == EAGAIN ? WW_OK : seat_lost(env, rank, error);
        }
        if (status == WW_OK && unfinished > 0) {
            status = seats_poll(env, ENV_SEND, end_ns);
        }
    } while (status == WW_OK && unfinished > 0);
    return status;
}

static enum ww_status gather_as_first(struct ww_env_world *env, const void *mine, void *all,
                                      size_t bytes, uint64_t end_ns)
{
    if (bytes > 0) {
        memmove(all, mine, bytes);
    }
    enum ww_status status = collect(env, all, bytes, end_ns);
    if (status == WW_OK) {
        env->answers = true;
        status = distribute(env, all, bytes, end_ns);
        env->answers = false;
    }
    return status;
}

/* ---- The others ----------------------------------------------------------------------------- */

static enum ww_status first_lost(struct ww_env_world *env, int error)
{
    char sentence[ENV_TEXT_BYTES];
    shutdown(env->seats[0].socket, SHUT_RDWR);
    if (error == ETIMEDOUT) {
        snprintf(sentence, sizeof sentence, "rank 0 did not answer within %d s", PATIENCE_S);
        return env_end(env, WW_TIMED_OUT, sentence);
    }
    snprintf(sentence, sizeof sentence,
             "rank 0 is gone%s, so ranks cannot gather what each brings: %s", or_unreachable(error),
             why_lost(error));
    return env_end(env, WW_PEER_FAILED, sentence);
}

/* What rank 0 says about this gather and so many bytes; anything else ends the world. */
static enum ww_status hear_first(struct ww_env_world *env, uint64_t bytes, uint64_t end_ns)
{
    struct env_word word;
    struct env_pieces in = {&word, sizeof word, NULL, 0, 0};
    int error = env_move_all(env->seats[0].socket, ENV_RECEIVE, &in, end_ns);
    if (error != 0) {
        return first_lost(env, error);
    }
    if (word.magic == ENV_MAGIC && word.status != WW_OK) {
        return env_hear_failure(env, &word);
    }
    bool fits = word.magic == ENV_MAGIC && word.turn == env->turn && word.bytes == bytes;
    return fits ? WW_OK : first_lost(env, EPROTO);
}

/* Where it cannot be sent rank 0 may have closed with a sentence that is still to be read. */
static enum ww_status tell_first(struct ww_env_world *env, struct env_pieces out, uint64_t end_ns)
{
    int unsent = env_move_all(env->seats[0].socket, ENV_SEND, &out, end_ns);
    struct env_word word;
    struct env_pieces in = {&word, sizeof word, NULL, 0, 0};
    if (unsent == 0) {
        return WW_OK;
    }
    int error = env_move_all(env->seats[0].socket, ENV_RECEIVE, &in, clock_now_ns());
    bool told = error == 0 && word.magic == ENV_MAGIC && word.status != WW_OK;
    return told ? env_hear_failure(env, &word) : first_lost(env, unsent);
}

static enum ww_status gather_as_other(struct ww_env_world *env, const void *mine, void *all,
                                      size_t bytes, uint64_t end_ns)
{
    size_t whole = bytes * (size_t)env->size;
    struct env_word word = {
        .magic = ENV_MAGIC, .rank = env->rank, .turn = env->turn, .bytes = bytes};
    void *body = (void *)(uintptr_t)mine;
    bool waits = bytes > AT_ONCE_BYTES;
    uint64_t answer_end_ns = end_ns + CLOCK_NS_PER_S;
    enum ww_status status = tell_first(
        env, (struct env_pieces){&word, sizeof word, body, waits ? 0 : bytes, 0}, end_ns);
    if (status == WW_OK && waits) {
        status = hear_first(env, 0, answer_end_ns);
    }
    if (status == WW_OK && waits) {
        status = tell_first(env, (struct env_pieces){body, bytes, NULL, 0, 0}, end_ns);
    }
    if (status == WW_OK) {
        status = hear_first(env, whole, answer_end_ns);
    }
    if (status != WW_OK) {
        return status;
    }
    struct env_pieces in = {all, whole, NULL, 0, 0};
    int error = env_move_all(env->seats[0].socket, ENV_RECEIVE, &in, answer_end_ns);
    return error == 0 ? WW_OK : first_lost(env, error);
}

int env_all_gather(void *self, const void *mine, void *all, size_t bytes)
{
    struct ww_env_world *env = self;
    unsigned char nothing;
    all = all == NULL ? &nothing : all; /* for no bytes */
    if (env->pid != getpid()) {
        log_failure(WW_BAD_STATE,
                    "all_gather of %zu bytes: the world belongs to the process that this one was "
                    "forked from",
                    bytes);
        return 1;
    }
    if (env->broken) {
        log_failure(
            WW_BAD_STATE,
            "all_gather of %zu bytes: an earlier failure ended the world; make a new one%s%s",
            bytes, env->why[0] != '\0' ? ". That was: " : "", env->why);
        return 1;
    }
    if (bytes > SIZE_MAX / (size_t)env->size) {
        log_failure(WW_BAD_ARGUMENT, "all_gather of %zu bytes from each of %d ranks", bytes,
                    env->size);
        return 1;
    }
    env->turn++;
    if (env->size == 1 && bytes > 0) {
        memmove(all, mine, bytes);
    }
    if (env->size == 1) {
        return 0;
    }
    uint64_t end_ns = clock_now_ns() + PATIENCE_S * CLOCK_NS_PER_S;
    enum ww_status status = env->rank == 0 ? gather_as_first(env, mine, all, bytes, end_ns)
                                           : gather_as_other(env, mine, all, bytes, end_ns);
    return status == WW_OK ? 0 : 1;
}
