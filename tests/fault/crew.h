/* SPDX-License-Identifier: Apache-2.0 */
/* crew.h - the others: processes that go on while one of them is killed.
 *
 * Two writers with services of their own and instances in the victim's service, and a taker of the
 * change queue. All answer through a pipe: one record an act, after the registry has answered. The
 * first writer and the taker live; the second writer is killed at crash points as well. Whatever
 * the pipe says has happened; at most one act of a dead writer is open.
 *
 * They work between crew_go() and crew_halt() and wait otherwise, so that the registry can be
 * compared at rest. After crew_halt() each living one has done at least one whole act since the
 * call: a lock left by a dead process has been taken over by one of them. */
#ifndef TESTS_FAULT_CREW_H
#define TESTS_FAULT_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/fault/acts.h"

struct operation;

#define CREW_WRITERS 2U

struct crew;

/* Forks the members. The bed stays the caller's. */
struct crew *crew_new(struct bed *bed, const struct operation *operation);
void crew_free(struct crew **crew);

/* Returns when the first writer is at work. fatal_point: where the second writer dies in this
 * round, 0: nowhere. */
void crew_go(struct crew *crew, uint64_t fatal_point);

struct crew_report {
	/* in order: fn(act, answer, arg) for each act that was answered */
	void (*acted)(const struct act *act, int answer, void *arg);
	void (*taken)(unsigned service, uint64_t id, uint64_t changed, void *arg);
	void *arg;
	/* out */
	bool died;       /* the second writer; it is there again when the call returns */
	struct act open; /* what it had begun: it happened or not */
	uint64_t acts;   /* answered in this round */
};
/* False: a member ended otherwise than by its crash point. */
bool crew_halt(struct crew *crew, struct crew_report *report);

/* What that writer does at that turn. */
struct act crew_act(const struct operation *operation, unsigned writer, uint64_t turn);

#endif
