/* SPDX-License-Identifier: BSD-3-Clause
 * shm_arena.c: the memory of this process that its host sees, and who has which part of it.
 *
 * The file behind it has no name and is as large as the host's memory, but only pages that were
 * touched cost anything. It can never be shortened, so no peer can make a touch fail. Pages of what
 * is given back return to the system, and read as zero when they are given again.
 *
 * Pages are asked for by madvise, not through the descriptor: a program may have closed all
 * descriptors, and ours may then be the number of a file of its own. Blocks are whole pages of the
 * kernel's: of one that two shared it would take back the other's part as well. */
#define _GNU_SOURCE
#include "shm.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/memory.h"

/* Of kernels newer than the C library's headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* From here on it is asked whether the host has the memory at all. */
#define BYTES_WORTH_ASKING ((size_t)64 << 20)

/* So many pieces of an allocation may fail to become huge pages before no more are tried. */
#define COLLAPSE_FAILURES_MOST 8

struct shm_pretence shm_pretend;

/* A part of the arena. The blocks cover all of it but the first page, in order; free neighbours are
 * one block. */
struct block {
    struct block *next;
    uint64_t offset;
    uint64_t bytes;
    enum block_use use;
    bool exposed; /* a fabric failed meanwhile: somebody may still write here */
};

static struct {
    pthread_mutex_t lock;
    pthread_once_t once;
    pid_t pid; /* whose it is; 0 = there is none */
    int fd;
    dev_t device; /* of the file: its inode alone may be that of another file system's, too */
    ino_t inode;
    unsigned char *base;
    uint64_t bytes;
    uint64_t nonce[2];
    int fabrics;
    int allocations;
    bool kept; /* for good */
    struct block *blocks;
    struct remnant *remnants;
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

void arena_lock(void)
{
    pthread_mutex_lock(&arena.lock);
}

void arena_unlock(void)
{
    pthread_mutex_unlock(&arena.lock);
}

/* A child must not inherit a lock that a thread of its parent held. */
static void watch_forks(void)
{
    pthread_atfork(arena_lock, arena_unlock, arena_unlock);
}

/* ---- Blocks --------------------------------------------------------------------------------- */

/* The block keeps its beginning, up to `offset`. Returns the block of the rest, or NULL. */
static struct block *block_split(struct block *block, uint64_t offset)
{
    struct block *rest = malloc(sizeof *rest);
    if (rest == NULL) {
        return NULL;
    }
    *rest = (struct block){.next = block->next,
                           .offset = offset,
                           .bytes = block->offset + block->bytes - offset,
                           .use = block->use};
    block->bytes = offset - block->offset;
    block->next = rest;
    return rest;
}

static void block_swallow_next(struct block *block)
{
    struct block *next = block->next;
    block->bytes += next->bytes;
    block->next = next->next;
    free(next);
}

static void blocks_merge(void)
{
    for (struct block *block = arena.blocks; block != NULL; block = block->next) {
        while (block->use == BLOCK_FREE && block->next != NULL && block->next->use == BLOCK_FREE) {
            block_swallow_next(block);
        }
    }
}

/* The first free place, cut out of its block. NULL, and errno tells why. */
static struct block *blocks_take(uint64_t bytes, uint64_t alignment)
{
    errno = ENOSPC;
    for (struct block *block = arena.blocks; block != NULL; block = block->next) {
        uint64_t offset = shm_round_up(block->offset, alignment);
        uint64_t end = block->offset + block->bytes;
        if (block->use != BLOCK_FREE || offset > end || end - offset < bytes) {
            continue;
        }
        if (offset > block->offset) {
            block = block_split(block, offset);
        }
        if (block != NULL && bytes < block->bytes && block_split(block, offset + bytes) == NULL) {
            block = NULL;
        }
        if (block == NULL) {
            blocks_merge();
        }
        return block;
    }
    return NULL;
}

static struct block *block_find(const void *memory)
{
    uint64_t offset = (uint64_t)((const unsigned char *)memory - arena.base);
    struct block *block = arena.blocks;
    while (block != NULL && block->offset != offset) {
        block = block->next;
    }
    return block;
}

/* ---- Pages ---------------------------------------------------------------------------------- */

static bool descriptor_is_ours(void)
{
    struct stat stat;
    return fstat(arena.fd, &stat) == 0 && stat.st_dev == arena.device && stat.st_ino == arena.inode;
}

/* Whatever holes the file has there are filled, or it fails. In pieces: each is begun anew when a
 * signal interrupts it, and a profiler's come often. */
static int file_fill(uint64_t offset, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += SHM_HUGE_BYTES) {
        size_t piece = bytes - at < SHM_HUGE_BYTES ? bytes - at : SHM_HUGE_BYTES;
        while (fallocate(arena.fd, 0, (off_t)(offset + at), (off_t)piece) != 0) {
            if (errno != EINTR) {
                return errno == ENOSPC ? ENOMEM : errno;
            }
        }
    }
    return 0;
}

