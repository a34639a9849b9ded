/* SPDX-License-Identifier: BSD-3-Clause
 * test_nvlink.c: what NVML tells, by a library that stands for it. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "capture.h"
#include "paper.h"

TestSuite(nvlink, .init = capture_start, .fini = capture_finish);

static struct ww_machine *ask(const char *like)
{
    struct ww_machine *machine = paper_machine();
    setenv("FAKE_NVML", like, 1);
    cr_assert_eq(nvlink_ask(machine, FAKE_NVML_LIBRARY), WW_OK);
    links_finish(machine);
    return machine;
}

Test(nvlink, only_active_links_to_switches_count)
{
    struct ww_machine *machine = ask("switched");
    cr_assert_eq(machine->gpu_count, 4);
    cr_expect_str_eq(machine->gpus[1].pci, "0000:1b:00.0");
    cr_expect_str_eq(machine->gpus[1].model, "NVIDIA H100");
    cr_expect_eq(machine->gpus[1].links.value, 18);
    cr_expect_eq(machine->gpus[1].links_gb_s.value, 450);
    cr_expect_float_eq(machine->gpus[1].pcie_gb_s.value, 63, 0.1);
    cr_expect_eq(machine->gpus[2].links.value, 17);
    cr_expect_eq(machine->links[2].kind, WW_LINK_NVSWITCH);
    cr_expect_eq(machine->links[2].gb_s.value, 425);
    cr_expect_eq(machine->island_count, 1);
    expect_note(machine, "FAULT: GPU 0 has 18 active links, GPU 2, the same part, has 17");
    ww_machine_destroy(machine);
}

Test(nvlink, direct_links_make_pairs)
{
    struct ww_machine *machine = ask("pairs");
    cr_expect_eq(machine->links[1].kind, WW_LINK_NVLINK);
    cr_expect_eq(machine->links[1].gb_s.value, 75);
    cr_expect_eq(machine->links[2].kind, WW_LINK_NONE);
    cr_expect_eq(machine->island_count, 2);
    expect_note(machine, "GPU 3 has a link to a GPU that this machine does not show");
    ww_machine_destroy(machine);
}

Test(nvlink, a_driver_that_is_silent_is_unknown_not_absent)
{
    struct ww_machine *machine = ask("broken");
    cr_expect_eq(machine->gpu_count, 0);
    cr_expect_eq(machine->gpus_known.known, WW_FACT_UNKNOWN);
    expect_note(machine, "NVML refuses with its code 9");
    ww_machine_destroy(machine);
}

Test(nvlink, a_library_that_is_none_is_refused)
{
    struct ww_machine *machine = paper_machine();
    cr_expect_eq(nvlink_ask(machine, "/nowhere/nvml.so"), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "NVML cannot be loaded");
    cr_expect_eq(nvlink_ask(machine, "libm.so.6"), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "libm.so.6 is no NVML");
    ww_machine_destroy(machine);
}
