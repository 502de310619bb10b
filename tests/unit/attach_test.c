/* SPDX-License-Identifier: Apache-2.0 */
/* What an attach refuses: each number and each end at the roots that contradicts another one. */
#include "shared/registry/namespaces.h"
#include "shared/registry/office.h"
#include "shared/registry/registry_pusher.h"
#include "shared/shm/shard.h"
#include "tests/unit/registry_fixture.h"

#define ENDS "the ends of a shard's lists are impossible"
#define SUMS "the sums of a shard contradict each other"
#define OFFICE "the list of namespaces is impossible"

/* A root, and what it is when nothing is wrong with it. */
struct rooted {
	struct fixture *f;
	struct registry_root *root, good;
};

/* Whatever was damaged is seen, and mended again. */
static void assert_refused(struct rooted *r, const char *why)
{
	assert_string_equal(registry_damaged(r->f->seg), why);
	*r->root = r->good;
	assert_null(registry_damaged(r->f->seg));
}

/* The root of the shard of "g@@s", which has two services, an audience, and one service that is
 * being drained. */
static struct rooted populated(struct fixture *f)
{
	struct service_key key = key_for("g@@s"), other = key;
	struct subscriber_spec spec = { .agent = STR("agent"), .port = 9 };
	struct service_stamp stamp;
	uint32_t shard = registry_shard_of(&f->reg, &key);
	unsigned n = 0;
	char name[32];

	add(f, "g@@s", "1.1.1.1", 1);
	for (unsigned made = 0; made < 2; made++) {
		other = key_for(name_in_shard(f, shard, &n, name));
		add(f, name, "1.1.1.1", 1);
	}
	assert_int_equal(registry_remove_service(&f->reg, client, &other, NULL), 0);
	assert_int_equal(registry_poll(&f->reg, &key, &spec, &stamp), 0);
	assert_clean(f);
	return (struct rooted){ f, (struct registry_root *)f->seg->shards[shard].root,
		                *(struct registry_root *)f->seg->shards[shard].root };
}

static void lists_have_two_ends_or_none(void **state)
{
	struct rooted r = populated(*state);
	struct registry_root *root = r.root;
	struct {
		uint32_t *first, *last;
		uint32_t of_another_kind;
	} lists[] = {
		{ &root->first_service, &root->last_service, root->first_audience },
		{ &root->first_drain, &root->last_drain, root->first_audience },
		{ &root->first_audience, &root->last_audience, root->first_service },
		{ &root->queue[0].first, &root->queue[0].last, root->first_audience },
	};

	for (size_t n = 0; n < sizeof(lists) / sizeof(lists[0]); n++) {
		assert_int_not_equal(*lists[n].first, 0);
		*lists[n].first = 0;
		assert_refused(&r, ENDS);
		*lists[n].last = 0;
		assert_refused(&r, ENDS);
		*lists[n].first = lists[n].of_another_kind;
		assert_refused(&r, ENDS);
		*lists[n].last = lists[n].of_another_kind;
		assert_refused(&r, ENDS);
		*lists[n].first = *lists[n].last = 0; /* although there are some */
		assert_refused(&r, ENDS);
	}
	root->queue[0].count = 0;
	assert_refused(&r, ENDS);
	root->queue[0].count = root->service_count + 1;
	assert_refused(&r, ENDS);
}

static void empty_lists_have_no_count(void **state)
{
	struct fixture *f = *state;
	struct registry_root *root = (struct registry_root *)f->seg->shards[3].root;
	struct rooted r = { f, root, *root };

	root->queue[0].count = 1;
	assert_refused(&r, ENDS);
	root->service_count = 1;
	assert_refused(&r, ENDS);
	root->drain_count = 1;
	assert_refused(&r, ENDS);
}

static void sums_agree(void **state)
{
	struct rooted r = populated(*state);
	struct registry_root *root = r.root;

	root->services.count--;
	assert_refused(&r, SUMS);
	root->subscriber_count++;
	assert_refused(&r, SUMS);
	root->drain_count++;
	assert_refused(&r, SUMS);
	root->instances.count--;
	assert_refused(&r, SUMS);
	root->subscribers.count--;
	root->subscriber_count--;
	assert_refused(&r, SUMS);
	root->instance_count = root->instances.count + 1;
	assert_refused(&r, SUMS);
	root->ephemeral_count = root->instance_count + 1;
	assert_refused(&r, SUMS);
	root->healthy_count = root->instance_count + 1;
	assert_refused(&r, SUMS);
	root->waiting_count = root->audiences.count + 1;
	assert_refused(&r, SUMS);
	/* As many as there can be are no damage. */
	root->instance_count = root->ephemeral_count = root->healthy_count = root->instances.count;
	root->waiting_count = root->audiences.count;
	assert_null(registry_damaged(r.f->seg));
}

/* A list that has one object less than its kind: its count and the number of its table agree. */
static void objects_of_each_kind(void **state)
{
	static const enum slab_kind kinds[] = { SLAB_SERVICE, SLAB_INSTANCE, SLAB_AUDIENCE,
		                                SLAB_SUBSCRIBER };
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s");
	struct shard *shard = &f->seg->shards[registry_shard_of(&f->reg, &key)];

	populated(f);
	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
		shard->slabs[kinds[n]].objects++;
		assert_string_equal(registry_damaged(f->seg), SUMS);
		shard->slabs[kinds[n]].objects--;
	}
	assert_null(registry_damaged(f->seg));
}

static void tables_of_each_kind(void **state)
{
	struct rooted r = populated(*state);
	struct table *tables[] = { &r.root->services, &r.root->instances, &r.root->audiences,
		                   &r.root->subscribers };

	for (size_t n = 0; n < sizeof(tables) / sizeof(tables[0]); n++) {
		tables[n]->kind++;
		assert_refused(&r, "a table's numbers are impossible");
	}
}

static void the_list_of_namespaces(void **state)
{
	struct fixture *f = *state;
	struct office *office = office_of(f->seg), good;

	assert_null(registry_damaged(f->seg));
	assert_int_equal(namespaces_create(&f->reg, &(struct namespace_row){ STR("n"),
	                                                                     STR("one"),
	                                                                     { NULL, 0 } }),
	                 0);
	good = *office;
	assert_null(registry_damaged(f->seg));
	office->first_namespace = 0;
	assert_string_equal(registry_damaged(f->seg), OFFICE);
	office->last_namespace = 0;
	assert_string_equal(registry_damaged(f->seg), OFFICE);
	*office = good;
	office->namespaces.count = 0;
	assert_string_equal(registry_damaged(f->seg), OFFICE);
	*office = good;
	office->namespaces.kind++;
	assert_string_equal(registry_damaged(f->seg), "a table's numbers are impossible");
	*office = good;
	assert_null(registry_damaged(f->seg));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_have_two_ends_or_none),
		TEST(empty_lists_have_no_count),
		TEST(sums_agree),
		TEST(objects_of_each_kind),
		TEST(tables_of_each_kind),
		TEST(the_list_of_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