/* For kernels before 5.14. Without the descriptor a lack of memory would be a signal. */
static int pages_touch(unsigned char *memory, size_t bytes)
{
    int error = descriptor_is_ours() ? file_fill((uint64_t)(memory - arena.base), bytes) : 0;
    for (size_t at = 0; error == 0 && at < bytes; at += SHM_PAGE_BYTES) {
        *(volatile unsigned char *)(memory + at) = 0;
    }
    return error;
}

/* Zeroed pages come now, on the node of the calling thread, or it fails without a signal. */
static int pages_make(unsigned char *memory, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    if (shm_pretend.kernel_is_old) {
        return pages_touch(memory, bytes);
    }
    while (madvise(memory, bytes, MADV_POPULATE_WRITE) != 0) {
        if (errno == EINVAL) {
            return pages_touch(memory, bytes);
        }
        if (errno != EINTR) {
            return errno == EFAULT ? ENOMEM : errno;
        }
    }
    return 0;
}

/* One page is touched, then the kernel makes a huge one of the whole piece: eight times as fast as
 * touching all pages of it. */
static int pages_make_huge(unsigned char *memory, size_t bytes)
{
    size_t at = 0;
    int error = 0;
    madvise(memory, bytes, MADV_HUGEPAGE); /* a wish, as the next one: small pages serve as well */
    for (int failures = 0; failures < COLLAPSE_FAILURES_MOST && at + SHM_HUGE_BYTES <= bytes;
         at += SHM_HUGE_BYTES) {
        error = pages_make(memory + at, SHM_PAGE_BYTES);
        if (error == 0 && (shm_pretend.kernel_is_old ||
                           madvise(memory + at, SHM_HUGE_BYTES, MADV_COLLAPSE) != 0)) {
            failures++;
            error = pages_make(memory + at, SHM_HUGE_BYTES);
        }
        if (error != 0) {
            return error;
        }
    }
    return pages_make(memory + at, bytes - at);
}

static void pages_drop(unsigned char *memory, size_t bytes)
{
    munlock(memory, bytes); /* the program may have locked it */
    if (shm_pretend.pages_are_kept || madvise(memory, bytes, MADV_REMOVE) != 0) {
        memset(memory, 0, bytes); /* the next owner must find zeros */
    }
}

int arena_populate(void *memory, size_t bytes)
{
    if (shm_pretend.pages_are_refused) {
        return ENOSPC;
    }
    return pages_make(memory, bytes);
}

static int block_populate(unsigned char *memory, size_t bytes)
{
    if (shm_pretend.pages_are_refused) {
        return ENOSPC;
    }
    if (bytes >= BYTES_WORTH_ASKING && bytes > room_bytes_free()) {
        return ENOMEM;
    }
    return bytes >= SHM_HUGE_BYTES ? pages_make_huge(memory, bytes) : pages_make(memory, bytes);
}

/* ---- The whole of it ------------------------------------------------------------------------ */

static void unmap(unsigned char *from, unsigned char *to)
{
    if (to > from) {
        munmap(from, (size_t)(to - from));
    }
}

int arena_map(int fd, size_t bytes, unsigned char **base)
{
    /* Without access first: under mlockall the kernel would touch and lock every page. */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    unsigned char *place = mmap(NULL, bytes + SHM_HUGE_BYTES, PROT_NONE, flags, -1, 0);
    if (place == MAP_FAILED) {
        return errno;
    }
    unsigned char *aligned = (unsigned char *)shm_round_up((uintptr_t)place, SHM_HUGE_BYTES);
    unmap(place, aligned);
    unmap(aligned + bytes, place + bytes + SHM_HUGE_BYTES);
    flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
    if (mmap(aligned, bytes, PROT_NONE, flags, fd, 0) == MAP_FAILED ||
        munlock(aligned, bytes) != 0 || mprotect(aligned, bytes, PROT_READ | PROT_WRITE) != 0) {
        int error = errno;
        munmap(aligned, bytes);
        return error;
    }
    *base = aligned;
    return 0;
}

