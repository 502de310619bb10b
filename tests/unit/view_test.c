/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a service in pieces, with a writer between all holds: the copy runs in a fiber whose
 * slice is nothing. */
#include "tests/unit/registry_fixture.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shared/base/fiber.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"

#define NAME "g@@long"
#define HOLD_OBJECTS 512U
#define COUNT 6000U

struct copying {
	struct fixture *f;
	struct service_view view;
	struct str cluster; /* set: a page of it */
	uint64_t from, to;
	bool settings;
	int ret;
};

static void copy(void *arg)
{
	struct copying *c = arg;
	struct service_key key = key_for(NAME);

	if (c->settings)
		c->ret = registry_settings(&c->f->reg, &key, &c->view);
	else if (str_is_set(c->cluster))
		c->ret = registry_page(&c->f->reg, &key, c->cluster, c->from, c->to, &c->view);
	else
		c->ret = registry_view(&c->f->reg, &key, &c->view);
}

typedef void writer_fn(struct copying *c, unsigned hold);

/* Returns how often the copy stood still. */
static unsigned copy_beside(struct copying *c, writer_fn *writer)
{
	struct fiber *fiber = fiber_new(copy, c);
	unsigned holds = 0;

	assert_non_null(fiber);
	while (!fiber_run(fiber, 0, false)) {
		assert_in_range(++holds, 1, 100000);
		if (writer != NULL)
			writer(c, holds);
	}
	return holds;
}

/* ---- services -------------------------------------------------------------------------------- */

static void add_one(struct fixture *f, const char *cluster, uint32_t number, bool ephemeral,
                    struct str metadata)
{
	struct service_key key = key_for(NAME);
	struct instance_spec spec;
	char ip[40];

	snprintf(ip, sizeof(ip), "10.%u.%u.%u%s", number >> 16, number >> 8 & 255, number & 255,
	         number % 7 == 0 ? ".with.a.longer.name" : "");
	spec = spec_for(ip, 80);
	spec.key.cluster = str_of(cluster);
	spec.key.ephemeral = ephemeral;
	spec.metadata.packed = metadata;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
}

/* Three clusters with instances of both kinds, one of them without any. */
static void fill(struct fixture *f, uint32_t count)
{
	static const char *const clusters[] = { "a", "b", "a", "a" };
	struct service_key key = key_for(NAME);
	struct instance_key nobody = { STR("empty"), STR("9.9.9.9"), 80, true };

	add_one(f, "a", 1000000, true, STR("first"));
	assert_int_equal(registry_deregister(&f->reg, client, &key, &nobody, NULL),
	                 0); /* makes the cluster */
	for (uint32_t n = 1; n < count; n++)
		add_one(f, clusters[n % 4], n, n % 3 != 0, STR("some metadata"));
}

static struct instance_key key_of_view(const struct service_view *view, uint32_t n)
{
	const struct instance_view *i = &view->instances[n];

	return (struct instance_key){ view->clusters[i->cluster].name, i->ip, i->port,
		                      (i->flags & INSTANCE_EPHEMERAL) != 0 };
}

static void remove_one(struct fixture *f, const struct service_view *view, uint32_t n)
{
	struct service_key key = key_for(NAME);
	struct instance_key instance = key_of_view(view, n);

	assert_int_equal(registry_deregister(&f->reg, client, &key, &instance, NULL), 0);
}

/* ---- what a copy must be --------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct instance_view *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static const struct instance_view *with_id(const struct service_view *sorted, uint64_t id)
{
	struct instance_view wanted = { .id = id };

	return bsearch(&wanted, sorted->instances, sorted->instance_count, sizeof(wanted), by_id);
}

static void sort(struct service_view *view)
{
	qsort(view->instances, view->instance_count, sizeof(view->instances[0]), by_id);
}

/* Cluster by cluster, persistent before ephemeral, in the order of their creation. */
static void assert_order(const struct service_view *view)
{
	for (uint32_t n = 1; n < view->instance_count; n++) {
		const struct instance_view *x = &view->instances[n - 1], *y = &view->instances[n];
		uint32_t rank_x = x->cluster * 2 + (x->flags & INSTANCE_EPHEMERAL),
		         rank_y = y->cluster * 2 + (y->flags & INSTANCE_EPHEMERAL);

		assert_true(rank_x < rank_y || (rank_x == rank_y && x->id < y->id));
		assert_true(y->cluster < view->cluster_count);
	}
}

