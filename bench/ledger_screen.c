/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_screen.c: one screen about one run. */
#include "ledger_faces.h"

#include <math.h>
#include <string.h>

#include "ledger_words.h"

#define LABEL_WIDTH 10
#define TEXT_LETTERS 60
#define EVENT_LETTERS 84
#define EVENTS_MOST 5
#define SPANS_MOST 6

void finding_label(FILE *to, const char *label)
{
    fprintf(to, "%-*s", LABEL_WIDTH, label);
}

static const char *text_of(const struct ledger *ledger, enum ledger_text text)
{
    const char *words = ledger->texts[text];
    return words[0] != '\0' ? words : "?";
}

static void print_run(const struct ledger *ledger, FILE *to)
{
    finding_label(to, "run");
    words_put(to, ledger->texts[LEDGER_RUN][0] != '\0' ? ledger->texts[LEDGER_RUN] : "(no name)",
              TEXT_LETTERS);
    for (size_t i = 0; i < ledger->label_count; i++) {
        fputs(i == 0 ? "  [" : ", ", to);
        words_put(to, ledger->labels[i].name, TEXT_LETTERS);
        fputc('=', to);
        words_put(to, ledger->labels[i].text, TEXT_LETTERS);
    }
    fprintf(to, "%s, begun ", ledger->label_count > 0 ? "]" : "");
    words_put(to, text_of(ledger, LEDGER_STARTED), TEXT_LETTERS);
    fputs(", wirewise ", to);
    words_put(to, text_of(ledger, LEDGER_VERSION), TEXT_LETTERS);
    fputc('\n', to);
}

static void print_ranks(const struct ledger *ledger, FILE *to)
{
    const double *facts = ledger->facts;
    finding_label(to, "ranks");
    fprintf(to, "%s on %s host%s, ", word_count(facts[LEDGER_RANKS]).text,
            word_count(facts[LEDGER_HOSTS]).text, facts[LEDGER_HOSTS] == 1 ? "" : "s");
    words_put(to, text_of(ledger, LEDGER_FABRIC), TEXT_LETTERS);
    fprintf(to, "; written by rank %s on ", word_count(facts[LEDGER_RANK]).text);
    words_put(to, text_of(ledger, LEDGER_HOST), TEXT_LETTERS);
    fprintf(to, "\n%*s%s of gradients a step in %s tensors, %s buckets\n", LABEL_WIDTH, "",
            word_bytes(facts[LEDGER_GRADIENT_BYTES]).text, word_count(facts[LEDGER_TENSORS]).text,
            word_count(facts[LEDGER_BUCKETS]).text);
}

/* Steps in a row with one codec. */
struct span {
    int codec;
    double first;
    double last;
};

/* Writes the last spans of a run into spans[SPANS_MOST], as a ring, and returns how many there
 * were. */
static size_t find_spans(const struct ledger *ledger, struct span *spans)
{
    size_t count = 0;
    for (size_t i = 0; i < ledger->line_count; i++) {
        const struct ledger_line *line = &ledger->lines[i];
        double last = line->numbers[LEDGER_STEP];
        struct span *span = &spans[(count + SPANS_MOST - 1) % SPANS_MOST];
        if (count == 0 || (line->codec != span->codec && !account_is_probe(ledger, line))) {
            span = &spans[count % SPANS_MOST];
            *span = (struct span){line->codec, last - line->numbers[LEDGER_STEPS] + 1, last};
            count++;
        }
        span->last = last;
    }
    return count;
}

/* "; none 1-40, int8 41-2000" */
static void print_spans(const struct ledger *ledger, FILE *to)
{
    struct span spans[SPANS_MOST];
    size_t count = find_spans(ledger, spans);
    size_t first = count > SPANS_MOST ? count - SPANS_MOST : 0;
    if (first > 0) {
        fprintf(to, "; %zu changes before, then", first);
    }
    for (size_t i = first; i < count; i++) {
        const struct span *span = &spans[i % SPANS_MOST];
        fputs(i > first ? ", " : first > 0 ? " " : ": ", to);
        words_put(to, span->codec < 0 ? "?" : ledger->codecs[span->codec], TEXT_LETTERS);
        fprintf(to, " %.0f-%.0f", span->first, span->last);
    }
    fputc('\n', to);
}

