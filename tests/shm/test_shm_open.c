/* SPDX-License-Identifier: BSD-3-Clause
 * test_shm_open.c: how ranks find each other's memory, and what they say when they cannot. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal/log.h"
#include "ranks.h"
#include "transport/shm.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define MIB ((size_t)1 << 20)

/* AddressSanitizer needs more addresses than the limits below leave, and more locked memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW true
#else
#define HAS_SHADOW false
#endif

static const struct ww_transport *const shm = &ww_shm_transport;

static int descriptors_open(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static bool arena_is_mapped(void)
{
    char line[512];
    bool found = false;
    FILE *file = fopen("/proc/self/maps", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        found = found || strstr(line, "memfd:wirewise") != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* A token goes round the ring of ranks. */
static void pass_token(struct rank *rank, void *fabric)
{
    int next = (rank->number + 1) % rank->size,
        before = (rank->number + rank->size - 1) % rank->size;
    int out = rank->number, in = -1;
    struct ww_flight flights[2] = {
        rank_post(rank, fabric, 1, (struct ww_message){WW_SEND, next, &out, sizeof out}),
        rank_post(rank, fabric, 1, (struct ww_message){WW_RECEIVE, before, &in, sizeof in})};
    rank_check(rank_wait(fabric, &flights[0]) == WW_OK && rank_wait(fabric, &flights[1]) == WW_OK,
               "a token");
    rank_check(in == before, "the token of rank %d", in);
}

/* Messages and a view; a rank alone has nobody to write to. */
static void expect_work(struct rank *rank, void *fabric)
{
    if (rank->size > 1) {
        pass_token(rank, fabric);
    }
    *(int *)shm->area(fabric, rank->number) = 100 + rank->number;
    rank_meet(rank);
    for (int peer = 0; peer < rank->size; peer++) {
        rank_check(*(int *)shm->area(fabric, peer) == 100 + peer, "the area of rank %d", peer);
    }
    rank_meet(rank);
}

/* ---- Refusals ------------------------------------------------------------------------------- */

/* What one rank pretends or suffers, and what all ranks then say. %d in the words is its pid. */
struct refusal {
    const char *name;
    int rank; /* -1 = all */
    struct shm_pretence pretence;
    void (*suffer)(void);
    const char *words;
};

