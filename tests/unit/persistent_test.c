/* SPDX-License-Identifier: Apache-2.0 */
/* What the active checks see and set, against the real registry. */
#include "shared/registry/persistent.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/registry_pusher.h"

#include "shared/registry/settings.h"
#include "tests/unit/registry_fixture.h"

static void put(struct fixture *f, const char *name, const char *ip, int32_t port,
                const char *cluster, bool ephemeral)
{
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for(ip, port);

	spec.key.cluster = str_of(cluster);
	spec.key.ephemeral = ephemeral;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
}

static void drop(struct fixture *f, const char *name, const char *ip, int32_t port)
{
	struct service_key key = key_for(name);
	struct instance_key instance = { STR("DEFAULT"), str_of(ip), port, false };

	assert_int_equal(registry_deregister(&f->reg, client, &key, &instance, NULL), 0);
}

static uint32_t shard_of(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);

	return registry_shard_of(&f->reg, &key);
}

static void begin(struct fixture *f, const char *name, struct persistent_look *look)
{
	uint32_t shard;

	memset(look, 0, sizeof(*look));
	look->service = entry_of(f, name, &shard);
}

static int next(struct fixture *f, const char *name, struct persistent_look *look)
{
	return registry_look_persistent(&f->reg, shard_of(f, name), look);
}

static bool row_is(const struct persistent_row *row, const char *ip, int32_t port)
{
	return row->port == port && str_eq(str_make(row->ip, row->ip_len), str_of(ip));
}

/* ---- looking --------------------------------------------------------------------------------- */

static void test_only_persistent(void **state)
{
	static struct persistent_look look;
	struct fixture *f = *state;

	put(f, "s", "10.0.0.1", 80, "DEFAULT", true);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_true(look.done);
	assert_int_equal(look.persistent, 0);
	assert_int_equal(look.name_len, 0);

	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	put(f, "s", "::1", 82, "DEFAULT", false);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_true(look.done);
	assert_int_equal(look.persistent, 2);
	assert_true(str_eq(str_make(look.name, look.name_len), STR("DEFAULT")));
	assert_int_equal(look.checker_len, 0);
	assert_int_equal(look.check_port, 80);
	assert_true(look.use_instance_port);
	assert_int_equal(look.rows, 2);
	assert_true(row_is(&look.row[0], "10.0.0.2", 81));
	assert_true(row_is(&look.row[1], "::1", 82));
	assert_int_equal(look.row[0].flags & (INSTANCE_HEALTHY | INSTANCE_EPHEMERAL),
	                 INSTANCE_HEALTHY);
	assert_int_equal(look.row[0].beat_ms, health_now(f->seg));
}

static void test_unchanged(void **state)
{
	static struct persistent_look look;
	struct fixture *f = *state;
	uint64_t seen;

	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_false(look.unchanged);
	seen = look.seen;
	begin(f, "s", &look);
	look.revision = seen;
	assert_int_equal(next(f, "s", &look), 0);
	assert_true(look.unchanged);
	assert_int_equal(look.rows, 0);
	put(f, "s", "10.0.0.3", 81, "DEFAULT", false);
	begin(f, "s", &look);
	look.revision = seen;
	assert_int_equal(next(f, "s", &look), 0);
	assert_false(look.unchanged);
	assert_int_equal(look.rows, 2);
}

