/* SPDX-License-Identifier: BSD-3-Clause
 * ledger.c: keeps account of steps: bytes, seconds, what encoding saved. */
#include "ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "device.h"
#include "internal/clock.h"
#include "internal/memory.h"
#include "internal/number.h"

#define NS_PER_S 1e9
#define WEIGH_EVERY 64
#define NAMED_RANKS 64
#define SHARES_MAX 16
#define ENERGY_NS UINT64_C(120000000000) /* between readings */

static double seconds_of(uint64_t ns)
{
    return (double)ns / NS_PER_S;
}

/* Bytes that this rank claims to have sent to other hosts. */
static uint64_t own_claim(const struct ledger *ledger)
{
    return ledger->steps_sent + atomic_load_explicit(&ledger->calls_sent, memory_order_relaxed) -
           ledger->sent_since;
}

/* ---- Savings ---------------------------------------------------------------------------- */

static struct ww_savings savings(const struct interval *interval, double uses,
                                 enum ww_evidence evidence)
{
    return (struct ww_savings){interval->mean * uses, interval->least * uses, interval->most * uses,
                               evidence};
}

static const struct interval nothing = {0, 0, 0};
static const struct interval anything = {0, -INFINITY, INFINITY};

/* What other ranks' encoding and decoding took from the caller's own work, where they share its
 * core: no part of its time inside wirewise. Ranks are taken to encode as long as each other. */
double ledger_others_coding_s(const struct ww_context *context, const struct ww_report *report)
{
    bool shared = context->crowded && !context->ledger.whole_steps;
    double others = shared ? context->ranks_per_cpu - 1 : 0;
    return others * (report->encode_s + report->decode_s);
}

/* By the model: what a dense step would have taken, less what this one took. */
static struct interval by_model(const struct ww_context *context, const struct ww_report *report)
{
    const struct ledger *ledger = &context->ledger;
    double own = report->exposed_s - report->skew_s; /* a dense step waits as long */
    double actual = own + ledger_others_coding_s(context, report);
    double hidden = fmax(0, report->communication_s - report->exposed_s);
    return (struct interval){fmax(0, ledger->model.mean - hidden) - actual,
                             fmax(0, ledger->model.least - hidden) - actual,
                             fmax(0, ledger->model.most - hidden) - actual};
}

static struct ww_savings step_savings(struct ww_context *context, const struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    const struct policy *policy = &ledger->policy;
    if (!ledger->encodes && !ledger->was_probe) {
        return savings(&nothing, 0, WW_EVIDENCE_DENSE);
    }
    bool known = policy->window.blocks >= POLICY_KNOWN_BLOCKS;
    if (known && (ledger->was_home || ledger->was_probe)) {
        struct interval saved = ledger->was_home ? policy_saving(policy) : nothing;
        return savings(&saved, 1, WW_EVIDENCE_MEASURED);
    }
    if (ledger->race_tells) {
        return savings(&ledger->race_saving, 1, WW_EVIDENCE_MEASURED);
    }
    if (ledger->model.mean > 0 && !policy->setup.probes) {
        struct interval saved = ledger->was_probe ? nothing : by_model(context, report);
        ledger->modelled.mean += saved.mean;
        ledger->modelled.least += saved.least;
        ledger->modelled.most += saved.most;
        return savings(&saved, 1, WW_EVIDENCE_MODELLED);
    }
    return savings(&anything, 1, WW_EVIDENCE_INSUFFICIENT);
}

/* A progress thread hands over under the backward pass: only what the caller was kept by counts. */
uint64_t ledger_handover_ns(const struct ww_context *context)
{
    uint64_t spent_ns = atomic_load_explicit(&context->ledger.handover_ns, memory_order_relaxed);
    uint64_t kept_ns = atomic_load_explicit(&context->step.exposed_ns, memory_order_relaxed);
    return spent_ns < kept_ns ? spent_ns : kept_ns;
}

/* Without probes residuals are handed on for the program's own reasons. */
static uint64_t charge_ns(const struct ww_context *context)
{
    const struct ledger *ledger = &context->ledger;
    uint64_t handover_ns = ledger->policy.setup.probes ? ledger_handover_ns(context) : 0;
    return ledger->agreeing_ns + ledger->shadow_ns + handover_ns;
}