/* A file of that length that nobody can shorten. */
static int file_make(uint64_t bytes, int *fd)
{
    if (shm_pretend.arena_is_refused) {
        return ENOSYS;
    }
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int made = memfd_create("wirewise", flags | MFD_NOEXEC_SEAL);
    if (made < 0 && errno == EINVAL) {
        made = memfd_create("wirewise", flags); /* a kernel before 6.3 */
    }
    if (made < 0) {
        return errno;
    }
    if (ftruncate(made, (off_t)bytes) != 0 ||
        fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int error = errno;
        close(made);
        return error;
    }
    *fd = made;
    return 0;
}

/* The first page says whose arena it is; the rest is free. */
static int arena_fill(void)
{
    struct stat stat;
    size_t page_bytes = memory_page_bytes();
    struct block *block = malloc(sizeof *block);
    if (block == NULL) {
        return ENOMEM;
    }
    int error = fstat(arena.fd, &stat) == 0 ? pages_make(arena.base, page_bytes) : errno;
    if (error == 0 && getentropy(arena.nonce, sizeof arena.nonce) != 0) {
        error = errno;
    }
    if (error != 0) {
        free(block);
        return error;
    }
    arena.device = stat.st_dev;
    arena.inode = stat.st_ino;
    memcpy(arena.base, arena.nonce, sizeof arena.nonce);
    *block = (struct block){
        .offset = page_bytes, .bytes = arena.bytes - page_bytes, .use = BLOCK_FREE};
    arena.blocks = block;
    return 0;
}

static int arena_make(uint64_t bytes)
{
    int error = bytes == 0 ? ENOMEM : file_make(bytes, &arena.fd);
    if (error != 0) {
        return error;
    }
    arena.bytes = bytes;
    error = arena_map(arena.fd, bytes, &arena.base);
    if (error != 0) {
        goto close_file;
    }
    error = arena_fill();
    if (error != 0) {
        goto unmap_file;
    }
    arena.pid = getpid();
    return 0;
unmap_file:
    munmap(arena.base, arena.bytes);
close_file:
    close(arena.fd);
    return error;
}

static void remnant_pop(struct remnant **link)
{
    struct remnant *remnant = *link;
    *link = remnant->next;
    free(remnant->reserved);
    free(remnant);
}

static void arena_forget(void)
{
    while (arena.blocks != NULL) {
        struct block *block = arena.blocks;
        arena.blocks = block->next;
        free(block);
    }
    while (arena.remnants != NULL) {
        remnant_pop(&arena.remnants);
    }
    arena.pid = 0;
    arena.nonce[0] = arena.nonce[1] = 0;
    arena.base = NULL;
    arena.bytes = 0;
    arena.fabrics = 0;
    arena.allocations = 0;
    arena.kept = false;
}

/* Peers that still read keep what they read: the file lives as long as its last mapping. */
static void arena_end_if_idle(void)
{
    if (arena.fabrics > 0 || arena.allocations > 0 || arena.kept) {
        return;
    }
    munmap(arena.base, arena.bytes);
    if (descriptor_is_ours()) {
        close(arena.fd);
    }
    arena_forget();
}

/* ---- Remnants ------------------------------------------------------------------------------- */

static bool remnant_is_left(const struct remnant *remnant)
{
    for (int place = 0; place < remnant->size; place++) {
        if (place != remnant->place &&
            atomic_load_explicit(&remnant->heads[place].left, memory_order_acquire) == 0) {
            return false;
        }
    }
    return true;
}

/* A late write into an exposed block must not hit its next owner: there will be none. */
static void block_free(struct block *block)
{
    block->use = block->exposed ? BLOCK_LOST : BLOCK_FREE;
    blocks_merge();
}

static void blocks_expose(void)
{
    for (struct block *block = arena.blocks; block != NULL; block = block->next) {
        block->exposed = block->exposed || block->use == BLOCK_ALLOCATED;
    }
}

