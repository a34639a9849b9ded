/* SPDX-License-Identifier: BSD-3-Clause
 * command.h: the subcommands of `wirewise`, and the exit codes they share. */
#ifndef BENCH_COMMAND_H
#define BENCH_COMMAND_H

enum exit_code {
    EXIT_FINE = 0,
    EXIT_WRONG = 1,  /* a result differs from what it must be */
    EXIT_USAGE = 2,  /* the command line cannot be used */
    EXIT_UNMET = 3,  /* an expectation was not met */
    EXIT_ABSENT = 4, /* the run needs MPI or a GPU, and here is none */
    EXIT_FAILED = 5, /* communication, memory or the system failed */
    /* What `wirewise report --check` found, the gravest first: */
    EXIT_WILD = 10,        /* values that are not finite */
    EXIT_LOSS = 11,        /* compression cost time */
    EXIT_BUDGET = 12,      /* the run cost more than it may */
    EXIT_UNEXPLAINED = 13, /* bytes that were claimed and bytes that were counted differ */
    EXIT_SLOW = 14,        /* too many slow steps */
    EXIT_SKEW = 15         /* too much waiting for the slowest rank */
};

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is "wirewise <name>"; returns an exit_code */
};

/* Whether all that was printed on stdout got there: EXIT_FINE, or EXIT_FAILED and a sentence that
 * begins with `name`. */
int command_flush(const char *name);

int bench_command(int argc, char **argv);
int plan_command(int argc, char **argv);
int report_command(int argc, char **argv);
int wires_command(int argc, char **argv);

#endif
