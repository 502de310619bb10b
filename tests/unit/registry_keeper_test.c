/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/registry_keeper.h"
#include "shared/shm/shard.h"

/* Visits the service until it is done. */
static struct expire_visit visit_as(struct fixture *f, const char *name, struct expire_visit v)
{
	uint32_t shard;

	v.service = entry_of(f, name, &shard);
	v.due_ms = UINT64_MAX;
	v.now_ms = health_now(f->seg);
	for (unsigned n = 0; !v.done; n++) {
		assert_true(n < 10000);
		assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	}
	assert_false(v.gone);
	return v;
}

static struct expire_visit visit(struct fixture *f, const char *name, uint32_t budget, bool hold)
{
	return visit_as(f, name, (struct expire_visit){ .budget = budget, .hold_removals = hold });
}

static struct expire_visit visit_soon(struct fixture *f, const char *name, uint64_t soon_ms)
{
	return visit_as(f, name,
	                (struct expire_visit){
	                        .budget = 256, .hold_removals = true, .soon_ms = soon_ms });
}

static uint64_t due_of(struct fixture *f, const char *name)
{
	uint32_t shard;
	struct keeper_entry entry = entry_of(f, name, &shard);

	return ((const struct service *)segment_at(f->seg, entry.off, sizeof(struct service)))
	        ->due_ms;
}

static struct origin from(uint32_t source)
{
	return (struct origin){ .cause = CAUSE_BEAT, .sender = (uint64_t)source << 32 | 5 };
}

static void beat_from(struct fixture *f, const char *name, const char *ip, int32_t port,
                      uint32_t source)
{
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for(ip, port);
	struct beat_result beat;

	assert_int_equal(registry_beat(&f->reg, from(source), &key, &spec.key, &beat), 0);
}

/* ---- which services -------------------------------------------------------------------------- */

/* Makes services without instances in the shard of "g@@s". */
static uint32_t fill_shard(struct fixture *f, unsigned services)
{
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	uint32_t shard = registry_shard_of(&f->reg, &key);
	unsigned n = 0;
	char name[32];

	for (unsigned made = 0; made < services; made++) {
		key = key_for(name_in_shard(f, shard, &n, name));
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	}
	return shard;
}

/* Each one once, in pieces of at most as many as there is room for. */
static void services_come_in_pieces(void **state)
{
	enum { SERVICES = 11, PIECE = 3 };
	struct fixture *f = *state;
	uint32_t shard = fill_shard(f, SERVICES);
	struct keeper_entry out[PIECE + 1] = { [PIECE] = { 77, 77 } };
	unsigned seen = 0;
	uint64_t after = 0;
	int n;

	while ((n = registry_services_after(&f->reg, &f->walks, shard, after, out, PIECE)) > 0) {
		assert_in_range(n, 1, PIECE);
		assert_int_equal(out[PIECE].id, 77);
		for (int i = 0; i < n; i++) {
			const struct service *s =
			        segment_at(f->seg, out[i].off, sizeof(struct service));

			assert_true(out[i].id > after);
			assert_int_equal(s->id, out[i].id);
			after = out[i].id;
			assert_in_range(++seen, 1, SERVICES);
		}
	}
	assert_int_equal(n, 0);
	assert_int_equal(seen, SERVICES);
	assert_int_equal(registry_services_after(&f->reg, &f->walks, shard, 0, out, PIECE), PIECE);
}

static void services_in_a_circle(void **state)
{
	struct fixture *f = *state;
	uint32_t shard = fill_shard(f, 5);
	const struct registry_root *root = (struct registry_root *)f->seg->shards[shard].root;
	struct service *last = segment_at(f->seg, root->last_service, sizeof(*last));
	struct keeper_entry out[20];

	last->next = root->first_service;
	assert_int_equal(registry_services_after(&f->reg, &f->walks, shard, 0, out, 20),
	                 ERR_CORRUPT);
	last->next = root->last_service;
	assert_int_equal(registry_services_after(&f->reg, &f->walks, shard, 0, out, 20),
	                 ERR_CORRUPT);
}

/* ---- expiry ---------------------------------------------------------------------------------- */

