/* SPDX-License-Identifier: Apache-2.0 */
/* Nearly empty pages are emptied, and nothing that can be seen changes. */
#include "registry_fixture.h"

#include "shared/registry/registry_keeper.h"
#include "shared/registry/settings.h"

#define SERVICES 200U
#define PER_SERVICE 20U

static void name_of(unsigned service, char out[24])
{
	snprintf(out, 24, "g@@s-%u", service);
}

static struct instance_spec spec_of(unsigned n, char ip[24])
{
	struct instance_spec spec;

	snprintf(ip, 24, "10.0.%u.%u", n >> 8, n & 255);
	spec = spec_for(ip, 80);
	spec.key.ephemeral = n % 5 != 0;
	spec.key.cluster = n % 7 == 0 ? STR("other") : STR("DEFAULT");
	spec.metadata.packed = STR("some metadata of everyday length");
	spec.app = n % 3 == 0 ? STR("an app") : STR("DEFAULT");
	return spec;
}

static void fill(struct fixture *f)
{
	char name[24], ip[24];

	for (unsigned n = 0; n < SERVICES * PER_SERVICE; n++) {
		struct service_key key;
		struct instance_spec spec = spec_of(n, ip);

		name_of(n % SERVICES, name);
		key = key_for(name);
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	}
}

/* Nine of ten, whose place in the pages has no pattern. */
static void thin_out(struct fixture *f)
{
	char name[24], ip[24];

	for (unsigned n = 0; n < SERVICES * PER_SERVICE; n++) {
		struct service_key key;
		struct instance_spec spec = spec_of(n, ip);

		if (n * 2654435761U % 1000 < 100)
			continue;
		name_of(n % SERVICES, name);
		key = key_for(name);
		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	}
}

static uint64_t pages(struct fixture *f)
{
	return f->seg->header->backed - f->seg->header->free_hint;
}

static uint32_t compact_all(struct fixture *f, uint32_t budget)
{
	uint32_t all = 0, moved;
	int left;

	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		do {
			dirty_the_stack();
			left = registry_compact(&f->reg, &f->walks, shard, budget, &moved);
			assert_true(left >= 0);
			all += moved;
		} while (left > 0);
	}
	return all;
}

static uint64_t seen(struct fixture *f)
{
	struct service_view view;
	uint64_t sum = 0;
	char name[24];

	service_view_init(&view);
	for (unsigned service = 0; service < SERVICES; service++) {
		name_of(service, name);
		view_of(f, name, &view);
		for (uint32_t i = 0; i < view.instance_count; i++) {
			const struct instance_view *in = &view.instances[i];

			sum = sum * 31 + in->id * 7 + in->beat_ms + in->flags + in->metadata.n +
			      in->app.n + (unsigned char)in->ip.p[in->ip.n - 1];
		}
	}
	service_view_free(&view);
	return sum;
}

static void gives_pages_back(void **state)
{
	struct fixture *f = *state;
	uint64_t full, thin, before;

	fill(f);
	full = pages(f);
	assert_int_equal(compact_all(f, 64), 0);
	thin_out(f);
	thin = pages(f);
	before = seen(f);
	assert_true(compact_all(f, 64) > 100);
	assert_int_equal(seen(f), before);
	assert_clean(f);
	printf("pages: %u full, %u thinned out, %u compacted\n", (unsigned)full, (unsigned)thin,
	       (unsigned)pages(f));
	assert_true(pages(f) < thin);
	assert_true(compact_all(f, 64) < 50);
}

static void found_and_changed_as_before(void **state)
{
	struct fixture *f = *state;
	char name[24], ip[24];

	fill(f);
	thin_out(f);
	compact_all(f, 1000);
	for (unsigned n = 0; n < SERVICES * PER_SERVICE; n++) {
		struct instance_spec spec = spec_of(n, ip);
		struct beat_result result;
		struct service_key key;

		if (n * 2654435761U % 1000 >= 100)
			continue;
		name_of(n % SERVICES, name);
		key = key_for(name);
		assert_int_equal(registry_beat(&f->reg, client, &key, &spec.key, &result), 0);
		assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key, NULL), 0);
	}
	assert_int_equal(stats_of(f).instances, 0);
	assert_clean(f);
}

