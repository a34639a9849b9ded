/* SPDX-License-Identifier: BSD-3-Clause
 * test_xml.c: what is XML is taken apart, what is not is refused with the line. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "screen.h"
#include "xml.h"

#define LENGTH(array) (sizeof(array) / sizeof *(array))

TestSuite(xml, .init = capture_start, .fini = capture_finish);

Test(xml, elements_and_attributes_are_found)
{
    static const char text[] = "<?xml version='1.0'?>\n<!DOCTYPE a SYSTEM \"a.dtd\">\n<!-- > -->\n"
                               "<a x = \"1&amp;2&#x41;\" y='\"'>text<b/><c n=\"0x1f\"></c>\n"
                               "<d><e/></d></a>\n";
    struct xml xml;
    long long number = 0;
    cr_assert_eq(xml_parse("paper", text, sizeof text - 1, &xml), WW_OK);
    cr_expect_eq(xml.node_count, 5);
    cr_expect_str_eq(xml.nodes[0].name, "a");
    cr_expect_str_eq(xml_value(&xml, 0, "x"), "1&2A");
    cr_expect_str_eq(xml_value(&xml, 0, "y"), "\"");
    cr_expect_null(xml_value(&xml, 0, "z"));
    int b = xml.nodes[0].child;
    int c = xml.nodes[b].next;
    int d = xml.nodes[c].next;
    cr_expect_str_eq(xml.nodes[d].name, "d");
    cr_expect_eq(xml.nodes[d].line, 5);
    cr_expect_eq(xml.nodes[d].next, -1);
    cr_expect_str_eq(xml.nodes[xml.nodes[d].child].name, "e");
    cr_expect_eq(xml_number(&xml, c, "n", 0, 31, 0, &number), WW_OK);
    cr_expect_eq(number, 31);
    cr_expect_eq(xml_number(&xml, c, "n", 0, 30, 0, &number), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "paper:4: n=\"0x1f\" of <c> must be a number from 0 to 30");
    xml_finish(&xml);
}

Test(xml, what_is_not_well_formed_is_refused)
{
    static const struct {
        const char *text;
        const char *sentence;
    } examples[] = {
        {" ", "there is no element"},
        {"words", "text outside of the root element"},
        {"<a>", "ends inside an element"},
        {"<a", "has no name or does not end"},
        {"<a ", "does not end"},
        {"<>", "has no name"},
        {"<a></b>", "ends inside another one"},
        {"</a>", "did not begin"},
        {"<a/><b/>", "something follows the root"},
        {"<a/>x", "text outside"},
        {"<a b/>", "no attribute"},
        {"<a b=c/>", "no quoted value"},
        {"<a b=\"c/>", "does not end"},
        {"<a b=\"<\"/>", "does not end"},
        {"<a b=\"&c;\"/>", "stands for nothing"},
        {"<a b=\"&#0;\"/>", "stands for nothing"},
        {"<a b=\"1\" b=\"2\"/>", "the same attribute twice"},
        {"<a b=\"1\"c=\"2\"/>", "no attribute"},
        {"<a /b>", "without a >"},
        {"<a><!-- </a>", "a comment does not end"},
        {"<!DOCTYPE a [<!ENTITY b \"c\">]><a/>", "defines something"},
        {"<a><![CDATA[b]]></a>", "do not have"},
        {"<?xml", "a <? does not end"},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct xml xml;
        char *exact = strdup(examples[i].text); /* so that a step beyond is seen */
        cr_assert_not_null(exact);
        cr_expect_eq(xml_parse("paper", exact, strlen(exact), &xml), WW_BAD_ARGUMENT, "%s", exact);
        expect_line(WW_LOG_ERROR, examples[i].sentence);
        free(exact);
    }
}

Test(xml, depths_counts_and_zeros_have_limits)
{
    static char deep[4096];
    struct xml xml;
    for (size_t i = 0; i + 3 < sizeof deep; i += 3) {
        memcpy(deep + i, "<a>", 4);
    }
    cr_expect_eq(xml_parse("paper", deep, strlen(deep), &xml), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "nest deeper than 128");
    cr_expect_eq(xml_parse("paper", "<a>\0</a>", 8, &xml), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "holds zeros");
}

Test(xml, files_that_are_none_are_refused)
{
    char *text = NULL;
    size_t bytes = 0;
    cr_expect_eq(xml_read_file("/nowhere/at/all.xml", &text, &bytes), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "cannot open /nowhere/at/all.xml");
    cr_expect_eq(xml_read_file("/", &text, &bytes), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "is a folder");
    cr_expect_eq(xml_read_file("/dev/null", &text, &bytes), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "/dev/null is a device");
    cr_expect_eq(xml_read_file("/dev/zero", &text, &bytes), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "/dev/zero is a device");
}

