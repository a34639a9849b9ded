/* SPDX-License-Identifier: BSD-3-Clause
 * coding.c: how gradients of steps are encoded: which codec a tensor has, and what encoding keeps
 * from step to step.
 *
 * Residuals lie by place in the registered tensors, whatever bucket, codec or plan moves them. At a
 * place where this rank encodes nothing its residual is zero. Whom a plan lets encode what is its
 * business; while that stays the same, residuals are added where they were left. When it changes,
 * each is added to this rank's own gradient, once.
 *
 * There are two sets, so that the latest step can be taken back: it reads one and writes the
 * other. Where results are delayed, steps on their way take turns with them. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <wirewise/checkpoint.h>
#include <wirewise/tools.h>

#include "context.h"
#include "device.h"
#include "internal/clock.h"
#include "internal/cpu.h"
#include "internal/memory.h"

#define WARMUP_DENSITY 0.25 /* Lin et al., Deep Gradient Compression, 2018, section 3.3 */
#define WARMUP_ROOTS 6      /* of 2: the stages */

/* ---- Which codec ---------------------------------------------------------------------------- */

struct codec_class coding_class(const struct ww_context *context, const struct ww_tensor *tensor)
{
    struct codec_class none = {.follows = false};
    if (tensor->has_codec) {
        return (struct codec_class){.spec = tensor->codec};
    }
    bool large = tensor->count >= context->settings.values.codec_least_count && tensor->dims >= 2;
    bool follows = context->coding.menu.arms > 1 && tensor->type == WW_F32 && large;
    return follows ? (struct codec_class){.follows = true} : none;
}

bool coding_same_class(const struct codec_class *one, const struct codec_class *other)
{
    return one->follows == other->follows && codec_spec_same(&one->spec, &other->spec);
}

/* The density of a step: it falls by 64 equal factors. Square roots and products have the same bits
 * on all ranks; powers need not. */
static float warm_density(const struct ww_context *context, float density)
{
    uint64_t steps = (uint64_t)context->settings.values.density_warmup_steps;
    uint64_t done = context->coding.steps + delayed_count(context);
    if (done >= steps || density >= WARMUP_DENSITY) {
        return density;
    }
    double factor = density / WARMUP_DENSITY;
    for (int i = 0; i < WARMUP_ROOTS; i++) {
        factor = sqrt(factor);
    }
    double warm = WARMUP_DENSITY;
    for (uint64_t stage = (done << WARMUP_ROOTS) / steps; stage > 0; stage--) {
        warm *= factor;
    }
    return (float)warm;
}

/* One rank alone sends nothing. */
struct codec_spec coding_spec(const struct ww_context *context, const struct bucket *bucket)
{
    if (context->world.size == 1 || bucket->count == 0) {
        return (struct codec_spec){.kind = CODEC_NONE};
    }
    struct codec_spec spec = compare_codec(context, bucket);
    if (spec.kind == CODEC_TOPK) {
        spec.density = warm_density(context, spec.density);
        spec.fixed = spec.fixed || device_enqueues(context); /* a stream cannot wait for lengths */
    }
    return spec;
}

/* Whether a codec feeds back what it leaves out. */
static bool feeds_back(enum ww_feedback feedback, const struct codec_spec *spec)
{
    switch (feedback) {
    case WW_FEEDBACK_ON:
        return spec->kind != CODEC_NONE;
    case WW_FEEDBACK_OFF:
        return false;
    default:
        return spec->kind == CODEC_INT8 || spec->kind == CODEC_TOPK;
    }
}

bool coding_masks(const struct ww_config *config, const struct codec_spec *spec)
{
    return config->momentum > 0 && config->momentum_masking && spec->kind == CODEC_TOPK;
}