/* Between two steps anything may happen: the pass ends or goes on, nothing breaks. */
static void changes_between_steps(void **state)
{
	struct fixture *f = *state;
	char name[24], ip[24];
	uint32_t moved;

	fill(f);
	thin_out(f);
	for (unsigned round = 0; round < 400; round++) {
		unsigned n = round * 2654435761U % (SERVICES * PER_SERVICE);
		struct instance_spec spec = spec_of(n, ip);
		struct service_key key;

		name_of(n % SERVICES, name);
		key = key_for(name);
		assert_true(registry_compact(&f->reg, &f->walks, round % SHARDS, 3, &moved) >= 0);
		assert_true(registry_compact(&f->reg, &f->walks, round % SHARDS, 3, &moved) >= 0);
		if (round % 3 == 0)
			assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
		else if (round % 3 == 1)
			assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key,
			                                     NULL),
			                 0);
		else if (round % 30 == 2 && stamp_of(f, name).found)
			assert_int_equal(registry_remove_service(&f->reg, client, &key, NULL), 0);
	}
	compact_all(f, 10);
	assert_clean(f);
}

/* A move of an instance alone: whoever copies the service in pieces has references that are no
 * longer true. */
static void moved_instances_are_another_revision(void **state)
{
	struct fixture *f = *state;
	struct instance_spec spec = spec_for("10.0.0.1", 0);
	struct service_key key = key_for("g@@s-0");
	unsigned moves = 0;
	uint32_t moved;

	for (spec.key.port = 1; spec.key.port <= 2000; spec.key.port++)
		assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	for (spec.key.port = 1; spec.key.port <= 2000; spec.key.port++) {
		if (spec.key.port % 10 != 0)
			assert_int_equal(registry_deregister(&f->reg, client, &key, &spec.key,
			                                     NULL),
			                 0);
	}
	for (uint32_t shard = 0; shard < SHARDS; shard++) {
		int left;

		do {
			uint64_t before = stamp_of(f, "g@@s-0").revision;

			assert_true((left = registry_compact(&f->reg, &f->walks, shard, 1,
			                                     &moved)) >= 0);
			moves += moved;
			assert_int_equal(stamp_of(f, "g@@s-0").revision != before, moved > 0);
		} while (left > 0);
	}
	assert_true(moves > 100);
	assert_clean(f);
}

/* Each text that moves, alone in its size: nobody else's moves give the pages back. */
#define TEXT_SERVICES 16000U /* some twenty pages a shard */

enum text {
	TEXT_SERVICE_METADATA,
	TEXT_SELECTOR,
	TEXT_CLUSTER_METADATA,
	TEXT_CHECK,
	TEXT_METADATA,
	TEXT_APP,
	TEXTS
};

static void set_text(struct fixture *f, const char *name, enum text which, struct str text)
{
	struct service_key key = key_for(name);
	const struct str none = { NULL, 0 };
	struct service_settings service = { .metadata =
		                                    which == TEXT_SERVICE_METADATA ? text : none,
		                            .selector = which == TEXT_SELECTOR ? text : none };
	struct cluster_settings cluster = { .check_port = 80,
		                            .use_instance_port = true,
		                            .checker = which == TEXT_CHECK ? text : none,
		                            .set_metadata = true,
		                            .metadata =
		                                    which == TEXT_CLUSTER_METADATA ? text : none };
	struct instance_spec spec = spec_for("10.0.0.1", 80);

	if (which == TEXT_METADATA)
		spec.metadata.packed = text;
	if (which == TEXT_APP)
		spec.app = text;
	assert_int_equal(registry_register(&f->reg, client, &key, &spec), 0);
	assert_int_equal(registry_update_service(&f->reg, client, &key, &service), 0);
	assert_int_equal(registry_update_cluster(&f->reg, client, &key, STR("DEFAULT"), &cluster),
	                 0);
}

static unsigned wasteful_shards(struct fixture *f)
{
	unsigned count = 0;

	for (uint32_t shard = 0; shard < SHARDS; shard++)
		count += slab_wasteful(f->seg, shard, SLAB_BLOB512);
	return count;
}

static void play_text(struct fixture *f, enum text which)
{
	static char letters[400];
	char name[24];

	memset(letters, 'x', sizeof(letters));
	for (unsigned n = 0; n < TEXT_SERVICES; n++) {
		name_of(n, name);
		set_text(f, name, which, str_make(letters, sizeof(letters)));
	}
	for (unsigned n = 0; n < TEXT_SERVICES; n++) {
		if (n * 2654435761U % 1000 < 100)
			continue;
		name_of(n, name);
		set_text(f, name, which, (struct str){ NULL, 0 });
	}
	assert_true(wasteful_shards(f) > 0);
	compact_all(f, 1000);
	assert_int_equal(wasteful_shards(f), 0);
	assert_clean(f);
}

static void every_text_moves(void **state)
{
	(void)state;
	for (enum text which = 0; which < TEXTS; which++) {
		struct fixture f;

		fixture_open(&f, FIXTURE_BYTES);
		play_text(&f, which);
		fixture_close(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
		ROW(gives_pages_back),
		ROW(found_and_changed_as_before),
		ROW(changes_between_steps),
		ROW(moved_instances_are_another_revision),
		cmocka_unit_test(every_text_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
