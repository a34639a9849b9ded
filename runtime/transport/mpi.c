/* SPDX-License-Identifier: BSD-3-Clause
 * mpi.c: a world and a fabric over MPI; the only file that calls it.
 *
 * A fabric is a duplicate of the world's communicator. A message is one MPI message inside a host,
 * and pieces of at most PIECE_BYTES_NETWORK between hosts. Every call of MPI is made under the
 * fabric's lock: below MPI_THREAD_MULTIPLE all fabrics share one, and MPI_Finalize is held up
 * until no call is under way. */
#include <mpi.h>

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/mpi.h>
#include <wirewise/transport.h>

#include "flights.h"
#include "internal/clock.h"
#include "internal/fabrics.h"
#include "internal/gather.h"
#include "internal/log.h"
#include "internal/memory.h"
#include "route.h"

/* Larger messages ask for permission first, and such questions and answers queue behind bulk data
 * on the one socket between two hosts. Up to 64 KiB, less a header, Open MPI sends at once. */
#define PIECE_BYTES_NETWORK ((size_t)60 << 10)

/* MPI counts in int. */
#define PIECE_BYTES_HOST ((size_t)1 << 30)

/* How long close lets transfers run out that can no longer be cancelled. */
#define CLOSE_NS (CLOCK_NS_PER_S / 5)
#define CLOSE_FAILED_NS (CLOCK_NS_PER_S / 50)

/* Control messages are copied, on both ends, so that their memory is free once close has returned:
 * of one whose sender stands still MPI does not let go. */

extern const struct ww_transport ww_mpi_transport;

/* One MPI message. */
struct piece {
    MPI_Request request;
    enum ww_message_kind kind;
    int peer;
    int bytes;
    const void *memory;
    void *into; /* a control message is received in `memory`, and copied there */
};

/* A posted round. */
struct flight {
    struct flight_link link;
    struct piece *pieces;
    struct copies copies; /* of control messages */
    int tag;
    bool control;
    int first; /* pieces before it are done */
    int count; /* posted */
    int capacity;
};

/* Memory that mpi_reserve gave away. */
struct block {
    struct block *next;
    unsigned char *memory;
    size_t bytes;
};

struct fabric {
    struct fabric *next; /* in the registry */
    MPI_Comm comm;
    pthread_mutex_t *lock; /* own_lock, or the one that all share */
    pthread_mutex_t own_lock;
    bool one_thread;  /* MPI's level allows the thread that opened the fabric and no other */
    pthread_t opener; /* that thread */
    int left;         /* pieces that MPI keeps beyond the fabric */
    bool dead;        /* MPI_Finalize came first: MPI must not be called any more */
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    struct flights flights;
    struct block *blocks;
    struct ww_traffic traffic[WW_LEVELS_MAX];
};

/* Fabrics that MPI_Finalize must find. */
static struct {
    pthread_mutex_t lock;
    int keyval; /* of the attribute on MPI_COMM_SELF whose deletion announces MPI_Finalize */
    struct fabric *open;
} registry = {PTHREAD_MUTEX_INITIALIZER, MPI_KEYVAL_INVALID, NULL};

/* Held around every MPI call that no fabric's own lock covers. */
static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- Asking MPI ----------------------------------------------------------------------------- */

struct error_text {
    char text[MPI_MAX_ERROR_STRING];
};

static struct error_text mpi_text(int code)
{
    struct error_text error = {""};
    int bytes = 0;
    MPI_Error_string(code, error.text, &bytes);
    return error;
}

/* MPI may be called now. `what` begins the sentence otherwise. */
static enum ww_status mpi_is_up(const char *what)
{
    int initialised = 0, finalised = 0;
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    if (!initialised) {
        return log_failure(WW_BAD_STATE, "%s: MPI is not initialised; call MPI_Init_thread first",
                           what);
    }
    if (finalised) {
        return log_failure(WW_BAD_STATE,
                           "%s: MPI is already finalised; call it before "
                           "MPI_Finalize",
                           what);
    }
    return WW_OK;
}

