/* SPDX-License-Identifier: BSD-3-Clause
 * test_route_join.c: who opens what, and that all ranks come to the same choice whatever happens
 * to one of them. */
#include <string.h>

#include "allocations.h"
#include "route_fakes.h"
#include "transport/local.h"
#include "transport/route.h"
#include "world.h"

#define RANKS_MAX 4
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static void begin(void)
{
    capture_start();
    fakes_install();
}

TestSuite(route_join, .init = begin, .fini = capture_finish);

/* A world as the fabric finds it, and what one rank is made to meet there. */
struct scene {
    const char *hosts; /* [ranks] a letter for the host of each */
    const struct ww_transport *network;
    int odd;               /* the rank to which the following happens; -1 = all, -2 = none */
    enum ww_status memory; /* what opening gives */
    enum ww_status network_status;
    const char *trouble;
    bool thread;    /* it wants one */
    int allocation; /* which fails, 1 = the first; 0 = none */

    enum ww_status wanted; /* of the odd rank */
    enum ww_status wanted_elsewhere;
    const char *name;     /* what is joined; NULL = nothing opens */
    const char *words[4]; /* of the failure, on every rank that returns `wanted` */
    const char *diary;    /* of rank 0; NULL = never mind */
};

/* A rank's end of a scene. */
struct guest {
    struct ww_world world;
    uint8_t peer_level[RANKS_MAX];
    struct ww_transport_setup setup;
};

static void guest_make(struct guest *guest, const struct scene *scene, const struct ww_world *world)
{
    bool odd = scene->odd == -1 || scene->odd == world->rank;
    guest->world = *world;
    guest->world.transport = scene->network;
    for (int peer = 0; peer < world->size && peer < RANKS_MAX; peer++) {
        guest->peer_level[peer] = scene->hosts[peer] != scene->hosts[world->rank];
    }
    guest->setup = (struct ww_transport_setup){.struct_bytes = sizeof guest->setup,
                                               .world = &guest->world,
                                               .levels = 2,
                                               .host_levels = 1,
                                               .peer_level = guest->peer_level,
                                               .own_thread = odd && scene->thread};
    if (odd) {
        fakes[FAKE_MEMORY].open_status = scene->memory;
        fakes[FAKE_MEMORY].sentence = "the door is locked";
        fakes[FAKE_NETWORK].open_status = scene->network_status;
        fakes[FAKE_NETWORK].sentence = "the cable is out";
        fakes[FAKE_NETWORK].trouble = scene->trouble;
    }
    allocations_left = odd ? scene->allocation : 0;
}

static void check_failure(const struct scene *scene)
{
    for (size_t word = 0; word < LENGTH(scene->words) && scene->words[word] != NULL; word++) {
        const char *words[] = {scene->words[word], NULL};
        check_words_at(log_last_error(), words, __FILE__, __LINE__);
    }
    check(!fakes[FAKE_MEMORY].open && !fakes[FAKE_NETWORK].open, "\"%s\" left a part open: %s",
          scene->hosts, fake_diary);
}

static void play(const struct ww_world *world, void *shared)
{
    const struct scene *scene = shared;
    struct guest guest;
    void *fabric = NULL;
    guest_make(&guest, scene, world);
    enum ww_status status = ww_route_transport.open(&guest.setup, &fabric);
    bool odd = scene->odd == -1 || scene->odd == world->rank;
    enum ww_status wanted = odd ? scene->wanted : scene->wanted_elsewhere;
    check(status == wanted, "rank %d of \"%s\" got %s instead of %s", world->rank, scene->hosts,
          ww_status_name(status), ww_status_name(wanted));
    check((fabric != NULL) == (status == WW_OK), "a fabric of %s", ww_status_name(status));
    if (scene->diary != NULL && world->rank == 0) {
        check(strcmp(fake_diary, scene->diary) == 0, "\"%s\": %s, instead of %s", scene->hosts,
              fake_diary, scene->diary);
    }
    if (status == WW_OK) {
        check(strcmp(route_describe(fabric), scene->name) == 0, "\"%s\" joined %s instead of %s",
              scene->hosts, route_describe(fabric), scene->name);
        ww_route_transport.close(fabric, false);
    } else {
        check_failure(scene);
    }
}