static void print_codec(const struct ledger *ledger, FILE *to)
{
    finding_label(to, "codec");
    words_put(to, text_of(ledger, LEDGER_CODEC), TEXT_LETTERS);
    if (strcmp(ledger->texts[LEDGER_CODEC], "auto") == 0) {
        fputs(" of ", to);
        words_put(to, text_of(ledger, LEDGER_ALLOWED), TEXT_LETTERS);
    }
    print_spans(ledger, to);
}

static void print_steps(const struct account *account, FILE *to)
{
    const struct ledger *ledger = account->ledger;
    const double *total = account->total.numbers;
    finding_label(to, "steps");
    fprintf(to, "%s in %s: mean %s, median %s", word_count(account->steps).text,
            word_seconds(total[LEDGER_STEP_S]).text, word_seconds(account->mean_step_s).text,
            word_seconds(account->median_step_s).text);
    if (account->slow_steps > 0) {
        fprintf(to, ", %s slower than %g medians", word_count(account->slow_steps).text,
                ACCOUNT_SLOW);
    }
    const char *state = account_state(ledger);
    fprintf(to, "; the run %s%s\n", state[0] == 'n' ? "was " : "", state);
    if (!ledger->ended) {
        finding_label(to, "");
        fprintf(to, "It has no summary%s: sums are of its steps\n",
                state[0] == 'n' ? ", for it was killed or still goes on" : "");
    }
}

/* What dense would have sent, and how much of it was not. */
static void print_dense(double sent, double dense, FILE *to)
{
    fprintf(to, " %11s %11s %6s", word_bytes(dense).text, word_bytes(dense - sent).text,
            dense > 0 ? word_share((dense - sent) / dense).text : "-");
}

static void print_bytes(const struct account *account, FILE *to)
{
    const struct ledger *ledger = account->ledger;
    const struct ledger_line *total = &account->total;
    fprintf(to, "\n%-18s%11s %11s %11s %11s %6s %11s %11s\n", "rank's bytes over", "sent", "a step",
            "dense fp32", "saved", "", "dense 16bit", "saved");
    for (int level = 0; level < ledger->level_count; level++) {
        const char *name = ledger->levels[level];
        double sent = total->traffic[LEDGER_SENT][level];
        fputs("  ", to);
        words_put(to, name, 15);
        fprintf(to, "%*s%11s %11s", strlen(name) < 16 ? 16 - (int)strlen(name) : 1, "",
                word_bytes(sent).text, word_bytes(sent / account->steps).text);
        print_dense(sent, total->traffic[LEDGER_DENSE32][level], to);
        print_dense(sent, total->traffic[LEDGER_DENSE16][level], to);
        fputc('\n', to);
    }
    fprintf(to, "  %-16s%11s %11s  to agree, not in the above\n", "(control)",
            word_bytes(total->numbers[LEDGER_CONTROL]).text,
            word_bytes(total->numbers[LEDGER_CONTROL] / account->steps).text);
    if (total->numbers[LEDGER_SHADOW] > 0) {
        fprintf(to, "  %-16s%11s %11s  dense beside encoded steps, not in the above\n", "(shadows)",
                word_bytes(total->numbers[LEDGER_SHADOW]).text,
                word_bytes(total->numbers[LEDGER_SHADOW] / account->steps).text);
    }
}

