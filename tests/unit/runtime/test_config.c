/* SPDX-License-Identifier: BSD-3-Clause
 * test_config.c: where settings come from, how they are read, and what is said about bad ones. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "comma.h"
#include "config.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(config, .init = capture_start, .fini = capture_finish);

/* The line of the printed table that is about one setting; in static memory. */
static const char *line_about(const struct settings *settings, const char *name)
{
    static char table[8192];
    static char line[512];
    size_t needed = config_print(settings, table, sizeof table);
    cr_assert_lt(needed, sizeof table);
    for (char *text = strtok(table, "\n"); text != NULL; text = strtok(NULL, "\n")) {
        if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == ' ') {
            snprintf(line, sizeof line, "%s", text);
            return line;
        }
    }
    return "";
}

/* Name, value, origin and variable of a setting, as printed with single spaces. */
static void expect_setting(const struct settings *settings, const char *name, const char *value,
                           const char *origin)
{
    char words[4][80] = {"", "", "", ""};
    const char *line = line_about(settings, name);
    sscanf(line, "%79s %79s %79s %79s", words[0], words[1], words[2], words[3]);
    cr_expect_str_eq(words[1], value, "%s: \"%s\"", name, line);
    cr_expect_str_eq(words[2], origin, "%s: \"%s\"", name, line);
    cr_expect_eq(strncmp(words[3], "WIREWISE_", 9), 0, "%s: \"%s\"", name, line);
}

Test(config, without_wishes_every_setting_has_its_default)
{
    static const char *const defaults[][2] = {
        {"bucket_bytes", "4194304"}, {"segment_bytes", "0"},   {"segments_in_flight", "0"},
        {"timeout_s", "600"},        {"algorithm", "auto"},    {"gradient_op", "mean"},
        {"progress", "auto"},        {"deterministic", "off"}, {"mpi_quiet", "no"},
        {"log_level", "info"},
    };
    struct ww_config initial = WW_CONFIG_INIT;
    const struct ww_config *programs[] = {NULL, &initial};
    for (size_t p = 0; p < LENGTH(programs); p++) {
        struct settings settings;
        cr_assert_eq(config_resolve(programs[p], &settings), WW_OK);
        for (size_t i = 0; i < LENGTH(defaults); i++) {
            expect_setting(&settings, defaults[i][0], defaults[i][1], "default");
        }
        cr_expect_null(settings.values.host);
    }
}

Test(config, the_program_changes_what_it_sets)
{
    struct ww_config program = WW_CONFIG_INIT;
    program.bucket_bytes = 1000;
    program.timeout_s = 0.25;
    program.algorithm = "ring";
    program.gradient_op = WW_SUM;
    program.mpi_quiet = true;
    program.host = "node7";
    program.place = "r12/leaf3";
    program.discover = false;
    struct settings settings;
    cr_assert_eq(config_resolve(&program, &settings), WW_OK);
    expect_setting(&settings, "place", "r12/leaf3", "program");
    expect_setting(&settings, "discover", "no", "program");
    expect_setting(&settings, "bucket_bytes", "1000", "program");
    expect_setting(&settings, "timeout_s", "0.25", "program");
    expect_setting(&settings, "algorithm", "ring", "program");
    expect_setting(&settings, "gradient_op", "sum", "program");
    expect_setting(&settings, "mpi_quiet", "yes", "program");
    expect_setting(&settings, "host", "node7", "program");
    expect_setting(&settings, "progress", "auto", "default");
}

Test(config, texts_of_the_program_are_copied)
{
    char algorithm[] = "ring";
    char host[] = "node7";
    struct ww_config program = WW_CONFIG_INIT;
    program.algorithm = algorithm;
    program.host = host;
    struct settings settings;
    cr_assert_eq(config_resolve(&program, &settings), WW_OK);
    memset(algorithm, 'x', sizeof algorithm - 1);
    memset(host, 'x', sizeof host - 1);
    cr_expect_str_eq(settings.values.algorithm, "ring");
    cr_expect_str_eq(settings.values.host, "node7");
}

Test(config, the_environment_overrides_the_program)
{
    struct ww_config program = WW_CONFIG_INIT;
    program.bucket_bytes = 1000;
    program.progress = WW_PROGRESS_THREAD;
    program.host = "node7";
    setenv("WIREWISE_BUCKET_BYTES", "2K", 1);
    setenv("WIREWISE_HOST", "node8", 1);
    struct settings settings;
    cr_assert_eq(config_resolve(&program, &settings), WW_OK);
    cr_expect_eq(settings.values.bucket_bytes, 2048);
    expect_setting(&settings, "bucket_bytes", "2048", "environment");
    expect_setting(&settings, "host", "node8", "environment");
    expect_setting(&settings, "progress", "thread", "program");
}

