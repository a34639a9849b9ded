/* SPDX-License-Identifier: BSD-3-Clause
 * plot.c: draws. Sizes stand on a logarithmic axis with marks at powers of two, bandwidths on a
 * linear one from 0. Marks differ in shape beside colour, and the peer's lines are dashed. */
#include "plot.h"

#include <math.h>
#include <string.h>

#include "svg.h"
#include "text.h"

#define LEFT 78.0 /* of the drawing, in user units, which are pixels at 100 % */
#define TOP 74.0
#define WIDTH 660.0
#define HEIGHT 400.0
#define LEGEND_LEFT (LEFT + WIDTH + 24.0)
#define LEGEND_STEP 21.0
#define LETTER_WIDTH 6.7 /* of the legend's letters, about */
#define TITLE_LETTERS 88
#define MARKS_MOST 10 /* sizes that are written out */

/* The axes: sizes 2^from .. 2^to, bandwidths 0 .. gbps in steps. */
struct axes {
    int from;
    int to;
    double gbps;
    double step;
};

static double x_of(const struct axes *axes, double bytes)
{
    return LEFT + WIDTH * (log2(bytes) - axes->from) / (axes->to - axes->from);
}

static double y_of(const struct axes *axes, double gbps)
{
    return TOP + HEIGHT * (1.0 - gbps / axes->gbps);
}

static struct axes make_axes(const struct curves *curves)
{
    double least = INFINITY;
    double most = 0.0;
    double gbps = 0.0;
    for (size_t i = 0; i < curves->count; i++) {
        for (size_t j = 0; j < curves->curves[i].count; j++) {
            struct point point = curves->curves[i].points[j];
            least = fmin(least, point.bytes);
            most = fmax(most, point.bytes);
            gbps = isfinite(point.gbps) ? fmax(gbps, point.gbps) : gbps;
        }
    }
    struct axes axes = {0, 1, gbps > 0 ? gbps : 1.0, 0};
    if (most > 0) {
        axes.from = (int)floor(log2(least));
        axes.to = (int)ceil(log2(most));
    }
    if (axes.to == axes.from) { /* a single size stands in the middle */
        axes.from--;
        axes.to++;
    }
    axes.step = svg_step(axes.gbps);
    axes.gbps = ceil(axes.gbps / axes.step * 1.02) * axes.step;
    return axes;
}

static void draw_size_mark(FILE *to, const struct axes *axes, int power, bool named)
{
    double x = x_of(axes, pow(2, power));
    fprintf(to, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>\n", x, TOP, TOP + HEIGHT,
            named ? "#d8d8d8" : "#f0f0f0");
    if (named) {
        char text[24];
        text_size((size_t)pow(2, power > 0 ? power : 0), text, sizeof(text));
        fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x,
                TOP + HEIGHT + 20, text);
    }
}

static void draw_axes(FILE *to, const struct axes *axes)
{
    int every = (axes->to - axes->from + MARKS_MOST - 1) / MARKS_MOST;
    for (int power = axes->from; power <= axes->to; power++) {
        draw_size_mark(to, axes, power, (power - axes->from) % every == 0 && power >= 0);
    }
    int steps = (int)lround(axes->gbps / axes->step);
    for (int i = 0; i <= steps; i++) {
        double y = y_of(axes, i * axes->step);
        fprintf(to, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", LEFT, y, LEFT + WIDTH,
                i == 0 ? "#404040" : "#d8d8d8");
        fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n", LEFT - 8,
                y + 4, i * axes->step);
    }
    fprintf(to, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#404040\"/>\n", LEFT, TOP, TOP + HEIGHT);
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">size per rank</text>\n",
            LEFT + WIDTH / 2, TOP + HEIGHT + 44);
    fprintf(to,
            "<text transform=\"translate(20 %.1f) rotate(-90)\" text-anchor=\"middle\">"
            "bus bandwidth in GB/s (10&#8313; bytes per second)</text>\n",
            TOP + HEIGHT / 2);
}

/* A mark around (x, y); the shape tells families apart where colours repeat or do not print. */
static void draw_mark(FILE *to, const struct curve *curve, double x, double y)
{
    const char *colour = svg_colours[(size_t)curve->family % SVG_COLOURS];
    const char *inside = curve->dashed ? "#ffffff" : colour;
    switch (curve->family % 4) {
    case 0:
        fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\"", x, y);
        break;
    case 1:
        fprintf(to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"6.4\" height=\"6.4\"", x - 3.2, y - 3.2);
        break;
    case 2:
        fprintf(to, "<path d=\"M%.1f %.1fl4.2 7.4h-8.4z\"", x, y - 4.6);
        break;
    default:
        fprintf(to, "<path d=\"M%.1f %.1fl4.4 4.4l-4.4 4.4l-4.4 -4.4z\"", x, y - 4.4);
    }
    fprintf(to, " fill=\"%s\" stroke=\"%s\" stroke-width=\"1.4\"", inside, colour);
}

