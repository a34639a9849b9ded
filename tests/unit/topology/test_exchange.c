/* SPDX-License-Identifier: BSD-3-Clause
 * test_exchange.c: every rank says where it is, and all draw the same map. */
#define _GNU_SOURCE /* sched_setaffinity */
#include <sched.h>
#include <string.h>

#include "topology.h"
#include "world.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define SETTINGS "colour=red"

static const struct topology_setup usual = {.settings = SETTINGS};

TestSuite(exchange, .init = capture_start, .fini = capture_finish);

/* ---- Maps ------------------------------------------------------------------------------- */

struct map {
    int size;
    const char *hosts_named[6]; /* by rank; NULL = found out */
    int hosts;
    int host_of[6];
    int local_sizes[6];
    int local_ranks[6];
    int hierarchy_levels;
};

static const struct map maps[] = {
    {1, {"a"}, 1, {0}, {1}, {0}, 0},
    {3, {"a", "a", "a"}, 1, {0}, {3, 3, 3}, {0, 1, 2}, 0},
    {3, {NULL, NULL, NULL}, 1, {0}, {3, 3, 3}, {0, 1, 2}, 0},
    {3, {"c", "b", "a"}, 3, {0, 1, 2}, {1, 1, 1}, {0, 0, 0}, 0},
    {4, {"b", "a", "b", "a"}, 2, {0, 1, 0, 1}, {2, 2, 2, 2}, {0, 0, 1, 1}, 1},
    {4, {"a", NULL, NULL, "a"}, 2, {0, 1, 1, 0}, {2, 2, 2, 2}, {0, 0, 1, 1}, 1},
    {6,
     {"a", "a", "a", "b", "b", "c"},
     3,
     {0, 0, 0, 1, 1, 2},
     {3, 3, 3, 2, 2, 1},
     {0, 1, 2, 0, 1},
     1},
};

static void draw_map(const struct ww_world *world, void *shared)
{
    const struct map *map = shared;
    struct topology topology;
    int me = world->rank;
    check_status(topology_exchange(
                     world,
                     &(struct topology_setup){.host = map->hosts_named[me], .settings = SETTINGS},
                     &topology),
                 WW_OK);
    check(topology.rank == me && topology.size == map->size, "rank %d of %d", topology.rank,
          topology.size);
    check(topology.hosts == map->hosts, "%d hosts", topology.hosts);
    check(topology.levels == (map->hosts > 1 ? 2 : 1), "%d levels", topology.levels);
    check(topology.local_size == map->local_sizes[me], "%d here", topology.local_size);
    check(topology.local_rank == map->local_ranks[me], "number %d here", topology.local_rank);
    check(topology.hierarchy.levels == map->hierarchy_levels, "%d levels of groups",
          topology.hierarchy.levels);
    for (int rank = 0; rank < map->size; rank++) {
        int host = topology.host_of[rank];
        check(host == map->host_of[rank], "rank %d is on host %d", rank, host);
        check(topology.peer_level[rank] == (host != map->host_of[me]), "rank %d is at level %d",
              rank, topology.peer_level[rank]);
        check(map->hosts_named[rank] == NULL ||
                  strcmp(topology.host_name[host], map->hosts_named[rank]) == 0,
              "host %d is \"%s\"", host, topology.host_name[host]);
        check(topology.host_name[host][0] != '\0', "a host without a name");
    }
    topology_finish(&topology);
}

Test(exchange, all_ranks_draw_the_same_map)
{
    for (size_t i = 0; i < LENGTH(maps); i++) {
        struct map map = maps[i];
        world_run(map.size, draw_map, &map);
    }
}

/* ---- Memory ----------------------------------------------------------------------------- */

static _Thread_local int starved; /* which calloc of this rank from now on is refused */

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);

void *__wrap_calloc(size_t count, size_t bytes)
{
    return starved > 0 && --starved == 0 ? NULL : __real_calloc(count, bytes);
}