Test(xml, what_simple_readers_do_not_know_is_taken_out)
{
    static const struct {
        const char *text, *simple;
    } examples[] = {
        {"<a/>", "<a/>"},
        {"<?xml version=\"1.0\"?>\r\n<!DOCTYPE a SYSTEM \"a.dtd\">\r\n<!-- <b> -->\n<a>\r\n</a>",
         "<?xml version=\"1.0\"?>\n<a>\n</a>"},
        {"<?xml version='1.0'?><a/>", "<?xml version='1.0'?>\n<a/>"},
        {"<?xml version='1.0'?><!-- <b/> --><a/>", "<?xml version='1.0'?>\n<a/>"},
        {"<?xml version='1.0'?><?xml version='1.1'?><a/>", "<?xml version='1.0'?>\n<a/>"},
        {"<!-- a -- b --><?other?> <a><!-- c --><b c='--&gt;'/><!----></a><!-- d -->",
         "<a><b c='--&gt;'/></a>"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char text[128];
        snprintf(text, sizeof text, "%s", examples[i].text);
        cr_expect_eq(xml_simplify(text), strlen(examples[i].simple));
        cr_expect_str_eq(text, examples[i].simple);
    }
}

Test(xml, more_devices_than_hwloc_can_sort_are_refused)
{
    static const char device[] = "<object type=\"PCIDev\"/>";
    static char text[16400 * sizeof device + 256];
    struct xml xml;
    int used = snprintf(
        text, sizeof text,
        "<topology><object type=\"Machine\" cpuset=\"0x1\" complete_cpuset=\"0x1\">");
    for (int i = 0; i < 16385; i++) {
        used += snprintf(text + used, sizeof text - (size_t)used, "%s", device);
    }
    snprintf(text + used, sizeof text - (size_t)used, "</object></topology>");
    cr_assert_eq(xml_parse("paper", text, strlen(text), &xml), WW_OK);
    cr_expect_eq(screen_hwloc(&xml), WW_BAD_ARGUMENT);
    expect_line(WW_LOG_ERROR, "holds more than 16384 devices");
    xml_finish(&xml);
}

Test(xml, what_would_harm_hwloc_is_screened)
{
    static const struct {
        const char *text;
        const char *sentence;
    } examples[] = {
        {"<topology/>", "no object of type Machine"},
        {"<topology><object type=\"PU\"/></topology>", "no object of type Machine"},
        {"<topology><object type=\"Machine\" cpuset=\"0x1\" "
         "complete_cpuset=\"0x1\"><object/></object></topology>",
         "has no type"},
        {"<topology><object type=\"Machine\" cpuset=\"0x1\" complete_cpuset=\"0x1\"><object "
         "type=\"PU\" os_index=\"4000000000\"/></object>"
         "</topology>",
         "no core and no memory has"},
        {"<topology><object type=\"Machine\" cpuset=\"0x1\" complete_cpuset=\"0x1\"><object "
         "type=\"PU\"/></object></topology>",
         "no core and no memory has"},
        {"<topology version=\"2.0\"><object type=\"Machine\" cpuset=\"0x1\" "
         "complete_cpuset=\"0x1\"/></topology>",
         "lacks one of its sets"},
        {"<topology><object type=\"Machine\" os_index=\"many\"/></topology>", "must be a number"},
        {"<topology><object type=\"Machine\" cpuset=\"0xg\" complete_cpuset=\"0x1\"/></topology>",
         "that is none"},
        {"<topology><object type=\"Machine\" cpuset=\",0x1\" complete_cpuset=\"0x1\"/></topology>",
         "that is none"},
        {"<topology><object type=\"Machine\" cpuset=\"0x1\" complete_cpuset=\"0x1\"/><cpukind "
         "cpuset=\",x1\"/></topology>",
         "that is none"},
        {"<topology><object type=\"Machine\" cpuset=\"0x1\" complete_cpuset=\"0x1\"/><distances2 "
         "nbobjs=\"65537\"/></topology>",
         "nbobjs=\"65537\""},
    };
    for (size_t i = 0; i < LENGTH(examples); i++) {
        struct xml xml;
        cr_assert_eq(xml_parse("paper", examples[i].text, strlen(examples[i].text), &xml), WW_OK);
        cr_expect_eq(screen_hwloc(&xml), WW_BAD_ARGUMENT, "%s", examples[i].text);
        expect_line(WW_LOG_ERROR, examples[i].sentence);
        xml_finish(&xml);
    }
}