static void draw_line_style(FILE *to, const struct curve *curve)
{
    fprintf(to, "fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s",
            svg_colours[(size_t)curve->family % SVG_COLOURS],
            curve->dashed ? " stroke-dasharray=\"6 4\"" : "");
}

static void draw_curve(FILE *to, const struct axes *axes, const struct curve *curve)
{
    fprintf(to, "<polyline ");
    draw_line_style(to, curve);
    fprintf(to, " points=\"");
    for (size_t i = 0; i < curve->count; i++) {
        if (isfinite(curve->points[i].gbps)) {
            fprintf(to, "%.1f,%.1f ", x_of(axes, curve->points[i].bytes),
                    y_of(axes, curve->points[i].gbps));
        }
    }
    fprintf(to, "\"/>\n");
    for (size_t i = 0; i < curve->count; i++) {
        struct point point = curve->points[i];
        if (isfinite(point.gbps)) {
            char size[24];
            text_size((size_t)point.bytes, size, sizeof(size));
            draw_mark(to, curve, x_of(axes, point.bytes), y_of(axes, point.gbps));
            fprintf(to, "><title>%s, %s: %.4g GB/s</title></%s>\n", curve->name, size, point.gbps,
                    curve->family % 4 == 0   ? "circle"
                    : curve->family % 4 == 1 ? "rect"
                                             : "path");
        }
    }
}

static void draw_legend(FILE *to, const struct curves *curves)
{
    for (size_t i = 0; i < curves->count; i++) {
        const struct curve *curve = &curves->curves[i];
        double y = TOP + 10 + (double)i * LEGEND_STEP;
        fprintf(to, "<path d=\"M%.1f %.1fh34\" ", LEGEND_LEFT, y);
        draw_line_style(to, curve);
        fprintf(to, "/>\n");
        draw_mark(to, curve, LEGEND_LEFT + 17, y);
        fprintf(to, "/>\n<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", LEGEND_LEFT + 42, y + 4,
                curve->name);
    }
}

static void write_command(const struct options *options, char *text, size_t bytes)
{
    size_t used = 0;
    for (int i = 0; i < options->argc && used < bytes; i++) {
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i > 0 ? " " : "",
                                 options->argv[i]);
    }
}

static void draw_title(FILE *to, const struct report *report)
{
    const struct options *options = report->options;
    char command[1024];
    char date[32];
    write_command(options, command, sizeof(command));
    report_time(report->begin, date, sizeof(date));
    fprintf(to, "<text x=\"%.1f\" y=\"28\" font-size=\"16\" font-weight=\"bold\">", LEFT);
    svg_text(to, command, TITLE_LETTERS);
    fprintf(to, "</text>\n<text x=\"%.1f\" y=\"50\" fill=\"#404040\">", LEFT);
    int hosts = places_host_count(report->places, report->size);
    fprintf(to, "%s, %d %s%s on ", options->collective->name, report->size,
            options->processes ? "rank" : "thread", report->size > 1 ? "s" : "");
    if (hosts > 1) {
        fprintf(to, "%d hosts from ", hosts);
    }
    svg_text(to, report->places[0].host, 64);
    fprintf(to, " (");
    svg_text(to, report->places[0].cpu, 64);
    fprintf(to, "), ");
    if (report->gpu_way[0] != '\0') {
        svg_text(to, report->gpu_way, 64);
        fprintf(to, ", ");
    }
    if (options->over_mpi) {
        svg_text(to, report->mpi, 64);
        fprintf(to, ", ");
    }
    fprintf(to, "wirewise %s, %.10s %.5s UTC</text>\n", ww_version(), date, date + 11);
}

/* Room for the longest name of the legend. */
static double whole_width(const struct curves *curves)
{
    size_t longest = 0;
    for (size_t i = 0; i < curves->count; i++) {
        size_t length = strlen(curves->curves[i].name);
        longest = length > longest ? length : longest;
    }
    return LEGEND_LEFT + 42 + (double)longest * LETTER_WIDTH + 20;
}

void plot_write(FILE *to, const void *what)
{
    const struct plot *plot = what;
    const struct curves *curves = plot->curves;
    struct axes axes = make_axes(curves);
    double width = fmax(whole_width(curves), LEFT + 760);
    double height = fmax(TOP + HEIGHT + 62, TOP + 24 + (double)curves->count * LEGEND_STEP);
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n"
            "<title>Bus bandwidth of %s over size</title>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            width, height, width, height, plot->report->options->collective->name);
    draw_title(to, plot->report);
    draw_axes(to, &axes);
    for (size_t i = 0; i < curves->count; i++) {
        draw_curve(to, &axes, &curves->curves[i]);
    }
    draw_legend(to, curves);
    fprintf(to, "</svg>\n");
}