static void use_up_descriptors(void)
{
    int lowest = dup(0);
    close(lowest);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void use_up_addresses(void)
{
    struct rlimit limit = {(rlim_t)200 << 20, (rlim_t)200 << 20};
    setrlimit(RLIMIT_AS, &limit);
}

static void use_up_file_bytes(void)
{
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
}

static bool starves; /* the next calloc finds no memory */

static void starve(void)
{
    starves = true;
}

static void refused(struct rank *rank)
{
    const struct refusal *refusal = rank->argument;
    bool concerned = refusal->rank < 0 || refusal->rank == rank->number;
    char words[512];
    void *fabric = rank;
    int before = descriptors_open();
    if (concerned) {
        shm_pretend = refusal->pretence;
        if (refusal->suffer != NULL) {
            refusal->suffer();
        }
    }
    struct ww_transport_setup setup = rank_setup(rank);
    setup.area_bytes = 4096;
    rank_meet(rank);
    enum ww_status status = shm->open(&setup, &fabric);
    snprintf(words, sizeof words, refusal->words,
             rank->board->pid[refusal->rank < 0 ? 0 : refusal->rank]);
    rank_check(status == WW_UNSUPPORTED, "%s: open gave %d (%s)", refusal->name, (int)status,
               log_last_error());
    rank_check(strcmp(log_last_error(), words) == 0, "%s: it said \"%s\", not \"%s\"",
               refusal->name, log_last_error(), words);
    rank_check(fabric == rank, "outputs are written on success only");
    rank_check(descriptors_open() == before, "%s: %d descriptors were %d", refusal->name,
               descriptors_open(), before);
    rank_check(!arena_is_mapped(), "%s: memory is left", refusal->name);
    rank_meet(rank);
    int gathers = atomic_load(&rank->board->gathers[0]);
    rank_check(atomic_load(&rank->board->gathers[rank->number]) == gathers,
               "%s: %d calls of all_gather, rank 0 made %d", refusal->name,
               atomic_load(&rank->board->gathers[rank->number]), gathers);
}

Test(shm_open, a_refusal_on_one_rank_is_the_same_sentence_on_all)
{
    static struct refusal rows[] = {
        {"no way to map, rank 2",
         2,
         {.proc_is_hidden = true, .sockets_are_deaf = true},
         NULL,
         "rank 2 (pid %d) cannot map the memory of rank 0: Permission denied"},
        {"no way to map, all",
         -1,
         {.proc_is_hidden = true, .sockets_are_deaf = true},
         NULL,
         "rank 0 (pid %d) cannot map the memory of rank 1: Permission denied"},
        {"no arena, rank 1",
         1,
         {.arena_is_refused = true},
         NULL,
         "rank 1 (pid %d) cannot make memory to share: Function not implemented"},
        {"no pages, rank 3",
         3,
         {.pages_are_refused = true},
         NULL,
         "rank 3 (pid %d) cannot make memory to share: No space left on device"},
        {"no descriptors, rank 0",
         0,
         {.proc_is_hidden = false},
         use_up_descriptors,
         "rank 0 (pid %d) cannot make memory to share: Too many open files"},
        {"no addresses, rank 1",
         1,
         {.proc_is_hidden = false},
         use_up_addresses,
         "rank 1 (pid %d) cannot make memory to share: Cannot allocate memory; ulimit -v is 204800 "
         "(KiB) there, and at least 524288 of it are needed for this alone"},
        {"no memory to hear, rank 3",
         3,
         {.proc_is_hidden = false},
         starve,
         "rank 3 has no memory to hear from 4 ranks"},
        {"no file bytes, rank 2",
         2,
         {.proc_is_hidden = false},
         use_up_file_bytes,
         "rank 2 (pid %d) cannot make memory to share: Cannot allocate memory; ulimit -f is 1024 "
         "(KiB) there, and at least 65536 of it are needed for this alone"}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        if (!HAS_SHADOW || rows[row].suffer != use_up_addresses) {
            ranks_run(4, refused, &rows[row]);
        }
    }
}

static void refused_quietly(struct rank *rank)
{
    char sentence[256] = "";
    void *fabric = NULL;
    struct ww_transport_setup setup = rank_setup(rank);
    shm_pretend.arena_is_refused = rank->number == 1;
    enum ww_status status = shm_open_quietly(&setup, &fabric, sentence, sizeof sentence);
    rank_check(status == WW_UNSUPPORTED, "open gave %d", (int)status);
    rank_check(strncmp(sentence, "rank 1 (pid ", 12) == 0, "\"%s\"", sentence);
    rank_check(*log_last_error() == '\0', "it was logged: %s", log_last_error());
}

Test(shm_open, a_caller_that_can_do_without_is_told_quietly)
{
    ranks_run(2, refused_quietly, NULL);
}

/* Refusals in between leave fabrics that are open as they are, and nothing of their own. */
static void refused_between(struct rank *rank)
{
    void *fabric = rank_open(rank, 4096), *other = NULL;
    struct ww_transport_setup setup = rank_setup(rank);
    struct stat before, after;
    fstat(arena_card().fd, &before);
    setup.area_bytes = MIB;
    shm_pretend.pages_are_refused = rank->number == 2;
    rank_check(shm->open(&setup, &other) == WW_UNSUPPORTED, "rank 2 has no memory");
    shm_pretend.pages_are_refused = false;
    fstat(arena_card().fd, &after);
    rank_check(after.st_blocks == before.st_blocks, "%lld KiB were %lld",
               (long long)after.st_blocks / 2, (long long)before.st_blocks / 2);
    setup.area_bytes = rank->number == 1 ? 100 : 200;
    rank_check(shm->open(&setup, &other) == WW_UNSUPPORTED, "areas of different sizes");
    rank_check(strstr(log_last_error(), "disagree on which ranks share their host or on the bytes "
                                        "of their area") != NULL,
               "%s", log_last_error());
    expect_work(rank, fabric);
    shm->close(fabric, false);
    rank_check(!arena_is_mapped(), "memory is left");
}

Test(shm_open, a_refusal_leaves_open_fabrics_alone)
{
    ranks_run(3, refused_between, NULL);
}

static int broken_gather(void *self, const void *mine, void *all, size_t bytes)
{
    (void)mine;
    memset(all, 0, bytes);
    return --*(int *)self < 0 ? 5 : 0;
}

static void gather_fails(struct rank *rank)
{
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        struct ww_world world = {
            .struct_bytes = sizeof world, .size = 2, .all_gather = broken_gather, .self = &left};
        static const uint8_t levels[2] = {0, 1};
        struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                           .world = &world,
                                           .levels = 2,
                                           .host_levels = 1,
                                           .peer_level = levels};
        void *fabric = NULL;
        rank_check(shm->open(&setup, &fabric) < 0 && fabric == NULL, "call %d", calls);
        rank_check(!arena_is_mapped(), "memory is left");
    }
}