/* What the refusal of one rank's memory makes the others say: of its host, once it is known. */
struct want {
    int starved;
    const char *own;
    const char *peers;
};

#define PEERS " could not make its context: memory could not be allocated"

static const struct want wants[] = {
    {1, "no memory to hear from 3 ranks", "rank 1 (of a host not known yet)" PEERS},
    {2, "no memory to hear from 3 ranks", "rank 1 (of a host not known yet)" PEERS},
    {3, "no memory to hear from 3 ranks", "rank 1 (of a host not known yet)" PEERS},
    {4, "no memory for the hosts of 3 ranks", "rank 1 (b)" PEERS},
    {5, "no memory for the hosts of 3 ranks", "rank 1 (b)" PEERS},
};

static void find_no_memory(const struct ww_world *world, void *shared)
{
    const struct want *want = shared;
    int32_t votes[3];
    const struct topology_setup setup = {
        .host = world->rank == 1 ? "b" : "a", .settings = SETTINGS, .votes = votes};
    struct topology topology;
    starved = world->rank == 1 ? want->starved : 0;
    enum ww_status status = topology_exchange(world, &setup, &topology);
    starved = 0;
    check_status(status, world->rank == 1 ? WW_NO_MEMORY : WW_PEER_FAILED);
    const char *words = world->rank == 1 ? want->own : want->peers;
    check(strcmp(log_last_error(), words) == 0, "\"%s\"", log_last_error());
}

Test(exchange, a_rank_without_memory_is_not_waited_for)
{
    for (size_t i = 0; i < LENGTH(wants); i++) {
        struct want want = wants[i];
        world_run(3, find_no_memory, &want);
        expect_line(WW_LOG_ERROR, want.own);
        expect_line(WW_LOG_ERROR, want.peers);
        expect_line(WW_LOG_ERROR, want.peers);
    }
}

/* ---- Places -----------------------------------------------------------------------------------
 */

struct atlas {
    int size;
    const char *hosts[6];
    const char *places[6];
    int levels;
    const char *above_host; /* name of the level that follows */
    int units;              /* on it */
    const char *warned;
};

static const struct atlas atlases[] = {
    {4, {"a", "b", "c", "d"}, {NULL, NULL, NULL, NULL}, 2, "network", 1, NULL},
    {4, {"a", "b", "c", "d"}, {"x", "x", "y", "y"}, 3, "rail", 2, NULL},
    {4, {"a", "b", "c", "d"}, {"x/", "x/", "y/", "y/"}, 3, "rack", 2, NULL},
    {4, {"a", "b", "c", "d"}, {"p/1/", "p/1/", "q/1/", "q/1/"}, 3, "site", 2, NULL},
    {4, {"a", "b", "c", "d"}, {"x", "x", "y", NULL}, 2, "network", 1, NULL},
    {5,
     {"a", "a", "b", "c", "c"},
     {"x", "y", "x", "y", "y"},
     3,
     "rail",
     2,
     "rank 0 says that host a stands in \"x\", rank 1 says \"y\""},
};

static void find_place(const struct ww_world *world, void *shared)
{
    const struct atlas *atlas = shared;
    const struct topology_setup setup = {.host = atlas->hosts[world->rank],
                                         .settings = SETTINGS,
                                         .place = atlas->places[world->rank],
                                         .sysfs = "/nonexistent"};
    struct topology topology;
    check_status(topology_exchange(world, &setup, &topology), WW_OK);
    int above = topology.host_levels;
    check(topology.levels == atlas->levels, "%d levels", topology.levels);
    check(strcmp(topology.level_name[above], atlas->above_host) == 0, "above the host is %s",
          topology.level_name[above]);
    check(topology.unit_count[above] == atlas->units, "%d units", topology.unit_count[above]);
    check(topology.cores > 0, "%d cores", topology.cores);
    topology_finish(&topology);
}