static void print_seconds(const struct account *account, FILE *to)
{
    static const struct {
        const char *name;
        enum ledger_number number;
        const char *meaning;
    } rows[] = {
        {"step", LEDGER_STEP_S, ""},
        {"communication", LEDGER_COMMUNICATION_S, "a bucket was under way"},
        {"exposed", LEDGER_EXPOSED_S, "of it, not hidden: the caller waited"},
        {"encode", LEDGER_ENCODE_S, ""},
        {"decode", LEDGER_DECODE_S, "and adding"},
        {"skew", LEDGER_SKEW_S, "waiting for the slowest rank"},
        {"comparing", LEDGER_COMPARING_S, "what the probes of dense steps cost"},
    };
    const double *total = account->total.numbers;
    fprintf(to, "\n%-18s%11s %11s %6s\n", "time", "a step", "the run", "share");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double seconds = total[rows[i].number];
        fprintf(to, "  %-16s%11s %11s %6s%s%s", rows[i].name,
                word_seconds(seconds / account->steps).text, word_seconds(seconds).text,
                word_share(seconds / total[LEDGER_STEP_S]).text,
                rows[i].meaning[0] != '\0' ? "  " : "", rows[i].meaning);
        if (rows[i].number == LEDGER_SKEW_S && account->slowest >= 0) {
            fprintf(to, ", mostly rank %d", account->slowest);
            if (!isnan(account->slowest_share)) {
                fprintf(to, " (%s of steps)", word_share(account->slowest_share).text);
            }
        }
        if (rows[i].number == LEDGER_COMPARING_S) {
            fprintf(to, ", %s of them", word_count(total[LEDGER_PROBES]).text);
        }
        fputc('\n', to);
    }
}

void finding_saving(const struct account *account, char *text, size_t bytes)
{
    const struct interval *saved = &account->total.saved;
    const char *evidence = ledger_evidence_names[account->total.evidence];
    double lost = -saved->estimate;
    switch (account_verdict(account)) {
    case VERDICT_DENSE:
        snprintf(text, bytes, "nothing: nothing was encoded");
        break;
    case VERDICT_UNKNOWN:
        snprintf(text, bytes, "insufficient data: too few steps went dense to be compared with");
        break;
    case VERDICT_NOISE:
        snprintf(text, bytes, "not distinguishable from zero: %s (95 %%: %s to %s, %s)",
                 word_seconds(saved->estimate).text, word_seconds(saved->low).text,
                 word_seconds(saved->high).text, evidence);
        break;
    case VERDICT_LOST:
        snprintf(text, bytes, "compression cost you %s (95 %%: %s to %s, %s)",
                 word_seconds(lost).text, word_seconds(-saved->high).text,
                 word_seconds(-saved->low).text, evidence);
        break;
    default:
        snprintf(text, bytes, "%s (95 %%: %s to %s, %s)", word_seconds(saved->estimate).text,
                 word_seconds(saved->low).text, word_seconds(saved->high).text, evidence);
    }
}

static void print_saved(const struct account *account, FILE *to)
{
    const struct ledger *ledger = account->ledger;
    char text[192];
    finding_saving(account, text, sizeof(text));
    fputc('\n', to);
    finding_label(to, "saved");
    fputs(text, to);
    enum verdict verdict = account_verdict(account);
    if (verdict == VERDICT_SAVED || verdict == VERDICT_LOST) {
        double share = account->total.saved.estimate / account->total.numbers[LEDGER_STEP_S];
        fprintf(to, ", %s of the run", word_share(fabs(share)).text);
    }
    fputc('\n', to);
    if (!isnan(ledger->dense_s) && !isnan(ledger->coded_s)) {
        bool step = strcmp(ledger->texts[LEDGER_BASIS], "step") == 0;
        fprintf(to, "%*s%s took %s dense and %s coded, in the mean\n", LABEL_WIDTH, "",
                step ? "a step" : "inside wirewise a step", word_seconds(ledger->dense_s).text,
                word_seconds(ledger->coded_s).text);
    }
    if (account->unjudged > 0 && verdict != VERDICT_UNKNOWN) {
        fprintf(to, "%*s%s of %s steps are not in it: their saving is not known\n", LABEL_WIDTH, "",
                word_count(account->unjudged).text, word_count(account->steps).text);
    }
}

