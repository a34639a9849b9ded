/* SPDX-License-Identifier: BSD-3-Clause
 * test_audit.c: counters of a made-up /proc and /sys. */
#include "report/audit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scratch.h"

TestSuite(audit, .init = scratch_start, .fini = scratch_finish);

#define TITLES                                                                                     \
    "Inter-|   Receive                                                |  Transmit\n"               \
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"

static void write_devices(uint64_t lo, uint64_t eth0, uint64_t bridge)
{
    char text[1024];
    snprintf(text, sizeof text,
             TITLES "    lo: 9 8 7 6 5 4 3 2 %llu %llu 0 0 0 0 0 0\n"
                    "  eth0:123 8 7 6 5 4 3 2 %llu %llu 0 0 0 0 0 0\n"
                    "br0:1: 9 8 7 6 5 4 3 2 %llu %llu 0 0 0 0 0 0\n"
                    "broken\nbad: 1 2\n",
             (unsigned long long)lo, (unsigned long long)lo / 100, (unsigned long long)eth0,
             (unsigned long long)eth0 / 100, (unsigned long long)bridge,
             (unsigned long long)bridge / 100); /* packets of 100 bytes */
    scratch_write("proc/net/dev", text);
}

static void write_port(const char *port, uint64_t words)
{
    char name[128];
    char text[32];
    snprintf(name, sizeof name, "sys/class/infiniband/%s/counters/port_xmit_data", port);
    snprintf(text, sizeof text, "%llu\n", (unsigned long long)words);
    scratch_write(name, text);
}

/* What was sent between two moments, by interface. */
struct traffic {
    uint64_t lo, eth0, bridge, port1, port2;
    uint64_t claimed;
    bool counted;
    const char *interface;
    uint64_t counted_bytes, overhead_bytes;
};

static void expect_audit(const struct traffic *traffic)
{
    struct audit_counters since;
    struct audit_counters now;
    struct ww_audit audit = {.claimed_bytes = traffic->claimed, .ranks = 2};
    write_devices(1000, 2000, 3000);
    write_port("mlx5_0/ports/1", 500);
    write_port("mlx5_0/ports/2", 600);
    audit_read(scratch_path(""), &since);
    write_devices(1000 + traffic->lo, 2000 + traffic->eth0, 3000 + traffic->bridge);
    write_port("mlx5_0/ports/1", 500 + traffic->port1 / 4);
    write_port("mlx5_0/ports/2", 600 + traffic->port2 / 4);
    audit_read(scratch_path(""), &now);
    cr_assert_eq(now.count, 5, "%d interfaces", now.count);
    audit_compare(&since, &now, &audit);
    cr_expect_eq(audit.counted, traffic->counted, "%s", traffic->interface);
    cr_expect_str_eq(audit.interface, traffic->interface);
    cr_expect_eq(audit.counted_bytes, traffic->counted_bytes, "%llu",
                 (unsigned long long)audit.counted_bytes);
    cr_expect_eq(audit.overhead_bytes, traffic->overhead_bytes, "%llu",
                 (unsigned long long)audit.overhead_bytes);
    double unexplained = audit.counted
                             ? ((double)audit.counted_bytes - (double)audit.claimed_bytes -
                                (double)audit.overhead_bytes) /
                                   (double)audit.claimed_bytes
                             : 0;
    cr_expect_float_eq(audit.unexplained, unexplained, 1e-12);
}