/* Strictly older than the time-out: unhealthy; than the delete time-out: gone. */
static void beats_expire(void **state)
{
	static const struct {
		uint64_t age, timeout, delete;
		uint32_t flipped, removed;
		bool healthy;
	} rows[] = {
		{ 15000, 15000, 30000, 0, 0, true },   { 15001, 15000, 30000, 1, 0, true },
		{ 30000, 15000, 30000, 1, 0, true },   { 30001, 15000, 30000, 0, 1, true },
		{ 30000, 15000, 30000, 0, 0, false },  { 30001, 15000, 30000, 0, 1, false },
		{ 2000, 2000, 4000, 0, 0, true },      { 2001, 2000, 4000, 1, 0, true },
		{ 4001, 2000, 4000, 0, 1, true },      { 1001, 15000, 1000, 0, 1, true },
		{ 60000, 600000, 700000, 0, 0, true }, { 1, 0, 0, 0, 1, true },
		{ 1000, 15000, 1000, 0, 0, true },
	};
	struct fixture *f = *state;

	for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		char name[32];
		struct service_key key;
		struct instance_spec spec = spec_for("1.1.1.1", 80);
		struct expire_visit v;

		snprintf(name, sizeof(name), "g@@s%u", n);
		key = key_for(name);
		spec.healthy = rows[n].healthy;
		if (rows[n].timeout != 15000 || rows[n].delete != 30000)
			spec.metadata.overrides =
			        (struct overrides){ true, false, 0, rows[n].timeout,
				                    rows[n].delete };
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		advance(f, rows[n].age);
		v = visit(f, name, 256, false);
		assert_int_equal(v.flipped, rows[n].flipped);
		assert_int_equal(v.removed, rows[n].removed);
		assert_int_equal(v.instances, 1 - rows[n].removed);
		assert_int_equal(stamp_of(f, name).instances, v.instances);
		assert_int_equal(due_of(f, name), v.due_ms);
	}
	assert_clean(f);
}

static void persistent_and_marked_never_expire(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct expire_visit v;

	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(due_of(f, "g@@s"), UINT64_MAX);
	advance(f, 1000000);
	v = visit(f, "g@@s", 256, false);
	assert_int_equal(v.flipped + v.removed, 0);
	assert_int_equal(v.instances, 1);
	assert_int_equal(v.due_ms, UINT64_MAX);
}

static void the_brake_holds_removals(void **state)
{
	struct fixture *f = *state;
	struct expire_visit v;

	add(f, "g@@s", "1.1.1.1", 80);
	add(f, "g@@s", "1.1.1.2", 80);
	beat_from(f, "g@@s", "1.1.1.1", 80, 7);
	advance(f, 40000);
	v = visit(f, "g@@s", 256, true);
	assert_int_equal(v.flipped, 2);
	assert_int_equal(v.removed, 0);
	assert_int_equal(v.held, 2);
	assert_int_equal(v.beating, 1); /* the other one has never beaten */
	assert_int_equal(v.lost, 1);
	assert_int_equal(v.instances, 2);
	v = visit(f, "g@@s", 256, false);
	assert_int_equal(v.removed, 2);
	assert_int_equal(v.beating, 0);
	assert_int_equal(v.lost, 0);
	assert_clean(f);
}

/* Silent, and to be removed soon: that is what the brake counts. */
static void lost_before_they_are_removed(void **state)
{
	struct fixture *f = *state;
	struct expire_visit v;

	add(f, "g@@s", "1.1.1.1", 80);
	beat_from(f, "g@@s", "1.1.1.1", 80, 7);
	advance(f, 15000);
	v = visit(f, "g@@s", 256, true);
	assert_int_equal(v.lost, 0);
	advance(f, 1);
	v = visit_soon(f, "g@@s", 60000);
	assert_int_equal(v.lost, 1);
	assert_int_equal(v.held, 0);
	v = visit_soon(f, "g@@s", 14999);
	assert_int_equal(v.lost, 0);
	v = visit_soon(f, "g@@s", 15000);
	assert_int_equal(v.lost, 1);
	advance(f, 14999);
	v = visit_soon(f, "g@@s", 0);
	assert_int_equal(v.lost + v.held, 0);
	advance(f, 1);
	v = visit_soon(f, "g@@s", 0);
	assert_int_equal(v.lost, 1);
	assert_int_equal(v.held, 1);
}

