/* SPDX-License-Identifier: BSD-3-Clause
 * table.c: a run's ledger as a table for people. */
#include <wirewise/ledger.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KIB 1024.0

/* Text that may not fit; needed counts on. */
struct page {
    char *text;
    size_t bytes;
    size_t needed;
};

static void say(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct page *page, const char *format, ...)
{
    size_t at = page->needed < page->bytes ? page->needed : page->bytes;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(page->bytes == at ? NULL : page->text + at, page->bytes - at, format,
                           arguments);
    va_end(arguments);
    page->needed += length > 0 ? (size_t)length : 0;
}

/* ---- Units -------------------------------------------------------------------------------- */

struct words {
    char text[32];
};

/* "1.50 GiB", in the unit that leaves up to four digits before the point. */
static struct words amount(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct words words;
    int unit = 0;
    while (fabs(bytes) >= KIB && unit + 1 < (int)(sizeof units / sizeof *units)) {
        bytes /= KIB;
        unit++;
    }
    snprintf(words.text, sizeof words.text, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
    return words;
}

/* Three digits or more, and no exponent for what a run takes. */
static struct words seconds(double value)
{
    struct words words;
    double size = fabs(value);
    int decimals = size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : size >= 0.001 ? 5 : 7;
    snprintf(words.text, sizeof words.text, "%.*f", decimals, value);
    return words;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* ---- Parts -------------------------------------------------------------------------------- */

static void say_row(struct page *page, const char *name, uint64_t sent, uint64_t dense32,
                    uint64_t dense16)
{
    struct words saved = {"-"};
    if (dense32 > 0) {
        snprintf(saved.text, sizeof saved.text, "%.1f %%",
                 100 * (1 - (double)sent / (double)dense32));
    }
    say(page, "%-12s %12s %12s %12s %9s\n", name, amount((double)sent).text,
        amount((double)dense32).text, amount((double)dense16).text, saved.text);
}

static void say_bytes(struct page *page, const struct ww_ledger *ledger)
{
    uint64_t sent = 0;
    uint64_t dense32 = 0;
    uint64_t dense16 = 0;
    say(page, "%-12s %12s %12s %12s %9s\n", "level", "sent", "dense fp32", "dense 16-bit", "saved");
    for (int i = 0; i < ledger->levels; i++) {
        const struct ww_level_report *level = &ledger->level[i];
        say_row(page, level->name == NULL ? "?" : level->name, level->sent_bytes,
                level->dense32_bytes, level->dense16_bytes);
        sent += level->sent_bytes;
        dense32 += level->dense32_bytes;
        dense16 += level->dense16_bytes;
    }
    if (ledger->levels > 1) {
        say_row(page, "all", sent, dense32, dense16);
    }
    say(page, "agreement    %12s beside\n", amount((double)ledger->control_bytes).text);
    if (ledger->shadow_bytes > 0) {
        say(page, "shadows      %12s beside\n", amount((double)ledger->shadow_bytes).text);
    }
}

static void say_seconds(struct page *page, const struct ww_ledger *ledger)
{
    say(page, "seconds      steps %s, communication %s, exposed %s, encode %s, decode %s\n",
        seconds(ledger->step_s).text, seconds(ledger->communication_s).text,
        seconds(ledger->exposed_s).text, seconds(ledger->encode_s).text,
        seconds(ledger->decode_s).text);
    say(page, "waiting      %s s for the slowest rank", seconds(ledger->skew_s).text);
    if (ledger->slowest_rank >= 0) {
        say(page, ", in %llu step%s that was rank %d", (unsigned long long)ledger->slowest_steps,
            plural(ledger->slowest_steps), ledger->slowest_rank);
    }
    say(page, "\ncomparing    %s s, for %llu probe%s\n", seconds(ledger->ledger_s).text,
        (unsigned long long)ledger->probes, plural(ledger->probes));
}

/* Results that came later than at their own step's end. */
static uint64_t late_results(const struct ww_ledger *ledger)
{
    uint64_t late = 0;
    for (int i = 1; i <= WW_STALENESS_MAX; i++) {
        late += ledger->staleness[i];
    }
    return late;
}

/* "staleness    0: 1, 1: 99 results; 97 % of the communication was hidden", where some were late.
 */
static void say_staleness(struct page *page, const struct ww_ledger *ledger)
{
    if (late_results(ledger) == 0) {
        return;
    }
    const char *join = "staleness    ";
    for (int i = 0; i <= WW_STALENESS_MAX; i++) {
        if (ledger->staleness[i] > 0) {
            say(page, "%s%d: %llu", join, i, (unsigned long long)ledger->staleness[i]);
            join = ", ";
        }
    }
    double shown = ledger->communication_s > 0 ? ledger->exposed_s / ledger->communication_s : 0;
    say(page, " results; %.0f %% of the communication was hidden\n", 100 * fmax(0, 1 - shown));
}

/* "(11.9 .. 12.7 s, measured by 14 probes)" */
static void say_evidence(struct page *page, const struct ww_ledger *ledger)
{
    const struct ww_savings *saved = &ledger->saved;
    say(page, " (%s .. %s s with 95 %%, ", seconds(saved->least_s).text,
        seconds(saved->most_s).text);
    if (saved->evidence == WW_EVIDENCE_MEASURED && ledger->probes == 0) {
        say(page, "measured while codecs were tried)\n");
    } else if (saved->evidence == WW_EVIDENCE_MEASURED) {
        say(page, "measured by %llu probe%s)\n", (unsigned long long)ledger->probes,
            plural(ledger->probes));
    } else {
        say(page, "modelled by what the wires cost)\n");
    }
}

static void say_savings(struct page *page, const struct ww_ledger *ledger)
{
    const struct ww_savings *saved = &ledger->saved;
    if (saved->evidence == WW_EVIDENCE_DENSE) {
        say(page, "saved        nothing was encoded\n");
        return;
    }
    if (saved->evidence == WW_EVIDENCE_INSUFFICIENT || !isfinite(saved->seconds)) {
        say(page, "saved        insufficient data: %s\n",
            late_results(ledger) > 0 ? "delayed steps overlap, so none can be compared"
                                     : "too few probes; without probes, no measured wires");
        return;
    }
    bool exposed = ledger->basis == NULL || strcmp(ledger->basis, "exposed") == 0;
    double dense = (exposed ? ledger->exposed_s : ledger->step_s) + saved->seconds;
    const char *of = exposed ? "exposed" : "in steps";
    if (saved->least_s > 0) {
        say(page, "saved        compression saved %s s of %s s %s", seconds(saved->seconds).text,
            seconds(dense).text, of);
    } else if (saved->most_s < 0) {
        say(page, "saved        compression cost %s s beside %s s %s",
            seconds(-saved->seconds).text, seconds(dense).text, of);
    } else {
        say(page, "saved        not distinguishable from zero: %s s of %s s %s",
            seconds(saved->seconds).text, seconds(dense).text, of);
    }
    say_evidence(page, ledger);
    if (ledger->dense_s > 0 && ledger->coded_s > 0) {
        say(page, "a step       %s s %s dense, %s s encoded\n", seconds(ledger->dense_s).text, of,
            seconds(ledger->coded_s).text);
    }
}

static void say_encoding(struct page *page, const struct ww_ledger *ledger)
{
    if (ledger->encoded == 0) {
        return;
    }
    say(page,
        "encoded      %.4g elements, %.4g sent, %llu not finite; codec chosen anew %llu "
        "time%s\n",
        (double)ledger->encoded, (double)ledger->chosen, (unsigned long long)ledger->wild,
        (unsigned long long)ledger->policy_changes, plural(ledger->policy_changes));
    if (ledger->residual_norm >= 0 && ledger->captured >= 0) {
        say(page, "residual     norm %.4g; %.1f %% of the squares were sent\n",
            ledger->residual_norm, 100 * ledger->captured);
    }
}

static void say_audit(struct page *page, const struct ww_ledger *ledger)
{
    const struct ww_audit *audit = &ledger->audit;
    say(page, "audit        %s claimed by %d rank%s", amount((double)audit->claimed_bytes).text,
        audit->ranks, plural((uint64_t)audit->ranks));
    if (audit->claimed_bytes == 0) {
        say(page, ": nothing left this host\n");
    } else if (!audit->counted) {
        say(page, "; no counter of this host tells of it\n");
    } else {
        say(page, ", %s counted on %.*s, %s framing; %.1f %% unexplained\n",
            amount((double)audit->counted_bytes).text, (int)sizeof audit->interface,
            audit->interface, amount((double)audit->overhead_bytes).text, 100 * audit->unexplained);
    }
    if (audit->linked) {
        say(page, "NVLink       %s sent and %s received by this host's GPUs, whoever used them\n",
            amount((double)audit->nvlink_sent_bytes).text,
            amount((double)audit->nvlink_received_bytes).text);
    } else {
        say(page, "NVLink       no GPU of this host counts any\n");
    }
}

static void say_energy(struct page *page, const struct ww_ledger *ledger)
{
    bool processors = ledger->energy_j >= 0;
    bool gpus = ledger->gpu_energy_j >= 0;
    if (processors && gpus) {
        say(page, "energy       %.4g J by this host's processors, %.4g J by its GPUs\n",
            ledger->energy_j, ledger->gpu_energy_j);
    } else if (processors || gpus) {
        say(page, "energy       %.4g J by this host's %s\n",
            processors ? ledger->energy_j : ledger->gpu_energy_j,
            processors ? "processors" : "GPUs");
    }
}

size_t ww_ledger_print(const struct ww_ledger *ledger, char *text, size_t bytes)
{
    struct page page = {.text = text, .bytes = bytes};
    if (ledger == NULL) {
        say(&page, "no ledger\n");
        return page.needed;
    }
    say(&page, "%llu step%s, %d rank%s, codec %.*s\n", (unsigned long long)ledger->steps,
        plural(ledger->steps), ledger->size, plural((uint64_t)ledger->size),
        (int)sizeof ledger->codec, ledger->codec);
    say_bytes(&page, ledger);
    say_seconds(&page, ledger);
    say_staleness(&page, ledger);
    say_savings(&page, ledger);
    say_encoding(&page, ledger);
    say_audit(&page, ledger);
    say_energy(&page, ledger);
    return page.needed;
}
