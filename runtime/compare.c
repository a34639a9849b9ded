/* SPDX-License-Identifier: BSD-3-Clause
 * compare.c: which arm each step goes, so that codecs are chosen and what they save is known. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "context.h"
#include "device.h"
#include "internal/clock.h"

#define NS_PER_S 1e9
#define MS_PER_S 1e3
#define BUDGET 0.01  /* of the time, for probes */
#define WARM_STEPS 5 /* before the first measurement */
#define UNIT_RATIO 4 /* buckets of one unit differ by less */
#define TEXT_BYTES 512
#define TIMES_BYTES 320

/* ---- What is compared ------------------------------------------------------------------- */

bool ledger_may_encode(const struct bucket *bucket)
{
    return bucket->count > 0 && (bucket->codec.follows || bucket->codec.spec.kind != CODEC_NONE);
}

/* By the present menu, and by codecs of tensors' own. */
static bool anything_encodes(const struct ww_context *context)
{
    bool some = false;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        bool encodes = !bucket->codec.follows || context->coding.menu.arms > 1;
        some = some || (encodes && ledger_may_encode(bucket));
    }
    return some && context->world.size > 1;
}

static size_t largest_below(const struct ww_context *context, size_t limit)
{
    size_t largest = 0;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        if (bucket->codec.follows && bucket->count < limit && bucket->count > largest) {
            largest = bucket->count;
        }
    }
    return largest;
}

/* Buckets of like size choose together, the largest first; the last unit takes what is left. */
static int number_units(struct ww_context *context)
{
    int units = 0;
    size_t largest;
    size_t limit = SIZE_MAX;
    while (units < POLICY_UNITS_MAX && (largest = largest_below(context, limit)) > 0) {
        size_t least = units + 1 < POLICY_UNITS_MAX ? largest / UNIT_RATIO : 0;
        for (int i = 0; i < context->bucket_count; i++) {
            struct bucket *bucket = &context->buckets[i];
            if (bucket->count < limit && bucket->count > least) {
                bucket->unit = units;
            }
        }
        limit = least + 1;
        units++;
    }
    return units;
}

static bool probes(const struct ww_context *context)
{
    enum ww_probe probe = context->settings.values.probe;
    bool frozen = context->settings.values.deterministic == WW_DETERMINISTIC_PLAN;
    bool overlap = context->settings.values.staleness > 0; /* of steps */
    return probe == WW_PROBE_AUTO ? !frozen && !overlap : probe != WW_PROBE_OFF;
}

void compare_begin(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    const struct menu *menu = &context->coding.menu;
    int units = number_units(context);
    ledger->told_units = 0;
    ledger->compares = anything_encodes(context);
    struct policy_setup setup = {.arms = !ledger->compares ? 1
                                         : menu->arms > 2  ? menu->arms
                                                           : 2,
                                 .units = menu->chooses && units > 0 ? units : 1,
                                 .chooses = menu->chooses && units > 0,
                                 .probes = probes(context),
                                 .looks = !device_enqueues(context),
                                 .budget = BUDGET,
                                 .warm_uses = WARM_STEPS};
    policy_init(&ledger->policy, &setup);
    ledger->was_probe = false;
    ledger->was_home = false;
    ledger->race_tells = false;
}

struct codec_spec compare_codec(const struct ww_context *context, const struct bucket *bucket)
{
    const struct ledger *ledger = &context->ledger;
    const struct menu *menu = &context->coding.menu;
    bool probe = policy_is_probe(&ledger->policy);
    if (context->coding.dense_next || (probe && !ledger->shadows)) {
        return menu->arm[0];
    }
    if (!bucket->codec.follows) {
        return bucket->codec.spec;
    }
    int unit = menu->chooses ? bucket->unit : 0;
    int arm = probe ? policy_home(&ledger->policy, unit) : policy_arm(&ledger->policy, unit);
    return arm < menu->arms ? menu->arm[arm] : menu->arm[0]; /* only codecs of their own encode */
}

/* ---- Words ------------------------------------------------------------------------------ */

static void tell(struct ww_context *context, const char *text)
{
    if (context->world.rank == 0) {
        log_info("%s", text);
    }
    outputs_event(context->ledger.outputs, "policy", context->step.number, text);
}

