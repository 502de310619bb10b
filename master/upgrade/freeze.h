/* SPDX-License-Identifier: Apache-2.0 */
/* freeze.h - everybody stands still: the master's side of shared/process/freeze.h.
 *
 * Between freeze_begin() and freeze_end() no child is started; one that dies is replaced
 * afterwards. Who has not acknowledged after FREEZE_LIMIT_MS is killed: a dead process stands still
 * too, and whatever it held is rolled back by the next owner. The health clock does not move. When
 * the master dies, the children end as always. */
#ifndef MASTER_UPGRADE_FREEZE_H
#define MASTER_UPGRADE_FREEZE_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct child;
struct master;

#define FREEZE_LIMIT_MS 1000U

struct freeze {
	uint64_t generation; /* of the last one */
	uint64_t begun_ms;
	bool active;
	bool born; /* children start, and stand still then: freeze_born() */
	ev_timer limit;
};

/* Does nothing when a freeze has begun already. */
void freeze_begin(struct master *m);
/* Is called before the first fork: the children are born frozen, until freeze_end(). */
void freeze_born(struct master *m);
/* Returns true when all children that run stand still. Each rings when it does, so the hooks that
 * watch_ring() calls are the place to ask. */
bool freeze_done(const struct master *m);
/* Everybody goes on. It is also a hook of the plan. */
void freeze_end(struct master *m);
/* The other hook: nobody is born into a freeze that began after the start. */
bool freeze_blocks(const struct master *m, const struct child *child);

#endif
