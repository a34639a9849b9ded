/* SPDX-License-Identifier: BSD-3-Clause
 * metric.h: the text format of Prometheus: names, labels, samples. */
#ifndef REPORT_METRIC_H
#define REPORT_METRIC_H

#include "labels.h"
#include "output_file.h"

#define METRIC_LABELS_BYTES 4096

/* What a run says with each of its samples: run, rank, host and the user's labels. */
struct metric_labels {
    size_t used;
    char text[METRIC_LABELS_BYTES]; /* run="a",rank="0" */
};

/* Appends name="value", escaped. */
void metric_label(struct metric_labels *labels, const char *name, const char *value);

/* Appends the user's labels under names that Prometheus takes; one that is there already, or is in
 * taken[] (ended by NULL), is left out with a warning. */
void metric_labels_add(struct metric_labels *labels, const struct labels *user,
                       const char *const *taken);

/* One metric; samples come after it. */
void metric_head(struct output_file *file, const char *name, const char *type, const char *help);

/* labels and one more, or NULL. */
struct metric_extra {
    const char *name;
    const char *value;
};
void metric_sample(struct output_file *file, const char *name, const struct metric_labels *labels,
                   const struct metric_extra *extra, double value);
void metric_count(struct output_file *file, const char *name, const struct metric_labels *labels,
                  const struct metric_extra *extra, uint64_t value);

#endif
