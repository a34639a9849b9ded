/* SPDX-License-Identifier: BSD-3-Clause
 * menu.h: the codecs that a context's tensors may travel by. */
#ifndef RUNTIME_MENU_H
#define RUNTIME_MENU_H

#include <wirewise/wirewise.h>

#include "collectives.h"
#include "policy.h"

/* Arm 0 is none. One arm: nothing is encoded. Two without choice: the other one always is. */
struct menu {
    bool chooses; /* "auto", and something is allowed */
    int arms;
    struct codec_spec arm[POLICY_ARMS_MAX];
};

/* Reads one codec; `from` begins the sentence. "auto" is none of them. WW_OK, WW_BAD_ARGUMENT. */
enum ww_status menu_parse_codec(const char *text, const char *from, struct codec_spec *spec);

/* Reads a codec or "auto", which means those of the list `allowed`, joined by commas.
 * WW_OK, WW_BAD_ARGUMENT. */
enum ww_status menu_parse(const char *text, const char *allowed, const char *from,
                          struct menu *menu);

bool menu_same(const struct menu *one, const struct menu *other);

/* Says once that "auto" has nothing to choose among. */
void menu_warn_if_bare(const char *codec, const struct menu *menu);

/* What a choice needs: probes, and steps that need not repeat bit for bit. WW_OK,
 * WW_BAD_ARGUMENT. */
enum ww_status menu_check(const struct menu *menu, const struct ww_config *config,
                          const char *from);

/* Whether steps may go so although their results are delayed: all of it, or one codec. WW_OK,
 * WW_BAD_ARGUMENT. */
enum ww_status menu_check_delayed(const struct menu *menu, const struct ww_config *config,
                                  const char *from);
enum ww_status menu_check_stale(const struct codec_spec *spec, const struct ww_config *config,
                                const char *from);

/* The seconds that each arm took, those of `home` first: "12.1 ms; none 43.5, fp16 22.1". Cut at
 * bytes - 1. */
void menu_print_times(const struct menu *menu, const double *seconds, int home, char *text,
                      size_t bytes);

/* "none, fp16, int8". Cut at bytes - 1. */
void menu_print(const struct menu *menu, char *text, size_t bytes);

#endif
