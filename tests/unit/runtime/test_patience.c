/* SPDX-License-Identifier: BSD-3-Clause
 * test_patience.c: when who waits begins to nap, and for how long, by a clock that only turns. */
#include <criterion/criterion.h>

#include "context.h"
#include "internal/clock.h"
#include "progress.h"

#define TURN_NS UINT64_C(1000)
#define SLACK_NS UINT64_C(60000) /* what a nap is longer than asked for */

static uint64_t now_ns;
static uint64_t nap_ns; /* the latest */
static int naps;

uint64_t __wrap_clock_now_ns(void);
void __wrap_clock_sleep_ns(uint64_t ns);

uint64_t __wrap_clock_now_ns(void)
{
    return now_ns;
}

void __wrap_clock_sleep_ns(uint64_t ns)
{
    nap_ns = ns;
    naps++;
    now_ns += ns + SLACK_NS;
}

/* Waits until it naps; returns how long that was. */
static uint64_t awake_ns(struct patience *patience, struct pulse pulse)
{
    uint64_t begin_ns = now_ns;
    for (naps = 0; naps == 0;) {
        uint64_t before_ns = now_ns;
        patience_spend(patience, pulse);
        if (naps > 0) {
            return before_ns - begin_ns;
        }
        now_ns += TURN_NS;
    }
    return 0;
}

static struct patience patience_where(bool crowded)
{
    static struct ww_context context;
    context.crowded = crowded;
    now_ns = 1000 * TURN_NS;
    return patience_of_caller(&context);
}

/* Peers that are a little late are not made later by naps. */
Test(patience, a_caller_with_a_core_is_awake_for_its_first_half_millisecond)
{
    struct patience patience = patience_where(false);
    uint64_t begin_ns = now_ns;
    for (uint64_t moves = 1; now_ns - begin_ns < 400 * TURN_NS; moves++) {
        patience_spend(&patience, (struct pulse){WW_WAIT_NETWORK, moves / 70});
        now_ns += TURN_NS;
    }
    uint64_t rest_ns = awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 100});
    cr_expect(naps == 1 && rest_ns >= 100 * TURN_NS && rest_ns <= 110 * TURN_NS,
              "naps after further %llu ns", (unsigned long long)rest_ns);
}

Test(patience, later_it_is_awake_for_50_microseconds_after_whatever_moved)
{
    struct patience patience = patience_where(false);
    awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 1});
    cr_expect_eq(awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 1}), 0, "and goes on to nap");
    uint64_t moved_ns = awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 2});
    cr_expect(moved_ns >= 50 * TURN_NS && moved_ns <= 60 * TURN_NS, "naps after %llu ns",
              (unsigned long long)moved_ns);
}

Test(patience, who_shares_a_core_leaves_it_after_a_few_yields)
{
    struct patience patience = patience_where(true);
    uint64_t first_ns = awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 1});
    cr_expect(first_ns > 0 && first_ns <= 30 * TURN_NS, "naps after %llu ns",
              (unsigned long long)first_ns);
    patience = (struct patience){.crowded = false}; /* a thread beside the program's */
    cr_expect_eq(awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 1}), first_ns);
}

Test(patience, naps_grow_with_what_was_waited_to_half_a_millisecond)
{
    struct patience patience = patience_where(false);
    uint64_t begin_ns = now_ns;
    for (int i = 0; i < 2000; i++) {
        uint64_t before_ns = now_ns;
        awake_ns(&patience, (struct pulse){WW_WAIT_NETWORK, 1});
        uint64_t waited_ns = before_ns - begin_ns;
        cr_assert(nap_ns >= 20000 && nap_ns <= 500000, "%llu ns", (unsigned long long)nap_ns);
        cr_assert(i == 0 || nap_ns <= 20000 || nap_ns <= waited_ns / 32 + TURN_NS,
                  "%llu ns after %llu", (unsigned long long)nap_ns, (unsigned long long)waited_ns);
    }
    cr_expect_eq(nap_ns, 500000);
}

/* Another core answers within a microsecond, or computes. */
Test(patience, a_peer_on_the_same_host_is_waited_for_awake_for_two_milliseconds)
{
    for (int crowded = 0; crowded < 2; crowded++) {
        struct patience patience = patience_where(crowded);
        uint64_t first_ns = awake_ns(&patience, (struct pulse){WW_WAIT_MEMORY, 1});
        cr_expect(first_ns >= 2000 * TURN_NS && first_ns <= 2400 * TURN_NS, "naps after %llu ns",
                  (unsigned long long)first_ns);
    }
}
