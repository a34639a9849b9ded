/* SPDX-License-Identifier: BSD-3-Clause
 * unload.c: a program that does not know the library, but closes plugins that use it before it
 * ends. */
#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

static const char *plugin_file(const char *kind)
{
    return strcmp(kind, "shared") == 0 ? PLUGIN_SHARED : PLUGIN_STATIC;
}

/* False, with a sentence, when the plugin cannot be used or gives another mean. */
static int use_and_close(const char *file, double mine, double mean)
{
    void *plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    double (*plugin_mean)(double) = NULL;
    if (plugin != NULL) {
        *(void **)&plugin_mean = dlsym(plugin, "plugin_mean");
    }
    if (plugin_mean == NULL) {
        fprintf(stderr, "FAILED: %s\n", dlerror());
        return 0;
    }
    double got = plugin_mean(mine);
    dlclose(plugin);
    if (got != mean) {
        fprintf(stderr, "FAILED: the mean is %g, not %g\n", got, mean);
    }
    return got == mean;
}

int main(int count, char **words)
{
    int rank, size;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    int fine = count == 2;
    for (int time = 0; time < 2; time++) {
        fine = fine && use_and_close(plugin_file(words[1]), rank, (size - 1) / 2.0);
    }
    MPI_Finalize();
    return fine ? 0 : 1;
}