/* What comparing itself took is charged, beyond probes, which simply save nothing. */
static struct ww_savings run_savings(const struct ledger *ledger)
{
    struct interval saved = nothing;
    bool known = policy_saved(&ledger->policy, &saved);
    double charge = seconds_of(ledger->charged_ns);
    if (!ledger->encoded && !ledger->past_known) {
        return savings(&nothing, 0, WW_EVIDENCE_DENSE);
    }
    if (known || ledger->past_known) {
        saved.mean += ledger->past.mean - charge;
        saved.least += ledger->past.least - charge;
        saved.most += ledger->past.most - charge;
        return savings(&saved, 1, WW_EVIDENCE_MEASURED);
    }
    bool models = ledger->model.mean > 0 && !ledger->policy.setup.probes;
    return models ? savings(&ledger->modelled, 1, WW_EVIDENCE_MODELLED)
                  : savings(&anything, 1, WW_EVIDENCE_INSUFFICIENT);
}

/* ---- What went to other hosts, for the audit -------------------------------------------- */

static uint64_t sent_outside(const struct ww_context *context, const struct engine *engine)
{
    struct ww_traffic traffic[WW_LEVELS_MAX];
    uint64_t planned[WW_LEVELS_MAX];
    uint64_t sent = 0;
    if (context->topology.hosts == 1) {
        return 0;
    }
    engine_counters(engine, planned, traffic);
    for (int level = context->topology.host_levels; level < context->topology.levels; level++) {
        sent += traffic[level].data_bytes + traffic[level].control_bytes;
    }
    return sent;
}

void ledger_note_calls(struct ww_context *context)
{
    if (context->topology.hosts > 1) {
        atomic_store_explicit(&context->ledger.calls_sent,
                              sent_outside(context, context->calls.engine), memory_order_relaxed);
    }
}

/* A progress thread looks at the lane between steps, too, and closes the fabric, whose memory this
 * is told in, where it finds that failed. */
static void tell_claim(struct ww_context *context)
{
    pthread_mutex_lock(&context->steps.lock);
    engine_tell(context->steps.engine, own_claim(&context->ledger));
    pthread_mutex_unlock(&context->steps.lock);
}

static void audit(struct ww_context *context, struct ww_audit *audit)
{
    *audit = (struct ww_audit){.ranks = 1};
    tell_claim(context);
    pthread_mutex_lock(&context->steps.lock);
    audit->claimed_bytes = engine_told(context->steps.engine, &audit->ranks);
    pthread_mutex_unlock(&context->steps.lock);
    /* Between imitated hosts nothing leaves the machine: what its interfaces count is others'. */
    if (context->shape == NULL) {
        struct audit_counters now;
        audit_read("", &now);
        audit_compare(&context->ledger.counted_since, &now, audit);
    }
    struct nvlink_bytes linked = {0, 0};
    audit->linked = nvlink_meter_read(&context->ledger.nvlink_meter, &linked);
    audit->nvlink_sent_bytes = linked.sent;
    audit->nvlink_received_bytes = linked.received;
}

/* ---- Life ------------------------------------------------------------------------------- */

static void open_outputs(struct ww_context *context)
{
    const struct topology *topology = &context->topology;
    struct outputs_setup setup = {.config = &context->settings.values,
                                  .rank = topology->rank,
                                  .size = topology->size,
                                  .hosts = topology->hosts,
                                  .host = topology->host_name[topology->host_of[topology->rank]],
                                  .fabric = context->fabric_name,
                                  .levels = topology->levels,
                                  .host_levels = topology->host_levels,
                                  .level_name = topology->level_name,
                                  .tensors = context->tensor_count,
                                  .buckets = context->bucket_count,
                                  .basis = context->ledger.totals.basis,
                                  .now_ns = clock_now_ns(),
                                  .utc_s = clock_utc_s()};
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        setup.gradient_bytes += bucket->count * ww_type_bytes(bucket->type);
    }
    context->ledger.outputs = outputs_create(&setup);
}