static bool is_same(const struct instance_view *x, const struct instance_view *y)
{
	return str_eq(x->ip, y->ip) && x->port == y->port && x->cluster == y->cluster;
}

/* Everything that was there before and after, nothing that came later, nothing twice. */
static void assert_true_copy(struct copying *c, struct service_view *before)
{
	struct service_view after;

	service_view_init(&after);
	view_of(c->f, NAME, &after);
	assert_false(after.loose);
	assert_true(str_eq(c->view.ns, STR("public")) && str_eq(c->view.name, STR(NAME)));
	assert_order(&c->view);
	sort(before);
	sort(&after);
	sort(&c->view);
	for (uint32_t n = 0; n < c->view.instance_count; n++) {
		const struct instance_view *was = with_id(before, c->view.instances[n].id);

		assert_non_null(was);
		assert_true(is_same(was, &c->view.instances[n]));
		assert_true(n == 0 || c->view.instances[n].id != c->view.instances[n - 1].id);
		assert_true(str_eq(c->view.instances[n].app, STR("DEFAULT")));
	}
	for (uint32_t n = 0; n < after.instance_count; n++) {
		if (with_id(before, after.instances[n].id) != NULL)
			assert_non_null(with_id(&c->view, after.instances[n].id));
	}
	service_view_free(&after);
}

/* ---- quiet copies ---------------------------------------------------------------------------- */

static void a_hold_copies_so_many(struct copying *c, unsigned hold)
{
	assert_in_range(c->view.instance_count + c->view.cluster_count, 0, hold * HOLD_OBJECTS);
}

static void pieces_are_bounded_by_count(void **state)
{
	struct copying c = { .f = *state };
	struct service_view before;

	service_view_init(&before);
	service_view_init(&c.view);
	fill(c.f, COUNT);
	view_of(c.f, NAME, &before);
	assert_in_range(copy_beside(&c, a_hold_copies_so_many), COUNT / HOLD_OBJECTS,
	                2 * COUNT / HOLD_OBJECTS);
	assert_int_equal(c.ret, 0);
	assert_false(c.view.loose);
	assert_int_equal(c.view.instance_count, COUNT);
	assert_int_equal(c.view.cluster_count, 3);
	assert_true_copy(&c, &before);
	service_view_free(&before);
	service_view_free(&c.view);
}

static void a_hold_copies_so_much(struct copying *c, unsigned hold)
{
	assert_in_range(c->view.text_len, 0, hold * (131072 + 60000));
}

static void pieces_are_bounded_by_bytes(void **state)
{
	struct copying c = { .f = *state };
	char *metadata = malloc(60000);

	assert_non_null(metadata);
	memset(metadata, 'm', 60000);
	service_view_init(&c.view);
	for (uint32_t n = 0; n < 300; n++)
		add_one(c.f, "a", n, true, str_make(metadata, 60000));
	assert_in_range(copy_beside(&c, a_hold_copies_so_much), 99, 110);
	assert_int_equal(c.ret, 0);
	assert_int_equal(c.view.instance_count, 300);
	for (uint32_t n = 0; n < 300; n++)
		assert_true(str_eq(c.view.instances[n].metadata, str_make(metadata, 60000)));
	service_view_free(&c.view);
	free(metadata);
}

#define CLUSTERS 1000U

static void clusters_come_in_pieces_too(void **state)
{
	struct copying c = { .f = *state, .settings = true };
	struct service_key key = key_for(NAME);
	char name[24], metadata[2000];

	memset(metadata, 'm', sizeof(metadata));
	service_view_init(&c.view);
	for (uint32_t n = 0; n < CLUSTERS; n++) {
		struct cluster_settings settings = { .check_port = 1 + (int32_t)n,
			                             .set_metadata = true,
			                             .metadata =
			                                     str_make(metadata, sizeof(metadata)) };

		snprintf(name, sizeof(name), "c%u", n);
		add_one(c.f, name, n, n % 2 == 0, STR("m"));
		if (n % 3 == 0)
			add_one(c.f, name, CLUSTERS + n, true, STR("m"));
		assert_int_equal(registry_update_cluster(&c.f->reg, client, &key, str_of(name),
		                                         &settings),
		                 0);
	}
	assert_in_range(copy_beside(&c, a_hold_copies_so_much), CLUSTERS * 2000 / 131072, 40);
	assert_int_equal(c.view.cluster_count, CLUSTERS);
	assert_int_equal(c.view.instance_count, 0);
	assert_int_equal(c.view.stamp.instances, CLUSTERS + (CLUSTERS + 2) / 3);
	for (uint32_t n = 0; n < CLUSTERS; n++) {
		const struct cluster_view *cluster = &c.view.clusters[n];

		snprintf(name, sizeof(name), "c%u", n);
		assert_true(str_eq(cluster->name, str_of(name)));
		assert_true(str_eq(cluster->metadata, str_make(metadata, sizeof(metadata))));
		assert_int_equal(cluster->check_port, 1 + (int)n);
		assert_int_equal(cluster->instances, n % 3 == 0 ? 2 : 1);
	}
	service_view_free(&c.view);
}

