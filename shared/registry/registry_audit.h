/* SPDX-License-Identifier: Apache-2.0 */
/* registry_audit.h - whether what is stored can be true: for the keeper, for an attach and for
 * rosterd --check.
 *
 * What is looked at when, and what is done about damage, stands in doc/shared-memory.md. Nothing is
 * changed. */
#ifndef REGISTRY_AUDIT_H
#define REGISTRY_AUDIT_H

#include "shared/registry/registry.h"

/* Walks everything, one shard at a time under its lock; reports each broken invariant (some 30
 * texts a shard, all are counted). Returns how many. Callable in any process at any time, and on
 * any content: damage is found, never followed. */
unsigned registry_audit(struct registry *reg, slab_say_fn *say, void *arg);
/* One shard, SHARD_OFFICE included, in holds of about `slice` objects (UINT32_MAX: one hold, where
 * nobody serves) with a breath and a fiber_pause() between them. ERR_AGAIN: somebody wrote in
 * between, or the fiber is given up; nothing was reported. Takes memory before the lock; reports
 * after it. ERR_CORRUPT: the lock is lost for ever (lock.h). */
int registry_audit_shard(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                         void *arg) MUST_CHECK;
/* The same where somebody writes all the time: goes on in what is there then. Every object is
 * looked at with its neighbours and its key, services as a whole if nobody wrote meanwhile; sums
 * over the shard are not compared. Of a list whose object went away just when the audit stood at it
 * the rest is left out. ERR_AGAIN: the fiber is given up. */
int registry_audit_busy(struct registry *reg, uint32_t shard, uint32_t slice, slab_say_fn *say,
                        void *arg) MUST_CHECK;
/* What belongs to no shard: header, free pages, rings. Takes no lock; pauses in a fiber. */
unsigned registry_audit_rest(struct registry *reg, slab_say_fn *say, void *arg);
/* For segment_config.damaged: the roots of all shards and of the office, the ends of their lists
 * and the shapes of their tables. Takes no lock. NULL, or what is wrong. */
const char *registry_damaged(struct segment *seg);

#endif
