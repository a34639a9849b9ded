/* SPDX-License-Identifier: BSD-3-Clause
 * ledger.c: the names that a ledger's members have, and the memory of one. */
#include "ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const ledger_text_names[LEDGER_TEXTS] = {
    [LEDGER_VERSION] = "version", [LEDGER_RUN] = "run",       [LEDGER_STARTED] = "started",
    [LEDGER_HOST] = "host",       [LEDGER_FABRIC] = "fabric", [LEDGER_CODEC] = "codec",
    [LEDGER_ALLOWED] = "allowed", [LEDGER_BASIS] = "basis",
};

const char *const ledger_fact_names[LEDGER_FACTS] = {
    [LEDGER_RANK] = "rank",
    [LEDGER_RANKS] = "ranks",
    [LEDGER_HOSTS] = "hosts",
    [LEDGER_INSIDE] = "inside",
    [LEDGER_TENSORS] = "tensors",
    [LEDGER_BUCKETS] = "buckets",
    [LEDGER_GRADIENT_BYTES] = "gradient_bytes",
};

const struct ledger_member ledger_members[LEDGER_NUMBERS] = {
    [LEDGER_STEP] = {"step", true, false},
    [LEDGER_STEPS] = {"steps", true, true},
    [LEDGER_T] = {"t", false, false},
    [LEDGER_PROBES] = {"probes", true, true},
    [LEDGER_CONTROL] = {"control", true, true},
    [LEDGER_SHADOW] = {"shadow", true, true},
    [LEDGER_STEP_S] = {"step_s", false, true},
    [LEDGER_COMMUNICATION_S] = {"communication_s", false, true},
    [LEDGER_EXPOSED_S] = {"exposed_s", false, true},
    [LEDGER_ENCODE_S] = {"encode_s", false, true},
    [LEDGER_DECODE_S] = {"decode_s", false, true},
    [LEDGER_SKEW_S] = {"skew_s", false, true},
    [LEDGER_SLOWEST] = {"slowest", true, false},
    [LEDGER_COMPARING_S] = {"ledger_s", false, true},
    [LEDGER_RESIDUAL] = {"residual", false, false},
    [LEDGER_CAPTURED] = {"captured", false, false},
    [LEDGER_ENCODED] = {"encoded", true, true},
    [LEDGER_CHOSEN] = {"chosen", true, true},
    [LEDGER_WILD] = {"wild", true, true},
};

const char *const ledger_traffic_names[LEDGER_TRAFFICS] = {
    [LEDGER_SENT] = "bytes",
    [LEDGER_DENSE32] = "dense32",
    [LEDGER_DENSE16] = "dense16",
};

const char *const ledger_evidence_names[LEDGER_EVIDENCES] = {
    [LEDGER_UNTOLD] = "",
    [LEDGER_DENSE] = "dense",
    [LEDGER_INSUFFICIENT] = "insufficient",
    [LEDGER_MODELLED] = "modelled",
    [LEDGER_MEASURED] = "measured",
};

const char *ledger_codec(const struct ledger *ledger, const struct ledger_line *line)
{
    return line->codec < 0 ? "" : ledger->codecs[line->codec];
}

struct ledger_line ledger_line_none(void)
{
    struct ledger_line line = {.codec = -1, .saved = {NAN, NAN, NAN}};
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        line.numbers[i] = ledger_members[i].adds ? 0.0 : (double)NAN;
    }
    return line;
}

void ledger_free(struct ledger *ledger)
{
    for (int i = 0; i < LEDGER_TEXTS; i++) {
        free(ledger->texts[i]);
    }
    for (size_t i = 0; i < ledger->label_count; i++) {
        free(ledger->labels[i].name);
        free(ledger->labels[i].text);
    }
    for (int i = 0; i < ledger->level_count; i++) {
        free(ledger->levels[i]);
    }
    for (int i = 0; i < ledger->codec_count; i++) {
        free(ledger->codecs[i]);
    }
    for (size_t i = 0; i < ledger->event_count; i++) {
        free(ledger->events[i].kind);
        free(ledger->events[i].text);
    }
    free(ledger->labels);
    free(ledger->codecs);
    free(ledger->lines);
    free(ledger->events);
    free(ledger->audit.interface);
    *ledger = (struct ledger){0};
}
