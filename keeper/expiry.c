/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/expiry.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/metrics/metrics.h"
#include "shared/registry/registry_keeper.h"

#define PULL 256 /* new services a hold */
#define HEAP_SMALLEST 64U

/* ---- heap ------------------------------------------------------------------------------------ */

static bool heap_resize(struct expiry_shard *s, uint32_t cap)
{
	struct expiry_entry *heap;

	ROSTER_ASSERT(cap >= s->count);
	heap = realloc(s->heap, cap * sizeof(*heap));
	if (heap == NULL)
		return false;
	s->heap = heap;
	s->cap = cap;
	return true;
}

static bool heap_reserve(struct expiry_shard *s, uint32_t more)
{
	uint32_t need = s->count + more, cap = s->cap + s->cap / 2;

	if (need <= s->cap)
		return true;
	if (cap < need)
		cap = need;
	return heap_resize(s, cap < HEAP_SMALLEST ? HEAP_SMALLEST : cap);
}

/* Room for the entry was reserved, or it was in the heap before. */
static void heap_push(struct expiry_shard *s, struct expiry_entry entry)
{
	uint32_t at = s->count++;

	ROSTER_ASSERT(at < s->cap);
	while (at > 0 && s->heap[(at - 1) / 2].due_ms > entry.due_ms) {
		s->heap[at] = s->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->heap[at] = entry;
}

static struct expiry_entry heap_pop(struct expiry_shard *s)
{
	struct expiry_entry top, last;
	uint32_t at = 0, child;

	ROSTER_ASSERT(s->count > 0);
	top = s->heap[0];
	last = s->heap[--s->count];
	while ((child = 2 * at + 1) < s->count) {
		if (child + 1 < s->count && s->heap[child + 1].due_ms < s->heap[child].due_ms)
			child++;
		if (s->heap[child].due_ms >= last.due_ms)
			break;
		s->heap[at] = s->heap[child];
		at = child;
	}
	s->heap[at] = last;
	return top;
}

static void heap_shrink(struct expiry_shard *s)
{
	if (s->cap > HEAP_SMALLEST && s->count < s->cap / 4)
		(void)heap_resize(s, s->cap / 2 > HEAP_SMALLEST ? s->cap / 2 : HEAP_SMALLEST);
}

/* All times become equal, so the array is a heap in any order. */
static void all_due(struct expiry_shard *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		s->heap[i].due_ms = 0;
	/* The service that is being visited is not in the heap, so it is noted that it is due
	 * again. */
	s->again = s->visiting;
	s->all = false;
}

/* ---- what the registry hints at -------------------------------------------------------------- */

static void shard_failed(struct expiry *e, uint32_t shard, const char *what, int code)
{
	e->shards[shard].skip = true;
	e->partial = true;
	log_warning("op=%s shard=%u err=\"%s\"", what, shard, err_str(code));
}

/* Takes new services over from the registry. Returns how many these were: fewer than PULL means
 * that there are no more. */
static int pull(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];
	struct keeper_entry found[PULL];
	int n;

	/* One more place is reserved than services are pulled, because `current` comes back into
	 * the heap. */
	if (!heap_reserve(s, PULL + 1U))
		return ERR_NOMEM;
	n = registry_services_after(e->reg, &e->cleanup->walks, shard, s->pulled_id, found, PULL);
	ROSTER_ASSERT(n <= PULL);
	for (int i = 0; i < n; i++) {
		s->pulled_id = found[i].id;
		heap_push(s, (struct expiry_entry){ .id = found[i].id,
		                                    .off = found[i].off,
		                                    .mark = { .run = e->cleanup->run } });
	}
	return n;
}

