/* SPDX-License-Identifier: BSD-3-Clause
 * test_discover.c: a machine in hwloc's format, through the public door. */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "paper.h"
#include "text_file.h"

TestSuite(discover, .init = capture_start, .fini = capture_finish);

static struct ww_machine *read_twins(void)
{
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    struct ww_machine *machine = NULL;
    query.xml = MACHINES "/twins.xml";
    cr_assert_eq(ww_machine_discover(&query, &machine), WW_OK);
    return machine;
}

Test(discover, cores_memory_and_names_are_read)
{
    struct ww_machine *machine = read_twins();
    cr_expect_str_eq(machine->name, "twins");
    cr_expect_str_eq(machine->product, "Paper & Ink 1");
    cr_expect_str_eq(machine->cpu, "Quill 3000");
    cr_expect_str_eq(machine->writer, "hwloc 2.9.0");
    cr_expect_eq(machine->packages.value, 2);
    cr_expect_eq(machine->numa_nodes.value, 2);
    cr_expect_eq(machine->cores.value, 4);
    cr_expect_eq(machine->cache_count, 1);
    cr_expect_eq(machine->caches[0].count, 2);
    cr_expect_eq(machine->caches[0].each_bytes, 8 << 20);
    ww_machine_destroy(machine);
}

Test(discover, a_doubled_matrix_is_halved_and_makes_islands)
{
    struct ww_machine *machine = read_twins();
    cr_assert_eq(machine->gpu_count, 4, "the board's own display is no GPU");
    cr_expect_str_eq(machine->gpus[0].model, "NVIDIA A100-SXM4-40GB");
    cr_expect_str_eq(machine->gpus[0].uuid, "GPU-0");
    cr_expect_eq(machine->links[1].links.value, 4);
    cr_expect_eq(machine->links[1].gb_s.value, 100);
    cr_expect_eq(machine->links[2].kind, WW_LINK_NONE);
    cr_expect_eq(machine->island_count, 2);
    cr_expect_eq(machine->gpus[1].pcie_gb_s.known, WW_FACT_UNKNOWN, "an idle GPU's link is slow");
    ww_machine_destroy(machine);
}

/* Copies the twins up to the line that holds `before`, which comes next. */
static void copy_twins(FILE *from, FILE *to, const char *before)
{
    char line[512];
    long at = ftell(from);
    while (fgets(line, sizeof line, from) != NULL && (before == NULL || !strstr(line, before))) {
        fputs(line, to);
        at = ftell(from);
    }
    fseek(from, at, SEEK_SET);
}

static void print_interface(FILE *to, int number, const char *name)
{
    fprintf(to, "<object type=\"OSDev\" gp_index=\"%d\" name=\"%s%d\" osdev_type=\"2\"/>\n",
            1000 + number, name, number);
}

/* A card of so many virtual functions comes before one more, which is no less there for that. */
Test(discover, cards_behind_thousands_of_interfaces_are_found, .init = text_file_start,
     .fini = text_file_finish)
{
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    struct ww_machine *machine = NULL;
    query.xml = text_file_path();
    FILE *from = fopen(MACHINES "/twins.xml", "r");
    FILE *to = fopen(query.xml, "w");
    cr_assert(from != NULL && to != NULL);
    copy_twins(from, to, "name=\"ib0\"");
    for (int i = 0; i < 5000; i++) {
        print_interface(to, i, "vf");
    }
    copy_twins(from, to, "pci_busid=\"0000:81:00.0\"");
    fputs("<object type=\"PCIDev\" gp_index=\"999\" pci_busid=\"0000:80:00.0\" "
          "pci_type=\"0200 [8086:1593] [8086:0001] 00\" pci_link_speed=\"7.876923\">\n",
          to);
    print_interface(to, 5000, "eth");
    fputs("</object>\n", to);
    copy_twins(from, to, NULL);
    fclose(from);
    cr_assert_eq(fclose(to), 0);

    cr_assert_eq(ww_machine_discover(&query, &machine), WW_OK);
    cr_assert_eq(machine->nic_count, 5);
    bool found = false;
    for (int nic = 0; nic < machine->nic_count; nic++) {
        found = found || strcmp(machine->nics[nic].name, "eth5000") == 0;
    }
    cr_expect(found);
    ww_machine_destroy(machine);
}

