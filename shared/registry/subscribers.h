/* SPDX-License-Identifier: Apache-2.0 */
/* subscribers.h - who listens to a name: read by the pusher, and by the pages that show
 * subscribers.
 *
 * Rules of locks, errors and deaths are those of registry.h; a client subscribes by its
 * registry_poll(). */
#ifndef REGISTRY_SUBSCRIBERS_H
#define REGISTRY_SUBSCRIBERS_H

#include "shared/registry/registry.h"

struct subscriber_view {
	uint64_t id;
	uint32_t off;
	uint64_t seen_ms, sent_revision, acked_revision, sent_at_ms, push_key, tries;
	uint16_t port;
	uint8_t agent_kind, flags;
	uint8_t address[16];
	uint8_t source[16]; /* where the poll came from */
	uint32_t agent_version;
	uint32_t clusters_len, agent_len, app_len, address_text_len;
	char clusters[1024]; /* holds every text limits.name allows; clusters_len > sizeof: cut */
	char agent[128], app[128], address_text[64];
};

/* Subscribers of a name, in order of subscription, resumed by cursor (zero to begin).
 * Returns how many were written (0: end). Only the pusher may keep off beside id. */
struct audience_cursor {
	struct registry_cursor at;
	bool end;
};
int registry_subscribers(struct registry *reg, const struct service_key *service,
                         struct audience_cursor *cursor, struct subscriber_view *out,
                         uint32_t max) MUST_CHECK;

/* Audiences of a shard with id > after (pusher start, sweep). Returns 1 or 0 at the end. What the
 * last call wrote to *entry_r, or zeros, is where this one begins to look. */
struct audience_entry {
	struct registry_cursor at;
	struct name_copy name;
	uint64_t id;
	uint32_t count;
	uint64_t service_changed; /* of the service of that name, 0: there is none */
};
int registry_audience_after(struct registry *reg, uint32_t shard, uint64_t after,
                            struct audience_entry *entry_r) MUST_CHECK;

#endif