/* Returns true when there may be more new services to pull. */
static bool pull_new(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];
	/* The hint is read before the pull: what comes in meanwhile moves it again. */
	uint64_t last_id = registry_last_id(e->reg, shard);
	int n;

	if (last_id == s->last_id)
		return false;
	n = pull(e, shard);
	if (n < 0)
		shard_failed(e, shard, "expiry-pull", n);
	else if (n < PULL)
		s->last_id = last_id;
	return n == PULL;
}

/* Returns true when one hold was spent on new services and there are more of them. */
static bool follow_hints(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];
	uint64_t lowered = registry_due_lowered(e->reg, shard);

	s->all = s->all || lowered != s->lowered;
	s->lowered = lowered;
	s->fresh = pull_new(e, shard);
	return s->fresh;
}

/* ---- visits ---------------------------------------------------------------------------------- */

static void begin_visit(struct expiry *e, struct expiry_shard *s)
{
	ROSTER_ASSERT(!s->visiting);
	s->current = heap_pop(s);
	s->visiting = true;
	s->again = false;
	/* A second pass counts no sources. */
	s->counting = !e->removing && s->current.round != e->round.number;
	if (s->counting)
		s->current.round = e->round.number;
	s->visit = (struct expire_visit){ .budget = EXPIRY_BUDGET, .due_ms = UINT64_MAX };
	s->visit.service = (struct keeper_entry){ .id = s->current.id, .off = s->current.off };
	/* At time 0 no beat is old, so the visit flips and removes nothing; it only counts the
	 * instances, for the cleanup. */
	s->visit.now_ms = e->judge ? e->now_ms : 0;
	s->visit.soon_ms = e->brake != NULL ? e->brake->config->brake_period_ms : 0;
	s->visit.signs = e->brake != NULL ? e->signs : NULL;
}

/* Notes what the visit found in the service and corrects the sums over all services. */
static void remember(struct expiry *e, struct expiry_entry *entry, uint32_t beating, uint32_t lost)
{
	/* What is known of the service is a part of the sums. */
	ROSTER_ASSERT(e->beating >= entry->beating && e->lost >= entry->lost);
	e->beating += beating;
	e->beating -= entry->beating;
	entry->beating = beating;
	e->lost += lost;
	e->lost -= entry->lost;
	entry->lost = lost;
}

/* The service is never due again within this pass, and never left alone for longer than
 * EXPIRY_VISIT_MAX_MS. */
static uint64_t next_due(const struct expiry *e, const struct expiry_shard *s)
{
	uint64_t latest = e->now_ms + EXPIRY_VISIT_MAX_MS;

	if (!e->judge)
		return latest;
	if (s->again || s->visit.due_ms <= e->limit_ms)
		return e->limit_ms + 1;
	return s->visit.due_ms < latest ? s->visit.due_ms : latest;
}

static void end_visit(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];
	struct keeper_entry service = s->visit.service;

	ROSTER_ASSERT(s->visiting);
	s->visiting = false;
	remember(e, &s->current, s->visit.gone ? 0 : s->visit.beating,
	         s->visit.gone ? 0 : s->visit.lost);
	/* Only a first pass counts what a second one would have to remove. */
	e->held += e->removing || s->visit.gone ? 0 : s->visit.held;
	if (s->visit.gone ||
	    cleanup_judge(e->cleanup, shard, service, &s->current.mark, s->visit.instances)) {
		heap_shrink(s);
		return;
	}
	if (s->visit.persistent > 0 && e->persistent != NULL)
		e->persistent(e->persistent_arg, shard, service);
	s->current.off = service.off;
	s->current.due_ms = next_due(e, s);
	heap_push(s, s->current);
	metric_add(METRIC_EXPIRY_VISITS, 1);
}

static void visit_failed(struct expiry *e, uint32_t shard, int code)
{
	struct expiry_shard *s = &e->shards[shard];

	ROSTER_ASSERT(s->visiting);
	shard_failed(e, shard, "expire", code);
	s->visiting = false;
	/* A shard that nobody can lock is tried again soon. A service that cannot be read must not
	 * stop its neighbours, so it is left alone for a while. */
	s->current.due_ms = e->limit_ms + (code == ERR_LOCK ? 1 : EXPIRY_VISIT_MAX_MS);
	heap_push(s, s->current);
}

