/* SPDX-License-Identifier: Apache-2.0 */
/* rounds: whose turn it is, on a real registry and real sockets. A slice is over at its first
 * pause; the clock is the test's. */
#include "push_fixture.h"

#include "pusher/rounds.h"
#include "pusher/schedule.h"
#include "shared/config/config.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/subscribers.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static struct fixture f;
static struct config config;
static struct schedule schedule;
static struct rounds *rounds = &schedule.rounds;
static int udp_fd;
static uint16_t udp_port;
static uint64_t mono_us;
static struct push push;

static void pass_ms(uint64_t ms)
{
	mono_us += ms * 1000;
	clock_set_for_test(mono_us, FIXTURE_WALL_US + mono_us - FIXTURE_MONO_US);
	f.seg->header->health_ms += ms;
	f.seg->header->health_mono_ms = mono_us / 1000;
}

static int setup(void **state)
{
	(void)state;
	fixture_open(&f, FIXTURE_BYTES);
	mono_us = FIXTURE_MONO_US;
	config_defaults(&config);
	config.push_views = config.push_views_source = 1000;
	config.push_rate = 1000000;
	metrics_use(&f.seg->slots[0]);
	memset(f.seg->slots[0].counters, 0, sizeof f.seg->slots[0].counters);
	udp_fd = udp_open("127.0.0.1", &udp_port);
	memset(&schedule, 0, sizeof(schedule));
	assert_int_equal(schedule_init(&schedule, &f.reg, &config, udp_fd, 0), 0);
	schedule.recovering = false;
	rounds->slice_us = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	schedule_free(&schedule);
	assert_clean(&f);
	assert_int_equal(schedule.deliver.datagrams.count, 0);
	close(udp_fd);
	fixture_close(&f);
	return 0;
}

static void subscribe(const struct client *c, const char *name, const char *clusters)
{
	struct subscriber_spec spec = subscriber_for("127.0.0.1", c->port, clusters);

	poll_as(&f.reg, name, &spec);
}

/* With so many subscribers, each of another text. */
static void make_service(const struct client *c, const char *name, unsigned subscribers)
{
	char clusters[32];

	add(&f, name, "10.0.0.1", 80);
	for (unsigned i = 0; i < subscribers; i++) {
		snprintf(clusters, sizeof clusters, "DEFAULT,%u", i);
		subscribe(c, name, clusters);
	}
}

static void begin(const char *name)
{
	struct service_key key = key_for(name);
	struct name_copy copy = { .ns_len = (uint32_t)key.ns.n, .name_len = (uint32_t)key.name.n };
	struct round_start start = { .name = &copy,
		                     .shard = (uint8_t)registry_shard_of(&f.reg, &key) };

	memcpy(copy.text, key.ns.p, key.ns.n);
	memcpy(copy.text + key.ns.n + 1, key.name.p, key.name.n);
	rounds_begin(rounds, &start);
}

static void step(void)
{
	assert_true(rounds_step(rounds));
	assert_true(deliver_flush(&schedule.deliver));
}

static bool under_way(const char *name)
{
	for (unsigned i = 0; i < rounds->count; i++) {
		if (str_eq(name_copy_key(&rounds->places[i].round->name).name, str_of(name)))
			return true;
	}
	return false;
}

/* The small one does not wait for the large ones. */
static void test_small_before_large(void **state)
{
	struct client c = client_open();

	(void)state;
	make_service(&c, "G@@a", 40);
	make_service(&c, "G@@b", 40);
	make_service(&c, "G@@small", 1);
	begin("G@@a");
	begin("G@@b");
	for (unsigned i = 0; i < 10; i++)
		step();
	assert_true(under_way("G@@a") && under_way("G@@b"));
	/* More than a small one does, whatever machine this is. */
	rounds->places[0].round->used_us += 1000000;
	rounds->places[1].round->used_us += 1000000;
	begin("G@@small");
	for (unsigned i = 0; i < 6; i++)
		step();
	assert_false(under_way("G@@small"));
	assert_true(under_way("G@@a") && under_way("G@@b"));
	while (rounds_step(rounds))
		;
	assert_int_equal(rounds->count, 0);
	close(c.fd);
}

