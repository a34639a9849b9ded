/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_parse.h: takes in one line of a ledger. */
#ifndef BENCH_LEDGER_PARSE_H
#define BENCH_LEDGER_PARSE_H

#include "ledger.h"

enum ledger_taken {
    LEDGER_TAKEN,
    LEDGER_BROKEN, /* no JSON object; the last line of a killed run may be that */
    LEDGER_WRONG,  /* one that docs/ledger.md does not allow here */
    LEDGER_NO_MEMORY,
    LEDGER_NO_PARSER, /* this build has none */
};

/* Adds what the line text[bytes] tells to the ledger; the first line is its header. Unknown
 * members, and objects that are no kind of line, are passed over. When the line was not taken,
 * said[said_bytes] is the sentence about it: what was found and what was expected. */
enum ledger_taken ledger_parse(struct ledger *ledger, const char *text, size_t bytes, char *said,
                               size_t said_bytes);

#endif
