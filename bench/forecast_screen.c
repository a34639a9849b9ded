/* SPDX-License-Identifier: BSD-3-Clause
 * forecast_screen.c: a forecast for people. */
#include "forecast.h"

#include <string.h>

#include "text.h"

#define CELL_BYTES 48

/* "12.3 us", "4.56 ms", "7.89 s" */
static const char *time_text(double seconds, char text[CELL_BYTES])
{
    if (seconds < 999.5e-6) {
        snprintf(text, CELL_BYTES, "%.3g us", seconds * 1e6);
    } else if (seconds < 999.5e-3) {
        snprintf(text, CELL_BYTES, "%.3g ms", seconds * 1e3);
    } else {
        snprintf(text, CELL_BYTES, seconds < 1000 ? "%.3g s" : "%.0f s", seconds);
    }
    return text;
}

static const char *bytes_text(double bytes, char text[CELL_BYTES])
{
    text_size((size_t)(bytes + 0.5), text, CELL_BYTES);
    return text;
}

/* "-" where there is no wire, as between the GPUs of a node that has one. */
static const char *rate_text(double gb_s, char text[CELL_BYTES])
{
    if (gb_s <= 0) {
        snprintf(text, CELL_BYTES, "-");
    } else {
        snprintf(text, CELL_BYTES, "%.3g GB/s", gb_s);
    }
    return text;
}

/* ---- The cluster ----------------------------------------------------------------------------- */

static void print_cluster(const struct ww_forecast_cluster *cluster, FILE *to)
{
    fprintf(to, "Cluster    %s: %d rank%s on %d node%s, %s; gradients in the memory of %s\n",
            cluster->name, cluster->ranks, cluster->ranks == 1 ? "" : "s", cluster->nodes,
            cluster->nodes == 1 ? "" : "s",
            strcmp(cluster->placement, "slot") == 0 ? "dealt out to the nodes one by one"
                                                    : "one node after the other",
            strcmp(cluster->device, "gpu") == 0 ? "GPUs" : "hosts");
    for (int i = 0; i < cluster->shape_count; i++) {
        const struct ww_forecast_shape *shape = &cluster->shapes[i];
        fprintf(to, "%-10s %s: %d node%s of %d rank%s; %s\n", i == 0 ? "Shapes" : "", shape->name,
                shape->nodes, shape->nodes == 1 ? "" : "s", shape->ranks,
                shape->ranks == 1 ? "" : "s", shape->about);
    }
}

static void print_levels(const struct ww_forecast_cluster *cluster, FILE *to)
{
    fprintf(to, "%-10s %-8s %6s %9s  %-16s %10s %12s %12s of a ...  %s\n", "Levels", "level",
            "units", "ranks", "wire", "latency", "a message", "all", "source");
    for (int i = 0; i < cluster->level_count; i++) {
        const struct ww_forecast_level *level = &cluster->levels[i];
        char ranks[CELL_BYTES];
        char latency[CELL_BYTES];
        char flow[CELL_BYTES];
        char port[CELL_BYTES];
        if (level->ranks_least == level->ranks_most) {
            snprintf(ranks, sizeof ranks, "%d", level->ranks_most);
        } else {
            snprintf(ranks, sizeof ranks, "%d..%d", level->ranks_least, level->ranks_most);
        }
        fprintf(to, "%-10s %-8s %6d %9s  %-16s %10s %12s %12s %-8s  %s, +-%.0f %%\n", "",
                level->name, level->units, ranks, level->wire, time_text(level->latency_s, latency),
                rate_text(level->flow_gb_s, flow), rate_text(level->port_gb_s, port), level->from,
                level->source, 100 * level->spread);
    }
}

static void print_notes(const struct forecast_wishes *wishes,
                        const struct ww_forecast_cluster *cluster, FILE *to)
{
    for (int i = 0; i < cluster->note_count; i++) {
        fprintf(to, "%-10s %s\n", i == 0 ? "Assumed" : "", cluster->notes[i]);
    }
    for (int i = 0; i < wishes->what_if_count; i++) {
        fprintf(to, "%-10s the wires of level %s were %g times as fast\n", i == 0 ? "What if" : "",
                wishes->what_if[i].level, wishes->what_if[i].factor);
    }
}

/* ---- Prices ---------------------------------------------------------------------------------- */