enum ww_status ww_codec_describe(const char *codec, struct ww_codec_facts *facts)
{
    struct codec_spec spec;
    if (facts == NULL || facts->struct_bytes != sizeof *facts) {
        return log_failure(WW_BAD_ARGUMENT, "ww_codec_describe got %s",
                           facts == NULL ? "NULL"
                                         : "facts that were not made by WW_CODEC_FACTS_INIT");
    }
    if (codec != NULL && strcmp(codec, "auto") == 0) {
        facts->lossy = true;
        facts->feeds_back = true;
        facts->bytes_per_element = sizeof(float);
        return WW_OK;
    }
    enum ww_status status = menu_parse_codec(codec, "codec", &spec);
    if (status == WW_OK) {
        facts->lossy = spec.kind != CODEC_NONE;
        facts->feeds_back = feeds_back(WW_FEEDBACK_AUTO, &spec);
        facts->bytes_per_element = codec_bytes_per_element(&spec);
    }
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------- */

static bool may_be_coded(const struct bucket *bucket)
{
    return bucket->codec.follows || bucket->codec.spec.kind != CODEC_NONE;
}

static bool has_momentum(const struct ww_context *context, const struct bucket *bucket)
{
    return context->settings.values.momentum > 0 && bucket->type == WW_F32;
}

static bool may_feed_back(const struct ww_context *context, const struct bucket *bucket)
{
    const struct menu *menu = &context->coding.menu;
    enum ww_feedback feedback = context->settings.values.error_feedback;
    bool some = !bucket->codec.follows && feeds_back(feedback, &bucket->codec.spec);
    for (int arm = 0; arm < menu->arms && bucket->codec.follows; arm++) {
        some = some || feeds_back(feedback, &menu->arm[arm]);
    }
    return some && bucket->count > 0 && context->world.size > 1;
}

static enum ww_status reserve_pair(const struct vectors *vectors, float **pair, size_t count)
{
    for (int i = 0; i < 2 && count > 0; i++) {
        if (pair[i] == NULL) {
            pair[i] = vectors->reserve(vectors->self, count * sizeof *pair[i]);
        }
        if (pair[i] == NULL) {
            return log_failure(WW_NO_MEMORY, "no memory for what encoding leaves of %zu elements",
                               count);
        }
    }
    return WW_OK;
}

struct coding_places coding_place(const struct ww_context *context, bool carries, size_t *offset)
{
    struct coding_places places = {0, false, false};
    for (int i = context->bucket_count - 1; i >= 0; i--) { /* as the tensors were registered */
        const struct bucket *bucket = &context->buckets[i];
        bool kept = may_be_coded(bucket) || has_momentum(context, bucket) ||
                    (carries && bucket->type == WW_F32);
        offset[i] = places.count;
        places.count += kept ? bucket->count : 0;
        places.residuals = places.residuals || may_feed_back(context, bucket);
        places.momenta = places.momenta || has_momentum(context, bucket);
    }
    return places;
}

enum ww_status coding_reserve(struct ww_context *context)
{
    struct coding_state *coding = &context->coding;
    size_t *offset = calloc((size_t)context->bucket_count + 1, sizeof *offset);
    if (offset == NULL) {
        return log_failure(WW_NO_MEMORY, "no memory for the places of %d buckets",
                           context->bucket_count);
    }
    struct coding_places places = coding_place(context, coding->carries, offset);
    coding->count = places.count;
    for (int i = 0; i < context->bucket_count; i++) {
        context->buckets[i].coding.offset = offset[i];
        coding->changeable = coding->changeable || context->buckets[i].codec.follows;
    }
    free(offset);
    enum ww_status status = WW_OK;
    if (places.residuals) {
        status = reserve_pair(&context->vectors, coding->residuals, coding->count);
    }
    if (places.momenta && status == WW_OK) {
        status = reserve_pair(&context->vectors, coding->momenta, coding->count);
    }
    return status;
}

void coding_destroy(struct ww_context *context)
{
    struct coding_state *coding = &context->coding;
    const struct vectors *vectors = &context->vectors;
    for (int i = 0; i < 2; i++) {
        size_t bytes = coding->count * sizeof(float);
        vectors->release(vectors->self, coding->residuals[i], bytes);
        vectors->release(vectors->self, coding->momenta[i], bytes);
    }
}

/* ---- One bucket in one step ----------------------------------------------------------------- */

/* Factors are fp32 in the end: those that are beyond its normal numbers come in parts, of which
 * none rounds what a later one does not. */
static void scale_values(const struct ww_context *context, const struct bucket *bucket,
                         void *values, double scale)
{
    static const double far = 0x1p100;
    const struct vectors *vectors = &context->vectors;
    if (bucket->type != WW_F32 && bucket->type != WW_F64) {
        return;
    }
    while (bucket->type == WW_F32 && fabs(scale) > far) {
        vectors->scale(vectors->self, bucket->type, values, bucket->count, far);
        scale /= far;
    }
    if (bucket->type == WW_F32 && fabs(scale) < 1 / far) {
        vectors->scale(vectors->self, bucket->type, values, bucket->count, 1 / far);
        scale *= far;
    }
    vectors->scale(vectors->self, bucket->type, values, bucket->count, scale);
}

/* Who encodes what: other plans and other cuts have other holders. The same in other processes,
 * since checkpoints keep it. */
static uint64_t fingerprint(const struct run_request *request)
{
    uint64_t mark = request->plan->content * UINT64_C(0x9e3779b97f4a7c15) + request->segment_bytes;
    return mark > HOLDERS_LOADED ? mark : HOLDERS_LOADED + 1;
}

/* A change of arms is no part of what either of them takes. */
static void note_handover(struct ww_context *context, uint64_t since_ns)
{
    atomic_fetch_add_explicit(&context->ledger.handover_ns, clock_now_ns() - since_ns,
                              memory_order_relaxed);
}

/* Residuals that nobody will add where they were left go into the own gradient. */
static void hand_on(struct ww_context *context, struct bucket *bucket, int reads, void *values)
{
    const float *kept = context->coding.residuals[reads] + bucket->coding.offset;
    const struct vectors *vectors = &context->vectors;
    uint64_t since_ns = clock_now_ns();
    vectors->add(vectors->self, values, kept, bucket->count);
    note_handover(context, since_ns);
}

/* Momentum that was kept for others to encode goes on as a part of the own gradient: whoever
 * encodes it keeps it from here on. */
static void hand_on_momentum(const struct ww_context *context, const struct bucket *bucket,
                             float *u, float *values)
{
    float factor = (float)context->settings.values.momentum;
    unsigned before = cpu_exact_begin();
    for (size_t i = 0; i < bucket->count; i++) {
        values[i] = factor * u[i] + values[i];
        u[i] = 0;
    }
    cpu_exact_end(before);
}

/* Fills the request's residuals. Memory that the present holders did not write yet is zeroed. */
static void use_residuals(struct ww_context *context, struct bucket *bucket, int reads,
                          uint64_t holders, struct run_request *request)
{
    struct coding_state *coding = &context->coding;
    struct bucket_coding *kept = &bucket->coding;
    float *now = coding->residuals[reads] + kept->offset;
    float *next = coding->residuals[!reads] + kept->offset;
    bool same = kept->now.holders == holders;
    if (!same || kept->now.settled == 0) {
        uint64_t since_ns = clock_now_ns();
        context->vectors.zero(context->vectors.self, next, bucket->count * sizeof *next);
        note_handover(context, since_ns);
    }
    kept->now.settled = same;
    request->coding.residual = same ? now : next;
    request->coding.next = next;
}

/* This step's momentum, as the step before left it. */
static float *begin_momentum(struct ww_context *context, struct bucket *bucket, int reads)
{
    struct coding_state *coding = &context->coding;
    size_t offset = bucket->coding.offset;
    float *now = coding->momenta[reads] + offset;
    float *next = coding->momenta[!reads] + offset;
    if (bucket->coding.now.has_momentum) {
        memory_copy(next, now, bucket->count * sizeof *next);
    } else {
        memset(next, 0, bucket->count * sizeof *next);
    }
    bucket->coding.now.has_momentum = true;
    bucket->coding.now.common_momentum = false;
    return next;
}

/* Where nothing is masked momentum is what it always was: u = factor u + gradient is what moves. */
static void add_momentum(const struct ww_context *context, const struct bucket *bucket, float *u,
                         float *values)
{
    float factor = (float)context->settings.values.momentum;
    unsigned before = cpu_exact_begin();
    for (size_t i = 0; i < bucket->count; i++) {
        float sum = factor * u[i] + values[i];
        u[i] = isfinite(sum) ? sum : u[i];
        values[i] = sum;
    }
    cpu_exact_end(before);
}

bool coding_keeps(const struct ww_context *context)
{
    return context->coding.residuals[0] != NULL || context->coding.momenta[0] != NULL;
}

void coding_launch(struct ww_context *context, struct bucket *bucket,
                   const struct step_terms *terms, struct run_request *request)
{
    struct bucket_coding *kept = &bucket->coding;
    const struct codec_spec *spec = &request->coding.spec;
    bool keeps = feeds_back(context->settings.values.error_feedback, spec);
    uint64_t holders = keeps ? fingerprint(request) : 0;
    request->coding.scale = (float)fmin(fmax(terms->loss_scale, FLT_MIN), FLT_MAX);
    if (terms->loss_scale != 1) {
        scale_values(context, bucket, request->output, 1 / terms->loss_scale);
    }
    kept->before = kept->now;
    if (has_momentum(context, bucket) && bucket->count > 0) {
        float *u = begin_momentum(context, bucket, terms->reads);
        if (keeps && coding_masks(&context->settings.values, spec)) {
            if (kept->before.has_momentum && kept->before.holders != holders) {
                hand_on_momentum(context, bucket, u, request->output);
            }
            request->coding.momentum = u;
            request->coding.momentum_factor = (float)context->settings.values.momentum;
        } else {
            add_momentum(context, bucket, u, request->output);
        }
    }
    if (!may_be_coded(bucket) && kept->now.holders == 0) {
        return;
    }
    if (kept->now.holders != 0 && kept->now.holders != holders) {
        hand_on(context, bucket, terms->reads, request->output);
    }
    if (keeps) {
        use_residuals(context, bucket, terms->reads, holders, request);
    }
    kept->now.holders = holders;
    request->coding.seed = terms->number * UINT64_C(0xd1342543de82ef95) + (uint64_t)bucket->index;
    request->coding.outcome = &kept->outcome;
    request->coding.weighed = ledger_weighs(terms->number);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

bool coding_changes(const struct ww_context *context)
{
    bool changes = false;
    for (int i = 0; i < context->bucket_count && !changes; i++) {
        struct codec_spec spec = coding_spec(context, &context->buckets[i]);
        changes = !codec_spec_same(&spec, &context->buckets[i].request.coding.spec);
    }
    return changes;
}

enum ww_status coding_begin_step(struct ww_context *context)
{
    context->coding.may_discard = false;
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        struct codec_spec spec = coding_spec(context, bucket);
        bucket->coding.outcome = (struct coding_outcome){.wild_rank = -1};
        bucket->request.coding.asked_dense = context->coding.dense_next;
        bucket->request.coding.discarded = context->coding.discarded;
        if (codec_spec_same(&spec, &bucket->request.coding.spec)) {
            continue;
        }
        enum ww_status status = bucket_plan(context, bucket);
        if (status != WW_OK) {
            return status;
        }
    }
    context->coding.discarded = false;
    return WW_OK;
}

static double squares_of(const struct bucket *bucket)
{
    switch (bucket->type) {
    case WW_F32:
        return kernel_squares_f32(bucket->values, bucket->count);
    case WW_F64:
        return kernel_squares_f64(bucket->values, bucket->count);
    default:
        return 0;
    }
}

/* The same bits on all ranks, since results are. */
static void clip(struct ww_context *context, struct ww_report *report)
{
    double limit = context->settings.values.clip_norm;
    double squares = 0;
    unsigned before = cpu_exact_begin();
    for (int i = 0; i < context->bucket_count; i++) {
        squares += context->buckets[i].count > 0 ? squares_of(&context->buckets[i]) : 0;
    }
    cpu_exact_end(before);
    report->gradient_norm = sqrt(squares);
    if (!(report->gradient_norm > limit) || !isfinite(report->gradient_norm)) {
        return;
    }
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        if (bucket->count > 0) {
            scale_values(context, bucket, bucket->values, limit / report->gradient_norm);
            bucket_scatter(context, bucket);
        }
    }
}