/* However many small ones come: every second slice is the oldest's. */
static void test_oldest_goes_on(void **state)
{
	struct client c = client_open();
	char name[16];
	unsigned n;

	(void)state;
	make_service(&c, "G@@old", 20);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "G@@n%u", i);
		make_service(&c, name, 1);
	}
	begin("G@@old");
	for (n = 0; n < 200 && under_way("G@@old"); n++) {
		snprintf(name, sizeof name, "G@@n%u", n);
		if (rounds_have_room(rounds))
			begin(name);
		step();
	}
	assert_in_range(n, 20, 60);
	close(c.fd);
}

/* Its next round begins when this one is over: a state is never sent after a newer one. */
static void test_one_round_a_service(void **state)
{
	struct client c = client_open();
	uint64_t key;

	(void)state;
	make_service(&c, "G@@s", 1);
	begin("G@@s");
	/* The copy of the service comes to pauses, too. */
	do
		step();
	while (rounds->places[0].round->view.instance_count == 0);
	assert_int_equal(rounds->count, 1);
	add(&f, "G@@s", "10.0.0.2", 80);
	begin("G@@s");
	assert_int_equal(rounds->count, 1);
	assert_true(rounds->places[0].again);
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	client_read(&c, &push);
	assert_null(strstr(push.text, "10.0.0.2"));
	key = push.key;
	client_read(&c, &push);
	assert_non_null(strstr(push.text, "10.0.0.2"));
	assert_true(push.key > key);
	assert_false(client_readable(&c, 0));
	close(c.fd);
}

/* A service that a tour found, while it has a round: the tour comes again. */
static void test_owed_service_with_a_round(void **state)
{
	struct client c = client_open();
	struct service_key key = key_for("G@@s");
	struct round_start start = { .owed = true,
		                     .shard = (uint8_t)registry_shard_of(&f.reg, &key) };

	(void)state;
	make_service(&c, "G@@s", 2);
	begin("G@@s");
	start.name = &rounds->places[0].round->name;
	rounds_begin(rounds, &start);
	assert_int_equal(rounds->count, 1);
	assert_false(rounds->places[0].again);
	assert_int_equal(schedule.deliver.owed, 1ULL << start.shard);
	close(c.fd);
}

static uint64_t hash_of(const char *name)
{
	struct service_key key = key_for(name);
	char text[64];
	int n = snprintf(text, sizeof text, "%.*s%c%s", (int)key.ns.n, key.ns.p, 0, name);

	return XXH3_64bits_withSeed(text, (size_t)n, f.seg->header->seed);
}

static bool waits(const char *name)
{
	return waiting_find(&rounds->waiting, hash_of(name)) != WAITING_NONE;
}

/* As if its last round had taken so long. */
static void remember(const char *name, uint64_t us)
{
	costs_note(&rounds->costs, hash_of(name), us, true);
}

/* However many large ones changed before: known by their last rounds, they have half of the places
 * and wait for the others. */
static void test_known_large_ones_wait(void **state)
{
	struct client c = client_open();
	char name[16];
	unsigned n;

	(void)state;
	make_service(&c, "G@@small", 1);
	remember("G@@small", 100);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(&c, name, 40);
		remember(name, 20 * ROUNDS_DEAR_US);
		begin(name);
	}
	assert_int_equal(rounds->count, ROUNDS_MOST / 2);
	assert_int_equal(rounds->waiting.count, 100 - ROUNDS_MOST / 2);
	for (unsigned i = 0; i < 100; i++)
		step();
	begin("G@@small");
	assert_true(under_way("G@@small"));
	for (n = 0; n < 8 && under_way("G@@small"); n++)
		step();
	assert_false(under_way("G@@small"));
	/* None waits for ever. */
	for (n = 0; n < 20000 && rounds->count > 0; n++)
		step();
	assert_int_equal(rounds->count + rounds->waiting.count, 0);
	close(c.fd);
}

/* The last of a long queue of large ones does not wait until they have places. */
static void test_queue_is_emptied_at_once(void **state)
{
	struct client c = client_open(), small = client_open();
	char name[16];
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(&c, name, 20);
		remember(name, 20 * ROUNDS_DEAR_US);
	}
	make_service(&small, "G@@small", 1);
	remember("G@@small", 100);
	/* All are in the queue since they were made. */
	pass_ms(config.push_delay_ms);
	schedule_wake(&schedule, 1);
	for (n = 0; n < 2 && !client_readable(&small, 0); n++)
		(void)schedule_run(&schedule);
	assert_true(client_readable(&small, 0));
	close(c.fd);
	close(small.fd);
}

