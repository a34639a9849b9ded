/* SPDX-License-Identifier: BSD-3-Clause
 * ledger_json.c: what the screen tells, for programs. */
#include "ledger_faces.h"

#include <math.h>
#include <string.h>

#include "json.h"

/* Whole numbers beyond what a double holds exactly are not there. */
static void put_whole(struct json *json, const char *name, double value)
{
    if (isfinite(value) && fabs(value) < 0x1p53) {
        json_integer(json, name, (int64_t)value);
    } else {
        json_number(json, name, value);
    }
}

static void put_interval(struct json *json, const char *name, const struct interval *interval)
{
    if (isnan(interval->estimate)) {
        json_null(json, name);
        return;
    }
    json_open_array(json, name);
    json_number(json, NULL, interval->low);
    json_number(json, NULL, interval->estimate);
    json_number(json, NULL, interval->high);
    json_close_array(json);
}

static void put_header(struct json *json, const struct ledger *ledger)
{
    json_text(json, "file", ledger->path);
    for (int i = 0; i < LEDGER_TEXTS; i++) {
        json_text(json, i == LEDGER_CODEC ? "configured" : ledger_text_names[i], ledger->texts[i]);
    }
    json_open_object(json, "labels");
    for (size_t i = 0; i < ledger->label_count; i++) {
        json_text(json, ledger->labels[i].name, ledger->labels[i].text);
    }
    json_close_object(json);
    for (int i = 0; i < LEDGER_FACTS; i++) {
        put_whole(json, ledger_fact_names[i], ledger->facts[i]);
    }
    json_text(json, "state", account_state(ledger));
    json_bool(json, "cut", ledger->cut);
    put_whole(json, "missing", ledger->missing);
}

