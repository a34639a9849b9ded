/* SPDX-License-Identifier: BSD-3-Clause
 * audit.c: reads what the kernel counts. What cannot be read is not there: nobody complains. */
#include "audit.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define LINE_BYTES 512
#define LOOPBACK "lo"
#define INFINIBAND "/sys/class/infiniband"
#define INFINIBAND_UNIT 4 /* port_xmit_data counts words of four bytes */

/* Around what a packet carries: 14 bytes of Ethernet, 20 of IP, 32 of TCP with time stamps. */
#define FRAMING_BYTES 66

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

static void add_interface(struct audit_counters *counters, const char *name, enum audit_kind kind,
                          uint64_t sent_bytes, uint64_t sent_packets)
{
    if (counters->count == AUDIT_INTERFACES_MAX) {
        return;
    }
    size_t room = sizeof counters->interface[0].name;
    char *to = counters->interface[counters->count].name;
    size_t length = strnlen(name, room - 1);
    memcpy(to, name, length);
    to[length] = '\0';
    counters->interface[counters->count].kind = kind;
    counters->interface[counters->count].sent_bytes = sent_bytes;
    counters->interface[counters->count].sent_packets = sent_packets;
    counters->count++;
}

/* A card has a device below it. */
static enum audit_kind kind_of(const char *root, const char *name)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/sys/class/net/%s/device", root, name);
    bool card = length < (int)sizeof path && access(path, F_OK) == 0;
    return card ? AUDIT_CARD : AUDIT_SOFTWARE;
}

/* "  eth0: 8 numbers of what came, then bytes and packets sent and 6 more"; the first two lines are
 * titles. */
static void read_line(const char *root, char *line, struct audit_counters *counters)
{
    char *colon = strrchr(line, ':'); /* names may hold one */
    if (colon == NULL) {
        return;
    }
    *colon = '\0';
    uint64_t sent;
    uint64_t packets;
    if (sscanf(colon + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &sent,
               &packets) == 2) {
        const char *name = line + strspn(line, " ");
        add_interface(counters, name, kind_of(root, name), sent, packets);
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
        read_line(root, line, counters);
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
            add_interface(counters, name, AUDIT_PORT, words * INFINIBAND_UNIT, 0);
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

static uint64_t grown(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

struct sent {
    uint64_t bytes;
    uint64_t packets;
};

/* What one interface sent since; nothing where it is new, or began to count anew. */
static struct sent sent_since(const struct audit_counters *since, const struct audit_counters *now,
                              int interface)
{
    const char *name = now->interface[interface].name;
    for (int i = 0; i < since->count; i++) {
        if (strcmp(since->interface[i].name, name) == 0) {
            return (struct sent){
                grown(since->interface[i].sent_bytes, now->interface[interface].sent_bytes),
                grown(since->interface[i].sent_packets, now->interface[interface].sent_packets)};
        }
    }
    return (struct sent){0, 0};
}

static bool is_loopback(const struct audit_counters *now, int interface)
{
    return strcmp(now->interface[interface].name, LOOPBACK) == 0;
}

/* A packet passes a container's interface, a bridge and the card: the largest is it, and a sum
 * would count it thrice. -1 = there is none. */
static int busiest(const struct audit_counters *since, const struct audit_counters *now,
                   bool loopback, struct sent *sent)
{
    int found = -1;
    for (int i = 0; i < now->count; i++) {
        if (is_loopback(now, i) != loopback) {
            continue;
        }
        struct sent here = sent_since(since, now, i);
        if (found < 0 || here.bytes > sent->bytes) {
            found = i;
            *sent = here;
        }
    }
    return found;
}

/* The busiest of a kind among those that are not taken; -1 = none of them sent anything. */
static int next_rail(const struct audit_counters *since, const struct audit_counters *now,
                     enum audit_kind kind, const bool *taken)
{
    int found = -1;
    uint64_t most = 0;
    for (int i = 0; i < now->count; i++) {
        uint64_t bytes = sent_since(since, now, i).bytes;
        if (!taken[i] && now->interface[i].kind == kind && !is_loopback(now, i) && bytes > most) {
            found = i;
            most = bytes;
        }
    }
    return found;
}

/* Where the busiest one cannot have carried all that was claimed, others of its kind did: adds what
 * they sent, until it is as much. Returns how many were added. */
static int add_rails(const struct audit_counters *since, const struct audit_counters *now,
                     int first, uint64_t claimed, struct sent *sent)
{
    bool taken[AUDIT_INTERFACES_MAX] = {false};
    int added = 0;
    int rail = first;
    if (first < 0 || now->interface[first].kind == AUDIT_SOFTWARE) {
        return 0;
    }
    taken[first] = true;
    while (sent->bytes < claimed &&
           (rail = next_rail(since, now, now->interface[first].kind, taken)) >= 0) {
        struct sent more = sent_since(since, now, rail);
        taken[rail] = true;
        sent->bytes += more.bytes;
        sent->packets += more.packets;
        added++;
    }
    return added;
}

/* "eth0", or "mlx5_0/1 and 7 more". */
static void name_rails(const char *first, unsigned char others, char *text, size_t bytes)
{
    if (others > 0) {
        snprintf(text, bytes, "%.17s and %u more", first, others);
    } else {
        snprintf(text, bytes, "%s", first);
    }
}

/* True when this interface, if there is one, carried half of what was claimed. */
static bool carried(int interface, const struct sent *sent, uint64_t claimed)
{
    return interface >= 0 && claimed > 0 && sent->bytes >= claimed / 2;
}

void audit_compare(const struct audit_counters *since, const struct audit_counters *now,
                   struct ww_audit *audit)
{
    uint64_t claimed = audit->claimed_bytes;
    struct sent sent = {0, 0};
    int chosen = busiest(since, now, false, &sent);
    int others = add_rails(since, now, chosen, claimed, &sent);
    if (!carried(chosen, &sent, claimed)) {
        struct sent looped = {0, 0};
        int loopback = busiest(since, now, true, &looped);
        bool other = carried(loopback, &looped, claimed);
        chosen = other ? loopback : chosen;
        others = other ? 0 : others;
        sent = other ? looped : sent;
    }
    audit->counted = carried(chosen, &sent, claimed);
    audit->counted_bytes = sent.bytes;
    audit->overhead_bytes = audit->counted ? sent.packets * FRAMING_BYTES : 0;
    audit->unexplained = 0;
    audit->interface[0] = '\0';
    if (chosen >= 0) {
        name_rails(now->interface[chosen].name, (unsigned char)others, audit->interface,
                   sizeof audit->interface);
    }
    if (audit->counted) {
        audit->unexplained = ((double)sent.bytes - (double)claimed -
                              (double)audit->overhead_bytes) /
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