static void test_clusters_and_pieces(void **state)
{
	static struct persistent_look look;
	struct cluster_settings settings = { .check_port = 99,
		                             .checker = STR("{\"type\":\"NONE\"}") };
	struct fixture *f = *state;
	struct service_key key = key_for("s");
	unsigned rows = 0, holds = 0, of_b = 0;
	char ip[32];

	put(f, "s", "10.0.0.1", 80, "empty", true);
	for (unsigned n = 0; n < 600; n++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", n / 250, n % 250);
		put(f, "s", ip, 80, "a", false);
	}
	put(f, "s", "10.0.0.1", 80, "b", false);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("b"), &settings), 0);
	begin(f, "s", &look);
	do {
		assert_int_equal(next(f, "s", &look), 0);
		holds++;
		for (uint32_t i = 0; i < look.rows; i++, rows++) {
			if (look.name[0] != 'a') {
				of_b++;
				continue;
			}
			snprintf(ip, sizeof(ip), "10.1.%u.%u", rows / 250, rows % 250);
			assert_true(row_is(&look.row[i], ip, 80));
		}
		if (look.name[0] == 'b') {
			assert_int_equal(look.check_port, 99);
			assert_false(look.use_instance_port);
			assert_true(
			        str_eq(str_make(look.checker, look.checker_len), settings.checker));
		}
	} while (!look.done);
	assert_int_equal(rows, 601);
	assert_int_equal(of_b, 1);
	assert_int_equal(holds, 4);
	assert_false(look.cut);
}

/* The place to go on is gone: said, and the rest of the clusters is seen. */
static void test_cut(void **state)
{
	static struct persistent_look look;
	struct fixture *f = *state;
	bool other = false;
	char ip[32];

	for (unsigned n = 0; n < 300; n++) {
		snprintf(ip, sizeof(ip), "10.1.%u.%u", n / 250, n % 250);
		put(f, "s", ip, 80, "DEFAULT", false);
	}
	put(f, "s", "10.0.0.1", 80, "b", false);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_int_equal(look.rows, PERSISTENT_ROWS);
	assert_false(look.done);
	drop(f, "s", "10.1.1.6", 80); /* number 256 */
	while (!look.done) {
		assert_int_equal(next(f, "s", &look), 0);
		other = other || (look.rows == 1 && look.name[0] == 'b');
	}
	assert_true(look.cut);
	assert_true(other);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_int_equal(next(f, "s", &look), 0);
	assert_int_equal(look.rows, 43);
	assert_false(look.cut);
}

static void test_long_text_is_no_address(void **state)
{
	static struct persistent_look look;
	struct fixture *f = *state;

	put(f, "s", "a-name-that-is-longer-than-any-address-can-be.example.org", 80, "DEFAULT",
	    false);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	assert_true(look.row[0].ip_len > PERSISTENT_IP);
	assert_int_equal(look.row[0].ip[0], 0);
}

static void test_gone(void **state)
{
	static struct persistent_look look;
	struct fixture *f = *state;
	struct service_key key = key_for("s");

	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	begin(f, "s", &look);
	assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	assert_int_equal(registry_look_persistent(&f->reg, shard_of(f, "s"), &look), ERR_NOT_FOUND);
}

/* ---- discovery ------------------------------------------------------------------------------- */

/* The first persistent instance of a service, and no other one, calls the keeper. */
static void test_first_one_calls(void **state)
{
	struct fixture *f = *state;
	struct expire_visit visit = { .budget = 100, .due_ms = UINT64_MAX };
	uint32_t shard = shard_of(f, "s");
	uint64_t before;

	put(f, "s", "10.0.0.1", 80, "DEFAULT", true);
	before = registry_due_lowered(&f->reg, shard);
	put(f, "s", "10.0.0.2", 80, "DEFAULT", false);
	assert_true(registry_due_lowered(&f->reg, shard) > before);
	before = registry_due_lowered(&f->reg, shard);
	put(f, "s", "10.0.0.3", 80, "DEFAULT", false);
	put(f, "s", "10.0.0.2", 80, "DEFAULT", false);
	assert_int_equal(registry_due_lowered(&f->reg, shard), before);
	visit.service = entry_of(f, "s", &shard);
	visit.now_ms = health_now(f->seg);
	assert_int_equal(registry_expire(&f->reg, shard, &visit), 0);
	assert_true(visit.done);
	assert_int_equal(visit.instances, 3);
	assert_int_equal(visit.persistent, 2);
	assert_clean(f);
}

/* ---- judging --------------------------------------------------------------------------------- */

