/* SPDX-License-Identifier: Apache-2.0 */
/* instances.owner: what the registry does with a bound origin. */
#include "tests/unit/registry_fixture.h"

static const uint8_t mine[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
static const uint8_t other[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };

static struct origin bound(const struct fixture *f, const uint8_t address[16])
{
	return (struct origin){ .cause = CAUSE_CLIENT, .bound = true, .sender = registry_sender(&f->reg, address) };
}

static uint64_t only_id(struct fixture *f, const struct service_key *key, struct service_view *view)
{
	assert_int_equal(registry_view(&f->reg, key, view), 0);
	assert_int_equal(view->instance_count, 1);
	return view->instances[0].id;
}

/* Every write that there is, each from the wrong address: nothing changes. */
static void strangers_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80), light = spec;
	struct instance_patch patch = { .set_weight = true, .weight = 0 };
	struct instance_metadata metadata = { .packed = STR("\x81\xa1k\xa1v") };
	struct beat_result beat;
	struct service_view view;
	uint64_t revision, id;

	service_view_init(&view);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	id = only_id(f, &key, &view);
	revision = view.stamp.revision;
	light.weight = 0;
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &light), ERR_OWNER);
	assert_int_equal(registry_update(&f->reg, bound(f, other), &key, &light), ERR_OWNER);
	assert_int_equal(registry_patch(&f->reg, bound(f, other), &key, &spec.key, &patch), ERR_OWNER);
	assert_int_equal(registry_set_health(&f->reg, bound(f, other), &key, &spec.key, false), ERR_OWNER);
	assert_int_equal(registry_set_metadata(&f->reg, bound(f, other), &key, id, view.instances[0].revision, &metadata),
	                 ERR_OWNER);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), ERR_OWNER);
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &spec.key), ERR_OWNER);
	assert_int_equal(only_id(f, &key, &view), id);
	assert_int_equal(view.stamp.revision, revision);
	service_view_free(&view);
	assert_clean(f);
}

static void the_owner_and_the_unbound_do(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result beat;

	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	/* The operator's change took nothing over. */
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &spec.key), ERR_OWNER);
	assert_int_equal(registry_deregister(&f->reg, bound(f, mine), &key, &spec.key), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &spec), 0);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key), 0);
	assert_clean(f);
}

static void nobodys_is_taken_by_the_next(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result beat;

	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), ERR_OWNER);
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Who registers while nothing is bound owns nothing; whoever beats is the sender then, never of what somebody owns. */
static void beats_take_nothing_over(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct origin free_one = bound(f, mine), next = bound(f, other);
	struct beat_result beat;

	free_one.bound = next.bound = false;
	assert_int_equal(registry_register(&f->reg, free_one, &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	/* An operator's beat. */
	assert_int_equal(registry_beat(&f->reg, next, &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, next, &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), ERR_OWNER);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_clean(f);
}

static void senders(void **state)
{
	static const uint8_t v6[3][16] = { { 0x20, 1, 0xd, 0xb8, [15] = 1 },
		                           { 0x20, 1, 0xd, 0xb8, [8] = 7, [15] = 2 },
		                           { 0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 1 } };
	static const uint8_t zero[16] = { 0 };
	struct fixture *f = *state;
	const struct registry *reg = &f->reg;

	assert_int_not_equal(sender_source(registry_sender(reg, mine)), sender_source(registry_sender(reg, other)));
	assert_int_equal(sender_source(registry_sender(reg, v6[0])), sender_source(registry_sender(reg, v6[1])));
	assert_true(registry_sender(reg, v6[0]) != registry_sender(reg, v6[1]));
	assert_int_not_equal(sender_source(registry_sender(reg, v6[0])), sender_source(registry_sender(reg, v6[2])));
	assert_int_not_equal(sender_source(registry_sender(reg, zero)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strangers_change_nothing),
		TEST(the_owner_and_the_unbound_do),
		TEST(nobodys_is_taken_by_the_next),
		TEST(beats_take_nothing_over),
		TEST(senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
