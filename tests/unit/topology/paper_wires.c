/* SPDX-License-Identifier: BSD-3-Clause
 * paper_wires.c: ranks on stacks of their own, messages in a list, and one clock. */
#include "paper_wires.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "effort.h"
#include "internal/log.h"

/* AddressSanitizer wipes a stack at each switch: of one beyond 512 KiB by system calls. */
#define STACK_BYTES ((size_t)EFFORT(1024, 256) << 10)
#define MESSAGES_MAX 8192
#define WORDS_BYTES ((size_t)64 << 10)
#define IDLE_NS UINT64_C(1000000)
#define LOOK_S 0.1 /* whoever waits looks at the clock, too */
#define PATHS (PAPER_RANKS_MAX * PAPER_RANKS_MAX)

struct message {
    struct ww_message end;
    int rank;
    int tag;
    uint64_t number; /* order of posts */
    double due_s;    /* 0 = waits for its other end */
    struct flight *flight;
};

struct flight {
    int left;
    int peer;
};

struct rank {
    ucontext_t place;
    void *stack;
    bool done;
    bool dead;
    double wakes_s; /* of the dead */
    bool asleep;    /* until one of its messages is done, or for a while */
    int posts;
    struct ww_world world;
};

static struct {
    struct paper_wires wires;
    double now_s;
    uint64_t chance;
    uint64_t posts;
    struct rank ranks[PAPER_RANKS_MAX];
    ucontext_t loop;
    int current;
    bool moved;
    struct message messages[MESSAGES_MAX];
    int message_count;
    double out_free_s[PAPER_RANKS_MAX];
    double in_free_s[PAPER_RANKS_MAX];
    double path_free_s[PATHS];
    double arrival_s[PATHS]; /* latest on a pair of ranks: in order */
    double looked_s;         /* when all ranks were awake */
    unsigned char *gathered[2];
    size_t gather_bytes;
    int gather_count;
    uint64_t gathers;
    paper_work *work;
    void *shared;
} paper;

struct paper_wires paper_wires(int hosts, int ranks_per_host)
{
    struct paper_wires wires = {.size = hosts * ranks_per_host,
                                .gbit_s = 1,
                                .latency_s = 20e-6,
                                .burst_bytes = 128 << 10,
                                .memory_byte_s = 0.1e-9,
                                .memory_latency_s = 0.5e-6,
                                .slow_port = -1,
                                .slow_path = {-1, -1},
                                .dead = -1};
    for (int rank = 0; rank < wires.size; rank++) {
        wires.host_of[rank] = rank / ranks_per_host;
    }
    return wires;
}

uint64_t paper_now_ns(void)
{
    return (uint64_t)(paper.now_s * 1e9 + 0.5);
}

uint64_t paper_core_ns(void)
{
    return paper_now_ns() / 4; /* a quarter of the time is spent on a core */
}

static void leave(void)
{
    paper.ranks[paper.current].asleep = true;
    swapcontext(&paper.ranks[paper.current].place, &paper.loop);
}

void paper_wait(void *waiter, enum ww_wait wait, uint64_t moves)
{
    (void)waiter, (void)wait, (void)moves;
    leave();
}

static void wake_all(void)
{
    for (int rank = 0; rank < paper.wires.size; rank++) {
        paper.ranks[rank].asleep = false;
    }
}

static double draw(void)
{
    paper.chance = paper.chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(paper.chance >> 11) / 9007199254740992.0;
}

/* ---- Wires -------------------------------------------------------------------------------- */

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* When bytes have gone through something of that pace: a bucket of tokens. */
static double pass(double *free_s, double byte_s, double bytes)
{
    double begin_s = later(*free_s, paper.now_s - paper.wires.burst_bytes * byte_s);
    *free_s = begin_s + bytes * byte_s;
    return later(*free_s, paper.now_s + bytes * byte_s / 10);
}

static double port_byte_s(int host)
{
    const struct paper_wires *wires = &paper.wires;
    return 8e-9 / wires->gbit_s * (host == wires->slow_port ? wires->port_factor : 1);
}

static double path_byte_s(int from, int to)
{
    const struct paper_wires *wires = &paper.wires;
    bool slow = (from == wires->slow_path[0] && to == wires->slow_path[1]) ||
                (from == wires->slow_path[1] && to == wires->slow_path[0]);
    return 8e-9 / wires->gbit_s * (slow ? wires->path_factor : 0.01);
}