Test(shm_open, a_world_that_cannot_gather_is_told)
{
    ranks_run(1, gather_fails, NULL);
}

/* ---- The second way ------------------------------------------------------------------------- */

static void hidden(struct rank *rank)
{
    int concerned = *(const int *)rank->argument;
    int before = descriptors_open();
    shm_pretend.proc_is_hidden = concerned < 0 || concerned == rank->number;
    for (int turn = 0; turn < 3; turn++) { /* the second finds what the first has mapped */
        void *fabric = rank_open(rank, 4096), *other = rank_open(rank, 4096);
        expect_work(rank, fabric);
        expect_work(rank, other);
        shm->close(other, false);
        expect_work(rank, fabric);
        shm->close(fabric, false);
        rank_meet(rank);
        rank_check(!arena_is_mapped(), "memory is left");
        rank_check(descriptors_open() == before, "%d descriptors were %d", descriptors_open(),
                   before);
    }
}

Test(shm_open, descriptors_come_over_sockets_where_proc_is_closed)
{
    ranks_run(2, hidden, &(int){-1});
    ranks_run(5, hidden, &(int){-1});
    ranks_run(4, hidden, &(int){2});
    ranks_run(1, hidden, &(int){0});
}

static int starved; /* which mapping from now on, the first being 1, finds no memory */

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    bool maps = starved > 0 && count == 1 && bytes == sizeof(struct mapping);
    if (starves) {
        starves = false;
        return NULL;
    }
    return maps && --starved == 0 ? NULL : __real_calloc(count, bytes);
}

/* Once, for one of the ranks' memories, the own among them; that alone where /proc is closed. */
static void mapping_starves(struct rank *rank)
{
    int which = *(const int *)rank->argument;
    for (int hides = 0; hides < (which == 1 ? 2 : 1); hides++) {
        shm_pretend.proc_is_hidden = hides == 1;
        starved = rank->number == 1 ? which : 0;
        void *fabric = rank_open(rank, 4096);
        expect_work(rank, fabric);
        shm->close(fabric, false);
        rank_meet(rank);
        rank_check(!arena_is_mapped(), "memory is left");
    }
}

Test(shm_open, a_mapping_without_memory_is_tried_again)
{
    for (int which = 1; which <= 3; which++) {
        ranks_run(3, mapping_starves, &which);
    }
}

static void another_user(struct rank *rank)
{
    if (setgid(65534) != 0 || setuid(65534) != 0) {
        rank_check(false, "setuid: %s", strerror(errno));
    }
    rank_meet(rank);
    void *fabric = rank_open(rank, 4096);
    rank_check(!shm->fetches(fabric), "a process that changed its user cannot be read");
    expect_work(rank, fabric);
    void *memory = NULL;
    rank_check(shm->allocate(5 * MIB, &memory) == WW_OK, "%s", log_last_error());
    shm->deallocate(memory, 5 * MIB);
    shm->close(fabric, false);
}

Test(shm_open, processes_that_changed_their_user_meet_and_do_not_fetch)
{
    if (geteuid() != 0) {
        skip_test("only root can become another user");
    }
    ranks_run(3, another_user, NULL);
}

