/* SPDX-License-Identifier: BSD-3-Clause
 * labels.c: cuts a run's labels at commas and equals signs. */
#include "labels.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "internal/log.h"

/* Without blanks at either end. */
static char *trimmed(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1])) {
        length--;
    }
    text[length] = '\0';
    return text;
}

static bool is_known(const struct labels *labels, const char *name)
{
    for (int i = 0; i < labels->count; i++) {
        if (strcmp(labels->label[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* `part` is one of the label's own, to be cut further. */
static void add(struct labels *labels, char *part)
{
    char *equals = strchr(part, '=');
    if (equals == NULL) {
        log_warn("label \"%s\" has no value and is left out: WIREWISE_LABELS is name=value,...",
                 part);
        return;
    }
    *equals = '\0';
    const char *name = trimmed(part);
    if (*name == '\0' || is_known(labels, name)) {
        log_warn("label \"%s\" %s and is left out: give each label of WIREWISE_LABELS a name of "
                 "its own",
                 name, *name == '\0' ? "has no name" : "is there twice");
        return;
    }
    if (labels->count == LABELS_MAX) {
        log_warn("label \"%s\" is left out: %d are allowed", name, LABELS_MAX);
        return;
    }
    labels->label[labels->count].name = name;
    labels->label[labels->count].value = trimmed(equals + 1);
    labels->count++;
}

void labels_parse(const char *text, struct labels *labels)
{
    labels->count = 0;
    snprintf(labels->text, sizeof labels->text, "%s", text == NULL ? "" : text);
    for (char *part = labels->text; part != NULL;) {
        char *comma = strchr(part, ',');
        if (comma != NULL) {
            *comma++ = '\0';
        }
        part = trimmed(part);
        if (*part != '\0') {
            add(labels, part);
        }
        part = comma;
    }
}
