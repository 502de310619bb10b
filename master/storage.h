/* SPDX-License-Identifier: Apache-2.0 */
/* storage.h - the segment of this master: opened or made, prepared for the children, put in its
 * place.
 *
 * What was there stays as it was until storage_commit(), the last step of a start, or, over another
 * layout, until convert_commit(). What failed is in the log (failure.h). */
#ifndef MASTER_STORAGE_H
#define MASTER_STORAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/err.h"

struct child;
struct config;
struct master;
struct process;
struct segment_config;

/* The result points into config. */
struct segment_config storage_config(const struct config *config, bool forget);
/* For a start. Looks first whether the kernel lets the children do what they need. Is called with
 * the rights of a start. */
int storage_open(struct master *m) MUST_CHECK;
/* For an upgrade over another layout: makes the segment of the snapshot beside the old one
 * (convert.h), with everybody standing still in it. why says what is wrong with the snapshot or the
 * file system, and is empty when the log has it. */
int storage_open_converted(struct master *m, char *why, size_t why_size) MUST_CHECK;
/* The last step before the children: from here on somebody may change what is in it. */
int storage_commit(struct master *m) MUST_CHECK;

/* Hooks of the plan: the first keeper is told of a segment that was too old, and when it is ready
 * it has dealt with it. */
void storage_lend(const struct master *m, const struct child *self, struct process *proc);
void storage_child_ready(struct master *m, const struct child *child);

#endif
