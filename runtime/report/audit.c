/* SPDX-License-Identifier: BSD-3-Clause
 * audit.c: reads what the kernel counts. What cannot be read is not there: nobody complains. */
#include "audit.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1024
#define LINE_BYTES 512
#define LOOPBACK "lo"
#define INFINIBAND "/sys/class/infiniband"
#define INFINIBAND_UNIT 4 /* port_xmit_data counts words of four bytes */

/* A segment of TCP with time stamps: 14 bytes of Ethernet, 20 of IP and 32 of TCP around it. */
#define FRAMING_BYTES 66
#define SEGMENT_BYTES 1448
#define LOOPBACK_SEGMENT_BYTES 65483 /* of an MTU of 65536, less alignment by the kernel */

static bool read_number(const char *path, uint64_t *number)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool read = fscanf(file, "%" SCNu64, number) == 1;
    fclose(file);
    return read;
}

/* ---- Interfaces --------------------------------------------------------------------------- */

static void add_interface(struct audit_counters *counters, const char *name, bool headers,
                          uint64_t sent_bytes)
{
    if (counters->count == AUDIT_INTERFACES_MAX) {
        return;
    }
    size_t room = sizeof counters->interface[0].name;
    char *to = counters->interface[counters->count].name;
    size_t length = strnlen(name, room - 1);
    memcpy(to, name, length);
    to[length] = '\0';
    counters->interface[counters->count].counts_packets_headers = headers;
    counters->interface[counters->count].sent_bytes = sent_bytes;
    counters->count++;
}

/* "  eth0: 8 numbers of what came, then bytes sent and 7 more"; the first two lines are titles. */
static void read_line(char *line, struct audit_counters *counters)
{
    char *colon = strrchr(line, ':'); /* names may hold one */
    if (colon == NULL) {
        return;
    }
    *colon = '\0';
    uint64_t sent;
    if (sscanf(colon + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &sent) == 1) {
        add_interface(counters, line + strspn(line, " "), true, sent);
    }
}

static void read_devices(const char *root, struct audit_counters *counters)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/proc/net/dev", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    char line[LINE_BYTES];
    while (fgets(line, sizeof line, file) != NULL) {
        read_line(line, counters);
    }
    fclose(file);
}

static void read_ports(const char *root, const char *device, struct audit_counters *counters)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s" INFINIBAND "/%s/ports", root, device);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *port = readdir(folder); port != NULL; port = readdir(folder)) {
        char name[sizeof port->d_name + 64];
        uint64_t words;
        int length = snprintf(path, sizeof path, "%s" INFINIBAND "/%s/ports/%s/counters/%s", root,
                              device, port->d_name, "port_xmit_data");
        snprintf(name, sizeof name, "%.60s/%s", device, port->d_name);
        if (port->d_name[0] != '.' && length < (int)sizeof path && read_number(path, &words)) {
            add_interface(counters, name, false, words * INFINIBAND_UNIT);
        }
    }
    closedir(folder);
}

static void read_infiniband(const char *root, struct audit_counters *counters)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s" INFINIBAND, root);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *device = readdir(folder); device != NULL; device = readdir(folder)) {
        if (device->d_name[0] != '.') {
            read_ports(root, device->d_name, counters);
        }
    }
    closedir(folder);
}

void audit_read(const char *root, struct audit_counters *counters)
{
    counters->count = 0;
    read_infiniband(root, counters); /* few, so that many virtual interfaces cannot crowd it out */
    read_devices(root, counters);
}

/* ---- Comparing ---------------------------------------------------------------------------- */

/* What one interface sent since; 0 where it is new, or began to count anew. */
static uint64_t sent_since(const struct audit_counters *since, const struct audit_counters *now,
                           int interface)
{
    for (int i = 0; i < since->count; i++) {
        uint64_t before = since->interface[i].sent_bytes;
        if (strcmp(since->interface[i].name, now->interface[interface].name) == 0) {
            uint64_t sent = now->interface[interface].sent_bytes;
            return sent > before ? sent - before : 0;
        }
    }
    return 0;
}

/* A packet passes a container's interface, a bridge and the card: the largest is it, and a sum
 * would count it thrice. -1 = there is none. */