static void begin_totals(struct ww_context *context)
{
    struct ww_ledger *totals = &context->ledger.totals;
    *totals = (struct ww_ledger){.struct_bytes = sizeof *totals,
                                 .size = context->world.size,
                                 .levels = context->topology.levels,
                                 .slowest_rank = -1,
                                 .residual_norm = -1,
                                 .captured = -1,
                                 .basis = context->ledger.whole_steps ? "step" : "exposed"};
    for (int level = 0; level < totals->levels; level++) {
        totals->level[level].name = context->topology.level_name[level];
    }
}

enum ww_status ledger_begin(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    ledger->overlaps = delayed_is_on(context);
    begin_totals(context);
    compare_begin(context);
    yardstick_price(context);
    audit_read("", &ledger->counted_since);
    energy_read("", &ledger->energy_since);
    gpu_meter_open(&ledger->gpu_meter, NULL);
    nvlink_meter_open(&ledger->nvlink_meter, NULL);
    ledger->energy_ns = clock_now_ns();
    enum ww_status status = yardstick_measure(context);
    if (status == WW_OK) {
        status = yardstick_reserve_shadow(context);
    }
    if (status == WW_OK && ledger->compares) {
        struct side_call call = {.collective = COLLECTIVE_ALL_REDUCE,
                                 .values = ledger->policy.block.seconds,
                                 .count = 2 * POLICY_TURNS_MAX,
                                 .type = WW_F64,
                                 .op = WW_MAX};
        status = side_reserve(context, &call);
    }
    ledger->times = calloc((size_t)context->bucket_count, sizeof *ledger->times);
    if (status == WW_OK && ledger->times == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory for the times of %d buckets",
                             context->bucket_count);
    }
    if (status == WW_OK) {
        open_outputs(context);
        ledger->steps_sent = sent_outside(context, context->steps.engine);
        ledger->sent_since = ledger->steps_sent + atomic_load(&ledger->calls_sent);
    }
    return status;
}

void ledger_change_menu(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    struct interval saved;
    if (policy_saved(&ledger->policy, &saved)) {
        ledger->past.mean += saved.mean;
        ledger->past.least += saved.least;
        ledger->past.most += saved.most;
        ledger->past_known = true;
    }
    compare_begin(context);
    yardstick_price(context);
}

/* ---- Steps ------------------------------------------------------------------------------ */

bool ledger_wants_times(const struct ww_context *context)
{
    return outputs_want_times(context->ledger.outputs);
}

void ledger_begin_step(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    atomic_store_explicit(&ledger->handover_ns, 0, memory_order_relaxed);
    ledger->encode_ns = 0;
    ledger->decode_ns = 0;
    ledger->shadow_ns = 0;
    ledger->agreeing_ns = 0;
    ledger->delay_ns = engine_delay_ns(context->steps.engine);
}

bool ledger_weighs(uint64_t step)
{
    return (step & (step - 1)) == 0 || step % WEIGH_EVERY == 0;
}

void ledger_begin_end(struct ww_context *context, uint64_t now_ns)
{
    if (context->ledger.compares && !context->ledger.whole_steps) {
        pthread_mutex_lock(&context->steps.lock);
        engine_end_delay(context->steps.engine, now_ns);
        context->ledger.ending_ns = engine_delay_ns(context->steps.engine);
        pthread_mutex_unlock(&context->steps.lock);
    }
}

void ledger_collect(struct ww_context *context, struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    struct engine *engine = context->steps.engine;
    report->encode_s = seconds_of(ledger->encode_ns);
    report->decode_s = seconds_of(ledger->decode_ns);
    report->skew_s = seconds_of(engine_delay_ns(engine) - ledger->delay_ns);
    ledger->waited_ns = engine_delay_ns(engine) - ledger->ending_ns;
    report->slowest_rank = engine_take_slowest(engine);
    ledger->steps_sent = sent_outside(context, engine);
}

/* How the results of a bucket came. */
static const struct codec_spec *bucket_spec(const struct bucket *bucket)
{
    return bucket->parcels == NULL ? &bucket->request.coding.spec : &bucket->travelled;
}

/* What travels by one codec. */
struct share {
    const struct codec_spec *spec;
    uint64_t bytes;
};

