/* SPDX-License-Identifier: Apache-2.0 */
/* registry_fixture.h - a registry in an anonymous segment, for the registry's tests. */
#ifndef TESTS_REGISTRY_FIXTURE_H
#define TESTS_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/registry/layout.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_internal.h"
#include "shared/registry/registry_keeper.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"
#include "shared/shm/shard.h"
#include "tests/unit/spot.h"

#define FIXTURE_BYTES (64U << 20)
#define FIXTURE_MONO_US 1000000000000ULL
#define FIXTURE_WALL_US 1700000000000000ULL

struct fixture {
	struct segment *seg;
	struct registry reg;
	struct keeper_walks walks;
};

static const struct origin client = { .cause = CAUSE_CLIENT };

static inline void fixture_open(struct fixture *f, uint64_t bytes)
{
	clock_set_for_test(FIXTURE_MONO_US, FIXTURE_WALL_US);
	assert_int_equal(segment_open_anonymous(bytes, &f->seg), 0);
	assert_int_equal(registry_format(f->seg), 0);
	f->seg->header->seed = 20240229; /* the same shards in every run */
	f->seg->header->seal = segment_seal(f->seg->header);
	f->seg->header->health_ms = 1000000;
	f->seg->header->health_mono_ms = FIXTURE_MONO_US / 1000;
	registry_init(&f->reg, f->seg);
	f->walks = (struct keeper_walks){ .stale_steps = 0 };
}

