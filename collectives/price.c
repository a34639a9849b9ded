/* SPDX-License-Identifier: BSD-3-Clause
 * price.c: puts a price on a load.
 *
 * A segment is on its way for the sum of its steps; a step lasts as long as the slowest rank's own
 * work and the slowest message, or the fullest port. While one segment is on its way others follow:
 * then whoever is busiest sets the pace (T = way + (segments - 1) * pace, as in a pipeline), unless
 * too few may be under way at once (T = segments * way / window). */
#include "price.h"

#include <math.h>
#include <string.h>

#include "gate.h"
#include "load.h"
#include "relay.h"

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* ---- What one rank does -----------------------------------------------------------------------
 */

/* The share of callers' vectors that does not stay in the last cache: none while they fill half of
 * it, all from twice its size on. */
static double share_in_ram(const struct load *load, const struct wires *wires, double bytes)
{
    double cache = wires->memory.cache_bytes;
    double used = bytes * load->ranks_per_host_max;
    if (cache <= 0 || used >= 2 * cache) {
        return 1;
    }
    return used <= cache / 2 ? 0 : (used - cache / 2) / (1.5 * cache);
}

/* A core's time for local actions on a segment of so many bytes. */
static double local_s(const struct memory_cost *memory, const struct tally *tally, double bytes,
                      double ram)
{
    double per_byte = tally->copied * memory->copy_byte_s + tally->summed * memory->sum_byte_s +
                      tally->far * memory->far_byte_s + tally->fetched * memory->fetch_byte_s +
                      tally->vector * ram * memory->ram_byte_s;
    return tally->actions * memory->action_s + tally->fetches * memory->fetch_s + bytes * per_byte;
}

/* A core's time for the bytes of messages. */
static double carrying_s(const struct wires *wires, const struct tally *tally, double bytes)
{
    double seconds = 0;
    for (int l = 0; l < wires->levels; l++) {
        const struct mail *mail = &tally->mail[l];
        const struct link *link = &wires->link[l];
        bool sends = mail->messages > 0; /* what is read in peers' memory counts as sent too */
        double moved = link->core_duplex ? larger(mail->out, mail->in) : mail->out + mail->in;
        seconds += sends ? moved * bytes * link->core_byte_s : 0;
    }
    return seconds;
}

/* And for messages at all. */
static double handling_s(const struct wires *wires, const struct tally *tally, double bytes)
{
    double seconds = carrying_s(wires, tally, bytes);
    for (int l = 0; l < wires->levels; l++) {
        seconds += tally->mail[l].messages * wires->link[l].message_s;
    }
    return seconds;
}

/* How long one step's messages take: until they set out and arrive, and while they pass. */
struct passage {
    double fixed_s;
    double flow_s; /* the largest message, alone */
};

static struct passage passage_of(const struct wires *wires, const struct tally *tally, double bytes)
{
    struct passage passage = {tally->awaits > 0 ? wires->memory.await_s : 0, 0};
    for (int l = 0; l < wires->levels; l++) {
        const struct mail *mail = &tally->mail[l];
        const struct link *link = &wires->link[l];
        if (mail->messages > 0) {
            double both = mail->out > 0 && mail->in > 0 ? link->duplex : 1;
            passage.fixed_s = larger(passage.fixed_s,
                                     link->flow.fixed_s + (mail->messages - 1) * link->message_s);
            passage.flow_s = larger(passage.flow_s, mail->flow * bytes * link->flow.byte_s * both);
        }
    }
    return passage;
}

/* The fullest port of a flood, and which wire's it is. */
static double ports_s(const struct load *load, const struct wires *wires, const struct flood *flood,
                      double bytes, int *level)
{
    double seconds = 0;
    for (int l = 1; l < wires->levels; l++) {
        const struct link *link = &wires->link[l];
        double fan = load->fans[l] ? larger(1, link->fan) : 1;
        double port = larger(flood->out[l], flood->in[l]) * bytes * link->port_byte_s * fan;
        if (port > seconds) {
            seconds = port;
            *level = l;
        }
    }
    return seconds;
}

/* Ranks that share a host's cores work one after the other. */
static double crowding(const struct wires *wires, double ranks)
{
    return wires->cores > 0 && ranks > wires->cores ? ranks / wires->cores : 1;
}

