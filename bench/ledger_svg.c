/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_svg.c: draws a run: above the seconds saved so far, with their band, below what each step
 * spent in communication. Long runs are drawn in bins, so that the picture stays small. */
#include "ledger_faces.h"

#include <math.h>
#include <string.h>

#include "ledger_words.h"
#include "svg.h"

#define LEFT 84.0 /* of the panels, in user units, which are pixels at 100 % */
#define WIDTH 680.0
#define HEIGHT 190.0
#define TOP 78.0
#define GAP 70.0 /* between the panels */
#define BINS 500
#define TITLE_LETTERS 80
#define MARKS_MOST 24

/* Some lines that follow each other, at the last one's step. */
struct bin {
    double step;
    struct interval saved;  /* seconds, from the run's begin on */
    double communication_s; /* of one step, in the mean */
    double exposed_s;
    double steps;
};

struct picture {
    const struct ledger *ledger;
    struct bin bins[BINS];
    size_t count;
    double first_step;
    double last_step;
};

/* One pair of axes. */
struct panel {
    double top;
    double low; /* of its values, in units */
    double high;
    double step;
    double unit; /* seconds */
    const char *unit_name;
};

/* ---- What is drawn ----------------------------------------------------------------------------*/

static double known_or_zero(double value)
{
    return isfinite(value) ? value : 0;
}

static void fill_bins(struct picture *picture, const struct ledger *ledger)
{
    struct interval saved = {0, 0, 0};
    picture->count = ledger->line_count < BINS ? ledger->line_count : BINS;
    for (size_t i = 0; i < ledger->line_count; i++) {
        const struct ledger_line *line = &ledger->lines[i];
        const double *numbers = line->numbers;
        size_t place = picture->count == ledger->line_count
                           ? i
                           : (size_t)((double)i / (double)ledger->line_count * BINS);
        struct bin *bin = &picture->bins[place];
        saved.low += known_or_zero(line->saved.low);
        saved.estimate += known_or_zero(line->saved.estimate);
        saved.high += known_or_zero(line->saved.high);
        bin->step = numbers[LEDGER_STEP];
        bin->saved = saved;
        bin->steps += numbers[LEDGER_STEPS];
        bin->communication_s += known_or_zero(numbers[LEDGER_COMMUNICATION_S]);
        bin->exposed_s += known_or_zero(numbers[LEDGER_EXPOSED_S]);
    }
    for (size_t i = 0; i < picture->count; i++) {
        picture->bins[i].communication_s /= picture->bins[i].steps;
        picture->bins[i].exposed_s /= picture->bins[i].steps;
    }
}

static struct picture make_picture(const struct ledger *ledger)
{
    struct picture picture = {.ledger = ledger, .first_step = 0, .last_step = 1};
    fill_bins(&picture, ledger);
    if (picture.count > 0) {
        picture.last_step = picture.bins[picture.count - 1].step;
    }
    return picture;
}

/* A scale that holds both values and 0. */
static struct panel make_panel(double top, double low, double high)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"hours", 7200}, {"minutes", 120}, {"seconds", 1}, {"ms", 1e-3}, {"us", 1e-6}};
    static const double sizes[] = {3600, 60, 1, 1e-3, 1e-6};
    double greatest = fmax(fabs(low), fabs(high));
    if (!(greatest > 1e-9 && greatest < 1e15)) { /* nothing, or nonsense */
        low = 0;
        high = greatest = 1;
    }
    size_t unit = 0;
    while (unit < 4 && greatest < units[unit].seconds) {
        unit++;
    }
    struct panel panel = {.top = top, .unit = sizes[unit], .unit_name = units[unit].name};
    panel.step = svg_step((fmax(high, 0) - fmin(low, 0)) / panel.unit);
    panel.low = floor(fmin(low, 0) / panel.unit / panel.step) * panel.step;
    panel.high = ceil(fmax(high, 0) / panel.unit / panel.step * 1.001) * panel.step;
    return panel;
}

/* ---- Drawing ----------------------------------------------------------------------------------*/

static double x_of(const struct picture *picture, double step)
{
    return LEFT + WIDTH * (step - picture->first_step) / (picture->last_step - picture->first_step);
}

static double y_of(const struct panel *panel, double seconds)
{
    double value = fmin(fmax(seconds / panel->unit, panel->low), panel->high);
    return panel->top + HEIGHT * (panel->high - value) / (panel->high - panel->low);
}

static void draw_values(FILE *to, const struct panel *panel)
{
    int first = (int)lround(panel->low / panel->step);
    int last = (int)lround(panel->high / panel->step);
    for (int i = first; i <= last && i < first + MARKS_MOST; i++) {
        double y = y_of(panel, i * panel->step * panel->unit);
        fprintf(to, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"%s\"/>\n", LEFT, y, LEFT + WIDTH,
                i == 0 ? "#404040" : "#d8d8d8");
        fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n", LEFT - 8,
                y + 4, i * panel->step);
    }
}

static void draw_steps(FILE *to, const struct picture *picture, const struct panel *panel)
{
    double step = fmax(1, svg_step(picture->last_step));
    for (int i = 0; i <= MARKS_MOST && i * step <= picture->last_step; i++) {
        double x = x_of(picture, i * step);
        fprintf(to, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>\n", x, panel->top,
                panel->top + HEIGHT, i == 0 ? "#404040" : "#e8e8e8");
        fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.9g</text>\n", x,
                panel->top + HEIGHT + 18, i * step);
    }
}