Test(audit, the_busiest_interface_counts_and_lo_only_for_want_of_another)
{
    static const struct traffic cases[] = {
        {5, 1600, 0, 0, 0, 1448, true, "eth0", 1600, 16 * 66},
        {5, 1600, 0, 0, 0, 1449, true, "eth0", 1600, 16 * 66},
        {5, 1600, 1700, 0, 0, 1448, true, "br0:1", 1700, 17 * 66}, /* a bridge and its member */
        {5, 100, 0, 4000, 8000, 7900, true, "mlx5_0/2", 8000, 0},
        {10000, 10, 0, 0, 0, 9000, true, "lo", 10000, 100 * 66},
        {9999, 4500, 0, 0, 0, 9000, true, "eth0", 4500, 45 * 66}, /* half is enough */
        {0, 10, 0, 0, 0, 9000, false, "eth0", 10, 0},
        {50, 10, 0, 0, 0, 0, false, "eth0", 10, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_audit(&cases[i]);
    }
}

/* ---- Rails --------------------------------------------------------------------------------- */

#define CARDS 3

/* What three cards, three ports and a bond over the cards count. */
struct rails {
    uint64_t cards[CARDS], ports[CARDS], bond, lo;
};

static void write_rails(const struct rails *rails)
{
    char text[1024];
    size_t used = (size_t)snprintf(text, sizeof text, TITLES);
    static const char *const names[] = {"ens1", "ens2", "ens3", "bond0", "lo"};
    for (int i = 0; i < CARDS + 2; i++) {
        uint64_t sent = i < CARDS ? rails->cards[i] : i == CARDS ? rails->bond : rails->lo;
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s: 9 8 7 6 5 4 3 2 %llu %llu 0 0 0 0 0 0\n", names[i],
                                 (unsigned long long)sent, (unsigned long long)sent / 100);
    }
    scratch_write("proc/net/dev", text);
    for (int i = 0; i < CARDS; i++) {
        char name[64];
        snprintf(name, sizeof name, "sys/class/net/ens%d/device/vendor", i + 1);
        scratch_write(name, "0x15b3\n");
        snprintf(name, sizeof name, "mlx5_%d/ports/1", i);
        write_port(name, rails->ports[i] / 4);
    }
}

Test(audit, rails_add_up_until_they_carried_the_claim)
{
    static const struct {
        struct rails sent;
        uint64_t claimed;
        bool counted;
        const char *interface;
        uint64_t counted_bytes, overhead_bytes;
    } cases[] = {
        {{.cards = {5000, 5100, 0}}, 9000, true, "ens2 and 1 more", 10100, 101 * 66},
        {{.cards = {4000, 4100, 4200}}, 11000, true, "ens3 and 2 more", 12300, 123 * 66},
        {{.cards = {9500, 300, 200}}, 9000, true, "ens1", 9500, 95 * 66}, /* others' traffic */
        {{.cards = {5000, 5100, 0}, .bond = 10100}, 9000, true, "bond0", 10100, 101 * 66},
        {{.cards = {4000, 100, 0}, .bond = 4100}, 8000, true, "bond0", 4100, 41 * 66},
        {{.cards = {100, 0, 0}, .ports = {4000, 4000, 4000}},
         11900,
         true,
         "mlx5_0/1 and 2 more",
         12000,
         0},
        {{.cards = {3000, 2900, 0}, .ports = {0, 4, 0}},
         5800,
         true,
         "ens1 and 1 more",
         5900,
         59 * 66},
        {{.cards = {300, 200, 100}}, 9000, false, "ens1 and 2 more", 600, 0},
        {{.cards = {300, 200, 100}, .lo = 9900}, 9000, true, "lo", 9900, 99 * 66},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct audit_counters since;
        struct audit_counters now;
        struct ww_audit audit = {.claimed_bytes = cases[i].claimed, .ranks = 1};
        write_rails(&(struct rails){.lo = 0});
        audit_read(scratch_path(""), &since);
        write_rails(&cases[i].sent);
        audit_read(scratch_path(""), &now);
        cr_assert_eq(now.count, 2 * CARDS + 2);
        audit_compare(&since, &now, &audit);
        cr_expect_eq(audit.counted, cases[i].counted, "case %zu", i);
        if (strncmp(audit.interface, "mlx5", 4) != 0) {
            cr_expect_str_eq(audit.interface, cases[i].interface, "%s", audit.interface);
        } else { /* folders have no order */
            cr_expect_str_eq(strchr(audit.interface, '/'), strchr(cases[i].interface, '/'));
        }
        cr_expect_eq(audit.counted_bytes, cases[i].counted_bytes, "case %zu: %llu", i,
                     (unsigned long long)audit.counted_bytes);
        cr_expect_eq(audit.overhead_bytes, cases[i].overhead_bytes, "case %zu: %llu", i,
                     (unsigned long long)audit.overhead_bytes);
    }
}