static void print_row(const char *size, const struct ww_forecast_row *row, FILE *to)
{
    char segment[CELL_BYTES];
    char time[CELL_BYTES];
    char least[CELL_BYTES];
    char most[CELL_BYTES];
    fprintf(to, "%10s  %-27s %9s %10s %10s %10s %8.4g %8.4g  %s\n", size, row->algorithm,
            bytes_text(row->segment_bytes, segment), time_text(row->seconds, time),
            time_text(row->least_s, least), time_text(row->most_s, most), row->algbw_gb_s,
            row->busbw_gb_s, row->limit);
}

static void print_prices(const struct forecast_wishes *wishes,
                         const struct forecast_result *results, FILE *to)
{
    fprintf(to, "\n%s%s\n%10s  %-27s %9s %10s %10s %10s %8s %8s  %s\n", wishes->collective,
            wishes->all ? ", the fastest first" : "", "bytes", "plan", "segment", "time", "least",
            "most", "algbw", "busbw", "what limits");
    for (int i = 0; i < wishes->size_count; i++) {
        char size[CELL_BYTES];
        bytes_text(results[i].bytes, size);
        for (int r = 0; r < results[i].count; r++) {
            print_row(r == 0 ? size : "", &results[i].rows[r], to);
        }
    }
}

/* What the first plan of each size moves. */
static void print_bytes(const struct forecast_wishes *wishes,
                        const struct ww_forecast_cluster *cluster,
                        const struct forecast_result *results, FILE *to)
{
    fprintf(to, "\n%10s  bytes that leave ...\n%10s  %11s %11s", wishes->all ? "fastest" : "", "",
            cluster->ports > 0 ? "a NIC" : "", "a node");
    for (int level = 0; level < cluster->level_count; level++) {
        char title[CELL_BYTES];
        snprintf(title, sizeof title, "%.8s: a rank", cluster->levels[level].name);
        fprintf(to, "  %16s", title);
        if (level > 0) {
            snprintf(title, sizeof title, "a %.8s", cluster->levels[level].from);
            fprintf(to, " %10s", title);
        }
    }
    fputc('\n', to);
    for (int i = 0; i < wishes->size_count; i++) {
        const struct ww_forecast_row *row = &results[i].rows[0];
        char cell[CELL_BYTES];
        fprintf(to, "%10s", bytes_text(results[i].bytes, cell));
        fprintf(to, "  %11s", cluster->ports > 0 ? bytes_text(row->nic_bytes, cell) : "");
        fprintf(to, " %11s", bytes_text(row->node_bytes, cell));
        for (int level = 0; level < cluster->level_count; level++) {
            fprintf(to, "  %16s", bytes_text(row->rank_bytes[level], cell));
            if (level > 0) {
                fprintf(to, " %10s", bytes_text(row->port_bytes[level], cell));
            }
        }
        fputc('\n', to);
    }
}

static void print_codecs(const struct ww_forecast_cluster *cluster, FILE *to)
{
    char rate[CELL_BYTES];
    if (cluster->codec_count == 0) {
        return;
    }
    fprintf(to,
            "\nlarge fp32 vectors, encoded between the outermost units; a rank's share of those "
            "wires is %s%s\n%10s  %9s  %18s  %10s\n",
            rate_text(cluster->rank_gb_s, rate),
            strcmp(cluster->device, "gpu") == 0
                ? "\n(GPUs are taken to encode at the speed of their memory)"
                : "",
            "codec", "of fp32", "pays below a rank's", "gain here");
    for (int i = 0; i < cluster->codec_count; i++) {
        const struct ww_forecast_codec *codec = &cluster->codecs[i];
        fprintf(to, "%10s  %7.2f %%  %18s  %8.3g x\n", codec->name, 100 * codec->bytes_share,
                rate_text(codec->break_even_gb_s, rate), codec->gain);
    }
}

void forecast_print(const struct forecast_wishes *wishes, const struct ww_forecast_cluster *cluster,
                    const struct forecast_result *results, FILE *to)
{
    print_cluster(cluster, to);
    print_levels(cluster, to);
    print_notes(wishes, cluster, to);
    print_prices(wishes, results, to);
    print_bytes(wishes, cluster, results, to);
    if (strcmp(wishes->collective, "all_reduce") == 0) {
        print_codecs(cluster, to);
    }
}
