/* SPDX-License-Identifier: BSD-3-Clause
 * test_ledger_table.c: the table at a run's end says what was saved in words. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "scratch.h"

TestSuite(ledger_table, .init = capture_start, .fini = capture_finish);

Test(ledger_table, it_is_a_dozen_lines)
{
    static const char wanted[] =
        "1200 steps, 16 ranks, codec int8\n"
        "level                sent   dense fp32 dense 16-bit     saved\n"
        "NUMA           256.00 MiB     1.00 GiB   512.00 MiB    75.0 %\n"
        "host           256.00 MiB     1.00 GiB   512.00 MiB    75.0 %\n"
        "network        256.00 MiB     1.00 GiB   512.00 MiB    75.0 %\n"
        "all            768.00 MiB     3.00 GiB     1.50 GiB    75.0 %\n"
        "agreement        1.00 MiB beside\n"
        "shadows        512.00 KiB beside\n"
        "seconds      steps 100.0, communication 50.00, exposed 27.70, encode 1.000, decode "
        "0.50000\n"
        "waiting      0.25000 s for the slowest rank, in 700 steps that was rank 3\n"
        "comparing    0.75000 s, for 14 probes\n"
        "saved        compression saved 12.30 s of 40.00 s exposed (11.90 .. 12.70 s with 95 %, "
        "measured by 14 probes)\n"
        "a step       0.03340 s exposed dense, 0.02310 s encoded\n"
        "encoded      1e+06 elements, 1e+04 sent, 1 not finite; codec chosen anew 3 times\n"
        "residual     norm 12.5; 97.1 % of the squares were sent\n"
        "audit        976.56 KiB claimed by 8 ranks, 1.01 MiB counted on eth0, 44.54 KiB framing; "
        "1.4 % unexplained\n"
        "NVLink       3.00 MiB sent and 5.00 MiB received by this host's GPUs, whoever used them\n"
        "energy       1234 J by this host's processors, 5.679e+04 J by its GPUs\n";
    struct ww_ledger totals = run_totals();
    char text[4096];
    cr_expect_eq(ww_ledger_print(&totals, text, sizeof text), strlen(wanted));
    cr_expect_str_eq(text, wanted);
    cr_expect_eq(ww_ledger_print(&totals, NULL, 0), strlen(wanted));
    for (size_t bytes = 1; bytes < strlen(wanted); bytes++) {
        char part[4096];
        memset(part, '#', sizeof part);
        cr_assert_eq(ww_ledger_print(&totals, part, bytes), strlen(wanted));
        cr_assert(memcmp(part, wanted, bytes - 1) == 0 && part[bytes - 1] == '\0' &&
                      part[bytes] == '#',
                  "%zu bytes", bytes);
    }
}

Test(ledger_table, savings_are_told_in_words)
{
    static const struct {
        struct ww_savings saved;
        const char *basis;
        const char *line;
    } cases[] = {
        {{12.3, 11.9, 12.7, WW_EVIDENCE_MODELLED},
         "step",
         "compression saved 12.30 s of 112.3 s in steps (11.90 .. 12.70 s with 95 %, modelled by "
         "what the wires cost)\n"},
        {{-1.2, -1.5, -0.9, WW_EVIDENCE_MEASURED},
         "exposed",
         "compression cost 1.200 s beside 26.50 s exposed (-1.500 .. -0.90000 s with 95 %, "
         "measured by 14 probes)\n"},
        {{0.1, -0.2, 0.4, WW_EVIDENCE_MEASURED},
         "exposed",
         "not distinguishable from zero: 0.10000 s of 27.80 s exposed (-0.20000 .. 0.40000 s "},
        {{0, -INFINITY, INFINITY, WW_EVIDENCE_INSUFFICIENT}, "step", "insufficient data: "},
        {{NAN, 0, 0, WW_EVIDENCE_MEASURED}, "step", "insufficient data: "},
        {{0, 0, 0, WW_EVIDENCE_DENSE}, "step", "nothing was encoded\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ww_ledger totals = run_totals();
        totals.saved = cases[i].saved;
        totals.basis = cases[i].basis;
        char text[4096];
        ww_ledger_print(&totals, text, sizeof text);
        cr_expect_not_null(strstr(text, cases[i].line), "%s is not in:\n%s", cases[i].line, text);
    }
}

Test(ledger_table, only_energy_that_is_known_is_told)
{
    static const struct {
        double processors;
        double gpus;
        const char *line; /* NULL = none */
    } cases[] = {
        {1234, -1, "\nenergy       1234 J by this host's processors\n"},
        {-1, 5678, "\nenergy       5678 J by this host's GPUs\n"},
        {-1, -1, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ww_ledger totals = run_totals();
        totals.energy_j = cases[i].processors;
        totals.gpu_energy_j = cases[i].gpus;
        char text[4096];
        ww_ledger_print(&totals, text, sizeof text);
        const char *found = strstr(text, cases[i].line == NULL ? "energy" : cases[i].line);
        cr_expect_eq(found != NULL, cases[i].line != NULL, "case %zu:\n%s", i, text);
    }
}

Test(ledger_table, an_empty_ledger_prints)
{
    struct ww_ledger totals = WW_LEDGER_INIT;
    totals.energy_j = totals.gpu_energy_j = -1;
    totals.slowest_rank = -1;
    char text[4096];
    ww_ledger_print(&totals, text, sizeof text);
    cr_expect_not_null(strstr(text, "nothing left this host\n"), "%s", text);
    cr_expect_not_null(strstr(text, "nothing was encoded\n"), "%s", text);
    cr_expect_not_null(strstr(text, "\nNVLink       no GPU of this host counts any\n"), "%s", text);
    ww_ledger_print(NULL, text, sizeof text);
    cr_expect_str_eq(text, "no ledger\n");
}
