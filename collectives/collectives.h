/* SPDX-License-Identifier: BSD-3-Clause
 * collectives.h: the door of this room: choose a plan, run it. */
#ifndef COLLECTIVES_H
#define COLLECTIVES_H

#include "engine.h"
#include "enqueue.h"
#include "kernels/kernels.h"
#include "plan.h"
#include "select.h"
#include "shelf.h"

#endif