/* ---- A segment's way, and the pace
 * --------------------------------------------------------------- */

static double stage_s(const struct load *load, const struct wires *wires, const struct stage *stage,
                      double bytes, double ram)
{
    double work = 0;
    struct passage slowest = {0, 0};
    int level;
    for (uint32_t i = 0; i < stage->tally_count; i++) {
        const struct tally *tally = &load->tallies[load->stage_tallies[stage->first_tally + i]];
        struct passage passage = passage_of(wires, tally, bytes);
        work = larger(work, local_s(&wires->memory, tally, bytes, ram));
        slowest.fixed_s = larger(slowest.fixed_s, passage.fixed_s);
        slowest.flow_s = larger(slowest.flow_s, passage.flow_s);
        slowest.flow_s = larger(slowest.flow_s, carrying_s(wires, tally, bytes));
    }
    double ports = ports_s(load, wires, &stage->flood, bytes, &level);
    return work * crowding(wires, load->ranks_per_host_max) + slowest.fixed_s +
           larger(slowest.flow_s, ports);
}

static double way_s(const struct load *load, const struct wires *wires, double bytes, double ram)
{
    double seconds = 0;
    for (uint32_t i = 0; i < load->stage_count; i++) {
        const struct stage *stage = &load->stages[i];
        seconds += stage->times * stage_s(load, wires, stage, bytes, ram);
    }
    return seconds;
}

/* How long cores are busy with one segment: the busiest rank, and each host's ranks together. */
static double cores_s(const struct load *load, const struct wires *wires, double bytes, double ram)
{
    double seconds = 0;
    for (int i = 0; i < load->crew_count; i++) {
        const struct crew *crew = &load->crews[i];
        double cores = wires->cores > 0 && wires->cores < crew->ranks ? wires->cores : crew->ranks;
        double all = local_s(&wires->memory, &crew->all, bytes, ram) +
                     handling_s(wires, &crew->all, bytes);
        double one = local_s(&wires->memory, &crew->busiest, bytes, ram) +
                     handling_s(wires, &crew->busiest, bytes);
        seconds = larger(seconds, larger(one, all / cores));
    }
    return seconds;
}

/* Ranks that meet at a gate. */
struct meeting {
    int size;
    int hosts;
    int fullest; /* ranks of a host */
    int host_levels;
};

/* One way through a tree of so many hosts, or ranks of a host. */
static double relay_s(const struct link *link, int count)
{
    struct relay_form form = relay_form(count);
    int below = form.width < count ? form.width : count - 1;
    return form.depth * (link->flow.fixed_s + below * link->message_s);
}

/* Announcements at the gate go ahead of the data (gate.c): to and from everybody, or up and down a
 * tree of hosts and of the ranks in them. */
static double message_gate_s(const struct wires *wires, const struct meeting *meeting)
{
    const struct link *outermost = &wires->link[wires->levels - 1];
    if (meeting->size <= GATE_DIRECT_SIZE) {
        double peers = meeting->size - 1;
        return outermost->flow.fixed_s + (2 * peers - 1) * outermost->message_s;
    }
    return 2 * (relay_s(outermost, meeting->hosts) +
                relay_s(&wires->link[meeting->host_levels - 1], meeting->fullest));
}

/* In segments of so many bytes. What goes ahead is on its way at the same time. */
static double gate_s(const struct load *load, const struct wires *wires, double bytes)
{
    if (load->size == 1) {
        return 0;
    }
    if (load->seen && load->levels == load->host_levels) {
        return wires->memory.await_s + (load->size - 1) * wires->memory.action_s;
    }
    bool ahead = load->ahead * bytes <= GATE_AHEAD_BYTES;
    double meanwhile_s = ahead ? wires->link[wires->levels - 1].flow.fixed_s : 0;
    struct meeting meeting = {load->size, load->hosts, load->ranks_per_host_max, load->host_levels};
    return message_gate_s(wires, &meeting) - meanwhile_s;
}

