/* SPDX-License-Identifier: BSD-3-Clause
 * sim_transport.c: lets messages meet, gives each an arrival time, and delivers in that order. */
#include "sim_transport.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "chance.h"
#include "internal/fabrics.h"

#define FNV_START UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
#define POISON 0xa5
/* Looking for memory that is lent twice costs the square of the messages under way. */
#define OVERLAP_CHECK_RANKS_MAX 32

struct flight;

/* One end of a message, from post until it met its other end and arrived. */
struct sim_message {
    enum ww_message_kind kind;
    int rank;
    int peer;
    int tag;
    bool control;
    uint8_t *memory;
    size_t bytes;
    uint8_t *snapshot;          /* sends: the contents when they were posted */
    struct flight *flight;      /* NULL once it need not be told: buffered, or closed */
    int index;                  /* in flight->messages */
    uint64_t arrival_ns;        /* of what travels before it is asked for; 0 = once it is */
    bool lost;                  /* its rank or the peer died on the way: it will never arrive */
    struct sim_message *behind; /* in its queue, while it waits for its other end */
};

/* A posted round. */
struct flight {
    struct fabric *fabric;
    struct flight *next;
    struct flight **link; /* what points here */
    enum ww_status status;
    int outstanding;
    int count;
    struct sim_message *messages[]; /* [count] NULL once done */
};

/* Memory that reserve gave. */
struct reservation {
    struct reservation *next;
    void *memory;
    bool given_back; /* peers may see it until the end */
};

struct fabric {
    struct sim *sim;
    int rank;
    int levels;
    int host_levels;
    const uint8_t *peer_level;
    bool open;
    bool dead;
    int data_posts;
    struct flight *flights;
    struct reservation *reservations;
    uint8_t *area;
    uint64_t port_free_ns[WW_LEVELS_MAX];
    struct ww_traffic traffic[WW_LEVELS_MAX];
};

/* Messages of one (sender, receiver, tag) that wait for their other end: all of one kind. */
struct queue {
    uint64_t key; /* 0 = unused entry */
    struct sim_message *head;
    struct sim_message *tail;
    uint64_t last_due_ns;
};

struct sim {
    struct sim_options options;
    uint64_t now_ns;
    uint64_t chance;
    uint64_t trace;
    struct fabric *fabrics; /* [size] */
    struct queue *queues;   /* hash table */
    size_t queue_room;      /* a power of two */
    size_t queue_count;
    struct calendar calendar;
    char complaint[300];
};

/* ---- Small things ------------------------------------------------------------------------- */

static void *demand(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory for the simulation\n");
        abort();
    }
    return memory;
}

static uint64_t draw(struct sim *sim)
{
    return chance_mix(sim->chance += UINT64_C(0x9e3779b97f4a7c15));
}

__attribute__((format(printf, 2, 3))) static void complain(struct sim *sim, const char *format, ...)
{
    if (sim->complaint[0] != '\0') {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sim->complaint, sizeof(sim->complaint), format, arguments);
    va_end(arguments);
}

static void note(struct sim *sim, uint64_t what)
{
    sim->trace = (sim->trace ^ what) * FNV_PRIME;
}

static uint64_t fingerprint(const uint8_t *memory, size_t bytes)
{
    uint64_t print = FNV_START;
    for (size_t i = 0; i < bytes; i++) {
        print = (print ^ memory[i]) * FNV_PRIME;
    }
    return print;
}

/* ---- Queues ------------------------------------------------------------------------------- */

static struct queue *probe(const struct sim *sim, uint64_t key)
{
    size_t at = (size_t)chance_mix(key) & (sim->queue_room - 1);
    while (sim->queues[at].key != 0 && sim->queues[at].key != key) {
        at = (at + 1) & (sim->queue_room - 1);
    }
    return &sim->queues[at];
}

static void grow_queues(struct sim *sim)
{
    struct queue *old = sim->queues;
    size_t old_room = sim->queue_room;
    sim->queue_room = old_room == 0 ? 1024 : 2 * old_room;
    sim->queues = demand(calloc(sim->queue_room, sizeof(*sim->queues)));
    for (size_t i = 0; i < old_room; i++) {
        if (old[i].key != 0) {
            *probe(sim, old[i].key) = old[i];
        }
    }
    free(old);
}