static void print_loss(const struct account *account, FILE *to)
{
    const double *total = account->total.numbers;
    if (!(total[LEDGER_ENCODED] > 0)) {
        return;
    }
    finding_label(to, "values");
    fprintf(to, "%s elements encoded, %s of them sent, %s not finite",
            word_count(total[LEDGER_ENCODED]).text,
            word_share(total[LEDGER_CHOSEN] / total[LEDGER_ENCODED]).text,
            word_count(total[LEDGER_WILD]).text);
    fputc('\n', to);
    bool residual = !isnan(total[LEDGER_RESIDUAL]);
    bool captured = !isnan(total[LEDGER_CAPTURED]);
    if (residual || captured) {
        finding_label(to, "");
    }
    if (residual) {
        fprintf(to, "error feedback keeps %.3g (L2)%s", total[LEDGER_RESIDUAL],
                captured ? "; " : "\n");
    }
    if (captured) {
        fprintf(to, "%.4g %% of the energy was captured when last looked at\n",
                100 * total[LEDGER_CAPTURED]);
    }
}

static void print_nvlink(const struct ledger_audit *audit, FILE *to)
{
    if (!isnan(audit->nvlink_sent) && !isnan(audit->nvlink_received)) {
        fprintf(to, "%*sthis host's GPUs sent %s and received %s through NVLink\n", LABEL_WIDTH, "",
                word_bytes(audit->nvlink_sent).text, word_bytes(audit->nvlink_received).text);
    }
}

static void print_audit(const struct account *account, FILE *to)
{
    const struct ledger_audit *audit = &account->ledger->audit;
    if (audit->known) {
        finding_label(to, "audit");
        fprintf(to, "claimed %s to other hosts; ", word_bytes(audit->claimed).text);
        if (isnan(audit->counted)) {
            fputs("nobody counted: no counter can be read, or traffic does not leave\n", to);
        } else {
            words_put(to, audit->interface[0] != '\0' ? audit->interface : "the interface", 24);
            fprintf(to, " counted %s, framing %s: %s unexplained\n",
                    word_bytes(audit->counted).text, word_bytes(audit->overhead).text,
                    word_share(audit->unexplained).text);
        }
        print_nvlink(audit, to);
    }
}

static void print_energy(const struct ledger *ledger, FILE *to)
{
    bool processors = !isnan(ledger->energy_j);
    bool gpus = !isnan(ledger->gpu_energy_j);
    if (!processors && !gpus) {
        return;
    }
    finding_label(to, "energy");
    if (processors) {
        fprintf(to, "%s by this host's processors", word_energy(ledger->energy_j).text);
    }
    if (gpus) {
        fprintf(to, "%s%s by %s GPUs", processors ? ", " : "",
                word_energy(ledger->gpu_energy_j).text, processors ? "its" : "this host's");
    }
    fputc('\n', to);
}

static void print_events(const struct ledger *ledger, FILE *to)
{
    size_t count = ledger->event_count;
    size_t first = count > EVENTS_MOST ? count - EVENTS_MOST : 0;
    for (size_t i = first; i < count; i++) {
        const struct ledger_event *event = &ledger->events[i];
        finding_label(to, i == first ? "events" : "");
        fprintf(to, "step %s ", word_count(event->step).text);
        words_put(to, event->kind, 12);
        fputs(": ", to);
        words_put(to, event->text, EVENT_LETTERS);
        fputc('\n', to);
    }
    if (first > 0) {
        fprintf(to, "%*s(%zu more before)\n", LABEL_WIDTH, "", first);
    }
}

void finding_print(const struct finding *finding, FILE *to)
{
    const struct account *account = &finding->account;
    const struct ledger *ledger = account->ledger;
    print_run(ledger, to);
    print_ranks(ledger, to);
    print_codec(ledger, to);
    print_steps(account, to);
    print_bytes(account, to);
    print_seconds(account, to);
    print_saved(account, to);
    print_loss(account, to);
    print_audit(account, to);
    print_energy(ledger, to);
    if (finding->prices != NULL) {
        finding_print_cost(finding, to);
    }
    if (finding->what_if != NULL) {
        finding_print_replay(finding, to);
    }
    print_events(ledger, to);
    for (int i = 0; i < finding->alert_count; i++) {
        finding_label(to, i == 0 ? "notes" : "");
        fprintf(to, "%s: %s\n", alert_name(finding->alerts[i].rule), finding->alerts[i].text);
    }
}