/* Who waits so long says so, and again after twice, four times ... that. */
#define SAID_AFTER_NS (60 * CLOCK_NS_PER_S)

/* Waits without keeping the lock, so that a progress thread on another fabric goes on: another
 * rank may need its answer before it comes to this collective. For ever, as ranks may come as late
 * as they like; MPI does not tell who is missing. */
static int collective_wait(const char *what, MPI_Request *request)
{
    uint64_t begin_ns = clock_now_ns();
    uint64_t said_ns = SAID_AFTER_NS;
    int done = 0;
    for (;;) {
        uint64_t waited_ns = clock_now_ns() - begin_ns;
        if (waited_ns >= said_ns) {
            log_warn(
                "waited %.0f s for other ranks to %s: one that is busy elsewhere, stopped or "
                "gone holds up all; the ranks that do not say this are those to look at. Where "
                "all say it, MPI cannot get through: name the network to take (Open MPI: --mca "
                "btl_tcp_if_include)",
                (double)waited_ns / (double)CLOCK_NS_PER_S, what);
            said_ns *= 2;
        }
        pthread_mutex_lock(&shared_lock);
        int code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        pthread_mutex_unlock(&shared_lock);
        if (code != MPI_SUCCESS || done) {
            return code;
        }
        sched_yield();
    }
}

/* What is said when a progress thread is not possible, by MPI's thread level. */
#define NEEDS_MULTIPLE(level)                                                                      \
    "a progress thread needs MPI_THREAD_MULTIPLE, but MPI runs at " level                          \
    ": start MPI with MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided)"

static const char *mpi_thread_trouble(const struct ww_transport_setup *setup)
{
    int initialised = 0, finalised = 0, level = MPI_THREAD_SINGLE;
    MPI_Initialized(&initialised);
    MPI_Finalized(&finalised);
    if (!initialised || finalised) {
        return "MPI is not initialised, or already finalised";
    }
    MPI_Query_thread(&level);
    if (level == MPI_THREAD_SINGLE) {
        return NEEDS_MULTIPLE("MPI_THREAD_SINGLE");
    }
    if (level == MPI_THREAD_FUNNELED) {
        return NEEDS_MULTIPLE("MPI_THREAD_FUNNELED");
    }
    if (level == MPI_THREAD_SERIALIZED && !setup->program_is_quiet) {
        return NEEDS_MULTIPLE("MPI_THREAD_SERIALIZED") ", or set mpi_quiet when the program makes "
                                                       "no MPI call between ww_step_begin and "
                                                       "ww_step_end";
    }
    return NULL;
}

/* May this thread, or the runtime's own, use the fabric? */
static enum ww_status threads_allow(const struct ww_transport_setup *setup, int level)
{
    const char *trouble = setup->own_thread ? mpi_thread_trouble(setup) : NULL;
    if (trouble != NULL) {
        return log_failure(WW_UNSUPPORTED, "%s", trouble);
    }
    int main_thread = 1;
    if (level < MPI_THREAD_SERIALIZED) {
        MPI_Is_thread_main(&main_thread);
    }
    if (!main_thread) {
        return log_failure(
            WW_BAD_STATE,
            "MPI runs at %s, so only the thread that initialised it may call: create "
            "and use the context there, or start MPI with MPI_Init_thread(&argc, "
            "&argv, MPI_THREAD_SERIALIZED, &provided)",
            level == MPI_THREAD_SINGLE ? "MPI_THREAD_SINGLE" : "MPI_THREAD_FUNNELED");
    }
    return WW_OK;
}

static enum ww_status tags_suffice(void)
{
    int *most = NULL;
    int found = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &most, &found);
    if (found && *most < WW_TRANSPORT_TAGS - 1) {
        return log_failure(WW_UNSUPPORTED, "this MPI has tags up to %d, but %d are needed", *most,
                           WW_TRANSPORT_TAGS - 1);
    }
    return WW_OK;
}

