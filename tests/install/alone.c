/* SPDX-License-Identifier: BSD-3-Clause
 * alone.c: a stranger's smallest program, valid as C and as C++: one rank averages with itself. */
#include <stdio.h>
#include <string.h>

#include <wirewise/tools.h>
#include <wirewise/wirewise.h>

int main(int count, char **words)
{
    if (count != 2 || strcmp(ww_version(), words[1]) != 0) {
        fprintf(stderr, "the library says it is %s\n", ww_version());
        return 1;
    }
    struct ww_world world = WW_WORLD_INIT;
    struct ww_config config = WW_CONFIG_INIT;
    struct ww_report report = WW_REPORT_INIT;
    struct ww_plan_query query = WW_PLAN_QUERY_INIT;
    struct ww_context *context = NULL;
    if (report.struct_bytes != sizeof report || query.struct_bytes != sizeof query) {
        return 1;
    }
    if (ww_context_create(&world, &config, &context) != WW_OK) {
        fprintf(stderr, "%s\n", ww_last_error(NULL));
        return 1;
    }
    float values[3] = {1.0f, -2.0f, 0.5f};
    enum ww_status status = ww_all_reduce(context, values, values, 3, WW_F32, WW_MEAN);
    if (status != WW_OK || values[0] != 1.0f || values[1] != -2.0f || values[2] != 0.5f) {
        fprintf(stderr, "%s: %s\n", ww_status_name(status), ww_last_error(context));
        return 1;
    }
    ww_context_destroy(context);
    return 0;
}
