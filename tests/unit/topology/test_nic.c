/* SPDX-License-Identifier: BSD-3-Clause
 * test_nic.c: ports as a sysfs tree tells them; the test plants the tree. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "paper.h"

TestSuite(nic, .init = capture_start, .fini = capture_finish);

static char root[] = "/tmp/wirewise-sysfs-XXXXXX";

/* Makes all folders of a path below the root. */
static void plant_folders(const char *path)
{
    char full[512];
    int bytes = snprintf(full, sizeof full, "%s/%s", root, path);
    for (int i = (int)strlen(root) + 1; i <= bytes; i++) {
        if (full[i] == '/' || full[i] == '\0') {
            char sign = full[i];
            full[i] = '\0';
            mkdir(full, 0700);
            full[i] = sign;
        }
    }
}

static void plant(const char *folder, const char *name, const char *text)
{
    char path[512];
    plant_folders(folder);
    snprintf(path, sizeof path, "%s/%s/%s", root, folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fprintf(file, "%s\n", text);
    cr_assert_eq(fclose(file), 0);
}

static void plant_device(const char *class, const char *name, const char *pci, const char *ids[2])
{
    char path[512];
    char target[512];
    snprintf(path, sizeof path, "devices/%s", pci);
    plant(path, "vendor", ids[0]);
    plant(path, "device", ids[1]);
    plant(path, "numa_node", "1");
    snprintf(path, sizeof path, "class/%s/%s", class, name);
    plant_folders(path);
    snprintf(path, sizeof path, "%s/class/%s/%s/device", root, class, name);
    snprintf(target, sizeof target, "../../../devices/%s", pci);
    cr_assert_eq(symlink(target, path), 0);
}

struct port {
    const char *device;
    int number;
    const char *layer, *state, *phys, *rate;
};

static void plant_port(const struct port *port)
{
    char folder[128];
    snprintf(folder, sizeof folder, "class/infiniband/%s/ports/%d", port->device, port->number);
    plant(folder, "link_layer", port->layer);
    plant(folder, "state", port->state);
    plant(folder, "phys_state", port->phys);
    plant(folder, "rate", port->rate);
}

static void clear_root(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

static struct ww_machine *read_root(void)
{
    struct ww_machine *machine = paper_machine();
    cr_assert_eq(nic_read_sysfs(machine, root), WW_OK);
    nic_conclude(machine);
    clear_root();
    return machine;
}

static const struct ww_nic *named(const struct ww_machine *machine, const char *name)
{
    for (int i = 0; i < machine->nic_count; i++) {
        if (strcmp(machine->nics[i].name, name) == 0) {
            return &machine->nics[i];
        }
    }
    cr_assert_fail("there is no %s", name);
    return NULL;
}

static const char *mellanox[] = {"0x15b3", "0x1021"};

/* Ports as sysfs shows them, and what they mean. */
static const struct {
    struct port port;
    enum ww_nic_kind kind;
    enum ww_port_state state;
    double gbit_s;
    double usable;
} port_examples[] = {
    {{"mlx5_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "400 Gb/sec (4X NDR)"},
     WW_NIC_INFINIBAND,
     WW_PORT_UP,
     400,
     400},
    {{"mlx5_1", 1, "InfiniBand", "1: DOWN", "2: Polling", "10 Gb/sec (4X SDR)"},
     WW_NIC_INFINIBAND,
     WW_PORT_DOWN,
     10,
     8},
    {{"mlx5_2", 1, "InfiniBand", "2: INIT", "5: LinkUp", "400 Gb/sec (4X NDR)"},
     WW_NIC_INFINIBAND,
     WW_PORT_DOWN,
     400,
     400},
    {{"mlx5_3", 1, "Ethernet", "4: ACTIVE", "5: LinkUp", "100 Gb/sec (4X EDR)"},
     WW_NIC_ROCE,
     WW_PORT_UP,
     100,
     100},
    {{"mlx5_4", 1, "InfiniBand", "4: ACTIVE", "3: Disabled", "200 Gb/sec (4X HDR)"},
     WW_NIC_INFINIBAND,
     WW_PORT_DOWN,
     200,
     200},
    {{"mlx4_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "40 Gb/sec (4X QDR)"},
     WW_NIC_INFINIBAND,
     WW_PORT_UP,
     40,
     32},
    {{"hfi1_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "100 Gb/sec (4X EDR)"},
     WW_NIC_OMNIPATH,
     WW_PORT_UP,
     100,
     100},
    {{"rocep1s0", 1, "?", "?", "?", "nonsense"}, WW_NIC_ROCE, WW_PORT_UNKNOWN, 400, 400},
};

Test(nic, ports_have_kinds_states_and_rates)
{
    cr_assert_not_null(mkdtemp(root));
    for (size_t i = 0; i < sizeof port_examples / sizeof *port_examples; i++) {
        char pci[24];
        snprintf(pci, sizeof pci, "0000:%02x:00.0", (unsigned)i + 1);
        plant_device("infiniband", port_examples[i].port.device, pci, mellanox);
        plant_port(&port_examples[i].port);
    }
    struct ww_machine *machine = read_root();
    for (size_t i = 0; i < sizeof port_examples / sizeof *port_examples; i++) {
        const struct ww_nic *nic = named(machine, port_examples[i].port.device);
        cr_expect_eq(nic->kind, port_examples[i].kind, "%s", nic->name);
        cr_expect_eq(nic->state, port_examples[i].state, "%s", nic->name);
        cr_expect_eq(nic->ports[0].rate_gbit_s.value, port_examples[i].gbit_s, "%s", nic->name);
        cr_expect_eq(nic->rate_gbit_s.value, port_examples[i].usable, "%s", nic->name);
        cr_expect_eq(nic->numa.value, 1);
        cr_expect_eq(nic->vendor, 0x15b3);
    }
    cr_expect_str_eq(named(machine, "mlx5_0")->pci, "0000:01:00.0");
    ww_machine_destroy(machine);
}

Test(nic, pcie_caps_and_lost_lanes_are_named)
{
    static const struct port port = {"mlx5_0",    1,           "InfiniBand",
                                     "4: ACTIVE", "5: LinkUp", "200 Gb/sec (2X NDR)"};
    cr_assert_not_null(mkdtemp(root));
    plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
    plant_port(&port);
    plant("bus/pci/devices/0000:01:00.0", "current_link_width", "8");
    plant("bus/pci/devices/0000:01:00.0", "max_link_width", "16");
    plant("bus/pci/devices/0000:01:00.0", "current_link_speed", "16.0 GT/s PCIe");
    struct ww_machine *machine = read_root();
    const struct ww_nic *nic = named(machine, "mlx5_0");
    cr_expect_float_eq(nic->pcie_gb_s.value, 15.75, 0.01);
    cr_expect_float_eq(nic->rate_gbit_s.value, 126, 0.1);
    expect_note(machine, "2 of 4 lanes");
    expect_note(machine, "runs with 8 of its 16 PCIe lanes");
    expect_note(machine, "its ports carry 200 Gb/s, its PCIe link only 126");
    ww_machine_destroy(machine);
}

Test(nic, only_infiniband_has_four_lanes)
{
    static const struct {
        struct port port;
        bool fault;
    } examples[] = {
        {{"mlx5_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "25 Gb/sec (1X EDR)"}, true},
        {{"mlx5_0", 1, "Ethernet", "4: ACTIVE", "5: LinkUp", "25 Gb/sec (1X EDR)"}, false},
        {{"mlx5_0", 1, "Ethernet", "4: ACTIVE", "5: LinkUp", "50 Gb/sec (2X EDR)"}, false},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        snprintf(root, sizeof root, "/tmp/wirewise-nic-XXXXXX");
        cr_assert_not_null(mkdtemp(root));
        plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
        plant_port(&examples[i].port);
        struct ww_machine *machine = read_root();
        cr_expect_eq(paper_notes(machine, "of 4 lanes"), examples[i].fault, "%s, %s",
                     examples[i].port.layer, examples[i].port.rate);
        ww_machine_destroy(machine);
    }
}

Test(nic, rates_of_old_line_codes_are_those_of_their_data)
{
    static const struct {
        const char *rate;
        double gbit_s;
    } examples[] = {{"2.5 Gb/sec (1X SDR)", 2}, {"40 Gb/sec (4X QDR)", 32},
                    {"25 Gb/sec (1X EDR)", 25}, {"14 Gb/sec (1X FDR)", 14},
                    {"56 Gb/sec (4X FDR)", 56}, {"100 Gb/sec (2X HDR)", 100}};
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct port port = {"mlx5_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", examples[i].rate};
        snprintf(root, sizeof root, "/tmp/wirewise-nic-XXXXXX");
        cr_assert_not_null(mkdtemp(root));
        plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
        plant_port(&port);
        struct ww_machine *machine = read_root();
        cr_expect_eq(named(machine, "mlx5_0")->rate_gbit_s.value, examples[i].gbit_s, "%s",
                     examples[i].rate);
        ww_machine_destroy(machine);
    }
}

Test(nic, a_cap_that_is_near_is_told_from_what_it_caps)
{
    static const struct port port = {"mlx5_0",    1,           "InfiniBand",
                                     "4: ACTIVE", "5: LinkUp", "40 Gb/sec (4X QDR)"};
    cr_assert_not_null(mkdtemp(root));
    plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
    plant_port(&port);
    plant("bus/pci/devices/0000:01:00.0", "current_link_width", "4");
    plant("bus/pci/devices/0000:01:00.0", "current_link_speed", "8 GT/s");
    struct ww_machine *machine = read_root();
    expect_note(machine, "its ports carry 32 Gb/s, its PCIe link only 31.51");
    ww_machine_destroy(machine);
}

Test(nic, ports_without_a_device_to_use_them_by_are_named)
{
    static const struct port port = {"mlx5_0",    1,           "InfiniBand",
                                     "4: ACTIVE", "5: LinkUp", "200 Gb/sec (4X HDR)"};
    cr_assert_not_null(mkdtemp(root));
    plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
    plant_port(&port);
    plant("dev", "uverbs0", "");
    struct ww_machine *machine = paper_machine();
    char folder[128];
    snprintf(folder, sizeof folder, "%s/dev", root);
    nic_check_devices(machine, "/nowhere/at/all"); /* no NIC needs a device */
    cr_assert_eq(nic_read_sysfs(machine, root), WW_OK);
    nic_check_devices(machine, folder);
    cr_expect_eq(machine->note_count, 0);
    nic_check_devices(machine, "/nowhere/at/all");
    expect_note(machine, "this process cannot use them");
    clear_root();
    ww_machine_destroy(machine);
}

Test(nic, interfaces_are_ethernet_or_belong_to_rdma)
{
    static const struct port port = {"mlx5_0",    1,           "Ethernet",
                                     "4: ACTIVE", "5: LinkUp", "25 Gb/sec (1X EDR)"};
    static const char *cray[] = {"0x17db", "0x0501"};
    static const char *plain[] = {"0x8086", "0x1521"};
    cr_assert_not_null(mkdtemp(root));
    plant_device("infiniband", "mlx5_0", "0000:01:00.0", mellanox);
    plant_port(&port);
    char path[512];
    plant_folders("class/net/eth5");
    snprintf(path, sizeof path, "%s/class/net/eth5/device", root);
    cr_assert_eq(symlink("../../../devices/0000:01:00.0", path), 0);
    plant_device("net", "hsn0", "0000:02:00.0", cray);
    plant("class/net/hsn0", "operstate", "up");
    plant("class/net/hsn0", "speed", "200000");
    plant_device("net", "eth0", "0000:03:00.0/virtio2", plain);
    plant("class/net/eth0", "operstate", "down");
    plant("class/net/eth0", "speed", "-1");
    plant("class/net/docker0", "operstate", "up");
    struct ww_machine *machine = read_root();
    cr_expect_eq(machine->nic_count, 3);
    cr_expect_str_eq(named(machine, "mlx5_0")->interface, "eth5");
    cr_expect_eq(named(machine, "hsn0")->kind, WW_NIC_SLINGSHOT);
    cr_expect(named(machine, "hsn0")->rdma);
    cr_expect_eq(named(machine, "hsn0")->rate_gbit_s.value, 200);
    cr_expect_str_eq(named(machine, "eth0")->pci, "0000:03:00.0");
    cr_expect_eq(named(machine, "eth0")->kind, WW_NIC_ETHERNET);
    cr_expect_eq(named(machine, "eth0")->state, WW_PORT_DOWN);
    cr_expect_eq(named(machine, "eth0")->rate_gbit_s.known, WW_FACT_UNKNOWN);
    ww_machine_destroy(machine);
}

/* Says that one device is a virtual function of another. */
static void plant_function(const char *pci, const char *of)
{
    char path[512];
    char target[512];
    snprintf(path, sizeof path, "bus/pci/devices/%s", pci);
    plant_folders(path);
    snprintf(path, sizeof path, "%s/bus/pci/devices/%s/physfn", root, pci);
    snprintf(target, sizeof target, "../../../../devices/%s", of);
    cr_assert_eq(symlink(target, path), 0);
}

Test(nic, virtual_functions_share_the_ports_of_their_card)
{
    static const struct port ports[] = {
        {"mlx5_0", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "200 Gb/sec (4X HDR)"},
        {"mlx5_1", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "200 Gb/sec (4X HDR)"},
        {"mlx5_2", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "200 Gb/sec (4X HDR)"},
        {"mlx5_3", 1, "InfiniBand", "1: DOWN", "2: Polling", "10 Gb/sec (4X SDR)"},
        {"mlx5_4", 1, "InfiniBand", "4: ACTIVE", "5: LinkUp", "200 Gb/sec (4X HDR)"}};
    static const char *const addresses[] = {"0000:01:00.1", "0000:01:00.0", "0000:02:00.1",
                                            "0000:03:00.0", "0000:03:00.1"};
    cr_assert_not_null(mkdtemp(root));
    for (int i = 0; i < 5; i++) {
        plant_device("infiniband", ports[i].device, addresses[i], mellanox);
        plant_port(&ports[i]);
    }
    plant_function("0000:01:00.1", "0000:01:00.0");
    plant_folders("devices/0000:02:00.0");
    plant_function("0000:02:00.1", "0000:02:00.0"); /* whose card this container does not see */
    plant_function("0000:03:00.1", "0000:03:00.0"); /* whose card's own port is DOWN */
    struct ww_machine *machine = read_root();
    cr_assert_eq(machine->nic_count, 4);
    for (int i = 0; i < 4; i++) {
        cr_expect_str_eq(machine->nics[i].name, ports[i + 1].device);
    }
    cr_expect_eq(machine->nics_known.value, 4);
    expect_note(machine, "1 virtual function of cards that are listed");
    ww_machine_destroy(machine);
}

Test(nic, a_root_that_is_not_there_is_refused)
{
    struct ww_machine *machine = paper_machine();
    cr_expect_eq(nic_read_sysfs(machine, "/nowhere/at/all"), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "/nowhere/at/all is no folder");
    ww_machine_destroy(machine);
}

Test(nic, addresses_of_pci_have_one_form)
{
    static const char *const same[] = {"0000:4b:00.0", "4b:00.0", "00000000:4B:00.0", "0000:4b:0",
                                       "0:4b:0.0"};
    static const char *const none[] = {"",
                                       "mlx5_0",
                                       "0000:4b:00.8",
                                       "4b",
                                       "fffffff:ffff:ff",
                                       "0000:4b:20.0",
                                       "0000:4b:00.0x",
                                       "virtio0"};
    char pci[24];
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        cr_expect(pci_normalise(same[i], pci), "%s", same[i]);
        cr_expect_str_eq(pci, "0000:4b:00.0");
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        cr_expect_not(pci_normalise(none[i], pci), "%s", none[i]);
    }
}
