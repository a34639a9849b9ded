/* SPDX-License-Identifier: BSD-3-Clause
 * table.c: the table of nccl-tests, and our own blocks behind it. Widths, blanks at the ends of
 * lines included, are part of what tools expect; do not tidy them. */
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
        fprintf(out, "#  Rank %2d Group %2d Pid %6d on %10s device %2d [%04x:%02x:%02x] %s\n", rank,
                0, places[rank].pid, places[rank].host, 0, 0, 0, 0, "cpu");
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
    fflush(out);
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
    if (figures->checked) {
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

void calls_columns(FILE *out)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "# Time per call on the slowest rank, in microseconds\n");
    fprintf(out, "# %12s  %8s  %6s  %6s  %12s  %8s  %7s  %10s  %10s  %10s  %10s  %10s\n", "size",
            "type", "redop", "root", "place", "codec", "calls", "median", "p10", "p90", "p99",
            "min");
}

void calls_row(FILE *out, const struct subject *subject, bool in_place, const char *codec,
               const struct figures *figures)
{
    if (out == NULL) {
        return;
    }
    const struct summary *times = &figures->per_call;
    fprintf(out, "# %12zu  %8s  %6s  %6d  %12s  %8s  %7d  %10.2f  %10.2f  %10.2f  %10.2f  %10.2f\n",
            subject->bytes, subject->type, subject->op, subject->root,
            in_place ? "in-place" : "out-of-place", codec, figures->calls, times->median * 1e6,
            times->p10 * 1e6, times->p90 * 1e6, times->p99 * 1e6, times->min * 1e6);
}

void contest_columns(FILE *out, const char *peer)
{
    if (out == NULL) {
        return;
    }
    fprintf(out,
            "#\n# Versus MPI_Allreduce of %s: in place, in turn, the same malloc'd buffers, "
            "microseconds on the slowest rank\n",
            peer);
    fprintf(out, "# %12s  %8s  %6s  %7s  %6s  %12s  %12s  %8s  %8s  %8s\n", "size", "type", "redop",
            "rounds", "batch", "wirewise", "mpi", "mpi/ww", "p10", "p90");
}

void contest_row(FILE *out, const struct subject *subject, const struct contest *contest)
{
    if (out == NULL) {
        return;
    }
    fprintf(out, "# %12zu  %8s  %6s  %7d  %6d  %12.2f  %12.2f  %8.3f  %8.3f  %8.3f\n",
            subject->bytes, subject->type, subject->op, contest->rounds, contest->batch,
            contest->ours.median * 1e6, contest->peers.median * 1e6,
            contest->peers.median / contest->ours.median, contest->ratio.p10, contest->ratio.p90);
    fflush(out);
}
