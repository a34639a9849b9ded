/* SPDX-License-Identifier: BSD-3-Clause
 * imitation.c: reads which hosts are to be imitated, and over what wires. */
#include <stdio.h>
#include <string.h>

#include "internal/log.h"
#include "line.h"
#include "quantity.h"
#include "topology.h"

#define HOSTS_USUAL 2
#define RATE_LEAST 125.0   /* bytes a second: 1 kbit */
#define LATENCY_MOST_S 1.0 /* beyond that a patience of the runtime's would end */

enum key { KEY_HOSTS, KEY_RATE, KEY_LATENCY, KEYS };

static const struct {
    const char *name;
    enum quantity quantity;
} keys[KEYS] = {{"hosts", QUANTITY_COUNT}, {"rate", QUANTITY_LIMIT}, {"latency", QUANTITY_TIME}};

struct parse {
    const char *text;
    double value[KEYS];
    bool given[KEYS];
};

static enum ww_status bad_part(const struct parse *parse, const char *part, const char *why)
{
    return log_failure(WW_BAD_CONFIG,
                       "shape is \"%s\": \"%s\" %s; it takes hosts, rate and latency, for example "
                       "\"hosts=2,rate=1gbit,latency=20us\"",
                       parse->text, part, why);
}

/* The key that the part begins with; KEYS when there is none of that name. */
static enum key key_of(const char *part)
{
    int key = 0;
    size_t length = strcspn(part, "=");
    while (key < KEYS && (part[length] != '=' || strlen(keys[key].name) != length ||
                          strncmp(part, keys[key].name, length) != 0)) {
        key++;
    }
    return (enum key)key;
}

static enum ww_status take_part(struct parse *parse, const char *part)
{
    char why[256];
    enum key key = key_of(part);
    if (key == KEYS) {
        return bad_part(parse, part, "begins with none of its keys");
    }
    if (parse->given[key]) {
        return bad_part(parse, part, "comes after another value of that key");
    }
    const char *value = part + strlen(keys[key].name) + 1;
    if (!quantity_read(keys[key].quantity, value, &parse->value[key])) {
        snprintf(why, sizeof why, "is not %s", quantity_forms[keys[key].quantity]);
        return bad_part(parse, part, why);
    }
    if (key == KEY_RATE && parse->value[key] < RATE_LEAST) {
        return bad_part(parse, part, "is too slow: at least 1kbit must pass");
    }
    if (key == KEY_LATENCY && parse->value[key] > LATENCY_MOST_S) {
        return bad_part(parse, part, "is too long: at most 1s is imitated");
    }
    parse->given[key] = true;
    return WW_OK;
}

static enum ww_status check_hosts(const struct parse *parse, double hosts, int ranks)
{
    if (hosts >= 2 && hosts <= ranks) {
        return WW_OK;
    }
    return log_failure(WW_BAD_CONFIG,
                       "shape is \"%s\": hosts is %.15g, but there are %d ranks: imitate from 2 "
                       "hosts to as many as there are ranks, or unset shape",
                       parse->text, hosts, ranks);
}

enum ww_status imitation_parse(const char *text, int ranks, struct imitation *imitation)
{
    struct parse parse = {.text = text, .value = {[KEY_HOSTS] = HOSTS_USUAL}};
    char part[96];
    enum ww_status status = WW_OK;
    if (text[0] == '\0') {
        *imitation = (struct imitation){.hosts = 0};
        return WW_OK;
    }
    for (const char *at = text; at != NULL && status == WW_OK;) {
        size_t bytes = strcspn(at, ",");
        snprintf(part, sizeof part, "%.*s", (int)bytes, at);
        status = take_part(&parse, part);
        at = at[bytes] == ',' ? at + bytes + 1 : NULL;
    }
    if (status == WW_OK && ranks == 1) {
        log_info("shape is \"%s\": one rank alone sends nothing, so nothing is imitated", text);
        *imitation = (struct imitation){.hosts = 0};
        return WW_OK;
    }
    if (status == WW_OK) {
        status = check_hosts(&parse, parse.value[KEY_HOSTS], ranks);
    }
    if (status == WW_OK) {
        *imitation = (struct imitation){.hosts = (int)parse.value[KEY_HOSTS],
                                        .byte_s = parse.given[KEY_RATE] ? 1 / parse.value[KEY_RATE]
                                                                        : 0,
                                        .latency_s = parse.value[KEY_LATENCY]};
    }
    return status;
}

/* The unit that leaves a number from 1 to 999. */
static void say_scaled(struct line *line, double value, const char *const units[], int count)
{
    int unit = 0;
    while (unit + 1 < count && value >= 999.5) {
        value /= 1000;
        unit++;
    }
    line_say(line, "%.4g %s", value, units[unit]);
}

void imitation_describe(const struct imitation *imitation, char *text, size_t bytes)
{
    static const char *const rates[] = {"kbit/s", "Mbit/s", "Gbit/s"};
    static const char *const times[] = {"ns", "us", "ms", "s"};
    struct line line = line_begin(text, bytes);
    if (imitation->byte_s > 0) {
        say_scaled(&line, 8e-3 / imitation->byte_s, rates, 3);
    } else {
        line_say(&line, "any rate");
    }
    if (imitation->latency_s > 0) {
        line_say(&line, ", ");
        say_scaled(&line, imitation->latency_s * 1e9, times, 4);
    }
}
