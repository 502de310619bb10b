/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/round.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/fiber.h"
#include "shared/base/log.h"
#include "shared/base/source.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "shared/net/agent.h"
#include "shared/registry/layout.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/health.h"

/* A view larger than this is given back after its round. */
#define KEEP_INSTANCES 4096U

int round_tools_init(struct round_tools *tools, struct registry *reg, struct deliver *deliver,
                     const struct config *config)
{
	*tools = (struct round_tools){
		.reg = reg,
		.deliver = deliver,
		.config = config,
		.switches = switches_of(reg->seg),
	};
	return packers_init(&tools->packers);
}

void round_tools_free(struct round_tools *tools)
{
	packers_free(&tools->packers);
}

struct round *round_new(struct round_tools *tools)
{
	struct round *round = calloc(1, sizeof(*round));

	if (round == NULL)
		return NULL;
	round->tools = tools;
	service_view_init(&round->view);
	encoder_init(&round->encoder, &tools->packers);
	views_init(&round->views, tools->reg->seg->header->seed);
	return round;
}

void round_free(struct round **round_p)
{
	struct round *round = *round_p;

	*round_p = NULL;
	if (round == NULL)
		return;
	fiber_end(&round->fiber);
	ROSTER_ASSERT(round->views.count == 0); /* its fiber gave them back */
	service_view_free(&round->view);
	encoder_free(&round->encoder);
	free(round);
}

/* ---- views ----------------------------------------------------------------------------------- */

static bool is_grouped(const struct subscriber_view *sub)
{
	return (sub->flags & SUBSCRIBER_GROUPED) != 0;
}

static struct str clusters_of(const struct subscriber_view *sub)
{
	return str_make(sub->clusters, sub->clusters_len);
}

static void store_checksum(struct round *round, const struct encode_checksum *checksum)
{
	struct service_view *view = &round->view;
	struct service_key key = name_copy_key(&round->name);

	if (!checksum->fresh)
		return;
	memcpy(view->checksum, checksum->md5, sizeof view->checksum);
	view->has_checksum = true;
	/* It is a shortcut for other readers: if it is not stored, they compute it themselves. */
	if (!view->loose && registry_store_checksum(round->tools->reg, &key, view->stamp.id,
	                                            view->content, checksum->md5) < 0)
		log_debug("op=store-checksum result=refused");
}

/* Returns 0 with a datagram of NULL when no datagram can hold the view. */
static int encode_view(struct round *round, struct str clusters, bool grouped,
                       struct datagram **datagram_r)
{
	struct round_tools *tools = round->tools;
	struct encode_job job = {
		.view = &round->view,
		.name = name_copy_key(&round->name).name,
		.clusters = clusters,
		.grouped = grouped,
		.fast = round->fast,
		.cache_ms = __atomic_load_n(&tools->switches->push_cache_ms, __ATOMIC_RELAXED),
		.wall_ms = round->wall_ms,
		.key = stamp_next(tools->reg->seg), /* R */
	};
	struct encode_checksum checksum;
	struct str bytes;
	int ret = encode_push(&round->encoder, &job, &bytes, &checksum);

	*datagram_r = NULL;
	store_checksum(round, &checksum);
	if (ret == ERR_TOO_BIG)
		return 0;
	if (ret < 0)
		return ret;
	*datagram_r = datagram_new(&tools->deliver->datagrams, job.key, bytes);
	return *datagram_r == NULL ? ERR_NOMEM : 0;
}

/* A round with many bytes of views stands still here until rounds.h lets it go on. */
static int await_memory(struct round *round)
{
	round->full = round->views.bytes > ROUND_VIEW_BYTES;
	round->waiting = round->full;
	return round->full ? fiber_rest() : 0;
}

static int make_view(struct round *round, const struct view_wish *wish, struct push_view **view_r)
{
	struct datagrams *datagrams = &round->tools->deliver->datagrams;
	struct datagram *datagram;
	int ret = await_memory(round);

	if (ret < 0 || (ret = encode_view(round, wish->clusters, wish->grouped, &datagram)) < 0)
		return ret;
	*view_r = views_add(&round->views, wish, datagram);
	if (*view_r == NULL) {
		datagram_release(datagrams, &datagram);
		return ERR_NOMEM;
	}
	round->tools->view_bytes += datagram != NULL ? datagram->len : 0;
	return 0;
}

/* Finds out what the subscriber asks for and whether a view of it may be made. A source that has
 * used up its share is refused first, before its text is matched with the clusters, which takes
 * time. */
