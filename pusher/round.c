/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/round.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/net/agent.h"
#include "shared/registry/layout.h"
#include "shared/shm/health.h"

/* A view larger than this is given back after its round. */
#define KEEP_INSTANCES 4096U

int round_init(struct round *round, struct registry *reg, struct deliver *deliver, const struct config *config)
{
	memset(round, 0, sizeof *round);
	round->reg = reg;
	round->deliver = deliver;
	round->config = config;
	round->switches = switches_of(reg->seg);
	service_view_init(&round->view);
	return encoder_init(&round->encoder);
}

static void drop_view(struct round *round, struct round_view *view)
{
	datagram_release(&round->deliver->datagrams, &view->datagram);
	free(view->clusters);
	view->clusters = NULL;
}

static void drop_views(struct round *round)
{
	unsigned i;

	for (i = 0; i < round->view_count; i++)
		drop_view(round, &round->views[i]);
	round->view_count = round->next_view = 0;
}

void round_free(struct round *round)
{
	drop_views(round);
	service_view_free(&round->view);
	encoder_free(&round->encoder);
}

/* ---- views ----------------------------------------------------------------------- */

static bool is_grouped(const struct subscriber_view *sub)
{
	return (sub->flags & SUBSCRIBER_GROUPED) != 0;
}

static struct round_view *find_view(struct round *round, const struct subscriber_view *sub)
{
	unsigned i;

	for (i = 0; i < round->view_count; i++) {
		struct round_view *view = &round->views[i];

		if (view->grouped == is_grouped(sub) && view->clusters_len == sub->clusters_len &&
		    memcmp(view->clusters, sub->clusters, sub->clusters_len) == 0)
			return view;
	}
	return NULL;
}

/* A free place, or the oldest one's. */
static struct round_view *place_view(struct round *round, const struct subscriber_view *sub)
{
	char *clusters = malloc(sub->clusters_len + 1);
	struct round_view *view;

	if (clusters == NULL)
		return NULL;
	if (round->view_count < ROUND_VIEWS) {
		view = &round->views[round->view_count++];
	} else {
		view = &round->views[round->next_view++ % ROUND_VIEWS];
		drop_view(round, view);
	}
	memcpy(clusters, sub->clusters, sub->clusters_len);
	*view = (struct round_view){ NULL, clusters, sub->clusters_len, is_grouped(sub) };
	return view;
}

static void store_checksum(struct round *round, const struct encode_checksum *checksum)
{
	struct service_view *view = &round->view;
	struct service_key key = name_copy_key(&round->name);

	if (!checksum->fresh)
		return;
	memcpy(view->checksum, checksum->md5, sizeof view->checksum);
	view->has_checksum = true;
	/* Only a shortcut for other readers: not being stored costs them the computation. */
	if (registry_store_checksum(round->reg, &key, view->stamp.id, view->content, checksum->md5) < 0)
		log_debug("op=store-checksum result=refused");
}

static int encode_view(struct round *round, struct round_view *view)
{
	struct encode_job job = {
		.view = &round->view,
		.name = name_copy_key(&round->name).name,
		.clusters = str_make(view->clusters, view->clusters_len),
		.grouped = view->grouped,
		.fast = round->fast,
		.cache_ms = __atomic_load_n(&round->switches->push_cache_ms, __ATOMIC_RELAXED),
		.wall_ms = clock_wall_ms(),
		.key = stamp_next(round->reg->seg), /* R */
	};
	struct encode_checksum checksum;
	struct str bytes;
	int ret = encode_push(&round->encoder, &job, &bytes, &checksum);

	store_checksum(round, &checksum);
	if (ret == ERR_TOO_BIG)
		return 0;
	if (ret < 0)
		return ret;
	view->datagram = datagram_new(&round->deliver->datagrams, job.key, bytes);
	return view->datagram == NULL ? ERR_NOMEM : 0;
}

/* NULL: no memory; the subscriber stays owed. */
static struct round_view *view_for(struct round *round, const struct subscriber_view *sub)
{
	struct round_view *view = find_view(round, sub);

	if (view != NULL || (view = place_view(round, sub)) == NULL)
		return view;
	if (encode_view(round, view) == 0)
		return view;
	/* Undone: a half-made view must not be found by the next one. */
	drop_view(round, view);
	*view = round->views[--round->view_count];
	return NULL;
}

/* ---- subscribers ------------------------------------------------------------------ */

static bool fits(const struct subscriber_view *sub, const struct round_view *view)
{
	return view->datagram != NULL && (sub->agent_kind != AGENT_GO || view->datagram->len <= ENCODE_BYTES_GO);
}

bool round_owes(const struct subscriber_view *sub, uint64_t changed)
{
	return (sub->flags & SUBSCRIBER_PUSH) != 0 && (sub->sent_revision < changed || deliver_resend_owed(sub));
}

