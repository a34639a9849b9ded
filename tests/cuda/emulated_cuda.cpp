/* SPDX-License-Identifier: BSD-3-Clause
 * emulated_cuda.cpp: runs the threads of emulated launches as fibers. x86_64 only. */
#include "emulated_cuda.h"

#include <stdio.h>
#include <stdlib.h>

#include <mutex>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define LANES 32
#define THREADS_MOST 1024
#define STACK_BYTES ((size_t)96 * 1024)
#define SHARED_MOST ((size_t)48 * 1024)
#define CLUSTER_MOST 8

int emulated_capability = CLUSTER_CAPABILITY;
const struct emulated_place *emulated_here;

/* ---- Fibers ------------------------------------------------------------------------------- */

/* Saves what a call must keep and the stack's place in *from, and goes on where `to` was saved. */
extern "C" void emulated_switch(void **from, void *to);
asm(".text\n"
    ".globl emulated_switch\n"
    ".hidden emulated_switch\n"
    ".type emulated_switch,@function\n"
    "emulated_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    ".size emulated_switch,.-emulated_switch\n"
    ".section .note.GNU-stack,\"\",@progbits\n"
    ".text\n");

enum state { READY, WAITS, DONE };

struct block;

struct fiber {
    struct emulated_place place;
    enum state state;
    struct block *block;
    char *stack; /* NULL before it begins and behind its end */
    void *saved;
    void *sanitizer;
};

struct warp {
    unsigned lanes;
    unsigned arrived;
    const char *kind;
    uint64_t given[LANES];
    uint64_t taken[LANES];
};

struct region {
    const void *site;
    unsigned char *memory;
    size_t bytes;
};

struct block {
    std::vector<struct fiber> fibers;
    std::vector<struct warp> warps;
    std::vector<struct region> regions;
    unsigned arrived; /* at __syncthreads */
    bool any;         /* of those that have arrived */
    bool any_before;  /* ... when last all had */
};

/* The blocks that run together. */
struct together {
    std::vector<struct block> blocks;
    unsigned threads;
    unsigned arrived;
    unsigned phase; /* how often all have arrived */
    unsigned waiting;
};

static struct together *now;
static struct fiber *current;
static void *scheduler;

/* Stacks that nobody uses. */
static struct spare_stacks {
    std::vector<char *> all;

    ~spare_stacks()
    {
        for (char *stack : all) {
            free(stack);
        }
    }
} stacks;

static void (*now_body)(const void *);
static const void *now_argument;

[[noreturn]] static void give_up(const char *why, const char *what)
{
    fprintf(stderr, "emulated_cuda: %s %s (block %u, thread %u)\n", why, what,
            emulated_here->block.x, emulated_here->thread.x);
    abort();
}

/* AddressSanitizer is told of every change of stacks: before it and behind it. */
#if defined(__SANITIZE_ADDRESS__)
static void *scheduler_frames;
static const void *scheduler_stack;
static size_t scheduler_bytes;

static void before_leaving(void **frames)
{
    __sanitizer_start_switch_fiber(frames, scheduler_stack, scheduler_bytes);
}

static void behind_entering(void *frames)
{
    __sanitizer_finish_switch_fiber(frames, &scheduler_stack, &scheduler_bytes);
}

static void before_entering(const char *stack)
{
    __sanitizer_start_switch_fiber(&scheduler_frames, stack, STACK_BYTES);
}

static void behind_leaving(void)
{
    __sanitizer_finish_switch_fiber(scheduler_frames, nullptr, nullptr);
}
#else
static void before_leaving(void **)
{
}

static void behind_entering(void *)
{
}

static void before_entering(const char *)
{
}

static void behind_leaving(void)
{
}
#endif

static void leave(bool for_good)
{
    struct fiber *self = current;
    before_leaving(for_good ? nullptr : &self->sanitizer);
    emulated_switch(&self->saved, scheduler);
    behind_entering(self->sanitizer);
}

extern "C" void emulated_fiber_main(void)
{
    behind_entering(nullptr);
    now_body(now_argument);
    current->state = DONE;
    leave(true);
}

/* A new stack looks as if emulated_switch had saved it at the beginning of emulated_fiber_main. */
static void fiber_begin(struct fiber *fiber)
{
    if (stacks.all.empty()) {
        stacks.all.push_back(static_cast<char *>(aligned_alloc(64, STACK_BYTES)));
    }
    fiber->stack = stacks.all.back();
    stacks.all.pop_back();
    void **top = reinterpret_cast<void **>(fiber->stack + STACK_BYTES) - 1;
    *top = nullptr; /* where it would return to; the stack is aligned as behind a call */
    *--top = reinterpret_cast<void *>(emulated_fiber_main);
    for (int i = 0; i < 6; i++) {
        *--top = nullptr;
    }
    fiber->saved = top;
}

static void fiber_run(struct fiber *fiber)
{
    if (fiber->stack == nullptr) {
        fiber_begin(fiber);
    }
    current = fiber;
    emulated_here = &fiber->place;
    before_entering(fiber->stack);
    emulated_switch(&scheduler, fiber->saved);
    behind_leaving();
    if (fiber->state == DONE) {
        stacks.all.push_back(fiber->stack);
        fiber->stack = nullptr;
    }
}

/* ---- Collectives -------------------------------------------------------------------------- */

