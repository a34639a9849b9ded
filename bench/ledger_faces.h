/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_faces.h: how a report on ledgers looks. */
#ifndef BENCH_LEDGER_FACES_H
#define BENCH_LEDGER_FACES_H

#include <stdio.h>

#include "ledger_alerts.h"
#include "ledger_what_if.h"

#define FINDING_SCHEMA "wirewise.report/1"

/* All that is told of one ledger. */
struct finding {
    struct account account;
    const struct prices *prices; /* NULL = none, and then there is no cost */
    struct cost cost;
    const struct what_if *what_if; /* NULL = none, and then there is no replay */
    struct replay replay;
    struct alert alerts[ALERT_RULES];
    int alert_count;
};

/* A screen for people about one ledger. */
void finding_print(const struct finding *finding, FILE *to);

/* Its parts about money and about another wire, in files of their own. */
void finding_print_cost(const struct finding *finding, FILE *to);
void finding_print_replay(const struct finding *finding, FILE *to);

/* A table of several, one row each, compared with the first. */
void findings_print_table(const struct finding *findings, size_t count, FILE *to);

/* One JSON document, schema wirewise.report/1: the object of one ledger, or of several as runs. */
void findings_write_json(const struct finding *findings, size_t count, FILE *to);

/* CSV, a row per step line of all ledgers, which have the same levels. */
void findings_write_csv(const struct finding *findings, size_t count, FILE *to);

/* An SVG picture: saved seconds, added up, and the communication of each step. A file_writer;
 * finding  const struct finding * */
void finding_draw(FILE *to, const void *finding);

/* The beginning of a line of a screen, label and blanks; "" goes on below the last one. */
void finding_label(FILE *to, const char *label);

/* "saved 1.2 s (1.0 s to 1.4 s, measured)", or what else there is to say of it. */
void finding_saving(const struct account *account, char *text, size_t bytes);

#endif
