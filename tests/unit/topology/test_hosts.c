/* SPDX-License-Identifier: BSD-3-Clause
 * test_hosts.c: ranks share a host when they can meet in memory, whatever they are called. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity.h"
#include "internal/clock.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define RANKS_MOST 6

TestSuite(hosts, .init = capture_start, .fini = capture_finish);

/* ---- Forged identities ---------------------------------------------------------------------- */

/* By rank. A space is a letter: ranks of it are in the same namespaces; '-' = without a beacon. */
struct scene {
    const char *about;
    int size;
    const char *names[RANKS_MOST];
    const char *boots; /* a letter each, '-' = hidden */
    const char *spaces;
    const char *sees[RANKS_MOST]; /* the spaces that it can reach */
    int hosts;
    int host_of[RANKS_MOST];
    bool warns;
};

static const struct scene scenes[] = {
    {"one machine", 3, {"n", "n", "n"}, "xxx", "aaa", {"a", "a", "a"}, 1, {0, 0, 0}, false},
    {"twins: one name, two machines", 2, {"n", "n"}, "xy", "aa", {"a", "a"}, 2, {0, 1}, false},
    {"one name twice, each with two ranks",
     4,
     {"n", "n", "n", "n"},
     "xyxy",
     "aaaa",
     {"a", "a", "a", "a"},
     2,
     {0, 1, 0, 1},
     false},
    {"containers that meet", 2, {"c", "d"}, "xx", "ab", {"ab", "ab"}, 1, {0, 0}, false},
    {"containers that do not", 2, {"c", "d"}, "xx", "ab", {"a", "b"}, 2, {0, 1}, true},
    {"names alike, but nobody meets", 2, {"n", "n"}, "xx", "ab", {"a", "b"}, 2, {0, 1}, true},
    {"only one sees the other", 2, {"c", "d"}, "xx", "ab", {"ab", "b"}, 2, {0, 1}, true},
    {"two containers of two ranks",
     4,
     {"c", "d", "c", "d"},
     "xxxx",
     "abab",
     {"a", "b", "a", "b"},
     2,
     {0, 1, 0, 1},
     true},
    {"the one in the middle meets both, these do not meet",
     3,
     {"c", "d", "e"},
     "xxx",
     "abc",
     {"ab", "abc", "bc"},
     2,
     {0, 0, 1},
     true},
    {"a third joins the second",
     3,
     {"c", "d", "e"},
     "xxx",
     "abc",
     {"a", "bc", "bc"},
     2,
     {0, 1, 1},
     true},
    {"ranks that do not even meet their like",
     3,
     {"n", "n", "n"},
     "xxx",
     "aaa",
     {"", "", ""},
     3,
     {0, 1, 2},
     true},
    {"boot ids are hidden: names decide",
     3,
     {"n", "m", "n"},
     "---",
     "aba",
     {"", "", ""},
     2,
     {0, 1, 0},
     false},
    {"no beacons: names decide",
     3,
     {"n", "m", "n"},
     "xxx",
     "---",
     {"", "", ""},
     2,
     {0, 1, 0},
     true},
    {"one cannot light a beacon", 2, {"n", "n"}, "xx", "a-", {"a", "a"}, 1, {0, 0}, false},
};

/* One rank's view of the world. */
struct forger {
    const struct ww_world *world;
    const struct scene *scene;
};

/* What it cannot reach has, for this rank, another nonce. */
static void forge(const struct forger *forger, struct identity *all)
{
    const struct scene *scene = forger->scene;
    for (int rank = 0; rank < scene->size; rank++) {
        struct identity *identity = &all[rank];
        char boot[2] = {scene->boots[rank] == '-' ? '\0' : scene->boots[rank], '\0'};
        char space = scene->spaces[rank];
        memset(identity->host_name, 0, sizeof identity->host_name);
        memset(identity->boot_id, 0, sizeof identity->boot_id);
        strcpy(identity->host_name, scene->names[rank]);
        strcpy(identity->boot_id, boot);
        identity->token.space = (uint64_t)space;
        identity->token.pid = space == '-' ? 0 : identity->token.pid;
        if (strchr(scene->sees[forger->world->rank], space) == NULL) {
            identity->token.nonce[0]++;
        }
    }
}

static int gather_forged(void *self, const void *mine, void *all, size_t bytes)
{
    const struct forger *forger = self;
    int failure = forger->world->all_gather(forger->world->self, mine, all, bytes);
    if (bytes == sizeof(struct identity)) {
        forge(forger, all);
    }
    return failure;
}

static void play(const struct ww_world *world, void *shared)
{
    struct forger forger = {world, shared};
    const struct scene *scene = shared;
    struct ww_world forged = *world;
    struct topology topology;
    forged.all_gather = gather_forged;
    forged.self = &forger;
    const struct topology_setup setup = {.settings = ""};
    if (check_status(topology_exchange(&forged, &setup, &topology), WW_OK)) {
        check(topology.hosts == scene->hosts, "%s: %d hosts", scene->about, topology.hosts);
        for (int rank = 0; rank < scene->size; rank++) {
            check(topology.host_of[rank] == scene->host_of[rank], "%s: rank %d is on host %d",
                  scene->about, rank, topology.host_of[rank]);
        }
        check(strcmp(topology.host_name[0], scene->names[0]) == 0, "%s", scene->about);
        topology_finish(&topology);
    }
}