/* The rank that is named for a bucket's values that are not finite; -1 = they are finite. */
static int wild_rank_of(const struct bucket *bucket, int own)
{
    const struct coding_outcome *outcome = &bucket->coding.outcome;
    return outcome->wild_rank < 0 && outcome->wild > 0 ? own : outcome->wild_rank;
}

static void note_outcome(const struct bucket *bucket, int own, struct ww_report *report)
{
    const struct coding_outcome *outcome = &bucket->coding.outcome;
    report->encoded += outcome->encoded;
    report->chosen += outcome->chosen;
    report->wild += outcome->wild;
    report->masked += outcome->masked;
    int rank = wild_rank_of(bucket, own);
    if (rank < 0) {
        return;
    }
    if (report->wild_bucket < 0) {
        report->wild_bucket = bucket->index;
    }
    if (report->wild_rank < 0 || rank < report->wild_rank) {
        report->wild_rank = rank;
    }
}

/* Who encoded it says so, and rank 0, whose log is read; in all reports it is. Where steps in a row
 * are like that, the first, second, fourth, eighth ... one is told: a loss scaler that looks for
 * its scale needs several, and a model that is lost would fill the disk. */
static void warn_of_wild(struct ww_context *context, const struct ww_report *report)
{
    struct coding_state *coding = &context->coding;
    if (context->device != NULL && report->timed_step == 0) {
        return; /* of no step yet */
    }
    coding->wild_row = report->wild_bucket >= 0 ? coding->wild_row + 1 : 0;
    bool tells = context->world.rank == 0 || report->wild > 0;
    if (report->wild_bucket < 0 || !tells || (coding->wild_row & (coding->wild_row - 1)) != 0) {
        return;
    }
    const struct bucket *bucket = &context->buckets[report->wild_bucket];
    int rank = wild_rank_of(bucket, context->world.rank);
    char row[48] = "";
    if (coding->wild_row > 1) {
        snprintf(row, sizeof row, " (%llu steps in a row)", (unsigned long long)coding->wild_row);
    }
    log_warn(
        "step %llu: what rank %d (%s) encoded of bucket %d (\"%s\" ...) is not finite%s: so is "
        "the result on all ranks, and no residual took it in",
        (unsigned long long)(report->timed_step > 0 ? report->timed_step : report->version), rank,
        context->topology.host_name[context->topology.host_of[rank]], bucket->index,
        bucket->tensors[0]->name, row);
}