static int busiest(const struct audit_counters *since, const struct audit_counters *now,
                   bool loopback, uint64_t *sent)
{
    int found = -1;
    for (int i = 0; i < now->count; i++) {
        if ((strcmp(now->interface[i].name, LOOPBACK) == 0) != loopback) {
            continue;
        }
        uint64_t here = sent_since(since, now, i);
        if (found < 0 || here > *sent) {
            found = i;
            *sent = here;
        }
    }
    return found;
}

static uint64_t framing(uint64_t claimed, bool loopback)
{
    uint64_t segment = loopback ? LOOPBACK_SEGMENT_BYTES : SEGMENT_BYTES;
    return (claimed / segment + (claimed % segment != 0)) * FRAMING_BYTES;
}

/* True when this interface, if there is one, carried half of what was claimed. */
static bool carried(int interface, uint64_t sent, uint64_t claimed)
{
    return interface >= 0 && claimed > 0 && sent >= claimed / 2;
}

void audit_compare(const struct audit_counters *since, const struct audit_counters *now,
                   struct ww_audit *audit)
{
    uint64_t claimed = audit->claimed_bytes;
    uint64_t sent = 0;
    bool loopback = false;
    int chosen = busiest(since, now, false, &sent);
    if (!carried(chosen, sent, claimed)) {
        uint64_t looped = 0;
        int other = busiest(since, now, true, &looped);
        loopback = carried(other, looped, claimed);
        chosen = loopback ? other : chosen;
        sent = loopback ? looped : sent;
    }
    audit->counted = carried(chosen, sent, claimed);
    audit->counted_bytes = chosen >= 0 ? sent : 0;
    audit->overhead_bytes = 0;
    audit->unexplained = 0;
    audit->interface[0] = '\0';
    if (chosen >= 0) {
        memcpy(audit->interface, now->interface[chosen].name, sizeof audit->interface);
    }
    if (audit->counted) {
        bool headers = now->interface[chosen].counts_packets_headers;
        audit->overhead_bytes = headers ? framing(claimed, loopback) : 0;
        audit->unexplained = ((double)sent - (double)claimed - (double)audit->overhead_bytes) /
                             (double)claimed;
    }
}

/* ---- Energy ------------------------------------------------------------------------------- */

#define PACKAGES_MAX                                                                               \
    (int)(sizeof((struct energy_counters *)NULL)->package /                                        \
          sizeof((struct energy_counters *)NULL)->package[0])

/* Zones beside packages hold parts of them, or the whole machine. */
static bool is_package(const char *zone)
{
    char path[PATH_BYTES];
    char name[32] = "";
    snprintf(path, sizeof path, "%s/name", zone);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool read = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    return read && strncmp(name, "package", strlen("package")) == 0;
}

void energy_read(const char *root, struct energy_counters *counters)
{
    counters->count = 0;
    for (int i = 0; i < 2 * PACKAGES_MAX && counters->count < PACKAGES_MAX; i++) {
        char zone[PATH_BYTES / 2];
        char path[PATH_BYTES];
        uint64_t microjoules;
        uint64_t range = 0;
        snprintf(zone, sizeof zone, "%s/sys/class/powercap/intel-rapl:%d", root, i);
        snprintf(path, sizeof path, "%s/energy_uj", zone);
        if (!is_package(zone) || !read_number(path, &microjoules)) {
            continue;
        }
        snprintf(path, sizeof path, "%s/max_energy_range_uj", zone);
        read_number(path, &range);
        counters->package[counters->count].microjoules = microjoules;
        counters->package[counters->count].range = range;
        counters->count++;
    }
}

double energy_joules(const struct energy_counters *since, const struct energy_counters *now)
{
    double joules = 0;
    if (now->count == 0 || now->count != since->count) {
        return -1;
    }
    for (int i = 0; i < now->count; i++) {
        uint64_t before = since->package[i].microjoules;
        uint64_t after = now->package[i].microjoules;
        if (after < before) {
            if (now->package[i].range < before) {
                return -1; /* it began anew, and nobody knows from where */
            }
            after += now->package[i].range;
        }
        joules += (double)(after - before) / 1e6;
    }
    return joules;
}