static void take_signs(struct expiry *e, const struct expiry_shard *s)
{
	if (e->brake == NULL)
		return;
	ROSTER_ASSERT(s->visit.sign_count <= EXPIRY_BUDGET);
	if (e->removing)
		brake_removed(e->brake, e->now_ms, e->signs, s->visit.sign_count);
	for (uint32_t i = 0; i < s->visit.sign_count && s->counting && !e->removing; i++)
		census_add(&e->round.census, e->signs[i].source,
		           (enum expire_state)e->signs[i].state);
}

static void hold_shard(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];
	int ret;

	if (!s->visiting)
		begin_visit(e, s);
	s->visit.flipped = s->visit.removed = 0;
	s->visit.hold_removals = !e->removing;
	ret = registry_expire(e->reg, shard, &s->visit);
	metric_add(METRIC_EXPIRY_FLIPS, s->visit.flipped);
	metric_add(METRIC_EXPIRY_REMOVALS, s->visit.removed);
	take_signs(e, s);
	if (ret < 0)
		visit_failed(e, shard, ret);
	else if (s->visit.gone || s->visit.done)
		end_visit(e, shard);
}

/* What was done in a piece of the turn of a shard. */
enum piece { PIECE_NONE, PIECE_PULL, PIECE_HOLD };

/* Returns PIECE_NONE when nothing is left to do in the shard in this pass. */
static enum piece piece(struct expiry *e, uint32_t shard)
{
	struct expiry_shard *s = &e->shards[shard];

	if (!s->skip && s->fresh && follow_hints(e, shard))
		return PIECE_PULL;
	if (s->skip)
		return PIECE_NONE;
	if (s->all)
		all_due(s);
	if (!s->visiting && (s->count == 0 || s->heap[0].due_ms > e->limit_ms))
		return PIECE_NONE;
	hold_shard(e, shard);
	return s->skip ? PIECE_NONE : PIECE_HOLD;
}

/* The pull of new services is not interrupted by the turns of other shards, though it may take many
 * slices: the registry remembers a place in one shard only. */
static void next_shard_turn(struct expiry *e, enum piece done)
{
	ROSTER_ASSERT(e->quiet < SHARDS && e->cursor < SHARDS);
	e->quiet = done == PIECE_NONE ? e->quiet + 1 : 0;
	e->holds += done == PIECE_HOLD;
	if (done != PIECE_NONE && e->holds < EXPIRY_TURN_HOLDS)
		return;
	e->cursor = (e->cursor + 1) % SHARDS;
	e->holds = 0;
}

/* ---- rounds of the count of sources ---------------------------------------------------------- */

static void begin_census_round(struct expiry *e, bool asked)
{
	e->round.number++;
	e->round.ready_ms = asked ? e->now_ms : e->now_ms + EXPIRY_VISIT_MAX_MS;
	e->round.asked = asked;
	census_clear(&e->round.census);
}

/* To be called when a first pass is over. The round may go on for longer. */
static void end_census_round(struct expiry *e)
{
	ROSTER_ASSERT(e->brake != NULL); /* or there is no first pass */
	if (e->now_ms < e->round.ready_ms)
		return;
	brake_weigh(e->brake, &e->round.census, e->now_ms, &e->evidence);
	e->fresh = e->round.asked;
	e->fresh_lost = e->lost;
	e->fresh_removed = brake_window(e->brake, e->now_ms);
	begin_census_round(e, false);
}

static struct brake_sight sight_of(const struct expiry *e)
{
	struct registry_stats stats;