/* One instance, what a visit says about its source. */
static void assert_sign(struct fixture *f, const char *name, bool hold, uint32_t source,
                        enum expire_state state)
{
	struct expire_sign signs[256];
	struct expire_visit v = {
		.budget = 256, .hold_removals = hold, .soon_ms = 60000, .signs = signs
	};

	v = visit_as(f, name, v);
	assert_int_equal(v.sign_count, source != 0);
	if (source == 0)
		return;
	assert_int_equal(signs[0].source, source);
	assert_int_equal(signs[0].state, state);
}

/* A registration is no beat, a beat from nowhere is no source; the last beat says where from. */
static void signs_of_sources(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);

	assert_int_equal(registry_register(&f->reg, from(6), &key, &spec), 0);
	assert_sign(f, "g@@s", true, 0, EXPIRE_HEARD);
	beat_from(f, "g@@s", "1.1.1.1", 80, 0);
	assert_sign(f, "g@@s", true, 0, EXPIRE_HEARD);
	beat_from(f, "g@@s", "1.1.1.1", 80, 7);
	assert_sign(f, "g@@s", true, 7, EXPIRE_HEARD);
	beat_from(f, "g@@s", "1.1.1.1", 80, 8);
	assert_sign(f, "g@@s", true, 8, EXPIRE_HEARD);
	/* Registered again from elsewhere: it is still one that beats from there. */
	assert_int_equal(registry_register(&f->reg, from(9), &key, &spec), 0);
	assert_sign(f, "g@@s", true, 8, EXPIRE_HEARD);
	advance(f, 15001);
	assert_sign(f, "g@@s", true, 8, EXPIRE_LOST);
	advance(f, 20000);
	assert_sign(f, "g@@s", true, 8, EXPIRE_LOST);
	assert_sign(f, "g@@s", false, 8, EXPIRE_REMOVED);
	assert_clean(f);
}

/* They are those of one hold. */
static void signs_of_a_long_visit(void **state)
{
	enum { INSTANCES = 20, BUDGET = 6 };
	struct fixture *f = *state;
	struct expire_sign signs[BUDGET];
	struct expire_visit v = { .budget = BUDGET, .signs = signs, .due_ms = UINT64_MAX };
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.2", 1);
	unsigned told = 0;
	uint32_t shard;

	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	for (int32_t port = 1; port <= INSTANCES; port++) {
		add(f, "g@@s", "1.1.1.1", port);
		beat_from(f, "g@@s", "1.1.1.1", port, 7);
	}
	v.service = entry_of(f, "g@@s", &shard);
	v.now_ms = health_now(f->seg);
	for (unsigned n = 0; !v.done; n++) {
		assert_true(n < INSTANCES);
		dirty_the_stack();
		assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
		assert_in_range(v.sign_count, 1, BUDGET);
		told += v.sign_count;
	}
	assert_int_equal(told, INSTANCES);
	assert_int_equal(v.beating, INSTANCES);
	assert_int_equal(v.instances, INSTANCES + 1);
	assert_int_equal(v.persistent, 1);
}

static void long_silent_ones_are_quiet(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);

	spec.metadata.overrides = (struct overrides){ true, false, 0, 1000, 100000 };
	assert_int_equal(registry_register(&f->reg, from(7), &key, &spec), 0);
	beat_from(f, "g@@s", "1.1.1.1", 80, 7);
	advance(f, 1001);
	assert_sign(f, "g@@s", true, 7, EXPIRE_QUIET);
	advance(f, 38999);
	assert_sign(f, "g@@s", true, 7, EXPIRE_QUIET);
	advance(f, 1);
	assert_sign(f, "g@@s", true, 7, EXPIRE_LOST);
	/* Health that is set by hand is no beat, and no silence. */
	assert_int_equal(registry_set_health(&f->reg, from(3), &key, &spec.key, true), 0);
	assert_sign(f, "g@@s", true, 7, EXPIRE_LOST);
}

