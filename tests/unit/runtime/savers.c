/* SPDX-License-Identifier: BSD-3-Clause
 * savers.c: small trainings with whole numbers, for tests of checkpoints. */
#include "savers.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chance.h"

static const struct {
    const char *name;
    int dims;
    size_t shape[2];
    size_t first;
    size_t count;
} tensors[SAVER_TENSORS] = {{"first", 2, {100, 60}, 0, 6000},
                            {"bias", 1, {300, 0}, 6000, 300},
                            {"second", 2, {50, 60}, 6300, 3000}};

void folder_begin(char path[64])
{
    const char *top = getenv("TMPDIR");
    snprintf(path, 64, "%.40s/checkpoint-XXXXXX", top != NULL && strlen(top) <= 40 ? top : "/tmp");
    cr_assert_not_null(mkdtemp(path), "no folder %s", path);
}

void folder_end(const char *path)
{
    struct dirent *entry;
    DIR *stream = opendir(path);
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (unlinkat(dirfd(stream), entry->d_name, 0) != 0) {
            unlinkat(dirfd(stream), entry->d_name, AT_REMOVEDIR);
        }
    }
    if (stream != NULL) {
        closedir(stream);
    }
    rmdir(path);
}

int folder_files(const char *path)
{
    int count = 0;
    struct dirent *entry;
    DIR *stream = opendir(path);
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    if (stream != NULL) {
        closedir(stream);
    }
    return count;
}

float saver_gradient(int rank, uint64_t step, size_t place)
{
    uint64_t key = ((uint64_t)rank * 131 + step) * UINT64_C(1000003) + place;
    return (float)((int)(chance_mix(key * UINT64_C(0x9e3779b97f4a7c15)) % 17) - 8);
}

void saver_begin(struct saver *saver, const struct ww_world *world, const struct saver_plan *plan)
{
    struct ww_config config = world_config();
    char host[32];
    *saver = (struct saver){.scale = plan->tiny ? 0x1p-130F : 1};
    config.deterministic = WW_DETERMINISTIC_PLAN;
    config.codec = plan->codec;
    config.codec_least_count = 1000;
    config.gradient_op = plan->op;
    config.momentum = plan->momentum;
    config.staleness = plan->staleness;
    config.bucket_bytes = plan->bucket_bytes > 0 ? plan->bucket_bytes : config.bucket_bytes;
    snprintf(host, sizeof host, "host %d",
             plan->ranks_per_host > 0 ? world->rank / plan->ranks_per_host : 0);
    config.host = host;
    saver->context = world_context(world, &config);
    saver->values = calloc(SAVER_COUNT, sizeof *saver->values);
    for (int t = 0; t < SAVER_TENSORS; t++) {
        check_status(ww_tensor_add(saver->context, tensors[t].name, WW_F32, tensors[t].dims,
                                   tensors[t].shape, &saver->tensors[t]),
                     WW_OK);
    }
    check_status(ww_tensors_commit(saver->context), WW_OK);
    check_status(ww_checkpoint_attach(saver->context, "step", &saver->step, sizeof saver->step,
                                      WW_KEEP_COMMON),
                 WW_OK);
}

void saver_end(struct saver *saver)
{
    ww_context_destroy(saver->context);
    free(saver->values);
}

static void run_step(struct saver *saver)
{
    check_status(ww_step_begin(saver->context), WW_OK);
    for (int t = SAVER_TENSORS; t-- > 0;) {
        check_status(ww_tensor_start(saver->tensors[t], saver->values + tensors[t].first), WW_OK);
    }
    saver->report = (struct ww_report)WW_REPORT_INIT;
    check_status(ww_step_end(saver->context, &saver->report), WW_OK);
    saver->step++;
}

void saver_step(struct saver *saver, int rank)
{
    for (size_t i = 0; i < SAVER_COUNT; i++) {
        saver->values[i] = saver->scale * saver_gradient(rank, saver->step + 1, i);
    }
    run_step(saver);
}

int saver_drain(struct saver *saver)
{
    int steps = -1;
    do {
        saver->report = (struct ww_report)WW_REPORT_INIT;
        check_status(ww_step_drain(saver->context, &saver->report), WW_OK);
        steps++;
    } while (saver->report.version > 0);
    return steps;
}

void saver_step_zeros(struct saver *saver)
{
    memset(saver->values, 0, SAVER_COUNT * sizeof *saver->values);
    run_step(saver);
}
