/* brake.h - the node brake: when too many instances would be removed by expiry at once, the node suspects itself.
 *
 * Engages when, of at least brake.minimum ephemeral instances, more than brake.share percent were removed by expiry within
 * the last brake.period or are lost (no beat within their timeout, and due to be removed within the next one). From then
 * on health flips, but nothing is removed by expiry. It lets go
 *   by command  PUT /nacos/v1/ns/operator/brake,
 *   by beats    not more than half of brake.share are lost any more,
 *   by time     after brake.hold of the health clock,
 *   by setting  brake.enabled is false.
 * What was held is removed then, unless it beats again. After that it stays open until the lost are not more than
 * brake.share, and what is removed until then does not count.
 *
 * The state is in the segment (shared/shm/brake_state.h): a new keeper goes on holding, for the rest of the time. Removals
 * are counted after each hold of a shard lock: a death between the two forgets at most the removals of one hold. */
#ifndef KEEPER_BRAKE_H
#define KEEPER_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/config/config.h"
#include "shared/shm/segment.h"

struct brake {
	struct brake_state *state; /* in the segment */
	const struct config *config;
};

/* What the keeper sees once every due service was looked at. */
struct brake_sight {
	uint64_t now_ms; /* health clock */
	uint64_t instances, lost, held;
	bool complete; /* nothing was left out: only then may it let go because of beats */
};

/* config must outlive the brake; a reload may change it in place. */
void brake_init(struct brake *b, struct segment *seg, const struct config *config);
/* Once a tick, before anything is removed in it. True: nothing may be removed. */
bool brake_judge(struct brake *b, const struct brake_sight *sight);
bool brake_holds(const struct brake *b);
/* Instances were removed by expiry. */
void brake_removed(struct brake *b, uint64_t now_ms, uint32_t count);
/* Removed by expiry within the period that ends now. */
uint64_t brake_window(const struct brake *b, uint64_t now_ms);
/* More than brake.share percent of at least brake.minimum. */
bool brake_too_many(const struct config *config, uint64_t count, uint64_t of);

#endif