static int make_wish(struct round *round, const struct subscriber_view *sub,
                     const struct views_limits *limits, struct view_wish *wish_r,
                     enum views_refusal *why_r)
{
	struct views *views = &round->views;
	struct pick pick;
	int ret;

	*wish_r = (struct view_wish){
		.clusters = clusters_of(sub),
		.grouped = is_grouped(sub),
		.source = source_hash(views->seed, sub->source),
	};
	wish_r->one = sub->clusters_len == 0 || pick_is_one(&round->view, wish_r->clusters);
	*why_r = !wish_r->one && views_source_is_full(views, limits, wish_r->source) ? VIEWS_SOURCE
	                                                                             : VIEWS_OK;
	if (wish_r->one)
		*why_r = views_may_add(views, limits, wish_r);
	if (wish_r->one || *why_r != VIEWS_OK)
		return 0;
	if ((ret = pick_make(&pick, &round->view, wish_r->clusters)) == 0) {
		wish_r->plain = pick.plain;
		wish_r->pick = views_pick(views, &pick, wish_r->grouped);
		*why_r = views_may_add(views, limits, wish_r);
	}
	pick_free(&pick);
	return ret;
}

static void log_refused(struct round *round, const struct subscriber_view *sub,
                        enum views_refusal why)
{
	struct round_tools *tools = round->tools;
	const struct {
		const char *limit;
		uint64_t most;
	} rows[] = {
		[VIEWS_TOO_MANY] = { "push.views", tools->config->push_views },
		[VIEWS_SOURCE] = { "push.views_per_source", tools->config->push_views_source },
		[VIEWS_TOO_LONG] = { "bytes", VIEWS_BYTES },
	};
	char name[300], text[ADDRESS_TEXT];

	ROSTER_ASSERT(why > VIEWS_OK && why <= VIEWS_TOO_LONG);
	if (round->refused++ > 0 || !log_may(&tools->log, clock_mono_ms(), NULL))
		return;
	log_warning("op=push-views result=refused limit=%s most=%" PRIu64 " service=%s source=%s",
	            rows[why].limit, rows[why].most,
	            log_quote(name_copy_key(&round->name).name, name, sizeof(name)),
	            address_text(sub->source, text));
}

/* ---- subscribers ----------------------------------------------------------------------------- */

/* The Go client cuts what is longer, and would throw it away. */
static bool fits(const struct subscriber_view *sub, const struct push_view *view)
{
	return view->datagram != NULL &&
	       (sub->agent_kind != AGENT_GO || view->datagram->len <= ENCODE_BYTES_GO);
}

bool round_owes(const struct subscriber_view *sub, uint64_t changed)
{
	return (sub->flags & SUBSCRIBER_PUSH) != 0 &&
	       (sub->sent_revision < changed || deliver_resend_owed(sub));
}

/* Returns which try a push to the subscriber would be; 0 when nothing is to be sent to it. */
static uint8_t try_for(struct round *round, const struct subscriber_view *sub, bool zombie)
{
	const struct inflight_entry *entry =
	        inflight_find(round->tools->deliver->inflight, round->shard, sub->id);

	/* This state or a newer one is on its way. To a zombie nothing is sent before that is
	 * over. */
	if (entry != NULL && (entry->revision >= round->changed || zombie))
		return 0;
	if (!zombie && sub->sent_revision < round->changed)
		return 1;
	if (round->owed)
		return deliver_resend_owed(sub) && entry == NULL ? 2 : 0;
	/* A subscriber that was never sent anything knows only the state of its poll. */
	return !zombie && sub->push_key == 0 ? 1 : 0;
}

/* The switch pushEnabled also holds for those that subscribed before it was turned off. */
static bool may_push(const struct round *round, const struct subscriber_view *sub)
{
	return (sub->flags & SUBSCRIBER_PUSH) != 0 &&
	       __atomic_load_n(&round->tools->switches->push, __ATOMIC_RELAXED) != 0;
}

static void leave_out_subscriber(struct round *round, const struct subscriber_view *sub,
                                 uint32_t why)
{
	deliver_unsent(round->tools->deliver, round->shard, sub, stamp_next(round->tools->reg->seg),
	               round->changed, why);
}

static void refuse_view(struct round *round, const struct subscriber_view *sub,
                        enum views_refusal why)
{
	log_refused(round, sub, why);
	leave_out_subscriber(round, sub, REGISTRY_TRIES_VIEWS);
}