/* A beat between two visits saves, and the bound lies where the first can expire. */
static void bounds_are_exact(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result result;
	struct expire_visit v;

	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(due_of(f, "g@@s"), 1000000 + 15001);
	advance(f, 10000);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_int_equal(due_of(f, "g@@s"), 1000000 + 15001);
	advance(f, 6000);
	v = visit(f, "g@@s", 256, false);
	assert_int_equal(v.flipped, 0);
	assert_int_equal(due_of(f, "g@@s"), 1010000 + 15001);
	advance(f, 10000);
	v = visit(f, "g@@s", 256, false);
	assert_int_equal(v.flipped, 1);
	assert_int_equal(due_of(f, "g@@s"), 1010000 + 30001);
	/* Reviving brings the time-out back, which is earlier than a late delete. */
	spec.metadata.overrides = (struct overrides){ true, false, 0, 15000, 900000 };
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	visit(f, "g@@s", 256, false);
	assert_int_equal(due_of(f, "g@@s"), 1026000 + 900001);
	assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	assert_true(result.revived);
	assert_int_equal(due_of(f, "g@@s"), 1026000 + 15001);
	assert_clean(f);
}

static void short_timeouts_raise_the_signal(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_metadata = true };
	uint64_t lowered = registry_due_lowered(&f->reg, shard);

	add(f, "g@@s", "1.1.1.1", 80);
	assert_int_equal(registry_due_lowered(&f->reg, shard), lowered);
	patch.metadata.overrides = (struct overrides){ true, false, 0, 3000, 6000 };
	assert_int_equal(registry_patch(&f->reg, client, &key, &spec.key, &patch), 0);
	assert_true(registry_due_lowered(&f->reg, shard) > lowered);
	assert_int_equal(due_of(f, "g@@s"), 1000000 + 3001);
}

/* Several holds: everything is looked at, and what changes in between is not forgotten. */
static void long_visits_resume(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec first = spec_for("1.1.1.1", 1), next = spec_for("1.1.1.1", 101);
	struct expire_visit v = { .budget = 50, .due_ms = UINT64_MAX };
	struct instance_patch patch = { .set_metadata = true };
	uint32_t shard;

	for (int32_t port = 1; port <= 500; port++)
		add(f, "g@@s", "1.1.1.1", port);
	advance(f, 16000);
	for (int32_t port = 1; port <= 500; port += 2) {
		struct beat_result result;
		struct instance_spec spec = spec_for("1.1.1.1", port);

		assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	}
	v.service = entry_of(f, "g@@s", &shard);
	v.now_ms = health_now(f->seg);
	assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	assert_false(v.done);
	assert_int_equal(v.flipped, 25);
	assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	/* One that was passed gets a shorter time-out; the one to go on at disappears. */
	patch.metadata.overrides = (struct overrides){ true, false, 0, 2000, 60000 };
	assert_int_equal(registry_patch(&f->reg, client, &key, &first.key, &patch), 0);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &next.key, NULL), 0);
	for (unsigned n = 0; !v.done; n++) {
		assert_true(n < 20);
		assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	}
	assert_int_equal(v.flipped, 250);
	assert_int_equal(stats_of(f).healthy, 249);
	assert_int_equal(due_of(f, "g@@s"), 1016000 + 2001);
	assert_clean(f);
}

/* Removes an instance and gives its place in memory to a newer one. Returns how many are newer. */
static int32_t replace(struct fixture *f, const char *name, uint32_t off, int32_t port)
{
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for("1.1.1.1", port);
	const struct instance *at = segment_at(f->seg, off, sizeof(*at));
	int32_t newer = 0;

	assert_int_equal(at->port, port);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	do {
		assert_true(newer < 1000);
		add(f, name, "1.1.1.1", 1000 + newer++);
	} while (at->port == port);
	assert_in_range(at->port, 1000, 1000 + newer);
	return newer;
}

/* The place to go on at belongs to another one by then, the last of all: those between are not left
 * out. */