/* No place is free: the one that has used most leaves, but not the oldest. Who was left over is
 * sent to later, nobody twice. */
static void test_costliest_gives_its_place(void **state)
{
	struct client c = client_open(), late = client_open();
	char name[16];
	unsigned got = 0;

	(void)state;
	for (unsigned i = 0; i < ROUNDS_MOST; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(i == 5 ? &late : &c, name, 40);
		begin(name);
	}
	assert_int_equal(rounds->count, ROUNDS_MOST - ROUNDS_FOR_OWED);
	assert_int_equal(rounds->waiting.count, ROUNDS_FOR_OWED);
	for (unsigned i = 0; i < 4 * ROUNDS_MOST; i++)
		step();
	assert_true(under_way("G@@s0") && under_way("G@@s5") && waits("G@@s14"));
	rounds->places[0].round->used_us = 900 * ROUNDS_DEAR_US;
	rounds->places[5].round->used_us = 200 * ROUNDS_DEAR_US;
	step();
	assert_true(under_way("G@@s0"));
	assert_false(under_way("G@@s5"));
	step();
	assert_true(waits("G@@s5") && under_way("G@@s14"));
	assert_true(costs_of(&rounds->costs, hash_of("G@@s5")) > 200 * ROUNDS_DEAR_US);
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	for (; client_readable(&late, 0); got++)
		client_read(&late, &push);
	assert_int_equal(got, 40);
	assert_int_equal(schedule.deliver.owed, 0);
	close(c.fd);
	close(late.fd);
}

/* A tour's that leaves is found by the next tour. */
static void test_owed_one_gives_its_place(void **state)
{
	struct client c = client_open();
	struct name_copy copy = { 0 };
	struct service_key key = key_for("G@@owed");
	struct round_start start = { .name = &copy,
		                     .owed = true,
		                     .shard = (uint8_t)registry_shard_of(&f.reg, &key) };
	char name[16];

	(void)state;
	make_service(&c, "G@@owed", 40);
	make_service(&c, "G@@s0", 40);
	begin("G@@s0");
	copy = rounds->places[0].round->name;
	memcpy(copy.text + copy.ns_len + 1, "G@@owed", 7);
	copy.name_len = 7;
	rounds_begin(rounds, &start);
	for (unsigned i = 1; i < ROUNDS_MOST; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(&c, name, 40);
		begin(name);
	}
	assert_int_equal(rounds->count, ROUNDS_MOST - 1);
	assert_true(rounds->places[1].round->owed);
	rounds->places[1].round->used_us = 200 * ROUNDS_DEAR_US;
	for (unsigned i = 0; i < 3; i++)
		step();
	assert_false(under_way("G@@owed") || waits("G@@owed"));
	assert_int_equal(schedule.deliver.owed, 1ULL << start.shard);
	close(c.fd);
}

/* Too many wait: the costliest are left to a tour. When all are cheap, the others stay in the
 * queue. */
static void test_waiting_is_bounded(void **state)
{
	struct client c = client_open();
	unsigned most = WAITING_MOST + ROUNDS_MOST;
	char name[16];

	(void)state;
	for (unsigned i = 0; i <= most; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(&c, name, 1);
	}
	for (unsigned i = 0; rounds->waiting.count < WAITING_MOST; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		remember(name, i == 100 ? 2 * ROUNDS_DEAR_US : 100);
		assert_true(rounds_have_room(rounds));
		begin(name);
	}
	assert_true(waits("G@@s100") && rounds_have_room(rounds));
	snprintf(name, sizeof name, "G@@s%u", most);
	remember(name, 100);
	begin(name);
	assert_true(waits(name) && !waits("G@@s100"));
	assert_int_not_equal(schedule.deliver.owed, 0);
	assert_false(rounds_have_room(rounds));
	close(c.fd);
}