static struct price price_once(const struct load *load, const struct wires *wires, struct pace pace)
{
    struct price price = {.limit = LIMIT_LATENCY, .limit_level = wires->levels - 1};
    double segments = ceil(pace.bytes / pace.segment_bytes);
    segments = segments < 1 ? 1 : segments;
    double bytes = pace.bytes / segments;
    double ram = share_in_ram(load, wires, pace.bytes);
    double window = segments < pace.window ? segments : pace.window;
    double way = way_s(load, wires, bytes, ram);
    double cores = cores_s(load, wires, bytes, ram);
    int level = price.limit_level;
    double ports = ports_s(load, wires, &load->flood, bytes, &level);
    price.wire_s = segments * ports;
    double pipeline = way + (segments - 1) * larger(cores, ports);
    price.seconds = gate_s(load, wires, bytes) + larger(pipeline, segments * way / window);
    price.seconds = load->impossible ? HUGE_VAL : price.seconds;
    if (segments * larger(cores, ports) > price.seconds / 2) {
        price.limit = cores > ports ? LIMIT_CORES : LIMIT_WIRE;
        price.limit_level = level;
    }
    return price;
}

static void scale_wires(struct wires *wires, double sign)
{
    for (int l = 0; l < wires->levels; l++) {
        struct link *link = &wires->link[l];
        double factor = 1 + sign * link->spread;
        double fixed = 1 + sign * (link->fixed_spread > 0 ? link->fixed_spread : link->spread);
        link->flow.fixed_s *= fixed;
        link->flow.byte_s *= factor;
        link->port_byte_s *= factor;
        link->message_s *= fixed;
        link->core_byte_s *= factor;
    }
    struct memory_cost *memory = &wires->memory;
    double factor = 1 + sign * memory->spread;
    double *const costs[] = {&memory->await_s,    &memory->action_s,    &memory->copy_byte_s,
                             &memory->sum_byte_s, &memory->far_byte_s,  &memory->ram_byte_s,
                             &memory->fetch_s,    &memory->fetch_byte_s};
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        *costs[i] *= factor;
    }
}

struct price load_price(const struct load *load, const struct wires *wires, struct pace pace)
{
    struct price price = price_once(load, wires, pace);
    struct wires bounds = *wires;
    scale_wires(&bounds, -1);
    price.least_s = price_once(load, &bounds, pace).seconds;
    bounds = *wires;
    scale_wires(&bounds, 1);
    price.most_s = price_once(load, &bounds, pace).seconds;
    return price;
}

static double difference_at(const struct correction *correction, int at)
{
    return correction->measured_s[at] - correction->predicted_s[at];
}

static double ratio_at(const struct correction *correction, int at)
{
    return correction->measured_s[at] / correction->predicted_s[at];
}

/* No difference takes away more of a price than `least` leaves. */
static double with_difference(double predicted_s, double difference_s, double least)
{
    return larger(predicted_s + difference_s, predicted_s * least);
}

/* Between two sizes half of a price is left, or what was left of it at one of them. */
static double least_between(const struct correction *correction, int above)
{
    double low = ratio_at(correction, above - 1);
    double high = ratio_at(correction, above);
    return low < high && low < 0.5 ? low : high < 0.5 ? high : 0.5;
}

double correction_apply(const struct correction *correction, double bytes, double predicted_s)
{
    int last = correction->count - 1;
    int above = 0;
    if (correction->count == 0 || isinf(predicted_s)) {
        return predicted_s;
    }
    while (above <= last && correction->bytes[above] < bytes) {
        above++;
    }
    if (above == 0) {
        double least = bytes == correction->bytes[0] ? 0 : 0.5;
        return with_difference(predicted_s, difference_at(correction, 0), least);
    }
    if (above > last) {
        return correction->grows
                   ? predicted_s * ratio_at(correction, last)
                   : with_difference(predicted_s, difference_at(correction, last), 0.5);
    }
    double low = correction->bytes[above - 1];
    double share = (bytes - low) / (correction->bytes[above] - low);
    double difference_s = (1 - share) * difference_at(correction, above - 1) +
                          share * difference_at(correction, above);
    return with_difference(predicted_s, difference_s, least_between(correction, above));
}