static void the_next_one_to_visit_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct expire_visit v = { .budget = 5, .due_ms = UINT64_MAX, .hold_removals = true };
	uint32_t shard;

	for (int32_t port = 1; port <= 20; port++)
		add(f, "g@@s", "1.1.1.1", port);
	advance(f, 31000);
	v.service = entry_of(f, "g@@s", &shard);
	v.now_ms = health_now(f->seg);
	assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	replace(f, "g@@s", v.resume_off, 6);
	for (unsigned n = 0; !v.done; n++) {
		assert_true(n < 20);
		assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	}
	assert_int_equal(v.flipped, 19);
	assert_int_equal(v.held, 19);
	assert_clean(f);
}

static void a_hint_of_a_removed_service_is_gone(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct expire_visit v = { .budget = 10, .due_ms = UINT64_MAX };
	uint32_t shard;

	add(f, "g@@s", "1.1.1.1", 80);
	v.service = entry_of(f, "g@@s", &shard);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	assert_true(v.gone);
	assert_true(v.done);
	while (registry_drain(&f->reg, shard, 10) > 0)
		;
	v.done = false;
	assert_int_equal(registry_expire(&f->reg, shard, &v), 0);
	assert_true(v.gone && v.done);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, v.service), ERR_NOT_FOUND);
	assert_clean(f);
}

/* ---- drain, empty, stale --------------------------------------------------------------------- */

static void draining_goes_in_steps(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	unsigned steps = 0;

	for (int32_t port = 1; port <= 300; port++) {
		struct instance_spec spec = spec_for("1.1.1.1", port);

		spec.key.ephemeral = port % 3 != 0;
		spec.key.cluster = port % 2 ? STR("a") : STR("b");
		spec.metadata.packed = STR("some metadata");
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	assert_int_equal(registry_drain(&f->reg, shard, 10), 0);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	add(f, "g@@s", "1.1.1.1", 1);
	while (registry_drain(&f->reg, shard, 64) > 0) {
		steps++;
		assert_clean(f);
		assert_int_equal(stamp_of(f, "g@@s").instances, 1);
	}
	assert_int_equal(steps, 4);
	assert_int_equal(stats_of(f).draining, 0);
	assert_int_equal(stats_of(f).instances, 1);
	assert_clean(f);
	/* Nothing is left of either, but pages of the table, which shrinks with later removals. */
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(registry_drain(&f->reg, shard, 64), 0);
	assert_int_equal(stats_of(f).bytes, 0);
	for (unsigned kind = SLAB_SERVICE; kind < SLAB_KINDS; kind++)
		assert_int_equal(f->seg->shards[shard].slabs[kind].objects, 0);
	assert_clean(f);
}

static void only_empty_services_are_cleaned(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct keeper_entry entry;
	uint32_t shard;

	add(f, "g@@s", "1.1.1.1", 80);
	entry = entry_of(f, "g@@s", &shard);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, entry), ERR_AGAIN);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, entry), 0);
	assert_false(stamp_of(f, "g@@s").found);
	assert_int_equal(registry_remove_empty(&f->reg, client, shard, entry), ERR_NOT_FOUND);
	assert_clean(f);
}

static void stale_ones_go_beaten_ones_stay(void **state)
{
	struct fixture *f = *state;
	struct service_key alive = key_for("g@@s3");
	struct instance_spec spec = spec_for("1.1.1.1", 3);
	struct beat_result result;
	struct ring_event event;
	struct str text;
	char name[RING_NAME_BYTES];
	uint64_t cursor = 0, missed = 0;
	unsigned calls = 0, gone = 0;

	for (int n = 0; n < 200; n++) {
		snprintf(name, sizeof(name), "g@@s%d", n);
		for (int32_t port = 1; port <= 5; port++)
			add(f, name, "1.1.1.1", port);
	}
	spec.key.ephemeral = false;
	assert_int_equal(registry_register(&f->reg, client, &alive, &spec), 0);
	f->seg->header->attach_count++;
	registry_init(&f->reg, f->seg); /* the keeper of the new start */
	/* Before the shard of the live one is visited for the first time. */
	advance(f, 10);
	add(f, "g@@s3", "1.1.1.1", 4);
	spec.key.ephemeral = true;
	spec.key.port = 5;
	assert_int_equal(registry_beat(&f->reg, client, &alive, &spec.key, &result), 0);
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		while (registry_drop_stale(&f->reg, &f->walks, shard, 7) > 0)
			assert_true(calls++ < 10000);
		assert_int_equal(registry_drop_stale(&f->reg, &f->walks, shard, 100000), 0);
	}
	assert_int_equal(stats_of(f).instances, 3);
	assert_int_equal(stats_of(f).ephemeral, 2);
	assert_int_equal(stats_of(f).services, 200);
	while (ring_next(f->seg->events, &cursor, &event, &text, name, &missed))
		gone += event.kind == EVENT_REMOVED && event.cause == CAUSE_STALE;
	assert_int_equal(gone, 998);
	assert_clean(f);
}

