/* SPDX-License-Identifier: Apache-2.0 */
/* instances.owner: what the registry does with origins that are bound, and with those that own. */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"

static const uint8_t mine[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };
static const uint8_t other[16] = { [10] = 0xff, 0xff, 10, 0, 0, 2 };

/* While the key is off. */
static struct origin unasked(const struct fixture *f, const uint8_t address[16])
{
	return (struct origin){ .cause = CAUSE_CLIENT,
		                .sender = registry_sender(&f->reg, address) };
}

static struct origin operator_at(const struct fixture *f, const uint8_t address[16])
{
	struct origin origin = unasked(f, address);

	origin.owns = true;
	return origin;
}

static struct origin bound(const struct fixture *f, const uint8_t address[16])
{
	struct origin origin = operator_at(f, address);

	origin.bound = true;
	return origin;
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
	assert_int_equal(registry_patch(&f->reg, bound(f, other), &key, &spec.key, &patch),
	                 ERR_OWNER);
	assert_int_equal(registry_set_health(&f->reg, bound(f, other), &key, &spec.key, false),
	                 ERR_OWNER);
	assert_int_equal(registry_set_metadata(&f->reg, bound(f, other), &key, &spec.key, id,
	                                       view.instances[0].revision, &metadata),
	                 ERR_OWNER);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat),
	                 ERR_OWNER);
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &spec.key, NULL),
	                 ERR_OWNER);
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
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &spec.key, NULL),
	                 ERR_OWNER);
	assert_int_equal(registry_deregister(&f->reg, bound(f, mine), &key, &spec.key, NULL), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &spec), 0);
	assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
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
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat),
	                 ERR_OWNER);
	assert_clean(f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* Who registers while nothing is bound owns nothing; whoever beats is the sender then, never of
 * what somebody owns. */
static void beats_take_nothing_over(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct origin next = operator_at(f, other);
	struct beat_result beat;

	assert_int_equal(registry_register(&f->reg, unasked(f, mine), &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	/* An operator's beat. */
	assert_int_equal(registry_beat(&f->reg, next, &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, next, &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat),
	                 ERR_OWNER);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_clean(f);
}

/* Operators: bound by nothing, owners of what they register, of nothing else. */
static void operators_own_what_they_register(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct instance_patch patch = { .set_weight = true, .weight = 2 };

	assert_int_equal(registry_register(&f->reg, operator_at(f, other), &key, &spec), 0);
	assert_int_equal(registry_deregister(&f->reg, bound(f, mine), &key, &spec.key, NULL),
	                 ERR_OWNER);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), ERR_OWNER);
	/* Another operator may, and takes nothing over. */
	assert_int_equal(registry_register(&f->reg, operator_at(f, mine), &key, &spec), 0);
	assert_int_equal(registry_patch(&f->reg, operator_at(f, mine), &key, &spec.key, &patch), 0);
	assert_int_equal(registry_patch(&f->reg, bound(f, mine), &key, &spec.key, &patch),
	                 ERR_OWNER);
	/* It stays the owner's who is no operator any more. */
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &spec.key, NULL), 0);
	assert_clean(f);
}

/* Nobody's instance: a registration takes it, but the operator's only what was last heard from his
 * source. */