/* ---- Flights -------------------------------------------------------------------------------- */

static size_t piece_limit(const struct fabric *fabric, int peer)
{
    return fabric->peer_level[peer] >= fabric->host_levels ? PIECE_BYTES_NETWORK : PIECE_BYTES_HOST;
}

static int pieces_count(const struct fabric *fabric, const struct ww_message *messages, int count)
{
    size_t pieces = 0;
    for (int index = 0; index < count; index++) {
        size_t limit = piece_limit(fabric, messages[index].peer);
        pieces += messages[index].bytes == 0 ? 1 : (messages[index].bytes - 1) / limit + 1;
    }
    return pieces <= INT_MAX ? (int)pieces : INT_MAX;
}

static void flight_give(struct fabric *fabric, struct flight *flight)
{
    flight->first = flight->count;
    flights_give(&fabric->flights, flight);
}

static bool flight_hold(struct flight *flight, int pieces, bool control,
                        const struct ww_message *messages, int count)
{
    return array_hold(&flight->pieces, &flight->capacity, pieces, sizeof *flight->pieces) &&
           (!control || copies_hold(&flight->copies, messages, count, true));
}

/* A flight with room for these messages. NULL when there is no memory. */
static struct flight *flight_take(struct fabric *fabric, bool control,
                                  const struct ww_message *messages, int count)
{
    int pieces = pieces_count(fabric, messages, count);
    struct flight *flight = flights_take(&fabric->flights, sizeof *flight);
    if (flight == NULL) {
        return NULL;
    }
    if (!flight_hold(flight, pieces, control, messages, count)) {
        flight_give(fabric, flight);
        return NULL;
    }
    flight->first = 0;
    flight->count = 0;
    flight->control = control;
    return flight;
}

static enum ww_status piece_failed(const struct flight *flight, const struct piece *piece, int code)
{
    return log_failure(WW_TRANSPORT_FAILED, "MPI could not %s %d bytes %s rank %d (tag %d): %s",
                       piece->kind == WW_SEND ? "send" : "receive", piece->bytes,
                       piece->kind == WW_SEND ? "to" : "from", piece->peer, flight->tag,
                       mpi_text(code).text);
}

static enum ww_status piece_post(struct fabric *fabric, struct flight *flight, void *memory,
                                 struct piece piece)
{
    if (flight->control && piece.kind == WW_SEND && piece.bytes > 0) {
        memory = copies_keep(&flight->copies, memory, (size_t)piece.bytes);
    } else if (flight->control && piece.bytes > 0) {
        piece.into = memory;
        memory = copies_room(&flight->copies, (size_t)piece.bytes);
    }
    piece.memory = memory;
    int code = piece.kind == WW_SEND ? MPI_Isend(memory, piece.bytes, MPI_BYTE, piece.peer,
                                                 flight->tag, fabric->comm, &piece.request)
                                     : MPI_Irecv(memory, piece.bytes, MPI_BYTE, piece.peer,
                                                 flight->tag, fabric->comm, &piece.request);
    if (code != MPI_SUCCESS) {
        return piece_failed(flight, &piece, code);
    }
    flight->pieces[flight->count++] = piece;
    return WW_OK;
}

/* Both ends cut alike: at multiples of the same limit. No bytes are one empty piece. */
static enum ww_status message_post(struct fabric *fabric, struct flight *flight,
                                   const struct ww_message *message)
{
    size_t limit = piece_limit(fabric, message->peer);
    unsigned char *memory = message->memory;
    size_t left = message->bytes;
    do {
        size_t bytes = left < limit ? left : limit;
        struct piece piece = {MPI_REQUEST_NULL, message->kind, message->peer,
                              (int)bytes,       NULL,          NULL};
        enum ww_status status = piece_post(fabric, flight, memory, piece);
        if (status != WW_OK) {
            return status;
        }
        memory = memory == NULL ? NULL : memory + bytes;
        left -= bytes;
    } while (left > 0);
    return WW_OK;
}