/* A new start of the keeper, to which all that is there now may be stale. */
static void reattach(struct fixture *f)
{
	f->seg->header->attach_count++;
	registry_init(&f->reg, f->seg);
	advance(f, 10);
}

/* Returns how many calls it took. */
static unsigned drop_to_the_end(struct fixture *f, uint32_t shard, uint32_t budget)
{
	unsigned calls = 1;
	int ret;

	while ((ret = registry_drop_stale(&f->reg, &f->walks, shard, budget)) > 0)
		assert_true(calls++ < 1000);
	assert_int_equal(ret, 0);
	return calls;
}

/* What a call looked at is not looked at again by the next one. */
static void stale_ones_behind_many_that_beat(void **state)
{
	enum { BEATING = 50, STALE = 20, BUDGET = 7 };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");

	for (int32_t port = 1; port <= BEATING + STALE; port++)
		add(f, "g@@s", "1.1.1.1", port);
	reattach(f);
	for (int32_t port = 1; port <= BEATING; port++)
		beat_from(f, "g@@s", "1.1.1.1", port, 7);
	assert_in_range(drop_to_the_end(f, registry_shard_of(&f->reg, &key), BUDGET), 1,
	                (BEATING + STALE) / (BUDGET - 1) + 1);
	assert_int_equal(stats_of(f).instances, BEATING);
	assert_clean(f);
}

static void the_next_one_to_look_at_is_replaced(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	int32_t newer;

	for (int32_t port = 1; port <= 20; port++)
		add(f, "g@@s", "1.1.1.1", port);
	reattach(f);
	assert_int_equal(registry_drop_stale(&f->reg, &f->walks, shard, 6),
	                 1); /* a service and five */
	newer = replace(f, "g@@s", f->walks.stale_inside.off, 6);
	drop_to_the_end(f, shard, 6);
	assert_int_equal(stats_of(f).instances, newer);
	assert_clean(f);
}

/* What is left of a removed service is drained, not dropped in the name of another. */
static void the_service_looked_at_is_removed(void **state)
{
	struct fixture *f = *state;
	struct service_key first = key_for("g@@s"), second;
	uint32_t shard = registry_shard_of(&f->reg, &first);
	unsigned n = 0;
	char name[32];

	second = key_for(name_in_shard(f, shard, &n, name));
	for (int32_t port = 1; port <= 5; port++)
		add(f, "g@@s", "1.1.1.1", port);
	for (int32_t port = 1; port <= 20; port++)
		add(f, name, "1.1.1.1", port);
	reattach(f);
	beat_from(f, "g@@s", "1.1.1.1", 1, 7);
	assert_int_equal(registry_drop_stale(&f->reg, &f->walks, shard, 10), 1);
	assert_in_range(stamp_of(f, name).instances, 1, 19);
	assert_int_equal(registry_remove_service(&f->reg, client, &second, NULL), 0);
	drop_to_the_end(f, shard, 10);
	assert_int_equal(stats_of(f).instances, 1);
	assert_clean(f);
	assert_int_equal(registry_drain(&f->reg, shard, 100), 0);
	assert_clean(f);
}

/* A service without instances is a step, too. */
static void empty_services_are_counted(void **state)
{
	enum { SERVICES = 40, BUDGET = 10 };
	struct fixture *f = *state;

	assert_in_range(drop_to_the_end(f, fill_shard(f, SERVICES), BUDGET), SERVICES / BUDGET,
	                SERVICES / BUDGET + 1);
}

