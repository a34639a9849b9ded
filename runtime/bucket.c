/* SPDX-License-Identifier: BSD-3-Clause
 * bucket.c: fuses neighbouring tensors of one type into buckets, agrees on them with all ranks,
 * and brings their values together and apart. */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "context.h"
#include "device.h"
#include "internal/vote.h"

#define NAME_BYTES 128

/* What a rank says about one tensor. Compared as bytes, so unused ones are zero. */
struct record {
    char name[NAME_BYTES];
    uint64_t shape[8];
    int32_t type;
    int32_t dims;
    int32_t follows; /* the context's codec, which all ranks share */
    int32_t codec;
    int32_t fixed;
    float density;
};

/* ---- Agreement -------------------------------------------------------------------------- */

static void describe(const struct ww_context *context, const struct ww_tensor *tensor,
                     struct record *record)
{
    memset(record, 0, sizeof *record);
    if (tensor == NULL) {
        return; /* this rank has fewer tensors */
    }
    snprintf(record->name, sizeof record->name, "%s", tensor->name);
    record->type = (int32_t)tensor->type;
    record->dims = tensor->dims;
    for (int d = 0; d < tensor->dims; d++) {
        record->shape[d] = tensor->shape[d];
    }
    struct codec_class codec = coding_class(context, tensor);
    record->follows = codec.follows;
    record->codec = (int32_t)codec.spec.kind;
    record->fixed = codec.spec.fixed;
    record->density = codec.spec.density;
}

static void print_record(const struct record *record, char *text, size_t bytes)
{
    if (record->name[0] == '\0') {
        snprintf(text, bytes, "no tensor there");
        return;
    }
    size_t used = (size_t)snprintf(text, bytes, "\"%.100s\" %s[", record->name,
                                   type_names[record->type]);
    for (int d = 0; d < record->dims && used < bytes; d++) {
        used += (size_t)snprintf(text + used, bytes - used, "%s%llu", d == 0 ? "" : " ",
                                 (unsigned long long)record->shape[d]);
    }
    struct codec_spec spec = {.kind = (enum codec_kind)record->codec,
                              .density = record->density,
                              .fixed = record->fixed != 0};
    char codec[48];
    codec_print(&spec, codec, sizeof codec);
    if (used < bytes) {
        snprintf(text + used, bytes - used, "]%s%s", record->follows ? "" : ", codec ",
                 record->follows ? "" : codec);
    }
}

/* FNV-1a over 64 bits: layouts that differ by accident differ in it. */
static uint64_t hash_more(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *byte = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t hash_layout(const struct ww_context *context)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (const struct ww_tensor *t = context->tensors; t != NULL; t = t->next) {
        struct record record;
        describe(context, t, &record);
        hash = hash_more(hash, &record, sizeof record);
    }
    return hash;
}

/* Goes through the tensors together until one differs; every rank comes to the same words. */
static enum ww_status name_difference(struct ww_context *context, struct record *all)
{
    const struct ww_tensor *tensor = context->tensors;
    for (int index = 0;; index++) {
        struct record mine;
        int usual;
        describe(context, tensor, &mine);
        enum ww_status status = world_gather(&context->world, &mine, all, sizeof mine);
        if (status != WW_OK) {
            return status;
        }
        int odd = vote_odd_one(all, context->world.size, sizeof *all, sizeof *all, &usual);
        if (odd >= 0) {
            char theirs[320];
            char ours[320];
            print_record(&all[odd], theirs, sizeof theirs);
            print_record(&all[usual], ours, sizeof ours);
            return log_failure(
                WW_MISMATCH,
                "tensor %d: rank %d (%s) registered %s, rank %d (%s) %s: register "
                "the same tensors in the same order on all ranks",
                index, odd, context->topology.host_name[context->topology.host_of[odd]], theirs,
                usual, context->topology.host_name[context->topology.host_of[usual]], ours);
        }
        if (tensor == NULL) {
            return log_failure(WW_MISMATCH, "tensor layouts differ in a way that no rank can name");
        }
        tensor = tensor->next;
    }
}

/* What a rank says about its whole layout, and who moves its messages: that may differ. */
struct vote {
    uint64_t layout;
    uint64_t threaded;
};

/* One rank with a thread, and all compare whole steps: what is compared must be the same. */
static void choose_basis(struct ww_context *context, const struct vote *votes)
{
    for (int rank = 0; rank < context->world.size; rank++) {
        context->ledger.whole_steps = context->ledger.whole_steps || votes[rank].threaded != 0;
    }
}

