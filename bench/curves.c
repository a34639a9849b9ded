/* SPDX-License-Identifier: BSD-3-Clause
 * curves.c: records come in the order of the sweep, so each curve's sizes ascend. */
#include "curves.h"

#include <stdlib.h>
#include <string.h>

#define FAMILIES_PER_CASE (2 + MEMORY_COUNT) /* placements, then memories of --versus */

/* The curve of this name, a new one at the end, or NULL. */
static struct curve *find(struct curves *curves, const char *name, size_t points_most)
{
    for (size_t i = 0; i < curves->count; i++) {
        if (strcmp(curves->curves[i].name, name) == 0) {
            return &curves->curves[i];
        }
    }
    struct curve *larger = realloc(curves->curves, (curves->count + 1) * sizeof(curves->curves[0]));
    if (larger == NULL) {
        return NULL;
    }
    curves->curves = larger;
    struct curve *curve = &curves->curves[curves->count];
    *curve = (struct curve){.points = calloc(points_most, sizeof(struct point))};
    if (curve->points == NULL) {
        return NULL;
    }
    snprintf(curve->name, sizeof(curve->name), "%s", name);
    curves->count++;
    return curve;
}

/* "float sum, in place": type and operation are named only where they differ. */
static void name_curve(const struct report *report, const struct subject *subject, const char *what,
                       char *name, size_t bytes)
{
    const struct options *options = report->options;
    if (options->type_count > 1 || (options->op_count > 1 && options->collective->has_op)) {
        snprintf(name, bytes, "%s %s, %s", subject->type, subject->op, what);
    } else {
        snprintf(name, bytes, "%s", what);
    }
}

/* The number of the record's type and operation among those of the sweep. */
static int case_of(const struct options *options, const struct job *job)
{
    int number = 0;
    for (int i = 0; i < options->type_count; i++) {
        for (int j = 0; j < options->op_count; j++) {
            if (options->types[i].type == job->type && options->ops[j].op == job->op) {
                return number;
            }
            number++;
        }
    }
    return 0;
}

static bool add(struct curves *curves, const struct report *report, const struct job *job,
                const char *what, double gbps, int family, bool dashed)
{
    char name[96];
    name_curve(report, &job->subject, what, name, sizeof(name));
    size_t points_most = report->record_count;
    struct curve *curve = find(curves, name, points_most);
    if (curve == NULL) {
        return false;
    }
    curve->family = case_of(report->options, job) * FAMILIES_PER_CASE + family;
    curve->dashed = dashed;
    curve->points[curve->count++] = (struct point){(double)job->bytes, gbps};
    return true;
}

static bool add_record(struct curves *curves, const struct report *report,
                       const struct record *record)
{
    return record->job.bytes == 0 ||
           (add(curves, report, &record->job, "out of place", record->figures[0].bus_gbps, 0,
                false) &&
            add(curves, report, &record->job, "in place", record->figures[1].bus_gbps, 1, false));
}

static bool add_contest(struct curves *curves, const struct report *report,
                        const struct contest_record *record)
{
    const struct contest *contest = &record->contest;
    const char *memory = memory_names[contest->memory];
    char ours[48];
    char peers[64];
    snprintf(ours, sizeof(ours), "versus, %s: wirewise", memory);
    snprintf(peers, sizeof(peers), "versus, %s: %s%s", memory,
             versus_peer_function(report->options),
             contest->peer_memory != contest->memory ? " (malloc)" : "");
    int family = 2 + (int)contest->memory;
    return record->job.bytes == 0 ||
           (add(curves, report, &record->job, ours, contest->bus_gbps, family, false) &&
            add(curves, report, &record->job, peers, contest->peer_bus_gbps, family, true));
}

bool curves_make(const struct report *report, struct curves *curves)
{
    *curves = (struct curves){0};
    bool room = true;
    for (size_t i = 0; i < report->record_count && room; i++) {
        room = add_record(curves, report, &report->records[i]);
    }
    for (size_t i = 0; i < report->contest_count && room; i++) {
        room = add_contest(curves, report, &report->contests[i]);
    }
    if (!room) {
        curves_free(curves);
    }
    return room;
}

void curves_free(struct curves *curves)
{
    for (size_t i = 0; i < curves->count; i++) {
        free(curves->curves[i].points);
    }
    free(curves->curves);
    *curves = (struct curves){0};
}
