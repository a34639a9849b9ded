/* SPDX-License-Identifier: BSD-3-Clause
 * labels.h: what WIREWISE_LABELS says, "team=vision,price=spot", in pieces. */
#ifndef REPORT_LABELS_H
#define REPORT_LABELS_H

#define LABELS_MAX 32
#define LABELS_BYTES 1024

struct labels {
    int count;
    struct {
        const char *name; /* in text; neither empty nor twice */
        const char *value;
    } label[LABELS_MAX];
    char text[LABELS_BYTES];
};

/* NULL and "" are no labels. A part that is none is left out, with a warning. */
void labels_parse(const char *text, struct labels *labels);

#endif