static void count_send(struct fabric *fabric, const struct ww_message *message, bool control)
{
    struct ww_traffic *traffic = &fabric->traffic[fabric->peer_level[message->peer]];
    if (control) {
        traffic->control_bytes += message->bytes;
    } else {
        traffic->data_bytes += message->bytes;
        traffic->data_messages += (uint64_t)pieces_count(fabric, message, 1);
    }
}

static enum ww_status kind_post(struct fabric *fabric, struct flight *flight,
                                enum ww_message_kind kind, const struct ww_message *messages,
                                int count)
{
    for (int index = 0; index < count; index++) {
        if (messages[index].kind != kind) {
            continue;
        }
        enum ww_status status = message_post(fabric, flight, &messages[index]);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

/* A done receive must have brought all its bytes, but for a control message. */
static enum ww_status piece_check(const struct flight *flight, const struct piece *piece,
                                  const MPI_Status *status)
{
    int bytes = 0;
    if (piece->kind == WW_RECEIVE) {
        MPI_Get_count(status, MPI_BYTE, &bytes);
        if (!fabric_fits((size_t)bytes, (size_t)piece->bytes, flight->control)) {
            return log_failure(WW_TRANSPORT_FAILED,
                               "rank %d sent %d bytes with tag %d where %d were expected: both "
                               "ends must state the same size",
                               piece->peer, bytes, flight->tag, piece->bytes);
        }
        if (piece->into != NULL) {
            memcpy(piece->into, piece->memory, (size_t)bytes);
        }
    }
    return WW_OK;
}

/* Tests in order from the first piece that is not done: each piece is tested about once however
 * many there are, and a flight is done only when its last one is. */
static enum ww_status flight_test(struct flight *flight)
{
    for (; flight->first < flight->count; flight->first++) {
        struct piece *piece = &flight->pieces[flight->first];
        MPI_Status result;
        int done = 0;
        int code = MPI_Test(&piece->request, &done, &result);
        if (code != MPI_SUCCESS) {
            return piece_failed(flight, piece, code);
        }
        if (!done) {
            return WW_PENDING;
        }
        enum ww_status status = piece_check(flight, piece, &result);
        if (status != WW_OK) {
            return status;
        }
    }
    return WW_OK;
}

/* ---- Ending what is under way --------------------------------------------------------------- */

static void receives_cancel(struct fabric *fabric)
{
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            struct piece *piece = &flight->pieces[index];
            if (piece->kind == WW_RECEIVE && piece->request != MPI_REQUEST_NULL) {
                MPI_Cancel(&piece->request);
            }
        }
    }
}

/* True when the piece is done; lets MPI go on otherwise. */
static bool piece_done(struct piece *piece)
{
    int done = 1;
    if (piece->request != MPI_REQUEST_NULL) {
        MPI_Test(&piece->request, &done, MPI_STATUS_IGNORE);
    }
    return done;
}

static int pieces_under_way(struct fabric *fabric)
{
    int under_way = 0;
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            under_way += !piece_done(&flight->pieces[index]);
        }
    }
    return under_way;
}

/* Does the fabric, or the one that joins it, keep this memory for as long as MPI may touch it? */
static bool memory_is_kept(const struct fabric *fabric, const struct flight *flight,
                           const struct piece *piece)
{
    const struct block *block = fabric->blocks;
    const unsigned char *memory = piece->memory;
    while (block != NULL && (memory < block->memory || memory >= block->memory + block->bytes)) {
        block = block->next;
    }
    return block != NULL || flight->control || piece->bytes == 0 || route_keeps(piece->memory);
}