/* One rank is of another user than the rest: its memory is not touched. */
static void mixed_users(struct rank *rank)
{
    if (rank->number == 1 && setuid(65534) != 0) {
        rank_check(false, "setuid: %s", strerror(errno));
    }
    rank_meet(rank);
    void *fabric = NULL;
    struct ww_transport_setup setup = rank_setup(rank);
    rank_check(shm->open(&setup, &fabric) == WW_UNSUPPORTED, "two users");
    rank_check(strstr(log_last_error(), "rank 0 (pid ") == log_last_error(), "%s",
               log_last_error());
    rank_check(strstr(log_last_error(), "as different users?") != NULL, "%s", log_last_error());
    rank_check(rank->number == 1 || !arena_is_mapped(), "memory is left");
}

Test(shm_open, memory_of_another_user_is_refused)
{
    if (geteuid() != 0) {
        skip_test("only root can become another user");
    }
    ranks_run(2, mixed_users, NULL);
}

/* What a stranger sends is neither taken nor kept: another user, another arena, too many. */
static void strangers(struct rank *rank)
{
    struct card here = {.nonce = {7, (uint64_t)rank->board->pid[0]}, .fd = 0};
    struct card there = {.nonce = {8, (uint64_t)rank->board->pid[0]}, .fd = 0};
    struct card *sender = rank->number == 0 ? &here : &there;
    int inbox = -1, fd = -1, before = descriptors_open();
    rank_check(envoy_open(sender, (uint64_t)rank->number, &inbox) == 0, "envoy_open");
    rank_meet(rank);
    if (rank->number == 1) {
        struct card other = {.nonce = {9, 9}, .fd = 0};
        rank_check(envoy_send(inbox, &other, &here, 0) == 0, "another arena");
        rank_meet(rank);
        rank_meet(rank);
        rank_check(setuid(65534) == 0 && envoy_send(inbox, &there, &here, 0) == 0, "another user");
        rank_meet(rank);
        rank_meet(rank);
    } else {
        rank_meet(rank);
        rank_check(envoy_receive(inbox, &there, &fd) == EAGAIN && fd == -1, "another arena");
        rank_meet(rank);
        rank_meet(rank);
        rank_check(envoy_receive(inbox, &there, &fd) == EAGAIN && fd == -1, "another user");
        rank_check(envoy_send(inbox, &here, &here, 0) == 0, "send");
        rank_check(envoy_receive(inbox, &here, &fd) == 0 && fd >= 0, "this one is right");
        close(fd);
        rank_meet(rank);
    }
    close(inbox);
    rank_check(descriptors_open() == before, "%d descriptors were %d", descriptors_open(), before);
}

Test(shm_open, descriptors_of_strangers_are_neither_taken_nor_kept)
{
    if (geteuid() != 0) {
        skip_test("only root can become another user");
    }
    ranks_run(2, strangers, NULL);
}

/* An empty /proc and a /dev/shm of 64 KiB. */
static void bare(struct rank *rank)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/dev/shm", "tmpfs", 0, "size=64k") != 0 ||
        mount("none", "/proc", "tmpfs", 0, NULL) != 0) {
        rank_check(false, "mount: %s", strerror(errno));
    }
    rank_meet(rank);
    void *fabric = rank_open(rank, MIB), *memory = NULL;
    expect_work(rank, fabric);
    rank_check(shm->allocate(100 * MIB, &memory) == WW_OK, "%s", log_last_error());
    memset(memory, 1, 100 * MIB);
    shm->deallocate(memory, 100 * MIB);
    DIR *folder = opendir("/dev/shm");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        rank_check(entry->d_name[0] == '.', "/dev/shm/%s", entry->d_name);
    }
    closedir(folder);
    shm->close(fabric, false);
}

Test(shm_open, neither_proc_nor_room_in_dev_shm_is_needed)
{
    if (geteuid() != 0) {
        skip_test("only root can mount");
    }
    ranks_run(3, bare, NULL);
}

/* ---- Limits --------------------------------------------------------------------------------- */

static void file_limit(struct rank *rank)
{
    struct rlimit limit = {300 * MIB, 300 * MIB};
    setrlimit(RLIMIT_FSIZE, &limit); /* of rank 1 alone would do */
    void *fabric = rank_open(rank, 4096);
    rank_check(arena_card().bytes <= 300 * MIB, "%llu bytes",
               (unsigned long long)arena_card().bytes);
    expect_work(rank, fabric);
    shm->close(fabric, false);
}

