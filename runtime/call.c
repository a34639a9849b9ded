/* SPDX-License-Identifier: BSD-3-Clause
 * call.c: single collectives, run here and now by the calling thread. */
#include "call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "internal/clock.h"
#include "internal/cpu.h"

/* What a caller asked for. */
struct call {
    const char *name;
    enum collective collective;
    const void *input;
    void *output;
    size_t count;
    enum ww_type type;
    enum ww_op op; /* WW_OP_COUNT where nothing is reduced */
    int root;      /* -1 where there is none */
    uint32_t label;
    struct codec_spec codec;
    float *residual;           /* NULL = no error feedback */
    bool feeds_back;           /* what is left out goes into it */
    bool takes_in;             /* the residual goes into this rank's input and is zero then */
    bool chooses;              /* "auto" */
    struct auto_call *chooser; /* NULL = the codec is the caller's */
    bool on_device;            /* its memory is that of the context's GPU */
    bool seeded;               /* else seeds count the calls */
    uint64_t seed;
};

/* ---- Checking --------------------------------------------------------------------------- */

static bool is_integer(enum ww_type type)
{
    return type == WW_I32 || type == WW_I64;
}

static enum ww_status check_kinds(const struct ww_context *context, const struct call *call)
{
    if ((unsigned)call->type >= WW_TYPE_COUNT) {
        return log_failure(WW_BAD_ARGUMENT, "%s got unknown type %d (0 to %d exist)", call->name,
                           (int)call->type, WW_TYPE_COUNT - 1);
    }
    if ((unsigned)call->op > WW_OP_COUNT ||
        (call->op == WW_OP_COUNT && (call->collective == COLLECTIVE_ALL_REDUCE ||
                                     call->collective == COLLECTIVE_REDUCE_SCATTER))) {
        return log_failure(WW_BAD_ARGUMENT, "%s got unknown op %d (0 to %d exist)", call->name,
                           (int)call->op, WW_OP_COUNT - 1);
    }
    if (call->op == WW_MEAN && is_integer(call->type)) {
        return log_failure(WW_UNSUPPORTED,
                           "%s got WW_MEAN for integers, whose mean is not defined: use WW_SUM",
                           call->name);
    }
    if (call->collective == COLLECTIVE_BROADCAST &&
        (call->root < 0 || call->root >= context->world.size)) {
        return log_failure(WW_BAD_ARGUMENT, "%s got root %d; ranks are 0 to %d", call->name,
                           call->root, context->world.size - 1);
    }
    return WW_OK;
}

static bool misaligned(const void *values, enum ww_type type)
{
    return ((uintptr_t)values & (ww_type_bytes(type) - 1)) != 0;
}

/* True when [a, a + a_bytes) and [b, b + b_bytes) share bytes. */
static bool overlap(uintptr_t a, size_t a_bytes, uintptr_t b, size_t b_bytes)
{
    return a < b + b_bytes && b < a + a_bytes;
}

/* In place is one exact address; anything else must lie apart. */
static bool bad_overlap(const struct ww_context *context, const struct call *call)
{
    size_t size = (size_t)context->world.size;
    size_t bytes = call->count * ww_type_bytes(call->type);
    size_t share = (size_t)context->world.rank * bytes;
    uintptr_t input = (uintptr_t)call->input;
    uintptr_t output = (uintptr_t)call->output;
    switch (call->collective) {
    case COLLECTIVE_REDUCE_SCATTER:
        return output != input + share && overlap(input, size * bytes, output, bytes);
    case COLLECTIVE_ALL_GATHER:
        return input != output + share && overlap(input, bytes, output, size * bytes);
    default:
        return input != output && overlap(input, bytes, output, bytes);
    }
}