static void operators_take_only_their_own(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct beat_result beat;

	assert_int_equal(registry_register(&f->reg, unasked(f, mine), &key, &spec), 0);
	assert_int_equal(registry_register(&f->reg, operator_at(f, other), &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_int_equal(registry_register(&f->reg, operator_at(f, mine), &key, &spec), 0);
	assert_int_equal(registry_beat(&f->reg, bound(f, other), &key, &spec.key, &beat),
	                 ERR_OWNER);
	assert_int_equal(registry_beat(&f->reg, bound(f, mine), &key, &spec.key, &beat), 0);
	assert_clean(f);
}

/* ---- services -------------------------------------------------------------------------------- */

static const struct service_settings some = { .threshold = 0.5F };
static const struct cluster_settings check_port = { .check_port = 81, .use_instance_port = true };

/* Every write on the service that leaves it there. */
static int write_all(struct fixture *f, struct origin origin, const struct service_key *key)
{
	static const uint8_t md5[2][16] = { { 1 }, { 2 } };
	struct service_view view;
	int ret[3] = { registry_update_service(&f->reg, origin, key, &some),
		       registry_update_cluster(&f->reg, origin, key, STR("DEFAULT"), &check_port),
		       0 };

	service_view_init(&view);
	assert_int_equal(registry_view(&f->reg, key, &view), 0);
	ret[2] = registry_renew_checksum(&f->reg, origin, key, view.stamp.id, view.content,
	                                 md5[view.stamp.revision % 2]);
	service_view_free(&view);
	assert_true(ret[0] == ret[1] && ret[1] == ret[2]);
	return ret[0];
}

static void settings_are_the_only_owners(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80), second = spec_for("1.1.1.2", 80);
	struct service_view view;
	uint64_t revision;
	uint32_t taken;

	service_view_init(&view);
	assert_int_equal(registry_create_service(&f->reg, bound(f, other), &key, &some), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), 0); /* empty: anybody's */
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), 0);
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	revision = view.stamp.revision;
	assert_int_equal(write_all(f, bound(f, other), &key), ERR_OWNER);
	assert_int_equal(registry_update_cluster(&f->reg, bound(f, other), &key, STR("new"),
	                                         &check_port),
	                 ERR_OWNER);
	assert_int_equal(registry_remove_service(&f->reg, bound(f, other), &key, &taken),
	                 ERR_OWNER);
	assert_int_equal(taken, 0);
	second.key.cluster =
	        STR("new"); /* removing what is not there makes no cluster, nor a push */
	assert_int_equal(registry_deregister(&f->reg, bound(f, other), &key, &second.key, NULL), 0);
	second.key.cluster = STR("DEFAULT");
	assert_int_equal(registry_view(&f->reg, &key, &view), 0);
	assert_int_equal(view.stamp.revision, revision);
	assert_int_equal(view.cluster_count, 1);
	/* One of each: nobody's but the operators'. */
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &second), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), ERR_OWNER);
	assert_int_equal(write_all(f, bound(f, other), &key), ERR_OWNER);
	assert_int_equal(write_all(f, operator_at(f, other), &key), 0);
	assert_int_equal(registry_deregister(&f->reg, bound(f, mine), &key, &spec.key, NULL), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), ERR_OWNER);
	assert_int_equal(write_all(f, bound(f, other), &key), 0);
	assert_clean(f);
	assert_int_equal(registry_remove_service(&f->reg, bound(f, other), &key, &taken), 0);
	assert_int_equal(taken, 1);
	assert_clean(f);
	assert_int_equal(registry_drain(&f->reg, registry_shard_of(&f->reg, &key), 100), 0);
	assert_clean(f);
	service_view_free(&view);
}

/* Instances without an owner count for nobody; once one is taken over, it does. */
static void nobodys_instances_leave_it_free(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("1.1.1.1", 80), second = spec_for("1.1.1.2", 80);

	assert_int_equal(registry_register(&f->reg, unasked(f, other), &key, &spec), 0);
	assert_int_equal(registry_register(&f->reg, unasked(f, other), &key, &second), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), 0);
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), 0);
	assert_int_equal(write_all(f, bound(f, other), &key), ERR_OWNER);
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &second), 0);
	assert_int_equal(write_all(f, bound(f, mine), &key), ERR_OWNER);
	/* Those who only read store what they found. */
	assert_int_equal(write_all(f, unasked(f, mine), &key), 0);
	assert_clean(f);
}

/* Against the plain rule, for a hundred thousand steps of four hosts. */
static void the_sum_says_who_owns_it(void **state)
{
	enum { HOSTS = 4, PORTS = 12 };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	unsigned owner[PORTS] = { 0 }, seed = 7,
	         refused = 0; /* of each port: 0 is not there, else the host + 1 */
	uint8_t address[16] = { [10] = 0xff, 0xff, 10, 0, 0, 1 };

	for (unsigned n = 0; n < 100000; n++) {
		unsigned port, host, strangers = 0;
		struct instance_spec spec;
		int ret;

		seed = seed * 1103515245U + 12345U;
		port = (seed >> 16) % PORTS;
		host = (seed >> 20) % HOSTS;
		address[15] = (uint8_t)host;
		spec = spec_for("1.1.1.1", (int32_t)port);
		for (unsigned p = 0; p < PORTS; p++)
			strangers += owner[p] != 0 && owner[p] != host + 1;
		if ((seed >> 28) == 0) {
			ret = registry_update_service(&f->reg, bound(f, address), &key, &some);
			assert_true(ret == ERR_NOT_FOUND || ret == (strangers > 0 ? ERR_OWNER : 0));
			refused += ret == ERR_OWNER;
		} else if ((seed >> 28) < 4) {
			ret = registry_register(&f->reg, bound(f, address), &key, &spec);
			assert_int_equal(ret, owner[port] == 0 || owner[port] == host + 1
			                              ? 0
			                              : ERR_OWNER);
			owner[port] = ret == 0 ? host + 1 : owner[port];
		} else {
			ret = registry_deregister(&f->reg, bound(f, address), &key, &spec.key,
			                          NULL);
			assert_int_equal(ret, owner[port] == 0 || owner[port] == host + 1
			                              ? 0
			                              : ERR_OWNER);
			owner[port] = ret == 0 ? 0 : owner[port];
		}
	}
	assert_in_range(refused, 100, 100000);
	assert_clean(f);
}