/* ---- a writer between all holds -------------------------------------------------------------- */

static uint32_t fresh = 2000000;

static void one_comes(struct copying *c, unsigned hold)
{
	add_one(c->f, hold % 2 == 0 ? "a" : "new", fresh++, hold % 3 == 0, STR("came later"));
}

static void last_goes(struct copying *c, unsigned hold)
{
	(void)hold;
	if (c->view.instance_count > 0)
		remove_one(c->f, &c->view, c->view.instance_count - 1);
}

/* Every place that the copy could remember. */
static void all_copied_go(struct copying *c, unsigned hold)
{
	static uint32_t gone;

	gone = hold == 1 || gone > c->view.instance_count ? 0 : gone;
	for (; gone < c->view.instance_count; gone++)
		remove_one(c->f, &c->view, gone);
}

/* The text grows beyond what was needed in the beginning, also under what was copied. */
static void metadata_grows(struct copying *c, unsigned hold)
{
	struct service_key key = key_for(NAME);
	struct instance_patch patch = { .set_metadata = true };
	uint64_t known[] = { 0, (uint64_t)ERR_NO_INSTANCE }; /* half of them are gone */
	static char metadata[60000];

	memset(metadata, 'g', sizeof(metadata));
	patch.metadata.packed = str_make(metadata, sizeof(metadata));
	for (uint32_t n = hold * 50; n < hold * 50 + 8; n++) {
		struct instance_key wanted = { .port = 80, .ephemeral = n % 3 != 0 };
		char ip[40];

		if (n >= COUNT)
			return;
		snprintf(ip, sizeof(ip), "10.%u.%u.%u%s", n >> 16, n >> 8 & 255, n & 255,
		         n % 7 == 0 ? ".with.a.longer.name" : "");
		wanted.ip = str_of(ip);
		wanted.cluster = n % 4 == 1 ? STR("b") : STR("a");
		assert_in_set((uint64_t)registry_patch(&c->f->reg, client, &key, &wanted, &patch),
		              known, 2);
	}
}

/* Pages are emptied, and the compaction moves what is left on them. */
static void all_move(struct copying *c, unsigned hold)
{
	struct service_key key = key_for(NAME);
	uint32_t moved, shard = registry_shard_of(&c->f->reg, &key);

	add_one(c->f, "a", fresh++, true, STR("came later"));
	(void)hold;
	for (unsigned n = 0;
	     n < 200 && registry_compact(&c->f->reg, &c->f->walks, shard, 256, &moved) > 0;)
		n++;
}

static void some_go(struct copying *c, unsigned hold)
{
	for (unsigned n = 0; n < 40 && c->view.instance_count > 0; n++)
		remove_one(c->f, &c->view,
		           (uint32_t)(hold * 2654435761U + n * 40503U) % c->view.instance_count);
	if (hold % 4 == 0)
		all_move(c, hold);
}

static void beside(struct fixture *f, writer_fn *writer)
{
	struct copying c = { .f = f };
	struct service_view before;
	uint64_t revision;

	service_view_init(&before);
	service_view_init(&c.view);
	fill(f, COUNT);
	/* Pages half empty, so that there is something to move. */
	view_of(f, NAME, &before);
	for (uint32_t n = 0; n < COUNT; n++) {
		if (n % 8 < 5 && n % 500 != 0)
			remove_one(f, &before, n);
	}
	view_of(f, NAME, &before);
	revision = before.stamp.revision;
	assert_in_range(before.instance_count, 2000, COUNT);
	/* Two tries end at their first change; the third one begins with the state after both. */
	struct fiber *fiber = fiber_new(copy, &c);
	unsigned holds = 0;

	for (; !fiber_run(fiber, 0, false);) {
		assert_in_range(++holds, 1, 100000);
		if (c.view.instance_count <= HOLD_OBJECTS &&
		    c.view.stamp.revision > revision) { /* a new begin */
			revision = c.view.stamp.revision;
			view_of(f, NAME, &before);
			assert_int_equal(before.stamp.revision, revision);
		}
		writer(&c, holds);
	}
	assert_int_equal(c.ret, 0);
	assert_true(c.view.stamp.found && c.view.loose);
	assert_false(c.view.has_checksum);
	assert_int_equal(c.view.stamp.revision, revision);
	assert_true(stamp_of(f, NAME).revision > revision);
	assert_in_range(holds, before.instance_count / HOLD_OBJECTS, 400);
	assert_true_copy(&c, &before);
	service_view_free(&before);
	service_view_free(&c.view);
	assert_clean(f);
}

