/* SPDX-License-Identifier: BSD-3-Clause
 * folder.h: which generations a folder holds. A generation is a file for each rank and, written
 * last, its manifest: without that it does not count. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "file.h"
#include "reason.h"

#define FOLDER_BYTES 3500 /* of its path */
#define FOLDER_MANIFEST (-1)
#define FOLDER_LISTED 16
#define FOLDER_GENERATION_MOST UINT64_C(999999999999999999) /* names have 10 to 18 digits */

/* "FOLDER/wirewise-0000000012.rank-000003", or ".manifest". */
void folder_path(char path[FILE_PATH_BYTES], const char *folder, uint64_t generation, int rank);

/* Makes it unless it is there; what it lies in must be. */
enum fault folder_make(const char *folder, struct reason *reason);

/* The newest manifests, newest first, whatever they contain; and the highest generation of which
 * there is any finished file. A folder that is not there holds none. */
struct folder_list {
    uint64_t generations[FOLDER_LISTED];
    int count;
    uint64_t highest;
};
enum fault folder_read(const char *folder, struct folder_list *list, struct reason *reason);

/* Removes files of generations before `first`, manifests first. What cannot be removed stays. */
void folder_clean(const char *folder, uint64_t first);

/* Removes what saves left that were killed: unfinished files, and files of ranks of generations
 * behind `newest`, the newest one with a manifest; 0 = nobody sees one, which may be elsewhere:
 * then whole files stay where rank 0's is not. Nobody may be writing there. What cannot be removed
 * stays. */
void folder_clear_orphans(const char *folder, uint64_t newest);

#endif