static void test_costs(void **state)
{
	static struct costs costs;

	(void)state;
	assert_int_equal(costs_of(&costs, 5), COSTS_GUESS_US);
	costs_note(&costs, 5, 100, false);
	assert_int_equal(costs_of(&costs, 5), COSTS_GUESS_US);
	costs_note(&costs, 6, 100, true);
	assert_int_equal(costs_of(&costs, 6), 100);
	costs_note(&costs, 6, 9000, false);
	assert_int_equal(costs_of(&costs, 6), 9000);
	costs_note(&costs, 6, 10, false);
	assert_int_equal(costs_of(&costs, 6), 9000);
	costs_note(&costs, 6, 10, true);
	assert_int_equal(costs_of(&costs, 6), 4500);
	/* Another service of the same place. */
	costs_note(&costs, 6 + (7ULL << 32), 3, true);
	assert_int_equal(costs_of(&costs, 6), COSTS_GUESS_US);
}

/* Services that change all the time leave places for those that a tour finds, and keep no sweep
 * waiting. */
static void test_tours_go_on_beside_changes(void **state)
{
	struct client c = client_open(), behind = client_open();
	char name[16];
	bool got = false;

	(void)state;
	make_service(&behind, "G@@behind", 1);
	add(&f, "G@@behind", "10.0.0.2", 80);
	for (unsigned i = 0; i < ROUNDS_MOST - 2; i++) {
		snprintf(name, sizeof name, "G@@s%u", i);
		make_service(&c, name, 40);
		begin(name);
	}
	tour_begin(&schedule.tour, true, UINT64_MAX);
	for (unsigned i = 0; i < 2000 && !got; i++) {
		tour_step(&schedule.tour);
		step();
		for (unsigned n = 0; n < ROUNDS_MOST - 2; n++) {
			snprintf(name, sizeof name, "G@@s%u", n);
			begin(name);
		}
		got = client_readable(&behind, 0);
	}
	assert_true(got);
	tour_begin(&schedule.tour, false, UINT64_MAX);
	for (unsigned i = 0; i < 2000 && schedule.tour.active; i++)
		tour_step(&schedule.tour);
	assert_false(schedule.tour.active);
	close(c.fd);
	close(behind.fd);
}

/* A zombie goes one batch later, since the cursor stands on it; at once when the tour leaves its
 * audience to a round. */
static void test_tour_drops_zombies(void **state)
{
	struct client c = client_open();

	(void)state;
	make_service(&c, "G@@s", 1);
	pass_ms(config.push_subscriber_life_ms + 1000);
	tour_begin(&schedule.tour, false, UINT64_MAX);
	while (!schedule.tour.inside)
		tour_step(&schedule.tour);
	tour_step(&schedule.tour);
	assert_int_equal(stats_of(&f).subscribers, 1);
	tour_step(&schedule.tour);
	assert_int_equal(stats_of(&f).subscribers, 0);

	make_service(&c, "G@@s", 1);
	pass_ms(config.push_subscriber_life_ms + 1000);
	subscribe(&c, "G@@s", "");
	add(&f, "G@@s", "10.0.0.2", 80);
	tour_begin(&schedule.tour, true, UINT64_MAX);
	while (rounds->count == 0)
		tour_step(&schedule.tour);
	assert_int_equal(stats_of(&f).subscribers, 1);
	close(c.fd);
}

/* What is known of a subscriber is what was read after the last pause. */
static void test_read_again_after_a_pause(void **state)
{
	struct client c = client_open(), d = client_open();
	static struct subscriber_view subs[2];
	struct service_view view;
	struct audience_cursor cursor = { 0 };
	struct service_key key = key_for("G@@s");
	struct delivery sent;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	subscribe(&c, "G@@s", "DEFAULT");
	subscribe(&d, "G@@s", "DEFAULT,x");
	add(&f, "G@@s", "10.0.0.2", 80);
	assert_int_equal(registry_subscribers(&f.reg, &key, &cursor, subs, 2), 2);
	service_view_init(&view);
	assert_int_equal(registry_view(&f.reg, &key, &view), 0);
	begin("G@@s");
	step();
	assert_int_equal(rounds->count, 1);
	/* Meanwhile the second one has got all there is. */
	sent = (struct delivery){ .id = subs[1].id,
		                  .off = subs[1].off,
		                  .revision = view.changed,
		                  .key = 7,
		                  .at_ms = 1,
		                  .tries = 2 };
	assert_int_equal(registry_mark_sent(&f.reg, registry_shard_of(&f.reg, &key), &sent, 1), 0);
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	client_read(&c, &push);
	assert_false(client_readable(&d, 0));
	service_view_free(&view);
	close(c.fd);
	close(d.fd);
}