static struct queue *queue_of(struct sim *sim, const struct sim_message *message)
{
    bool sends = message->kind == WW_SEND;
    uint64_t from = (uint64_t)(sends ? message->rank : message->peer);
    uint64_t to = (uint64_t)(sends ? message->peer : message->rank);
    uint64_t key = (from << 38 | to << 14 | (uint64_t)message->tag << 1) + 1;
    if (2 * sim->queue_count >= sim->queue_room) {
        grow_queues(sim);
    }
    struct queue *queue = probe(sim, key);
    if (queue->key == 0) {
        queue->key = key;
        sim->queue_count++;
    }
    return queue;
}

static void enqueue(struct queue *queue, struct sim_message *message)
{
    message->behind = NULL;
    if (queue->head == NULL) {
        queue->head = message;
    } else {
        queue->tail->behind = message;
    }
    queue->tail = message;
}

/* Takes a message out of its queue; false when it does not wait there any more. */
static bool withdraw(struct sim *sim, struct sim_message *message)
{
    struct queue *queue = queue_of(sim, message);
    struct sim_message *before = NULL;
    for (struct sim_message *at = queue->head; at != NULL; before = at, at = at->behind) {
        if (at != message) {
            continue;
        }
        if (before == NULL) {
            queue->head = at->behind;
        } else {
            before->behind = at->behind;
        }
        queue->tail = queue->tail == at ? before : queue->tail;
        return true;
    }
    return false;
}

/* ---- Flights ------------------------------------------------------------------------------ */

static struct flight *create_flight(struct fabric *fabric, int count)
{
    struct flight *flight = demand(
        calloc(1, sizeof(*flight) + (size_t)count * sizeof(flight->messages[0])));
    flight->fabric = fabric;
    flight->status = WW_OK;
    flight->count = count;
    flight->next = fabric->flights;
    flight->link = &fabric->flights;
    if (flight->next != NULL) {
        flight->next->link = &flight->next;
    }
    fabric->flights = flight;
    return flight;
}

static void free_flight(struct flight *flight)
{
    *flight->link = flight->next;
    if (flight->next != NULL) {
        flight->next->link = flight->link;
    }
    free(flight);
}

static void free_message(struct sim_message *message)
{
    free(message->snapshot);
    free(message);
}

/* Tells the flight that one of its messages is over. */
static void detach(struct sim_message *message, enum ww_status status)
{
    struct flight *flight = message->flight;
    if (flight == NULL) {
        return;
    }
    flight->messages[message->index] = NULL;
    flight->outstanding--;
    flight->status = status != WW_OK ? status : flight->status;
    message->flight = NULL;
}

/* ---- Meeting ------------------------------------------------------------------------------ */

static uint64_t arrival_of(struct sim *sim, const struct sim_message *send)
{
    struct fabric *from = &sim->fabrics[send->rank];
    int level = from->peer_level[send->peer];
    const struct sim_link *link = &sim->options.links[level];
    double factor = send->rank == sim->options.slow_rank ? sim->options.slow_factor : 1.0;
    uint64_t start = from->port_free_ns[level] > sim->now_ns ? from->port_free_ns[level]
                                                             : sim->now_ns;
    uint64_t busy = (uint64_t)(factor * link->ns_per_byte * (double)send->bytes);
    uint64_t jitter = link->jitter_ns == 0 ? 0 : draw(sim) % (link->jitter_ns + 1);
    from->port_free_ns[level] = start + busy;
    return start + busy + 1 + (uint64_t)(factor * (double)(link->latency_ns + jitter));
}

static void refuse(struct sim *sim, struct sim_message *send, struct sim_message *receive)
{
    complain(sim, "rank %d sends %zu bytes to rank %d, which expects %zu (tag %d)", send->rank,
             send->bytes, receive->rank, receive->bytes, send->tag);
    detach(send, WW_TRANSPORT_FAILED);
    detach(receive, WW_TRANSPORT_FAILED);
    free_message(send);
    free_message(receive);
}

