/* SPDX-License-Identifier: Apache-2.0 */
/* What a registration looks for among all instances of a large service, in several holds and beside
 * others. */
#include "tests/unit/registry_fixture.h"

#include "shared/base/fiber.h"
#include "shared/registry/lookup.h"

#define NAME "g@@long"
#define COUNT 3000

struct putting {
	struct fixture *f;
	struct instance_spec spec;
	bool update;
	int ret;
};

static void put(void *arg)
{
	struct putting *p = arg;
	struct service_key key = key_for(NAME);

	p->ret = p->update ? registry_update(&p->f->reg, client, &key, &p->spec)
	                   : registry_register(&p->f->reg, client, &key, &p->spec);
}

static void name_ip(char ip[32], unsigned number)
{
	snprintf(ip, 32, "10.0.%u.%u", number / 250, number % 250);
}

static int64_t ident_of(struct fixture *f, const struct instance_spec *spec)
{
	struct service_key key = key_for(NAME);
	struct service_view view;
	int64_t ident;
	bool known;

	service_view_init(&view);
	assert_int_equal(registry_get(&f->reg, &key, &spec->key, -1, &view, &known), 0);
	ident = view.instances[0].ident;
	service_view_free(&view);
	return ident;
}

static void register_numbered(struct fixture *f, unsigned number, bool snowflake)
{
	struct service_key key = key_for(NAME);
	struct instance_spec spec;
	char ip[32];

	name_ip(ip, number);
	spec = spec_for(ip, 80);
	spec.metadata.snowflake = snowflake;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(ident_of(f, &spec), snowflake ? (int64_t)number : -1);
}

static void the_smallest_free_number_of_many(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	char ip[32];

	for (unsigned n = 0; n < COUNT; n++)
		register_numbered(f, n, true);
	for (unsigned n = 2900; n > 100; n -= 700) {
		struct instance_spec spec;

		name_ip(ip, n);
		spec = spec_for(ip, 80);
		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
		register_numbered(f, n, true);
	}
	assert_clean(f);
}

/* All have looked when the first one writes. */
static void nobody_gets_the_number_of_another(void **state)
{
	enum { WRITERS = 20 };
	struct fixture *f = *state;
	struct putting p[WRITERS];
	struct fiber *fiber[WRITERS];
	char ip[WRITERS][32];
	bool over[WRITERS] = { false };
	unsigned left = WRITERS;

	for (unsigned n = 0; n < COUNT; n++)
		register_numbered(f, n, n < 1000);
	for (unsigned n = 0; n < WRITERS; n++) {
		name_ip(ip[n], COUNT + n);
		p[n] = (struct putting){ .f = f, .spec = spec_for(ip[n], 80) };
		p[n].spec.metadata.snowflake = true;
		p[n].spec.key.cluster = n % 2 == 0 ? STR("DEFAULT") : STR("other");
		assert_non_null(fiber[n] = fiber_new(put, &p[n]));
	}
	while (left > 0) {
		for (unsigned n = 0; n < WRITERS; n++) {
			if (over[n] || !fiber_run(fiber[n], 0, false))
				continue;
			over[n] = true;
			assert_int_equal(p[n].ret, 0);
			assert_int_equal(ident_of(f, &p[n].spec), 1000 + WRITERS - left);
			left--;
		}
	}
	assert_clean(f);
}

static void equal_with_any_port_among_many(void **state)
{
	struct fixture *f = *state;
	struct putting p = { .f = f, .update = true };
	struct fiber *fiber;
	unsigned stops = 0;
	char ip[32];

	for (unsigned n = 0; n < COUNT; n++)
		register_numbered(f, n, false);
	name_ip(ip, COUNT - 1);
	p.spec = spec_for(ip, 0);
	assert_non_null(fiber = fiber_new(put, &p));
	while (!fiber_run(fiber, 0, false))
		stops++;
	assert_in_range(stops, 2, 10);
	assert_int_equal(p.ret, 0);
	assert_int_equal(stamp_of(f, NAME).instances, COUNT + 1);
	p.spec = spec_for("1.2.3.4", 0);
	put(&p);
	assert_int_equal(p.ret, ERR_NO_INSTANCE);
	p.spec = spec_for(ip, 0);
	p.spec.key.ephemeral = false;
	put(&p);
	assert_int_equal(p.ret, ERR_NO_INSTANCE);
	assert_int_equal(stamp_of(f, NAME).instances, COUNT + 1);
	assert_clean(f);
}

