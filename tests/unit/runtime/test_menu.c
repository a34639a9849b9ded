/* SPDX-License-Identifier: BSD-3-Clause
 * test_menu.c: which codecs a context may use, read from its two settings. */
#include "menu.h"

#include <string.h>

#include "capture.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(menu, .init = capture_start, .fini = capture_finish);

Test(menu, lists_are_read)
{
    static const struct {
        const char *codec;
        const char *allowed;
        const char *menu;
        bool chooses;
    } rows[] = {
        {"none", "none", "none", false},
        {"none", "fp16,int8", "none", false},
        {"int8", "none", "none, int8", false},
        {"int8", NULL, "none, int8", false},
        {"topk:0.01:fixed", "fp16", "none, topk:0.01:fixed", false},
        {"auto", "none", "none", false},
        {"auto", "", "none", false},
        {"auto", NULL, "none", false},
        {"auto", "none,none", "none", false},
        {"auto", "fp16", "none, fp16", true},
        {"auto", "int8,fp16", "none, int8, fp16", true},
        {"auto", "fp16,none,int8", "none, fp16, int8", true},
        {"auto", "fp16,int8,fp16", "none, fp16, int8", true},
        {"auto", "topk:0.1,topk:0.10,topk:0.1:fixed", "none, topk:0.1, topk:0.1:fixed", true},
        {"auto", "fp16, int8", "none, fp16, int8", true},
        {"auto", "  fp16  ,  int8  ", "none, fp16, int8", true},
        {"auto", "fp16,", "none, fp16", true},
        {"auto", "topk:0.1,topk:0.2,topk:0.3,topk:0.4,fp16,bf16,int8",
         "none, topk:0.1, topk:0.2, topk:0.3, topk:0.4, fp16, bf16, int8", true},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct menu menu = {.arms = -1};
        char text[400];
        cr_assert_eq(menu_parse(rows[i].codec, rows[i].allowed, "codec", &menu), WW_OK, "row %zu",
                     i);
        menu_print(&menu, text, sizeof text);
        cr_expect_str_eq(text, rows[i].menu, "row %zu", i);
        cr_expect_eq(menu.chooses, rows[i].chooses, "row %zu", i);
    }
}

Test(menu, what_no_codec_is_called_is_refused_in_words)
{
    static const struct {
        const char *codec;
        const char *allowed;
        const char *words;
    } rows[] = {
        {"fp17", "none", "codec: "},
        {NULL, "none", "NULL"},
        {"Auto", "none", "codec: "},
        {"fp17", "none", "(or auto)"},
        {"auto", "fp16,fp17", "codecs_allowed: "},
        {"none", "fp17", "codecs_allowed: "}, /* the list is read whatever the codec */
        {"auto", "auto", "name one codec here"},
        {"auto", "fp16,auto", "name one codec here"},
        {"auto", ",fp16", "codecs_allowed: "},
        {"auto", "fp16,,int8", "codecs_allowed: "},
        {"auto", " ", "codecs_allowed: "},
        {"auto", "fp16;int8", "codecs_allowed: "},
        {"auto", "fp 16", "codecs_allowed: "},
        {"auto", "topk", "codecs_allowed: "},
        {"auto", "topk:0.1,topk:0.2,topk:0.3,topk:0.4,fp16,bf16,int8,topk:0.5", "more than 7"},
        {"auto", "fp16,topk:0.1000000000000000000000000000000000000000000001", "a name of"},
    };
    for (size_t i = 0; i < LENGTH(rows); i++) {
        struct menu menu = {.arms = -1};
        cr_expect_eq(menu_parse(rows[i].codec, rows[i].allowed, "codec", &menu), WW_BAD_ARGUMENT,
                     "row %zu", i);
        cr_expect_eq(menu.arms, -1, "row %zu was written", i);
        expect_line(WW_LOG_ERROR, rows[i].words);
    }
}

Test(menu, only_a_choice_needs_probes_and_freedom)
{
    struct ww_config config = WW_CONFIG_INIT;
    struct menu menu;
    cr_assert_eq(menu_parse("int8", "none", "codec", &menu), WW_OK);
    config.probe = WW_PROBE_OFF;
    config.deterministic = WW_DETERMINISTIC_PLAN;
    cr_expect_eq(menu_check(&menu, &config, "codec"), WW_OK);
    cr_assert_eq(menu_parse("auto", "none", "codec", &menu), WW_OK);
    cr_expect_eq(menu_check(&menu, &config, "codec"), WW_OK);
    cr_assert_eq(menu_parse("auto", "int8", "codec", &menu), WW_OK);
    cr_expect_eq(menu_check(&menu, &config, "codec"), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "codec is \"auto\" and deterministic is \"plan\"");
    config.deterministic = WW_DETERMINISTIC_OFF;
    cr_expect_eq(menu_check(&menu, &config, "codec"), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "codec is \"auto\" and probe is \"off\"");
    config.probe = WW_PROBE_SHADOWS;
    cr_expect_eq(menu_check(&menu, &config, "codec"), WW_OK);
}

Test(menu, what_does_not_fit_is_cut)
{
    struct menu menu;
    char text[9];
    cr_assert_eq(menu_parse("auto", "fp16,int8", "codec", &menu), WW_OK);
    menu_print(&menu, text, sizeof text);
    cr_expect_str_eq(text, "none, fp");
    cr_expect_eq(strlen(text), sizeof text - 1);
}