/* "buckets of 1.0 to 4.0 MiB". */
static void print_unit(const struct ww_context *context, int unit, char *text, size_t bytes)
{
    double least = INFINITY;
    double most = 0;
    for (int i = 0; i < context->bucket_count; i++) {
        const struct bucket *bucket = &context->buckets[i];
        if (bucket->codec.follows && bucket->unit == unit) {
            double mib = (double)bucket->count * sizeof(float) / (1 << 20);
            least = fmin(least, mib);
            most = fmax(most, mib);
        }
    }
    snprintf(text, bytes, least == most ? "buckets of %.3g MiB" : "buckets of %.3g to %.3g MiB",
             least, most);
}

/* "auto, buckets of 25 MiB: int8 from now on, 12.1 ms a step; none 43.5, fp16 22.1". */
static void print_choice(const struct ww_context *context, char *text, size_t bytes)
{
    const struct policy_race *race = &context->ledger.policy.ended;
    const struct menu *menu = &context->coding.menu;
    int home = policy_home(&context->ledger.policy, race->unit);
    char unit[64];
    char name[48];
    char times[TIMES_BYTES];
    print_unit(context, race->unit, unit, sizeof unit);
    codec_print(&menu->arm[home], name, sizeof name);
    menu_print_times(menu, race->mean, home, times, sizeof times);
    snprintf(text, bytes, "auto, %s: %s from step %" PRIu64 " on (%s a step)", unit, name,
             context->step.number + 1, times);
}

/* A codec that was asked for and costs time is worth a warning, once. */
static void warn_of_loss(struct ww_context *context)
{
    const struct policy *policy = &context->ledger.policy;
    const struct interval *saving = &policy->window.saving;
    bool sure = !policy->calibrating || policy->window.blocks >= 2 * POLICY_KNOWN_BLOCKS;
    if (policy->setup.chooses || context->ledger.told_loss || !sure ||
        policy->window.blocks < POLICY_KNOWN_BLOCKS || saving->most >= 0) {
        return;
    }
    char text[TEXT_BYTES];
    snprintf(
        text, sizeof text,
        "encoding costs time here: %.3g ms a step (%.3g to %.3g with 95 %%) of %.3g ms densely; "
        "codec=none is faster, and codec=auto would have chosen it",
        -saving->mean * MS_PER_S, -saving->most * MS_PER_S, -saving->least * MS_PER_S,
        policy_dense_s(policy) * MS_PER_S);
    context->ledger.told_loss = true;
    if (context->world.rank == 0) {
        log_warn("%s", text);
    }
    outputs_event(context->ledger.outputs, "alert", context->step.number, text);
}

static void tell_news(struct ww_context *context, enum policy_news news, const int *homes_before)
{
    struct policy *policy = &context->ledger.policy;
    char text[TEXT_BYTES] = "";
    bool changed = memcmp(homes_before, policy->home, sizeof policy->home) != 0;
    bool told = (context->ledger.told_units >> policy->ended.unit & 1) != 0;
    context->ledger.totals.policy_changes += changed;
    if (news == POLICY_CHOSE && (changed || !told)) {
        print_choice(context, text, sizeof text);
        context->ledger.told_units |= 1U << policy->ended.unit;
    } else if (news == POLICY_GAVE_UP) {
        snprintf(text, sizeof text,
                 "auto: what encoding saves is not beyond the noise any more: none from step "
                 "%" PRIu64 " on",
                 context->step.number + 1);
    } else if (news == POLICY_FORGOT) {
        snprintf(text, sizeof text,
                 "steps take other times than before: what encoding saves is measured anew from "
                 "step %" PRIu64 " on",
                 context->step.number + 1);
    }
    if (text[0] != '\0') {
        tell(context, text);
    }
}

/* ---- Deciding together ------------------------------------------------------------------ */

/* The rank that came last counts: it was inside wirewise for the shortest time, and its step is as
 * long as anybody's. */
static enum ww_status agree(struct ww_context *context)
{
    struct ledger *ledger = &context->ledger;
    struct policy *policy = &ledger->policy;
    int homes[POLICY_UNITS_MAX];
    memcpy(homes, policy->home, sizeof homes);
    struct side_call call = {.collective = COLLECTIVE_ALL_REDUCE,
                             .values = policy->block.seconds,
                             .count = 2 * (size_t)policy->block.turns,
                             .type = WW_F64,
                             .op = ledger->whole_steps ? WW_MAX : WW_MIN,
                             .label = GATE_LABEL_LEDGER};
    uint64_t since_ns = clock_now_ns();
    enum ww_status status = side_run(context, &call, NULL);
    if (status == WW_OK) {
        tell_news(context, policy_agree(policy), homes);
        warn_of_loss(context);
    }
    ledger->agreeing_ns += clock_now_ns() - since_ns;
    return status;
}

/* ---- Steps ------------------------------------------------------------------------------ */