/* 0: nothing to send; else which try it is. */
static uint8_t try_for(struct round *round, const struct subscriber_view *sub, bool zombie)
{
	const struct inflight_entry *entry = inflight_find(round->deliver->inflight, round->shard, sub->id);

	if (entry != NULL && (entry->revision >= round->changed || zombie))
		return 0;
	if (!zombie && sub->sent_revision < round->changed)
		return 1;
	if (round->owed)
		return deliver_resend_owed(sub) && entry == NULL ? 2 : 0;
	/* A subscriber nothing was ever sent to knows the state of its poll only. */
	return !zombie && sub->push_key == 0 ? 1 : 0;
}

static void send_to(struct round *round, const struct subscriber_view *sub, uint8_t tries)
{
	struct round_view *view;

	if (sub->clusters_len > sizeof sub->clusters) {
		deliver_oversize(round->deliver, round->shard, sub, stamp_next(round->reg->seg), round->changed);
		return;
	}
	if ((view = view_for(round, sub)) == NULL)
		round->deliver->owed = true;
	else if (fits(sub, view))
		deliver_push(round->deliver, round->shard, sub, view->datagram, round->changed, tries);
	else
		deliver_oversize(round->deliver, round->shard, sub, stamp_next(round->reg->seg), round->changed);
}

/* The switch pushEnabled also holds for those that subscribed before it was turned off. */
static bool may_push(const struct round *round, const struct subscriber_view *sub)
{
	return (sub->flags & SUBSCRIBER_PUSH) != 0 && __atomic_load_n(&round->switches->push, __ATOMIC_RELAXED) != 0;
}

static void consider(struct round *round, const struct subscriber_view *sub, uint64_t health_ms)
{
	bool zombie = zombies_is_one(sub, health_ms, round->config->push_subscriber_life_ms);
	uint8_t tries = may_push(round, sub) ? try_for(round, sub, zombie) : 0;

	if (tries > 0)
		send_to(round, sub, tries);
	else if (zombie && zombies_may_drop(round->deliver, round->shard, sub))
		zombies_add(&round->zombies, sub);
}

/* ---- the round -------------------------------------------------------------------- */

/* Who subscribes after the change has read it, so that a service without an audience need not be copied. */
static bool has_audience(struct round *round, const struct service_key *key)
{
	struct audience_cursor probe = { 0 };

	return registry_subscribers(round->reg, key, &probe, round->batch, 1) != 0;
}

void round_begin(struct round *round, const struct round_start *start)
{
	struct service_key key;
	int ret;

	round->name = *start->name;
	round->shard = start->shard;
	key = name_copy_key(&round->name);
	if (!has_audience(round, &key)) {
		metric_add(METRIC_PUSH_ROUNDS, 1);
		return;
	}
	if ((ret = registry_view(round->reg, &key, &round->view)) < 0) {
		log_warning("op=push-round shard=%u err=\"%s\"", start->shard, err_str(ret));
		round->deliver->owed = true;
		return;
	}
	if (start->owed && !round->view.stamp.found)
		return; /* removed meanwhile: there is no state to catch up with */
	round->changed = start->changed;
	if (round->view.stamp.found && round->view.changed > round->changed)
		round->changed = round->view.changed;
	round->due_ms = start->due_ms;
	round->owed = start->owed;
	round->fast = start->fast;
	round->subscribers = 0;
	memset(&round->cursor, 0, sizeof round->cursor);
	round->active = true;
	metric_add(METRIC_PUSH_ROUNDS, 1);
}

static void finish(struct round *round)
{
	uint64_t now_ms = clock_mono_ms();

	zombies_drop(&round->zombies, round->reg, round->shard, round->config->push_subscriber_life_ms);
	drop_views(round);
	if (!round->owed && round->subscribers > 0)
		metric_observe(METRIC_TIME_PUSH_SEND, now_ms > round->due_ms ? (now_ms - round->due_ms) * 1000 : 0);
	if (round->view.instance_cap > KEEP_INSTANCES) {
		service_view_free(&round->view);
		service_view_init(&round->view);
	}
	round->active = false;
}

void round_step(struct round *round)
{
	struct service_key key = name_copy_key(&round->name);
	uint64_t health_ms = health_now(round->reg->seg);
	int i, n = 0;

	if (!round->cursor.end)
		n = registry_subscribers(round->reg, &key, &round->cursor, round->batch, ROUND_BATCH);
	if (n < 0) {
		log_warning("op=push-audience shard=%u err=\"%s\"", round->shard, err_str(n));
		round->deliver->owed = true;
	}
	zombies_drop(&round->zombies, round->reg, round->shard, round->config->push_subscriber_life_ms);
	for (i = 0; i < n; i++)
		consider(round, &round->batch[i], health_ms);
	if (n > 0)
		round->subscribers += (uint64_t)n;
	(void)deliver_flush(round->deliver);
	if (n <= 0)
		finish(round);
}
