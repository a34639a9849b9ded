/* SPDX-License-Identifier: BSD-3-Clause
 * image.c: memory of a call, as it should become and as it becomes on a device. */
#include "image.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN_BYTES 128
#define LINE_BYTES 256

struct image image_begin(const struct device *device)
{
    return (struct image){.device = device, .bytes = MARGIN_BYTES};
}

int image_array(struct image *image, const char *name, size_t bytes, size_t alignment, size_t shift)
{
    int array = image->count++;
    assert(array < IMAGE_ARRAYS);
    size_t begin = (image->bytes + alignment - 1) / alignment * alignment + shift;
    image->name[array] = name;
    image->begin[array] = begin;
    image->length[array] = bytes;
    image->bytes = begin + bytes + MARGIN_BYTES;
    return array;
}

void image_create(struct image *image)
{
    image->bytes = (image->bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    image->before = memory_or_exit(image->bytes);
    image->want = memory_or_exit(image->bytes);
    image->got = memory_or_exit(image->bytes);
    image->on_device = image->device->allocate(image->bytes);
    for (size_t i = 0; i < image->bytes; i++) {
        image->before[i] = (unsigned char)(i * 37 + 11);
    }
}

void image_destroy(struct image *image)
{
    image->device->release(image->on_device);
    free(image->got);
    free(image->want);
    free(image->before);
}

void *image_before(const struct image *image, int array)
{
    return image->before + image->begin[array];
}

void *image_want(const struct image *image, int array)
{
    return image->want + image->begin[array];
}

void *image_got(const struct image *image, int array)
{
    return image->got + image->begin[array];
}

void *image_device(const struct image *image, int array)
{
    return image->on_device + image->begin[array];
}

void image_start(struct image *image)
{
    memcpy(image->want, image->before, image->bytes);
    image->device->put(image->on_device, image->before, image->bytes);
}

void image_finish(struct image *image)
{
    image->device->finish();
    image->device->get(image->got, image->on_device, image->bytes);
}

void image_forgive(struct image *image, int array, size_t first, size_t bytes)
{
    size_t at = image->begin[array] + first;
    memcpy(image->got + at, image->want + at, bytes);
}

static void report(const struct image *image, size_t at, const char *what)
{
    int array = image->count - 1;
    while (array > 0 && at + MARGIN_BYTES / 2 < image->begin[array]) {
        array--;
    }
    fprintf(stderr, "%s: byte %td of %s[%zu bytes] is 0x%02x, must be 0x%02x\n", what,
            (ptrdiff_t)at - (ptrdiff_t)image->begin[array], image->name[array],
            image->length[array], image->got[at], image->want[at]);
}

bool image_check(const struct image *image, const char *what)
{
    if (memcmp(image->got, image->want, image->bytes) == 0) {
        return true;
    }
    size_t at = 0;
    while (image->got[at] == image->want[at]) {
        at++;
    }
    report(image, at, what);
    return false;
}