static void run_scene(struct scene scene)
{
    world_run((int)strlen(scene.hosts), play, &scene);
}

/* ---- What is opened ------------------------------------------------------------------------- */

Test(route_join, only_what_has_something_to_carry_is_opened)
{
    static const struct scene rows[] = {
        {.hosts = "a", .name = "nothing", .diary = ""},
        {.hosts = "aa", .name = "memory", .diary = "memory opens"},
        {.hosts = "aaaa", .name = "memory", .diary = "memory opens"},
        {.hosts = "ab", .name = "network", .diary = "network opens"},
        {.hosts = "abcd", .name = "network", .diary = "network opens"},
        {.hosts = "aabb", .name = "memory + network", .diary = "memory opens, network opens"},
        {.hosts = "abab", .name = "memory + network", .diary = "memory opens, network opens"},
        {.hosts = "abb", .name = "memory + network", .diary = "memory opens, network opens"},
        {.hosts = "aab", .name = "memory + network", .diary = "memory opens, network opens"},
    };
    for (size_t row = 0; row < LENGTH(rows); row++) {
        struct scene scene = rows[row];
        scene.odd = -2;
        scene.network = &fake_network;
        run_scene(scene);
    }
}

Test(route_join, a_world_on_one_host_needs_no_transport_of_its_own)
{
    run_scene((struct scene){.hosts = "aaa", .odd = -2, .name = "memory"});
    run_scene((struct scene){.hosts = "a", .odd = -2, .name = "nothing"});
}

/* ---- Refusals ------------------------------------------------------------------------------- */

static const char warning[] = "shared memory is refused: the door is locked; messages inside hosts "
                              "go through network, which is slower";

Test(route_join, memory_refused_on_any_rank_is_used_by_none_and_that_is_said_once)
{
    static const int odd[] = {-1, 0, 1, 3};
    for (size_t row = 0; row < LENGTH(odd); row++) {
        run_scene((struct scene){.hosts = row % 2 == 0 ? "aaaa" : "abab",
                                 .network = &fake_network,
                                 .odd = odd[row],
                                 .memory = WW_UNSUPPORTED,
                                 .name = "network"});
    }
    expect_line(WW_LOG_WARN, warning);
    expect_no_warnings();
}

static void refuse_twice(const struct ww_world *world, void *shared)
{
    struct scene *scene = shared;
    static const char *const reasons[] = {"the door is locked", "the door is locked", "no key"};
    for (size_t row = 0; row < LENGTH(reasons); row++) {
        struct guest guest;
        void *fabric = NULL;
        guest_make(&guest, scene, world);
        fakes[FAKE_MEMORY].sentence = reasons[row];
        check_status(ww_route_transport.open(&guest.setup, &fabric), WW_OK);
        ww_route_transport.close(fabric, false);
    }
}

Test(route_join, another_reason_is_news)
{
    struct scene scene = {
        .hosts = "aa", .network = &fake_network, .odd = -1, .memory = WW_UNSUPPORTED};
    world_run(2, refuse_twice, &scene);
    expect_line(WW_LOG_WARN, warning);
    expect_line(WW_LOG_WARN, "shared memory is refused: no key; messages inside hosts");
    expect_no_warnings();
}

Test(route_join, a_rank_without_memory_for_it_counts_as_a_refusal)
{
    run_scene((struct scene){.hosts = "aaa",
                             .network = &fake_network,
                             .odd = 2,
                             .memory = WW_NO_MEMORY,
                             .name = "network"});
    expect_line(WW_LOG_ERROR, "the door is locked");
    expect_line(WW_LOG_WARN, warning);
    expect_no_warnings();
}

