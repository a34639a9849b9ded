/* SPDX-License-Identifier: BSD-3-Clause
 * no_ledger_parse.c: stands in for ledger_parse.c where jansson was not found. */
#include "ledger_parse.h"

#include <stdio.h>

enum ledger_taken ledger_parse(struct ledger *ledger, const char *text, size_t bytes, char *said,
                               size_t said_bytes)
{
    (void)ledger;
    (void)text;
    (void)bytes;
    snprintf(said, said_bytes,
             "this wirewise was built without jansson, which reads JSON: build it again after "
             "apt-get install libjansson-dev pkg-config");
    return LEDGER_NO_PARSER;
}
