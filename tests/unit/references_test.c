/* SPDX-License-Identifier: Apache-2.0 */
/* References and lists that are damaged: whoever comes across one fails with ERR_CORRUPT, ends, and
 * changes nothing. */
#include "shared/registry/office.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/scan.h"
#include "tests/unit/registry_fixture.h"

#define NAME "g@@s"

/* A shard with three services, of which the first one has ten instances and a subscriber. */
static struct things populated(struct fixture *f)
{
	struct service_key key = key_for(NAME);
	struct subscriber_spec spec = { .agent = STR("agent"), .port = 9, .address = { 1 } };
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct service_stamp stamp;
	unsigned n = 0;
	char name[32];

	for (int32_t port = 1; port <= 10; port++)
		add(f, NAME, "1.1.1.1", port);
	add(f, name_in_shard(f, shard, &n, name), "1.1.1.1", 1);
	add(f, name_in_shard(f, shard, &n, name), "1.1.1.1", 1);
	assert_int_equal(registry_poll(&f->reg, &key, &spec, &stamp), 0);
	assert_clean(f);
	return things_of(f, NAME);
}

static void *instance_of(struct fixture *f, uint32_t off)
{
	return segment_at(f->seg, off, sizeof(struct instance));
}

/* ---- one reference --------------------------------------------------------------------------- */

static void *at_service(struct op *op, uint32_t off)
{
	return service_at(op, off);
}

static void *at_cluster(struct op *op, uint32_t off)
{
	return cluster_at(op, off);
}

static void *at_instance(struct op *op, uint32_t off)
{
	return instance_at(op, off);
}

static void *at_audience(struct op *op, uint32_t off)
{
	return audience_at(op, off);
}

static void *at_subscriber(struct op *op, uint32_t off)
{
	return subscriber_at(op, off);
}

static void what_is_not_there(void **state)
{
	static void *(*const at[])(struct op * op, uint32_t off) = { at_service, at_cluster,
		                                                     at_instance, at_audience,
		                                                     at_subscriber };
	struct fixture *f = *state;
	struct things t = populated(f);
	const uint32_t good[] = { t.root->first_service, t.s->first_cluster, t.c->first[1],
		                  t.root->first_audience, t.a->first };
	const uint32_t bad[] = { 0, 1, UINT32_MAX, t.c->first[1] + 1 };

	for (size_t n = 0; n < sizeof(at) / sizeof(at[0]); n++) {
		for (size_t b = 0; b < 4 + sizeof(good) / sizeof(good[0]); b++) {
			uint32_t off = b < 4 ? bad[b] : good[b - 4];
			struct op op;

			assert_int_equal(op_begin(&op, &f->reg, t.shard->index, client), 0);
			if (b == 4 + n) {
				assert_non_null(at[n](&op, off));
				assert_int_equal(op.tx.err, 0);
			} else {
				assert_null(at[n](&op, off));
				assert_int_equal(op.tx.err, ERR_CORRUPT);
			}
			op_end(&op);
		}
	}
}

/* The last subscriber takes its audience along, which is found by its name. */
static void an_audience_without_its_name(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct keeper_entry entry = { t.sub->id, t.a->first };

	t.a->name_len++;
	assert_int_equal(registry_unsubscribe_silent(&f->reg, t.shard->index, &entry, 1,
	                                             UINT64_MAX),
	                 ERR_CORRUPT);
	t.a->name_len--;
	f->seg->header->corrupt = 0;
	assert_int_equal(stats_of(f).subscribers, 1);
	assert_clean(f);
	assert_int_equal(registry_unsubscribe_silent(&f->reg, t.shard->index, &entry, 1,
	                                             UINT64_MAX),
	                 1);
	assert_clean(f);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int ask_health(struct fixture *f, const struct things *t)
{
	uint64_t healthy[REGISTRY_HEALTH_MOST / 64];
	struct service_key key = key_for(NAME);
	struct service_stamp stamp;

	return registry_health(&f->reg, &key, t->s->id, t->s->content, t->s->instances, healthy,
	                       &stamp);
}

static void more_or_fewer_than_the_count(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);

	assert_int_equal(ask_health(f, &t), 0);
	t.s->instances++;
	assert_int_equal(ask_health(f, &t), ERR_CORRUPT);
	t.s->instances -= 2;
	assert_int_equal(ask_health(f, &t), ERR_CORRUPT);
	t.s->instances++;
	assert_int_equal(ask_health(f, &t), 0);
}

static void count_rows(const struct service_row *row, void *arg)
{
	(void)row;
	assert_true(++*(unsigned *)arg < 1000);
}

static int ask_names(struct fixture *f)
{
	unsigned rows = 0;

	return registry_services(&f->reg, (struct str){ NULL, 0 }, count_rows, &rows);
}