	registry_stats(e->reg, &stats);
	return (struct brake_sight){
		.now_ms = e->now_ms,
		.instances = stats.ephemeral,
		.beating = e->beating,
		.lost = e->lost,
		.held = e->held,
		.complete = e->judge && !e->partial,
		.evidence = e->evidence,
	};
}

/* Returns true when the first pass goes on through every service, to count the sources anew. */
static bool count_again(struct expiry *e)
{
	struct brake_sight sight;

	end_census_round(e);
	sight = sight_of(e);
	if (!brake_asks(e->brake, &sight) ||
	    (e->fresh && e->fresh_lost == e->lost &&
	     e->fresh_removed == brake_window(e->brake, e->now_ms)))
		return false;
	begin_census_round(e, true);
	e->held = 0;
	expiry_visit_all(e);
	return true;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* The second pass begins, unless the brake holds. What the first one found to be removed is due one
 * millisecond later, so that only those services are visited. */
static void judge_pass(struct expiry *e)
{
	struct brake_sight sight = sight_of(e);

	if (brake_judge(e->brake, &sight))
		return;
	e->removing = true;
	e->limit_ms = e->now_ms + 1;
}

static void begin_first_pass(struct expiry *e, uint64_t now_ms)
{
	e->now_ms = e->limit_ms = now_ms;
	e->removing = e->brake == NULL;
	e->over = e->partial = false;
	e->held = 0;
	e->quiet = e->holds = 0;
	/* Another shard comes first each time, so that none is always the one that waits for the
	 * others. */
	e->start = (e->start + 1) % SHARDS;
	e->cursor = e->start;
	for (uint32_t i = 0; i < SHARDS; i++) {
		e->shards[i].fresh = true;
		e->shards[i].skip = false;
	}
}

/* To be called when nothing is left to do in any shard. Returns true when the first pass goes on,
 * or a second one begins. A second one begins only if the first one found something to be
 * removed. */
static bool next_pass(struct expiry *e)
{
	ROSTER_ASSERT(!e->over && e->quiet >= SHARDS);
	e->quiet = e->holds = 0;
	if (!e->removing && count_again(e))
		return true;
	if (!e->removing)
		judge_pass(e);
	else
		e->held = 0;
	e->over = e->held == 0 || !e->removing;
	return !e->over;
}

/* ---- ticks ----------------------------------------------------------------------------------- */

void expiry_init(struct expiry *e, struct registry *reg, struct cleanup *cleanup)
{
	memset(e, 0, sizeof(*e));
	e->reg = reg;
	e->cleanup = cleanup;
	e->over = true;
	e->round.number = 1;
}

void expiry_free(struct expiry *e)
{
	for (uint32_t i = 0; i < SHARDS; i++)
		free(e->shards[i].heap);
	memset(e->shards, 0, sizeof(e->shards));
	census_free(&e->round.census);
}

/* A first pass that is under way goes on, unless the switch was moved. */
void expiry_begin(struct expiry *e, uint64_t health_ms, bool judge)
{
	if (!e->over && !e->removing && judge == e->judge)
		return;
	e->judge = judge;
	begin_first_pass(e, health_ms);
}

bool expiry_step(struct expiry *e, struct slice *slice)
{
	if (e->over)
		return false;
	if (e->quiet >= SHARDS) {
		slice->kind = "brake";
		return next_pass(e);
	}
	while (e->quiet < SHARDS) {
		uint32_t shard = e->cursor;
		enum piece done = piece(e, shard);

		next_shard_turn(e, done);
		if (slice_spent(slice, shard,
		                done == PIECE_HOLD ? e->shards[shard].visit.service.id : 0))
			break;
	}
	return true;
}

void expiry_visit_all(struct expiry *e)
{
	for (uint32_t i = 0; i < SHARDS; i++)
		e->shards[i].all = true;
	e->quiet = 0;
}

uint64_t expiry_count(const struct expiry *e)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < SHARDS; i++)
		count += e->shards[i].count + e->shards[i].visiting;
	return count;
}