Test(discover, the_nearest_nic_must_be_up_and_no_ethernet)
{
    static const struct {
        enum ww_place near, near_up;
        const char *nic;
    } wanted[] = {{WW_PLACE_PIX, WW_PLACE_SYS, "mlx5_3"},
                  {WW_PLACE_PHB, WW_PLACE_SYS, "mlx5_1"},
                  {WW_PLACE_PHB, WW_PLACE_PHB, "mlx5_1"},
                  {WW_PLACE_PHB, WW_PLACE_PHB, "mlx5_3"}};
    struct ww_machine *machine = read_twins();
    for (int gpu = 0; gpu < 4; gpu++) {
        cr_expect_eq(machine->gpus[gpu].near, wanted[gpu].near, "GPU %d", gpu);
        cr_expect_eq(machine->gpus[gpu].near_up, wanted[gpu].near_up, "GPU %d", gpu);
        cr_assert_geq(machine->gpus[gpu].nic, 0);
        cr_expect_str_eq(machine->nics[machine->gpus[gpu].nic].name, wanted[gpu].nic);
    }
    cr_expect_eq(machine->nics[0].state, WW_PORT_DOWN);
    cr_expect_str_eq(machine->nics[0].interface, "ib0");
    cr_expect_eq(machine->nics[2].kind, WW_NIC_ROCE);
    cr_expect_eq(machine->nics[0].kind, WW_NIC_INFINIBAND, "by its GID, for it has no LID");
    cr_assert_eq(machine->nics[2].port_count, 2);
    cr_expect_eq(machine->nics[2].ports[1].kind, WW_NIC_ROCE, "by its GID");
    cr_expect_eq(machine->nics[2].state, WW_PORT_UP);
    cr_expect_float_eq(machine->nics[1].rate_gbit_s.value, 126, 0.1, "half a link carries less");
    cr_expect_eq(machine->nics[1].rate_gbit_s.source, WW_SOURCE_PARTS);
    ww_machine_destroy(machine);
}

/* The linker leads sched_getaffinity here (--wrap), but not hwloc's. */
int __real_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);

static bool cores_are_hidden;

int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
    if (cores_are_hidden) {
        errno = EPERM;
        return -1;
    }
    return __real_sched_getaffinity(pid, bytes, set);
}

Test(discover, hwloc_is_not_asked_where_cores_are_hidden)
{
    struct ww_machine_query query = WW_MACHINE_QUERY_INIT;
    struct ww_machine *machine = NULL;
    cores_are_hidden = true;
    cr_assert_eq(ww_machine_discover(&query, &machine), WW_OK);
    cores_are_hidden = false;
    cr_expect_str_not_empty(machine->name);
    cr_expect_eq(machine->cores.known, WW_FACT_UNKNOWN);
    cr_assert_gt(machine->note_count, 0);
    cr_expect_not_null(strstr(machine->notes[0], "sched_getaffinity is refused"));
    ww_machine_destroy(machine);
}

Test(discover, what_is_required_is_found_or_named)
{
    static const struct {
        const char *words;
        const char *sentence; /* "" = met */
    } examples[] = {{"gpu,nvlink,ib,roce,rdma", ""},
                    {"nvswitch", "NVSwitch: GPU 0 (0000:01:00.0) has none to any other GPU"},
                    {"up", "up: mlx5_0 port 1 is DOWN"},
                    {"near", "GPU 1 (0000:04:00.0) has no NIC that is UP in its own package"},
                    {"slingshot", "Slingshot: no port is known to be UP"}};
    struct ww_machine *machine = read_twins();
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char unmet[512] = "";
        cr_expect_eq(ww_machine_require(machine, examples[i].words, unmet, sizeof unmet), WW_OK);
        cr_expect(*examples[i].sentence == '\0' ? *unmet == '\0'
                                                : strstr(unmet, examples[i].sentence) != NULL,
                  "%s: \"%s\"", examples[i].words, unmet);
    }
    ww_machine_destroy(machine);
}
