/* SPDX-License-Identifier: BSD-3-Clause
 * paper.h: machines on paper, and what tests ask of them. */
#ifndef TESTS_PAPER_H
#define TESTS_PAPER_H

#include "machine.h"

/* An empty machine; to be destroyed by ww_machine_destroy. */
struct ww_machine *paper_machine(void);

/* Adds GPUs of NVIDIA at 0000:01:00.0, 0000:02:00.0 ... of that PCI device number, and makes the
 * pairs. */
void paper_gpus(struct ww_machine *machine, int count, unsigned device);

/* Whether one of the notes holds the text. */
bool paper_notes(const struct ww_machine *machine, const char *text);

#define expect_note(machine, text)                                                                 \
    cr_expect(paper_notes(machine, text), "no note says \"%s\" among %d", text,                    \
              (machine)->note_count)

#endif