Test(config, slurm_tells_the_place_where_nobody_else_does)
{
    struct ww_config program = WW_CONFIG_INIT;
    struct settings settings;
    setenv("SLURM_TOPOLOGY_ADDR", "s0.s3.node7", 1);
    setenv("SLURM_TOPOLOGY_ADDR_PATTERN", "switch.switch.node", 1);
    cr_assert_eq(config_resolve(&program, &settings), WW_OK);
    cr_expect_str_eq(settings.values.place, "s0/s3");
    program.place = "leaf3";
    cr_assert_eq(config_resolve(&program, &settings), WW_OK);
    cr_expect_str_eq(settings.values.place, "leaf3");
}

Test(config, a_place_of_too_many_parts_is_refused)
{
    struct ww_config program = WW_CONFIG_INIT;
    struct settings settings;
    program.place = "a/b/c/d";
    cr_expect_eq(config_resolve(&program, &settings), WW_BAD_CONFIG);
    expect_line(WW_LOG_ERROR, "place is \"a/b/c/d\"");
}

Test(config, values_of_every_kind_are_read)
{
    static const struct {
        const char *name;
        const char *text;
        const char *printed;
    } rows[] = {
        {"bucket_bytes", "1", "1"},         {"bucket_bytes", "4K", "4096"},
        {"bucket_bytes", "4k", "4096"},     {"bucket_bytes", "1.5K", "1536"},
        {"bucket_bytes", "3M", "3145728"},  {"bucket_bytes", "64G", "68719476736"},
        {"segment_bytes", "0", "0"},        {"segment_bytes", "1g", "1073741824"},
        {"segments_in_flight", "16", "16"}, {"timeout_s", "0.01", "0.01"},
        {"timeout_s", "1e3", "1000"},       {"algorithm", "hierarchical+ring", "hierarchical+ring"},
        {"gradient_op", "sum", "sum"},      {"gradient_op", "mean", "mean"},
        {"progress", "auto", "auto"},       {"progress", "inline", "inline"},
        {"progress", "thread", "thread"},   {"deterministic", "off", "off"},
        {"deterministic", "plan", "plan"},  {"mpi_quiet", "yes", "yes"},
        {"mpi_quiet", "no", "no"},          {"mpi_quiet", "1", "yes"},
        {"mpi_quiet", "0", "no"},           {"log_level", "error", "error"},
        {"log_level", "debug", "debug"},    {"host", "a", "a"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        char variable[64] = "WIREWISE_";
        for (size_t c = 0; rows[i].name[c] != '\0'; c++) {
            char letter = rows[i].name[c];
            variable[9 + c] = letter == '_' ? '_' : (char)(letter - 'a' + 'A');
        }
        setenv(variable, rows[i].text, 1);
        struct settings settings;
        cr_assert_eq(config_resolve(NULL, &settings), WW_OK, "%s=%s", variable, rows[i].text);
        expect_setting(&settings, rows[i].name, rows[i].printed, "environment");
        unsetenv(variable);
    }
}

Test(config, numbers_have_points_where_the_program_has_commas)
{
    struct settings settings;
    comma_start();
    setenv("WIREWISE_TIMEOUT_S", "2.5", 1);
    cr_assert_eq(config_resolve(NULL, &settings), WW_OK);
    expect_setting(&settings, "timeout_s", "2.5", "environment");
    setenv("WIREWISE_TIMEOUT_S", "2,5", 1);
    cr_expect_eq(config_resolve(NULL, &settings), WW_BAD_CONFIG);
    expect_line(WW_LOG_ERROR, "from 0.01 to");
}

/* Turkish as glibc has it: the capital of i has two bytes, so toupper leaves it. */
int __wrap_toupper(int letter);
const int32_t **__wrap___ctype_toupper_loc(void);

int __wrap_toupper(int letter)
{
    return letter >= 'a' && letter <= 'z' && letter != 'i' ? letter - 'a' + 'A' : letter;
}

const int32_t **__wrap___ctype_toupper_loc(void)
{
    static int32_t table[384];
    static const int32_t *of_letter = table + 128;
    for (int letter = -128; letter < 256; letter++) {
        table[128 + letter] = __wrap_toupper(letter);
    }
    return &of_letter;
}

Test(config, variables_have_the_same_names_in_turkish)
{
    struct settings settings;
    setenv("WIREWISE_TIMEOUT_S", "7", 1);
    cr_assert_eq(config_resolve(NULL, &settings), WW_OK);
    expect_setting(&settings, "timeout_s", "7", "environment");
}

#define SIXTY_FOUR "0123456789012345678901234567890123456789012345678901234567890123"

Test(config, a_bad_value_is_named_with_its_variable_and_what_is_allowed)
{
    static const struct {
        const char *variable;
        const char *text;
        const char *allowed;
    } rows[] = {
        {"WIREWISE_BUCKET_BYTES", "0", "from 1 to 68719476736"},
        {"WIREWISE_BUCKET_BYTES", "-4K", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "4T", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "4KB", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "4 K", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", " 4", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "0.5", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "nan", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "inf", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "99999999999999G", "K, M, G"},
        {"WIREWISE_BUCKET_BYTES", "many", "K, M, G"},
        {"WIREWISE_SEGMENT_BYTES", "2G", "from 0 to 1073741824"},
        {"WIREWISE_SEGMENTS_IN_FLIGHT", "17", "from 0 to 16"},
        {"WIREWISE_SEGMENTS_IN_FLIGHT", "1.5", "a number from 0"},
        {"WIREWISE_SEGMENTS_IN_FLIGHT", "4K", "a number from 0"},
        {"WIREWISE_TIMEOUT_S", "0", "from 0.01"},
        {"WIREWISE_TIMEOUT_S", "-1", "from 0.01"},
        {"WIREWISE_TIMEOUT_S", "nan", "from 0.01"},
        {"WIREWISE_TIMEOUT_S", "inf", "from 0.01"},
        {"WIREWISE_TIMEOUT_S", "10s", "from 0.01"},
        {"WIREWISE_GRADIENT_OP", "max", "one of sum, mean"},
        {"WIREWISE_GRADIENT_OP", "", "one of sum, mean"},
        {"WIREWISE_GRADIENT_OP", "1", "one of sum, mean"},
        {"WIREWISE_PROGRESS", "fast", "one of auto, inline, thread"},
        {"WIREWISE_DETERMINISTIC", "on", "one of off, plan"},
        {"WIREWISE_MPI_QUIET", "maybe", "one of no, yes"},
        {"WIREWISE_LOG_LEVEL", "loud", "one of error, warn, info, debug"},
        {"WIREWISE_ALGORITHM", SIXTY_FOUR, "63 are allowed"},
        {"WIREWISE_HOST", SIXTY_FOUR, "63 are allowed"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        setenv(rows[i].variable, rows[i].text, 1);
        struct settings settings;
        cr_expect_eq(config_resolve(NULL, &settings), WW_BAD_CONFIG, "%s=%s", rows[i].variable,
                     rows[i].text);
        const char *sentence = log_last_error();
        cr_expect_not_null(strstr(sentence, rows[i].variable), "\"%s\"", sentence);
        cr_expect_not_null(strstr(sentence, rows[i].allowed), "\"%s\"", sentence);
        cr_expect(strlen(rows[i].text) > 60 || strstr(sentence, rows[i].text) != NULL, "\"%s\"",
                  sentence);
        expect_line(WW_LOG_ERROR, rows[i].variable);
        unsetenv(rows[i].variable);
    }
}

/* One bad field each; index as in the loop below. */
static void spoil(struct ww_config *config, int field)
{
    switch (field) {
    case 0:
        config->bucket_bytes = 0;
        break;
    case 1:
        config->bucket_bytes = SIZE_MAX;
        break;
    case 2:
        config->segments_in_flight = -1;
        break;
    case 3:
        config->timeout_s = 0;
        break;
    case 4:
        config->gradient_op = WW_MAX;
        break;
    case 5:
        config->progress = (enum ww_progress)3;
        break;
    case 6:
        config->deterministic = (enum ww_deterministic) - 1;
        break;
    case 7:
        config->log_level = (enum ww_log_level)9;
        break;
    case 8:
        config->algorithm = NULL;
        break;
    default:
        config->host = SIXTY_FOUR;
        break;
    }
}

Test(config, a_bad_field_of_the_program_is_named)
{
    static const char *const words[][2] = {
        {"bucket_bytes", "\"0\""},
        {"bucket_bytes", "1.84467440737096e+19"},
        {"segments_in_flight", "\"-1\""},
        {"timeout_s", "\"0\""},
        {"gradient_op", "one of sum, mean"},
        {"progress", "one of auto, inline, thread"},
        {"deterministic", "\"-1\""},
        {"log_level", "\"9\""},
        {"algorithm", "NULL"},
        {"host", "63 are allowed"},
    };
    for (int field = 0; field < (int)LENGTH(words); field++) {
        struct ww_config config = WW_CONFIG_INIT;
        struct settings settings;
        spoil(&config, field);
        cr_expect_eq(config_resolve(&config, &settings), WW_BAD_CONFIG, "%s", words[field][0]);
        cr_expect_not_null(strstr(log_last_error(), words[field][0]), "\"%s\"", log_last_error());
        cr_expect_not_null(strstr(log_last_error(), words[field][1]), "\"%s\"", log_last_error());
        expect_line(WW_LOG_ERROR, words[field][0]);
    }
}

Test(config, a_struct_of_another_version_is_refused)
{
    struct ww_config config = WW_CONFIG_INIT;
    struct settings settings;
    config.struct_bytes = 8;
    cr_expect_eq(config_resolve(&config, &settings), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "config->struct_bytes is 8");
}

Test(config, a_mistyped_variable_is_named_with_the_nearest_setting)
{
    static const char *const pairs[][2] = {
        {"WIREWISE_BUKET_BYTES", "WIREWISE_BUCKET_BYTES"},
        {"WIREWISE_PROGRES", "WIREWISE_PROGRESS"},
        {"WIREWISE_TIMEOUT", "WIREWISE_TIMEOUT_S"},
        {"WIREWISE_SEGMENT_IN_FLIGHT", "WIREWISE_SEGMENTS_IN_FLIGHT"},
        {"WIREWISE_DETERMINISTC", "WIREWISE_DETERMINISTIC"},
        {"WIREWISE_host", "WIREWISE_HOST"},
    };
    for (size_t i = 0; i < LENGTH(pairs); i++) {
        char asked[128];
        struct settings settings;
        setenv(pairs[i][0], "1", 1);
        cr_expect_eq(config_resolve(NULL, &settings), WW_OK);
        snprintf(asked, sizeof asked, "did you mean %s", pairs[i][1]);
        const char *line = capture_take(WW_LOG_WARN, asked);
        cr_assert_not_null(line, "%s: %s", pairs[i][0], capture_all());
        cr_expect_eq(strncmp(line, pairs[i][0], strcspn(line, " ")), 0, "%s", line);
        unsetenv(pairs[i][0]);
    }
}

Test(config, a_variable_like_no_setting_is_not_taken_for_one)
{
    static const char *const names[] = {
        "WIREWISE_XYZ",
        "WIREWISE_ALGORITHM_OF_A_NAME_THAT_GOES_ON_FOR_LONGER_THAN_ANY_SETTING_DOES"};
    for (size_t i = 0; i < LENGTH(names); i++) {
        struct settings settings;
        setenv(names[i], "1", 1);
        cr_expect_eq(config_resolve(NULL, &settings), WW_OK);
        const char *line = capture_take(WW_LOG_WARN, " is no setting of wirewise");
        cr_assert_not_null(line, "%s", capture_all());
        cr_expect_null(strstr(line, "did you mean"), "%s", line);
        unsetenv(names[i]);
    }
}

Test(config, variables_of_others_are_not_mentioned)
{
    struct settings settings;
    setenv("WIREWIS_HOST", "1", 1);
    setenv("wirewise_host", "1", 1);
    setenv("XWIREWISE_HOST", "1", 1);
    cr_expect_eq(config_resolve(NULL, &settings), WW_OK);
}

Test(config, the_table_is_printed_as_far_as_it_fits)
{
    struct settings settings;
    cr_assert_eq(config_resolve(NULL, &settings), WW_OK);
    char whole[8192];
    size_t needed = config_print(&settings, whole, sizeof whole);
    cr_expect_eq(strlen(whole), needed);
    cr_expect_eq(config_print(&settings, NULL, 0), needed);
    for (size_t bytes = 1; bytes < needed; bytes += 7) {
        char part[8192];
        memset(part, 'x', sizeof part);
        cr_expect_eq(config_print(&settings, part, bytes), needed);
        cr_expect_eq(strlen(part), bytes - 1);
        cr_expect_eq(part[bytes], 'x');
        cr_expect_eq(strncmp(part, whole, bytes - 1), 0);
    }
}

Test(config, ranks_compare_what_they_must_share_and_nothing_else)
{
    struct settings settings;
    char text[640];
    cr_assert_eq(config_resolve(NULL, &settings), WW_OK);
    config_print_shared(&settings, text, sizeof text);
    cr_expect_str_eq(text, "bucket_bytes=4194304 segment_bytes=0 segments_in_flight=0 "
                           "algorithm=auto gradient_op=mean deterministic=off shared_memory=yes "
                           "calibrate=auto calibrate_s=0.3 codec=none codecs_allowed=none "
                           "probe=auto error_feedback=auto "
                           "codec_least_count=16384 density_warmup_steps=0 momentum=0 "
                           "momentum_masking=yes clip_norm=0 "
                           "staleness=0 allow_stale_topk=no "
                           "shape= discover=yes");
}
