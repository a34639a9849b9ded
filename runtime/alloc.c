/* SPDX-License-Identifier: BSD-3-Clause
 * alloc.c: memory of the program's that ranks of one host see in each other. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "internal/memory.h"

struct allocation {
    struct allocation *next;
    void *memory;
    size_t bytes;
    bool seen; /* the transport's, else plain */
};

static enum ww_status allocate(const struct ww_context *context, struct allocation *allocation)
{
    const struct ww_transport *transport = context->transport;
    if (transport->allocate != NULL) {
        unsigned long said = log_error_count();
        enum ww_status status = transport->allocate(allocation->bytes, &allocation->memory);
        allocation->seen = status == WW_OK;
        bool silent = log_error_count() == said;
        if (status != WW_OK && status != WW_UNSUPPORTED && silent) {
            return log_failure(status, "ww_alloc: transport %s gave no memory for %zu bytes: %s",
                               transport->name, allocation->bytes, ww_status_name(status));
        }
        if (status != WW_UNSUPPORTED) {
            return status;
        }
    }
    allocation->memory = memory_reserve(allocation->bytes); /* fresh from the kernel: zero */
    return allocation->memory != NULL
               ? WW_OK
               : log_failure(WW_NO_MEMORY, "ww_alloc: no memory for %zu bytes", allocation->bytes);
}

static void deallocate(const struct ww_context *context, struct allocation *allocation)
{
    if (allocation->seen) {
        context->transport->deallocate(allocation->memory, allocation->bytes);
    } else {
        memory_release(allocation->memory, allocation->bytes);
    }
    free(allocation);
}

void allocations_end(struct ww_context *context)
{
    while (context->allocations != NULL) {
        struct allocation *allocation = context->allocations;
        context->allocations = allocation->next;
        deallocate(context, allocation);
    }
}

/* A broken context still gives and takes memory; a forked one does not. */
static enum ww_status check(struct ww_context *context, const char *call)
{
    bool refused = context == NULL || context_is_parents(context);
    return refused ? context_check(context, call) : WW_OK;
}

enum ww_status ww_alloc(struct ww_context *context, size_t bytes, void **memory)
{
    enum ww_status status = check(context, "ww_alloc");
    if (status != WW_OK) {
        return status;
    }
    if (memory == NULL) {
        return context_fail(context, log_failure(WW_BAD_ARGUMENT,
                                                 "ww_alloc of %zu bytes got NULL for where to put "
                                                 "them",
                                                 bytes));
    }
    if (bytes == 0) {
        *memory = NULL;
        return WW_OK;
    }
    struct allocation *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return context_fail(context, log_failure(WW_NO_MEMORY, "no memory for ww_alloc"));
    }
    made->bytes = bytes;
    status = allocate(context, made);
    if (status != WW_OK) {
        free(made);
        return context_fail(context, status);
    }
    pthread_mutex_lock(&context->allocations_lock);
    made->next = context->allocations;
    context->allocations = made;
    pthread_mutex_unlock(&context->allocations_lock);
    *memory = made->memory;
    return WW_OK;
}

/* A tensor of the open step whose gradient lies there and is the runtime's, which clipping makes it
 * until the end of the step; NULL = there is none. A failure gives all of them back. */
static const struct ww_tensor *under_way(struct ww_context *context,
                                         const struct allocation *allocation)
{
    if (atomic_load(&context->failure) != WW_OK || !atomic_load(&context->step.open)) {
        return NULL;
    }
    uintptr_t begin = (uintptr_t)allocation->memory;
    bool clips = context->settings.values.clip_norm > 0;
    for (struct ww_tensor *tensor = context->tensors; tensor != NULL; tensor = tensor->next) {
        if (tensor->count > 0 &&
            atomic_load_explicit(&tensor->state, memory_order_acquire) != TENSOR_IDLE &&
            (uintptr_t)tensor->values - begin < allocation->bytes &&
            (clips ||
             atomic_load_explicit(&tensor->bucket->state, memory_order_acquire) != BUCKET_DONE)) {
            return tensor;
        }
    }
    return NULL;
}

/* Where the context keeps this allocation, with its end at NULL when it does not. */
static struct allocation **find(struct ww_context *context, const void *memory)
{
    struct allocation **link = &context->allocations;
    while (*link != NULL && (*link)->memory != memory) {
        link = &(*link)->next;
    }
    return link;
}

enum ww_status ww_free(struct ww_context *context, void *memory)
{
    enum ww_status status = check(context, "ww_free");
    if (status != WW_OK || memory == NULL) {
        return status;
    }
    pthread_mutex_lock(&context->allocations_lock);
    struct allocation **link = find(context, memory);
    struct allocation *found = *link;
    const struct ww_tensor *user = found != NULL ? under_way(context, found) : NULL;
    if (found != NULL && user == NULL) {
        *link = found->next;
    }
    pthread_mutex_unlock(&context->allocations_lock);
    if (found == NULL) {
        return context_fail(context, log_failure(WW_BAD_ARGUMENT,
                                                 "ww_free got %p, which is no memory that ww_alloc "
                                                 "of this context gave",
                                                 memory));
    }
    if (user != NULL) {
        return context_fail(context,
                            log_failure(WW_BAD_STATE,
                                        "ww_free got memory of \"%s\", which is under way in step "
                                        "%llu: end the step first, or leave the memory to "
                                        "ww_context_destroy",
                                        user->name, (unsigned long long)context->step.number));
    }
    deallocate(context, found);
    return WW_OK;
}
