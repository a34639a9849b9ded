/* SPDX-License-Identifier: BSD-3-Clause
 * test_calibration_file.c: results are kept, and garbage is not believed. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calibration_file.h"
#include "capture.h"
#include "comma.h"

static char folder[] = "/tmp/calibration-XXXXXX";
static char path[64];

static void begin(void)
{
    capture_start();
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/wires", folder);
}

static void end(void)
{
    remove(path);
    cr_expect_eq(rmdir(folder), 0, "something was left behind");
    capture_finish();
}

TestSuite(calibration_file, .init = begin, .fini = end);

static struct wires some_wires(int levels, double byte_s)
{
    struct wires wires = {.levels = levels, .cores = 2};
    for (int level = 0; level < levels; level++) {
        wires.link[level] = (struct link){.name = "Ethernet",
                                          .flow = {1e-5 / 3, byte_s},
                                          .duplex = 1.25,
                                          .port_byte_s = byte_s / 3,
                                          .message_s = 1e-7,
                                          .core_byte_s = 1e-10,
                                          .spread = 0.1,
                                          .source = COST_MEASURED,
                                          .health = 0.9};
    }
    wires.memory = (struct memory_cost){1e-7, 2e-8,  1e-11, 2e-11, 3e-11,        4e-11,
                                        5e-7, 6e-11, 3e7,   0.1,   COST_MEASURED};
    return wires;
}

static void write_text(const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fwrite(text, 1, bytes, file);
    fclose(file);
}

Test(calibration_file, what_was_written_is_read_bit_for_bit)
{
    struct wires wires = some_wires(8, 8e-9 / 0.956);
    struct wires read = some_wires(8, 1);
    cr_expect(calibration_write(path, 7, &wires));
    cr_expect(calibration_read(path, 7, &read));
    cr_expect_arr_eq(&read, &wires, sizeof read);
    cr_expect_not(calibration_read(path, 8, &read));
    read.levels = 2;
    cr_expect_not(calibration_read(path, 7, &read), "another number of levels");
    expect_line(WW_LOG_WARN, "is damaged and was ignored");
}

Test(calibration_file, programs_with_commas_write_and_read_what_others_do)
{
    struct wires wires = some_wires(8, 8e-9 / 0.956);
    struct wires read = some_wires(8, 1);
    comma_start();
    cr_expect(calibration_write(path, 7, &wires));
    cr_expect(calibration_read(path, 7, &read));
    cr_expect_arr_eq(&read, &wires, sizeof read);
    comma_finish();
    read = some_wires(8, 1);
    cr_expect(calibration_read(path, 7, &read));
    cr_expect_arr_eq(&read, &wires, sizeof read);
}

Test(calibration_file, each_shape_has_a_section_and_the_latest_32_stay)
{
    struct wires read = some_wires(2, 1);
    for (int i = 0; i < 40; i++) {
        struct wires wires = some_wires(2, 1e-9 * (i + 1));
        cr_expect(calibration_write(path, (uint64_t)i, &wires));
        cr_expect(calibration_write(path, (uint64_t)i, &wires));
    }
    for (int i = 0; i < 40; i++) {
        bool found = calibration_read(path, (uint64_t)i, &read);
        cr_expect_eq(found, i >= 8, "section %d", i);
        cr_expect(!found || read.link[1].flow.byte_s == 1e-9 * (i + 1));
    }
}

Test(calibration_file, no_file_is_no_trouble)
{
    struct wires read = some_wires(2, 1);
    cr_expect_not(calibration_read(path, 7, &read));
    cr_expect_not(calibration_read("/nowhere/at/all", 7, &read));
    expect_no_warnings();
}

Test(calibration_file, measurements_that_cannot_be_kept_are_told_of)
{
    struct wires wires = some_wires(2, 1);
    cr_expect_not(calibration_write("/nowhere/at/all", 7, &wires));
    expect_line(WW_LOG_WARN, "calibration file /nowhere/at/all cannot be written: No such file or "
                             "directory. The next job measures the wires anew");
}

Test(calibration_file, pipes_are_left_alone)
{
    struct wires wires = some_wires(2, 1e-9);
    struct stat after;
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_not(calibration_read(path, 7, &wires));
    cr_expect_not(calibration_write(path, 7, &wires));
    expect_line(WW_LOG_WARN, "is not a regular file and was left alone");
    cr_assert_eq(lstat(path, &after), 0);
    cr_expect(S_ISFIFO(after.st_mode));
}

Test(calibration_file, links_stay)
{
    char target[sizeof path + 8];
    struct wires wires = some_wires(2, 1e-9);
    struct stat after;
    snprintf(target, sizeof target, "%s.target", path);
    cr_assert(calibration_write(target, 1, &wires));
    cr_assert_eq(symlink(target, path), 0);
    cr_expect(calibration_write(path, 7, &wires));
    cr_assert_eq(lstat(path, &after), 0);
    cr_expect(S_ISLNK(after.st_mode));
    cr_expect(calibration_read(target, 7, &wires));
    remove(target);
}

Test(calibration_file, garbage_is_told_once_and_replaced)
{
    struct wires wires = some_wires(1, 3e-9);
    struct wires read = some_wires(1, 1);
    struct {
        const char *text;
        size_t bytes;
    } files[] = {
        {"hello\n", 6},
        {"a\0b", 3},
        {"[0000000000000007]\nlevels = 1\nlink.0.flow.byte_s = nan\n", 55},
        {"[0000000000000007]\nlevels = 1\nlink.0.flow.fixed_s = -1", 54},
        {"[0000000000000007]", 18},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_text(files[i].text, files[i].bytes);
        cr_expect_not(calibration_read(path, 7, &read));
        expect_line(WW_LOG_WARN, i < 2 ? "was ignored; what is measured takes its place"
                                       : "was ignored; it will be written anew");
        expect_no_warnings();
        cr_expect(calibration_write(path, 7, &wires));
        while (capture_take(WW_LOG_WARN, "") != NULL) {
        }
        cr_expect(calibration_read(path, 7, &read));
        cr_expect_eq(read.link[0].flow.byte_s, 3e-9);
    }
    write_text("", 0);
    cr_expect_not(calibration_read(path, 7, &read));
}

Test(calibration_file, a_limit_to_the_size_of_files_leaves_the_old_one)
{
    struct wires wires = some_wires(1, 3e-9);
    struct wires other = some_wires(1, 4e-9);
    struct rlimit before;
    cr_assert(calibration_write(path, 7, &wires));
    signal(SIGXFSZ, SIG_DFL); /* which ends a program */
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit little = {100, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &little);
    cr_expect_not(calibration_write(path, 7, &other));
    setrlimit(RLIMIT_FSIZE, &before);
    expect_line(WW_LOG_WARN, "cannot be written: File too large");
    cr_expect(calibration_read(path, 7, &other));
    cr_expect_eq(other.link[0].flow.byte_s, 3e-9);
}