static void meet(struct sim *sim, struct queue *queue, struct sim_message *send,
                 struct sim_message *receive)
{
    bool shorter = receive->control && sim->options.control_room > 0 &&
                   send->bytes < receive->bytes;
    if (send->bytes != receive->bytes && !shorter) {
        refuse(sim, send, receive);
        return;
    }
    uint64_t arrival = send->arrival_ns > 0 ? send->arrival_ns : arrival_of(sim, send);
    uint64_t due = arrival > sim->now_ns ? arrival : sim->now_ns + 1;
    if (due <= queue->last_due_ns) {
        due = queue->last_due_ns + 1; /* in order within one (pair, tag) */
    }
    queue->last_due_ns = due;
    calendar_add(&sim->calendar, due, send, receive);
}

static void enter(struct sim *sim, struct sim_message *message)
{
    struct queue *queue = queue_of(sim, message);
    struct sim_message *other = queue->head;
    if (other == NULL || other->kind == message->kind) {
        enqueue(queue, message);
        return;
    }
    queue->head = other->behind;
    bool sends = message->kind == WW_SEND;
    meet(sim, queue, sends ? message : other, sends ? other : message);
}

/* ---- The contract's other side: what a user may not do --------------------------------------- */

static bool overlaps(const struct sim_message *one, const struct sim_message *other)
{
    return one->bytes > 0 && other->bytes > 0 && one->memory < other->memory + other->bytes &&
           other->memory < one->memory + one->bytes &&
           (one->kind == WW_RECEIVE || other->kind == WW_RECEIVE);
}

static void check_overlap(struct fabric *fabric, const struct sim_message *message)
{
    for (struct flight *flight = fabric->flights; flight != NULL; flight = flight->next) {
        for (int i = 0; i < flight->count; i++) {
            const struct sim_message *other = flight->messages[i];
            if (other != NULL && other != message && overlaps(message, other)) {
                complain(fabric->sim,
                         "rank %d posts memory for rank %d, tag %d, that it lent to a message "
                         "with rank %d, tag %d",
                         fabric->rank, message->peer, message->tag, other->peer, other->tag);
            }
        }
    }
}

static void check_post(struct fabric *fabric, int tag, bool control,
                       const struct ww_message *message)
{
    struct sim *sim = fabric->sim;
    size_t room = sim->options.control_room > 0 ? sim->options.control_room : WW_CONTROL_BYTES;
    if (control && message->bytes > room) {
        complain(sim, "rank %d posts a control message of %zu bytes", fabric->rank, message->bytes);
    }
    if (!fabric->open) {
        complain(sim, "rank %d posts after close", fabric->rank);
    }
    if (tag < 0 || tag >= WW_TRANSPORT_TAGS) {
        complain(sim, "rank %d posts with tag %d", fabric->rank, tag);
    }
    if (message->peer < 0 || message->peer >= sim->options.size || message->peer == fabric->rank) {
        complain(sim, "rank %d posts a message to rank %d", fabric->rank, message->peer);
    }
    if (message->memory == NULL && message->bytes > 0) {
        complain(sim, "rank %d posts %zu bytes at NULL", fabric->rank, message->bytes);
    }
}

/* ---- Posting ------------------------------------------------------------------------------ */

static void count_traffic(struct fabric *fabric, bool control, const struct ww_message *message)
{
    struct ww_traffic *traffic = &fabric->traffic[fabric->peer_level[message->peer]];
    if (control) {
        traffic->control_bytes += message->bytes;
    } else {
        traffic->data_bytes += message->bytes;
        traffic->data_messages++;
    }
}

static struct sim_message *create_message(struct flight *flight, int index, int tag, bool control,
                                          const struct ww_message *from)
{
    struct sim_message *message = demand(calloc(1, sizeof(*message)));
    *message = (struct sim_message){.kind = from->kind,
                                    .rank = flight->fabric->rank,
                                    .peer = from->peer,
                                    .tag = tag,
                                    .control = control,
                                    .memory = from->memory,
                                    .bytes = from->bytes,
                                    .flight = flight,
                                    .index = index};
    flight->messages[index] = message;
    flight->outstanding++;
    return message;
}

/* Lends the memory: what is sent is kept for comparison, what is received is spoiled, so that
 * reading it too early shows. */
static void lend(struct sim *sim, struct sim_message *message)
{
    if (sim->options.size <= OVERLAP_CHECK_RANKS_MAX) {
        check_overlap(message->flight->fabric, message);
    }
    if (message->bytes == 0) {
        return;
    }
    if (message->kind == WW_RECEIVE) {
        memset(message->memory, POISON, message->bytes);
    } else {
        message->snapshot = demand(malloc(message->bytes));
        memcpy(message->snapshot, message->memory, message->bytes);
    }
}

