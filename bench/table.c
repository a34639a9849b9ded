/* SPDX-License-Identifier: BSD-3-Clause
 * table.c: the table of nccl-tests. Widths, blanks at the ends of lines included, are part of what
 * tools expect; do not tidy them. */
#include "table.h"

/* As many decimals, two at most, as the width has room for. */
static void fit(double value, int width, char *text, size_t bytes)
{
    for (int decimals = 2; decimals >= 0; decimals--) {
        if (snprintf(text, bytes, "%*.*f", width, decimals, value) <= width) {
            return;
        }
    }
    snprintf(text, bytes, "%*.*e", width, width >= 7 ? 1 : 0, value);
}

void table_open(FILE *out, const struct options *options, const char *mpi)
{
    if (out == NULL) {
        return;
    }
    bool by_factor = options->step_factor > 1;
    fprintf(out, "# wirewise version %s mpi=%s codec=%s\n", ww_version(), mpi, options->codec);
    fprintf(out, "# Collective test starting: %s\n", options->collective->name);
    fprintf(out,
            "# nThread %d nGpus %d minBytes %zu maxBytes %zu step: %zu(%s) warmup iters: %d "
            "iters: %d agg iters: %d validation: %d graph: %d unalign: %d\n",
            options->threads, 1, options->bytes_min, options->bytes_max,
            by_factor ? (size_t)options->step_factor : options->step_bytes,
            by_factor ? "factor" : "bytes", options->warmup_iters, options->iters, 1,
            options->checks, 0, 0);
    fprintf(out, "#\n");
}

void table_places(FILE *out, const struct place *places, int size)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "# Using devices\n");
    for (int rank = 0; rank < size; rank++) {
        const struct place *place = &places[rank];
        bool gpu = place->gpu >= 0; /* an address's last part, the function, is not printed */
        fprintf(out, "#  Rank %2d Group %2d Pid %6d on %10s device %2d [%.10s] %s\n", rank, 0,
                place->pid, place->host, gpu ? place->gpu : 0,
                gpu ? place->gpu_address : "0000:00:00", gpu ? place->gpu_name : "cpu");
    }
}

static void print_heads(FILE *out, const char *const *heads)
{
    static const int widths[] = {10, 12, 8, 6, 6, 7, 6, 6, 6, 7, 6, 6, 6};
    fprintf(out, "# %*s", widths[0], heads[0]);
    for (size_t i = 1; i < sizeof(widths) / sizeof(widths[0]); i++) {
        fprintf(out, "  %*s", widths[i], heads[i]);
    }
    fprintf(out, " \n");
}

void table_columns(FILE *out)
{
    static const char *const names[] = {"size",  "count", "type",  "redop",  "root",
                                        "time",  "algbw", "busbw", "#wrong", "time",
                                        "algbw", "busbw", "#wrong"};
    static const char *const units[] = {"(B)",    "(elements)", "",       "", "",
                                        "(us)",   "(GB/s)",     "(GB/s)", "", "(us)",
                                        "(GB/s)", "(GB/s)",     ""};
    if (out == NULL) {
        return;
    }
    fprintf(out, "#\n# %10s  %12s  %8s  %6s  %6s           %s                       %s          \n",
            "", "", "", "", "", "out-of-place", "in-place");
    print_heads(out, names);
    print_heads(out, units);
    fflush(out);
}

void table_subject(FILE *out, const struct subject *subject)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "%12zu  %12zu  %8s  %6s  %6d", subject->bytes, subject->count, subject->type,
            subject->op, subject->root);
}

void table_figures(FILE *out, const struct figures *figures)
{
    char time[24];
    char algorithm[24];
    char bus[24];
    if (out == NULL) {
        return;
    }
    fit(figures->seconds * 1e6, 7, time, sizeof(time));
    fit(figures->algorithm_gbps, 6, algorithm, sizeof(algorithm));
    fit(figures->bus_gbps, 6, bus, sizeof(bus));
    fprintf(out, "  %7s  %6s  %6s", time, algorithm, bus);
    if (figures->lossy) {
        fprintf(out, "  %6.0e", figures->error);
    } else if (figures->checked) {
        fprintf(out, "  %6g", (double)figures->wrong);
    } else {
        fprintf(out, "    N/A");
    }
}

void table_end_row(FILE *out)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "\n");
    fflush(out);
}

void table_close(FILE *out, const struct options *options, int failures, double bus_gbps_mean)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "# %-20s : %d %s\n", "Out of bounds values", failures,
            failures > 0 ? "FAILED" : "OK");
    fprintf(out, "# %-20s : %g %s\n", "Avg bus bandwidth", bus_gbps_mean, "");
    fprintf(out, "#\n# Collective test concluded: %s\n#\n", options->collective->name);
}