Test(route_join, a_refusal_without_another_way_is_the_failure)
{
    run_scene((struct scene){.hosts = "aaaa",
                             .odd = 1,
                             .memory = WW_UNSUPPORTED,
                             .wanted = WW_UNSUPPORTED,
                             .wanted_elsewhere = WW_UNSUPPORTED,
                             .words = {"shared memory is refused: the door is locked",
                                       "names no transport", "ww_mpi_world"},
                             .diary = "memory opens, memory closes failed"});
    cr_expect_eq(world_forgive(), 4);
}

Test(route_join, ranks_on_two_hosts_without_a_transport_are_named)
{
    static const struct {
        const char *hosts, *words;
    } rows[] = {{"aabb", "ranks 0 and 2 are on different hosts"},
                {"ab", "ranks 0 and 1 are on different hosts"},
                {"aaab", "ranks 0 and 3 are on different hosts"}};
    for (size_t row = 0; row < LENGTH(rows); row++) {
        run_scene((struct scene){.hosts = rows[row].hosts,
                                 .odd = -1,
                                 .wanted = WW_UNSUPPORTED,
                                 .words = {rows[row].words, "ww_mpi_world"}});
        cr_expect_eq(world_forgive(), (int)strlen(rows[row].hosts));
    }
}

/* ---- Threads -------------------------------------------------------------------------------- */

static const char *trouble_of(const char *hosts, const struct ww_transport *network,
                              const char *trouble)
{
    struct ww_world world = WW_WORLD_INIT;
    struct guest guest;
    world.size = (int)strlen(hosts);
    guest_make(&guest,
               &(struct scene){.hosts = hosts, .network = network, .thread = true, .odd = -1},
               &world);
    fakes[FAKE_NETWORK].trouble = trouble;
    return ww_route_transport.thread_trouble(&guest.setup);
}

Test(route_join, the_network_has_a_say_on_threads_only_where_it_is_needed)
{
    cr_expect_null(trouble_of("aaaa", &fake_network, "it is single"));
    cr_expect_null(trouble_of("a", &fake_network, "it is single"));
    cr_expect_str_eq(trouble_of("ab", &fake_network, "it is single"), "it is single");
    cr_expect_str_eq(trouble_of("aaab", &fake_network, "it is single"), "it is single");
    cr_expect_null(trouble_of("aabb", &fake_network, NULL));
    cr_expect_null(trouble_of("aabb", &ww_local_transport, NULL)); /* it has nothing to say */
    cr_expect_null(trouble_of("aabb", NULL, NULL));
}

/* The sentence must name both reasons, on all ranks alike; the network is not even tried. */
Test(route_join, a_thread_that_was_promised_and_cannot_be_is_refused_with_both_reasons)
{
    static const int odd[] = {-1, 0, 2};
    for (size_t row = 0; row < LENGTH(odd); row++) {
        run_scene((struct scene){
            .hosts = "aaa",
            .network = &fake_network,
            .odd = odd[row],
            .memory = WW_UNSUPPORTED,
            .trouble = "it is single",
            .thread = true,
            .wanted = WW_UNSUPPORTED,
            .wanted_elsewhere = WW_UNSUPPORTED,
            .words = {"the door is locked", "network cannot take its place",
                      odd[row] == 2 ? "thread of rank 2" : "thread of rank 0", "it is single"},
            .diary = odd[row] == 2 ? "memory opens, memory closes failed" : "memory opens"});
        cr_expect_eq(world_forgive(), 3);
    }
}

Test(route_join, a_network_that_is_not_needed_may_object_to_threads)
{
    run_scene((struct scene){.hosts = "aaa",
                             .network = &fake_network,
                             .odd = -1,
                             .trouble = "it is single",
                             .thread = true,
                             .name = "memory"});
}

Test(route_join, without_a_thread_nobody_objects)
{
    run_scene((struct scene){.hosts = "aaa",
                             .network = &fake_network,
                             .odd = -1,
                             .memory = WW_UNSUPPORTED,
                             .trouble = "it is single",
                             .name = "network"});
    expect_line(WW_LOG_WARN, warning);
}