Test(audit, the_names_of_rails_fit)
{
    struct audit_counters since = {.count = 2};
    struct ww_audit audit = {.claimed_bytes = 100, .ranks = 1};
    for (int i = 0; i < 2; i++) {
        since.interface[i].kind = AUDIT_PORT;
        snprintf(since.interface[i].name, sizeof since.interface[i].name, "%d%s", i,
                 "23456789012345678901234567890");
    }
    struct audit_counters now = since;
    now.interface[0].sent_bytes = 60;
    now.interface[1].sent_bytes = 50;
    audit_compare(&since, &now, &audit);
    cr_expect_str_eq(audit.interface, "02345678901234567 and 1 more");
    cr_expect_eq(audit.counted_bytes, 110);
}

Test(audit, missing_and_new_and_restarted_counters_count_nothing)
{
    struct audit_counters since;
    struct audit_counters now;
    struct ww_audit audit = {.claimed_bytes = 100, .ranks = 1, .interface = "old"};
    audit_read(scratch_path(""), &since);
    cr_expect_eq(since.count, 0);
    audit_compare(&since, &since, &audit);
    cr_expect_not(audit.counted);
    cr_expect_str_empty(audit.interface);
    write_devices(10, 5000, 0);
    audit_read(scratch_path(""), &now);
    audit_compare(&since, &now, &audit);
    cr_expect_not(audit.counted, "interfaces that came later");
    write_devices(10, 200, 0);
    audit_read(scratch_path(""), &since);
    audit_compare(&now, &since, &audit);
    cr_expect_not(audit.counted, "eth0 began anew");
    cr_expect_eq(audit.counted_bytes, 0);
}

Test(audit, this_machine_can_be_read)
{
    struct audit_counters counters;
    struct energy_counters energy;
    audit_read("", &counters);
    energy_read("", &energy);
    cr_expect_geq(counters.count, 0);
    cr_expect_leq(counters.count, AUDIT_INTERFACES_MAX);
}

/* ---- Energy ------------------------------------------------------------------------------ */

static void write_zone(int zone, const char *name, const char *microjoules, const char *range)
{
    static const char *const files[] = {"name", "energy_uj", "max_energy_range_uj"};
    const char *const texts[] = {name, microjoules, range};
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "sys/class/powercap/intel-rapl:%d/%s", zone, files[i]);
        if (texts[i] != NULL) {
            scratch_write(path, texts[i]);
        }
    }
}

Test(audit, energy_of_packages_adds_up_and_wraps)
{
    struct energy_counters since;
    struct energy_counters now;
    write_zone(0, "package-0\n", "1000000\n", "5000000\n");
    write_zone(1, "psys\n", "777\n", "5000000\n"); /* the whole machine: not once more */
    write_zone(2, "package-1\n", "4000000\n", "5000000\n");
    energy_read(scratch_path(""), &since);
    cr_assert_eq(since.count, 2);
    write_zone(0, "package-0\n", "3500000\n", "5000000\n");
    write_zone(1, "psys\n", "99999\n", "5000000\n");
    write_zone(2, "package-1\n", "500000\n", "5000000\n");
    energy_read(scratch_path(""), &now);
    cr_expect_float_eq(energy_joules(&since, &now), 2.5 + 1.5, 1e-9);
    cr_expect_float_eq(energy_joules(&since, &since), 0, 1e-9);
}

Test(audit, energy_that_cannot_be_read_is_not_known)
{
    struct energy_counters since;
    struct energy_counters now;
    energy_read(scratch_path(""), &since);
    cr_expect_eq(energy_joules(&since, &since), -1);
    write_zone(0, "package-0\n", "junk", NULL);
    energy_read(scratch_path(""), &now);
    cr_expect_eq(now.count, 0);
    write_zone(0, "package-0\n", "1000", NULL);
    energy_read(scratch_path(""), &now);
    cr_expect_eq(energy_joules(&since, &now), -1, "a zone that came later");
    since = now;
    write_zone(0, "package-0\n", "900", NULL);
    energy_read(scratch_path(""), &now);
    cr_expect_eq(energy_joules(&since, &now), -1, "it fell, and its range is not known");
}
