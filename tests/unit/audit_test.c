/* SPDX-License-Identifier: Apache-2.0 */
/* The check in slices: finds damage, is not misled by writers, ends, and says so in the header. */
#include "keeper/audit.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/config/config.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/registry_keeper.h"
#include "shared/shm/blob.h"
#include "tests/unit/registry_fixture.h"

#define SERVICES 300

static struct config config;
static int master_fd;

static int setup(void **state)
{
	if (fixture_setup(state) != 0)
		return -1;
	config_defaults(&config);
	master_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	for (int n = 0; n < SERVICES; n++) {
		char name[32];

		snprintf(name, sizeof(name), "g@@s%d", n);
		for (int port = 1; port < 1 + n % 5; port++)
			add(*state, name, "10.0.0.1", port);
	}
	return master_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	close(master_fd);
	return fixture_teardown(state);
}

/* To the end of the pass: a tick whenever it waits for one. Returns the ticks. */
static unsigned run(struct audit *a)
{
	unsigned ticks = 0;
	struct slice slice;

	for (; a->running && ticks <= AUDIT_TRIES; ticks++) {
		audit_tick(a, 1);
		do
			slice_begin(&slice, "test");
		while (audit_step(a, &slice));
	}
	assert_in_range(ticks, 1, AUDIT_TRIES);
	return ticks;
}

static bool master_woken(void)
{
	uint64_t count;

	return read(master_fd, &count, sizeof(count)) == sizeof(count);
}

static struct service *service_of(struct fixture *f, const char *name, uint32_t *shard_r)
{
	struct service_key key = key_for(name);
	struct place place = key_place(&f->reg, &key);
	struct service *s;
	struct op op;

	assert_int_equal(op_begin(&op, &f->reg, place.shard, client), 0);
	assert_int_not_equal(service_find(&op, &key, place.hash, &s), 0);
	op_end(&op);
	*shard_r = place.shard;
	return s;
}

static void a_clean_pass(void **state)
{
	struct fixture *f = *state;
	struct slice slice;
	struct audit a;

	audit_init(&a, &f->reg, &config, master_fd, 1000);
	assert_int_equal(run(&a), 1);
	assert_int_equal(f->seg->header->audit_passes, 1);
	assert_int_equal(f->seg->header->audit_shard, SHARDS_ALL + 1);
	assert_int_equal(f->seg->header->damaged_ms, 0);
	assert_false(master_woken());
	assert_false(audit_step(&a, &slice));
	audit_free(&a);
}

static void passes_begin_when_due_or_wanted(void **state)
{
	struct fixture *f = *state;
	struct audit a;

	config.segment_check_ms = 5000;
	audit_init(&a, &f->reg, &config, master_fd, 1000);
	run(&a);
	audit_tick(&a, 5999);
	assert_false(a.running);
	audit_tick(&a, 6000);
	assert_true(a.running);
	run(&a);
	audit_tick(&a, 6001);
	assert_false(a.running);
	segment_distrust(f->seg);
	audit_tick(&a, 6002);
	assert_true(a.running);
	run(&a);
	f->seg->header->corrupt++; /* somebody met an impossible reference */
	audit_tick(&a, 6003);
	assert_true(a.running);
	run(&a);
	config.segment_check_ms = 0;
	audit_configure(&a, &config, 6004);
	audit_tick(&a, 1000000);
	assert_false(a.running);
	assert_int_equal(f->seg->header->audit_passes, 4);
}

static void damage_condemns(void **state)
{
	struct fixture *f = *state;
	struct slice slice;
	struct audit a;
	uint32_t shard;

	service_of(f, "g@@s7", &shard)->instances++;
	audit_init(&a, &f->reg, &config, master_fd, 1000);
	run(&a);
	assert_int_not_equal(f->seg->header->damaged_ms, 0);
	assert_true(f->seg->header->audit_broken > 0);
	assert_true(master_woken());
	/* Said once: it is served until the master acts, and not checked again. */
	segment_distrust(f->seg);
	audit_tick(&a, 2000);
	assert_false(a.running);
	audit_init(&a, &f->reg, &config, master_fd, 1000);
	assert_false(audit_step(&a, &slice));
}