static enum ww_status check_memory(const struct ww_context *context, const struct call *call)
{
    size_t bytes;
    if (__builtin_mul_overflow(call->count, ww_type_bytes(call->type), &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)context->world.size, &bytes) || bytes > PTRDIFF_MAX) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s got count %zu, more than memory can hold on %d ranks", call->name,
                           call->count, context->world.size);
    }
    if (call->count == 0) {
        return WW_OK;
    }
    if (call->input == NULL || call->output == NULL) {
        return log_failure(WW_BAD_ARGUMENT, "%s of %zu elements got NULL for its %s", call->name,
                           call->count, call->input == NULL ? "input" : "output");
    }
    if (misaligned(call->input, call->type) || misaligned(call->output, call->type)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s got %p and %p; both must be aligned to the type's %zu bytes",
                           call->name, call->input, call->output, ww_type_bytes(call->type));
    }
    if (bad_overlap(context, call)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s got an input and an output that overlap but are not in place: pass "
                           "the same address (shifted to the own share) or apart",
                           call->name);
    }
    return WW_OK;
}

/* ---- Running ---------------------------------------------------------------------------- */

/* What all-reduces were told to take; but values that do not fit announcements go as ever. */
static bool is_forced(const struct ww_context *context, const struct call *call,
                      const struct wish *wish)
{
    const struct choice *forced = &context->forced;
    struct choice told;
    return call->collective == COLLECTIVE_ALL_REDUCE && forced->algorithm != NULL &&
           choice_suits(forced, call->type) &&
           (!forced->with_announcement || selector_announcement(context->selector, wish, &told));
}

static enum ww_status plan_call(struct ww_context *context, const struct call *call,
                                struct run_request *request)
{
    int root = call->root < 0 ? 0 : call->root;
    struct wish wish = wish_of(call->collective, call->count, call->type, root,
                               context->world.size);
    bool coded = call->codec.kind != CODEC_NONE;
    *request = (struct run_request){.count = call->count,
                                    .type = call->type,
                                    .op = call->op,
                                    .root = call->root,
                                    .label = call->label,
                                    .coding = {.spec = call->codec}};
    if (call->on_device) {
        return context->device->ops->plan(context->device, &wish, call->count, &call->codec,
                                          request);
    }
    struct choice choice = coded ? selector_choose_coded(context->selector, &call->codec, false)
                           : is_forced(context, call, &wish)
                               ? context->forced
                               : selector_choose(context->selector, &wish);
    enum ww_status status = shelf_fill(context->calls.shelf, &choice, root, request);
    return status == WW_OK ? engine_reserve(context->calls.engine, request) : status;
}

/* Programs repeat themselves: what was planned for the latest call serves the same one again. */
static bool is_latest(const struct latest_call *latest, const struct call *call)
{
    const struct run_request *request = &latest->request;
    return latest->known && latest->collective == call->collective &&
           request->count == call->count && request->type == call->type &&
           request->op == call->op && request->root == call->root &&
           request->label == call->label && request->elsewhere == call->on_device &&
           codec_spec_same(&request->coding.spec, &call->codec);
}

static enum ww_status prepare(struct ww_context *context, const struct call *call)
{
    struct latest_call *latest = &context->latest_call;
    if (!is_latest(latest, call)) {
        enum ww_status status = plan_call(context, call, &latest->request);
        latest->known = status == WW_OK;
        latest->collective = call->collective;
        if (status != WW_OK) {
            return status;
        }
    }
    latest->request.input = call->input;
    latest->request.output = call->output;
    bool feeds_back = call->codec.kind != CODEC_NONE && call->feeds_back;
    float *residual = feeds_back && !call->on_device ? call->residual : NULL;
    latest->request.coding.residual = residual;
    latest->request.coding.next = residual;
    latest->request.coding.seed = call->seeded ? call->seed : context->calls_made;
    return WW_OK;
}

/* For few values the clock is read rarely: it costs as much as a look at what other cores did. */
#define CLOCK_EVERY 16

/* Without a thread whoever waits here moves the buckets too, those that come late as well: another
 * rank may wait for one of them before it comes. */
