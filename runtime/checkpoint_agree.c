/* SPDX-License-Identifier: BSD-3-Clause
 * checkpoint_agree.c: ranks come to one verdict about files that each of them sees for itself. */
#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "checkpoint.h"
#include "internal/vote.h"

#define FOLDER_SHOWN 256

enum ww_status parley_status(enum fault fault)
{
    switch (fault) {
    case FAULT_NONE:
        return WW_OK;
    case FAULT_NEWER:
        return WW_UNSUPPORTED;
    case FAULT_OTHER:
        return WW_MISMATCH;
    case FAULT_MEMORY:
        return WW_NO_MEMORY;
    default:
        return WW_FILE_FAILED;
    }
}

enum ww_status parley_begin(struct parley *parley, struct ww_context *context, const char *call)
{
    *parley = (struct parley){.context = context, .call = call, .odd = -1};
    parley->all = calloc((size_t)context->world.size, sizeof *parley->all);
    /* Peers wait for this rank, so they must learn it. */
    return parley->all != NULL
               ? WW_OK
               : context_break(context,
                               log_failure(WW_NO_MEMORY, "%s: no memory to hear %d ranks", call,
                                           context->world.size),
                               NULL);
}

void parley_end(struct parley *parley)
{
    free(parley->all);
    parley->all = NULL;
}

enum ww_status parley_hold(struct parley *parley, const struct verdict *mine, struct reason *reason)
{
    struct ww_context *context = parley->context;
    parley->odd = -1;
    enum ww_status status = call_gather(context,
                                        &(struct call_purpose){parley->call, GATE_LABEL_CHECKPOINT},
                                        mine, parley->all, sizeof *mine);
    if (status != WW_OK) {
        return status;
    }
    for (int rank = context->world.size - 1; rank >= 0; rank--) {
        parley->odd = parley->all[rank].status != WW_OK ? rank : parley->odd;
    }
    if (parley->odd < 0) {
        return WW_OK;
    }
    _Alignas(8) char text[REASON_BYTES];
    snprintf(text, sizeof text, "%s", reason->text);
    status = call_spread(context, &(struct call_purpose){parley->call, GATE_LABEL_CHECKPOINT}, text,
                         sizeof text, parley->odd);
    text[sizeof text - 1] = '\0';
    reason->fault = (enum fault)parley->all[parley->odd].fault;
    snprintf(reason->text, sizeof reason->text, "rank %d (%s): %.600s", parley->odd,
             context->topology.host_name[context->topology.host_of[parley->odd]], text);
    return status;
}

/* What the library attached may not be ready; NULL = it is. */
static const char *trouble_of_attached(const struct ww_context *context)
{
    const char *trouble = NULL;
    for (const struct attachment *a = context->attachments; a != NULL && trouble == NULL;
         a = a->next) {
        trouble = a->owner != NULL ? a->owner->trouble(a->self) : NULL;
    }
    return trouble;
}

enum ww_status checkpoint_check(struct ww_context *context, const char *call, const char *folder)
{
    enum ww_status status = context_check(context, call);
    if (status != WW_OK) {
        return status;
    }
    const char *trouble = trouble_of_attached(context);
    if (folder == NULL || folder[0] == '\0' || strlen(folder) > FOLDER_BYTES) {
        status = log_failure(WW_BAD_ARGUMENT,
                             "%s got %s for the folder: give a path of 1 to %d bytes", call,
                             folder == NULL      ? "NULL"
                             : folder[0] == '\0' ? "\"\""
                                                 : "too long a path",
                             FOLDER_BYTES);
    } else if (!context->committed && context->tensor_count > 0) {
        status = log_failure(WW_BAD_STATE, "%s came before ww_tensors_commit", call);
    } else if (atomic_load(&context->step.open)) {
        status = log_failure(WW_BAD_STATE, "%s was called inside of step %llu: end it first", call,
                             (unsigned long long)context->step.number);
    } else if (delayed_count(context) > 0) {
        status = log_failure(WW_BAD_STATE,
                             "%s was called with results of %llu steps on their way (staleness): "
                             "ww_step_drain takes them",
                             call, (unsigned long long)delayed_count(context));
    } else if (trouble != NULL) {
        status = log_failure(WW_BAD_STATE, "%s was called while %s", call, trouble);
    } else if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__) {
        status = log_failure(WW_UNSUPPORTED, "%s: files are little-endian, this machine is not",
                             call);
    }
    return status == WW_OK ? WW_OK : context_fail(context, status);
}

/* What a rank came for. */
struct errand {
    char call[32];
    char folder[FOLDER_SHOWN];
};

static enum ww_status tell_difference(struct parley *parley, const struct errand *all, int odd,
                                      int usual)
{
    const struct topology *topology = &parley->context->topology;
    const char *odd_host = topology->host_name[topology->host_of[odd]];
    const char *usual_host = topology->host_name[topology->host_of[usual]];
    if (strncmp(all[odd].call, all[usual].call, sizeof all->call) != 0) {
        return log_failure(WW_MISMATCH,
                           "%s: rank %d (%s) called %.31s, rank %d (%s) %.31s: all ranks make the "
                           "same call",
                           parley->call, odd, odd_host, all[odd].call, usual, usual_host,
                           all[usual].call);
    }
    return log_failure(WW_MISMATCH,
                       "%s: rank %d (%s) was given the folder %.255s, rank %d (%s) "
                       "%.255s: give all ranks the same",
                       parley->call, odd, odd_host, all[odd].folder, usual, usual_host,
                       all[usual].folder);
}

enum ww_status checkpoint_compare_errands(struct parley *parley, const char *folder)
{
    struct ww_context *context = parley->context;
    int size = context->world.size;
    _Alignas(8) struct errand mine = {"", ""};
    size_t length = strlen(folder);
    snprintf(mine.call, sizeof mine.call, "%s", parley->call);
    snprintf(mine.folder, sizeof mine.folder, "%s",
             length < sizeof mine.folder ? folder : folder + length - sizeof mine.folder + 1);
    struct errand *all = calloc((size_t)size, sizeof *all);
    if (all == NULL) {
        return context_break(
            context, log_failure(WW_NO_MEMORY, "%s: no memory for folders", parley->call), NULL);
    }
    enum ww_status status = call_gather(context,
                                        &(struct call_purpose){parley->call, GATE_LABEL_CHECKPOINT},
                                        &mine, all, sizeof mine);
    int usual = 0;
    int odd = status == WW_OK ? vote_odd_one(all, size, sizeof *all, sizeof *all, &usual) : -1;
    if (odd >= 0) {
        status = context_fail(context, tell_difference(parley, all, odd, usual));
    }
    free(all);
    return status;
}
