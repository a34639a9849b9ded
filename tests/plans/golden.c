/* SPDX-License-Identifier: BSD-3-Clause
 * golden.c: compares printed plans with the files in golden/, so that a change of a plan is seen
 * and meant.
 *
 *     plans_golden FOLDER             compares; exits 1 at the first difference in each file
 *     plans_golden --update FOLDER    writes the files anew */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "company.h"

#define PATH_BYTES 4096

/* What a run does with every case. */
struct tour {
    const char *folder;
    bool update;
    int cases;
    int different;
};

static char *print_company(const struct company *company, size_t *bytes)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, bytes);
    if (stream == NULL) {
        perror("open_memstream");
        exit(2);
    }
    for (int rank = 0; rank < company->size; rank++) {
        plan_print(company->plans[rank], stream);
    }
    fclose(stream);
    return text;
}

static void write_file(const char *path, const char *text, size_t bytes)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(text, 1, bytes, file) != bytes || fclose(file) != 0) {
        perror(path);
        exit(2);
    }
}

/* The whole file with a 0 behind it, or NULL. */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    char *text = NULL;
    size_t room = 0;
    if (getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return text;
}

static int line_length(const char *line)
{
    return (int)strcspn(line, "\n");
}

static const char *next_line(const char *line)
{
    line += line_length(line);
    return *line == '\n' ? line + 1 : line;
}

/* Shows the first line that differs, with its number. */
static void print_hint(const char *path, const char *wanted, const char *found)
{
    int number = 1;
    while (line_length(wanted) == line_length(found) &&
           strncmp(wanted, found, (size_t)line_length(wanted)) == 0 && *wanted != '\0') {
        wanted = next_line(wanted);
        found = next_line(found);
        number++;
    }
    printf("%s:%d differs from the plan that is written now\n  - %.*s\n  + %.*s\n", path, number,
           line_length(wanted), wanted, line_length(found), found);
}

static void visit(struct tour *tour, const char *name, struct company company)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s.txt", tour->folder, name);
    size_t bytes = 0;
    char *text = print_company(&company, &bytes);
    tour->cases++;
    if (tour->update) {
        write_file(path, text, bytes);
    } else {
        char *wanted = read_file(path);
        if (wanted == NULL) {
            printf("%s is missing\n", path);
            tour->different++;
        } else if (strcmp(wanted, text) != 0) {
            print_hint(path, wanted, text);
            tour->different++;
        }
        free(wanted);
    }
    free(text);
    company_finish(&company);
}

static const int *sizes_of(const struct algorithm *algorithm)
{
    static const int all_reduce_sizes[] = {2, 3, 4, 7, 8, 0};
    static const int memory_sizes[] = {2, 3, 4, 0};
    static const int other_sizes[] = {3, 4, 0};
    if (algorithm->collective != COLLECTIVE_ALL_REDUCE) {
        return other_sizes;
    }
    return algorithm->needs == NEEDS_MESSAGES ? all_reduce_sizes : memory_sizes;
}

static void visit_flat(struct tour *tour, const struct algorithm *algorithm)
{
    const int *sizes = sizes_of(algorithm);
    for (int i = 0; sizes[i] != 0; i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s_%s_%d", collective_names[algorithm->collective],
                 algorithm->name, sizes[i]);
        visit(tour, name, company_flat(algorithm, sizes[i], 1));
    }
}

static void visit_nested(struct tour *tour, const char *top, bool seen)
{
    static const int groups[][3] = {{2, 2, 0}, {3, 1, 0}};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        struct shape shape = shape_groups(groups[i]);
        shape.seen = seen;
        char name[128];
        snprintf(name, sizeof(name), "all_reduce_hierarchical_%s_%d_%d%s", top, groups[i][0],
                 groups[i][1], seen ? "_seen" : "");
        visit(tour, name, company_nested(algorithm_find(COLLECTIVE_ALL_REDUCE, top), &shape));
    }
}

int main(int argc, char **argv)
{
    struct tour tour = {.update = argc == 3 && strcmp(argv[1], "--update") == 0};
    if (argc != 2 && !tour.update) {
        fprintf(stderr, "usage: %s [--update] FOLDER\n", argv[0]);
        return 2;
    }
    tour.folder = argv[argc - 1];
    for (int a = 0; algorithms[a] != NULL; a++) {
        visit_flat(&tour, algorithms[a]);
    }
    visit_nested(&tour, "ring", false);
    visit_nested(&tour, "scatter_gather", false);
    visit_nested(&tour, "ring", true);
    printf("%d printed plans, %d different from %s\n", tour.cases, tour.different, tour.folder);
    if (tour.different > 0) {
        printf("If that is meant: cmake --build BUILD --target golden, and look at the diff.\n");
    }
    return tour.different > 0;
}
