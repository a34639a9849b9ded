/* SPDX-License-Identifier: BSD-3-Clause
 * main.c: the command `wirewise`: finds the subcommand and hands over. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wirewise/wirewise.h>

#include "command.h"
#include "launch.h"

static const struct command commands[] = {
    {"bench", "measures collectives and prints the table of nccl-tests", bench_command},
    {"plan", "prints what a collective will do, without doing it", plan_command},
    {"report", "tells what a run sent, cost and saved, from the ledger that it wrote",
     report_command},
    {"wires", "shows GPUs, links, network cards, and what is unknown about them", wires_command},
};
static const size_t command_count = sizeof(commands) / sizeof(commands[0]);

#define WORD_MAX 31 /* of an unknown subcommand only so much is compared */

static void print_help(FILE *out)
{
    fprintf(out, "Usage: wirewise COMMAND [OPTION...]\n"
                 "Moves gradients between machines, knows the wires, and proves what it saved.\n\n"
                 "Commands:\n");
    for (size_t i = 0; i < command_count; i++) {
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out,
            "\nOptions:\n"
            "  --help     prints this text; `wirewise COMMAND --help` explains a command\n"
            "  --version  prints the version of the library in use\n\n"
            "Exit codes: 0 done, 1 wrong results, 2 unusable command line,\n"
            "            3 an expectation was not met,\n"
            "            4 MPI or a GPU is needed and absent, 5 communication or system failure,\n"
            "            10 to 15 what `wirewise report --check` found\n");
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance: how many letters must be typed, dropped or changed. */
static size_t distance(const char *typed, const char *name)
{
    size_t row[WORD_MAX + 1];
    size_t columns = least(strlen(name), WORD_MAX);
    for (size_t j = 0; j <= columns; j++) {
        row[j] = j;
    }
    for (size_t i = 0; typed[i] != '\0' && i < WORD_MAX; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < columns; j++) {
            size_t changed = diagonal + (typed[i] != name[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(changed, least(row[j], row[j + 1]) + 1);
        }
    }
    return row[columns];
}

static const char *nearest_command(const char *typed)
{
    const struct command *nearest = &commands[0];
    for (size_t i = 1; i < command_count; i++) {
        if (distance(typed, commands[i].name) < distance(typed, nearest->name)) {
            nearest = &commands[i];
        }
    }
    return nearest->name;
}

/* A launcher kills the other ranks as soon as one fails, perhaps before rank 0 has said why: so
 * rank 0 alone speaks and fails, the others leave quietly. */
static int refuse(const char *typed)
{
    if (launch_read().rank != 0) {
        return EXIT_FINE;
    }
    if (typed == NULL) {
        fprintf(stderr, "wirewise: a command is missing.\n");
        print_help(stderr);
    } else {
        fprintf(stderr,
                "wirewise: there is no command '%s'. Did you mean `wirewise %s`? "
                "`wirewise --help` lists all.\n",
                typed, nearest_command(typed));
    }
    return EXIT_USAGE;
}

static bool returned; /* the command, having said what became of its output */

/* Behind --help and --usage argp itself ends the program, whatever became of the text. */
static void flush_help(void)
{
    if (!returned && command_flush("wirewise") != EXIT_FINE) {
        _exit(EXIT_FAILED);
    }
}

static int run_command(const struct command *command, int argc, char **argv)
{
    char title[WORD_MAX + 16];
    snprintf(title, sizeof(title), "wirewise %s", command->name);
    argv[0] = title;
    atexit(flush_help);
    int code = command->run(argc, argv);
    returned = true;
    return code;
}

static int print_on_first(const char *word)
{
    if (launch_read().rank != 0) {
        return EXIT_FINE;
    }
    if (strcmp(word, "--version") == 0) {
        printf("wirewise %s\n", ww_version());
    } else {
        print_help(stdout);
    }
    return command_flush("wirewise");
}

static bool is_information(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-?") == 0 ||
           strcmp(word, "help") == 0 || strcmp(word, "--version") == 0;
}

/* An output that is closed refuses what is written for as long as the program runs: else the next
 * file opened, or the null device where a context is made, would take its place. */
static void keep_output_closed(void)
{
    if (fcntl(STDOUT_FILENO, F_GETFD) >= 0) {
        return;
    }
    int refuses = open("/dev/null", O_RDONLY);
    if (refuses >= 0 && refuses != STDOUT_FILENO) {
        dup2(refuses, STDOUT_FILENO);
        close(refuses);
    }
}

int main(int argc, char **argv)
{
    keep_output_closed();
    signal(SIGXFSZ, SIG_IGN); /* a limit to the size of files is told like a full disk */
    if (argc < 2) {
        return refuse(NULL);
    }
    if (is_information(argv[1])) {
        return print_on_first(argv[1]);
    }
    for (size_t i = 0; i < command_count; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            return run_command(&commands[i], argc - 1, argv + 1);
        }
    }
    return refuse(argv[1]);
}