/* Leaves to MPI what is still under way. Returns how many pieces that were. */
static int requests_leave(struct fabric *fabric)
{
    int left = 0, lent = 0;
    struct flight *flight = flights_first(&fabric->flights);
    for (; flight != NULL; flight = flights_next(flight)) {
        for (int index = flight->first; index < flight->count; index++) {
            struct piece *piece = &flight->pieces[index];
            if (!piece_done(piece)) {
                left++;
                lent += !memory_is_kept(fabric, flight, piece);
                MPI_Request_free(&piece->request);
            }
        }
        flight->first = flight->count;
    }
    if (lent > 0) {
        log_warn("MPI cannot take back %d messages of a context that ended early: keep the "
                 "gradients or buffers handed to it until MPI_Finalize",
                 lent);
    }
    return left;
}

/* One look at the fabric: true while close should look again. */
static bool transfers_go_on(struct fabric *fabric)
{
    pthread_mutex_lock(fabric->lock);
    bool go_on = !fabric->dead && pieces_under_way(fabric) > 0;
    pthread_mutex_unlock(fabric->lock);
    return go_on;
}

/* Returns how many pieces MPI keeps, and with them the memory of the fabric. */
static int transfers_end(struct fabric *fabric, bool failed)
{
    pthread_mutex_lock(fabric->lock);
    if (!fabric->dead) {
        receives_cancel(fabric);
    }
    pthread_mutex_unlock(fabric->lock);
    uint64_t end_ns = clock_now_ns() + (failed ? CLOSE_FAILED_NS : CLOSE_NS);
    while (transfers_go_on(fabric) && clock_now_ns() < end_ns) {
        sched_yield();
    }
    pthread_mutex_lock(fabric->lock);
    if (!fabric->dead) {
        fabric->left += requests_leave(fabric);
    }
    /* Freeing is collective, so not after a failure; and a communicator with messages under way
     * keeps its number, or they would turn up in the next one that gets it. */
    if (!fabric->dead && fabric->left == 0 && !failed) {
        MPI_Comm_free(&fabric->comm);
    }
    pthread_mutex_unlock(fabric->lock);
    return fabric->left;
}

/* MPI calls this first of all in MPI_Finalize, while it may still be called itself. */
static int on_finalize(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm, (void)keyval, (void)value, (void)extra;
    pthread_mutex_lock(&registry.lock);
    bool open = registry.open != NULL;
    for (struct fabric *fabric = registry.open; fabric != NULL; fabric = fabric->next) {
        pthread_mutex_lock(fabric->lock);
        receives_cancel(fabric);
        fabric->left += requests_leave(fabric);
        fabric->dead = true;
        pthread_mutex_unlock(fabric->lock);
    }
    pthread_mutex_unlock(&registry.lock);
    if (open) { /* not how many: a context may have several */
        log_failure(WW_BAD_STATE,
                    "MPI_Finalize was called while a context was open: call ww_context_destroy "
                    "before it");
    }
    return MPI_SUCCESS;
}

static enum ww_status registry_watch(void)
{
    if (registry.keyval != MPI_KEYVAL_INVALID) {
        return WW_OK;
    }
    int code = MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_finalize, &registry.keyval, NULL);
    if (code == MPI_SUCCESS) {
        code = MPI_Comm_set_attr(MPI_COMM_SELF, registry.keyval, NULL);
    }
    return code == MPI_SUCCESS
               ? WW_OK
               : log_failure(WW_TRANSPORT_FAILED,
                             "MPI could not attach an attribute to MPI_COMM_SELF: %s",
                             mpi_text(code).text);
}

static enum ww_status registry_add(struct fabric *fabric)
{
    pthread_mutex_lock(&registry.lock);
    pthread_mutex_lock(&shared_lock);
    enum ww_status status = registry_watch();
    pthread_mutex_unlock(&shared_lock);
    if (status == WW_OK) {
        fabric->next = registry.open;
        registry.open = fabric;
    }
    pthread_mutex_unlock(&registry.lock);
    return status;
}

static void registry_remove(const struct fabric *fabric)
{
    pthread_mutex_lock(&registry.lock);
    struct fabric **link = &registry.open;
    while (*link != fabric) {
        link = &(*link)->next;
    }
    *link = fabric->next;
    pthread_mutex_unlock(&registry.lock);
}