/* Views of all rounds together are bounded: who would be too much waits for the others. */
static void test_large_ones_wait(void **state)
{
	struct client c = client_open();
	char ip[32];

	(void)state;
	for (unsigned i = 0; i < 4200; i++) {
		snprintf(ip, sizeof ip, "10.1.%u.%u", i / 250, i % 250);
		add(&f, "G@@a", ip, 80);
		add(&f, "G@@b", ip, 80);
	}
	subscribe(&c, "G@@a", "");
	subscribe(&c, "G@@b", "");
	begin("G@@a");
	step();
	assert_true(rounds->places[0].round->waiting);
	step();
	assert_false(rounds->places[0].round->waiting);
	begin("G@@b");
	/* As if the first one had them all. */
	rounds->places[0].round->instances = ROUNDS_INSTANCES;
	for (unsigned i = 0; i < 6; i++)
		step();
	assert_true(rounds->places[1].round->waiting);
	assert_int_equal(rounds->places[1].round->view.instance_cap, 0);
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	close(c.fd);
}

static void pretend_views(struct round *round, uint64_t bytes)
{
	round->views.bytes += bytes;
	rounds->tools.view_bytes += bytes;
}

/* So are the datagrams of their views: who has many waits, but for the oldest of those; who has few
 * does not. */
static void test_full_ones_wait(void **state)
{
	static const char *const names[] = { "G@@small", "G@@a", "G@@b" };
	struct client c = client_open();
	struct round *a, *b;
	uint32_t views;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		make_service(&c, names[i], 40);
		begin(names[i]);
	}
	while (rounds->places[1].round->views.count < 2 || rounds->places[2].round->views.count < 2)
		step();
	assert_int_equal(rounds->count, 3);
	assert_true(rounds->tools.view_bytes > 0);
	a = rounds->places[1].round;
	b = rounds->places[2].round;
	pretend_views(a, 2 * ROUND_VIEW_BYTES);
	pretend_views(b, 2 * ROUND_VIEW_BYTES);
	/* As if others had the rest. */
	rounds->tools.view_bytes += ROUNDS_VIEW_BYTES;
	while (!a->full || !b->full || !b->waiting)
		step();
	views = b->views.count;
	while (under_way("G@@small") || under_way("G@@a")) {
		assert_true(b->waiting && b->views.count == views);
		step();
	}
	/* The oldest of the full ones now. */
	while (under_way("G@@b"))
		step();
	rounds->tools.view_bytes -= ROUNDS_VIEW_BYTES;
	assert_int_equal(rounds->tools.view_bytes, 0);
	close(c.fd);
}

/* A round has the memory of one that is over, and begins as if that was new: a large service waits
 * for room for its instances, although the round before it was full of views. */
static void test_a_round_begins_anew(void **state)
{
	struct client c = client_open();
	struct round *full;
	char ip[32];

	(void)state;
	make_service(&c, "G@@other", 400);
	make_service(&c, "G@@full", 40);
	for (unsigned i = 0; i < 4200; i++) {
		snprintf(ip, sizeof ip, "10.1.%u.%u", i / 250, i % 250);
		add(&f, "G@@large", ip, 80);
	}
	subscribe(&c, "G@@large", "");
	begin("G@@other");
	begin("G@@full");
	full = rounds->places[1].round;
	while (full->views.count < 2)
		step();
	pretend_views(full, 2 * ROUND_VIEW_BYTES);
	while (under_way("G@@full"))
		step();
	assert_true(under_way("G@@other"));
	/* As if it had them all. */
	rounds->places[0].round->instances = ROUNDS_INSTANCES;
	begin("G@@large");
	assert_ptr_equal(rounds->places[1].round, full);
	for (unsigned i = 0; i < 6; i++)
		step();
	assert_true(full->waiting);
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	close(c.fd);
}

/* A round is full above the bound, not at it. */
static void test_full_above_the_bound(void **state)
{
	struct client c = client_open();
	struct round *round;

	(void)state;
	make_service(&c, "G@@s", 40);
	begin("G@@s");
	round = rounds->places[0].round;
	for (unsigned i = 0; i < 20; i++) {
		pretend_views(round, ROUND_VIEW_BYTES - round->views.bytes);
		step();
		assert_false(round->full);
	}
	assert_true(round->views.count > 2);
	while (!round->full) {
		pretend_views(round, ROUND_VIEW_BYTES + 1 - round->views.bytes);
		step();
	}
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	close(c.fd);
}