static int set(struct fixture *f, const char *name, uint32_t row, bool healthy)
{
	static const struct origin checks = { .cause = CAUSE_CHECK };
	static struct persistent_look look;

	begin(f, name, &look);
	assert_int_equal(next(f, name, &look), 0);
	return registry_set_checked(&f->reg, checks, shard_of(f, name), look.service,
	                            (struct keeper_entry){ look.row[row].id, look.row[row].off },
	                            healthy);
}

static uint32_t flags_of_row(struct fixture *f, const char *name, uint32_t row)
{
	static struct persistent_look look;

	begin(f, name, &look);
	assert_int_equal(next(f, name, &look), 0);
	return look.row[row].flags & (INSTANCE_HEALTHY | INSTANCE_CONFIRMED);
}

static bool take(struct fixture *f, const char *name)
{
	struct changed_service changed;
	uint64_t wait;

	return registry_take_changed(&f->reg, shard_of(f, name), QUEUE_PUSHER, UINT64_MAX / 2, 0,
	                             &changed, &wait) == 1;
}

static void test_set_checked(void **state)
{
	struct fixture *f = *state;

	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	put(f, "s", "10.0.0.3", 81, "DEFAULT", false);
	assert_true(take(f, "s"));
	assert_false(take(f, "s"));
	assert_int_equal(stats_of(f).healthy, 2);
	/* Confirmed: pushes, though health stays. */
	assert_int_equal(set(f, "s", 0, true), 0);
	assert_int_equal(flags_of_row(f, "s", 0), INSTANCE_HEALTHY | INSTANCE_CONFIRMED);
	assert_int_equal(flags_of_row(f, "s", 1), INSTANCE_HEALTHY);
	assert_true(take(f, "s"));
	assert_int_equal(set(f, "s", 0, false), 0);
	assert_int_equal(flags_of_row(f, "s", 0), 0);
	assert_int_equal(stats_of(f).healthy, 1);
	assert_true(take(f, "s"));
	assert_int_equal(set(f, "s", 0, true), 0);
	assert_int_equal(stats_of(f).healthy, 2);
	assert_clean(f);
	/* A registration anew leaves what was found. */
	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	assert_int_equal(flags_of_row(f, "s", 0), INSTANCE_HEALTHY | INSTANCE_CONFIRMED);
	assert_true(f->reg.most_entries <= OP_ENTRIES_REGISTER);
}

static void test_set_checked_gone(void **state)
{
	static const struct origin checks = { .cause = CAUSE_CHECK };
	static struct persistent_look look;
	struct fixture *f = *state;
	struct keeper_entry instance;

	put(f, "s", "10.0.0.2", 81, "DEFAULT", false);
	put(f, "s", "10.0.0.3", 81, "DEFAULT", true);
	begin(f, "s", &look);
	assert_int_equal(next(f, "s", &look), 0);
	instance = (struct keeper_entry){ look.row[0].id, look.row[0].off };
	drop(f, "s", "10.0.0.2", 81);
	assert_true(take(f, "s"));
	assert_int_equal(registry_set_checked(&f->reg, checks, shard_of(f, "s"), look.service,
	                                      instance, false),
	                 ERR_NO_INSTANCE);
	/* Another one in its place. */
	put(f, "s", "10.0.0.4", 81, "DEFAULT", false);
	assert_true(take(f, "s"));
	assert_int_equal(registry_set_checked(&f->reg, checks, shard_of(f, "s"), look.service,
	                                      instance, false),
	                 ERR_NO_INSTANCE);
	look.service.id++;
	assert_int_equal(registry_set_checked(&f->reg, checks, shard_of(f, "s"), look.service,
	                                      instance, false),
	                 ERR_NO_INSTANCE);
	assert_false(take(f, "s"));
	assert_clean(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_persistent, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_unchanged, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_clusters_and_pieces, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_cut, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_long_text_is_no_address, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_gone, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_first_one_calls, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_set_checked, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_set_checked_gone, fixture_setup,
		                                fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
