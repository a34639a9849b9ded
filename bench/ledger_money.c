/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_money.c: what a run cost, and what it would have cost on another wire, for people. Money
 * is called saved only where time was saved outside the noise. */
#include "ledger_faces.h"

#include <math.h>

#include "ledger_words.h"

#define MONEY_BYTES 64

struct money {
    char text[MONEY_BYTES];
};

static struct money money_of(const struct finding *finding, double amount)
{
    struct money money;
    cost_words(finding->prices, amount, money.text, sizeof(money.text));
    return money;
}

static void print_part(const struct finding *finding, const char *what, double price, double money,
                       FILE *to)
{
    if (!isnan(price)) {
        fprintf(to, "%s %s", what, money_of(finding, money).text);
    }
}

static void print_energy(const struct finding *finding, FILE *to)
{
    static const char *const sources[] = {
        [ENERGY_WATTS] = "watts of the price file, times ranks and time",
        [ENERGY_PROCESSORS] = "processors, measured on this host, times hosts; GPUs are not known",
        [ENERGY_GPUS] = "GPUs, measured on this host, times hosts; processors are not known",
        [ENERGY_PROCESSORS_GPUS] = "processors and GPUs, measured on this host, times hosts",
    };
    const struct cost *cost = &finding->cost;
    bool told = !isnan(finding->prices->kilowatt_hour) || !isnan(finding->prices->watts) ||
                cost->energy_source != ENERGY_WATTS;
    if (isnan(cost->energy_j)) {
        if (told) {
            finding_label(to, "");
            fputs("energy is not known and in no sum: no counter was read, and there is no price "
                  "line watts\n",
                  to);
        }
        return;
    }
    finding_label(to, "");
    fprintf(to, "energy %s, %s a step: %s\n", word_energy(cost->energy_j).text,
            word_energy(cost->energy_j / finding->account.steps).text,
            sources[cost->energy_source]);
}

static void print_saved_money(const struct finding *finding, FILE *to)
{
    const struct cost *cost = &finding->cost;
    enum verdict verdict = account_verdict(&finding->account);
    finding_label(to, "");
    if (verdict != VERDICT_SAVED && verdict != VERDICT_LOST) {
        fputs("no saving outside the noise\n", to);
        return;
    }
    bool lost = verdict == VERDICT_LOST;
    double sign = lost ? -1 : 1;
    if (isnan(cost->saved.estimate)) {
        fputs(lost ? "compression cost time, which has no price here"
                   : "time was saved, which has no price here",
              to);
    } else {
        fprintf(to, "%s %s (95 %%: %s to %s) by time", lost ? "compression cost" : "saved",
                money_of(finding, sign * cost->saved.estimate).text,
                money_of(finding, sign * (lost ? cost->saved.high : cost->saved.low)).text,
                money_of(finding, sign * (lost ? cost->saved.low : cost->saved.high)).text);
    }
    if (!isnan(cost->saved_j.estimate)) {
        fprintf(to, ", with %s of energy", word_energy(sign * cost->saved_j.estimate).text);
    }
    if (!isnan(cost->saved_traffic)) {
        fputc('\n', to);
        finding_label(to, "");
        fprintf(to, "traffic not sent: %s against dense fp32, %s against dense 16 bit",
                money_of(finding, cost->saved_traffic).text,
                money_of(finding, cost->saved_traffic16).text);
    }
    fputc('\n', to);
}

void finding_print_cost(const struct finding *finding, FILE *to)
{
    const struct cost *cost = &finding->cost;
    const struct prices *prices = finding->prices;
    finding_label(to, "cost");
    fprintf(to, "%s the run, %s a step", money_of(finding, cost->total).text,
            money_of(finding, cost->total / finding->account.steps).text);
    print_part(finding, "; time", prices->gpu_hour, cost->time, to);
    print_part(finding, ", traffic", prices->gigabyte, cost->traffic, to);
    print_part(finding, ", energy", prices->kilowatt_hour, cost->energy, to);
    fputc('\n', to);
    finding_label(to, "");
    fprintf(to, "%.3g GPU hours, %.3g GB left hosts%s\n", cost->gpu_hours, cost->gigabytes,
            finding->account.alike_is_counted ? "" : " (by this rank's bytes, times all ranks)");
    print_energy(finding, to);
    print_saved_money(finding, to);
}

static void print_verdict(const struct replay *replay, FILE *to)
{
    double saved = replay->dense_s - replay->coded_s;
    finding_label(to, "");
    if (isnan(saved)) {
        fputs("what the codec would save is not known: the ledger lacks bytes or seconds\n", to);
        return;
    }
    if (fabs(saved) <= 1e-9 * replay->coded_s) {
        fputs("the codec would neither save nor cost time", to);
    } else {
        fprintf(to, "the codec would %s %s a step, %s of a dense one", saved > 0 ? "save" : "cost",
                word_seconds(fabs(saved)).text, word_share(fabs(saved) / replay->dense_s).text);
    }
    if (isnan(replay->break_even)) {
        fputs("; where it pays is not known\n", to);
    } else if (replay->break_even == 0) {
        fputs("; it pays at no rate\n", to);
    } else if (isinf(replay->break_even)) {
        fputs("; it pays at any rate\n", to);
    } else {
        fprintf(to, "; it pays below %s\n", word_rate(replay->break_even).text);
    }
}

void finding_print_replay(const struct finding *finding, FILE *to)
{
    const struct replay *replay = &finding->replay;
    const struct account *account = &finding->account;
    finding_label(to, "what if");
    words_put(to, account->ledger->levels[replay->level], 24);
    fprintf(to, " had %s: a step would take %s coded, %s dense (recorded: %s)\n",
            word_rate(finding->what_if->rate).text, word_seconds(replay->coded_s).text,
            word_seconds(replay->dense_s).text, word_seconds(replay->recorded_s).text);
    print_verdict(replay, to);
    finding_label(to, "");
    fprintf(to, "This is a model: bytes/rate (%s coded, %s dense fp32 a step)\n",
            word_bytes(replay->sent).text, word_bytes(replay->dense).text);
    finding_label(to, "");
    if (isnan(replay->recorded_rate)) {
        fputs("replace the wires' time, all of which is taken to be this level's;\n", to);
    } else {
        fprintf(to, "replace what they took at %s, as dense and coded steps tell;\n",
                word_rate(replay->recorded_rate).text);
    }
    finding_label(to, "");
    fputs("coding, waiting, other levels and what computing hides stay as they were;\n", to);
    finding_label(to, "");
    fprintf(to, "a link carries %.3g times this rank's bytes (%s)\n", replay->alike,
            replay->level < account->ledger->facts[LEDGER_INSIDE] ? "a rank's own"
            : account->alike_is_counted                           ? "by the audit"
                                                                  : "all ranks of a host alike");
}