static void put_levels(struct json *json, const struct account *account)
{
    const struct ledger *ledger = account->ledger;
    json_open_array(json, "levels");
    for (int level = 0; level < ledger->level_count; level++) {
        json_open_object(json, NULL);
        json_text(json, "name", ledger->levels[level]);
        for (int i = 0; i < LEDGER_TRAFFICS; i++) {
            put_whole(json, ledger_traffic_names[i], account->total.traffic[i][level]);
        }
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_total(struct json *json, const struct account *account)
{
    static const char *const verdicts[] = {
        [VERDICT_UNKNOWN] = "insufficient", [VERDICT_DENSE] = "dense", [VERDICT_NOISE] = "noise",
        [VERDICT_SAVED] = "saved",          [VERDICT_LOST] = "lost",
    };
    const struct ledger_line *total = &account->total;
    char codecs[256];
    account_codecs(account, codecs, sizeof(codecs));
    json_text(json, "codecs", codecs);
    for (int i = 0; i < LEDGER_NUMBERS; i++) {
        if (i == LEDGER_STEP || i == LEDGER_SLOWEST) {
            continue;
        }
        (ledger_members[i].whole ? put_whole : json_number)(json, ledger_members[i].name,
                                                            total->numbers[i]);
    }
    json_number(json, "mean_step_s", account->mean_step_s);
    json_number(json, "median_step_s", account->median_step_s);
    put_whole(json, "slow_steps", account->slow_steps);
    put_whole(json, "slowest", account->slowest < 0 ? (double)NAN : account->slowest);
    json_number(json, "slowest_share", account->slowest_share);
    put_levels(json, account);
    put_interval(json, "saved", &total->saved);
    json_text(json, "verdict", verdicts[account_verdict(account)]);
    json_text(json, "evidence", ledger_evidence_names[total->evidence]);
    put_whole(json, "unjudged", account->unjudged);
}

static void put_end(struct json *json, const struct ledger *ledger)
{
    const struct ledger_audit *audit = &ledger->audit;
    json_number(json, "dense_s", ledger->dense_s);
    json_number(json, "coded_s", ledger->coded_s);
    json_number(json, "energy_j", ledger->energy_j);
    json_number(json, "gpu_energy_j", ledger->gpu_energy_j);
    if (!audit->known) {
        json_null(json, "audit");
        return;
    }
    json_open_object(json, "audit");
    put_whole(json, "claimed", audit->claimed);
    put_whole(json, "counted", audit->counted);
    json_text(json, "interface", audit->interface);
    put_whole(json, "overhead", audit->overhead);
    json_number(json, "unexplained", audit->unexplained);
    put_whole(json, "nvlink_sent", audit->nvlink_sent);
    put_whole(json, "nvlink_received", audit->nvlink_received);
    json_close_object(json);
}

static void put_energy(struct json *json, const struct cost *cost)
{
    static const char *const sources[] = {[ENERGY_PROCESSORS] = "processors",
                                          [ENERGY_GPUS] = "GPUs",
                                          [ENERGY_PROCESSORS_GPUS] = "processors and GPUs"};
    bool known = !isnan(cost->energy_j);
    bool measured = known && cost->energy_source != ENERGY_WATTS;
    json_number(json, "energy_j", cost->energy_j);
    json_text(json, "energy_is", measured ? "measured" : known ? "watts" : NULL);
    json_text(json, "energy_of", measured ? sources[cost->energy_source] : NULL);
}

static void put_cost(struct json *json, const struct finding *finding)
{
    const struct cost *cost = &finding->cost;
    enum verdict verdict = account_verdict(&finding->account);
    bool sure = verdict == VERDICT_SAVED || verdict == VERDICT_LOST;
    json_open_object(json, "cost");
    json_text(json, "currency", finding->prices->currency);
    json_number(json, "gpu_hours", cost->gpu_hours);
    json_number(json, "gigabytes", cost->gigabytes);
    put_energy(json, cost);
    json_number(json, "time", cost->time);
    json_number(json, "traffic", cost->traffic);
    json_number(json, "energy", cost->energy);
    json_number(json, "total", cost->total);
    json_number(json, "per_step", cost->total / finding->account.steps);
    if (sure) {
        put_interval(json, "saved", &cost->saved);
        put_interval(json, "saved_j", &cost->saved_j);
    } else {
        json_null(json, "saved");
        json_null(json, "saved_j");
    }
    json_number(json, "saved_traffic", sure ? cost->saved_traffic : (double)NAN);
    json_number(json, "saved_traffic16", sure ? cost->saved_traffic16 : (double)NAN);
    json_close_object(json);
}

static void put_replay(struct json *json, const struct finding *finding)
{
    const struct replay *replay = &finding->replay;
    json_open_object(json, "what_if");
    json_text(json, "level", finding->account.ledger->levels[replay->level]);
    json_number(json, "rate_bit_s", finding->what_if->rate);
    json_number(json, "latency_s", finding->what_if->latency_s);
    json_number(json, "recorded_rate_bit_s", replay->recorded_rate);
    json_number(json, "sent_bytes", replay->sent);
    json_number(json, "dense_bytes", replay->dense);
    json_number(json, "recorded_step_s", replay->recorded_s);
    json_number(json, "coded_step_s", replay->coded_s);
    json_number(json, "dense_step_s", replay->dense_s);
    json_number(json, "saved_s", replay->dense_s - replay->coded_s);
    json_number(json, "break_even_bit_s", replay->break_even);
    json_bool(json, "pays_at_any_rate", isinf(replay->break_even));
    json_close_object(json);
}

static void put_lists(struct json *json, const struct finding *finding)
{
    const struct ledger *ledger = finding->account.ledger;
    json_open_array(json, "events");
    for (size_t i = 0; i < ledger->event_count; i++) {
        json_open_object(json, NULL);
        json_text(json, "event", ledger->events[i].kind);
        put_whole(json, "step", ledger->events[i].step);
        json_text(json, "text", ledger->events[i].text);
        json_close_object(json);
    }
    json_close_array(json);
    json_open_array(json, "alerts");
    for (int i = 0; i < finding->alert_count; i++) {
        json_open_object(json, NULL);
        json_text(json, "rule", alert_name(finding->alerts[i].rule));
        json_text(json, "text", finding->alerts[i].text);
        json_close_object(json);
    }
    json_close_array(json);
}

static void put_finding(struct json *json, const struct finding *finding)
{
    put_header(json, finding->account.ledger);
    put_total(json, &finding->account);
    put_end(json, finding->account.ledger);
    if (finding->prices != NULL) {
        put_cost(json, finding);
    }
    if (finding->what_if != NULL) {
        put_replay(json, finding);
    }
    put_lists(json, finding);
}

void findings_write_json(const struct finding *findings, size_t count, FILE *to)
{
    struct json json = {.to = to};
    json_open_object(&json, NULL);
    json_text(&json, "schema", FINDING_SCHEMA);
    if (count == 1) {
        put_finding(&json, findings);
    } else {
        json_open_array(&json, "runs");
        for (size_t i = 0; i < count; i++) {
            json_open_object(&json, NULL);
            put_finding(&json, &findings[i]);
            json_close_object(&json);
        }
        json_close_array(&json);
    }
    json_close_object(&json);
}