static void while_others_come(void **state)
{
	beside(*state, one_comes);
}

static void while_the_last_one_goes(void **state)
{
	beside(*state, last_goes);
}

static void while_all_that_was_copied_goes(void **state)
{
	beside(*state, all_copied_go);
}

static void while_metadata_grows(void **state)
{
	beside(*state, metadata_grows);
}

static void while_all_is_moved(void **state)
{
	beside(*state, all_move);
}

static void while_some_go_and_others_are_moved(void **state)
{
	beside(*state, some_go);
}

/* ---- the service goes ------------------------------------------------------------------------ */

static void it_goes(struct copying *c, unsigned hold)
{
	struct service_key key = key_for(NAME);

	if (hold < 4)
		one_comes(c, hold);
	else if (hold == 4)
		assert_int_equal(registry_remove_service(&c->f->reg, client, &key, NULL), 0);
	else
		fail_msg("the copy goes on");
}

static void a_service_that_goes_meanwhile_is_unknown(void **state)
{
	struct copying c = { .f = *state };

	service_view_init(&c.view);
	fill(c.f, COUNT);
	copy_beside(&c, it_goes);
	assert_int_equal(c.ret, 0);
	assert_false(c.view.stamp.found);
	assert_int_equal(c.view.instance_count, 0);
	service_view_free(&c.view);
}

static void it_is_another(struct copying *c, unsigned hold)
{
	struct service_key key = key_for(NAME);

	if (hold != 1)
		return;
	assert_int_equal(registry_remove_service(&c->f->reg, client, &key, NULL), 0);
	add_one(c->f, "z", 7, true, STR("another"));
}

static void another_one_of_that_name_is_copied_instead(void **state)
{
	struct copying c = { .f = *state };

	service_view_init(&c.view);
	fill(c.f, COUNT);
	copy_beside(&c, it_is_another);
	assert_int_equal(c.ret, 0);
	assert_true(c.view.stamp.found && !c.view.loose);
	assert_int_equal(c.view.instance_count, 1);
	assert_true(str_eq(c.view.clusters[0].name, STR("z")));
	service_view_free(&c.view);
}

static void nobody_waits(void **state)
{
	struct copying c = { .f = *state };
	struct fiber *fiber = fiber_new(copy, &c);

	service_view_init(&c.view);
	fill(c.f, COUNT);
	assert_non_null(fiber);
	assert_false(fiber_run(fiber, 0, false));
	assert_true(fiber_run(fiber, 0, true));
	assert_int_equal(c.ret, ERR_GONE);
	assert_false(c.view.stamp.found);
	view_of(c.f, NAME, &c.view);
	assert_int_equal(c.view.instance_count, COUNT);
	service_view_free(&c.view);
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void a_page_is_a_part_of_the_view(void **state)
{
	static const uint64_t rows[][2] = { { 0, 0 },       { 0, 1 },
		                            { 0, 10 },      { 1499, 1501 },
		                            { 1500, 3000 }, { 0, UINT64_MAX },
		                            { 4499, 9000 }, { 4500, 4600 },
		                            { 10, 5 },      { UINT64_MAX - 1, UINT64_MAX } };
	struct copying c = { .f = *state, .cluster = STR("a") };
	struct service_view whole;
	uint32_t first = 0, count = 0;

	service_view_init(&whole);
	service_view_init(&c.view);
	fill(c.f, COUNT);
	view_of(c.f, NAME, &whole);
	for (uint32_t n = 0; n < whole.instance_count; n++)
		count += whole.instances[n].cluster == 0;
	assert_int_equal(count, 4500);
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint64_t from = c.from = rows[r][0], to = c.to = rows[r][1];

		copy_beside(&c, NULL);
		assert_int_equal(c.ret, 0);
		assert_int_equal(c.view.cluster_count, 1);
		assert_int_equal(c.view.clusters[0].instances, count);
		to = to < count ? to : count;
		assert_int_equal(c.view.instance_count, from < to ? to - from : 0);
		for (uint32_t n = 0; n < c.view.instance_count; n++) {
			assert_int_equal(c.view.instances[n].id,
			                 whole.instances[first + from + n].id);
			assert_int_equal(c.view.instances[n].cluster, 0);
		}
	}
	c.cluster = STR("empty");
	copy_beside(&c, NULL);
	assert_int_equal(c.view.cluster_count, 1);
	assert_int_equal(c.view.instance_count, 0);
	c.cluster = STR("unknown");
	copy_beside(&c, NULL);
	assert_true(c.view.stamp.found);
	assert_int_equal(c.view.cluster_count, 0);
	service_view_free(&whole);
	service_view_free(&c.view);
}