static void equal_in_any_of_many_clusters(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct putting p = { .f = f, .update = true };
	char cluster[16];

	for (unsigned n = 0; n < 700; n++) {
		struct instance_spec spec = spec_for("1.1.1.1", (int32_t)n + 1);

		snprintf(cluster, sizeof(cluster), "c%u", n);
		spec.key.cluster = str_of(cluster);
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
	p.spec = spec_for("1.1.1.1", 700);
	put(&p);
	assert_int_equal(p.ret, 0);
	p.spec = spec_for("1.1.1.1", 701);
	put(&p);
	assert_int_equal(p.ret, ERR_NO_INSTANCE);
	assert_clean(f);
}

/* What was found is gone when it is written: it is looked for again. */
static void equal_goes_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct putting p = { .f = f, .update = true, .spec = spec_for("2.2.2.2", 0) };
	struct instance_spec found = spec_for("2.2.2.2", 80);
	struct fiber *fiber;

	for (unsigned n = 0; n < COUNT; n++)
		register_numbered(f, n, false);
	assert_int_equal(registry_register(&f->reg, client, &key, &found), 0);
	assert_non_null(fiber = fiber_new(put, &p));
	assert_false(fiber_run(fiber, 0, false));
	assert_int_equal(registry_deregister(&f->reg, client, &key, &found.key, NULL), 0);
	while (!fiber_run(fiber, 0, false))
		;
	assert_int_equal(p.ret, ERR_NO_INSTANCE);
	assert_clean(f);
}

/* Nobody waits for the answer any more: nothing is written with half of what is to be known. */
static void given_up_on_the_way(void **state)
{
	struct fixture *f = *state;
	struct putting p = { .f = f, .spec = spec_for("2.2.2.2", 80) };
	struct fiber *fiber;

	for (unsigned n = 0; n < COUNT; n++)
		register_numbered(f, n, true);
	p.spec.metadata.snowflake = true;
	assert_non_null(fiber = fiber_new(put, &p));
	assert_false(fiber_run(fiber, 0, false));
	fiber_end(&fiber);
	assert_int_equal(p.ret, ERR_GONE);
	assert_int_equal(stamp_of(f, NAME).instances, COUNT);
	assert_clean(f);
}

/* A registration makes a new service then; an update has nothing to change. */
static void the_service_goes_meanwhile(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);

	for (unsigned update = 0; update < 2; update++) {
		struct putting p = { .f = f, .update = update };
		struct fiber *fiber;

		for (unsigned n = 0; n < COUNT; n++)
			register_numbered(f, n, true);
		p.spec = spec_for("2.2.2.2", update ? 0 : 80);
		p.spec.metadata.snowflake = true;
		assert_non_null(fiber = fiber_new(put, &p));
		assert_false(fiber_run(fiber, 0, false));
		assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
		while (!fiber_run(fiber, 0, false))
			;
		assert_int_equal(p.ret, update ? ERR_NOT_FOUND : 0);
		assert_int_equal(stamp_of(f, NAME).instances, update ? 0 : 1);
		if (!update) {
			assert_int_equal(ident_of(f, &p.spec), 0);
			assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
		}
		assert_clean(f);
	}
}

/* Looked for in vain, as when another process removed it. */
static void a_service_that_is_gone_has_no_numbers(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for(NAME);
	struct instance_key instance = { STR("DEFAULT"), STR("1.1.1.1"), 0, true };
	struct idents idents = { .service_id = 1 };
	struct keeper_entry known = { .id = 1 };

	assert_int_equal(idents_read(&f->reg, &key, true, &idents), ERR_NOT_FOUND);
	assert_int_equal(idents.service_id, 0);
	free(idents.taken);
	assert_int_equal(equal_find(&f->reg, &key, &instance, &known), ERR_NOT_FOUND);
	assert_int_equal(known.id, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_smallest_free_number_of_many),
		TEST(nobody_gets_the_number_of_another),
		TEST(equal_with_any_port_among_many),
		TEST(equal_in_any_of_many_clusters),
		TEST(equal_goes_meanwhile),
		TEST(given_up_on_the_way),
		TEST(the_service_goes_meanwhile),
		TEST(a_service_that_is_gone_has_no_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
