/* SPDX-License-Identifier: BSD-3-Clause
 * publish.c: one row per kind of file. */
#include "publish.h"

#include "curves.h"
#include "file.h"
#include "plot.h"
#include "report_csv.h"
#include "report_json.h"

static bool write_json(const struct report *report)
{
    return file_write("-J", report->options->json_path, report_json, report);
}

static bool write_csv(const struct report *report)
{
    return file_write("--csv", report->options->csv_path, report_csv, report);
}

static void write_text(FILE *to, const void *text)
{
    fputs(text, to);
}

static bool write_cluster(const struct report *report)
{
    return file_write("--cluster-file", report->options->cluster_path, write_text, report->cluster);
}

static bool write_plot(const struct report *report)
{
    struct curves curves;
    if (!curves_make(report, &curves)) {
        fprintf(stderr, "wirewise bench: --plot %s: no memory for the curves\n",
                report->options->plot_path);
        return false;
    }
    struct plot plot = {report, &curves};
    bool written = file_write("--plot", report->options->plot_path, plot_write, &plot);
    curves_free(&curves);
    return written;
}

static const struct {
    const char *flag;
    size_t offset; /* of the path in struct options; NULL there = not asked for */
    bool (*write)(const struct report *report);
} files[] = {
    {"-J", offsetof(struct options, json_path), write_json},
    {"--csv", offsetof(struct options, csv_path), write_csv},
    {"--cluster-file", offsetof(struct options, cluster_path), write_cluster},
    {"--plot", offsetof(struct options, plot_path), write_plot},
};
#define FILE_COUNT (sizeof(files) / sizeof(files[0]))

static const char *path_of(const struct options *options, size_t index)
{
    const char *field = (const char *)options + files[index].offset;
    return *(const char *const *)(const void *)field;
}

bool publish_probe(const struct options *options)
{
    bool possible = true;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        const char *path = path_of(options, i);
        possible = (path == NULL || file_probe(files[i].flag, path)) && possible;
    }
    return possible;
}

bool publish(const struct report *report)
{
    bool written = true;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        if (path_of(report->options, i) != NULL) {
            written = files[i].write(report) && written;
        }
    }
    return written;
}
