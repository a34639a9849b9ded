/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_read.c: reads a ledger line by line. Whatever the bytes are, it ends with a ledger or
 * with a sentence. A last line without its end is what a killed run leaves: it is left out. */
#include "ledger.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "ledger_parse.h"
#include "ledger_words.h"

#define LINE_BYTES_MAX ((size_t)1 << 20) /* a line of a ledger has some 500 */
#define SAID_BYTES 512

struct reading {
    const char *path;
    FILE *from;
    size_t line; /* from 1 */
    char *text;  /* of that line, without its line feed */
    size_t bytes;
    bool whole; /* it had a line feed */
};

static int fail(const struct reading *reading, const char *sentence, int code)
{
    fprintf(stderr, "wirewise report: %s", reading->path);
    if (reading->line > 0) {
        fprintf(stderr, ":%zu", reading->line);
    }
    fputs(": ", stderr);
    words_put(stderr, sentence, 2 * SAID_BYTES);
    fputc('\n', stderr);
    return code;
}

static int fail_to_read(const struct reading *reading, const char *what, int code)
{
    char sentence[SAID_BYTES];
    snprintf(sentence, sizeof(sentence), "%s: %s", what, strerror(errno));
    return fail(reading, sentence, code);
}

/* Takes the next line in; false at the end of the file, or when it is too long to be one. */
static bool take_line(struct reading *reading, bool *too_long)
{
    int letter = getc(reading->from);
    reading->bytes = 0;
    while (letter != EOF && letter != '\n' && reading->bytes < LINE_BYTES_MAX) {
        reading->text[reading->bytes++] = (char)letter;
        letter = getc(reading->from);
    }
    *too_long = letter != EOF && letter != '\n';
    reading->whole = letter == '\n';
    reading->line += reading->whole || reading->bytes > 0;
    return !*too_long && (reading->whole || reading->bytes > 0);
}

static bool is_blank(const struct reading *reading)
{
    size_t i = 0;
    while (i < reading->bytes && strchr(" \t\r", reading->text[i]) != NULL &&
           reading->text[i] != '\0') {
        i++;
    }
    return i == reading->bytes;
}

/* A line that is no JSON object. */
static int refuse_line(const struct reading *reading, const struct ledger *ledger, const char *said)
{
    char sentence[2 * SAID_BYTES];
    if (ledger->level_count == 0) {
        snprintf(sentence, sizeof(sentence),
                 "%s, so the file is no ledger: one begins with {\"wirewise\": \"ledger\", ...}. "
                 "WIREWISE_LEDGER=FILE has a run write it",
                 said);
    } else {
        snprintf(sentence, sizeof(sentence),
                 "%s, as each line of a ledger is: the file is damaged here. What stands before: "
                 "head -n %zu %s | wirewise report -",
                 said, reading->line - 1, reading->path);
    }
    return fail(reading, sentence, EXIT_USAGE);
}

static int read_line(const struct reading *reading, struct ledger *ledger)
{
    char said[SAID_BYTES] = "";
    switch (ledger_parse(ledger, reading->text, reading->bytes, said, sizeof(said))) {
    case LEDGER_TAKEN:
        return EXIT_FINE;
    case LEDGER_BROKEN:
        ledger->cut = ledger->level_count > 0 && !reading->whole;
        return ledger->cut ? EXIT_FINE : refuse_line(reading, ledger, said);
    case LEDGER_WRONG:
        return fail(reading, said, EXIT_USAGE);
    default:
        return fail(reading, said, EXIT_FAILED);
    }
}

static int read_lines(struct reading *reading, struct ledger *ledger)
{
    int code = EXIT_FINE;
    bool too_long = false;
    while (code == EXIT_FINE && take_line(reading, &too_long)) {
        if (!is_blank(reading)) {
            code = read_line(reading, ledger);
        }
    }
    if (code != EXIT_FINE) {
        return code;
    }
    if (ferror(reading->from)) {
        return fail_to_read(reading, "cannot be read", errno == EISDIR ? EXIT_USAGE : EXIT_FAILED);
    }
    if (too_long) {
        return fail(reading, "a line of more than 1 MiB: this is no ledger", EXIT_USAGE);
    }
    if (ledger->level_count == 0) {
        reading->line = 0;
        return fail(reading,
                    "is empty: the run was killed before its first step, or "
                    "WIREWISE_LEDGER named another file",
                    EXIT_USAGE);
    }
    return EXIT_FINE;
}

static void tell_what_is_missing(const struct reading *reading, const struct ledger *ledger)
{
    if (ledger->cut) {
        fail(reading,
             "the last line was cut short and is left out: the run was killed, or it "
             "still goes on",
             EXIT_FINE);
    }
    if (ledger->missing > 0) {
        fprintf(stderr, "wirewise report: %s: %.0f steps have no line: %s\n", reading->path,
                ledger->missing,
                ledger->ended ? "sums are the summary's, which knows them"
                              : "sums are without them");
    }
}

int ledger_read(const char *path, struct ledger *ledger)
{
    bool piped = strcmp(path, "-") == 0;
    struct reading reading = {.path = piped ? "standard input" : path};
    *ledger = (struct ledger){.path = reading.path,
                              .summary = ledger_line_none(),
                              .dense_s = (double)NAN,
                              .coded_s = (double)NAN,
                              .energy_j = (double)NAN,
                              .gpu_energy_j = (double)NAN};
    reading.from = piped ? stdin : fopen(path, "r");
    if (reading.from == NULL) {
        return fail_to_read(&reading, "cannot be opened", EXIT_USAGE);
    }
    int code = EXIT_FAILED;
    reading.text = malloc(LINE_BYTES_MAX);
    if (reading.text == NULL) {
        fail(&reading, "there is no memory for its lines", code);
    } else {
        code = read_lines(&reading, ledger);
    }
    if (code == EXIT_FINE) {
        tell_what_is_missing(&reading, ledger);
    }
    free(reading.text);
    if (!piped) {
        fclose(reading.from);
    }
    return code;
}