Test(hosts, ranks_that_meet_share_a_host)
{
    for (size_t i = 0; i < LENGTH(scenes); i++) {
        struct scene scene = scenes[i];
        world_run(scene.size, play, &scene);
        cr_expect_eq(capture_take(WW_LOG_WARN, "on the same machine but cannot meet") != NULL,
                     scene.warns, "%s", scene.about);
        cr_expect_str_empty(capture_unexpected(), "%s", scene.about);
    }
}

/* ---- Size ----------------------------------------------------------------------------------- */

#define MANY 10000
#define EACH 8

/* Everybody is as this rank, on hosts of EACH ranks. */
static int gather_many(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self;
    for (int rank = 0; rank < MANY; rank++) {
        struct identity *identity = (struct identity *)all + rank;
        memcpy((char *)all + (size_t)rank * bytes, mine, bytes);
        if (bytes == sizeof *identity) {
            identity->rank = rank;
            memset(identity->boot_id, 0, sizeof identity->boot_id);
            snprintf(identity->boot_id, sizeof identity->boot_id, "%d", rank / EACH);
        }
    }
    return 0;
}

Test(hosts, ten_thousand_ranks_are_sorted_in_less_than_a_second)
{
    struct ww_world world = WW_WORLD_INIT;
    const struct topology_setup setup = {.settings = ""};
    struct topology topology;
    world.size = MANY;
    world.rank = MANY - 1;
    world.all_gather = gather_many;
    uint64_t began = clock_now_ns();
    cr_assert_eq(topology_exchange(&world, &setup, &topology), WW_OK);
    cr_expect_lt(clock_now_ns() - began, 1000000000u);
    cr_expect_eq(topology.hosts, MANY / EACH);
    cr_expect_eq(topology.local_rank, EACH - 1);
    topology_finish(&topology);
}

/* ---- Beacons -------------------------------------------------------------------------------- */

Test(hosts, a_beacon_is_reached_while_it_burns)
{
    struct beacon beacon;
    struct token token;
    beacon_light(&beacon, &token);
    cr_assert_eq(token.pid, (int32_t)getpid());
    cr_expect(beacon_reach(&token));
    beacon_douse(&beacon);
    cr_expect_not(beacon_reach(&token));
    beacon_douse(&beacon);
}

Test(hosts, either_way_to_a_beacon_is_enough)
{
    struct beacon beacon;
    struct token token;
    beacon_light(&beacon, &token);
    struct token other = token;
    other.fd = 0; /* not a beacon, and not touched */
    cr_expect(beacon_reach(&other), "through its socket");
    other.user++;
    cr_expect_not(beacon_reach(&other), "of another user");
    other = token;
    other.nonce[1]++;
    cr_expect_not(beacon_reach(&other), "another nonce");
    close(beacon.socket);
    beacon.socket = -1;
    cr_expect(beacon_reach(&token), "through /proc");
    beacon_douse(&beacon);
}

/* As many letters as Linux allows; the last ones tell hosts of a fleet apart. */
Test(hosts, the_longest_name_is_told_whole)
{
    char name[65];
    struct identity identity = {.host_name = ""};
    memset(name, 'h', 63);
    memcpy(name + 63, "7", 2);
    if (unshare(CLONE_NEWUTS) != 0 || sethostname(name, strlen(name)) != 0) {
        cr_skip_test("namespaces need a privilege here");
    }
    identity_describe(&identity, NULL);
    cr_expect_str_eq(identity.host_name, name);
}

/* Lights a beacon in a process with namespaces of its own and tells the token; burns until the pipe
 * is closed. Exits with 1 where namespaces are refused. */
static void burn_elsewhere(int flags, int tell, int wait)
{
    struct beacon beacon;
    struct token token;
    char byte;
    if (unshare(flags) != 0) {
        _exit(1);
    }
    pid_t inner = fork(); /* a process namespace begins with the next child */
    if (inner == 0) {
        beacon_light(&beacon, &token);
        bool told = write(tell, &token, sizeof token) == (ssize_t)sizeof token;
        bool waited = told && read(wait, &byte, 1) == 0;
        beacon_douse(&beacon);
        _exit(waited ? 0 : 2);
    }
    int state = 0;
    close(tell);
    waitpid(inner, &state, 0);
    _exit(WEXITSTATUS(state));
}

/* Whether a beacon in other namespaces is reached; -1 = this system makes none. */
static int reached_elsewhere(int flags)
{
    int tell[2];
    int wait[2];
    struct token token;
    cr_assert(pipe(tell) == 0 && pipe(wait) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(tell[0]);
        close(wait[1]);
        burn_elsewhere(flags, tell[1], wait[0]);
    }
    close(tell[1]);
    close(wait[0]);
    bool lit = read(tell[0], &token, sizeof token) == (ssize_t)sizeof token;
    int reached = lit ? beacon_reach(&token) : -1;
    close(wait[1]);
    close(tell[0]);
    waitpid(child, NULL, 0);
    return reached;
}

Test(hosts, beacons_are_reached_while_one_namespace_is_shared)
{
    if (reached_elsewhere(CLONE_NEWPID | CLONE_NEWNET) < 0) {
        cr_skip_test("namespaces need a privilege here");
    }
    cr_expect_eq(reached_elsewhere(0), 1, "nothing is apart");
    cr_expect_eq(reached_elsewhere(CLONE_NEWPID), 1, "through its socket");
    cr_expect_eq(reached_elsewhere(CLONE_NEWIPC), 1, "ipc has nothing to do with it");
    cr_expect_eq(reached_elsewhere(CLONE_NEWNET), 1, "through /proc");
    cr_expect_eq(reached_elsewhere(CLONE_NEWPID | CLONE_NEWNET), 0);
}