/* ---- The fabric's slots --------------------------------------------------------------------- */

/* The communicator that ww_mpi_world put into the world, without an allocation: its number. */
static MPI_Comm world_comm(const struct ww_world *world)
{
    return MPI_Comm_f2c((MPI_Fint)(intptr_t)world->self);
}

static enum ww_status world_check(const struct ww_world *world)
{
    MPI_Comm comm = world_comm(world);
    int rank = -1, size = -1;
    if (comm != MPI_COMM_NULL) {
        MPI_Comm_rank(comm, &rank);
        MPI_Comm_size(comm, &size);
    }
    if (rank != world->rank || size != world->size) {
        return log_failure(WW_BAD_ARGUMENT,
                           "rank %d of %d is not of an MPI world: fill the world with ww_mpi_world "
                           "to use the MPI transport",
                           world->rank, world->size);
    }
    return WW_OK;
}

static enum ww_status comm_duplicate(MPI_Comm from, MPI_Comm *comm)
{
    MPI_Request request;
    pthread_mutex_lock(&shared_lock);
    int code = MPI_Comm_idup(from, comm, &request);
    pthread_mutex_unlock(&shared_lock);
    if (code == MPI_SUCCESS) {
        code = collective_wait("open MPI's transport", &request);
    }
    if (code != MPI_SUCCESS) {
        return log_failure(WW_TRANSPORT_FAILED, "MPI could not duplicate the communicator: %s",
                           mpi_text(code).text);
    }
    pthread_mutex_lock(&shared_lock);
    MPI_Comm_set_errhandler(*comm, MPI_ERRORS_RETURN);
    pthread_mutex_unlock(&shared_lock);
    return WW_OK;
}

/* What each rank can judge alone, before the first collective call. */
static enum ww_status setup_check(const struct ww_transport_setup *setup, int *level)
{
    enum ww_status status = mpi_is_up("opening the MPI transport");
    if (status != WW_OK) {
        return status;
    }
    pthread_mutex_lock(&shared_lock);
    MPI_Query_thread(level);
    status = threads_allow(setup, *level);
    status = status == WW_OK ? world_check(setup->world) : status;
    status = status == WW_OK ? tags_suffice() : status;
    pthread_mutex_unlock(&shared_lock);
    return status;
}

static enum ww_status mpi_open(const struct ww_transport_setup *setup, void **fabric)
{
    assert(setup->levels >= 1 && setup->levels <= WW_LEVELS_MAX);
    int level = MPI_THREAD_SINGLE;
    enum ww_status status = setup_check(setup, &level);
    struct fabric *made = calloc(1, sizeof *made);
    if (status == WW_OK && made == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for an MPI fabric");
    }
    status = world_all_well(setup->world, status, "open MPI's transport");
    if (status == WW_OK) {
        status = comm_duplicate(world_comm(setup->world), &made->comm);
    }
    if (status != WW_OK) {
        goto free_made;
    }
    pthread_mutex_init(&made->own_lock, NULL);
    made->lock = level < MPI_THREAD_MULTIPLE ? &shared_lock : &made->own_lock;
    made->one_thread = level < MPI_THREAD_SERIALIZED;
    made->opener = pthread_self();
    made->levels = setup->levels;
    made->host_levels = setup->host_levels;
    made->peer_level = setup->peer_level;
    status = registry_add(made);
    if (status != WW_OK) {
        goto free_comm;
    }
    *fabric = made;
    return WW_OK;

free_comm:
    pthread_mutex_destroy(&made->own_lock);
    pthread_mutex_lock(&shared_lock);
    MPI_Comm_free(&made->comm);
    pthread_mutex_unlock(&shared_lock);
free_made:
    free(made);
    return status;
}