static void advance_step(struct ww_context *context)
{
    bool may_move = atomic_load(&context->step.open) || delayed_is_on(context);
    if (context->thread == NULL && may_move) {
        uint64_t now_ns = clock_now_ns();
        step_advance(context, &now_ns); /* its failure is the context's */
    }
}

/* What moves in either lane keeps this rank awake. */
static struct pulse pulse_of(struct ww_context *context, struct engine *engine)
{
    uint64_t of_step = atomic_load_explicit(&context->step.moves, memory_order_relaxed);
    return (struct pulse){engine_wait(engine), engine_moves(engine) + of_step};
}

/* Whoever waits so long for others at the farewell tells those that it makes no more steps: they
 * may wait for it in one. Sooner, and ranks that leave a step together would not do so in peace. */
#define FAREWELL_NS UINT64_C(1000000000)

static void leave_steps(struct ww_context *context, uint64_t since_ns)
{
    if (clock_now_ns() - since_ns < FAREWELL_NS) {
        return;
    }
    bool amid = atomic_load(&context->step.open);
    char sentence[160];
    snprintf(sentence, sizeof sentence,
             "it called ww_context_destroy %s step %" PRIu64 ", where others %s",
             amid ? "amid" : "behind", context->step.number,
             amid ? "wait for it" : "go on: do all ranks make as many steps?");
    pthread_mutex_lock(&context->steps.lock); /* a GPU's watcher still moves steps */
    engine_leave(context->steps.engine, sentence);
    pthread_mutex_unlock(&context->steps.lock);
}

/* Buckets move while this rank waits; at the farewell (since_ns) they are abandoned. */
static void serve_steps(struct ww_context *context, uint64_t since_ns)
{
    if (since_ns == 0) {
        advance_step(context);
    } else {
        leave_steps(context, since_ns);
    }
}

static enum ww_status finish(struct ww_context *context, struct engine *engine, bool few)
{
    struct patience patience = patience_of_caller(context);
    bool parts = context->latest_call.request.label == GATE_LABEL_FAREWELL;
    uint64_t parting_ns = parts ? clock_now_ns() : 0;
    enum ww_status status = engine_advance(engine, few ? 0 : clock_now_ns());
    for (unsigned turn = 1; status == WW_PENDING; turn++) {
        patience_spend(&patience, pulse_of(context, engine));
        serve_steps(context, parting_ns);
        enum ww_status failure = atomic_load(&context->failure);
        if (failure != WW_OK) { /* another thread's: a step of this context failed */
            return engine_fail(engine, failure, ww_last_error(context));
        }
        bool now = !few || turn % CLOCK_EVERY == 0;
        status = engine_advance(engine, now ? clock_now_ns() : 0);
    }
    return status;
}

static enum ww_status await_room(struct ww_context *context, struct engine *engine)
{
    if (engine_has_room(engine)) {
        return WW_OK;
    }
    struct patience patience = patience_of_caller(context);
    uint64_t since_ns = clock_now_ns();
    enum ww_status status = engine_await_room(engine, since_ns, since_ns);
    while (status == WW_PENDING) {
        patience_spend(&patience, (struct pulse){engine_wait(engine), 0});
        status = engine_await_room(engine, since_ns, clock_now_ns());
    }
    return status;
}

/* The residual becomes a part of the contribution like any other, once. Returns what that took. */
static uint64_t take_in_residual(struct ww_context *context, const struct call *call)
{
    uint64_t since_ns = clock_now_ns();
    const void *sources[] = {call->input, call->residual};
    unsigned before = cpu_exact_begin();
    context->kernels.reduce[WW_F32][WW_SUM](call->output, sources, 2, call->count, 1.0);
    cpu_exact_end(before);
    memset(call->residual, 0, call->count * sizeof *call->residual);
    context->latest_call.request.input = call->output;
    return clock_now_ns() - since_ns;
}

/* Buckets of a GPU leave in an order of their own, in which a call has no place: ranks that came to
 * different ones would mix up their data. */
