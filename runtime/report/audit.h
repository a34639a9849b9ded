/* SPDX-License-Identifier: BSD-3-Clause
 * audit.h: what the kernel counted on this host's interfaces (/proc/net/dev of this network
 * namespace, InfiniBand ports in /sys), and the energy its processors took (powercap). */
#ifndef REPORT_AUDIT_H
#define REPORT_AUDIT_H

#include <wirewise/ledger.h>

#define AUDIT_INTERFACES_MAX 64

/* Bytes that leave through one port or card have passed no other one; what passes an interface made
 * by software (a bridge, a bond, the end of a container) mostly passes a card as well. */
enum audit_kind { AUDIT_SOFTWARE, AUDIT_CARD, AUDIT_PORT };

/* Counters at one moment. */
struct audit_counters {
    int count;
    struct {
        char name[32];
        enum audit_kind kind;
        uint64_t sent_bytes;
        uint64_t sent_packets; /* whose framing is in the bytes; 0 where it is not */
    } interface[AUDIT_INTERFACES_MAX];
};

/* Where the files are; "" = the system's own. */
void audit_read(const char *root, struct audit_counters *counters);

/* Compares what was counted since `since` with what was claimed: fills all of *audit from
 * claimed_bytes and ranks. The busiest interface counts; where it is a card or a port that sent
 * less than was claimed, so do the next busiest of its kind (rails), until they sent as much. The
 * loopback interface counts only where no others sent half of what was claimed. */
void audit_compare(const struct audit_counters *since, const struct audit_counters *now,
                   struct ww_audit *audit);

/* Microjoules of all processor packages, each with its range for wrapping. */
struct energy_counters {
    int count;
    struct {
        uint64_t microjoules;
        uint64_t range;
    } package[16];
};
void energy_read(const char *root, struct energy_counters *counters);

/* Joules since; -1 where nothing can be read. A counter that wrapped is taken to have done so once:
 * it does within half an hour of load (262 kJ), so read more often than that, and add up. */
double energy_joules(const struct energy_counters *since, const struct energy_counters *now);

#endif