static bool dies_now(struct fabric *fabric, bool control)
{
    const struct sim_options *options = &fabric->sim->options;
    if (fabric->rank != options->dying_rank || options->dies_after_posts < 0 || control) {
        return false;
    }
    fabric->data_posts++;
    return fabric->data_posts > options->dies_after_posts;
}

static enum ww_status post(void *self, int tag, bool control, const struct ww_message *messages,
                           int count, struct ww_flight *flight)
{
    struct fabric *fabric = self;
    struct sim *sim = fabric->sim;
    struct flight *posted = create_flight(fabric, count);
    *flight = (struct ww_flight){.state = posted, .wait = WW_WAIT_MEMORY};
    fabric->dead = fabric->dead || dies_now(fabric, control);
    if (fabric->dead) {
        posted->outstanding = 1; /* for ever */
        return WW_OK;
    }
    for (int i = 0; i < count; i++) {
        check_post(fabric, tag, control, &messages[i]);
        if (sim->complaint[0] != '\0') {
            return WW_TRANSPORT_FAILED;
        }
        lend(sim, create_message(posted, i, tag, control, &messages[i]));
        if (fabric->peer_level[messages[i].peer] >= fabric->host_levels) {
            flight->wait = WW_WAIT_NETWORK;
        }
        if (messages[i].kind == WW_SEND) {
            count_traffic(fabric, control, &messages[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        struct sim_message *message = posted->messages[i];
        if (message->kind == WW_SEND && message->bytes <= sim->options.eager_bytes) {
            message->arrival_ns = arrival_of(sim, message);
            detach(message, WW_OK);
        }
        enter(sim, message);
    }
    return WW_OK;
}

static enum ww_status poll(void *self, struct ww_flight *flight)
{
    const struct fabric *fabric = self;
    struct flight *posted = flight->state;
    if (!fabric->open || posted == NULL) {
        complain(fabric->sim, "rank %d polls %s", fabric->rank,
                 fabric->open ? "a flight that is done" : "after close");
        return WW_TRANSPORT_FAILED;
    }
    if (posted->status != WW_OK) {
        return posted->status;
    }
    if (posted->outstanding > 0) {
        return WW_PENDING;
    }
    free_flight(posted);
    flight->state = NULL;
    return WW_OK;
}

static int waits_for(void *self, const struct ww_flight *flight)
{
    (void)self;
    const struct flight *posted = flight->state;
    for (int i = 0; posted != NULL && i < posted->count; i++) {
        if (posted->messages[i] != NULL) {
            return posted->messages[i]->peer;
        }
    }
    return -1;
}

/* ---- Opening and closing ------------------------------------------------------------------ */

/* The first to open makes all: others look at them before their ranks open. */
static void make_areas(struct sim *sim, size_t bytes)
{
    for (int rank = 0; rank < sim->options.size; rank++) {
        sim->fabrics[rank].area = memset(demand(aligned_alloc(4096, bytes)), 0, bytes);
    }
}

static enum ww_status open_fabric(const struct ww_transport_setup *setup, void **fabric)
{
    struct sim *sim = setup->world->self;
    struct fabric *opened = &sim->fabrics[setup->world->rank];
    opened->levels = setup->levels;
    opened->host_levels = setup->host_levels;
    opened->peer_level = setup->peer_level;
    opened->open = true;
    if (setup->area_bytes > 0 && opened->area == NULL) {
        make_areas(sim, (setup->area_bytes + 4095) / 4096 * 4096);
    }
    *fabric = opened;
    return WW_OK;
}

/* What left already arrives even so; what waited for its other end is withdrawn. */
static void cancel(struct sim *sim, struct sim_message *message)
{
    detach(message, WW_OK);
    if (message->lost || withdraw(sim, message)) {
        free_message(message);
    } else if (message->kind == WW_RECEIVE) {
        message->memory = NULL;
    }
}

static enum ww_status reserve(void *self, size_t bytes, void **memory)
{
    struct fabric *fabric = self;
    if (!fabric->open) {
        complain(fabric->sim, "rank %d reserves after close", fabric->rank);
    }
    struct reservation *reservation = demand(calloc(1, sizeof(*reservation)));
    reservation->memory = demand(aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
    reservation->next = fabric->reservations;
    fabric->reservations = reservation;
    memset(reservation->memory, POISON, bytes);
    *memory = reservation->memory;
    return WW_OK;
}

static void release(void *self, void *memory, size_t bytes)
{
    struct fabric *fabric = self;
    (void)bytes;
    struct reservation *reservation = fabric->reservations;
    while (reservation != NULL && (reservation->memory != memory || reservation->given_back)) {
        reservation = reservation->next;
    }
    if (reservation == NULL || !fabric->open) {
        complain(fabric->sim, "rank %d releases memory %s", fabric->rank,
                 fabric->open ? "that it did not reserve" : "after close");
        return;
    }
    reservation->given_back = true;
}

static void free_memory(struct fabric *fabric)
{
    while (fabric->reservations != NULL) {
        struct reservation *reservation = fabric->reservations;
        fabric->reservations = reservation->next;
        free(reservation->memory);
        free(reservation);
    }
    free(fabric->area);
}

static void close_fabric(void *self, bool failed)
{
    (void)failed;
    struct fabric *fabric = self;
    while (fabric->flights != NULL) {
        struct flight *flight = fabric->flights;
        for (int i = 0; i < flight->count; i++) {
            if (flight->messages[i] != NULL) {
                cancel(fabric->sim, flight->messages[i]);
            }
        }
        free_flight(flight);
    }
    fabric->open = false;
}

/* ---- Memory that is seen ------------------------------------------------------------------ */

static void *area(void *self, int rank)
{
    const struct fabric *fabric = self;
    return fabric->peer_level[rank] < fabric->host_levels ? fabric->sim->fabrics[rank].area : NULL;
}

static bool share(void *self, const void *memory, size_t bytes, uint64_t *key)
{
    (void)self, (void)bytes;
    *key = (uintptr_t)memory;
    return true;
}

static void *view(void *self, int peer, uint64_t key)
{
    const struct fabric *fabric = self;
    if (fabric->peer_level[peer] >= fabric->host_levels) {
        complain(fabric->sim, "rank %d views memory of rank %d on another host", fabric->rank,
                 peer);
    }
    return (void *)(uintptr_t)key;
}

static enum ww_status fetch(void *self, int peer, uint64_t from, void *into, size_t bytes)
{
    memcpy(into, view(self, peer, from), bytes);
    return WW_OK;
}

static bool fetches(void *self)
{
    (void)self;
    return true;
}

static size_t control_room(void *self)
{
    const struct fabric *fabric = self;
    return fabric->sim->options.control_room;
}

static bool ended(void *self, int peer)
{
    const struct fabric *fabric = self;
    return fabric->sim->options.tells_ended && fabric->sim->fabrics[peer].dead;
}

static void counters(void *self, struct ww_traffic *traffic)
{
    const struct fabric *fabric = self;
    memcpy(traffic, fabric->traffic, (size_t)fabric->levels * sizeof(*traffic));
}

/* ---- Delivering --------------------------------------------------------------------------- */

static void let_die(struct sim *sim)
{
    int rank = sim->options.dying_rank;
    if (rank >= 0 && sim->now_ns >= sim->options.dies_at_ns) {
        sim->fabrics[rank].dead = true;
    }
}

static void hand_over(struct sim *sim, struct sim_message *send, struct sim_message *receive)
{
    if (send->flight != NULL && send->bytes > 0 &&
        memcmp(send->memory, send->snapshot, send->bytes) != 0) {
        complain(sim, "rank %d changed the %zu bytes that it lent to a send to rank %d, tag %d",
                 send->rank, send->bytes, send->peer, send->tag);
    }
    if (receive->memory != NULL && send->bytes > 0) {
        memcpy(receive->memory, send->snapshot, send->bytes);
    }
    note(sim, sim->now_ns);
    note(sim, (uint64_t)send->rank << 32 | (uint64_t)receive->rank);
    note(sim, (uint64_t)send->tag);
    note(sim, fingerprint(send->snapshot, send->bytes));
    detach(send, WW_OK);
    detach(receive, WW_OK);
}

/* The dead are told nothing and tell nothing: the other end waits for ever. */
static void lose(struct sim_message *message)
{
    message->lost = true; /* its flight still counts on it: close frees it */
    if (message->flight == NULL) {
        free_message(message);
    }
}

int sim_deliver(struct sim *sim, uint64_t until_ns, int affected[2])
{
    const struct calendar_entry *next = calendar_first(&sim->calendar);
    if (next == NULL || next->due_ns > until_ns) {
        sim->now_ns = until_ns;
        let_die(sim);
        return 0;
    }
    struct calendar_entry entry = calendar_take(&sim->calendar);
    struct sim_message *send = entry.first;
    struct sim_message *receive = entry.second;
    sim->now_ns = entry.due_ns;
    affected[0] = receive->rank;
    affected[1] = send->rank;
    let_die(sim);
    if (sim->fabrics[send->rank].dead || sim->fabrics[receive->rank].dead) {
        lose(send);
        lose(receive);
        return 2;
    }
    hand_over(sim, send, receive);
    free_message(send);
    free_message(receive);
    return 2;
}

/* ---- Life --------------------------------------------------------------------------------- */

struct sim_options sim_options(int size, uint64_t seed)
{
    return (struct sim_options){.size = size,
                                .seed = seed,
                                .links = {{1000, 1000, 0.1}, {20000, 20000, 1.0}},
                                .eager_bytes = seed % 2 == 0 ? 512 : 0,
                                .control_room = seed % 3 == 0 ? FABRIC_CONTROL_ROOM : 0,
                                .slow_rank = -1,
                                .slow_factor = 1.0,
                                .dying_rank = -1,
                                .dies_at_ns = UINT64_MAX,
                                .dies_after_posts = -1};
}

uint64_t sim_seed(uint64_t seed)
{
    const char *text = getenv("WIREWISE_SIM_SEED");
    return text == NULL ? seed : strtoull(text, NULL, 0);
}

struct sim *sim_create(const struct sim_options *options)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL) {
        return NULL;
    }
    sim->options = *options;
    sim->chance = chance_mix(options->seed + 1);
    sim->trace = FNV_START;
    sim->fabrics = demand(calloc((size_t)options->size, sizeof(*sim->fabrics)));
    for (int rank = 0; rank < options->size; rank++) {
        sim->fabrics[rank].sim = sim;
        sim->fabrics[rank].rank = rank;
    }
    grow_queues(sim);
    return sim;
}

void sim_destroy(struct sim *sim)
{
    if (sim == NULL) {
        return;
    }
    while (calendar_first(&sim->calendar) != NULL) {
        struct calendar_entry entry = calendar_take(&sim->calendar);
        free_message(entry.first);
        free_message(entry.second);
    }
    for (size_t i = 0; i < sim->queue_room; i++) {
        while (sim->queues[i].head != NULL) {
            struct sim_message *message = sim->queues[i].head;
            sim->queues[i].head = message->behind;
            free_message(message);
        }
    }
    calendar_finish(&sim->calendar);
    for (int rank = 0; rank < sim->options.size; rank++) {
        free_memory(&sim->fabrics[rank]);
    }
    free(sim->queues);
    free(sim->fabrics);
    free(sim);
}

void sim_world(struct sim *sim, int rank, struct ww_world *world)
{
    *world = (struct ww_world){.struct_bytes = sizeof(*world),
                               .rank = rank,
                               .size = sim->options.size,
                               .self = sim,
                               .transport = &sim_transport};
}

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

bool sim_is_dead(const struct sim *sim, int rank)
{
    return sim->fabrics[rank].dead;
}

uint64_t sim_trace(const struct sim *sim)
{
    return sim->trace;
}

const char *sim_complaint(const struct sim *sim)
{
    return sim->complaint;
}

/* What every fabric fills. */
#define SLOTS                                                                                      \
    .open = open_fabric, .close = close_fabric, .post = post, .poll = poll, .counters = counters

const struct ww_transport sim_transport = {SLOTS,
                                           .name = "sim",
                                           .reserve = reserve,
                                           .release = release,
                                           .waits_for = waits_for,
                                           .control_room = control_room};

const struct ww_transport sim_transport_bare = {SLOTS, .name = "bare sim"};

const struct ww_transport sim_transport_seen = {SLOTS,
                                                .name = "seen sim",
                                                .reserve = reserve,
                                                .release = release,
                                                .waits_for = waits_for,
                                                .area = area,
                                                .share = share,
                                                .view = view,
                                                .fetch = fetch,
                                                .fetches = fetches,
                                                .ended = ended,
                                                .control_room = control_room};