static enum ww_status refuse_amid_step(const struct ww_context *context, const struct call *call)
{
    return atomic_load(&context->step.open)
               ? log_failure(WW_BAD_STATE,
                             "%s was called inside of a step, whose buckets are on their way in an "
                             "order of their own: end it before",
                             call->name)
               : WW_OK;
}

/* Runs a checked call; the lane is this thread's. *other_ns grows by what is no part of its codec.
 */
static enum ww_status run(struct ww_context *context, const struct call *call, uint64_t *other_ns)
{
    struct engine *engine = context->calls.engine;
    const struct run_request *request = &context->latest_call.request;
    struct device_call on_device = {request, call->residual, call->takes_in};
    uint64_t number;
    enum ww_status status = prepare(context, call);
    if (status == WW_OK && call->on_device) {
        status = context->device->ops->reserve_call(context->device, &on_device);
    }
    if (status != WW_OK) {
        return status;
    }
    if (call->takes_in && call->count > 0 && !call->on_device) {
        *other_ns += take_in_residual(context, call);
    }
    status = await_room(context, engine);
    if (status == WW_OK) {
        status = engine_start(engine, request, &number);
    }
    if (status == WW_OK) {
        status = finish(context, engine, request->with_announcement);
    }
    if (status == WW_OK && call->on_device) {
        status = refuse_amid_step(context, call);
    }
    if (status == WW_OK && call->on_device) {
        status = context->device->ops->run_call(context->device, &on_device);
    }
    context->calls_made += status == WW_OK && call->label == 0;
    if (status == WW_OK && engine_is_tuned(request)) {
        engine_learn(engine, clock_now_ns());
    }
    return status;
}

/* Nobody comes out before all came. */
static struct call meeting_of(const char *name, uint32_t label)
{
    return (struct call){.name = name,
                         .collective = COLLECTIVE_ALL_REDUCE,
                         .type = WW_F32,
                         .op = WW_SUM,
                         .root = -1,
                         .label = label};
}

/* The ranks agree on how long calls took: on the shortest, of the rank that came last. */
static enum ww_status agree(struct ww_context *context, const struct call *call)
{
    struct policy *policy = &call->chooser->policy;
    uint64_t other_ns = 0;
    struct call sum = {.name = call->name,
                       .collective = COLLECTIVE_ALL_REDUCE,
                       .input = policy->block.seconds,
                       .output = policy->block.seconds,
                       .count = 2 * (size_t)policy->block.turns,
                       .type = WW_F64,
                       .op = WW_MIN,
                       .root = -1,
                       .label = GATE_LABEL_LEDGER};
    int home = policy_home(policy, 0);
    enum ww_status status = run(context, &sum, &other_ns);
    if (status == WW_OK && policy_agree(policy) != POLICY_NO_NEWS &&
        policy_home(policy, 0) != home) {
        auto_tell(&context->autos, call->chooser);
    }
    return status;
}

/* Calls that are timed end with all ranks: whoever came last might be the first to be done. */
static enum ww_status end_together(struct ww_context *context, const struct call *call)
{
    uint64_t other_ns = 0;
    struct latest_call latest = context->latest_call; /* the next one is like it */
    struct call meeting = meeting_of(call->name, GATE_LABEL_LEDGER);
    enum ww_status status = run(context, &meeting, &other_ns);
    context->latest_call = latest;
    return status;
}

/* A call of "auto" as its policy has it. */
static enum ww_status run_chosen(struct ww_context *context, struct call *call)
{
    struct auto_call *chooser = call->chooser;
    struct policy *policy = &chooser->policy;
    int arm = policy_arm(policy, 0);
    uint64_t other_ns = 0;
    call->codec = context->autos.menu.arm[arm];
    call->takes_in = call->residual != NULL &&
                     (auto_takes_in(chooser, call->residual, arm) || arm == 0);
    struct policy_time taken = {0, 0, 0};
    uint64_t since_ns = policy_times(policy) ? clock_now_ns() : 0;
    enum ww_status status = run(context, call, &other_ns);
    if (status == WW_OK && since_ns != 0) {
        uint64_t done_ns = clock_now_ns();
        status = end_together(context, call);
        uint64_t met_ns = clock_now_ns();
        taken.own = (double)(done_ns - since_ns - other_ns) / 1e9;
        taken.meeting = (double)(met_ns - done_ns) / 1e9;
        taken.seconds = taken.own + taken.meeting;
    }
    if (status != WW_OK) {
        return status;
    }
    return policy_note(policy, &taken) ? agree(context, call) : WW_OK;
}