Test(shm_open, limits_make_smaller_arenas_and_no_signals)
{
    ranks_run(2, file_limit, NULL);
}

static void address_limit(struct rank *rank)
{
    struct rlimit limit = {(rlim_t)2 << 30, (rlim_t)2 << 30};
    if (rank->number == 1) {
        setrlimit(RLIMIT_AS, &limit);
    }
    rank_meet(rank);
    void *fabric = rank_open(rank, 4096);
    rank_check(arena_card().bytes >= 64 * MIB && arena_card().bytes <= 512 * MIB,
               "all ranks of the host make arenas that each can map, not %llu bytes",
               (unsigned long long)arena_card().bytes);
    expect_work(rank, fabric);
    void *plain = malloc(600 * MIB);
    rank_check(plain != NULL, "addresses are left to the program");
    free(plain);
    shm->close(fabric, false);
}

Test(shm_open, a_rank_with_few_addresses_makes_all_arenas_smaller)
{
    if (HAS_SHADOW) {
        skip_test("a sanitizer needs the addresses");
    }
    ranks_run(2, address_limit, NULL);
}

static size_t resident_mib(void)
{
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmRSS: %zu", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib >> 10;
}

static void locked(struct rank *rank)
{
    if (mlockall(MCL_FUTURE) != 0) {
        rank_check(false, "mlockall: %s", strerror(errno));
    }
    void *fabric = rank_open(rank, 4096), *memory = NULL;
    rank_check(resident_mib() < 200, "%zu MiB came at once", resident_mib());
    for (int turn = 0; turn < 3; turn++) {
        rank_check(shm->allocate(3 * MIB, &memory) == WW_OK, "%s", log_last_error());
        rank_check(*(char *)memory == 0, "memory is zero");
        memset(memory, 7, 3 * MIB);
        shm->deallocate(memory, 3 * MIB);
    }
    expect_work(rank, fabric);
    shm->close(fabric, false);
}

Test(shm_open, a_program_that_locks_its_memory_does_not_lock_the_arena)
{
    if (geteuid() != 0 || HAS_SHADOW) {
        skip_test("only root can lock so much, and no sanitizer's shadow");
    }
    ranks_run(2, locked, NULL);
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    if (file != NULL) {
        fputs(text, file);
        fclose(file);
    }
}

struct group_version {
    const char *line; /* of /proc/self/cgroup */
    const char *top, *outer, *inner;
    const char *most, *used, *cached;
};

/* A group of 300 MiB in which 100 MiB are used, 40 of them cached files, in one without a limit. */
static void in_a_group(struct rank *rank)
{
    const struct group_version *version = rank->argument;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0 ||
        mount("none", "/mnt", "tmpfs", 0, NULL) != 0) {
        rank_check(false, "mount: %s", strerror(errno));
    }
    write_text("/mnt", "cgroup", version->line);
    if (mount("/mnt/cgroup", "/proc/self/cgroup", NULL, MS_BIND, NULL) != 0) {
        rank_check(false, "mount: %s", strerror(errno));
    }
    mkdir(version->top, 0755);
    mkdir(version->outer, 0755);
    mkdir(version->inner, 0755);
    write_text(version->outer, version->most, "max\n");
    write_text(version->outer, version->used, "104857600\n");
    write_text(version->inner, version->most, "314572800\n");
    write_text(version->inner, version->used, "104857600\n");
    write_text(version->inner, "memory.stat", version->cached);
    rank_check(room_bytes_free() == 240 * MIB, "%llu bytes", (unsigned long long)room_bytes_free());
    void *fabric = rank_open(rank, 4096), *memory = NULL;
    rank_check(shm->allocate(250 * MIB, &memory) == WW_NO_MEMORY, "more than the group has");
    rank_check(strstr(log_last_error(), "Cannot allocate memory") != NULL, "%s", log_last_error());
    rank_check(shm->allocate(100 * MIB, &memory) == WW_OK, "%s", log_last_error());
    shm->deallocate(memory, 100 * MIB);
    write_text(version->outer, version->most, "104857600\n");
    rank_check(room_bytes_free() == 0, "%llu bytes", (unsigned long long)room_bytes_free());
    shm->close(fabric, false);
}

