/* SPDX-License-Identifier: Apache-2.0 */
/* convert.h - the registry goes over into a segment of another layout, and nobody notices more than
 * a pause.
 *
 * The old image, when a trial of the new one said "another layout":
 *
 *     convert_begin(m, done)      freeze_begin(); when all stand still, a helper child writes the
 *                                 snapshot to a memfd; done(m, 0) once it is whole and sealed:
 *                                 m->convert.snapshot_fd
 *     exec of the new image, with that descriptor and each worker's migrate_fd (struct child), all
 *     children frozen
 *     convert_cancel(m)           instead, at any time until then: unfreezes, nothing has happened
 *
 * The new image:
 *
 *     m->convert.snapshot_fd, m->convert.adopt     as inherited, set before the segment is opened
 *     convert_open()              makes <segment>.new and loads it, in the place of segment_open()
 *                                 (segment.h, held and later). On error the file is removed, the
 *                                 old segment is as it was: go back to the old image
 *     freeze_born(m)              before the first fork: children start, say that they are ready,
 *                                 and wait
 *     convert_commit(m)           when all are ready (start_advance()): <segment>.new becomes
 *                                 <segment>, the children go on; the workers ask their predecessors
 *                                 for the connections. The rename disarms the way back
 *                                 (fallback.h): whatever ends this image then is the death of a
 *                                 master. A stop before that commits too: the next start is one of
 *                                 the new binary
 *     the old pusher and keeper get SIGTERM; old workers leave when they have given their
 *     connections
 *
 * Until the commit a crash of the new image costs nothing: the old file, the old children and their
 * connections are there, frozen. After it the new file is whole. The old file has no name then and
 * goes with its last process.
 *
 * The load refuses what no registry can hold (snapshot.h). It is not followed by registry_audit(),
 * as that of --import is: everybody stands still meanwhile, and a million instances would stand for
 * nearly half a second more.
 *
 * The master waits for nothing in here, and the load runs before it serves. The helper is killed
 * after 3 s, and 2 s more for each million instances. */
#ifndef MASTER_UPGRADE_CONVERT_H
#define MASTER_UPGRADE_CONVERT_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/base/err.h"
#include "shared/process/process.h"

struct child;
struct master;
struct segment;
struct segment_config;
struct segment_report;

enum convert_state { CONVERT_NONE, CONVERT_FREEZING, CONVERT_SAVING, CONVERT_SAVED };

/* err is 0, or why it was cancelled, and then the children run again. */
typedef void convert_fn(struct master *m, int err);

struct convert {
	enum convert_state state;
	convert_fn *done;
	pid_t helper; /* 0: none */
	ev_timer limit;
	uint64_t begun_ms;
	int snapshot_fd;        /* -1: none; written by the old image, read by the new one */
	struct adopt_set adopt; /* new image: the old workers' migrate_fd; workers 0: none */
};

void convert_init(struct convert *c);

/* ---- old image */

/* Returns ERR_BUSY when one is under way, or the server does not serve. */
int convert_begin(struct master *m, convert_fn *done) MUST_CHECK;
void convert_cancel(struct master *m);

/* ---- new image */

int convert_open(const struct segment_config *config, int snapshot_fd, struct segment **segment_r,
                 struct segment_report *report_r) MUST_CHECK;
/* Does nothing without an inherited snapshot. After ERR_IO the file has kept its name, and nobody
 * was unfrozen. */
int convert_commit(struct master *m) MUST_CHECK;
/* Closes the descriptors at which the predecessors can be asked. */
void convert_close_adopt(struct convert *c);

/* ---- hooks of the plan */

void convert_advance(struct master *m);
/* A child that asks no predecessor for connections keeps no descriptor of one. */
void convert_in_child(struct master *m, const struct child *self);
/* The first of each place among the workers asks; a successor finds nothing left to ask for. */
void convert_lend(const struct master *m, const struct child *self, struct process *proc);
/* The old image takes the conversion back. The new one commits, because its segment is loaded and
 * its children are about to go on in it. */
void convert_stop(struct master *m);

#endif
