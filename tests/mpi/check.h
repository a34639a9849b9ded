/* SPDX-License-Identifier: BSD-3-Clause
 * check.h: what every rank program needs: counted checks, caught log lines, ranks, fabrics.
 *
 * Programs that ask for their ranks by ranks_begin run over MPI, with mpi_ranks.c, and over UCX
 * without it, with tests/ucx/env_ranks.c.
 *
 * A check that fails prints a line and the program goes on, so that no rank leaves its peers
 * waiting. checks_end makes the exit status. Log lines are caught from checks_begin on; a warning
 * or error that nobody asked for fails the program. */
#ifndef TESTS_MPI_CHECK_H
#define TESTS_MPI_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include <wirewise/transport.h>

#define EXIT_SKIPPED 77 /* ctest counts it as skipped */
#define PEERS_MAX 64
#define LENGTH(array) (sizeof(array) / sizeof *(array))

void checks_begin(void);
void check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails unless a warning or error since the last call holds the text; forgets them all. */
void check_line(const char *text);

/* Forgets all warnings and errors so far. */
void check_forget(void);

/* Fails when there was a warning or error since the last call of either; forgets them all. */
void check_silence(void);

/* 0 or 1, for main to return. Needs no MPI. */
int checks_end(void);

/* What is special about the fabric between the ranks. */
struct fabric_facts {
    size_t piece_bytes; /* of messages between hosts; SIZE_MAX = they stay whole */
    const char
        *left_behind; /* said of sends that close could not take back; NULL = it always can */
    bool reserves;    /* it has memory of its own */
};
extern const struct fabric_facts fabric_facts;

/* The ranks of this job. Between begin and end each may ask for its world, over all of them. */
void ranks_begin(int *argc, char ***argv);
enum ww_status ranks_world(struct ww_world *world);
void ranks_meet(void);
void ranks_end(void);
void ranks_leave(void); /* where others may be missing */
double seconds_now(void);

/* This rank's end over the world of all ranks, with all peers on `level` (0 or 1) of two. It stays
 * where it is while it is open: the fabric looks at peer_level. */
struct end {
    struct ww_world world;
    const struct ww_transport *transport;
    uint8_t peer_level[PEERS_MAX];
    void *fabric; /* NULL unless the status is WW_OK */
    enum ww_status status;
};
void end_open(struct end *end, uint8_t level, bool own_thread, bool program_is_quiet);
void end_close(struct end *end, bool failed);

enum ww_status end_post(struct end *end, int tag, const struct ww_message *messages, int count,
                        struct ww_flight *flight);

/* Polls until the flight is done or has failed; after 20 seconds it gives up with WW_PENDING. */
enum ww_status end_wait(struct end *end, struct ww_flight *flight);

#endif