static void draw_panel(FILE *to, const struct picture *picture, const struct panel *panel,
                       const char *title)
{
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", LEFT,
            panel->top - 10, title);
    draw_steps(to, picture, panel);
    draw_values(to, panel);
    fprintf(to,
            "<text transform=\"translate(22 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
            panel->top + HEIGHT / 2, panel->unit_name);
}

/* One of a bin's numbers. */
static double number_of(const struct bin *bin, size_t offset)
{
    return *(const double *)(const void *)((const char *)bin + offset);
}

static void draw_curve(FILE *to, const struct picture *picture, const struct panel *panel,
                       size_t offset, const char *colour)
{
    fprintf(to, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" points=\"", colour);
    for (size_t i = 0; i < picture->count; i++) {
        fprintf(to, "%.1f,%.1f ", x_of(picture, picture->bins[i].step),
                y_of(panel, number_of(&picture->bins[i], offset)));
    }
    fputs("\"/>\n", to);
}

static void draw_band(FILE *to, const struct picture *picture, const struct panel *panel)
{
    fprintf(to, "<polygon fill=\"%s\" fill-opacity=\"0.22\" points=\"", svg_colours[0]);
    for (size_t i = 0; i < picture->count; i++) {
        fprintf(to, "%.1f,%.1f ", x_of(picture, picture->bins[i].step),
                y_of(panel, picture->bins[i].saved.high));
    }
    for (size_t i = picture->count; i > 0; i--) {
        fprintf(to, "%.1f,%.1f ", x_of(picture, picture->bins[i - 1].step),
                y_of(panel, picture->bins[i - 1].saved.low));
    }
    fputs("\"/>\n", to);
}

/* An entry of a legend, so far left of the panel's right end. */
static void draw_entry(FILE *to, const struct panel *panel, double left, const char *colour,
                       const char *name)
{
    double x = LEFT + WIDTH - left;
    fprintf(to, "<path d=\"M%.1f %.1fh26\" stroke=\"%s\" stroke-width=\"3\"/>\n", x,
            panel->top - 14, colour);
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 32, panel->top - 10, name);
}

static void draw_title(FILE *to, const struct finding *finding)
{
    const struct ledger *ledger = finding->account.ledger;
    char saving[192];
    const char *run = ledger->texts[LEDGER_RUN];
    finding_saving(&finding->account, saving, sizeof(saving));
    fprintf(to, "<text x=\"%.1f\" y=\"26\" font-size=\"16\" font-weight=\"bold\">", LEFT);
    svg_text(to, run[0] != '\0' ? run : ledger->path, TITLE_LETTERS);
    fprintf(to, "</text>\n<text x=\"%.1f\" y=\"46\" fill=\"#404040\">codec ", LEFT);
    svg_text(to, ledger->texts[LEDGER_CODEC], 24);
    bool lost = account_verdict(&finding->account) == VERDICT_LOST;
    fprintf(to, ", %s ranks; %s", word_count(ledger->facts[LEDGER_RANKS]).text,
            lost ? "" : "saved: ");
    svg_text(to, saving, sizeof(saving));
    fputs("</text>\n", to);
}

static void draw_saved(FILE *to, const struct picture *picture)
{
    double low = 0;
    double high = 0;
    for (size_t i = 0; i < picture->count; i++) {
        low = fmin(low, picture->bins[i].saved.low);
        high = fmax(high, picture->bins[i].saved.high);
    }
    struct panel panel = make_panel(TOP, low, high);
    draw_panel(to, picture, &panel, "saved so far, against dense; negative: lost");
    draw_band(to, picture, &panel);
    draw_curve(to, picture, &panel, offsetof(struct bin, saved.estimate), svg_colours[0]);
    draw_entry(to, &panel, 220, svg_colours[0], "estimate and 95 % interval");
}

static void draw_communication(FILE *to, const struct picture *picture)
{
    double high = 0;
    for (size_t i = 0; i < picture->count; i++) {
        high = fmax(high, fmax(picture->bins[i].communication_s, picture->bins[i].exposed_s));
    }
    struct panel panel = make_panel(TOP + HEIGHT + GAP, 0, high);
    draw_panel(to, picture, &panel, "communication of a step");
    draw_curve(to, picture, &panel, offsetof(struct bin, communication_s), svg_colours[2]);
    draw_curve(to, picture, &panel, offsetof(struct bin, exposed_s), svg_colours[1]);
    draw_entry(to, &panel, 290, svg_colours[2], "communication");
    draw_entry(to, &panel, 150, svg_colours[1], "not hidden");
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">step</text>\n",
            LEFT + WIDTH / 2, panel.top + HEIGHT + 38);
}

void finding_draw(FILE *to, const void *what)
{
    const struct finding *finding = what;
    struct picture picture = make_picture(finding->account.ledger);
    double width = LEFT + WIDTH + 40;
    double height = TOP + 2 * HEIGHT + GAP + 56;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n"
            "<title>Seconds saved and communication over steps</title>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
            width, height, width, height);
    draw_title(to, finding);
    draw_saved(to, &picture);
    draw_communication(to, &picture);
    fprintf(to, "</svg>\n");
}