static void a_lost_lock_condemns(void **state)
{
	struct fixture *f = *state;
	struct audit a;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct op op;

		if (op_begin(&op, &f->reg, 5, client) == 0)
			op.tx.shard->state = 1; /* no log that anybody wrote */
		_exit(0);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	audit_init(&a, &f->reg, &config, master_fd, 1000);
	run(&a);
	assert_int_not_equal(f->seg->header->damaged_ms, 0);
}

/* Another service of the same shard. */
static struct service *neighbour_of(struct fixture *f, const char *name)
{
	struct service_key key = key_for(name);
	uint32_t shard = registry_shard_of(&f->reg, &key);
	unsigned n = 0;
	char text[32];

	add(f, name_in_shard(f, shard, &n, text), "1.1.1.1", 80);
	return service_of(f, text, &shard);
}

/* Between two holds somebody writes: nothing is reported. A busy check goes on, and finds what is
 * wrong elsewhere. */
static void writers_disturb_and_are_not_blamed(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@s4");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct service *broken = neighbour_of(f, "g@@s4");
	unsigned again = 0;
	pid_t pid = fork();
	int status, ret = 0;

	if (pid == 0) {
		struct instance_spec spec = spec_for("10.0.0.9", 9);

		for (;;) {
			if (registry_register(&f->reg, client, &key, &spec) < 0 ||
			    registry_deregister(&f->reg, client, &key, &spec.key, NULL) < 0)
				_exit(1);
		}
	}
	for (unsigned n = 0; n < 200 && (n < 20 || again == 0); n++) {
		ret = registry_audit_shard(&f->reg, shard, 1, fixture_say, NULL);
		assert_true(ret == 0 || ret == ERR_AGAIN);
		again += ret == ERR_AGAIN;
	}
	for (unsigned n = 0; n < 20; n++)
		assert_int_equal(registry_audit_busy(&f->reg, shard, 1, fixture_say, NULL), 0);
	broken->name_len++;
	for (unsigned n = 0; n < 20; n++)
		assert_true(registry_audit_busy(&f->reg, shard, 1, NULL, NULL) > 0);
	broken->name_len--;
	kill(pid, SIGKILL);
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFSIGNALED(status));
	assert_true(again > 0);
	assert_int_equal(registry_audit_shard(&f->reg, shard, 1, fixture_say, NULL), 0);
}

#define LARGE 60000

/* By the real clock: slices end. */
static int setup_large(void **state)
{
	struct fixture *f;

	if (fixture_setup(state) != 0)
		return -1;
	f = *state;
	config_defaults(&config);
	master_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	clock_set_for_test(0, 0);
	f->seg->header->health_mono_ms = clock_mono_ms();
	for (int n = 0; n < LARGE; n++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "10.0.%d.%d", n >> 8, n & 255);
		add(f, "g@@large", ip, 80);
	}
	return master_fd < 0 ? -1 : 0;
}

static bool step_once(struct audit *a)
{
	struct slice slice;

	slice_begin(&slice, "test");
	return audit_step(a, &slice);
}

/* To the end of a sweep. In each of its slices that ends inside the large shard somebody writes
 * there. Returns how many did. */
static unsigned disturbed_sweep(struct fixture *f, struct audit *a, uint32_t shard)
{
	struct service_key key = key_for("g@@large");
	struct instance_key at = spec_for("10.0.0.1", 80).key;
	unsigned slices = 0;

	audit_tick(a, 1);
	while (step_once(a)) {
		if (a->shard != shard || !a->left[shard])
			continue;
		slices++;
		assert_int_equal(registry_set_health(&f->reg, client, &key, &at, slices % 2 == 0),
		                 0);
	}
	return slices;
}

/* A shard that is too large for one hold and always written to: the others are looked at, the pass
 * ends, and says so. */