static void block_drop(const void *memory)
{
    struct block *block = block_find(memory);
    pages_drop(arena.base + block->offset, block->bytes);
    block_free(block);
}

static void remnants_sweep(void)
{
    for (struct remnant **link = &arena.remnants; *link != NULL;) {
        struct remnant *remnant = *link;
        if (!remnant_is_left(remnant)) {
            link = &remnant->next;
            continue;
        }
        for (int index = 0; index < remnant->reserved_count; index++) {
            block_drop(remnant->reserved[index]);
        }
        block_drop(remnant->heads);
        remnant_pop(link);
    }
}

void arena_retire(struct remnant *remnant)
{
    arena_lock();
    remnant->next = arena.remnants;
    arena.remnants = remnant;
    remnants_sweep();
    arena_unlock();
}

/* ---- Taking and giving ---------------------------------------------------------------------- */

int arena_join(uint64_t bytes)
{
    pthread_once(&arena.once, watch_forks);
    arena_lock();
    if (arena.pid != 0 && arena.pid != getpid()) {
        arena_forget(); /* the parent's; what the program has in it stays where it is */
    }
    int error = arena.pid == 0 ? arena_make(bytes) : 0;
    if (error == 0) {
        arena.fabrics++;
        remnants_sweep();
    }
    arena_unlock();
    return error;
}

void arena_leave(bool failed)
{
    arena_lock();
    assert(arena.pid == getpid() && arena.fabrics > 0);
    arena.fabrics--;
    if (failed) {
        arena.kept = true;
        blocks_expose();
    }
    remnants_sweep();
    arena_end_if_idle();
    arena_unlock();
}

struct card arena_card(void)
{
    return (struct card){.nonce = {arena.nonce[0], arena.nonce[1]},
                         .bytes = arena.bytes,
                         .proof = (uint64_t)(uintptr_t)arena.nonce,
                         .pid = (int32_t)arena.pid,
                         .fd = arena.fd};
}

unsigned char *arena_base(void)
{
    return arena.base;
}

static struct block *take_locked(size_t bytes, enum block_use use)
{
    size_t alignment = bytes >= SHM_HUGE_BYTES ? SHM_HUGE_BYTES : memory_page_bytes();
    errno = ENOTSUP;
    if (arena.pid == 0 || arena.pid != getpid() || arena.fabrics == 0) {
        return NULL;
    }
    remnants_sweep();
    struct block *block = blocks_take(bytes, alignment);
    if (block != NULL) {
        block->use = use;
        arena.allocations += use == BLOCK_ALLOCATED;
    }
    return block;
}

int arena_take(size_t bytes, enum block_use use, void **memory)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2) {
        return bytes == 0 ? EINVAL : ENOMEM;
    }
    bytes = shm_round_up(bytes, memory_page_bytes());
    arena_lock();
    struct block *block = take_locked(bytes, use);
    int error = block == NULL ? errno : 0;
    unsigned char *taken = block == NULL ? NULL : arena.base + block->offset;
    arena_unlock();
    if (error == 0 && use != BLOCK_GROUND) {
        error = block_populate(taken, bytes); /* long, so without the lock */
        if (error != 0) {
            arena_give(taken);
        }
    }
    if (error == 0) {
        *memory = taken;
    }
    return error;
}

/* How much was taken there; 0 for a child's after fork: it gives back nothing of its parent's. */
static size_t bytes_taken(const void *memory)
{
    arena_lock();
    struct block *block = arena.pid == getpid() ? block_find(memory) : NULL;
    assert(arena.pid != getpid() ||
           (block != NULL && block->use != BLOCK_FREE && block->use != BLOCK_LOST));
    size_t bytes = block == NULL ? 0 : (size_t)block->bytes;
    arena_unlock();
    return bytes;
}

void arena_give(void *memory)
{
    size_t bytes = memory == NULL ? 0 : bytes_taken(memory);
    if (bytes == 0) {
        return;
    }
    pages_drop(memory, bytes); /* long, so without the lock: the block is not free yet */
    arena_lock();
    struct block *block = block_find(memory);
    arena.allocations -= block->use == BLOCK_ALLOCATED;
    block_free(block);
    arena_end_if_idle();
    arena_unlock();
}