/* What may fail here fails before the ranks meet: behind that nobody is waited for in vain. */
enum ww_status buckets_agree(struct ww_context *context)
{
    size_t size = (size_t)context->world.size;
    struct vote own = {.layout = hash_layout(context), .threaded = context->thread != NULL};
    struct record *all = calloc(size, sizeof *all);
    struct vote *votes = calloc(size, sizeof *votes);
    int usual;
    enum ww_status status = WW_OK;
    if (all == NULL || votes == NULL) {
        status = log_failure(WW_NO_MEMORY, "no memory to compare tensors with %zu ranks", size);
        goto free_all;
    }
    status = call_meet(context, "ww_tensors_commit", GATE_LABEL_LAYOUT);
    if (status != WW_OK) {
        goto free_all;
    }
    status = world_gather(&context->world, &own, votes, sizeof own);
    if (status != WW_OK) {
        goto free_all;
    }
    if (vote_odd_one(votes, (int)size, sizeof *votes, sizeof votes->layout, &usual) >= 0) {
        status = name_difference(context, all);
    }
    choose_basis(context, votes);
free_all:
    free(all);
    free(votes);
    return status;
}

/* ---- Fusing ----------------------------------------------------------------------------- */

static size_t tensor_bytes(const struct ww_tensor *tensor)
{
    return tensor->count * ww_type_bytes(tensor->type);
}

static bool may_share(const struct ww_context *context, const struct ww_tensor *one,
                      const struct ww_tensor *other)
{
    struct codec_class a = coding_class(context, one);
    struct codec_class b = coding_class(context, other);
    return one->type == other->type && coding_same_class(&a, &b);
}

/* Where the bucket that ends before `end` begins: as many of one kind as fit. */
static int bucket_begin(const struct ww_context *context, int end)
{
    struct ww_tensor *const *list = context->by_bucket;
    size_t bucket_bytes = context->settings.values.bucket_bytes;
    size_t bytes = tensor_bytes(list[end - 1]);
    int begin = end - 1;
    while (begin > 0 && may_share(context, list[begin - 1], list[end - 1]) &&
           bytes + tensor_bytes(list[begin - 1]) <= bucket_bytes) {
        begin--;
        bytes += tensor_bytes(list[begin]);
    }
    return begin;
}

static void fill_bucket(struct bucket *bucket, int index, struct ww_tensor **tensors, int count)
{
    *bucket = (struct bucket){
        .index = index, .type = tensors[0]->type, .tensors = tensors, .tensor_count = count};
    for (int i = 0; i < count; i++) {
        tensors[i]->bucket = bucket;
        tensors[i]->offset = bucket->count;
        bucket->count += tensors[i]->count;
    }
    atomic_init(&bucket->missing, count);
    atomic_init(&bucket->state, BUCKET_FILLING);
}

/* Those of the kind of the last one come to the end, the order stays. room: for as many. Returns
 * how many are before them. */
static int move_last_kind(const struct ww_context *context, struct ww_tensor **list, int count,
                          struct ww_tensor **room)
{
    const struct ww_tensor *last = list[count - 1];
    int begin = count;
    int others = 0;
    for (int i = count; i-- > 0;) {
        if (may_share(context, list[i], last)) {
            list[--begin] = list[i];
        } else {
            room[others++] = list[i];
        }
    }
    for (int i = 0; i < others; i++) {
        list[others - 1 - i] = room[i];
    }
    return others;
}

/* Tensors of one kind stand together, those of the kind registered last at the end: matrices that
 * are encoded would otherwise be cut apart by every vector of biases between them. */
static bool sort_by_kind(struct ww_context *context)
{
    struct ww_tensor **room = calloc((size_t)context->tensor_count, sizeof *room);
    if (room == NULL) {
        return false;
    }
    for (int rest = context->tensor_count; rest > 0;) {
        rest = move_last_kind(context, context->by_bucket, rest, room);
    }
    free(room);
    return true;
}

/* The backward pass makes the last tensors' gradients first, so buckets form from the end. */
static void fuse(struct ww_context *context)
{
    int end = context->tensor_count;
    while (end > 0) {
        int begin = bucket_begin(context, end);
        int index = context->bucket_count++;
        fill_bucket(&context->buckets[index], index, context->by_bucket + begin, end - begin);
        context->buckets[index].codec = coding_class(context, context->by_bucket[begin]);
        context->order[index] = index;
        end = begin;
    }
}