static void what_is_always_written_to_is_left_out(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@large");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	unsigned sweeps = 0;
	struct audit a;

	config.segment_check_ms = 0;
	audit_init(&a, &f->reg, &config, master_fd, 1000);
	while (a.running) {
		assert_true(disturbed_sweep(f, &a, shard) > 0);
		assert_int_equal(a.done, SHARDS_ALL - 1);
		assert_true(++sweeps <= AUDIT_TRIES);
	}
	assert_int_equal(sweeps, AUDIT_TRIES);
	assert_int_equal(f->seg->header->audit_passes, 1);
	assert_int_equal(f->seg->header->damaged_ms, 0);
	assert_int_equal(f->seg->header->audit_shard, SHARDS_ALL);
	/* Again in a while, though no period asks for it; and now nobody disturbs. */
	audit_tick(&a, a.again_ms - 1);
	assert_false(a.running);
	audit_tick(&a, a.again_ms);
	assert_true(a.running);
	assert_int_equal(run(&a), 1);
	assert_int_equal(f->seg->header->audit_shard, SHARDS_ALL + 1);
	assert_int_equal(a.again_ms, 0);
	audit_free(&a);
}

/* In the middle of a shard: nothing is held, nothing is left behind. */
static void given_up_in_the_middle(void **state)
{
	struct fixture *f = *state;
	struct service_key key = key_for("g@@large");
	uint32_t shard = registry_shard_of(&f->reg, &key);
	struct audit a;

	audit_init(&a, &f->reg, &config, master_fd, 1000);
	do
		assert_true(step_once(&a));
	while (a.shard != shard);
	assert_non_null(a.fiber);
	audit_free(&a);
	assert_null(a.fiber);
	assert_int_equal(f->seg->header->damaged_ms, 0);
	add(f, "g@@large", "10.9.9.9", 80);
	assert_clean(f);
}

static void free_pages_and_rings_are_looked_at(void **state)
{
	struct fixture *f = *state;
	uint64_t page = segment_backed(f->seg) - 1;

	assert_int_equal(registry_audit_rest(&f->reg, fixture_say, NULL), 0);
	assert_int_equal(f->seg->owners[page], 0);
	f->seg->descs[page].bitmap[1] = 4;
	assert_int_equal(registry_audit_rest(&f->reg, NULL, NULL), 1);
	f->seg->descs[page].bitmap[1] = 0;
	((uint64_t *)f->seg->events)[8] ^= 1 << 8; /* the word of the first slot */
	assert_int_equal(registry_audit_rest(&f->reg, NULL, NULL), 1);
	((uint64_t *)f->seg->events)[8] ^= 1 << 8;
	f->seg->header->epoch++;
	assert_int_equal(registry_audit_rest(&f->reg, NULL, NULL), 1);
	f->seg->header->epoch--;
	assert_int_equal(registry_audit_rest(&f->reg, NULL, NULL), 0);
}

/* Lists that run in a circle end with an error, whoever walks them. */
static void circles_end(void **state)
{
	struct fixture *f = *state;
	struct keeper_entry found[8];
	uint32_t shard, first;
	struct service *s = service_of(f, "g@@s8", &shard);
	uint64_t after = 0;
	int n, turns = 0;

	first = ((struct registry_root *)f->seg->shards[shard].root)->first_service;
	s->next = first;
	do {
		n = registry_services_after(&f->reg, &f->walks, shard, after, found, 8);
		after = n > 0 ? found[n - 1].id : after;
	} while (n > 0 && ++turns < 1000);
	assert_int_equal(n, ERR_CORRUPT);
	assert_true(registry_audit_shard(&f->reg, shard, 16, NULL, NULL) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_large, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_clean_pass),
		TEST(passes_begin_when_due_or_wanted),
		TEST(damage_condemns),
		TEST(a_lost_lock_condemns),
		TEST(writers_disturb_and_are_not_blamed),
		TEST(free_pages_and_rings_are_looked_at),
		TEST(circles_end),
		LARGE_TEST(what_is_always_written_to_is_left_out),
		LARGE_TEST(given_up_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
