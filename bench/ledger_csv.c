/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_csv.c: a row per step line, flat, so that files of many runs can be put one behind the
 * other (RFC 4180). What is not known is empty. */
#include "ledger_faces.h"

#include <math.h>
#include <string.h>

#include "csv.h"

static void put_number(FILE *to, double value, bool whole)
{
    if (isfinite(value)) {
        fprintf(to, whole ? "%.0f" : "%.9g", value);
    }
    fputc(',', to);
}

static void put_head(FILE *to, const struct ledger *ledger)
{
    fputs("file,run,ranks,hosts,", to);
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        fprintf(to, "%s,", ledger_members[i].name);
    }
    for (int i = 0; i < LEDGER_TRAFFICS; i++) {
        for (int level = 0; level < ledger->level_count; level++) {
            char name[128];
            snprintf(name, sizeof(name), "%s_%s", ledger_traffic_names[i], ledger->levels[level]);
            csv_text(to, name);
        }
    }
    fputs("codec,saved_low,saved,saved_high,evidence\n", to);
}

static void put_row(FILE *to, const struct ledger *ledger, const struct ledger_line *line)
{
    csv_text(to, ledger->path);
    csv_text(to, ledger->texts[LEDGER_RUN]);
    put_number(to, ledger->facts[LEDGER_RANKS], true);
    put_number(to, ledger->facts[LEDGER_HOSTS], true);
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        put_number(to, line->numbers[i], ledger_members[i].whole);
    }
    for (int i = 0; i < LEDGER_TRAFFICS; i++) {
        for (int level = 0; level < ledger->level_count; level++) {
            put_number(to, line->traffic[i][level], true);
        }
    }
    csv_text(to, ledger_codec(ledger, line));
    put_number(to, line->saved.low, false);
    put_number(to, line->saved.estimate, false);
    put_number(to, line->saved.high, false);
    fprintf(to, "%s\n", ledger_evidence_names[line->evidence]);
}

void findings_write_csv(const struct finding *findings, size_t count, FILE *to)
{
    put_head(to, findings[0].account.ledger);
    for (size_t i = 0; i < count; i++) {
        const struct ledger *ledger = findings[i].account.ledger;
        for (size_t line = 0; line < ledger->line_count; line++) {
            put_row(to, ledger, &ledger->lines[line]);
        }
    }
}