static double arrival_of(int from, int to, double bytes)
{
    const struct paper_wires *wires = &paper.wires;
    double *last = &paper.arrival_s[from * PAPER_RANKS_MAX + to];
    int a = wires->host_of[from];
    int b = wires->host_of[to];
    double due_s;
    if (a == b) {
        due_s = later(paper.now_s, *last) + bytes * wires->memory_byte_s;
        *last = due_s;
        return due_s + wires->memory_latency_s;
    }
    due_s = pass(&paper.out_free_s[a], port_byte_s(a), bytes);
    due_s = later(due_s, pass(&paper.in_free_s[b], port_byte_s(b), bytes));
    due_s = later(due_s,
                  pass(&paper.path_free_s[a * PAPER_RANKS_MAX + b], path_byte_s(a, b), bytes));
    due_s = later(due_s + wires->latency_s + draw() * wires->jitter_s, *last);
    *last = due_s;
    return due_s;
}

/* ---- Transport ------------------------------------------------------------------------------ */

static bool fits(const struct message *a, const struct message *b)
{
    return a->due_s == 0 && b->due_s == 0 && a->end.kind != b->end.kind && a->tag == b->tag &&
           a->rank == b->end.peer && b->rank == a->end.peer;
}

static void match(struct message *posted)
{
    struct message *found = NULL;
    for (int i = 0; i < paper.message_count; i++) {
        struct message *other = &paper.messages[i];
        if (fits(posted, other) && (found == NULL || other->number < found->number)) {
            found = other;
        }
    }
    if (found == NULL) {
        return;
    }
    struct message *send = posted->end.kind == WW_SEND ? posted : found;
    struct message *receive = send == posted ? found : posted;
    if (send->end.bytes != receive->end.bytes) {
        abort();
    }
    /* Of long messages nobody looks at more. */
    memcpy(receive->end.memory, send->end.memory,
           send->end.bytes < WORDS_BYTES ? send->end.bytes : WORDS_BYTES);
    send->due_s = arrival_of(send->rank, receive->rank, (double)send->end.bytes);
    receive->due_s = send->due_s;
}

static bool is_lost(int rank)
{
    bool dead = rank == paper.wires.dead && paper.ranks[rank].dead;
    return paper.wires.lost && (dead || paper.ranks[rank].done);
}

static enum ww_status tell_lost(int rank)
{
    paper.moved = true;
    return log_failure(WW_PEER_FAILED, "rank %d is lost", rank);
}

static enum ww_status post(void *fabric, int tag, bool control, const struct ww_message *messages,
                           int count, struct ww_flight *flight)
{
    struct rank *rank = fabric;
    (void)control;
    if (rank->world.rank == paper.wires.dead && rank->posts++ >= paper.wires.dies_after) {
        rank->dead = true;
        rank->wakes_s = paper.wires.held_s > 0 ? paper.now_s + paper.wires.held_s : HUGE_VAL;
        leave();
    }
    struct flight *made = calloc(1, sizeof *made);
    if (made == NULL || paper.message_count + count > MESSAGES_MAX) {
        abort();
    }
    made->left = count;
    made->peer = messages[0].peer;
    *flight = (struct ww_flight){.state = made, .wait = WW_WAIT_NETWORK};
    for (int i = 0; i < count; i++) {
        if (messages[i].kind == WW_SEND && is_lost(messages[i].peer)) {
            return tell_lost(messages[i].peer);
        }
        struct message *message = &paper.messages[paper.message_count++];
        *message = (struct message){messages[i], rank->world.rank, tag, paper.posts++, 0, made};
        match(message);
    }
    paper.moved = true;
    return WW_OK;
}

static int waits_for(void *fabric, const struct ww_flight *flight)
{
    (void)fabric;
    for (int i = 0; i < paper.message_count; i++) {
        if (paper.messages[i].flight == flight->state) {
            return paper.messages[i].end.peer;
        }
    }
    return -1;
}

/* One that waits for its other end, which will not come. */
static bool is_in_vain(const struct message *message, const struct flight *flight)
{
    return message->flight == flight && message->due_s == 0 && is_lost(message->end.peer);
}

static bool has_ended(void *fabric, int peer)
{
    (void)fabric;
    return paper.wires.seen && (paper.ranks[peer].dead || paper.ranks[peer].done);
}

static enum ww_status poll(void *fabric, struct ww_flight *flight)
{
    struct flight *posted = flight->state;
    (void)fabric;
    if (posted->left > 0) {
        for (int i = 0; i < paper.message_count; i++) {
            if (is_in_vain(&paper.messages[i], posted)) {
                return tell_lost(paper.messages[i].end.peer);
            }
        }
        return WW_PENDING;
    }
    free(posted);
    paper.moved = true;
    return WW_OK;
}