/* The last ten of a list that loses its first one between all holds. */
static void a_late_page_beside_a_writer(void **state)
{
	struct copying c = { .f = *state, .cluster = STR("a"), .from = 4000, .to = 4010 };

	service_view_init(&c.view);
	fill(c.f, COUNT);
	copy_beside(&c, one_comes);
	assert_int_equal(c.ret, 0);
	assert_true(c.view.loose);
	assert_int_equal(c.view.instance_count, 10);
	service_view_free(&c.view);
}

static void settings_without_instances(void **state)
{
	struct copying c = { .f = *state, .settings = true };

	service_view_init(&c.view);
	copy_beside(&c, NULL);
	assert_int_equal(c.ret, 0);
	assert_false(c.view.stamp.found);
	fill(c.f, COUNT);
	assert_int_equal(copy_beside(&c, NULL), 0); /* one hold */
	assert_int_equal(c.view.stamp.instances, COUNT);
	assert_int_equal(c.view.instance_count, 0);
	assert_int_equal(c.view.cluster_count, 3);
	assert_int_equal(c.view.clusters[0].instances, 4500);
	assert_int_equal(c.view.clusters[1].instances, 0);
	assert_int_equal(c.view.clusters[2].instances, 1500);
	assert_true(str_eq(c.view.name, STR(NAME)) && str_eq(c.view.ns, STR("public")));
	service_view_free(&c.view);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool is_there(const void *at)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char resident;

	assert_int_equal(mincore((char *)at - (uintptr_t)at % page, 1, &resident), 0);
	return (resident & 1) != 0;
}

/* What a hold may write to is there before the lock is taken, also where it does not write in the
 * end. Large pages would be there as a whole. */
static void memory_is_there_before_the_hold(void **state)
{
	struct copying c = { .f = *state };
	static char metadata[300];

	memset(metadata, 'm', sizeof(metadata));
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	for (uint32_t n = 0; n < COUNT; n++)
		add_one(c.f, "DEFAULT", n, true, str_make(metadata, sizeof(metadata)));
	service_view_init(&c.view);
	assert_true(copy_beside(&c, NULL) > 1);
	assert_int_equal(c.ret, 0);
	assert_int_equal(c.view.instance_count, COUNT);
	assert_true(c.view.text_cap - c.view.text_len > 65536);
	assert_true(c.view.instance_cap - c.view.instance_count > 200);
	assert_true(is_there(c.view.text + c.view.text_len + 65536));
	assert_true(is_there(c.view.instances + c.view.instance_count + 200));
	service_view_free(&c.view);
	assert_int_equal(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_are_bounded_by_count),
		TEST(pieces_are_bounded_by_bytes),
		TEST(clusters_come_in_pieces_too),
		TEST(while_others_come),
		TEST(while_the_last_one_goes),
		TEST(while_all_that_was_copied_goes),
		TEST(while_metadata_grows),
		TEST(while_all_is_moved),
		TEST(while_some_go_and_others_are_moved),
		TEST(a_service_that_goes_meanwhile_is_unknown),
		TEST(another_one_of_that_name_is_copied_instead),
		TEST(nobody_waits),
		TEST(a_page_is_a_part_of_the_view),
		TEST(a_late_page_beside_a_writer),
		TEST(settings_without_instances),
		TEST(memory_is_there_before_the_hold),
	};

	mallopt(M_MMAP_THRESHOLD, 65536); /* no view gets memory that another one has used */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