Test(shm_open, a_control_group_that_is_too_small_refuses_instead_of_killing)
{
    if (geteuid() != 0) {
        skip_test("only root can mount");
    }
    static struct group_version versions[] = {
        {"4:memory:/outer/job\n1:name=old:/elsewhere\n0::/\n", "/sys/fs/cgroup/memory",
         "/sys/fs/cgroup/memory/outer", "/sys/fs/cgroup/memory/outer/job", "memory.limit_in_bytes",
         "memory.usage_in_bytes",
         "active_file 1\ntotal_inactive_file 31457280\ntotal_active_file 10485760\n"},
        {"1:name=old:/elsewhere\n0::/outer/job\n", "/sys/fs/cgroup", "/sys/fs/cgroup/outer",
         "/sys/fs/cgroup/outer/job", "memory.max", "memory.current",
         "anon 62914560\ninactive_file 31457280\nactive_file 10485760\n"}};
    for (size_t row = 0; row < LENGTH(versions); row++) {
        ranks_run(1, in_a_group, &versions[row]);
    }
}

/* A file of the program's that has the inode of the arena, as files of two file systems may. */
static struct {
    int fd; /* 0 = there is none */
    ino_t inode;
} twin;

int __real_fstat(int fd, struct stat *about);
int __wrap_fstat(int fd, struct stat *about);

int __wrap_fstat(int fd, struct stat *about)
{
    int result = __real_fstat(fd, about);
    if (result == 0 && fd > 0 && fd == twin.fd) {
        about->st_ino = twin.inode;
    }
    return result;
}

/* A program may close all descriptors and open files of its own in their place. */
static void descriptors_lost(struct rank *rank)
{
    void *fabric = rank_open(rank, 4096), *memory = NULL;
    rank_check(shm->allocate(3 * MIB, &memory) == WW_OK, "%s", log_last_error());
    int fd = arena_card().fd;
    FILE *file = tmpfile();
    char text[8192];
    struct stat about;
    pattern_fill(text, sizeof text, 3);
    rank_check(fstat(fd, &about) == 0, "fstat");
    close(fd);
    rank_check(dup2(fileno(file), fd) == fd && write(fd, text, sizeof text) == sizeof text,
               "write");
    twin.inode = about.st_ino;
    twin.fd = *(const bool *)rank->argument ? fd : 0;
    shm->deallocate(memory, 3 * MIB);
    rank_check(shm->allocate(100, &memory) == WW_OK, "%s", log_last_error());
    shm->deallocate(memory, 100);
    expect_work(rank, fabric);
    rank_check(pread(fd, text, sizeof text, 0) == sizeof text &&
                   pattern_holds(text, sizeof text, 3),
               "the program's own file was changed");
    struct ww_transport_setup setup = rank_setup(rank);
    void *other = NULL;
    rank_check(shm->open(&setup, &other) == WW_OK, "it is mapped already: %s", log_last_error());
    shm->close(other, false);
    shm->close(fabric, false);
    rank_check(fcntl(fd, F_GETFD) >= 0, "the program's own file was closed");
    twin.fd = 0;
    fclose(file);
}

Test(shm_open, a_descriptor_that_became_another_file_is_left_alone)
{
    ranks_run(2, descriptors_lost, &(bool){false});
    ranks_run(2, descriptors_lost, &(bool){true});
}

/* The same, but before anybody has mapped it: rank 0 is in two worlds, one after the other. */
static void descriptor_lies(struct rank *rank)
{
    struct ww_world single = {.struct_bytes = sizeof single, .size = 1};
    struct ww_transport_setup setup = {.struct_bytes = sizeof setup,
                                       .world = &single,
                                       .levels = 1,
                                       .host_levels = 1,
                                       .peer_level = (uint8_t[]){0}};
    void *first = NULL, *second = NULL;
    if (rank->number == 0) {
        rank_check(shm->open(&setup, &first) == WW_OK, "%s", log_last_error());
        int other = memfd_create("wirewise", 0); /* it even looks like an arena */
        rank_check(ftruncate(other, (off_t)arena_card().bytes) == 0, "ftruncate");
        dup2(other, arena_card().fd);
        close(other);
    }
    setup = rank_setup(rank);
    rank_check(shm->open(&setup, &second) == WW_UNSUPPORTED, "it is another arena");
    rank_check(strstr(log_last_error(), "finds something else where rank 0 announced") != NULL,
               "%s", log_last_error());
    if (first != NULL) {
        shm->close(first, false);
    }
}