static inline void fixture_close(struct fixture *f)
{
	segment_close_for_test(&f->seg);
	clock_set_for_test(0, 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	fixture_open(f, FIXTURE_BYTES);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	free(f);
	return 0;
}

static inline void fixture_say(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

struct hashed {
	uint32_t hash, n;
};

static inline int hashed_order(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return (x->hash > y->hash) - (x->hash < y->hash);
}

/* Finds two numbers below count of the same hash. False: there are none. */
static inline bool hashed_alike_at(struct spot spot, uint32_t (*hash)(void *arg, uint32_t n),
                                   void *arg, uint32_t count, uint32_t pair_r[2])
{
	struct hashed *all = calloc(count, sizeof(*all));
	uint32_t at = 1;

	assert_true_at(spot, all != NULL);
	for (uint32_t n = 0; n < count; n++)
		all[n] = (struct hashed){ hash(arg, n), n };
	qsort(all, count, sizeof(*all), hashed_order);
	while (at < count && all[at].hash != all[at - 1].hash)
		at++;
	if (at < count) {
		pair_r[0] = all[at - 1].n;
		pair_r[1] = all[at].n;
	}
	free(all);
	return at < count;
}
#define hashed_alike(...) hashed_alike_at(SPOT, __VA_ARGS__)

static inline void assert_clean_at(struct spot spot, struct fixture *f)
{
	assert_int_equal_at(spot, registry_audit(&f->reg, fixture_say, NULL), 0);
	assert_int_equal_at(spot, f->seg->header->corrupt, 0);
}
#define assert_clean(...) assert_clean_at(SPOT, __VA_ARGS__)

/* The health clock only: beats, expiry. */
static inline void advance(struct fixture *f, uint64_t ms)
{
	f->seg->header->health_ms += ms;
}

/* What a call leaves on the stack is nothing that the next one may rely on. */
static __attribute__((noinline, unused)) void dirty_the_stack(void)
{
	volatile uint8_t waste[8192];

	for (size_t n = 0; n < sizeof(waste); n++)
		waste[n] = 0xff;
}

static inline struct service_key key_for(const char *name)
{
	return (struct service_key){ STR("public"), str_of(name) };
}

static inline struct instance_spec spec_for(const char *ip, int32_t port)
{
	return (struct instance_spec){
		.key = { STR("DEFAULT"), str_of(ip), port, true },
		.weight = 1.0,
		.enabled = true,
		.healthy = true,
		.app = STR("DEFAULT"),
	};
}

static inline void add_at(struct spot spot, struct fixture *f, const char *name, const char *ip,
                          int32_t port)
{
	struct service_key key = key_for(name);
	struct instance_spec spec = spec_for(ip, port);

	assert_int_equal_at(spot, registry_register(&f->reg, client, &key, &spec), 0);
}
#define add(...) add_at(SPOT, __VA_ARGS__)

/* Makes up the next name of a service of that shard, the first one with *n = 0. */
static inline const char *name_in_shard_at(struct spot spot, struct fixture *f, uint32_t shard,
                                           unsigned *n, char name[32])
{
	struct service_key key;

	do {
		assert_true_at(spot, *n < 100000);
		snprintf(name, 32, "g@@beside%u", (*n)++);
		key = key_for(name);
	} while (registry_shard_of(&f->reg, &key) != shard);
	return name;
}
#define name_in_shard(...) name_in_shard_at(SPOT, __VA_ARGS__)

static inline struct registry_stats stats_of(struct fixture *f)
{
	struct registry_stats stats;

	registry_stats(&f->reg, &stats);
	return stats;
}

static inline struct service_stamp stamp_of_at(struct spot spot, struct fixture *f,
                                               const char *name)
{
	struct service_key key = key_for(name);
	struct service_stamp stamp;

	assert_int_equal_at(spot, registry_poll(&f->reg, &key, NULL, &stamp), 0);
	return stamp;
}
#define stamp_of(...) stamp_of_at(SPOT, __VA_ARGS__)

static inline struct keeper_entry entry_of_at(struct spot spot, struct fixture *f, const char *name,
                                              uint32_t *shard_r)
{
	struct service_key key = key_for(name);
	uint64_t id = stamp_of_at(spot, f, name).id;
	struct keeper_entry entry = { 0, 0 };

	*shard_r = registry_shard_of(&f->reg, &key);
	assert_int_equal_at(
	        spot, registry_services_after(&f->reg, &f->walks, *shard_r, id - 1, &entry, 1), 1);
	assert_int_equal_at(spot, entry.id, id);
	return entry;
}
#define entry_of(...) entry_of_at(SPOT, __VA_ARGS__)

/* The first of each kind in a shard. */
struct things {
	struct shard *shard;
	struct registry_root *root;
	struct service *s;
	struct cluster *c;  /* of the service */
	struct instance *i; /* ephemeral, of the cluster */
	struct audience *a;
	struct subscriber *sub; /* of the audience */
};

/* Of the shard of that service. It has one of each. */
static inline struct things things_of_at(struct spot spot, struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	struct things t = { .shard = &f->seg->shards[registry_shard_of(&f->reg, &key)] };

	t.root = (struct registry_root *)t.shard->root;
	t.s = segment_at(f->seg, t.root->first_service, sizeof(*t.s));
	t.a = segment_at(f->seg, t.root->first_audience, sizeof(*t.a));
	assert_true_at(spot, t.s != NULL && t.a != NULL);
	t.c = segment_at(f->seg, t.s->first_cluster, sizeof(*t.c));
	t.sub = segment_at(f->seg, t.a->first, sizeof(*t.sub));
	assert_true_at(spot, t.c != NULL && t.sub != NULL);
	t.i = segment_at(f->seg, t.c->first[1], sizeof(*t.i));
	assert_true_at(spot, t.i != NULL);
	return t;
}
#define things_of(...) things_of_at(SPOT, __VA_ARGS__)

/* The only instance of that ip and port in a view, or NULL. */
static inline const struct instance_view *view_find(const struct service_view *view, const char *ip,
                                                    int32_t port)
{
	for (uint32_t n = 0; n < view->instance_count; n++) {
		if (view->instances[n].port == port && str_eq(view->instances[n].ip, str_of(ip)))
			return &view->instances[n];
	}
	return NULL;
}

static inline void view_of_at(struct spot spot, struct fixture *f, const char *name,
                              struct service_view *view)
{
	struct service_key key = key_for(name);

	assert_int_equal_at(spot, registry_view(&f->reg, &key, view), 0);
}
#define view_of(...) view_of_at(SPOT, __VA_ARGS__)

#endif