/* With kept, what MPI may still touch stays where it is, for good. */
static void fabric_free(struct fabric *fabric, bool kept)
{
    struct flight *flight;
    while ((flight = flights_pop(&fabric->flights)) != NULL) {
        if (!kept) {
            free(flight->copies.memory);
        }
        free(flight->pieces);
        free(flight);
    }
    while (fabric->blocks != NULL) {
        struct block *block = fabric->blocks;
        fabric->blocks = block->next;
        if (!kept) {
            memory_release(block->memory, block->bytes);
        }
        free(block);
    }
    pthread_mutex_destroy(&fabric->own_lock);
    free(fabric);
}

static void mpi_close(void *self, bool failed)
{
    struct fabric *fabric = self;
    int left = transfers_end(fabric, failed);
    registry_remove(fabric);
    fabric_free(fabric, left > 0);
}

/* Plain memory; but the fabric knows it, and keeps it when MPI does not let go of it. */
static enum ww_status mpi_reserve(void *self, size_t bytes, void **memory)
{
    struct fabric *fabric = self;
    struct block *block = malloc(sizeof *block);
    void *made = block == NULL ? NULL : memory_reserve(bytes);
    if (made == NULL) {
        free(block);
        return log_failure(WW_NO_MEMORY, "no memory to reserve %zu bytes for messages", bytes);
    }
    *block = (struct block){fabric->blocks, made, bytes};
    fabric->blocks = block;
    *memory = made;
    return WW_OK;
}

static void mpi_release(void *self, void *memory, size_t bytes)
{
    struct fabric *fabric = self;
    struct block **link = &fabric->blocks;
    while ((*link)->memory != memory) {
        link = &(*link)->next;
    }
    struct block *block = *link;
    assert(block->bytes == bytes);
    *link = block->next;
    memory_release(memory, bytes);
    free(block);
}

static enum ww_status fabric_lock(struct fabric *fabric)
{
    pthread_mutex_lock(fabric->lock);
    if (fabric->dead) {
        pthread_mutex_unlock(fabric->lock);
        return log_failure(WW_TRANSPORT_FAILED, "MPI_Finalize was called while the context was "
                                                "open: call ww_context_destroy before it");
    }
    return WW_OK;
}

static enum ww_wait messages_wait(const struct fabric *fabric, const struct ww_message *messages,
                                  int count)
{
    for (int index = 0; index < count; index++) {
        if (fabric->peer_level[messages[index].peer] >= fabric->host_levels) {
            return WW_WAIT_NETWORK;
        }
    }
    return WW_WAIT_MEMORY;
}

/* Most MPIs bear it as long as no two threads call at once; which of the program's own calls do,
 * nobody can see from here. */
static void warn_of_other_thread(const struct fabric *fabric)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    if (fabric->one_thread && !pthread_equal(pthread_self(), fabric->opener) &&
        !atomic_flag_test_and_set(&told)) {
        log_warn("a thread that did not initialise MPI moves messages here, which MPI does not "
                 "allow below MPI_THREAD_SERIALIZED: start MPI with MPI_Init_thread(&argc, &argv, "
                 "MPI_THREAD_MULTIPLE, &provided), or make all calls of wirewise on one thread");
    }
}

static enum ww_status mpi_post(void *self, int tag, bool control, const struct ww_message *messages,
                               int count, struct ww_flight *posted)
{
    assert(tag >= 0 && tag < WW_TRANSPORT_TAGS);
    struct fabric *fabric = self;
    struct flight *flight = flight_take(fabric, control, messages, count);
    if (flight == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory to post %d messages", count);
    }
    flight->tag = tag;
    warn_of_other_thread(fabric);
    enum ww_status status = fabric_lock(fabric);
    if (status != WW_OK) {
        return status;
    }
    /* Receives first: what arrives meanwhile needs no copy. */
    status = kind_post(fabric, flight, WW_RECEIVE, messages, count);
    status = status == WW_OK ? kind_post(fabric, flight, WW_SEND, messages, count) : status;
    pthread_mutex_unlock(fabric->lock);
    for (int index = 0; index < count; index++) {
        if (messages[index].kind == WW_SEND) {
            count_send(fabric, &messages[index], control);
        }
    }
    *posted = (struct ww_flight){flight, messages_wait(fabric, messages, count)};
    return status;
}