/* After a dense step that was asked for, each rank goes on with the mean of all ranks' momentum, so
 * that none has one of its own. What travelled holds residuals as well, hence a mean of momentum
 * alone. Not finite it never is. */
enum ww_status coding_share_momentum(struct ww_context *context)
{
    struct coding_state *coding = &context->coding;
    enum ww_status status = WW_OK;
    for (int i = 0; i < context->bucket_count && status == WW_OK; i++) {
        struct bucket *bucket = &context->buckets[i];
        if (!has_momentum(context, bucket) || bucket->count == 0) {
            continue;
        }
        struct side_call call = {.collective = COLLECTIVE_ALL_REDUCE,
                                 .values = coding->momenta[coding->now] + bucket->coding.offset,
                                 .count = bucket->count,
                                 .type = WW_F32,
                                 .op = WW_MEAN};
        status = side_run(context, &call, NULL);
        bucket->coding.now.common_momentum = status == WW_OK;
    }
    return status;
}

void coding_end_step(struct ww_context *context, struct ww_report *report)
{
    struct coding_state *coding = &context->coding;
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        note_outcome(bucket, context->world.rank, report);
    }
    warn_of_wild(context, report);
    if (context->settings.values.clip_norm > 0) {
        clip(context, report);
    }
    coding->now = !coding->now;
    coding->steps++;
    coding->may_discard = !delayed_is_on(context); /* steps behind it read what it left */
}