static void send_view(struct round *round, const struct subscriber_view *sub,
                      const struct push_view *view, uint8_t tries)
{
	if (fits(sub, view))
		deliver_push(round->tools->deliver, round->shard, sub, view->datagram,
		             round->changed, tries);
	else
		leave_out_subscriber(round, sub, REGISTRY_TRIES_OVERSIZE);
}

/* The subscriber stays behind. A round that is to end (ERR_GONE) needs no tour because of it: the
 * next pause ends it, and the caller sees to those who are left. */
static void fail_view(struct round *round, int err)
{
	if (err != ERR_GONE)
		deliver_owe(round->tools->deliver, round->shard); /* no memory */
}

/* Returns false when the view was made just now and there was a pause meanwhile: then the
 * subscriber is to be read again. */
static bool send_to(struct round *round, const struct subscriber_view *sub, uint8_t tries)
{
	struct views_limits limits = { round->tools->config->push_views,
		                       round->tools->config->push_views_source };
	uint64_t slices = round->slices;
	enum views_refusal why;
	struct view_wish wish;
	struct push_view *view;
	int ret;

	/* The text did not fit into the copy, so nobody knows what it asks for. */
	if (sub->clusters_len > sizeof sub->clusters) {
		leave_out_subscriber(round, sub, REGISTRY_TRIES_OVERSIZE);
		return true;
	}
	view = views_find(&round->views, clusters_of(sub), is_grouped(sub));
	if (view == NULL) {
		ret = make_wish(round, sub, &limits, &wish, &why);
		if (ret == 0 && why != VIEWS_OK) {
			refuse_view(round, sub, why);
			return true;
		}
		if (ret < 0 || (ret = make_view(round, &wish, &view)) < 0) {
			fail_view(round, ret);
			return true;
		}
		if (round->slices != slices)
			return false;
	}
	send_view(round, sub, view, tries);
	return true;
}

static bool consider_subscriber(struct round *round, const struct subscriber_view *sub)
{
	uint64_t life_ms = round->tools->config->push_subscriber_life_ms;
	bool zombie = zombies_is_one(sub, health_now(round->tools->reg->seg), life_ms);
	uint8_t tries = may_push(round, sub) ? try_for(round, sub, zombie) : 0;

	if (tries > 0)
		return send_to(round, sub, tries);
	if (zombie && zombies_may_drop(round->tools->deliver, round->shard, sub))
		zombies_add(&round->zombies, sub);
	return true;
}

/* ---- the round ------------------------------------------------------------------------------- */

static void drop_zombies(struct round *round)
{
	zombies_drop(&round->zombies, round->tools->reg, round->shard,
	             round->tools->config->push_subscriber_life_ms);
}

/* Sets the cursor back to those who come after `last`, or to where it was at `begin` when nobody
 * was dealt with. */
static void read_again(struct round *round, const struct audience_cursor *begin,
                       const struct subscriber_view *last)
{
	round->cursor = *begin;
	if (last != NULL)
		round->cursor =
		        (struct audience_cursor){ .at = { .off = last->off, .id = last->id } };
}

/* Considers each subscriber by what was read after the last pause; after another one the rest of
 * the batch is read again. */
static int visit_subscribers(struct round *round, const struct audience_cursor *begin, int n)
{
	const struct subscriber_view *last = NULL;
	uint64_t slices = round->slices;
	int i, ret;

	ROSTER_ASSERT(n <= (int)ROUND_BATCH);
	for (i = 0; i < n; i++) {
		bool done = consider_subscriber(round, &round->batch[i]);

		last = done ? &round->batch[i] : last;
		round->subscribers += done;
		if ((ret = fiber_pause()) < 0)
			return ret;
		if (round->slices != slices) {
			read_again(round, begin, last);
			break;
		}
	}
	return 0;
}

static int visit_batch(struct round *round)
{
	struct service_key key = name_copy_key(&round->name);
	struct audience_cursor begin = round->cursor;
	int n = registry_subscribers(round->tools->reg, &key, &round->cursor, round->batch,
	                             ROUND_BATCH);

	/* Zombies of the batch before are dropped now that the cursor stands on none of them. */
	drop_zombies(round);
	if (n < 0) {
		log_warning("op=push-audience shard=%u err=\"%s\"", round->shard, err_str(n));
		return n;
	}
	n = visit_subscribers(round, &begin, n);
	(void)deliver_flush(round->tools->deliver);
	return n;
}

