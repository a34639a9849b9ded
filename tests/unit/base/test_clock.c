/* SPDX-License-Identifier: BSD-3-Clause
 * test_clock.c: time never goes back, and a sleep is never short. */
#include "internal/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/time.h>

#include "capture.h"

TestSuite(clock, .init = capture_start, .fini = capture_finish);

Test(clock, time_never_goes_back)
{
    uint64_t before = clock_now_ns();
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_now_ns();
        cr_assert_geq(now, before);
        before = now;
    }
}

Test(clock, the_wall_clock_tells_this_century)
{
    int64_t now = clock_utc_s();
    cr_expect_gt(now, 1767225600, "%lld is before 2026", (long long)now);
    cr_expect_lt(now, 4102444800, "%lld is after 2100", (long long)now);
}

Test(clock, a_sleep_lasts_at_least_as_long_as_asked)
{
    static const uint64_t naps_ns[] = {0, 1, 50000, 3000000, 20000000};
    for (size_t i = 0; i < sizeof naps_ns / sizeof *naps_ns; i++) {
        uint64_t start_ns = clock_now_ns();
        clock_sleep_ns(naps_ns[i]);
        cr_expect_geq(clock_now_ns() - start_ns, naps_ns[i]);
    }
}

/* On the wall clock it would be decades away, or over at once. */
Test(clock, deadlines_do_not_follow_the_wall_clock)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    uint64_t before_ns = clock_now_ns();
    struct timespec deadline = clock_deadline(0.02);
    uint64_t after_ns = clock_now_ns();
    uint64_t deadline_ns = (uint64_t)deadline.tv_sec * CLOCK_NS_PER_S + (uint64_t)deadline.tv_nsec;
    cr_expect_geq(deadline_ns, before_ns + 20000000);
    cr_expect_leq(deadline_ns, after_ns + 20000000);
    clock_condition_init(&condition);
    pthread_mutex_lock(&lock);
    cr_expect_eq(pthread_cond_timedwait(&condition, &lock, &deadline), ETIMEDOUT);
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&condition);
    cr_expect_geq(clock_now_ns(), deadline_ns);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
    (void)signal;
    alarms = alarms + 1;
}

Test(clock, a_signal_does_not_cut_a_sleep_short)
{
    struct sigaction action = {.sa_handler = count_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every_2_ms = {{0, 2000}, {0, 2000}};
    setitimer(ITIMER_REAL, &every_2_ms, NULL);
    uint64_t start_ns = clock_now_ns();
    clock_sleep_ns(50000000);
    uint64_t slept_ns = clock_now_ns() - start_ns;
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    cr_expect_gt(alarms, 0);
    cr_expect_geq(slept_ns, 50000000u);
}