/* ---- Asked for by the program --------------------------------------------------------------- */

enum ww_status ww_tensor_codec(struct ww_tensor *tensor, const char *codec)
{
    static const char call[] = "ww_tensor_codec";
    if (tensor == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s got NULL for the tensor", call);
    }
    struct ww_context *context = tensor->context;
    struct codec_spec spec = {.kind = CODEC_NONE};
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    if (context->committed) {
        status = log_failure(WW_BAD_STATE, "%s(\"%s\") came after ww_tensors_commit", call,
                             tensor->name);
    } else if (codec != NULL) {
        status = menu_parse_codec(codec, call, &spec);
    }
    if (status == WW_OK) {
        status = menu_check_stale(&spec, &context->settings.values, call);
    }
    if (status == WW_OK && spec.kind != CODEC_NONE && tensor->type != WW_F32) {
        status = log_failure(WW_UNSUPPORTED, "%s(\"%s\", \"%s\"): only f32 is encoded, this is %s",
                             call, tensor->name, codec, type_names[tensor->type]);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    tensor->has_codec = codec != NULL;
    tensor->codec = spec;
    return WW_OK;
}

/* WW_OK between steps. */
static enum ww_status check_between(struct ww_context *context, const char *call)
{
    return atomic_load(&context->step.open)
               ? log_failure(WW_BAD_STATE, "%s was called inside of a step", call)
               : WW_OK;
}

/* First models are small: who asked for a codec would look in vain for what it saves. */
void coding_tell_if_idle(const struct ww_context *context)
{
    bool busy = context->coding.menu.arms < 2 || context->coding.changeable;
    for (int i = 0; i < context->bucket_count; i++) {
        busy = busy || context->buckets[i].codec.spec.kind != CODEC_NONE;
    }
    if (!busy && context->world.rank == 0 && context->world.size > 1) {
        log_info("no tensor is encoded: the codec is for those of fp32 with two dimensions or "
                 "more and %zu elements or more; codec_least_count (WIREWISE_CODEC_LEAST_COUNT) "
                 "lowers that, and ww_tensor_codec takes any tensor",
                 context->settings.values.codec_least_count);
    }
}

enum ww_status ww_step_codec(struct ww_context *context, const char *codec)
{
    static const char call[] = "ww_step_codec";
    struct menu menu = {.arms = 0};
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    status = check_between(context, call);
    if (status == WW_OK) {
        status = menu_parse(codec, context->settings.values.codecs_allowed, call, &menu);
    }
    if (status == WW_OK) {
        status = menu_check(&menu, &context->settings.values, call);
    }
    if (status == WW_OK) {
        status = menu_check_delayed(&menu, &context->settings.values, call);
    }
    if (status == WW_OK && context->committed && !context->coding.changeable) {
        status = log_failure(WW_BAD_STATE,
                             "%s(\"%s\"): no tensor follows the context's codec: it was none when "
                             "ww_tensors_commit was called, or all are small or have codecs of "
                             "their own; begin with another codec",
                             call, codec);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    if (menu_same(&menu, &context->coding.menu)) {
        return WW_OK; /* what was learned stays */
    }
    pthread_mutex_lock(&context->steps.lock);
    context->coding.menu = menu;
    if (context->committed) {
        ledger_change_menu(context);
        status = coding_reserve(context);
    }
    pthread_mutex_unlock(&context->steps.lock);
    /* The peers have gone on to the other codec: they must learn it. */
    return status == WW_OK ? WW_OK : context_break(context, status, NULL);
}

enum ww_status ww_step_dense_next(struct ww_context *context)
{
    static const char call[] = "ww_step_dense_next";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    status = check_between(context, call);
    if (status == WW_OK && !context->committed) {
        status = log_failure(WW_BAD_STATE, "%s came before ww_tensors_commit", call);
    }
    if (status == WW_OK && context->settings.values.staleness > 0) {
        status = log_failure(WW_UNSUPPORTED,
                             "%s: with staleness %d steps are on their way that still leave "
                             "residuals; drain, and save them instead",
                             call, context->settings.values.staleness);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    context->coding.dense_next = true;
    return WW_OK;
}

/* Of this step: wherever buckets begin and end. */
static bool has_gradients(struct ww_context *context)
{
    bool has = false;
    for (int i = 0; i < context->bucket_count && !has; i++) {
        has = atomic_load(&context->buckets[i].missing) < context->buckets[i].tensor_count;
    }
    return has;
}

enum ww_status ww_step_loss_scale(struct ww_context *context, double scale)
{
    static const char call[] = "ww_step_loss_scale";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    if (!atomic_load(&context->step.open) || has_gradients(context)) {
        status = log_failure(WW_BAD_STATE, "%s comes right after ww_step_begin", call);
    } else if (!(scale > 0) || !isfinite(scale) || !isfinite(1 / scale)) {
        status = log_failure(WW_BAD_ARGUMENT, "%s got %g; it must be a positive finite number",
                             call, scale);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    context->step.terms->loss_scale = scale;
    return WW_OK;
}

enum ww_status ww_step_discard(struct ww_context *context)
{
    static const char call[] = "ww_step_discard";
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    struct coding_state *coding = &context->coding;
    status = check_between(context, call);
    if (status == WW_OK && delayed_is_on(context)) {
        status = log_failure(
            WW_BAD_STATE,
            "%s: with staleness %d later steps go on from what the latest result's "
            "step left; leave such a result out, and its residuals as they are",
            call, context->settings.values.staleness);
    }
    if (status == WW_OK && !coding->may_discard) {
        status = log_failure(WW_BAD_STATE, "%s: there is no step to take back", call);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket_coding *kept = &context->buckets[i].coding;
        bool others = kept->now.holders != kept->before.holders;
        kept->now = kept->before;
        kept->now.settled = others ? 0 : kept->now.settled; /* they wrote into the other set */
    }
    coding->now = !coding->now;
    coding->steps--;
    coding->may_discard = false;
    coding->discarded = true;
    return WW_OK;
}
