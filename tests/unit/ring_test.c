/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/clock.h"
#include "shared/shm/ring.h"
#include "tests/unit/death_fixture.h"
#include "tests/unit/shm_common.h"

#define SLOTS 8U

struct reader {
	uint64_t cursor, missed;
	struct ring_event event;
	struct str name;
	char text[RING_NAME_BYTES];
};

static bool next(const struct ring *ring, struct reader *reader)
{
	return ring_next(ring, &reader->cursor, &reader->event, &reader->name, reader->text,
	                 &reader->missed);
}

static void append(struct ring *ring, int32_t port, struct str name)
{
	struct ring_event event = {
		.kind = EVENT_REGISTERED, .cause = CAUSE_CLIENT, .port = port, .ip = "10.0.0.1"
	};

	ring_append(ring, &event, name);
}

static struct ring *ring_new(uint32_t slots, bool names)
{
	const size_t bytes = (ring_bytes(slots, names) + 63) / 64 * 64;
	struct ring *ring = aligned_alloc(64, bytes);

	assert_non_null(ring);
	memset(ring, 0, bytes);
	ring_create(ring, slots, names);
	return ring;
}

static void test_in_order(void **state)
{
	struct ring *ring = ring_new(SLOTS, false);
	struct reader reader = { 0 };

	(void)state;
	assert_false(next(ring, &reader));
	for (int32_t i = 0; i < 5; i++)
		append(ring, i, STR("ignored"));
	for (int32_t i = 0; i < 5; i++) {
		assert_true(next(ring, &reader));
		assert_int_equal(reader.event.port, i);
		assert_string_equal(reader.event.ip, "10.0.0.1");
		assert_int_equal(reader.name.n, 0);
	}
	assert_false(next(ring, &reader));
	assert_int_equal(reader.missed, 0);
	free(ring);
}

static void test_names(void **state)
{
	struct ring *ring = ring_new(SLOTS, true);
	struct reader reader = { 0 };
	char longer[RING_NAME_BYTES + 9], twice[RING_NAME_BYTES + 9] = "n";

	(void)state;
	memset(longer, 'n', sizeof(longer));
	for (size_t i = 1; i + 1 < sizeof(twice); i += 2)
		memcpy(twice + i, "\xc3\xa9", 2);
	append(ring, 1, STR("G@@orders"));
	append(ring, 2, str_make(longer, sizeof(longer)));
	append(ring, 3, STR(""));
	append(ring, 4, str_make(twice, sizeof(twice) - 1));
	assert_true(next(ring, &reader));
	assert_true(str_eq(reader.name, STR("G@@orders")));
	assert_true(next(ring, &reader));
	assert_int_equal(reader.name.n, RING_NAME_BYTES);
	assert_true(next(ring, &reader));
	assert_int_equal(reader.name.n, 0);
	assert_true(next(ring, &reader));
	assert_int_equal(reader.name.n, RING_NAME_BYTES - 1); /* whole characters */
	free(ring);
}

static void test_slow_reader_is_told(void **state)
{
	struct ring *ring = ring_new(SLOTS, false);
	struct reader reader = { 0 };

	(void)state;
	for (int32_t i = 0; i < 20; i++)
		append(ring, i, STR(""));
	assert_true(next(ring, &reader));
	assert_int_equal(reader.event.port, 12);
	assert_int_equal(reader.missed, 12);
	reader.cursor = 1000;
	assert_false(next(ring, &reader));
	append(ring, 20, STR(""));
	assert_true(next(ring, &reader));
	assert_int_equal(reader.event.port, 20);
	free(ring);
}

static void test_shape(void **state)
{
	struct ring *ring = ring_new(SLOTS, false);

	(void)state;
	assert_true(ring_valid(ring, SLOTS, false));
	assert_false(ring_valid(ring, SLOTS, true));
	assert_false(ring_valid(ring, SLOTS * 2, false));
	free(ring);
}