static enum ww_status reserve_bucket(struct ww_context *context, struct bucket *bucket)
{
    bucket->memory_bytes = bucket->count * ww_type_bytes(bucket->type);
    if (context->device != NULL) {
        enum ww_status status = context->device->ops->add_bucket(context->device, bucket);
        return status == WW_OK ? bucket_plan(context, bucket) : status;
    }
    if (bucket->memory_bytes > 0 && context->settings.values.staleness == 0) {
        bucket->memory = context->vectors.reserve(context->vectors.self, bucket->memory_bytes);
        if (bucket->memory == NULL) {
            return log_failure(WW_NO_MEMORY, "no memory for a bucket of %zu bytes (\"%s\" ...)",
                               bucket->memory_bytes, bucket->tensors[0]->name);
        }
    }
    return bucket_plan(context, bucket);
}

enum ww_status bucket_plan(struct ww_context *context, struct bucket *bucket)
{
    const struct ww_config *config = &context->settings.values;
    struct wish wish = wish_of(COLLECTIVE_ALL_REDUCE, bucket->count, bucket->type, 0,
                               context->world.size);
    struct codec_spec spec = coding_spec(context, bucket);
    bool masks = coding_masks(config, &spec);
    struct choice choice = spec.kind == CODEC_NONE
                               ? selector_choose(context->selector, &wish)
                               : selector_choose_coded(context->selector, &spec, masks);
    bucket->request = (struct run_request){.count = bucket->count,
                                           .type = bucket->type,
                                           .op = config->gradient_op,
                                           .root = -1,
                                           .label = (uint32_t)bucket->index + 1,
                                           .coding = {.spec = spec,
                                                      .asked_dense = context->coding.dense_next,
                                                      .discarded = context->coding.discarded}};
    if (device_enqueues(context)) {
        return context->device->ops->plan(context->device, &wish, bucket->count, &spec,
                                          &bucket->request);
    }
    enum ww_status status = shelf_fill(context->steps.shelf, &choice, 0, &bucket->request);
    return status == WW_OK ? engine_reserve(context->steps.engine, &bucket->request) : status;
}

static bool reserve_pieces(struct pieces *pieces, size_t count)
{
    pieces->into = calloc(count, sizeof *pieces->into);
    pieces->from = calloc(count, sizeof *pieces->from);
    pieces->bytes = calloc(count, sizeof *pieces->bytes);
    return pieces->into != NULL && pieces->from != NULL && pieces->bytes != NULL;
}

enum ww_status buckets_create(struct ww_context *context)
{
    enum ww_status status = WW_OK;
    size_t count = (size_t)context->tensor_count;
    context->by_bucket = calloc(count, sizeof *context->by_bucket);
    context->buckets = calloc(count, sizeof *context->buckets);
    context->order = calloc(count, sizeof *context->order);
    context->order_offered = calloc(count, sizeof *context->order_offered);
    if (context->by_bucket == NULL || context->buckets == NULL || context->order == NULL ||
        context->order_offered == NULL || !reserve_pieces(&context->pieces, count)) {
        return log_failure(WW_NO_MEMORY, "no memory for the buckets of %zu tensors", count);
    }
    struct ww_tensor **place = context->by_bucket;
    for (struct ww_tensor *t = context->tensors; t != NULL; t = t->next) {
        *place++ = t;
    }
    if (!sort_by_kind(context)) {
        return log_failure(WW_NO_MEMORY, "no memory to sort %zu tensors", count);
    }
    fuse(context);
    for (int i = 0; status == WW_OK && i < context->bucket_count; i++) {
        status = reserve_bucket(context, &context->buckets[i]);
    }
    if (status == WW_OK) {
        status = delayed_reserve(context);
    }
    return status == WW_OK ? coding_reserve(context) : status;
}

void buckets_destroy(struct ww_context *context)
{
    delayed_destroy(context);
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        if (context->device != NULL) {
            context->device->ops->remove_bucket(context->device, bucket);
            continue;
        }
        context->vectors.release(context->vectors.self, bucket->memory, bucket->memory_bytes);
    }
    coding_destroy(context);
    free(context->by_bucket);
    free(context->pieces.into);
    free(context->pieces.from);
    free(context->pieces.bytes);
    free(context->buckets);
    free(context->order);
    free(context->order_offered);
}

