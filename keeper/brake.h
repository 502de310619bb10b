/* SPDX-License-Identifier: Apache-2.0 */
/* brake.h - the node brake: when too many sources fall silent at once, the node suspects itself.
 *
 * What counts as evidence are sources, not instances. A source is where beats come from: an IPv4
 * address, or the /64 of an IPv6 address. One that dies with all it had is an everyday case,
 * however much it had; many that fall silent together are not. Only instances that have beaten
 * since they were registered count, each for the source of its last beat; the others say nothing.
 *
 * The brake engages when, of at least brake.minimum_sources sources, more than brake.share percent
 * fell silent within brake.period, and these carry more than brake.share percent of at least
 * brake.minimum instances. A source fell silent when none of its instances was heard within its
 * timeout, and at least one is lost (to be removed within the next period) or was removed by expiry
 * within the last one; it carries these. From then on health flips, but nothing is removed by
 * expiry. It lets go
 *   by command  PUT /nacos/v1/ns/operator/brake,
 *   by beats    the silent sources, or what they carry, are at most half of brake.share now,
 *   by time     after brake.hold of the health clock,
 *   by setting  brake.enabled is false.
 * What was held is removed then, unless it beats again. After that it stays open until what is
 * silent would not make it hold, and what is removed until then does not count. With fewer sources
 * or instances than the minimum it never holds: it rests.
 *
 * Sources are counted by visits of all services (expiry.h); so the brake asks for that only when
 * the plain number of lost instances would be enough to hold, and judges anything else by that
 * number alone.
 *
 * The state is in the segment (shared/shm/brake_state.h): a new keeper goes on holding, for the
 * rest of the time. Removals are counted after each hold of a shard lock: a death between the two
 * forgets at most the removals of one hold. */
#ifndef KEEPER_BRAKE_H
#define KEEPER_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper/census.h"
#include "shared/config/config.h"
#include "shared/shm/segment.h"

struct expire_sign;

struct brake {
	struct brake_state *state; /* in the segment */
	const struct config *config;
	bool passed; /* it was said that much is lost and the brake does not hold */
};

struct brake_evidence {
	struct census_count live; /* of the instances that are there */
	struct census_count all;  /* and of those removed within the period */
};

/* What the keeper sees once every due service was looked at. */
struct brake_sight {
	uint64_t now_ms; /* health clock */
	uint64_t instances;
	uint64_t beating, lost; /* those that have beaten, and those of them that are lost */
	uint64_t held;
	bool complete; /* nothing was left out: only then may the brake let go because of beats */
	struct brake_evidence evidence;
};

/* config must outlive the brake; a reload may change it in place. */
void brake_init(struct brake *b, struct segment *seg, const struct config *config);
/* Returns true when brake_judge() needs the evidence as it is now. Otherwise that of any time
 * before will do. */
bool brake_asks(const struct brake *b, const struct brake_sight *sight);
void brake_weigh(const struct brake *b, const struct census *census, uint64_t now_ms,
                 struct brake_evidence *evidence_r);
/* To be called once a tick, before anything is removed in it. Returns true when nothing may be
 * removed. */
bool brake_judge(struct brake *b, const struct brake_sight *sight);
bool brake_holds(const struct brake *b);
/* Counts those of the signs that say that an instance was removed by expiry. */
void brake_removed(struct brake *b, uint64_t now_ms, const struct expire_sign *signs,
                   uint32_t count);
/* How many instances that had beaten were removed by expiry within the period that ends now. */
uint64_t brake_window(const struct brake *b, uint64_t now_ms);
/* Is `count` more than brake.share percent of `of`, and that brake.minimum at least? */
bool brake_too_many(const struct config *config, uint64_t count, uint64_t of);

#endif