/* What is kept with the service is part of what the check looks at. */
static void the_check_adds_up(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct place place = key_place(&f->reg, &key);
	struct instance_spec spec = spec_for("1.1.1.1", 80);
	struct service *s;
	struct op op;

	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_clean(f);
	assert_int_equal(op_begin(&op, &f->reg, place.shard, client), 0);
	assert_true(service_find(&op, &key, place.hash, &s) != 0);
	op_end(&op);
	s->owners ^= 1;
	assert_int_equal(registry_audit(&f->reg, fixture_say, NULL), 1);
	s->owners ^= 1;
	s->owned++;
	assert_int_equal(registry_audit(&f->reg, fixture_say, NULL), 1);
	s->owned--;
	assert_clean(f);
}

/* The table of registry_internal.h, with an owner. */
static void operations_fit_the_log(void **state)
{
	static char metadata[8192], ip[200];
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct instance_spec spec = spec_for("", 80);

	memset(metadata, 'm', sizeof(metadata));
	memset(ip, 'i', sizeof(ip));
	spec.key.ip = str_make(ip, sizeof(ip));
	spec.key.cluster = STR("cluster-with-a-name-of-its-own");
	spec.metadata.packed = str_make(metadata, sizeof(metadata));
	spec.metadata.overrides = (struct overrides){ true, true, 1000, 2000, 3000 };
	assert_int_equal(registry_register(&f->reg, bound(f, mine), &key, &spec), 0);
	assert_in_range(f->reg.most_entries, 40, OP_ENTRIES_REGISTER + 3 * OP_ENTRIES_CHUNK);
	f->reg.most_entries = 0;
	assert_int_equal(registry_deregister(&f->reg, bound(f, mine), &key, &spec.key, NULL), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_DEREGISTER);
	assert_int_equal(registry_register(&f->reg, unasked(f, mine), &key, &spec), 0);
	f->reg.most_entries = 0;
	metadata[0] = 'x';
	spec.app = STR("another");
	assert_int_equal(registry_register(&f->reg, bound(f, other), &key, &spec), 0);
	assert_in_range(f->reg.most_entries, 1, OP_ENTRIES_REPLACE + 3 * OP_ENTRIES_CHUNK);
	assert_clean(f);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static void senders(void **state)
{
	static const uint8_t v6[3][16] = { { 0x20, 1, 0xd, 0xb8, [15] = 1 },
		                           { 0x20, 1, 0xd, 0xb8, [8] = 7, [15] = 2 },
		                           { 0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 1 } };
	static const uint8_t zero[16] = { 0 };
	struct fixture *f = *state;
	const struct registry *reg = &f->reg;

	assert_int_not_equal(sender_source(registry_sender(reg, mine)),
	                     sender_source(registry_sender(reg, other)));
	assert_int_equal(sender_source(registry_sender(reg, v6[0])),
	                 sender_source(registry_sender(reg, v6[1])));
	assert_true(registry_sender(reg, v6[0]) != registry_sender(reg, v6[1]));
	assert_int_not_equal(sender_source(registry_sender(reg, v6[0])),
	                     sender_source(registry_sender(reg, v6[2])));
	assert_int_not_equal(sender_source(registry_sender(reg, zero)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(strangers_change_nothing),         TEST(the_owner_and_the_unbound_do),
		TEST(nobodys_is_taken_by_the_next),     TEST(beats_take_nothing_over),
		TEST(operators_own_what_they_register), TEST(operators_take_only_their_own),
		TEST(settings_are_the_only_owners),     TEST(nobodys_instances_leave_it_free),
		TEST(the_sum_says_who_owns_it),         TEST(the_check_adds_up),
		TEST(operations_fit_the_log),           TEST(senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