static enum ww_status run_any(struct ww_context *context, const struct call *call)
{
    struct autos *autos = &context->autos;
    uint64_t other_ns = 0;
    if (call->chooses && autos->tells && !autos->told_bare) {
        menu_warn_if_bare("auto", &autos->menu);
        autos->told_bare = true;
    }
    if (!call->chooses || !autos->menu.chooses) {
        return run(context, call, &other_ns);
    }
    struct call chosen = *call;
    chosen.chooser = autos_find(&context->autos, call->count, call->op);
    chosen.takes_in = call->residual != NULL;
    return chosen.chooser != NULL ? run_chosen(context, &chosen) : run(context, &chosen, &other_ns);
}

/* The peers may have waited for this rank elsewhere. */
static void tell_where(struct ww_context *context, const struct call *call)
{
    char where[96];
    int used = snprintf(where, sizeof where, "%s", call->name);
    if (call->label == 0) {
        snprintf(where + used, sizeof where - (size_t)used, " of %zu elements", call->count);
    }
    context_tell_where(context, where);
}

static enum ww_status make(struct ww_context *context, const struct call *call)
{
    enum ww_status status = context_check(context, call->name);
    if (status != WW_OK) {
        return status;
    }
    status = check_kinds(context, call);
    if (status == WW_OK) {
        status = check_memory(context, call);
    }
    if (status != WW_OK) {
        return context_fail(context, status);
    }
    if (atomic_exchange(&context->calling, true)) {
        return context_fail(
            context, log_failure(WW_BAD_STATE,
                                 "%s was called while another thread is inside a single call "
                                 "on the same context: make a context for each",
                                 call->name));
    }
    pthread_mutex_lock(&context->calls.lock);
    status = run_any(context, call);
    if (status != WW_OK) { /* peers wait for this rank: whatever the reason, they must learn it */
        status = context_break(context, status, &context->calls); /* before others find it failed */
        tell_where(context, call);
    }
    if (status == WW_OK) {
        ledger_note_calls(context);
    }
    pthread_mutex_unlock(&context->calls.lock);
    atomic_store(&context->calling, false);
    context_break_calls(context); /* a step may have failed meanwhile */
    return status;
}

enum ww_status call_meet(struct ww_context *context, const char *name, uint32_t label)
{
    struct call meeting = meeting_of(name, label);
    return make(context, &meeting);
}

enum ww_status call_gather(struct ww_context *context, const struct call_purpose *purpose,
                           const void *mine, void *all, size_t bytes)
{
    return make(context, &(struct call){.name = purpose->name,
                                        .collective = COLLECTIVE_ALL_GATHER,
                                        .input = mine,
                                        .output = all,
                                        .count = bytes / sizeof(int64_t),
                                        .type = WW_I64,
                                        .op = WW_OP_COUNT,
                                        .root = -1,
                                        .label = purpose->label});
}

enum ww_status call_spread(struct ww_context *context, const struct call_purpose *purpose,
                           void *values, size_t bytes, int root)
{
    return make(context, &(struct call){.name = purpose->name,
                                        .collective = COLLECTIVE_BROADCAST,
                                        .input = values,
                                        .output = values,
                                        .count = bytes / sizeof(int32_t),
                                        .type = WW_I32,
                                        .op = WW_OP_COUNT,
                                        .root = root,
                                        .label = purpose->label});
}

