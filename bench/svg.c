/* SPDX-License-Identifier: BSD-3-Clause
 * svg.c: escapes, rounds, and picks colours. */
#include "svg.h"

#include <math.h>
#include <stdbool.h>

#include "text.h"

const char *const svg_colours[SVG_COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#e69f00", "#56b4e9", "#000000"};

void svg_text(FILE *to, const char *text, size_t most)
{
    for (size_t letters = 0; *text != '\0' && letters < most; letters++) {
        uint32_t letter;
        text += text_letter(text, &letter);
        if (letter == '<') {
            fputs("&lt;", to);
        } else if (letter == '>') {
            fputs("&gt;", to);
        } else if (letter == '&') {
            fputs("&amp;", to);
        } else {
            bool held = letter >= 0x20 && letter != 0xfffe && letter != 0xffff;
            text_put(to, held ? letter : TEXT_REPLACEMENT);
        }
    }
    fputs(*text != '\0' ? "\xe2\x80\xa6" : "", to);
}

double svg_step(double greatest)
{
    double power = pow(10.0, floor(log10(greatest / 6)));
    double step = greatest / 6 / power;
    return (step <= 1 ? 1 : step <= 2 ? 2 : step <= 5 ? 5 : 10) * power;
}