const struct ww_transport paper_transport = {
    .name = "paper", .post = post, .poll = poll, .waits_for = waits_for, .ended = has_ended};

/* ---- Time --------------------------------------------------------------------------------- */

/* Goes on to the next arrival, or a little where there is none, and delivers. */
static void advance(void)
{
    double next_s = paper.now_s + (double)IDLE_NS * 1e-9;
    int kept = 0;
    bool any = false;
    for (int i = 0; i < paper.message_count; i++) {
        double due_s = paper.messages[i].due_s;
        if (due_s > 0 && (!any || due_s < next_s)) {
            next_s = due_s;
            any = true;
        }
    }
    paper.now_s = later(paper.now_s, next_s);
    if (!any || paper.now_s >= paper.looked_s + LOOK_S) {
        paper.looked_s = paper.now_s;
        wake_all();
    }
    for (int i = 0; i < paper.message_count; i++) {
        struct message *message = &paper.messages[i];
        if (message->due_s > 0 && message->due_s <= paper.now_s) {
            message->flight->left--;
            paper.ranks[message->rank].asleep = false;
        } else {
            paper.messages[kept++] = *message;
        }
    }
    paper.message_count = kept;
}

static int gather(void *self, const void *mine, void *all, size_t bytes)
{
    int rank = (int)((struct rank *)self - paper.ranks);
    uint64_t own = paper.gathers;
    size_t total = bytes * (size_t)paper.wires.size;
    if (paper.gather_count == 0) {
        free(paper.gathered[own % 2]);
        paper.gathered[own % 2] = malloc(total);
        paper.gather_bytes = bytes;
    }
    if (paper.gather_bytes != bytes || paper.gathered[own % 2] == NULL) {
        abort();
    }
    memcpy(paper.gathered[own % 2] + bytes * (size_t)rank, mine, bytes);
    paper.moved = true;
    if (++paper.gather_count == paper.wires.size) {
        paper.gather_count = 0;
        paper.gathers++;
        wake_all();
    }
    while (paper.gathers == own) {
        leave();
    }
    memcpy(all, paper.gathered[own % 2], total);
    return 0;
}

static void enter(void)
{
    struct rank *rank = &paper.ranks[paper.current];
    paper.work(&rank->world, rank, paper.shared);
    rank->done = true;
    paper.moved = true;
}

static void rank_init(int number)
{
    struct rank *rank = &paper.ranks[number];
    struct ww_world world = WW_WORLD_INIT;
    rank->world = world;
    rank->world.rank = number;
    rank->world.size = paper.wires.size;
    rank->world.all_gather = gather;
    rank->world.self = rank;
    rank->stack = malloc(STACK_BYTES);
    getcontext(&rank->place);
    rank->place.uc_stack.ss_sp = rank->stack;
    rank->place.uc_stack.ss_size = STACK_BYTES;
    rank->place.uc_link = &paper.loop;
    makecontext(&rank->place, enter, 0);
}

/* Lets every rank go on until it waits; returns how many are not done. */
static int turn(void)
{
    int left = 0;
    for (paper.current = 0; paper.current < paper.wires.size; paper.current++) {
        struct rank *rank = &paper.ranks[paper.current];
        if (rank->dead && paper.now_s >= rank->wakes_s) {
            rank->dead = false;
            paper.wires.dead = -1; /* once */
        }
        if (!rank->done && !rank->dead && !rank->asleep) {
            swapcontext(&paper.loop, &rank->place);
        }
        left += !rank->done;
    }
    return left;
}

int paper_left(void)
{
    return paper.message_count;
}

int paper_run(const struct paper_wires *wires, paper_work *work, void *shared, double limit_s)
{
    int left = wires->size;
    memset(&paper, 0, sizeof paper);
    paper.wires = *wires;
    paper.now_s = 1;
    paper.chance = 377;
    paper.work = work;
    paper.shared = shared;
    for (int number = 0; number < wires->size; number++) {
        rank_init(number);
    }
    while (left > 0 && paper.now_s < 1 + limit_s) {
        paper.moved = false;
        left = turn();
        if (!paper.moved) {
            advance();
        }
    }
    for (int number = 0; number < wires->size; number++) {
        free(paper.ranks[number].stack);
    }
    free(paper.gathered[0]);
    free(paper.gathered[1]);
    return left;
}
