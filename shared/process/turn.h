/* SPDX-License-Identifier: Apache-2.0 */
/* turn.h - how long one turn holds its process, and what it was when that is too long.
 *
 * A turn is what a process does for one purpose between two looks at its sockets: one request or
 * one slice of a long one (worker), one step of a round (pusher), one visit or slice (keeper).
 * Whatever is stored and whatever is asked, a turn is to end within its time: a worker's within 10
 * ms, a step of pusher or keeper within 5 ms.
 *
 * Every turn goes into the histogram roster_turn_seconds by the time that passed. A turn is *long*
 * when it has used the processor for TURN_LONG_US: what a busy machine takes away, or a lock, is
 * not its own doing. Then it is counted (roster_long_turns_total) and logged, at most once a
 * second: op=long-turn kind= what= ms= cpu_ms= skipped=.
 *
 * The processor's clock costs a system call, the other one does not: so it is read at most once a
 * millisecond at the begin of a turn, and at the end only of one that lasted. A turn may seem one
 * millisecond longer than it was. Process-private. */
#ifndef PROCESS_TURN_H
#define PROCESS_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/log.h"
#include "shared/base/str.h"

#define TURN_LONG_US 10000U

struct turn {
	uint64_t began_us; /* CLOCK_MONOTONIC */
	/* both clocks, when the processor's was last read at a begin */
	uint64_t mark_us, mark_cpu_us;
	struct log_limit log;
};

void turn_begin(struct turn *turn, uint64_t now_us);
/* now_us is clock_mono_us(). kind is "request" or "round", and what is shown, quoted, in the log.
 * Returns true if it was a long one. */
bool turn_end(struct turn *turn, uint64_t now_us, const char *kind, struct str what);

#endif
