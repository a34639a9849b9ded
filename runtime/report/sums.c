/* SPDX-License-Identifier: BSD-3-Clause
 * sums.c: adds steps up and writes the sums as members of JSON. */
#include "sums.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const evidence_names[] = {
    [WW_EVIDENCE_DENSE] = "dense",
    [WW_EVIDENCE_INSUFFICIENT] = "insufficient",
    [WW_EVIDENCE_MODELLED] = "modelled",
    [WW_EVIDENCE_MEASURED] = "measured",
};

struct sums sums_of_none(int levels)
{
    return (struct sums){.levels = levels,
                         .slowest_rank = -1,
                         .saved.evidence = WW_EVIDENCE_DENSE,
                         .residual_norm = -1,
                         .captured = -1};
}

/* A sum is known as well as its weakest part; dense steps save nothing, and that for certain. */
static enum ww_evidence weaker(enum ww_evidence a, enum ww_evidence b)
{
    if (a == WW_EVIDENCE_DENSE || b == WW_EVIDENCE_DENSE) {
        return a == WW_EVIDENCE_DENSE ? b : a;
    }
    return a < b ? a : b;
}

/* Errors of steps go together, for they stem from the same probes: ends of intervals add up. */
static void add_savings(struct ww_savings *into, const struct ww_savings *from)
{
    into->evidence = weaker(into->evidence, from->evidence);
    if (from->evidence != WW_EVIDENCE_INSUFFICIENT) { /* infinite ends would never leave */
        into->seconds += from->seconds;
        into->least_s += from->least_s;
        into->most_s += from->most_s;
    }
}

void sums_add(struct sums *sums, const struct ww_report *report)
{
    sums->step = report->step;
    sums->steps++;
    sums->probes += report->probe;
    for (int level = 0; level < sums->levels; level++) {
        sums->level[level].sent += report->level[level].sent_bytes;
        sums->level[level].dense32 += report->level[level].dense32_bytes;
        sums->level[level].dense16 += report->level[level].dense16_bytes;
    }
    sums->control_bytes += report->control_bytes;
    sums->shadow_bytes += report->shadow_bytes;
    sums->step_s += report->step_s;
    sums->communication_s += report->communication_s;
    sums->exposed_s += report->exposed_s;
    sums->encode_s += report->encode_s;
    sums->decode_s += report->decode_s;
    sums->skew_s += report->skew_s;
    sums->ledger_s += report->ledger_s;
    add_savings(&sums->saved, &report->saved);
    memcpy(sums->codec, report->codec, sizeof sums->codec);
    sums->residual_norm = report->residual_norm >= 0 ? report->residual_norm : sums->residual_norm;
    sums->captured = report->captured >= 0 ? report->captured : sums->captured;
    sums->encoded += report->encoded;
    sums->chosen += report->chosen;
    sums->wild += report->wild;
}

struct sums sums_of_run(const struct ww_ledger *totals)
{
    struct sums sums = sums_of_none(totals->levels);
    sums.step = totals->steps;
    sums.steps = totals->steps;
    sums.probes = totals->probes;
    for (int level = 0; level < totals->levels; level++) {
        sums.level[level].sent = totals->level[level].sent_bytes;
        sums.level[level].dense32 = totals->level[level].dense32_bytes;
        sums.level[level].dense16 = totals->level[level].dense16_bytes;
    }
    sums.control_bytes = totals->control_bytes;
    sums.shadow_bytes = totals->shadow_bytes;
    sums.step_s = totals->step_s;
    sums.communication_s = totals->communication_s;
    sums.exposed_s = totals->exposed_s;
    sums.encode_s = totals->encode_s;
    sums.decode_s = totals->decode_s;
    sums.skew_s = totals->skew_s;
    sums.ledger_s = totals->ledger_s;
    sums.slowest_rank = totals->slowest_rank;
    sums.saved = totals->saved;
    memcpy(sums.codec, totals->codec, sizeof sums.codec);
    sums.residual_norm = totals->residual_norm;
    sums.captured = totals->captured;
    sums.encoded = totals->encoded;
    sums.chosen = totals->chosen;
    sums.wild = totals->wild;
    return sums;
}

/* ---- JSON -------------------------------------------------------------------------------- */

static void emit_levels(const struct sums *sums, struct emit *emit)
{
    emit_open(emit, "bytes", '[');
    for (int level = 0; level < sums->levels; level++) {
        emit_count(emit, NULL, sums->level[level].sent);
    }
    emit_close(emit, ']');
    emit_open(emit, "dense32", '[');
    for (int level = 0; level < sums->levels; level++) {
        emit_count(emit, NULL, sums->level[level].dense32);
    }
    emit_close(emit, ']');
    emit_open(emit, "dense16", '[');
    for (int level = 0; level < sums->levels; level++) {
        emit_count(emit, NULL, sums->level[level].dense16);
    }
    emit_close(emit, ']');
}

static void emit_savings(const struct ww_savings *saved, struct emit *emit)
{
    if (saved->evidence == WW_EVIDENCE_INSUFFICIENT || !isfinite(saved->seconds) ||
        !isfinite(saved->least_s) || !isfinite(saved->most_s)) {
        emit_null(emit, "saved");
    } else {
        emit_open(emit, "saved", '[');
        emit_number(emit, NULL, saved->least_s);
        emit_number(emit, NULL, saved->seconds);
        emit_number(emit, NULL, saved->most_s);
        emit_close(emit, ']');
    }
    emit_text(emit, "evidence", evidence_names[saved->evidence]);
}

/* Negative stands for unknown. */
static void emit_known(struct emit *emit, const char *name, double value)
{
    emit_number(emit, name, value >= 0 ? value : NAN);
}

void sums_emit(const struct sums *sums, double t_s, struct emit *emit)
{
    char codec[sizeof sums->codec + 1];
    snprintf(codec, sizeof codec, "%.*s", (int)sizeof sums->codec, sums->codec);
    emit_count(emit, "step", sums->step);
    emit_count(emit, "steps", sums->steps);
    emit_number(emit, "t", t_s);
    emit_text(emit, "codec", codec);
    emit_count(emit, "probes", sums->probes);
    emit_levels(sums, emit);
    emit_count(emit, "control", sums->control_bytes);
    emit_count(emit, "shadow", sums->shadow_bytes);
    emit_number(emit, "step_s", sums->step_s);
    emit_number(emit, "communication_s", sums->communication_s);
    emit_number(emit, "exposed_s", sums->exposed_s);
    emit_number(emit, "encode_s", sums->encode_s);
    emit_number(emit, "decode_s", sums->decode_s);
    emit_number(emit, "skew_s", sums->skew_s);
    if (sums->slowest_rank >= 0) {
        emit_integer(emit, "slowest", sums->slowest_rank);
    } else {
        emit_null(emit, "slowest");
    }
    emit_savings(&sums->saved, emit);
    emit_number(emit, "ledger_s", sums->ledger_s);
    emit_known(emit, "residual", sums->residual_norm);
    emit_known(emit, "captured", sums->captured);
    emit_count(emit, "encoded", sums->encoded);
    emit_count(emit, "chosen", sums->chosen);
    emit_count(emit, "wild", sums->wild);
}
