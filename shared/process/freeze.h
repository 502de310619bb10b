/* SPDX-License-Identifier: Apache-2.0 */
/* freeze.h - the whole server stands still for a moment: the child's side. master/upgrade/freeze.h
 * is the other.
 *
 * The master writes a generation to board->frozen and wakes every child. A child comes here between
 * two events of its loop, says so in its slot (frozen_seen) and waits without touching the segment
 * any more: nothing is read from its clients, who keep their connections; what they send waits in
 * the kernel. It goes on where it was when the word is zero again.
 *
 * Bounded by the master: it ends the freeze, or it dies, and the child with it. A death of the
 * child in here leaves nothing. */
#ifndef PROCESS_FREEZE_H
#define PROCESS_FREEZE_H

#include <stdbool.h>

struct process;

enum freeze_end {
	FREEZE_OVER, /* go on */
	FREEZE_LEAVE, /* told to stop, or the master died: leave at once, without another look at the segment */
	FREEZE_GIVE, /* the same, but a successor asks for the connections at migrate_fd */
};

bool freeze_wanted(const struct process *proc);
/* Returns at once when nothing is frozen. It is not called under a lock, because whoever waited for
 * that lock would not stand still. */
enum freeze_end freeze_here(struct process *proc);

#endif