bool __syncthreads_or(bool mine)
{
    struct block *block = current->block;
    block->any = block->any || mine;
    if (++block->arrived < block->fibers.size()) {
        current->state = WAITS;
        leave(false);
        return block->any_before;
    }
    block->arrived = 0;
    block->any_before = block->any;
    block->any = false;
    for (struct warp &warp : block->warps) {
        if (warp.arrived != 0) {
            give_up("__syncthreads while lanes wait in", warp.kind);
        }
    }
    for (struct fiber &fiber : block->fibers) {
        fiber.state = READY;
    }
    return block->any_before;
}

void __syncthreads(void)
{
    __syncthreads_or(false);
}

const uint64_t *emulated_lanes(const char *kind, uint64_t value)
{
    struct block *block = current->block;
    unsigned first = current->place.thread.x / LANES * LANES;
    struct warp *warp = &block->warps[first / LANES];
    if (warp->arrived > 0 && strcmp(warp->kind, kind) != 0) {
        give_up("a lane comes to another collective than", warp->kind);
    }
    warp->kind = kind;
    warp->given[current->place.thread.x - first] = value;
    if (++warp->arrived < warp->lanes) {
        current->state = WAITS;
        leave(false);
        return warp->taken;
    }
    warp->arrived = 0;
    memcpy(warp->taken, warp->given, sizeof warp->taken);
    for (unsigned lane = 0; lane < warp->lanes; lane++) {
        block->fibers[first + lane].state = READY;
    }
    return warp->taken;
}

void cluster_arrive(void)
{
    if (++now->arrived == now->threads) {
        now->arrived = 0;
        now->phase++;
    }
}

/* A wait belongs to the arrival before it: with one phase at a time all have come when the count
 * begins anew. */
void cluster_wait(void)
{
    unsigned phase = now->phase;
    while (now->arrived != 0 && now->phase == phase) {
        leave(false);
    }
}

uint32_t cluster_load(const uint32_t *mine, uint32_t peer)
{
    const unsigned char *at = reinterpret_cast<const unsigned char *>(mine);
    uint32_t value;
    for (const struct region &region : current->block->regions) {
        if (at >= region.memory && at < region.memory + region.bytes) {
            for (const struct region &other : now->blocks[peer].regions) {
                if (other.site == region.site) {
                    memcpy(&value, other.memory + (at - region.memory), sizeof value);
                    return value;
                }
            }
        }
    }
    give_up("another block has no such memory,", "or none of this one's has it");
}

void *emulated_shared(const void *site, size_t bytes)
{
    size_t all = bytes;
    for (const struct region &region : current->block->regions) {
        if (region.site == site) {
            return region.memory;
        }
        all += region.bytes;
    }
    if (all > SHARED_MOST) {
        give_up("more than 48 KiB", "of shared memory");
    }
    unsigned char *memory = static_cast<unsigned char *>(aligned_alloc(64, (bytes + 63) / 64 * 64));
    memset(memory, 0xa5, bytes);
    current->block->regions.push_back({site, memory, bytes});
    return memory;
}

/* ---- Launches ----------------------------------------------------------------------------- */

static void block_begin(struct block *block, const struct launch_shape *shape, unsigned index)
{
    block->fibers.assign(shape->threads, {});
    block->warps.assign((shape->threads + LANES - 1) / LANES, {});
    block->regions.clear();
    block->arrived = 0;
    block->any = false;
    for (unsigned thread = 0; thread < shape->threads; thread++) {
        struct fiber *fiber = &block->fibers[thread];
        fiber->place = {{thread}, {index}, {shape->threads}, {(unsigned)shape->blocks}};
        fiber->state = READY;
        fiber->block = block;
        block->warps[thread / LANES].lanes++;
    }
}

/* Lets every thread that can go on do so, in one order or the other. False = there is none. */
static bool all_advance(bool backward)
{
    size_t each = now->blocks[0].fibers.size();
    size_t count = now->blocks.size() * each;
    bool moved = false;
    for (size_t i = 0; i < count; i++) {
        size_t at = backward ? count - 1 - i : i;
        struct fiber *fiber = &now->blocks[at / each].fibers[at % each];
        if (fiber->state == READY) {
            fiber_run(fiber);
            moved = true;
        }
    }
    return moved;
}

static void blocks_end(void)
{
    for (struct block &block : now->blocks) {
        for (struct fiber &fiber : block.fibers) {
            if (fiber.state != DONE) {
                emulated_here = &fiber.place;
                give_up("a thread waits", "for others that have gone");
            }
        }
        for (struct region &region : block.regions) {
            free(region.memory);
        }
    }
}

void emulated_launch(const struct launch_shape *shape, void (*body)(const void *),
                     const void *argument)
{
    static bool backward;
    static std::mutex one_at_a_time; /* ranks may be threads */
    std::lock_guard<std::mutex> turn(one_at_a_time);
    if (shape->blocks < 1 || shape->blocks > 0x7fffffff || shape->threads < 1 ||
        shape->threads > THREADS_MOST || shape->cluster < 1 || shape->cluster > CLUSTER_MOST ||
        shape->blocks % shape->cluster != 0) {
        fprintf(stderr,
                "emulated_cuda: no GPU launches %zu blocks of %u threads in clusters of %u\n",
                shape->blocks, shape->threads, shape->cluster);
        abort();
    }
    struct together together = {};
    now = &together;
    now_body = body;
    now_argument = argument;
    together.threads = shape->threads * shape->cluster;
    together.blocks.resize(shape->cluster);
    for (size_t first = 0; first < shape->blocks; first += shape->cluster) {
        for (unsigned i = 0; i < shape->cluster; i++) {
            block_begin(&together.blocks[i], shape, (unsigned)first + i);
        }
        while (all_advance(backward)) {
        }
        blocks_end();
    }
    backward = !backward;
}