Test(exchange, hosts_stand_where_their_lowest_rank_says)
{
    for (size_t i = 0; i < LENGTH(atlases); i++) {
        struct atlas atlas = atlases[i];
        world_run(atlas.size, find_place, &atlas);
        if (atlas.warned != NULL) {
            expect_line(WW_LOG_WARN, atlas.warned);
        }
        expect_no_warnings();
    }
}

/* ---- CPUs ------------------------------------------------------------------------------- */

struct binding {
    int size;
    const char *hosts[4];
    int bound[4]; /* to which of the first two usable CPUs a rank is bound */
    int cpus[2];  /* of the least host, where there are 1, and at least 2 of them */
};

static const struct binding bindings[] = {
    {1, {"a"}, {0}, {1, 1}},
    {3, {"a", "a", "a"}, {0, 0, 0}, {1, 1}},
    {2, {"a", "a"}, {0, 1}, {1, 2}},
    {4, {"a", "b", "a", "b"}, {0, 1, 0, 0}, {1, 1}},
    {4, {"a", "b", "a", "b"}, {0, 1, 1, 0}, {1, 2}},
};

static int cpu_of(const cpu_set_t *usable, int number)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, usable) && number-- == 0) {
            return cpu;
        }
    }
    return -1;
}

static void count_cpus(const struct ww_world *world, void *shared)
{
    const struct binding *binding = shared;
    const struct topology_setup setup = {.host = binding->hosts[world->rank], .settings = SETTINGS};
    struct topology topology;
    cpu_set_t usable;
    cpu_set_t own;
    CPU_ZERO(&own);
    check(sched_getaffinity(0, sizeof usable, &usable) == 0, "no CPUs are told");
    bool several = CPU_COUNT(&usable) > 1;
    CPU_SET(cpu_of(&usable, several ? binding->bound[world->rank] : 0), &own);
    check(sched_setaffinity(0, sizeof own, &own) == 0, "rank %d cannot be bound", world->rank);
    check_status(topology_exchange(world, &setup, &topology), WW_OK);
    check(topology.cpus == binding->cpus[several], "%d ranks: %d CPUs", world->size, topology.cpus);
    check(topology.cores >= 1 && topology.cores <= topology.cpus, "%d cores", topology.cores);
    topology_finish(&topology);
    sched_setaffinity(0, sizeof usable, &usable);
}

Test(exchange, only_cpus_that_the_ranks_of_a_host_may_use_count)
{
    for (size_t i = 0; i < LENGTH(bindings); i++) {
        struct binding binding = bindings[i];
        world_run(binding.size, count_cpus, &binding);
    }
}

/* ---- Disagreement ----------------------------------------------------------------------- */

struct lie {
    int size;
    int liar;
    const char *settings;
    const char *words[2];
};

static void compare_settings(const struct ww_world *world, void *shared)
{
    const struct lie *lie = shared;
    struct topology topology;
    const char *settings = world->rank == lie->liar ? lie->settings : SETTINGS;
    const struct topology_setup setup = {.host = world->rank == lie->liar ? "far" : "near",
                                         .settings = settings};
    check_status(topology_exchange(world, &setup, &topology), WW_MISMATCH);
    check_words(ww_last_error(NULL), lie->words[0], lie->words[1], "\"" SETTINGS "\"",
                lie->settings, "give all ranks the same");
}

Test(exchange, settings_that_differ_are_named_on_every_rank)
{
    struct lie lies[] = {
        {2, 1, "colour=blue", {"rank 1 (far)", "rank 0 (near)"}},
        /* Of two it cannot be told who is odd: the first counts as usual. */
        {2, 0, "colour=blue", {"rank 1 (near)", "rank 0 (far)"}},
        {3, 0, "colour=redd", {"rank 0 (far)", "rank 1 (near)"}},
        {5, 3, "", {"rank 3 (far)", "rank 0 (near)"}},
    };
    for (size_t i = 0; i < LENGTH(lies); i++) {
        world_run(lies[i].size, compare_settings, &lies[i]);
        cr_expect_eq(world_forgive(), lies[i].size);
    }
}