Test(route_join, a_thread_that_the_network_between_hosts_forbids_is_refused_on_all_ranks)
{
    run_scene((struct scene){.hosts = "aab",
                             .network = &fake_network,
                             .odd = 1,
                             .trouble = "it is single",
                             .thread = true,
                             .wanted = WW_UNSUPPORTED,
                             .wanted_elsewhere = WW_UNSUPPORTED,
                             .words = {"thread of rank 1 cannot use network: it is single"},
                             .diary = "memory opens, memory closes"});
    cr_expect_eq(world_forgive(), 3);
}

/* ---- Failures ------------------------------------------------------------------------------- */

Test(route_join, a_network_that_fails_on_one_rank_fails_on_all_and_memory_closes)
{
    run_scene((struct scene){
        .hosts = "abab",
        .network = &fake_network,
        .odd = 2,
        .network_status = WW_NO_MEMORY,
        .wanted = WW_NO_MEMORY,
        .wanted_elsewhere = WW_PEER_FAILED,
        .words = {"the cable is out"},
        .diary = "memory opens, network opens, network closes failed, memory closes"});
    cr_expect_eq(world_forgive(), 4);
}

Test(route_join, a_rank_without_memory_for_the_fabric_fails_on_all_before_anything_opens)
{
    for (int allocation = 1; allocation <= 2; allocation++) {
        run_scene((struct scene){.hosts = "aab",
                                 .network = &fake_network,
                                 .odd = 1,
                                 .allocation = allocation,
                                 .wanted = WW_NO_MEMORY,
                                 .wanted_elsewhere = WW_PEER_FAILED,
                                 .words = {"rank"},
                                 .diary = ""});
        expect_line(WW_LOG_ERROR, "no memory for a fabric between 3 ranks");
        expect_line(WW_LOG_ERROR,
                    "rank 1 could not open its fabric: memory could not be allocated");
        world_forgive();
    }
}

/* all_gather of a world that fails at the n-th time, on all ranks. */
struct shaky {
    const struct ww_world *inner;
    int calls;
    int fails_at;
};

static int shaky_all_gather(void *self, const void *mine, void *all, size_t bytes)
{
    struct shaky *shaky = self;
    return shaky->calls++ == shaky->fails_at
               ? 7
               : shaky->inner->all_gather(shaky->inner->self, mine, all, bytes);
}

static void gather_with_failures(const struct ww_world *world, void *shared)
{
    static const struct scene scene = {.hosts = "aab", .network = &fake_network, .odd = -2};
    struct shaky shaky = {world, 0, *(int *)shared};
    struct ww_world outer = *world;
    struct guest guest;
    void *fabric = NULL;
    outer.all_gather = shaky_all_gather;
    outer.self = &shaky;
    guest_make(&guest, &scene, &outer);
    check_status(ww_route_transport.open(&guest.setup, &fabric), WW_TRANSPORT_FAILED);
    check_words(log_last_error(), "all_gather returned 7");
    check(!fakes[FAKE_MEMORY].open && !fakes[FAKE_NETWORK].open, "left open: %s", fake_diary);
}

Test(route_join, an_all_gather_that_fails_at_any_time_leaves_nothing_open)
{
    for (int fails_at = 0; fails_at < 4; fails_at++) {
        world_run(3, gather_with_failures, &fails_at);
        cr_expect_eq(world_forgive(), 3);
    }
}

/* Memory that says that the world does not work is not asked further. */
static void memory_that_cannot_gather(const struct ww_world *world, void *shared)
{
    struct guest guest;
    void *fabric = NULL;
    guest_make(&guest, shared, world);
    check_status(ww_route_transport.open(&guest.setup, &fabric), WW_TRANSPORT_FAILED);
    check(strcmp(fake_diary, "memory opens") == 0, "%s", fake_diary);
}

Test(route_join, memory_that_finds_the_world_broken_ends_it)
{
    struct scene scene = {
        .hosts = "aa", .network = &fake_network, .odd = -1, .memory = WW_TRANSPORT_FAILED};
    world_run(2, memory_that_cannot_gather, &scene);
    cr_expect_eq(world_forgive(), 2);
}