/* What has no room is a density of many digits: it is rounded, not cut. */
static void print_codec(const struct codec_spec *spec, char *text, size_t bytes)
{
    struct codec_spec told = *spec;
    for (int digits = 8; codec_print(&told, text, bytes) >= (int)bytes && digits > 0; digits--) {
        char density[32];
        number_print(density, sizeof density, digits, (double)spec->density);
        told.density = (float)number_read(density, NULL);
    }
}

/* The codec of most bytes; beyond so many different ones further ones are not looked at. */
static void name_codec(struct ww_context *context, struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    struct share shares[SHARES_MAX] = {{bucket_spec(&context->buckets[0]), 0}};
    int count = 1;
    int most = 0;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        const struct codec_spec *spec = bucket_spec(bucket);
        int at = 0;
        while (at < count && !codec_spec_same(shares[at].spec, spec)) {
            at++;
        }
        if (at == SHARES_MAX) {
            continue;
        }
        count += at == count;
        shares[at].spec = spec;
        shares[at].bytes += (uint64_t)bucket->count * ww_type_bytes(bucket->type);
        most = shares[at].bytes > shares[most].bytes ? at : most;
    }
    const struct codec_spec *spec = shares[most].spec;
    if (ledger->totals.steps == 0 || !codec_spec_same(spec, &ledger->named)) {
        ledger->named = *spec;
        print_codec(spec, ledger->totals.codec, sizeof ledger->totals.codec);
    }
    memcpy(report->codec, ledger->totals.codec, sizeof report->codec);
}

static void note_residuals(struct ww_context *context, struct ww_report *report)
{
    struct ww_ledger *totals = &context->ledger.totals;
    double given = 0;
    double left = 0;
    for (int i = 0; i < context->bucket_count && report->encoded > 0; i++) {
        given += context->buckets[i].coding.outcome.given;
        left += context->buckets[i].coding.outcome.left;
    }
    if (given > 0 && isfinite(given) && isfinite(left)) {
        totals->residual_norm = sqrt(left);
        totals->captured = 1 - left / given;
    }
    report->residual_norm = totals->residual_norm;
    report->captured = totals->captured;
}

static void note_slowest(struct ledger *ledger, int rank)
{
    if (rank < 0) {
        return;
    }
    int row = rank % NAMED_RANKS; /* beyond so many ranks the latest of a row counts */
    ledger->slowest[row] = ledger->slowest_rank[row] == rank ? ledger->slowest[row] + 1 : 1;
    ledger->slowest_rank[row] = rank;
    if (ledger->slowest[row] > ledger->totals.slowest_steps) {
        ledger->totals.slowest_steps = ledger->slowest[row];
        ledger->totals.slowest_rank = rank;
    }
}

/* Whether any rank encodes in this step: alike on all, where one's own part may be empty. */
static bool encodes(const struct ww_context *context)
{
    for (int i = 0; i < context->bucket_count; i++) {
        if (bucket_spec(&context->buckets[i])->kind != CODEC_NONE) {
            return true;
        }
    }
    return false;
}

/* What went dense is its own yardstick: ranks of one host try several ways (tune.h), and what these
 * send differs by some bytes from the plan that was measured, as segments end in other places. */
static void measure_by_itself(struct ww_level_report *line)
{
    if (line->dense32_bytes > 0 && line->dense32_bytes != line->planned_bytes) {
        double share = (double)line->dense16_bytes / (double)line->dense32_bytes;
        line->dense32_bytes = line->planned_bytes;
        line->dense16_bytes = (uint64_t)(share * (double)line->planned_bytes + 0.5);
    }
}

static void add_levels(struct ww_context *context, struct ww_report *report, bool is_step)
{
    struct ledger *ledger = &context->ledger;
    struct ww_ledger *totals = &ledger->totals;
    bool alone = is_step && !delayed_is_on(context) && !device_enqueues(context);
    bool dense = alone && !encodes(context);
    for (int level = 0; level < totals->levels; level++) {
        struct ww_level_report *line = &report->level[level];
        struct ww_level_report *sum = &totals->level[level];
        line->dense32_bytes = is_step ? ledger->dense.dense32[level] : 0;
        line->dense16_bytes = is_step ? ledger->dense.dense16[level] : 0;
        if (dense) {
            measure_by_itself(line);
        }
        sum->sent_bytes += line->sent_bytes;
        sum->planned_bytes += line->planned_bytes;
        sum->dense32_bytes += line->dense32_bytes;
        sum->dense16_bytes += line->dense16_bytes;
        sum->messages += line->messages;
    }
}

