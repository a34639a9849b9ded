/* SPDX-License-Identifier: BSD-3-Clause
 * test_tune.c: which way the tuner takes, on a machine whose speeds the test sets. */
#include <criterion/criterion.h>

#include "tune.h"

#define BYTES ((size_t)1 << 20)
#define BOTH (1U << TUNED_STAGED | 1U << TUNED_FETCHED)
#define ALL ((1U << TUNED_WAYS) - 1)

static const struct tuned_case same = {.bytes = BYTES};

/* Collects so often, in `ns` each, and returns how many calls were fetched. */
static int run_in(struct tuner *tuner, const struct tuned_case *which, uint64_t staged_ns,
                  uint64_t fetched_ns, int turns)
{
    int fetched = 0;
    for (int i = 0; i < turns; i++) {
        enum tuned_way way = tuner_choose(tuner, which, BOTH);
        fetched += way == TUNED_FETCHED;
        tuner_note(tuner, which, way, way == TUNED_FETCHED ? fetched_ns : staged_ns);
    }
    return fetched;
}

static int run(struct tuner *tuner, size_t bytes, uint64_t staged_ns, uint64_t fetched_ns,
               int turns)
{
    struct tuned_case which = {.bytes = bytes};
    return run_in(tuner, &which, staged_ns, fetched_ns, turns);
}

Test(tune, the_faster_way_is_taken_and_the_other_rarely_tried)
{
    static const struct {
        uint64_t staged_ns, fetched_ns;
        int least, most; /* fetched, of 1000 */
    } rows[] = {
        {100000, 110000, 10, 30}, /* tried every 64 turns, after the first ones */
        {100000, 500000, 3, 8},   /* far behind: every 512 */
        {100000, 98000, 10, 30},  /* no clear gain */
        {100000, 80000, 960, 990}, {100000, 20000, 985, 997},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tuner tuner = {0};
        int fetched = run(&tuner, BYTES, rows[i].staged_ns, rows[i].fetched_ns, 1000);
        cr_expect(fetched >= rows[i].least && fetched <= rows[i].most, "row %zu: %d fetched", i,
                  fetched);
    }
}

Test(tune, a_change_of_the_machine_is_followed_both_ways)
{
    struct tuner tuner = {0};
    run(&tuner, BYTES, 100000, 130000, 200);
    cr_expect_lt(run(&tuner, BYTES, 100000, 130000, 100), 5);
    run(&tuner, BYTES, 300000, 130000, 100); /* what is in use slows down: noticed at once */
    cr_expect_gt(run(&tuner, BYTES, 300000, 130000, 100), 95);
    run(&tuner, BYTES, 60000, 130000, 1000); /* what is not in use became fast: found by trying */
    cr_expect_lt(run(&tuner, BYTES, 60000, 130000, 1000), 20);
}

Test(tune, one_interruption_changes_nothing)
{
    struct tuner tuner = {0};
    run(&tuner, BYTES, 100000, 130000, 100);
    tuner_note(&tuner, &same, TUNED_STAGED, 40000000);
    cr_expect_lt(run(&tuner, BYTES, 100000, 130000, 60), 3);
}

Test(tune, sizes_are_judged_apart)
{
    struct tuner tuner = {0};
    run(&tuner, BYTES, 100000, 130000, 100);
    run(&tuner, 16 * BYTES, 1600000, 800000, 100);
    cr_expect_lt(run(&tuner, BYTES, 100000, 130000, 60), 3);
    cr_expect_gt(run(&tuner, 16 * BYTES, 1600000, 800000, 60), 57);
    struct tuned_case empty = {0};
    cr_expect_eq(tuner_choose(&tuner, &empty, BOTH), TUNED_STAGED);
}

Test(tune, each_of_many_ways_is_found_when_it_is_the_fastest)
{
    for (int fastest = 0; fastest < TUNED_WAYS; fastest++) {
        struct tuner tuner = {0};
        int taken[TUNED_WAYS] = {0};
        for (int i = 0; i < 4000; i++) {
            enum tuned_way way = tuner_choose(&tuner, &same, ALL);
            taken[way]++;
            tuner_note(&tuner, &same, way, (int)way == fastest ? 80000 : 100000);
        }
        for (int way = 0; way < TUNED_WAYS; way++) {
            bool most = taken[way] > 3900;
            cr_expect(way == fastest ? most : taken[way] >= 10, "way %d taken %d times, %d is best",
                      way, taken[way], fastest);
        }
    }
}

Test(tune, ways_that_are_not_there_are_never_taken)
{
    struct tuner tuner = {0};
    unsigned ways = 1U << TUNED_STAGED | 1U << TUNED_SENT;
    for (int i = 0; i < 2000; i++) {
        enum tuned_way way = tuner_choose(&tuner, &same, ways);
        cr_assert((ways >> way & 1) != 0);
        tuner_note(&tuner, &same, way, 100000);
    }
}

/* Memory of two kinds, behind each other and mixed. */
Test(tune, buffers_on_other_pages_are_found_to_be_other)
{
    static char memory[4];
    const struct tuned_case plain = {BYTES, memory, memory + 1};
    const struct tuned_case huge = {BYTES, memory + 2, memory + 3};
    struct tuner tuner = {0};
    cr_expect_lt(run_in(&tuner, &plain, 100000, 130000, 30), 9);
    cr_expect_gt(run_in(&tuner, &huge, 90000, 50000, 30), 26);
    int fetched[2] = {0, 0};
    for (int i = 0; i < 100; i++) {
        fetched[0] += run_in(&tuner, &plain, 100000, 130000, 1);
        fetched[1] += run_in(&tuner, &huge, 90000, 50000, 1);
    }
    cr_expect(fetched[0] < 6 && fetched[1] > 94, "%d and %d fetched", fetched[0], fetched[1]);
}

/* Pages that nobody touched before come with the first call, whichever way it goes. */
Test(tune, a_first_call_in_fresh_memory_says_nothing_about_its_way)
{
    static char memory[1000];
    struct tuner tuner = {0};
    int fetched = 0;
    for (int i = 0; i < 1000; i++) {
        for (int use = 0; use < 16; use++) {
            const struct tuned_case which = {BYTES, memory + i, memory + i};
            uint64_t pages_ns = use == 0 ? 100000 : 0;
            fetched += run_in(&tuner, &which, 100000 + pages_ns, 130000 + pages_ns, 1);
        }
    }
    cr_expect(fetched < 800, "%d of 16000 fetched", fetched);
}

/* A program whose buffers are always others pays for trials at first only. */
Test(tune, buffers_that_are_like_the_rest_are_tried_ever_less)
{
    static char memory[10000];
    struct tuner tuner = {0};
    int fetched[2] = {0, 0};
    for (int i = 0; i < 10000; i++) {
        const struct tuned_case which = {BYTES, memory + i / 8, memory + i / 8};
        fetched[i >= 2000] += run_in(&tuner, &which, 100000, 130000, 1);
    }
    cr_expect(fetched[0] < 100 && fetched[1] < 200, "%d and %d", fetched[0], fetched[1]);
}