static enum ww_status mpi_poll(void *self, struct ww_flight *posted)
{
    struct fabric *fabric = self;
    struct flight *flight = posted->state;
    enum ww_status status = fabric_lock(fabric);
    if (status != WW_OK) {
        return status;
    }
    status = flight_test(flight);
    pthread_mutex_unlock(fabric->lock);
    if (status == WW_OK) {
        flight_give(fabric, flight);
        posted->state = NULL;
    }
    return status;
}

static int mpi_waits_for(void *self, const struct ww_flight *posted)
{
    (void)self;
    const struct flight *flight = posted->state;
    return flight->first < flight->count ? flight->pieces[flight->first].peer : -1;
}

static void mpi_counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    memcpy(traffic, fabric->traffic, (size_t)fabric->levels * sizeof *traffic);
}

const struct ww_transport ww_mpi_transport = {
    .name = "mpi",
    .yields_to_memory = true,
    .thread_trouble = mpi_thread_trouble,
    .open = mpi_open,
    .close = mpi_close,
    .reserve = mpi_reserve,
    .release = mpi_release,
    .post = mpi_post,
    .control_room = fabric_control_room,
    .poll = mpi_poll,
    .waits_for = mpi_waits_for,
    .counters = mpi_counters,
};

const struct ww_transport *mpi_network(void)
{
    return &ww_mpi_transport;
}

/* ---- The world ------------------------------------------------------------------------------ */

static int mpi_all_gather(void *self, const void *mine, void *all, size_t bytes)
{
    if (mpi_is_up("all_gather over MPI") != WW_OK) {
        return 1;
    }
    if (bytes > INT_MAX) {
        log_failure(WW_UNSUPPORTED, "all_gather of %zu bytes: MPI counts up to %d", bytes, INT_MAX);
        return 1;
    }
    MPI_Request request;
    pthread_mutex_lock(&shared_lock);
    int code = MPI_Iallgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE,
                              MPI_Comm_f2c((MPI_Fint)(intptr_t)self), &request);
    pthread_mutex_unlock(&shared_lock);
    if (code == MPI_SUCCESS) {
        code = collective_wait("gather what each rank says of itself", &request);
    }
    if (code != MPI_SUCCESS) {
        log_failure(WW_TRANSPORT_FAILED, "MPI could not gather %zu bytes from every rank: %s",
                    bytes, mpi_text(code).text);
    }
    return code == MPI_SUCCESS ? 0 : 1;
}

enum ww_status ww_mpi_world(MPI_Comm communicator, struct ww_world *world)
{
    if (world == NULL || communicator == MPI_COMM_NULL) {
        return log_failure(WW_BAD_ARGUMENT, "ww_mpi_world: %s",
                           world == NULL ? "world is NULL" : "communicator is MPI_COMM_NULL");
    }
    enum ww_status status = mpi_is_up("ww_mpi_world");
    if (status != WW_OK) {
        return status;
    }
    struct ww_world made = WW_WORLD_INIT;
    int inter = 0;
    pthread_mutex_lock(&shared_lock);
    MPI_Comm_test_inter(communicator, &inter);
    MPI_Comm_rank(communicator, &made.rank);
    MPI_Comm_size(communicator, &made.size);
    made.self = (void *)(intptr_t)MPI_Comm_c2f(communicator);
    pthread_mutex_unlock(&shared_lock);
    if (inter) {
        return log_failure(WW_BAD_ARGUMENT, "ww_mpi_world: communicator connects two groups; merge "
                                            "them with MPI_Intercomm_merge first");
    }
    made.all_gather = mpi_all_gather;
    made.transport = &ww_mpi_transport;
    *world = made;
    return WW_OK;
}
