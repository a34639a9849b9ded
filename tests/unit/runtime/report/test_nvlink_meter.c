/* SPDX-License-Identifier: BSD-3-Clause
 * test_nvlink_meter.c: what GPUs sent by NVLink, by a library that stands for NVML. Nobody may
 * complain: a line that is logged fails a test. */
#include "report/nvlink.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"

static void start(void)
{
    capture_start();
    setenv("FAKE_NVML", "pairs", 1);
}

TestSuite(nvlink_meter, .init = start, .fini = capture_finish);

static void set_counters(const char *words)
{
    setenv("FAKE_NVML_LINKS", words, 1);
}

Test(nvlink_meter, all_gpus_add_up_since_the_meter_was_opened)
{
    struct nvlink_meter meter;
    struct nvlink_bytes bytes = {1, 1};
    set_counters("100:200,0:0,5:6,none");
    nvlink_meter_open(&meter, FAKE_NVML_LIBRARY);
    cr_assert_eq(meter.count, 3);
    cr_expect(nvlink_meter_read(&meter, &bytes));
    cr_expect(bytes.sent == 0 && bytes.received == 0);
    for (int again = 0; again < 2; again++) {
        set_counters("110:201,4294967296:3,5:6,none");
        cr_expect(nvlink_meter_read(&meter, &bytes));
        cr_expect_eq(bytes.sent, (10 + UINT64_C(4294967296)) * 1024);
        cr_expect_eq(bytes.received, (1 + 3) * 1024);
    }
    nvlink_meter_close(&meter);
    cr_expect_not(nvlink_meter_read(&meter, &bytes));
    nvlink_meter_close(&meter);
}

/* What counters show at first and then, and whether it is known. */
Test(nvlink_meter, a_sum_that_would_lack_a_gpu_is_not_known)
{
    static const struct {
        const char *first;
        const char *then;
        const char *what;
        bool known;
        int count;
    } cases[] = {
        {"1:1,none,none,none", "2:2,none,none,none", "one has links", true, 1},
        {"none,none,none,none", "1:1,1:1,1:1,1:1", "none has links", false, 0},
        {"odd,odd,odd,odd", "odd,odd,odd,odd", "no integers", false, 0},
        {"1:1,lost,1:1,1:1", "1:1,1:1,1:1,1:1", "one does not answer at first", false, 0},
        {"1:1,1:1,1:1,1:1", "2:2,lost,2:2,2:2", "one stops answering", false, 4},
        {"1:1,9:9,1:1,1:1", "2:2,8:9,2:2,2:2", "one begins to send anew", false, 4},
        {"1:1,9:9,1:1,1:1", "2:2,9:8,2:2,2:2", "one begins to receive anew", false, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nvlink_meter meter;
        struct nvlink_bytes bytes = {7, 7};
        set_counters(cases[i].first);
        nvlink_meter_open(&meter, FAKE_NVML_LIBRARY);
        cr_expect_eq(meter.count, cases[i].count, "%s", cases[i].what);
        set_counters(cases[i].then);
        cr_expect_eq(nvlink_meter_read(&meter, &bytes), cases[i].known, "%s", cases[i].what);
        cr_expect_eq(bytes.sent, cases[i].known ? 1024 : 7, "%s", cases[i].what);
        set_counters("90:90,90:90,90:90,90:90");
        cr_expect_eq(nvlink_meter_read(&meter, &bytes), cases[i].known, "%s: for good",
                     cases[i].what);
        nvlink_meter_close(&meter);
    }
}

Test(nvlink_meter, without_nvml_or_gpus_nothing_is_read_and_nothing_said)
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
    set_counters("1:1,1:1,1:1,1:1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nvlink_meter meter;
        struct nvlink_bytes bytes;
        setenv("FAKE_NVML", cases[i].like, 1);
        nvlink_meter_open(&meter, cases[i].library);
        cr_expect_not(nvlink_meter_read(&meter, &bytes), "%s, %s", cases[i].like, cases[i].library);
        cr_expect_null(meter.nvml.library);
        nvlink_meter_close(&meter);
    }
}

Test(nvlink_meter, a_gpu_that_a_container_hides_is_left_out)
{
    struct nvlink_meter meter;
    struct nvlink_bytes bytes;
    setenv("FAKE_NVML_ENERGY", "none,hidden,none,none", 1);
    set_counters("1:1,1:1,1:1,1:1");
    nvlink_meter_open(&meter, FAKE_NVML_LIBRARY);
    cr_expect_eq(meter.count, 3);
    cr_expect(nvlink_meter_read(&meter, &bytes));
    nvlink_meter_close(&meter);
}

Test(nvlink_meter, a_child_reads_nothing)
{
    struct nvlink_meter meter;
    struct nvlink_bytes bytes;
    int status = -1;
    set_counters("1:1,1:1,1:1,1:1");
    nvlink_meter_open(&meter, FAKE_NVML_LIBRARY);
    pid_t child = fork();
    if (child == 0) {
        bool known = nvlink_meter_read(&meter, &bytes);
        nvlink_meter_close(&meter);
        _exit(known ? 1 : 0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_expect(nvlink_meter_read(&meter, &bytes), "the parent goes on");
    nvlink_meter_close(&meter);
}

Test(nvlink_meter, this_machine_can_be_asked)
{
    struct nvlink_meter meter;
    struct nvlink_bytes bytes;
    nvlink_meter_open(&meter, NULL);
    cr_expect_eq(nvlink_meter_read(&meter, &bytes), meter.count > 0);
    nvlink_meter_close(&meter);
}
