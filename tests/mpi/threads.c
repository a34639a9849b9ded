/* SPDX-License-Identifier: BSD-3-Clause
 * threads.c LEVEL: who may use a fabric under each thread level of MPI, and what is said when
 * somebody may not. */
#include "check.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <wirewise/mpi.h>

struct rule {
    const char *name;
    int level;
    enum ww_status own_thread;       /* what open returns with own_thread */
    enum ww_status own_thread_quiet; /* and program_is_quiet */
    enum ww_status other_thread;     /* called inline, but not from the main thread */
    const char *sentence;            /* said when own_thread is refused */
};

static const struct rule rules[] = {
    {"single", MPI_THREAD_SINGLE, WW_UNSUPPORTED, WW_UNSUPPORTED, WW_BAD_STATE,
     "MPI runs at MPI_THREAD_SINGLE: start MPI with MPI_Init_thread(&argc, &argv, "
     "MPI_THREAD_MULTIPLE, &provided)"},
    {"funneled", MPI_THREAD_FUNNELED, WW_UNSUPPORTED, WW_UNSUPPORTED, WW_BAD_STATE,
     "MPI runs at MPI_THREAD_FUNNELED: start MPI with MPI_Init_thread"},
    {"serialized", MPI_THREAD_SERIALIZED, WW_UNSUPPORTED, WW_OK, WW_OK, "or set mpi_quiet"},
    {"multiple", MPI_THREAD_MULTIPLE, WW_OK, WW_OK, WW_OK, ""},
};

static const struct rule *rule_named(const char *name)
{
    for (size_t index = 0; index < LENGTH(rules); index++) {
        if (strcmp(rules[index].name, name) == 0) {
            return &rules[index];
        }
    }
    return NULL;
}

static void expect_open(enum ww_status expected, bool own_thread, bool quiet, const char *sentence)
{
    struct end end;
    end_open(&end, 0, own_thread, quiet);
    check(end.status == expected, "own_thread %d, quiet %d: %s instead of %s", own_thread, quiet,
          ww_status_name(end.status), ww_status_name(expected));
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &end.world,
                                       .own_thread = true,
                                       .program_is_quiet = quiet};
    const char *trouble = own_thread ? end.transport->thread_trouble(&setup) : NULL;
    check((trouble == NULL) == (expected == WW_OK || !own_thread), "trouble beside %s: %s",
          ww_status_name(expected), trouble == NULL ? "none" : trouble);
    check((end.fabric != NULL) == (expected == WW_OK), "a fabric beside %s",
          ww_status_name(end.status));
    if (expected != WW_OK) {
        check_line(sentence);
    }
    end_close(&end, false);
}

static void *open_in_another_thread(void *argument)
{
    const struct rule *rule = argument;
    expect_open(rule->other_thread, false, false, "only the thread that initialised it may call");
    return NULL;
}

/* The calls that the fabric makes most, caught on their way into MPI: two at once would break
 * MPI_THREAD_SERIALIZED. */
static atomic_int inside;
static atomic_int collisions;

static void enter(void)
{
    if (atomic_fetch_add(&inside, 1) > 0) {
        atomic_fetch_add(&collisions, 1);
    }
    sched_yield(); /* gives the other thread its chance */
}

static int leave(int code)
{
    atomic_fetch_sub(&inside, 1);
    return code;
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status)
{
    enter();
    return leave(PMPI_Test(request, done, status));
}

int MPI_Isend(const void *memory, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    enter();
    return leave(PMPI_Isend(memory, count, type, peer, tag, comm, request));
}

int MPI_Irecv(void *memory, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    enter();
    return leave(PMPI_Irecv(memory, count, type, peer, tag, comm, request));
}

int MPI_Comm_idup(MPI_Comm from, MPI_Comm *comm, MPI_Request *request)
{
    enter();
    return leave(PMPI_Comm_idup(from, comm, request));
}

