/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_table.c: several runs, a row each, the first being what the others are compared with. */
#include "ledger_faces.h"

#include <math.h>
#include <string.h>

#include "ledger_words.h"
#include "text.h"

#define RUN_WIDTH 20
#define CODEC_WIDTH 18

/* At most so many letters, and blanks behind them. */
static void put_cell(FILE *to, const char *text, int width)
{
    char cut[256];
    size_t used = 0;
    int letters = 0;
    while (text[used] != '\0' && letters < width && used + 4 < sizeof(cut)) {
        uint32_t letter;
        used += text_letter(text + used, &letter);
        letters++;
    }
    memcpy(cut, text, used);
    cut[used] = '\0';
    words_put(to, cut, (size_t)width);
    fprintf(to, "%*s", width - letters + 1, "");
}

/* The name that tells runs apart: the run's, or the file's end. */
static const char *name_of(const struct ledger *ledger)
{
    if (ledger->texts[LEDGER_RUN][0] != '\0') {
        return ledger->texts[LEDGER_RUN];
    }
    size_t length = strlen(ledger->path);
    return ledger->path + (length > RUN_WIDTH ? length - RUN_WIDTH : 0);
}

static struct word saving_of(const struct account *account)
{
    static const char *const words[] = {
        [VERDICT_UNKNOWN] = "?", [VERDICT_DENSE] = "-", [VERDICT_NOISE] = "noise"};
    enum verdict verdict = account_verdict(account);
    struct word word;
    if (verdict == VERDICT_SAVED || verdict == VERDICT_LOST) {
        return word_seconds(account->total.saved.estimate / account->steps);
    }
    snprintf(word.text, sizeof(word.text), "%s", words[verdict]);
    return word;
}

/* By the medians, which a single slow step does not move. */
static struct word loss_of(const struct account *account, const struct account *first)
{
    struct word word = {"?"};
    double ratio = account->median_step_s / first->median_step_s;
    if (account == first) {
        snprintf(word.text, sizeof(word.text), "-");
    } else if (isfinite(ratio)) {
        snprintf(word.text, sizeof(word.text), "%+.3g %%", 100 * (ratio - 1));
    }
    return word;
}

static void print_row(const struct finding *finding, const struct finding *first, FILE *to)
{
    const struct account *account = &finding->account;
    const struct ledger *ledger = account->ledger;
    char codecs[128];
    account_codecs(account, codecs, sizeof(codecs));
    put_cell(to, name_of(ledger), RUN_WIDTH);
    put_cell(to, codecs, CODEC_WIDTH);
    fprintf(
        to, "%6s %7s %9s %9s %10s %10s %9s %9s", word_count(ledger->facts[LEDGER_RANKS]).text,
        word_count(account->steps).text, word_seconds(account->mean_step_s).text,
        word_seconds(account->median_step_s).text,
        word_bytes(account_bytes(ledger, &account->total, LEDGER_SENT, 0) / account->steps).text,
        word_bytes(account->leaving / account->steps).text, saving_of(account).text,
        loss_of(account, &first->account).text);
    if (finding->prices != NULL) {
        char money[64];
        cost_words(finding->prices, finding->cost.total, money, sizeof(money));
        fprintf(to, " %14s", money);
    }
    fprintf(to, "%s\n", ledger->ended ? "" : "  (not ended)");
}

void findings_print_table(const struct finding *findings, size_t count, FILE *to)
{
    fprintf(to, "%-*s %-*s %6s %7s %9s %9s %10s %10s %9s %9s", RUN_WIDTH, "run", CODEC_WIDTH,
            "codec", "ranks", "steps", "mean", "median", "sent/step", "off host", "saved/st.",
            "loss");
    fprintf(to, "%*s\n", findings[0].prices != NULL ? 15 : 0,
            findings[0].prices != NULL ? "cost" : "");
    for (size_t i = 0; i < count; i++) {
        print_row(&findings[i], &findings[0], to);
    }
    fputs("mean, median: of a step; sent, off host: bytes by the rank that wrote the file, over "
          "all levels and to\nother hosts; saved: by the run's own probes; loss: how much longer "
          "the median step is than the first run's\n",
          to);
    for (size_t i = 0; i < count; i++) {
        for (int j = 0; j < findings[i].alert_count; j++) {
            const struct alert *alert = &findings[i].alerts[j];
            words_put(to, findings[i].account.ledger->path, 80);
            fprintf(to, ": %s: %s\n", alert_name(alert->rule), alert->text);
        }
    }
}
