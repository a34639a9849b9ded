/* SPDX-License-Identifier: BSD-3-Clause
 * metric.c: escapes, names and lines of Prometheus' text. */
#include "metric.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "internal/log.h"
#include "letters.h"

#define LINE_BYTES (METRIC_LABELS_BYTES + 1024)
#define NAME_BYTES 64

/* ---- Labels ------------------------------------------------------------------------------- */

/* A label that does not fit ends early rather than without its closing quote. */
static void put_value(struct metric_labels *labels, const char *value)
{
    while (*value != '\0' && labels->used + 8 < sizeof labels->text) {
        uint32_t letter;
        size_t bytes = letters_next(value, &letter);
        char *to = labels->text + labels->used;
        if (letter == '"' || letter == '\\' || letter == '\n') {
            to[0] = '\\';
            to[1] = letter == '\n' ? 'n' : (char)letter;
            labels->used += 2;
        } else if (letter == LETTER_UNKNOWN) {
            memcpy(to, "\xef\xbf\xbd", 3);
            labels->used += 3;
        } else {
            memcpy(to, value, bytes);
            labels->used += bytes;
        }
        value += bytes;
    }
}

void metric_label(struct metric_labels *labels, const char *name, const char *value)
{
    size_t least = strlen(name) + sizeof ",=\"\"";
    if (labels->used + least + 8 > sizeof labels->text) {
        log_warn("label \"%s\" has no room in the metrics and is left out there", name);
        return;
    }
    labels->used += (size_t)snprintf(labels->text + labels->used,
                                     sizeof labels->text - labels->used, "%s%s=\"",
                                     labels->used == 0 ? "" : ",", name);
    put_value(labels, value == NULL ? "" : value);
    labels->text[labels->used++] = '"';
    labels->text[labels->used] = '\0';
}

/* [a-zA-Z_][a-zA-Z0-9_]*, and two underscores at its head are Prometheus' own. */
static void make_valid(const char *name, char valid[NAME_BYTES])
{
    size_t used = 0;
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') {
        used += (size_t)snprintf(valid, NAME_BYTES, "label_");
    }
    for (; *name != '\0' && used + 1 < NAME_BYTES; name++) {
        bool plain = (unsigned char)*name < 0x80 && isalnum((unsigned char)*name);
        valid[used++] = plain ? *name : '_';
    }
    valid[used] = '\0';
    if (valid[0] == '_' && valid[1] == '_') {
        memcpy(valid, "l_", 2);
    }
}

static bool is_taken(const struct metric_labels *labels, const char *name, const char *const *taken)
{
    for (; *taken != NULL; taken++) {
        if (strcmp(*taken, name) == 0) {
            return true;
        }
    }
    char wanted[NAME_BYTES + 3];
    int length = snprintf(wanted, sizeof wanted, ",%s=\"", name);
    return strstr(labels->text, wanted) != NULL ||
           strncmp(labels->text, wanted + 1, (size_t)length - 1) == 0;
}

void metric_labels_add(struct metric_labels *labels, const struct labels *user,
                       const char *const *taken)
{
    for (int i = 0; i < user->count; i++) {
        char name[NAME_BYTES];
        make_valid(user->label[i].name, name);
        if (is_taken(labels, name, taken)) {
            log_warn("label \"%s\" is left out of the metrics: %s is there already; give it "
                     "another name in WIREWISE_LABELS",
                     user->label[i].name, name);
            continue;
        }
        metric_label(labels, name, user->label[i].value);
    }
}

/* ---- Lines -------------------------------------------------------------------------------- */

void metric_head(struct output_file *file, const char *name, const char *type, const char *help)
{
    char line[512];
    int length = snprintf(line, sizeof line, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                          type);
    output_put(file, line, (size_t)length);
}

static void put_sample(struct output_file *file, const char *name,
                       const struct metric_labels *labels, const struct metric_extra *extra,
                       const char *value)
{
    char line[LINE_BYTES];
    struct metric_labels last = {0};
    if (extra != NULL) {
        metric_label(&last, extra->name, extra->value);
    }
    int length = snprintf(line, sizeof line, "%s{%s%s%.512s} %s\n", name, labels->text,
                          extra == NULL ? "" : ",", last.text, value);
    output_put(file, line, (size_t)length);
}

void metric_sample(struct output_file *file, const char *name, const struct metric_labels *labels,
                   const struct metric_extra *extra, double value)
{
    char text[NUMBER_BYTES] = "NaN"; /* which Prometheus takes */
    if (isfinite(value)) {
        letters_number(value, text);
    } else if (!isnan(value)) {
        snprintf(text, sizeof text, "%s", value > 0 ? "+Inf" : "-Inf");
    }
    put_sample(file, name, labels, extra, text);
}

void metric_count(struct output_file *file, const char *name, const struct metric_labels *labels,
                  const struct metric_extra *extra, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_sample(file, name, labels, extra, text);
}