/* Readers of a ring that others write at full speed see each event once or count it. */
static void test_concurrent_writers(void **state)
{
	enum { WRITERS = 3, EVENTS = 3000 };
	struct segment *seg = *state;
	struct reader reader = { 0 };
	unsigned alive = WRITERS, seen = 0;
	int32_t last[WRITERS] = { -1, -1, -1 };

	for (unsigned w = 0; w < WRITERS; w++) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int32_t i = 0; i < EVENTS; i++) {
				struct ring_event event = { .port = i,
					                    .node = (uint8_t)w,
					                    .instance_id = (uint64_t)i * 3,
					                    .name_hash = (uint64_t)i ^ w };

				ring_append(seg->removed, &event, STR("same"));
			}
			_exit(0);
		}
		assert_true(pid > 0);
	}
	while (alive > 0 || reader.cursor < WRITERS * EVENTS) {
		int status;

		while (next(seg->removed, &reader)) {
			assert_in_range(reader.event.node, 0, WRITERS - 1);
			assert_true(reader.event.port > last[reader.event.node]);
			assert_int_equal(reader.event.instance_id, reader.event.port * 3);
			assert_int_equal(reader.event.name_hash,
			                 (uint64_t)reader.event.port ^ reader.event.node);
			assert_true(str_eq(reader.name, STR("same")));
			last[reader.event.node] = reader.event.port;
			seen++;
		}
		if (alive > 0 && waitpid(-1, &status, WNOHANG) > 0) {
			assert_int_equal(status, 0);
			alive--;
		}
	}
	assert_int_equal(seen + reader.missed, WRITERS * EVENTS);
	assert_true(seen > 0);
}

static void write_until_killed(struct segment *seg)
{
	for (int32_t i = 0;; i++)
		append(seg->events, i, STR(""));
}

/* A writer dies half-way: others go on, readers wait a second for it, then skip and count. */
static void test_dead_writer(void **state)
{
	struct segment *seg = *state;
	unsigned kills = 0;

	for (uint64_t at = 1; at <= 6; at++) {
		struct reader reader = { 0 };
		/* No writer gets there, and the one of another round does not count. */
		int32_t marker = -(int32_t)at;
		uint64_t before;
		int status;
		pid_t pid;

		while (next(seg->events, &reader))
			;
		pid = fork();
		if (pid == 0) {
#ifdef ROSTER_FAULTS
			fault_arm(at);
#endif
			write_until_killed(seg);
		}
#ifndef ROSTER_FAULTS
		nanosleep(&(struct timespec){ 0, 3000000 }, NULL);
		kill(pid, SIGKILL);
#endif
		wait_for(pid, &status);
		kills++;
		append(seg->events, marker, STR(""));
		before = clock_mono_us();
		clock_set_for_test(before + 2000000, clock_wall_us());
		for (reader.event.port = 0; reader.event.port != marker;)
			assert_true(next(seg->events, &reader));
		clock_set_for_test(0, 0);
		assert_false(next(seg->events, &reader));
	}
	assert_int_equal(kills, 6);
}

/* Who appends what is no event dies before it has a slot: readers wait for nobody. */
static void test_no_event(void **state)
{
	struct segment *seg = *state;
	struct reader reader = { 0 };
	struct death death;

	if (death_fork(&death)) {
		ring_append(seg->events, &(struct ring_event){ .cause = CAUSE_KINDS }, STR(""));
		_exit(0);
	}
	death_was_by_assert(&death, "assert event->kind < EVENT_KINDS && ");
	append(seg->events, 7, STR(""));
	assert_true(next(seg->events, &reader));
	assert_int_equal(reader.event.port, 7);
	assert_false(next(seg->events, &reader));
	assert_int_equal(reader.missed, 0);
}

/* ---- a writer in the middle of an event ------------------------------------------------------ */

#define PATIENCE_MS 1000U

/* A process that has claimed a slot and stands still while it copies the name, until it is told to
 * go on: the name is not there before. */
struct slow {
	pid_t pid;
	int stands[2], go[2];
	char *name;
};

static struct slow slow;

static void stand_still(int number)
{
	char byte = 0;

	(void)number;
	if (write(slow.stands[1], &byte, 1) != 1 || read(slow.go[0], &byte, 1) != 1 ||
	    mprotect(slow.name, SEGMENT_PAGE, PROT_READ) < 0)
		_exit(1);
}