static void names_of_services(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	uint32_t next = t.s->next;

	assert_int_equal(ask_names(f), 0);
	t.s->name_len++;
	assert_int_equal(ask_names(f), ERR_CORRUPT);
	t.s->name_len--;
	t.s->next = t.root->first_service; /* again and again */
	assert_int_equal(ask_names(f), ERR_CORRUPT);
	t.s->next = t.s->first_cluster;
	assert_int_equal(ask_names(f), ERR_CORRUPT);
	t.s->next = next;
	assert_int_equal(ask_names(f), 0);
}

/* The office is no shard of services: what lies behind it there is nobody's list. */
static void the_office_has_no_services(void **state)
{
	struct fixture *f = *state;
	uint8_t *office = f->seg->shards[SHARD_OFFICE].root;

	populated(f);
	memset(office + sizeof(struct office), 0xff, SHARD_ROOT_BYTES - sizeof(struct office));
	assert_int_equal(ask_names(f), 0);
	memset(office + sizeof(struct office), 0, SHARD_ROOT_BYTES - sizeof(struct office));
	assert_clean(f);
}

/* Who lost its place comes from the end. */
static void a_place_from_the_end(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct service *last = segment_at(f->seg, t.root->last_service, sizeof(*last));
	struct registry_cursor cursor = { .shard = t.shard->index, .off = 0, .id = t.s->id };
	uint32_t off, prev = last->prev;
	struct op op;

	assert_int_equal(op_begin(&op, &f->reg, t.shard->index, client), 0);
	assert_true(service_seek(&op, &cursor, &off));
	assert_int_equal(off, t.s->next);
	last->prev = t.root->last_service;
	assert_true(service_seek(&op, &cursor, &off));
	assert_int_equal(off, 0);
	assert_int_equal(op.tx.err, ERR_CORRUPT);
	op_end(&op);
	assert_int_equal(op_begin(&op, &f->reg, t.shard->index, client), 0);
	last->prev = t.s->first_cluster;
	assert_true(service_seek(&op, &cursor, &off));
	assert_int_equal(off, 0);
	assert_int_equal(op.tx.err, ERR_CORRUPT);
	op_end(&op);
	last->prev = prev;
}

/* Whoever copies or walks all instances. */
static int ask_view(struct fixture *f)
{
	struct service_key key = key_for(NAME);
	struct service_view view;
	int ret;

	service_view_init(&view);
	ret = registry_view(&f->reg, &key, &view);
	assert_true(ret < 0 || view.stamp.found);
	service_view_free(&view);
	return ret;
}

static void instances_of_a_service(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct instance *last = instance_of(f, t.c->last[1]);
	uint32_t soff = t.root->first_service;

	assert_int_equal(ask_view(f), 0);
	t.c->service = t.s->next;
	assert_int_equal(ask_view(f), ERR_CORRUPT);
	t.c->service = soff;
	last->next = t.c->first[1];
	assert_int_equal(ask_view(f), ERR_CORRUPT);
	assert_int_equal(ask_health(f, &t), ERR_CORRUPT);
	last->next = soff;
	assert_int_equal(ask_view(f), ERR_CORRUPT);
	last->next = 0;
	t.c->next = soff;
	t.s->clusters++;
	assert_int_equal(ask_view(f), ERR_CORRUPT);
	t.c->next = 0;
	t.s->clusters--;
	assert_int_equal(ask_view(f), 0);
}

/* A scan that is never told enough. */
static void a_scan_of_a_circle_ends(void **state)
{
	struct fixture *f = *state;
	struct things t = populated(f);
	struct instance *last = instance_of(f, t.c->last[1]);
	struct service_key key = key_for(NAME);
	struct service *s;
	struct scan scan;
	struct op op;
	uint32_t soff, steps = 0;
	int ret = 0;

	last->next = t.c->first[1];
	assert_int_equal(op_begin(&op, &f->reg, t.shard->index, client), 0);
	soff = service_find(&op, &key, key_place(&f->reg, &key).hash, &s);
	scan_begin(&scan, &op, &key, soff, s, WALK_ALL, 0);
	while (!scan.end && ret == 0 && steps < 1000000) {
		while (scan_next(&scan, &op) != NULL)
			steps++;
		ret = op.tx.err != 0 ? op.tx.err : 0;
		op_end(&op);
		assert_int_equal(op_begin(&op, &f->reg, t.shard->index, client), 0);
		if (ret == 0 && !scan.end)
			ret = scan_return(&scan, &op, &s);
	}
	op_end(&op);
	assert_int_equal(ret, ERR_CORRUPT);
	last->next = 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_not_there),
		TEST(an_audience_without_its_name),
		TEST(names_of_services),
		TEST(the_office_has_no_services),
		TEST(more_or_fewer_than_the_count),
		TEST(a_place_from_the_end),
		TEST(instances_of_a_service),
		TEST(a_scan_of_a_circle_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