/* The checksum of all instances is made with the first view; one that shows others has it from
 * there. */
static void test_checksum_is_made_once(void **state)
{
	static const char made_up[] = "77777777777777777777777777777777";
	struct client c = client_open();
	struct round *round;

	(void)state;
	add(&f, "G@@s", "10.0.0.1", 80);
	subscribe(&c, "G@@s", "");
	subscribe(&c, "G@@s", "none");
	begin("G@@s");
	round = rounds->places[0].round;
	while (round->views.count == 0)
		step();
	memset(round->view.checksum, 0x77, sizeof(round->view.checksum));
	while (rounds_step(rounds))
		assert_true(deliver_flush(&schedule.deliver));
	client_read(&c, &push);
	assert_null(strstr(push.text, made_up));
	client_read(&c, &push);
	assert_non_null(strstr(push.text, made_up));
	close(c.fd);
}

static void test_room_for_owed(void **state)
{
	static const struct {
		unsigned count, owed;
		bool room;
	} rows[] = {
		{ 0, 0, true },
		{ ROUNDS_MOST - 1, 0, true },
		{ ROUNDS_MOST, 0, false },
		{ ROUNDS_MOST / 2 - 1, ROUNDS_MOST / 2 - 1, true },
		{ ROUNDS_MOST / 2, ROUNDS_MOST / 2, false },
		{ ROUNDS_MOST - 1, ROUNDS_MOST / 2 - 1, true },
		{ ROUNDS_MOST - 1, ROUNDS_MOST / 2, false },
	};
	static struct rounds made_up;
	static struct round changed, owed = { .owed = true };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		made_up.count = rows[i].count;
		for (unsigned n = 0; n < rows[i].count; n++)
			made_up.places[n].round = n < rows[i].owed ? &owed : &changed;
		assert_int_equal(rounds_have_room_for_owed(&made_up), rows[i].room);
	}
}

/* The end of the process in the middle of rounds: teardown() looks for what was left. */
static void test_end_in_the_middle(void **state)
{
	struct client c = client_open();

	(void)state;
	make_service(&c, "G@@a", 10);
	make_service(&c, "G@@b", 10);
	begin("G@@a");
	begin("G@@b");
	for (unsigned i = 0; i < 5; i++)
		step();
	assert_int_equal(rounds->count, 2);
	close(c.fd);
}

/* A stop: the rounds under way are finished, and what they made leaves, before it is over. */
static void test_stop_in_the_middle(void **state)
{
	struct client c = client_open();

	(void)state;
	make_service(&c, "G@@a", 10);
	assert_false(schedule_is_over(&schedule));
	begin("G@@a");
	step();
	step();
	schedule.stopping = true;
	assert_int_equal(rounds->count, 1);
	assert_false(schedule_is_over(&schedule));
	schedule.deliver.blocked = UDP_FULL;
	while (rounds_step(rounds))
		;
	assert_int_equal(rounds->count, 0);
	assert_true(schedule.deliver.out_count > 0);
	assert_false(schedule_is_over(&schedule));
	deliver_unblock(&schedule.deliver);
	while (schedule_run(&schedule))
		;
	assert_true(schedule_is_over(&schedule));
	for (unsigned i = 0; i < 10; i++)
		client_read(&c, &push);
	close(c.fd);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_small_before_large),
		CASE(test_oldest_goes_on),
		CASE(test_one_round_a_service),
		CASE(test_owed_service_with_a_round),
		CASE(test_known_large_ones_wait),
		CASE(test_queue_is_emptied_at_once),
		CASE(test_costliest_gives_its_place),
		CASE(test_owed_one_gives_its_place),
		CASE(test_waiting_is_bounded),
		CASE(test_costs),
		CASE(test_tours_go_on_beside_changes),
		CASE(test_tour_drops_zombies),
		CASE(test_read_again_after_a_pause),
		CASE(test_large_ones_wait),
		CASE(test_full_ones_wait),
		CASE(test_a_round_begins_anew),
		CASE(test_full_above_the_bound),
		CASE(test_checksum_is_made_once),
		CASE(test_room_for_owed),
		CASE(test_end_in_the_middle),
		CASE(test_stop_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
