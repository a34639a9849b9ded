/* SPDX-License-Identifier: BSD-3-Clause
 * image.h: memory that lies three times: what a call finds, what it should leave, and what it
 * leaves on a device. Arrays have margins: who writes beside one is found out. */
#ifndef IMAGE_H
#define IMAGE_H

#include "compare.h"

#define IMAGE_ARRAYS 64

struct image {
    const struct device *device;
    size_t bytes;
    size_t begin[IMAGE_ARRAYS];
    size_t length[IMAGE_ARRAYS];
    const char *name[IMAGE_ARRAYS];
    int count;
    unsigned char *before;
    unsigned char *want;
    unsigned char *got;
    unsigned char *on_device;
};

struct image image_begin(const struct device *device);

/* Adds an array that lies `shift` bytes behind a multiple of `alignment`; returns its number. */
int image_array(struct image *image, const char *name, size_t bytes, size_t alignment,
                size_t shift);

/* Makes the memory, full of bytes that depend on their place. */
void image_create(struct image *image);
void image_destroy(struct image *image);

void *image_before(const struct image *image, int array);
void *image_want(const struct image *image, int array);
void *image_got(const struct image *image, int array);
void *image_device(const struct image *image, int array);

/* Puts `before` on the device, and into `want`. */
void image_start(struct image *image);

/* Gets what the device has. */
void image_finish(struct image *image);

/* Whatever lies there is right. */
void image_forgive(struct image *image, int array, size_t first, size_t bytes);

/* True where all is as it should be; else it prints where not, and `what` was tried. */
bool image_check(const struct image *image, const char *what);

#endif
