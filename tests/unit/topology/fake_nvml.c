/* SPDX-License-Identifier: BSD-3-Clause
 * fake_nvml.c: stands for NVIDIA's library. FAKE_NVML says what the machine is like:
 *     "switched"  4 H100, 18 active of 36 links each, to switches; GPU 2 has lost one
 *     "pairs"     4 V100, GPU 0 and 1 by three links, 2 and 3 by three, GPU 3 a link to nowhere
 *     "broken"    the driver does not answer
 *     "empty"     there is no GPU
 * FAKE_NVML_ENERGY has a word for each of the 4 GPUs, with commas between them:
 *     1500        so many millijoules since the driver was loaded
 *     ticks       1000 more at each reading of any GPU
 *     none        it does not count them, as before Volta; so do all where the variable is not set
 *     lost        it fell off the bus: it was there when it was asked for
 *     hidden      NVML counts it, but this process may not ask for it
 * FAKE_NVML_LINKS likewise has what each GPU counts on its links:
 *     100:200     KiB sent and received since the driver was loaded
 *     ticks       1 more sent and 2 more received at each reading of any GPU
 *     none        it has no links; so do all where the variable is not set
 *     odd         it counts something that is no integer
 *     lost        as above
 * Built with LACKS_ENERGY it is of a time before there were such calls. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LACKS_ENERGY
#define nvmlDeviceGetTotalEnergyConsumption fake_nvml_energy
#define nvmlDeviceGetFieldValues fake_nvml_fields
#endif

struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char address[32];
};

struct field {
    unsigned id, scope;
    long long timestamp, latency;
    int type, failure;
    unsigned long long value;
};

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetCount_v2(unsigned *count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device);
int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci);
int nvmlDeviceGetName(void *device, char *name, unsigned bytes);
int nvmlDeviceGetNvLinkState(void *device, unsigned link, int *active);
int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct pci *pci);
int nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, int *type);
int nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned *generation);
int nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned *lanes);
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules);
int nvmlDeviceGetFieldValues(void *device, int count, struct field *fields);
int fake_nvml_calls(int *inits, int *shutdowns);

#define NOT_SUPPORTED 3
#define NO_PERMISSION 4
#define IS_LOST 15

static atomic_int init_count;
static atomic_int shutdown_count;
static atomic_ullong ticks;
static atomic_ullong link_ticks;

static int numbers[4] = {0, 1, 2, 3};

static int is_like(const char *word)
{
    const char *like = getenv("FAKE_NVML");
    return like != NULL && strcmp(like, word) == 0;
}

/* The word of a variable for a GPU. */
static void word_of(const char *variable, int gpu, char word[32])
{
    const char *words = getenv(variable);
    for (; words != NULL && gpu > 0; gpu--) {
        words = strchr(words, ',');
        words = words == NULL ? NULL : words + 1;
    }
    snprintf(word, 32, "%.*s", words == NULL ? 4 : (int)strcspn(words, ","),
             words == NULL ? "none" : words);
}

int nvmlInit_v2(void)
{
    init_count++;
    return is_like("broken") ? 9 : 0;
}

int nvmlShutdown(void)
{
    shutdown_count++;
    return 0;
}

/* How often both were called. */
int fake_nvml_calls(int *inits, int *shutdowns)
{
    *inits = init_count;
    *shutdowns = shutdown_count;
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = is_like("empty") ? 0 : 4;
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    char word[32];
    word_of("FAKE_NVML_ENERGY", (int)index, word);
    *device = &numbers[index];
    return strcmp(word, "hidden") == 0 ? NO_PERMISSION : 0;
}

static void write_address(struct pci *pci, int bus)
{
    memset(pci, 0, sizeof *pci);
    pci->device_id = is_like("switched") ? 0x233010deu : 0x1db110deu;
    snprintf(pci->address, sizeof pci->address, "00000000:%02X:00.0", (unsigned)bus);
}

int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci)
{
    write_address(pci, 0x1a + *(int *)device);
    return 0;
}

int nvmlDeviceGetName(void *device, char *name, unsigned bytes)
{
    (void)device;
    snprintf(name, bytes, "%s", is_like("switched") ? "NVIDIA H100" : "Tesla V100-SXM2-16GB");
    return 0;
}

int nvmlDeviceGetNvLinkState(void *device, unsigned link, int *active)
{
    int gpu = *(int *)device;
    if (is_like("switched")) {
        *active = link < 18u && !(gpu == 2 && link == 5);
        return 0;
    }
    *active = link < 3 || (gpu == 3 && link == 3);
    return link < 6 ? 0 : 2;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct pci *pci)
{
    int gpu = *(int *)device;
    if (is_like("switched")) {
        write_address(pci, 0xf0 + (int)link % 4);
    } else {
        write_address(pci, link == 3 ? 0x77 : 0x1a + (gpu ^ 1));
    }
    return 0;
}

int nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, int *type)
{
    (void)device;
    (void)link;
    *type = is_like("switched") ? 2 : 0;
    return 0;
}

int nvmlDeviceGetMaxPcieLinkGeneration(void *device, unsigned *generation)
{
    (void)device;
    *generation = 5;
    return 0;
}

int nvmlDeviceGetMaxPcieLinkWidth(void *device, unsigned *lanes)
{
    (void)device;
    *lanes = 16;
    return 0;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules)
{
    char word[32];
    word_of("FAKE_NVML_ENERGY", *(int *)device, word);
    if (strcmp(word, "ticks") == 0) {
        *millijoules = atomic_fetch_add(&ticks, 1000) + 1000;
        return 0;
    }
    if (strcmp(word, "lost") == 0) {
        return IS_LOST;
    }
    return sscanf(word, "%llu", millijoules) == 1 ? 0 : NOT_SUPPORTED;
}

/* KiB by the number of the field: 138 sent, 139 received, of all links. */
static int read_link(const char *word, struct field *field)
{
    unsigned long long counts[2];
    if (field->scope != 0xffffffffu || (field->id != 138 && field->id != 139)) {
        return 2;
    }
    field->type = strcmp(word, "odd") == 0 ? 0 : 3;
    if (strcmp(word, "ticks") == 0) {
        unsigned long long tick = field->id == 138 ? ++link_ticks : (unsigned long long)link_ticks;
        counts[0] = tick;
        counts[1] = 2 * tick;
    } else if (strcmp(word, "odd") == 0) {
        counts[0] = counts[1] = 1;
    } else if (sscanf(word, "%llu:%llu", &counts[0], &counts[1]) != 2) {
        return NOT_SUPPORTED;
    }
    field->value = counts[field->id - 138];
    return 0;
}

int nvmlDeviceGetFieldValues(void *device, int count, struct field *fields)
{
    char word[32];
    word_of("FAKE_NVML_LINKS", *(int *)device, word);
    if (strcmp(word, "lost") == 0) {
        return IS_LOST;
    }
    for (int i = 0; i < count; i++) {
        fields[i].failure = read_link(word, &fields[i]);
    }
    return 0;
}