static void add_report(struct ledger *ledger, const struct ww_report *report)
{
    struct ww_ledger *totals = &ledger->totals;
    totals->probes += report->probe;
    totals->payload_bytes += report->payload_bytes;
    totals->control_bytes += report->control_bytes;
    totals->shadow_bytes += report->shadow_bytes;
    totals->step_s += report->step_s;
    totals->communication_s += report->communication_s;
    totals->exposed_s += report->exposed_s;
    totals->encode_s += report->encode_s;
    totals->decode_s += report->decode_s;
    totals->skew_s += report->skew_s;
    totals->ledger_s += report->ledger_s;
    totals->encoded += report->encoded;
    totals->chosen += report->chosen;
    totals->wild += report->wild;
}

/* What is not known once is not known any more. */
static void add_energy(double *total, double joules)
{
    *total = *total < 0 || joules < 0 ? -1 : *total + joules;
}

/* Counters of processors wrap within minutes, those of GPUs may begin anew: they are read in time,
 * and added up. */
static void note_energy(struct ledger *ledger, uint64_t now_ns)
{
    struct energy_counters now;
    energy_read("", &now);
    add_energy(&ledger->totals.energy_j, energy_joules(&ledger->energy_since, &now));
    add_energy(&ledger->totals.gpu_energy_j, gpu_meter_joules(&ledger->gpu_meter));
    ledger->energy_since = now;
    ledger->energy_ns = now_ns;
}

static void total(struct ww_context *context, struct ww_ledger *totals)
{
    struct ledger *ledger = &context->ledger;
    note_energy(ledger, clock_now_ns());
    *totals = ledger->totals;
    totals->saved = run_savings(ledger);
    totals->dense_s = policy_dense_s(&ledger->policy);
    totals->coded_s = policy_home_s(&ledger->policy);
    audit(context, &totals->audit);
}

static const struct bucket_times *bucket_times(struct ww_context *context)
{
    struct bucket_times *times = context->ledger.times;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        times[i] = (struct bucket_times){.index = bucket->index,
                                         .codec = codec_name(bucket_spec(bucket)->kind),
                                         .bytes = (uint64_t)bucket->count *
                                                  ww_type_bytes(bucket->type),
                                         .ready_ns = bucket->ready_ns,
                                         .start_ns = bucket->start_ns,
                                         .passed_ns = bucket->times.passed_ns,
                                         .done_ns = bucket->done_ns,
                                         .encode_ns = bucket->times.encode_ns,
                                         .decode_ns = bucket->times.decode_ns};
    }
    return times;
}

/* A line is written once nothing can be drained behind its step any more. */
static void write_held(struct ledger *ledger)
{
    if (ledger->held.step > 0) {
        outputs_line(ledger->outputs, &ledger->held, ledger->held_ns);
        ledger->held.step = 0;
    }
}

/* Steps of lines ascend, also where a checkpoint took the program's steps back. */
static void write_line(struct ledger *ledger, const struct ww_report *report, uint64_t now_ns)
{
    if (ledger->totals.steps == 1) {
        ledger->first_step = report->step;
    }
    write_held(ledger);
    ledger->held = *report;
    ledger->held.step = ledger->first_step + ledger->totals.steps - 1;
    ledger->held_ns = now_ns;
    if (!ledger->overlaps) {
        write_held(ledger);
    }
}

static void write_outputs(struct ww_context *context, const struct ww_report *report, bool drains,
                          uint64_t now_ns)
{
    struct ledger *ledger = &context->ledger;
    struct step_times times = {
        .begin_ns = context->step.begin_ns, .end_ns = now_ns, .drains = drains};
    if (ledger_wants_times(context)) {
        times.buckets = bucket_times(context);
        times.count = context->bucket_count;
    }
    outputs_trace(ledger->outputs, report, times.count > 0 ? &times : NULL, now_ns);
    if (outputs_want_totals(ledger->outputs, now_ns)) {
        struct ww_ledger totals;
        total(context, &totals);
        outputs_totals(ledger->outputs, &totals, now_ns);
    }
}