void buckets_reset(struct ww_context *context)
{
    for (int i = 0; i < context->tensor_count; i++) {
        atomic_store_explicit(&context->by_bucket[i]->state, TENSOR_IDLE, memory_order_relaxed);
    }
    for (int i = 0; i < context->bucket_count; i++) {
        struct bucket *bucket = &context->buckets[i];
        atomic_store_explicit(&bucket->missing, bucket->tensor_count, memory_order_relaxed);
        atomic_store_explicit(&bucket->state, BUCKET_FILLING, memory_order_relaxed);
    }
}

/* ---- Together and apart ----------------------------------------------------------------- */

static bool was_started(struct ww_tensor *tensor)
{
    return atomic_load_explicit(&tensor->state, memory_order_acquire) == TENSOR_STARTED;
}

/* Where the whole bucket begins when its tensors lie behind one another as in the bucket, else
 * NULL. */
static void *common_memory(const struct bucket *bucket)
{
    size_t element_bytes = ww_type_bytes(bucket->type);
    uintptr_t start = 0;
    for (int i = 0; i < bucket->tensor_count; i++) {
        struct ww_tensor *tensor = bucket->tensors[i];
        if (tensor->count == 0) {
            continue;
        }
        uintptr_t begin = (uintptr_t)tensor->values - tensor->offset * element_bytes;
        if (!was_started(tensor) || (start != 0 && begin != start)) {
            return NULL;
        }
        start = begin;
    }
    return (void *)start;
}

/* On a GPU memory is reserved for those buckets only that need it: there it is scarce. */
static bool has_memory(struct ww_context *context, struct bucket *bucket)
{
    const struct vectors *vectors = &context->vectors;
    if (bucket->memory == NULL && bucket->memory_bytes > 0) {
        bucket->memory = vectors->reserve(vectors->self, bucket->memory_bytes);
    }
    return bucket->memory != NULL || bucket->memory_bytes == 0;
}

enum ww_status bucket_reserve(struct ww_context *context, struct bucket *bucket)
{
    bool staged = context->device != NULL && context->device->staged;
    bucket->values = staged ? NULL : common_memory(bucket);
    if (bucket->values == NULL && !has_memory(context, bucket)) {
        return log_failure(WW_NO_MEMORY, "no memory for a bucket of %zu bytes (\"%s\" ...)",
                           bucket->memory_bytes, bucket->tensors[0]->name);
    }
    return WW_OK;
}

enum ww_status bucket_gather(struct ww_context *context, struct bucket *bucket)
{
    struct pieces *pieces = &context->pieces;
    size_t element_bytes = ww_type_bytes(bucket->type);
    bool staged = context->device != NULL && context->device->staged;
    enum ww_status status = bucket_reserve(context, bucket);
    if (status != WW_OK) {
        return status;
    }
    bucket->apart = bucket->values == NULL && bucket->memory != NULL;
    if (!bucket->apart || staged) { /* its values were staged when they were ready */
        bucket->values = bucket->apart ? bucket->memory : bucket->values;
        return WW_OK;
    }
    bucket->values = bucket->memory;
    pieces->count = bucket->tensor_count;
    for (int i = 0; i < bucket->tensor_count; i++) {
        struct ww_tensor *tensor = bucket->tensors[i];
        pieces->into[i] = (uint8_t *)bucket->memory + tensor->offset * element_bytes;
        pieces->from[i] = was_started(tensor) && tensor->count > 0 ? tensor->values : NULL;
        pieces->bytes[i] = tensor->count * element_bytes;
    }
    context->copier.copy(context->copier.self, pieces);
    return WW_OK;
}

void bucket_scatter(struct ww_context *context, struct bucket *bucket)
{
    struct pieces *pieces = &context->pieces;
    if (!bucket->apart) {
        return;
    }
    size_t element_bytes = ww_type_bytes(bucket->type);
    pieces->count = 0;
    for (int i = 0; i < bucket->tensor_count; i++) {
        struct ww_tensor *tensor = bucket->tensors[i];
        if (tensor->values != NULL && tensor->count > 0) {
            int piece = pieces->count++;
            pieces->into[piece] = tensor->values;
            pieces->from[piece] = (uint8_t *)bucket->values + tensor->offset * element_bytes;
            pieces->bytes[piece] = tensor->count * element_bytes;
        }
    }
    context->copier.copy(context->copier.self, pieces);
}