/* Two fabrics, two threads: each passes a value around the ring many times. */
static void *pass_around(void *argument)
{
    struct end *end = argument;
    int size = end->world.size, rank = end->world.rank;
    for (int turn = 0; size > 1 && turn < 300; turn++) {
        int sent = turn * 100 + rank, got = -1, before = (rank + size - 1) % size;
        struct ww_message round[2] = {{WW_SEND, (rank + 1) % size, &sent, sizeof sent},
                                      {WW_RECEIVE, before, &got, sizeof got}};
        struct ww_flight flight;
        enum ww_status status = end_post(end, turn % 7, round, 2, &flight);
        status = status == WW_OK ? end_wait(end, &flight) : status;
        check(status == WW_OK && got == turn * 100 + before, "turn %d got %d", turn, got);
    }
    return NULL;
}

static void two_threads_use_two_fabrics(void)
{
    struct end ends[2];
    pthread_t thread;
    end_open(&ends[0], 0, true, true);
    end_open(&ends[1], 1, true, true);
    pthread_create(&thread, NULL, pass_around, &ends[0]);
    pass_around(&ends[1]);
    pthread_join(thread, NULL);
    end_close(&ends[1], false);
    end_close(&ends[0], false);
}

/* A program hands gradients over from a thread that MPI's level does not allow: a warning, once. */
static void another_thread_posts(const struct rule *rule)
{
    struct end end;
    pthread_t thread;
    end_open(&end, 0, false, false);
    pass_around(&end);
    check_silence();
    for (int turn = 0; turn < 2; turn++) {
        pthread_create(&thread, NULL, pass_around, &end);
        pthread_join(thread, NULL);
        if (turn == 0 && rule->other_thread != WW_OK && end.world.size > 1) {
            check_line("which MPI does not allow below MPI_THREAD_SERIALIZED: start MPI with");
        }
        check_silence();
    }
    end_close(&end, false);
}

/* A context is made on the main thread while another's thread is busy: no rank may wait for the
 * other's lock. Rank 0 comes late to the new one, and its thread is needed meanwhile. */
static void a_fabric_opens_while_another_is_busy(void)
{
    struct end busy, fresh;
    pthread_t thread;
    end_open(&busy, 0, true, true);
    pthread_create(&thread, NULL, pass_around, &busy);
    if (busy.world.rank == 0) {
        pthread_join(thread, NULL);
    }
    end_open(&fresh, 0, true, true);
    check(fresh.status == WW_OK, "open beside a busy fabric");
    if (busy.world.rank != 0) {
        pthread_join(thread, NULL);
    }
    end_close(&fresh, false);
    end_close(&busy, false);
}

int main(int argc, char **argv)
{
    const struct rule *rule = argc == 2 ? rule_named(argv[1]) : NULL;
    if (rule == NULL) {
        fprintf(stderr, "usage: %s single|funneled|serialized|multiple\n", argv[0]);
        return 1;
    }
    checks_begin();
    int level;
    MPI_Init_thread(&argc, &argv, rule->level, &level);
    if (level != rule->level) {
        MPI_Finalize();
        fprintf(stderr, "this MPI has no such level\n");
        return EXIT_SKIPPED;
    }
    expect_open(WW_OK, false, false, "");
    expect_open(rule->own_thread, true, false, rule->sentence);
    expect_open(rule->own_thread_quiet, true, true, rule->sentence);
    pthread_t thread;
    pthread_create(&thread, NULL, open_in_another_thread, (void *)rule);
    pthread_join(thread, NULL);
    another_thread_posts(rule);
    if (rule->own_thread_quiet == WW_OK) {
        two_threads_use_two_fabrics();
        a_fabric_opens_while_another_is_busy();
    }
    check(rule->level == MPI_THREAD_MULTIPLE || atomic_load(&collisions) == 0,
          "%d calls of MPI met another one at %s", atomic_load(&collisions), rule->name);
    MPI_Finalize();
    return checks_end();
}