static void slow_begin(struct ring *ring, int32_t port)
{
	char byte;

	slow.name = mmap(NULL, SEGMENT_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(slow.name != MAP_FAILED);
	assert_true(pipe(slow.stands) == 0 && pipe(slow.go) == 0);
	slow.pid = fork();
	assert_true(slow.pid >= 0);
	if (slow.pid == 0) {
		close(slow.go[1]); /* it ends with the test */
		signal(SIGSEGV, stand_still);
		append(ring, port, str_make(slow.name, 4));
		_exit(0);
	}
	assert_int_equal(read(slow.stands[0], &byte, 1), 1);
}

static void slow_end(bool dies)
{
	int status;

	if (dies)
		assert_int_equal(kill(slow.pid, SIGKILL), 0);
	else
		assert_int_equal(write(slow.go[1], "", 1), 1);
	wait_for(slow.pid, &status);
	assert_true(dies || status == 0);
	for (unsigned i = 0; i < 2; i++) {
		close(slow.stands[i]);
		close(slow.go[i]);
	}
	munmap(slow.name, SEGMENT_PAGE);
}

static void set_ms(uint64_t mono_ms)
{
	clock_set_for_test(mono_ms * 1000, 1);
}

/* Readers wait for a second, whatever the clock says at the beginning of it. */
static const uint64_t begins_ms[] = { 1, 2, 0x3fffffff, 0x40000000, 0x7ffffe00, 0x12345678901 };

#define BEGINS (sizeof(begins_ms) / sizeof(begins_ms[0]))

static void test_slow_writer_is_waited_for(void **state)
{
	struct ring *ring = ((struct segment *)*state)->removed;
	struct reader reader = { 0 };

	for (size_t i = 0; i < BEGINS; i++) {
		set_ms(begins_ms[i]);
		slow_begin(ring, 1);
		append(ring, 2, STR("behind"));
		assert_false(next(ring, &reader));
		set_ms(begins_ms[i] + PATIENCE_MS - 1);
		assert_false(next(ring, &reader));
		slow_end(false);
		assert_true(next(ring, &reader));
		assert_int_equal(reader.event.port, 1);
		assert_int_equal(reader.name.n, 4);
		assert_true(next(ring, &reader));
		assert_int_equal(reader.event.port, 2);
		assert_false(next(ring, &reader));
	}
	assert_int_equal(reader.missed, 0);
	clock_set_for_test(0, 0);
}

static void test_patience_ends(void **state)
{
	struct ring *ring = ((struct segment *)*state)->removed;
	struct reader reader = { 0 };

	for (size_t i = 0; i < BEGINS; i++) {
		set_ms(begins_ms[i]);
		slow_begin(ring, 1);
		slow_end(true);
		append(ring, 2, STR("behind"));
		set_ms(begins_ms[i] + PATIENCE_MS - 1);
		assert_false(next(ring, &reader));
		set_ms(begins_ms[i] + PATIENCE_MS);
		assert_true(next(ring, &reader));
		assert_int_equal(reader.event.port, 2);
		assert_int_equal(reader.missed, i + 1);
	}
	clock_set_for_test(0, 0);
}

/* While it stood still the ring came round, and another event stands in its slot: what it mixes
 * into that is not read as an event. */
static void test_writer_that_was_overtaken(void **state)
{
	struct ring *ring = ((struct segment *)*state)->removed;
	struct reader reader = { 0 };

	slow_begin(ring, 1);
	for (uint32_t n = 0; n < RING_REMOVED; n++)
		append(ring, 2, STR("other"));
	slow_end(false);
	for (uint32_t n = 1; n < RING_REMOVED; n++) {
		assert_true(next(ring, &reader));
		assert_int_equal(reader.event.port, 2);
		assert_true(str_eq(reader.name, STR("other")));
	}
	assert_false(next(ring, &reader));
	assert_int_equal(reader.missed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, open_segment, close_segment)
		ROW(test_in_order),
		ROW(test_names),
		ROW(test_slow_reader_is_told),
		ROW(test_shape),
		ROW(test_concurrent_writers),
		ROW(test_dead_writer),
		ROW(test_no_event),
		ROW(test_slow_writer_is_waited_for),
		ROW(test_patience_ends),
		ROW(test_writer_that_was_overtaken),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
