/* SPDX-License-Identifier: BSD-3-Clause
 * nvlink.c: adds up NVML's counters of links. A sum that would lack a GPU with links is none. */
#include "nvlink.h"

#include <limits.h>
#include <stddef.h>
#include <unistd.h>

/* What NVML answers. */
#define INVALID_ARGUMENT 2 /* this GPU has no links, say some drivers */
#define NOT_SUPPORTED 3    /* this GPU has no links, or does not count, say the others */
#define NO_PERMISSION 4    /* NVML counts GPUs that a container keeps from this process */

/* NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX and _RX: KiB of payload, of all links together. */
#define FIELD_SENT 138
#define FIELD_RECEIVED 139
#define ALL_LINKS UINT_MAX
#define FIELD_UNIT 1024

static int failure_of(int failure, const struct nvml_field fields[2])
{
    failure = failure != 0 ? failure : fields[0].failure;
    return failure != 0 ? failure : fields[1].failure;
}

/* Returns what NVML did: 0 is success. */
static int read_gpu(const struct nvml *nvml, void *device, struct nvlink_bytes *bytes)
{
    struct nvml_field fields[2] = {{.id = FIELD_SENT, .scope = ALL_LINKS},
                                   {.id = FIELD_RECEIVED, .scope = ALL_LINKS}};
    int failure = failure_of(nvml->fields(device, 2, fields), fields);
    if (failure != 0) {
        return failure;
    }
    if (fields[0].type != NVML_FIELD_U64 || fields[1].type != NVML_FIELD_U64) {
        return NOT_SUPPORTED;
    }
    bytes->sent = fields[0].value.u64 * FIELD_UNIT;
    bytes->received = fields[1].value.u64 * FIELD_UNIT;
    return 0;
}

/* Takes in the GPUs with links that this process may ask; false where one of them does not answer.
 */
static bool find_gpus(struct nvlink_meter *meter)
{
    unsigned shown = 0;
    if (meter->nvml.count(&shown) != 0) {
        return false;
    }
    for (unsigned index = 0; index < shown; index++) {
        void *device = NULL;
        struct nvlink_bytes since;
        int failure = meter->nvml.device(index, &device);
        if (failure == NO_PERMISSION) {
            continue;
        }
        failure = failure != 0 ? failure : read_gpu(&meter->nvml, device, &since);
        if (failure == NOT_SUPPORTED || failure == INVALID_ARGUMENT) {
            continue;
        }
        if (failure != 0 || meter->count == NVLINK_METER_MAX) {
            return false;
        }
        meter->gpu[meter->count].device = device;
        meter->gpu[meter->count++].since = since;
    }
    return meter->count > 0;
}

void nvlink_meter_open(struct nvlink_meter *meter, const char *library)
{
    *meter = (struct nvlink_meter){.process = getpid()};
    if (!nvml_load(&meter->nvml, library)) {
        return;
    }
    if (!nvml_is_usable(&meter->nvml) || meter->nvml.fields == NULL || meter->nvml.init() != 0) {
        nvml_unload(&meter->nvml);
    } else if (!find_gpus(meter)) {
        nvlink_meter_close(meter);
    }
}

/* Adds what one GPU did; false where it is not known. */
static bool add_gpu(const struct nvlink_meter *meter, int gpu, struct nvlink_bytes *sum)
{
    const struct nvlink_bytes *since = &meter->gpu[gpu].since;
    struct nvlink_bytes now;
    if (read_gpu(&meter->nvml, meter->gpu[gpu].device, &now) != 0 || now.sent < since->sent ||
        now.received < since->received) {
        return false;
    }
    sum->sent += now.sent - since->sent;
    sum->received += now.received - since->received;
    return true;
}

bool nvlink_meter_read(struct nvlink_meter *meter, struct nvlink_bytes *bytes)
{
    struct nvlink_bytes sum = {0, 0};
    if (meter->count == 0 || meter->process != getpid()) {
        return false;
    }
    for (int gpu = 0; gpu < meter->count; gpu++) {
        if (!add_gpu(meter, gpu, &sum)) {
            nvlink_meter_close(meter);
            return false;
        }
    }
    *bytes = sum;
    return true;
}

/* What a child has of NVML is its parent's. */
void nvlink_meter_close(struct nvlink_meter *meter)
{
    if (meter->nvml.library != NULL && meter->process == getpid()) {
        meter->nvml.shutdown();
        nvml_unload(&meter->nvml);
    }
    *meter = (struct nvlink_meter){.count = 0};
}