Test(shm_open, memory_without_the_right_nonce_is_never_used)
{
    ranks_run(2, descriptor_lies, NULL);
}

/* ---- Several hosts -------------------------------------------------------------------------- */

/* Ranks 0, 2 and 5 share a host, 1 and 3 another, 4 is alone. */
static const int host_of[] = {0, 1, 0, 1, 2, 0};

static void hosts(struct rank *rank)
{
    struct ww_transport_setup setup = rank_setup(rank);
    uint8_t levels[LENGTH(host_of)];
    for (int peer = 0; peer < rank->size; peer++) {
        levels[peer] = host_of[peer] == host_of[rank->number] ? 0 : 1;
    }
    setup.levels = 2;
    setup.peer_level = levels;
    setup.area_bytes = 64;
    shm_pretend.proc_is_hidden = *(const bool *)rank->argument && rank->number == 5;
    void *fabric = NULL;
    rank_check(shm->open(&setup, &fabric) == WW_OK, "%s", log_last_error());
    for (int peer = 0; peer < rank->size; peer++) {
        int *area = shm->area(fabric, peer);
        rank_check((area != NULL) == (levels[peer] == 0), "the area of rank %d", peer);
        if (peer == rank->number) {
            *area = 1000 + peer;
        }
    }
    rank_meet(rank);
    int values[LENGTH(host_of)], value = rank->number;
    for (int peer = 0; peer < rank->size; peer++) {
        if (levels[peer] > 0) {
            continue;
        }
        rank_check(*(int *)shm->area(fabric, peer) == 1000 + peer, "the area of rank %d", peer);
        if (peer != rank->number) {
            struct ww_flight flights[2] = {
                rank_post(rank, fabric, 1,
                          (struct ww_message){WW_SEND, peer, &value, sizeof value}),
                rank_post(rank, fabric, 1,
                          (struct ww_message){WW_RECEIVE, peer, &values[peer], sizeof value})};
            rank_check(rank_wait(fabric, &flights[0]) == WW_OK, "send");
            rank_check(rank_wait(fabric, &flights[1]) == WW_OK && values[peer] == peer, "receive");
        }
    }
    struct ww_traffic traffic[2];
    shm->counters(fabric, traffic);
    rank_check(traffic[1].data_bytes == 0, "nothing crosses hosts");
    shm->close(fabric, false);
}

Test(shm_open, only_ranks_of_the_own_host_are_seen)
{
    ranks_run((int)LENGTH(host_of), hosts, &(bool){false});
    ranks_run((int)LENGTH(host_of), hosts, &(bool){true});
}

static void strange_hosts(struct rank *rank)
{
    struct ww_transport_setup setup = rank_setup(rank);
    uint8_t levels[3] = {0, 0, (uint8_t)(rank->number == 0)};
    void *fabric = NULL;
    setup.levels = 2;
    setup.peer_level = levels;
    rank_check(shm->open(&setup, &fabric) == WW_UNSUPPORTED, "rank 0 does not know rank 2");
    rank_check(strstr(log_last_error(), "rank 0 (pid ") == log_last_error() &&
                   strstr(log_last_error(), " and rank 1 disagree") != NULL,
               "%s", log_last_error());
}

Test(shm_open, ranks_must_agree_on_who_shares_their_host)
{
    ranks_run(3, strange_hosts, NULL);
}

static void alone(struct rank *rank)
{
    rank->world.all_gather = NULL;
    void *fabric = rank_open(rank, 4096), *memory = NULL;
    rank_check(shm->fetches(fabric), "a rank can read itself");
    rank_check(shm->allocate(100, &memory) == WW_OK, "%s", log_last_error());
    shm->deallocate(memory, 100);
    shm->close(fabric, false);
    rank_check(!arena_is_mapped(), "memory is left");
}

Test(shm_open, a_world_of_one_needs_no_all_gather)
{
    ranks_run(1, alone, NULL);
}