enum ww_status call_highest(struct ww_context *context, const struct call_purpose *purpose,
                            int32_t *value)
{
    return make(context, &(struct call){.name = purpose->name,
                                        .collective = COLLECTIVE_ALL_REDUCE,
                                        .input = value,
                                        .output = value,
                                        .count = 1,
                                        .type = WW_I32,
                                        .op = WW_MAX,
                                        .root = -1,
                                        .label = purpose->label});
}

enum ww_status call_mean(struct ww_context *context, const struct call_purpose *purpose,
                         const struct call_mean *mean)
{
    bool coded = context->world.size > 1 && mean->count > 0 && mean->codec->kind != CODEC_NONE;
    struct call call = {.name = purpose->name,
                        .collective = COLLECTIVE_ALL_REDUCE,
                        .input = mean->values,
                        .output = mean->values,
                        .count = mean->count,
                        .type = WW_F32,
                        .op = WW_MEAN,
                        .root = -1,
                        .label = purpose->label,
                        .residual = mean->residual,
                        .feeds_back = true,
                        .takes_in = mean->residual != NULL && !coded,
                        .seeded = true,
                        .seed = mean->seed};
    call.codec = coded ? *mean->codec : call.codec;
    return make(context, &call);
}

enum ww_status ww_all_reduce(struct ww_context *context, const void *input, void *output,
                             size_t count, enum ww_type type, enum ww_op op)
{
    return make(context, &(struct call){.name = "ww_all_reduce",
                                        .collective = COLLECTIVE_ALL_REDUCE,
                                        .input = input,
                                        .output = output,
                                        .count = count,
                                        .type = type,
                                        .op = op,
                                        .root = -1});
}

static enum ww_status check_residual(const struct call *call)
{
    uintptr_t residual = (uintptr_t)call->residual;
    size_t bytes = call->count * sizeof(float);
    if (call->residual == NULL) {
        return WW_OK;
    }
    if (misaligned(call->residual, WW_F32)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s got %p for the residual, which must be aligned to 4 bytes",
                           call->name, (const void *)call->residual);
    }
    if (overlap(residual, bytes, (uintptr_t)call->input, bytes) ||
        overlap(residual, bytes, (uintptr_t)call->output, bytes)) {
        return log_failure(WW_BAD_ARGUMENT,
                           "%s got a residual that overlaps its input or output: give it memory of "
                           "its own",
                           call->name);
    }
    return WW_OK;
}

static enum ww_status check_coded(struct ww_context *context, const struct call *call,
                                  const char *codec, struct codec_spec *spec)
{
    enum ww_status status = context_check(context, call->name);
    if (status != WW_OK) {
        return status;
    }
    status = call->chooses ? menu_check(&context->autos.menu, &context->settings.values, call->name)
                           : menu_parse_codec(codec, call->name, spec);
    if (status == WW_OK) {
        status = check_kinds(context, call);
    }
    if (status == WW_OK && call->op != WW_SUM && call->op != WW_MEAN) {
        status = log_failure(WW_UNSUPPORTED, "%s got op %d: only WW_SUM and WW_MEAN are encoded",
                             call->name, (int)call->op);
    }
    if (status == WW_OK) {
        status = check_memory(context, call);
    }
    if (status == WW_OK) {
        status = check_residual(call);
    }
    return status == WW_OK ? WW_OK : context_fail(context, status);
}

enum ww_status ww_all_reduce_coded(struct ww_context *context, const float *input, float *output,
                                   size_t count, enum ww_op op, const char *codec, float *residual)
{
    struct call call = {.name = "ww_all_reduce_coded",
                        .collective = COLLECTIVE_ALL_REDUCE,
                        .input = input,
                        .output = output,
                        .count = count,
                        .type = WW_F32,
                        .op = op,
                        .root = -1,
                        .residual = residual};
    struct codec_spec spec = {.kind = CODEC_NONE};
    call.chooses = codec != NULL && strcmp(codec, "auto") == 0;
    enum ww_status status = check_coded(context, &call, codec, &spec);
    if (status != WW_OK) {
        return status;
    }
    bool coded = context->world.size > 1 && count > 0;
    call.codec = coded ? spec : call.codec;
    call.chooses = call.chooses && coded;
    call.feeds_back = true;
    call.takes_in = residual != NULL && call.codec.kind == CODEC_NONE;
    return make(context, &call);
}

