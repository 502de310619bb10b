/* SPDX-License-Identifier: Apache-2.0 */
/* invariants of the registry: whoever breaks a rule of shared/registry, shared/codec or
 * shared/naming is stopped at the place that states it. */
#include "tests/unit/death_fixture.h"
#include "tests/unit/registry_fixture.h"

#include "shared/base/arena.h"
#include "shared/codec/json_read.h"
#include "shared/naming/unpushed.h"
#include "shared/registry/scan.h"
#include "shared/registry/snapshot_value.h"
#include "shared/shm/lock.h"

static const struct service_key name = { { "public", 6 }, { "g@@s", 4 } };

/* One way to break a rule, and how the last words of the process begin. */
struct row {
	void (*broken)(struct fixture *f);
	const char *words;
};

static struct op begun(struct fixture *f, uint32_t shard)
{
	struct op op;

	if (op_begin(&op, &f->reg, shard, client) < 0)
		_exit(1);
	return op;
}

/* ---- operations ------------------------------------------------------------------------------ */

static void cause_that_is_none(struct fixture *f)
{
	struct op op;

	(void)!op_begin(&op, &f->reg, 0, (struct origin){ .cause = CAUSE_KINDS });
}

static void pages_backed_under_a_hold(struct fixture *f)
{
	const struct instance_spec spec = { .key = { DEFAULT_CLUSTER, STR("10.0.0.1"), 80, true } };
	struct op op = begun(f, 0);

	(void)!registry_register(&f->reg, client, &name, &spec);
	op_end(&op);
}

static void consumer_that_is_none(struct fixture *f)
{
	struct op op = begun(f, 0);

	op.announce = 1U << CONSUMERS_IN_USE;
	(void)!op_commit(&op);
}

static void result_that_is_no_error(struct fixture *f)
{
	struct op op = begun(f, 0);

	(void)!op_finish(&op, 1);
}

static void format_under_a_hold(struct fixture *f)
{
	begun(f, 0);
	(void)!registry_format(f->seg);
}

/* ---- lists and walks ------------------------------------------------------------------------- */

static void links_beside_their_object(struct fixture *f)
{
	struct op op = begun(f, 0);
	uint32_t first = 0, last = 0;

	chain_append(&op, (struct chain){ &first, &last, SLAB_CLUSTER, SLAB_BYTES_CLUSTER - 4 },
	             slab_alloc(&op.tx, SLAB_CLUSTER));
}

static void walk_behind_its_end(struct fixture *f)
{
	struct op op = begun(f, 0);
	struct service s = { .id = 1 };
	struct walk w;

	walk_first(&op, &s, WALK_ALL, &w);
	walk_next(&op, &w);
}

static void step_back_from_the_begin(struct fixture *f)
{
	struct op op = begun(f, 0);
	struct service s = { .id = 1 };
	struct scan scan;

	scan_begin(&scan, &op, &name, 1, &s, WALK_ALL, 0);
	scan_step_back(&scan);
}

/* ---- services and sources -------------------------------------------------------------------- */

static void service_in_another_shard(struct fixture *f)
{
	struct place place = key_place(&f->reg, &name);
	struct op op = begun(f, (place.shard + 1) % SHARDS);
	struct service *s;

	service_create(&op, &name, place, &s);
}

static void change_of_nothing(struct fixture *f)
{
	struct op op = begun(f, 0);
	struct service s = { .id = 1 };

	service_mark(&op, 1, &s, 0);
}

static void limit_that_is_none(struct fixture *f)
{
	(void)!key_refuse(&f->reg, REGISTRY_LIMIT_SERVICES, 0);
}

static void name_that_was_not_checked(struct fixture *f)
{
	char text[2 * NAME_MAX_BYTES + 1];

	key_join(&(struct service_key){ STR(""),
	                                str_make((const char *)f->seg->base, NAME_MAX_BYTES + 1) },
	         text);
}

static void two_subscribers_at_once(struct fixture *f)
{
	static const uint8_t source[16] = { 1 };
	struct op op = begun(f, 0);

	source_count(&op, source, 2, 0);
}

static void key_that_is_not_saved(struct fixture *f)
{
	const struct field_context context = { NULL, 0 };
	union field_value value;
	uint32_t blob;

	(void)field_saved(&context, &saved_services, service_fields.saved, f->seg->base, &value,
	                  &blob);
}

/* ---- texts and reasons ----------------------------------------------------------------------- */

static const char *ignore(void *arg, const struct json_item *item)
{
	(void)arg;
	(void)item;
	return NULL;
}

static void json_deeper_than_its_bits(struct fixture *f)
{
	struct arena arena;

	(void)f;
	arena_init(&arena, 256);
	(void)!json_read(&arena, STR("{}"), (struct json_limits){ .depth = 65, .keys = 1 }, ignore,
	                 NULL, NULL, 0);
}

static void reason_that_is_none(struct fixture *f)
{
	(void)f;
	(void)unpushed_word(UNPUSHED_REASONS);
}

static const struct row rows[] = {
	{ cause_that_is_none,
	  "assert origin.writer <= WRITER_IMPORT && origin.cause < CAUSE_KINDS at " },
	{ pages_backed_under_a_hold, "assert reg->seg->held == NULL at " },
	{ consumer_that_is_none, "assert op->announce >> CONSUMERS_IN_USE == 0 at " },
	{ result_that_is_no_error, "assert ret <= 0 at " },
	{ format_under_a_hold, "assert seg->held == NULL at " },
	{ links_beside_their_object,
	  "assert chain->link + sizeof(struct pair) <= slab_object_bytes(chain->kind) at " },
	{ walk_behind_its_end, "assert w->off != 0 && w->i != NULL at " },
	{ step_back_from_the_begin, "assert scan->at.off != 0 && " },
	{ service_in_another_shard,
	  "assert op->tx.shard == &op->reg->seg->shards[place.shard] at " },
	{ change_of_nothing, "assert change != 0 && change >> CHANGE_BITS == 0 at " },
	{ limit_that_is_none, "assert which < REGISTRY_LIMITS && limit != 0 at " },
	{ name_that_was_not_checked,
	  "assert key->ns.n <= NAME_MAX_BYTES && key->name.n <= NAME_MAX_BYTES at " },
	{ two_subscribers_at_once, "assert change == 1 || change == -1 at " },
	{ key_that_is_not_saved, "assert key > 0 && key < fields->saved at " },
	{ json_deeper_than_its_bits, "assert limits.depth <= 64 at " },
	{ reason_that_is_none, "assert reason < UNPUSHED_REASONS at " },
};

/* ---- the ends -------------------------------------------------------------------------------- */

static void end_by(const struct row *row, struct fixture *f)
{
	struct death death;

	if (death_fork(&death)) {
		row->broken(f);
		_exit(0);
	}
	death_was_by_assert(&death, row->words);
}

static void a_broken_rule_ends_the_process(void **state)
{

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		fixture_open(&f, FIXTURE_BYTES);
		end_by(&rows[i], &f);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_rule_ends_the_process),
	};

	return cmocka_run_group_tests_name("registry invariants", tests, NULL, NULL);
}