/* The last one of a service is followed by the first: no walk may go on for ever. */
static void instances_in_a_circle(void **state)
{
	enum { INSTANCES = 20, BUDGET = 7, CALLS = 100000 / BUDGET };
	struct fixture *f = *state;
	struct expire_visit v = { .budget = BUDGET, .due_ms = UINT64_MAX };
	const struct service *s;
	const struct cluster *c;
	struct instance *last;
	unsigned calls = 0;
	uint32_t shard;
	int ret;

	reattach(f);
	for (int32_t port = 1; port <= INSTANCES; port++)
		add(f, "g@@s", "1.1.1.1", port);
	v.service = entry_of(f, "g@@s", &shard);
	v.now_ms = health_now(f->seg);
	s = segment_at(f->seg, v.service.off, sizeof(*s));
	c = segment_at(f->seg, s->first_cluster, sizeof(*c));
	last = segment_at(f->seg, c->last[1], sizeof(*last));
	last->next = c->first[1];
	do
		ret = registry_expire(&f->reg, shard, &v);
	while (ret == 0 && !v.done && ++calls < CALLS);
	assert_int_equal(ret, ERR_CORRUPT);
	do
		ret = registry_drop_stale(&f->reg, &f->walks, shard, BUDGET);
	while (ret > 0 && ++calls < 2 * CALLS);
	assert_int_equal(ret, ERR_CORRUPT);
}

/* A circle is known by the steps of one pass, not of many. */
static void passes_without_number(void **state)
{
	enum { INSTANCES = 100, PASSES = 800 };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);

	reattach(f);
	for (int32_t port = 1; port <= INSTANCES; port++)
		add(f, "g@@s", "1.1.1.1", port);
	for (unsigned n = 0; n < PASSES; n++)
		assert_int_equal(drop_to_the_end(f, shard, INSTANCES + 10), 1);
	assert_int_equal(stats_of(f).instances, INSTANCES);
	assert_clean(f);
}

/* The table of registry_internal.h. */
static void operations_fit_the_log(void **state)
{
	static char metadata[8192];
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	uint32_t shard = registry_shard_of(&f->reg, &key);

	memset(metadata, 'm', sizeof(metadata));
	for (int32_t port = 1; port <= 2000; port++) {
		struct instance_spec spec = spec_for("1.1.1.1", port);

		if (port % 100 == 0)
			spec.metadata.packed = str_make(metadata, sizeof(metadata));
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_REGISTER + 3 * OP_ENTRIES_CHUNK);
	f->reg.most_entries = 0;
	advance(f, 15001);
	visit(f, "g@@s", 256, false);
	advance(f, 15000);
	for (int32_t port = 1000; port <= 2000; port++) {
		struct instance_spec spec = spec_for("1.1.1.1", port);
		struct beat_result result;

		assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
	}
	visit(f, "g@@s", 256, false);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_EXPIRE);
	f->reg.most_entries = 0;
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_REMOVE_SERVICE);
	f->reg.most_entries = 0;
	while (registry_drain(&f->reg, shard, 256) > 0)
		;
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_DRAIN);
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(services_come_in_pieces),
		TEST(services_in_a_circle),
		TEST(beats_expire),
		TEST(persistent_and_marked_never_expire),
		TEST(the_brake_holds_removals),
		TEST(lost_before_they_are_removed),
		TEST(signs_of_sources),
		TEST(signs_of_a_long_visit),
		TEST(long_silent_ones_are_quiet),
		TEST(bounds_are_exact),
		TEST(short_timeouts_raise_the_signal),
		TEST(long_visits_resume),
		TEST(the_next_one_to_visit_is_replaced),
		TEST(a_hint_of_a_removed_service_is_gone),
		TEST(draining_goes_in_steps),
		TEST(only_empty_services_are_cleaned),
		TEST(stale_ones_go_beaten_ones_stay),
		TEST(stale_ones_behind_many_that_beat),
		TEST(the_next_one_to_look_at_is_replaced),
		TEST(the_service_looked_at_is_removed),
		TEST(empty_services_are_counted),
		TEST(instances_in_a_circle),
		TEST(passes_without_number),
		TEST(operations_fit_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