static void note_encoding(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    ledger->encodes = ledger->compares && encodes(context);
    ledger->encoded = ledger->encoded || ledger->encodes;
}

/* What steps and drains have in common. */
static void note(struct ww_context *context, struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    name_codec(context, report);
    note_slowest(ledger, report->slowest_rank);
    note_residuals(context, report);
    add_report(ledger, report);
    tell_claim(context);
    bool known = ledger->totals.energy_j >= 0 || ledger->totals.gpu_energy_j >= 0;
    if (known && context->step.begin_ns > ledger->energy_ns + ENERGY_NS) {
        note_energy(ledger, context->step.begin_ns);
    }
}

void ledger_note_staleness(struct ww_context *context, int staleness)
{
    context->ledger.totals.staleness[staleness]++;
}

/* Adds a drain to the step that it stands behind. */
static void hold(struct ww_report *held, const struct ww_report *drain)
{
    for (int level = 0; level < held->levels; level++) {
        held->level[level].sent_bytes += drain->level[level].sent_bytes;
        held->level[level].planned_bytes += drain->level[level].planned_bytes;
        held->level[level].messages += drain->level[level].messages;
    }
    held->sent_bytes += drain->sent_bytes;
    held->control_bytes += drain->control_bytes;
    held->step_s += drain->step_s;
    held->communication_s += drain->communication_s;
    held->exposed_s += drain->exposed_s;
    held->encode_s += drain->encode_s;
    held->decode_s += drain->decode_s;
    held->skew_s += drain->skew_s;
    held->encoded += drain->encoded;
    held->chosen += drain->chosen;
    held->wild += drain->wild;
}

void ledger_note_drain(struct ww_context *context, struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    note_encoding(context);
    add_levels(context, report, false);
    note(context, report); /* it claims no savings: steps do */
    hold(&ledger->held, report);
    if (ledger->outputs != NULL) {
        write_outputs(context, report, true, clock_now_ns());
    }
}

void ledger_note(struct ww_context *context, struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    double usual = policy_home_s(&ledger->policy);
    report->ledger_s = seconds_of(charge_ns(context)) +
                       (ledger->probe_s > usual && usual > 0 ? ledger->probe_s - usual : 0);
    note_encoding(context);
    add_levels(context, report, true);
    report->saved = step_savings(context, report);
    note(context, report);
    ledger->charged_ns += charge_ns(context);
    ledger->totals.steps++;
    if (ledger->outputs != NULL) {
        uint64_t now_ns = clock_now_ns();
        write_line(ledger, report, now_ns);
        write_outputs(context, report, false, now_ns);
    }
}

enum ww_status ww_ledger_read(struct ww_context *context, struct ww_ledger *ledger)
{
    static const char call[] = "ww_ledger_read";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    if (ledger == NULL || ledger->struct_bytes != sizeof *ledger) {
        status = log_failure(WW_BAD_ARGUMENT, "%s got %s", call,
                             ledger == NULL ? "NULL"
                                            : "a ledger that was not made by WW_LEDGER_INIT");
    } else if (!context->committed || atomic_load(&context->step.open)) {
        status = log_failure(WW_BAD_STATE, "%s was called %s", call,
                             context->committed ? "inside of a step" : "before ww_tensors_commit");
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    total(context, ledger);
    return WW_OK;
}

void ledger_destroy(struct ww_context *context, enum ww_status failure)
{
    struct ledger *ledger = &context->ledger;
    write_held(ledger);
    if (ledger->outputs != NULL && failure != WW_OK) {
        outputs_event(ledger->outputs, "failure", context->step.number, ww_last_error(context));
        outputs_destroy(ledger->outputs, NULL);
    } else if (ledger->outputs != NULL) {
        struct ww_ledger totals;
        total(context, &totals);
        outputs_destroy(ledger->outputs, &totals);
    }
    gpu_meter_close(&ledger->gpu_meter);
    nvlink_meter_close(&ledger->nvlink_meter);
    memory_release(ledger->shadow, ledger->shadow_bytes);
    free(ledger->times);
}
