/* SPDX-License-Identifier: BSD-3-Clause
 * test_gpu_energy.c: what GPUs took, by a library that stands for NVML. Nobody may complain: a line
 * that is logged fails a test. */
#include "report/gpu_energy.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"

static void *fake; /* stays loaded, so that it counts its calls from the first meter to the last */

static void start(void)
{
    capture_start();
    setenv("FAKE_NVML", "pairs", 1);
    fake = dlopen(FAKE_NVML_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(fake, "%s", dlerror());
}

static void finish(void)
{
    dlclose(fake);
    capture_finish();
}

TestSuite(gpu_energy, .init = start, .fini = finish);

static void set_counters(const char *words)
{
    setenv("FAKE_NVML_ENERGY", words, 1);
}

static void expect_calls(int inits, int shutdowns)
{
    int (*calls)(int *inits, int *shutdowns);
    void *symbol = dlsym(fake, "fake_nvml_calls");
    int seen[2] = {-1, -1};
    cr_assert_not_null(symbol);
    memcpy(&calls, &symbol, sizeof symbol);
    calls(&seen[0], &seen[1]);
    cr_expect_eq(seen[0], inits, "%d inits", seen[0]);
    cr_expect_eq(seen[1], shutdowns, "%d shutdowns", seen[1]);
}

Test(gpu_energy, all_gpus_add_up_since_the_last_reading)
{
    struct gpu_meter meter;
    set_counters("1000,2000,3000,18446744073709550000");
    gpu_meter_open(&meter, FAKE_NVML_LIBRARY);
    cr_assert_eq(meter.count, 4);
    cr_expect_eq(gpu_meter_joules(&meter), 0);
    set_counters("1500,2000,3001,18446744073709551000");
    cr_expect_float_eq(gpu_meter_joules(&meter), 1.501, 1e-9);
    cr_expect_eq(gpu_meter_joules(&meter), 0);
    set_counters("3601500,2000,3001,18446744073709551000");
    cr_expect_float_eq(gpu_meter_joules(&meter), 3600, 1e-9);
    expect_calls(1, 0);
    gpu_meter_close(&meter);
    expect_calls(1, 1);
    cr_expect_eq(gpu_meter_joules(&meter), -1);
    gpu_meter_close(&meter);
    expect_calls(1, 1);
}

/* What counters show at first and then, and what is known of it. */
Test(gpu_energy, a_sum_that_would_lack_a_gpu_is_not_known)
{
    static const struct {
        const char *first;
        const char *then;
        const char *what;
        double joules;
        int count;
    } cases[] = {
        {"1000,hidden,3000,4000", "2000,hidden,3000,4000", "a container hides one", 1, 3},
        {"hidden,hidden,hidden,hidden", "1,2,3,4", "a container hides all", -1, 0},
        {"1000,none,3000,4000", "2000,none,3000,4000", "one does not count", -1, 0},
        {"1000,lost,3000,4000", "2000,2000,3000,4000", "one does not answer at first", -1, 0},
        {"1000,2000,3000,4000", "2000,lost,3000,4000", "one stops answering", -1, 4},
        {"1000,2000,3000,4000", "9000,2000,3000,3999", "one begins anew", -1, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gpu_meter meter;
        set_counters(cases[i].first);
        gpu_meter_open(&meter, FAKE_NVML_LIBRARY);
        cr_expect_eq(meter.count, cases[i].count, "%s", cases[i].what);
        set_counters(cases[i].then);
        cr_expect_float_eq(gpu_meter_joules(&meter), cases[i].joules, 1e-9, "%s", cases[i].what);
        set_counters("90000,90000,90000,90000");
        cr_expect(cases[i].joules >= 0 || gpu_meter_joules(&meter) < 0, "%s: for good",
                  cases[i].what);
        gpu_meter_close(&meter);
        expect_calls((int)i + 1, (int)i + 1);
    }
}

Test(gpu_energy, without_nvml_or_gpus_nothing_is_read_and_nothing_said)
{
    static const struct {
        const char *like;
        const char *library;
    } cases[] = {
        {"pairs", "/nowhere/libnvidia-ml.so.1"},
        {"pairs", "libm.so.6"}, /* no NVML */
        {"pairs", OLD_NVML_LIBRARY},
        {"broken", FAKE_NVML_LIBRARY}, /* no driver */
        {"empty", FAKE_NVML_LIBRARY},
    };
    set_counters("1000,2000,3000,4000");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gpu_meter meter;
        setenv("FAKE_NVML", cases[i].like, 1);
        gpu_meter_open(&meter, cases[i].library);
        cr_expect_eq(gpu_meter_joules(&meter), -1, "%s, %s", cases[i].like, cases[i].library);
        cr_expect_null(meter.nvml.library);
        gpu_meter_close(&meter);
    }
    expect_calls(2, 1); /* what refused to begin is not ended */
}

Test(gpu_energy, meters_of_one_process_do_not_end_each_other)
{
    struct gpu_meter first;
    struct gpu_meter second;
    set_counters("1000,2000,3000,4000");
    gpu_meter_open(&first, FAKE_NVML_LIBRARY);
    gpu_meter_open(&second, FAKE_NVML_LIBRARY);
    gpu_meter_close(&first);
    set_counters("2000,2000,3000,4000");
    cr_expect_float_eq(gpu_meter_joules(&second), 1, 1e-9);
    gpu_meter_close(&second);
    expect_calls(2, 2);
}

Test(gpu_energy, a_child_reads_nothing_and_ends_nothing)
{
    struct gpu_meter meter;
    int status = -1;
    set_counters("1000,2000,3000,4000");
    gpu_meter_open(&meter, FAKE_NVML_LIBRARY);
    pid_t child = fork();
    if (child == 0) {
        bool unknown = gpu_meter_joules(&meter) == -1;
        gpu_meter_close(&meter);
        expect_calls(1, 0);
        _exit(unknown ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    set_counters("2000,2000,3000,4000");
    cr_expect_float_eq(gpu_meter_joules(&meter), 1, 1e-9, "the parent goes on");
    gpu_meter_close(&meter);
}

Test(gpu_energy, this_machine_can_be_asked)
{
    struct gpu_meter meter;
    gpu_meter_open(&meter, NULL);
    double joules = gpu_meter_joules(&meter);
    cr_expect(meter.count > 0 ? joules >= 0 : joules == -1);
    gpu_meter_close(&meter);
}