/* What a step would have taken with such a dense communication, as long as it hides as much. */
static double with_dense(double basis_s, double communication_s, double exposed_s, double dense_s)
{
    double hidden = fmax(0, communication_s - exposed_s);
    return basis_s - exposed_s + fmax(0, dense_s - hidden);
}

/* Seconds of the present step on the basis of comparison. */
static double basis_seconds(struct ww_context *context, uint64_t now_ns)
{
    struct ledger *ledger = &context->ledger;
    uint64_t exposed_ns = atomic_load_explicit(&context->step.exposed_ns, memory_order_relaxed);
    uint64_t ns = ledger->whole_steps ? now_ns - context->step.begin_ns : exposed_ns;
    uint64_t other_ns = ledger_handover_ns(context);
    return (double)(ns > other_ns ? ns - other_ns : 0) / NS_PER_S;
}

/* Waits until all ranks are done, and adds the time: else the rank that came last might be the
 * first to end, and tell less than the step took. Charged is only what meeting itself takes, as
 * whoever ends early waits in the next step too. */
static enum ww_status end_together(struct ww_context *context, struct policy_time *taken)
{
    struct ledger *ledger = &context->ledger;
    struct side_call meeting = {.collective = COLLECTIVE_ALL_REDUCE,
                                .type = WW_F32,
                                .op = WW_SUM,
                                .label = GATE_LABEL_LEDGER};
    uint64_t since_ns = clock_now_ns();
    enum ww_status status = side_run(context, &meeting, NULL);
    uint64_t taken_ns = clock_now_ns() - since_ns;
    bool least = ledger->meeting_ns == 0 || taken_ns < ledger->meeting_ns;
    ledger->meeting_ns = least ? taken_ns : ledger->meeting_ns;
    ledger->agreeing_ns += ledger->meeting_ns;
    taken->meeting = (double)taken_ns / NS_PER_S;
    taken->seconds += taken->meeting;
    return status;
}

/* What the step took in the end, or what a dense one would have. */
static enum ww_status time_turn(struct ww_context *context, const struct ww_report *report,
                                struct policy_time *taken)
{
    struct ledger *ledger = &context->ledger;
    bool shadows = ledger->was_probe && ledger->shadows;
    double basis = taken->seconds;
    double exposed = (double)atomic_load(&context->step.exposed_ns) / NS_PER_S;
    enum ww_status status = ledger->whole_steps ? WW_OK : end_together(context, taken);
    if (status != WW_OK || !shadows) {
        return status;
    }
    status = yardstick_run_shadows(context);
    double shadow = (double)ledger->shadow_ns / NS_PER_S;
    taken->seconds = with_dense(basis, report->communication_s, exposed, shadow);
    return status != WW_OK || ledger->whole_steps ? status : end_together(context, taken);
}

static enum ww_status compare(struct ww_context *context, uint64_t now_ns,
                              const struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    bool wanted = policy_times(&ledger->policy);
    /* A GPU is waited for only where its time is wanted. */
    double basis = wanted || !device_enqueues(context) ? basis_seconds(context, now_ns) : 0;
    double waited = ledger->whole_steps ? 0 : (double)ledger->waited_ns / NS_PER_S;
    struct policy_time taken = {fmax(0, basis - waited), basis, 0};
    if (!ledger->was_probe) { /* one with shadows tells what a dense step would take */
        double others = ledger_others_coding_s(context, report);
        taken.own += others;
        taken.seconds += others;
    }
    enum ww_status status = wanted ? time_turn(context, report, &taken) : WW_OK;
    if (status == WW_OK && policy_note(&ledger->policy, &taken)) {
        status = agree(context);
    }
    ledger->probe_s = ledger->was_probe && !ledger->shadows ? basis : 0;
    return status;
}

enum ww_status compare_end_step(struct ww_context *context, uint64_t now_ns,
                                struct ww_report *report)
{
    struct ledger *ledger = &context->ledger;
    if (context->coding.dense_next) { /* asked for: its time says nothing about any arm */
        ledger->was_probe = false;
        ledger->was_home = false;
        ledger->race_tells = false;
        ledger->probe_s = 0;
        return WW_OK;
    }
    ledger->was_probe = policy_is_probe(&ledger->policy);
    ledger->was_home = policy_is_home(&ledger->policy) || (ledger->was_probe && ledger->shadows);
    ledger->race_tells = policy_raced_saving(&ledger->policy, &ledger->race_saving);
    report->probe = ledger->was_probe;
    return compare(context, now_ns, report);
}