static int visit_all(struct round *round)
{
	uint64_t slices;
	int ret = 0;

	while (ret == 0 && !round->cursor.end) {
		slices = round->slices;
		ret = visit_batch(round);
		/* A batch is a slice, unless it took more than one. */
		if (ret == 0 && !round->cursor.end && round->slices == slices)
			ret = fiber_rest();
	}
	return ret;
}

/* A large service waits for memory before it is copied. What changed since the round was asked for
 * is in the copy, so that the round counts for that change too. */
static int read_round_service(struct round *round, const struct service_key *key)
{
	struct registry *reg = round->tools->reg;
	struct service_stamp stamp;
	int ret = registry_poll(reg, key, NULL, &stamp);

	if (ret < 0)
		return ret;
	round->instances = stamp.instances;
	round->waiting = round->instances > KEEP_INSTANCES;
	if (round->waiting && (ret = fiber_rest()) < 0)
		return ret;
	round->wall_ms = clock_wall_ms();
	ret = registry_view(reg, key, &round->view);
	if (ret == 0 && round->view.stamp.found && round->view.changed > round->changed)
		round->changed = round->view.changed;
	return ret;
}

/* Only rounds after a change have a time that they were due at. */
static void observe(const struct round *round)
{
	uint64_t now_ms = clock_mono_ms(), due_ms = round->due_ms;

	if (!round->owed && round->subscribers > 0)
		metric_observe(METRIC_TIME_PUSH_SEND,
		               now_ms > due_ms ? (now_ms - due_ms) * 1000 : 0);
}

static int push_all(struct round *round)
{
	struct service_key key = name_copy_key(&round->name);
	int ret = read_round_service(round, &key);

	if (ret < 0) {
		if (ret != ERR_GONE)
			log_warning("op=push-round shard=%u err=\"%s\"", round->shard,
			            err_str(ret));
		return ret;
	}
	if (round->owed && !round->view.stamp.found)
		return 0; /* removed meanwhile: there is no state to catch up with */
	metric_add(METRIC_PUSH_ROUNDS, 1);
	ret = visit_all(round);
	if (ret == 0)
		observe(round);
	return ret;
}

static void round_main(void *arg)
{
	struct round *round = arg;
	int ret = push_all(round);

	round->cut = ret == ERR_GONE;
	if (ret < 0 && !round->cut)
		deliver_owe(round->tools->deliver, round->shard);
	drop_zombies(round);
	ROSTER_ASSERT(round->tools->view_bytes >= round->views.bytes);
	round->tools->view_bytes -= round->views.bytes;
	views_clear(&round->views, &round->tools->deliver->datagrams);
	encoder_forget(&round->encoder);
	if (round->view.instance_cap > KEEP_INSTANCES) {
		service_view_free(&round->view);
		service_view_init(&round->view);
	}
}

/* Who subscribes after the change reads the new state by doing so; so a service without an audience
 * need not be copied. The round counts all the same. */
bool round_is_needed(struct round_tools *tools, const struct name_copy *name)
{
	struct service_key key = name_copy_key(name);
	struct audience_cursor probe = { 0 };
	struct subscriber_view sub;

	if (registry_subscribers(tools->reg, &key, &probe, &sub, 1) != 0)
		return true;
	metric_add(METRIC_PUSH_ROUNDS, 1);
	return false;
}

bool round_begin(struct round *round, const struct round_start *start)
{
	ROSTER_ASSERT(round->fiber == NULL && round->views.count == 0); /* the one before is over */
	round->name = *start->name;
	round->shard = start->shard;
	round->owed = start->owed;
	round->fast = start->fast;
	round->due_ms = start->due_ms;
	round->changed = start->changed;
	round->used_us = round->slices = round->subscribers = round->refused = 0;
	round->instances = 0;
	round->waiting = round->full = round->cut = false;
	round->zombies.count = 0;
	memset(&round->cursor, 0, sizeof round->cursor);
	round->fiber = fiber_new(round_main, round);
	if (round->fiber == NULL)
		deliver_owe(round->tools->deliver, round->shard);
	return round->fiber != NULL;
}

bool round_step(struct round *round, uint64_t slice_us, bool gone)
{
	uint64_t begun_us = clock_cpu_us();
	bool over;

	ROSTER_ASSERT(round->fiber != NULL);
	round->slices++;
	over = fiber_run(round->fiber, slice_us, gone);
	/* One is added so that each slice counts, however short it was. */
	round->used_us += clock_cpu_us() - begun_us + 1;
	if (over)
		round->fiber = NULL;
	return over;
}
