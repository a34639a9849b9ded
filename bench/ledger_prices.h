/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_prices.h: what a run costs, by a file of prices. */
#ifndef BENCH_LEDGER_PRICES_H
#define BENCH_LEDGER_PRICES_H

#include "ledger_account.h"

#define CURRENCY_BYTES 16

/* NAN = not in the file. */
struct prices {
    char currency[CURRENCY_BYTES]; /* "" = not in the file */
    double gpu_hour;
    double ranks_per_gpu; /* 1 when not in the file */
    double gigabyte;      /* 10^9 bytes that leave a host */
    double kilowatt_hour;
    double watts; /* of a rank */
};

/* Reads an INI file with a section [prices]. Returns an exit_code; what is wrong has been said,
 * with file and line, and *prices is not written then. */
int prices_read(const char *path, struct prices *prices);

/* Whose energy a cost is about. */
enum energy_source {
    ENERGY_WATTS, /* nobody read a counter: watts of the prices, times ranks and time */
    ENERGY_PROCESSORS,
    ENERGY_GPUS,
    ENERGY_PROCESSORS_GPUS
};

/* Money, joule and bytes of the whole run, of all ranks; NAN = not known or without a price. */
struct cost {
    double gpu_hours;
    double time;
    double gigabytes;
    double traffic;
    double energy_j;
    enum energy_source energy_source;
    double energy;
    double total;            /* of those that are known */
    struct interval saved;   /* by time and its energy; negative = lost */
    struct interval saved_j; /* joule */
    double saved_traffic;    /* against dense fp32 */
    double saved_traffic16;  /* against dense 16 bit */
};
struct cost cost_make(const struct prices *prices, const struct account *account);

/* "12.34 EUR" into text[bytes]. */
void cost_words(const struct prices *prices, double money, char *text, size_t bytes);

#endif