enum ww_status ww_reduce_scatter(struct ww_context *context, const void *input, void *output,
                                 size_t count, enum ww_type type, enum ww_op op)
{
    return make(context, &(struct call){.name = "ww_reduce_scatter",
                                        .collective = COLLECTIVE_REDUCE_SCATTER,
                                        .input = input,
                                        .output = output,
                                        .count = count,
                                        .type = type,
                                        .op = op,
                                        .root = -1});
}

enum ww_status ww_all_gather(struct ww_context *context, const void *input, void *output,
                             size_t count, enum ww_type type)
{
    return make(context, &(struct call){.name = "ww_all_gather",
                                        .collective = COLLECTIVE_ALL_GATHER,
                                        .input = input,
                                        .output = output,
                                        .count = count,
                                        .type = type,
                                        .op = WW_OP_COUNT,
                                        .root = -1});
}

enum ww_status ww_broadcast(struct ww_context *context, void *values, size_t count,
                            enum ww_type type, int root)
{
    return make(context, &(struct call){.name = "ww_broadcast",
                                        .collective = COLLECTIVE_BROADCAST,
                                        .input = values,
                                        .output = values,
                                        .count = count,
                                        .type = type,
                                        .op = WW_OP_COUNT,
                                        .root = root});
}

/* ---- On a GPU --------------------------------------------------------------------------- */

static enum ww_status check_device(struct ww_context *context, const struct call *call)
{
    enum ww_status status = context_check(context, call->name);
    if (status != WW_OK) {
        return status;
    }
    if (context->device == NULL) {
        status = log_failure(WW_BAD_STATE, "%s: the context has no GPU: call ww_cuda_attach",
                             call->name);
    } else {
        status = refuse_amid_step(context, call);
    }
    return status == WW_OK ? WW_OK : context_fail(context, status);
}

static struct call call_of(const struct call_on_device *asked)
{
    return (struct call){.name = asked->name,
                         .collective = asked->collective,
                         .input = asked->input,
                         .output = asked->output,
                         .count = asked->count,
                         .type = asked->type,
                         .op = asked->op,
                         .root = asked->root,
                         .residual = asked->residual,
                         .feeds_back = asked->residual != NULL};
}

enum ww_status call_check_on_device(struct ww_context *context, const struct call_on_device *asked)
{
    struct call call = call_of(asked);
    struct codec_spec spec;
    enum ww_status status = check_device(context, &call);
    if (status != WW_OK || asked->codec != NULL) {
        return status != WW_OK ? status : check_coded(context, &call, asked->codec, &spec);
    }
    status = check_kinds(context, &call);
    if (status == WW_OK) {
        status = check_memory(context, &call);
    }
    return status == WW_OK ? WW_OK : context_fail(context, status);
}

enum ww_status call_on_device(struct ww_context *context, const struct call_on_device *asked)
{
    struct call call = call_of(asked);
    struct codec_spec spec = {.kind = CODEC_NONE};
    enum ww_status status = check_device(context, &call);
    if (status == WW_OK && asked->codec != NULL) {
        status = check_coded(context, &call, asked->codec, &spec);
    }
    if (status != WW_OK) {
        return status;
    }
    bool coded = context->world.size > 1 && asked->count > 0;
    call.codec = coded ? spec : call.codec;
    call.codec.fixed = call.codec.fixed || call.codec.kind == CODEC_TOPK;
    call.takes_in = asked->residual != NULL && call.codec.kind == CODEC_NONE;
    call.on_device = true;
    return make(context, &call);
}