/* Together they are longer than a sentence may be. */
static void compare_lists(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct topology topology;
    char settings[TOPOLOGY_SETTINGS_BYTES];
    snprintf(settings, sizeof settings, "colour=%0600d size=%d length=2 form=%s end=5", 0,
             world->rank == 2 ? 7 : 5, world->rank == 2 ? "round" : "square");
    const struct topology_setup setup = {.host = "near", .settings = settings};
    check_status(topology_exchange(world, &setup, &topology), WW_MISMATCH);
    check_words(ww_last_error(NULL), "rank 2 (near) has settings \"size=7 form=round\"",
                "rank 0 (near) has \"size=5 form=square\": give all ranks the same");
}

Test(exchange, of_long_settings_only_what_differs_is_told)
{
    world_run(3, compare_lists, NULL);
    cr_expect_eq(world_forgive(), 3);
}

/* ---- Bad worlds ------------------------------------------------------------------------- */

/* Puts the results of ranks 0 and 1 in each other's place; self is the good world. */
static int gather_swapped(void *self, const void *mine, void *all, size_t bytes)
{
    const struct ww_world *world = self;
    unsigned char kept[4096];
    int failure = world->all_gather(world->self, mine, all, bytes);
    check(bytes <= sizeof kept, "%zu bytes", bytes);
    memcpy(kept, all, bytes);
    memcpy(all, (unsigned char *)all + bytes, bytes);
    memcpy((unsigned char *)all + bytes, kept, bytes);
    return failure;
}

static void exchange_swapped(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_world good = *world;
    struct ww_world swapped = *world;
    struct topology topology;
    swapped.all_gather = gather_swapped;
    swapped.self = &good;
    check_status(topology_exchange(&swapped, &usual, &topology), WW_MISMATCH);
    check_words(ww_last_error(NULL), "put rank 1 at place 0", "in the order of the ranks");
}

static int gather_never(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self, (void)mine, (void)all, (void)bytes;
    return -4;
}

static void exchange_never(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_world broken = *world;
    struct topology topology;
    broken.all_gather = gather_never;
    check_status(topology_exchange(&broken, &usual, &topology), WW_TRANSPORT_FAILED);
    check_words(ww_last_error(NULL), "all_gather returned -4", "2 ranks");
}

static int gather_and_say_why_not(void *self, const void *mine, void *all, size_t bytes)
{
    (void)self, (void)mine, (void)all, (void)bytes;
    log_failure(WW_PEER_FAILED, "rank 1 (pid 7 on n1) is gone");
    return 1;
}

/* What this library's own worlds say is worth more than what a program's world returns. */
static void exchange_explained(const struct ww_world *world, void *shared)
{
    (void)shared;
    struct ww_world broken = *world;
    struct topology topology;
    broken.all_gather = gather_and_say_why_not;
    check_status(topology_exchange(&broken, &usual, &topology), WW_TRANSPORT_FAILED);
    check(strcmp(ww_last_error(NULL), "rank 1 (pid 7 on n1) is gone") == 0, "it says: %s",
          ww_last_error(NULL));
    int32_t votes[2];
    enum ww_status own = log_failure(WW_NO_MEMORY, "no memory");
    check_status(topology_all_well(&broken, &topology, own, votes), WW_NO_MEMORY);
    check(strcmp(ww_last_error(NULL), "no memory") == 0, "it says: %s", ww_last_error(NULL));
}

Test(exchange, a_world_that_gathers_wrongly_is_caught)
{
    world_run(2, exchange_swapped, NULL);
    world_run(2, exchange_never, NULL);
    world_run(2, exchange_explained, NULL);
    cr_expect_eq(world_forgive(), 8);
}