struct price board_price(const struct topology *topology, const struct wires *wires,
                         enum collective collective, double bytes)
{
    const struct memory_cost *memory = &wires->memory;
    double peers = topology->size - 1;
    bool all = collective == COLLECTIVE_ALL_REDUCE;
    double read = all ? peers * bytes : bytes; /* the others' values, all or shares of them */
    double written = memory->action_s + bytes * memory->copy_byte_s;
    double crowd = crowding(wires, topology->local_size);
    double seconds = memory->await_s + crowd * (written + peers * memory->action_s +
                                                read * (memory->sum_byte_s + memory->far_byte_s));
    return (struct price){.seconds = seconds,
                          .least_s = seconds * (1 - memory->spread),
                          .most_s = seconds * (1 + memory->spread),
                          .limit = LIMIT_LATENCY};
}

/* Everybody sends the same to everybody, and adds up what comes. */
struct price gate_price(const struct topology *topology, const struct wires *wires, double bytes)
{
    int outermost = wires->levels - 1;
    const struct link *link = &wires->link[outermost];
    const struct memory_cost *memory = &wires->memory;
    double local = topology->fullest;
    double peers = topology->size - 1;
    double fan = topology->hosts > 2 ? larger(1, link->fan) : 1;
    double port = local * (topology->size - local) * link->port_byte_s * fan;
    double core = (link->core_duplex ? 1 : 2) * peers * link->core_byte_s;
    double passes = larger(link->flow.byte_s * link->duplex, larger(port, core));
    double added = memory->copy_byte_s + topology->size * memory->sum_byte_s;
    struct meeting meeting = {topology->size, topology->hosts, topology->fullest,
                              topology->host_levels};
    double seconds = message_gate_s(wires, &meeting) +
                     bytes * (passes + crowding(wires, local) * added);
    double spread = link->spread;
    return (struct price){.seconds = seconds,
                          .least_s = seconds * (1 - spread),
                          .most_s = seconds * (1 + spread),
                          .wire_s = bytes * port,
                          .limit = LIMIT_LATENCY,
                          .limit_level = outermost};
}

double load_seconds(const struct load *load, const struct wires *wires, struct pace pace)
{
    return price_once(load, wires, pace).seconds;
}

double load_core_seconds(const struct load *load, const struct wires *wires, struct pace pace)
{
    double segments = ceil(pace.bytes / pace.segment_bytes);
    segments = segments < 1 ? 1 : segments;
    double ram = share_in_ram(load, wires, pace.bytes);
    return segments * cores_s(load, wires, pace.bytes / segments, ram);
}

void load_bytes(const struct load *load, double bytes, double *rank_bytes, double *port_bytes)
{
    for (int l = 0; l < load->levels; l++) {
        rank_bytes[l] = 0;
        for (int i = 0; i < load->crew_count; i++) {
            rank_bytes[l] = larger(rank_bytes[l], load->crews[i].busiest.mail[l].out * bytes);
        }
        port_bytes[l] = l == 0 ? rank_bytes[0] : load->flood.out[l] * bytes;
    }
}

/* Everybody sends its share to everybody, or rank 0 alone does. Few ranks tell so. */
static void add_told(const struct topology *topology, int tellers, double share, double *rank_bytes,
                     double *port_bytes)
{
    for (int rank = 0; rank < tellers; rank++) {
        double own[WW_LEVELS_MAX] = {0};
        double unit[WW_LEVELS_MAX] = {0}; /* of its unit in the level below */
        for (int from = 0; from < tellers; from++) {
            for (int to = 0; to < topology->size; to++) {
                int level = topology_level(topology, from, to);
                bool beside = from == rank || topology_level(topology, rank, from) < level;
                own[level] += from == rank && to != rank ? share : 0;
                unit[level] += beside && from != to ? share : 0;
            }
        }
        for (int l = 0; l < topology->levels; l++) {
            rank_bytes[l] = larger(rank_bytes[l], own[l]);
            port_bytes[l] = larger(port_bytes[l], unit[l]);
        }
    }
}

void announced_bytes(const struct topology *topology, enum collective collective, bool on_board,
                     double share, double *rank_bytes, double *port_bytes)
{
    bool one_tells = collective == COLLECTIVE_BROADCAST;
    for (int l = 0; l < topology->levels; l++) {
        rank_bytes[l] = port_bytes[l] = 0;
    }
    if (on_board) {
        rank_bytes[0] = port_bytes[0] = (one_tells ? 1 : topology->size - 1) * share;
    } else {
        add_told(topology, one_tells ? 1 : topology->size, share, rank_bytes, port_bytes);
    }
}
