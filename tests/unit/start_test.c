/* SPDX-License-Identifier: Apache-2.0 */
/* When a start is over: all are ready, or one of them never will be. */
#include "master/start.h"

#include "tests/unit/master_fixture.h"

static const siginfo_t death = { .si_code = CLD_EXITED, .si_status = 1 };

static int set_up(void **state)
{
	(void)state;
	fixture_init(NULL);
	m.state = MASTER_STARTING;
	m.workers = 1;
	snprintf(m.config.runtime_dir, sizeof(m.config.runtime_dir), "%s", fixture_folder);
	m.sockets.listen.port = 8848;
	return 0;
}

static int tear_down(void **state)
{
	char path[96];

	(void)state;
	for (const char *const *name = (const char *const[]){ "pid", "port", NULL }; *name != NULL;
	     name++) {
		snprintf(path, sizeof(path), "%s/%s", fixture_folder, *name);
		unlink(path);
	}
	fixture_deinit();
	return 0;
}

static void make_ready(void)
{
	m.children[0].ready = m.children[PUSHER].ready = m.children[KEEPER].ready = true;
}

static bool says_where_we_are(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/port", fixture_folder);
	return access(path, F_OK) == 0;
}

static void it_serves_when_all_are_ready(void **state)
{
	(void)state;
	make_ready();
	m.children[PUSHER].ready = false;
	start_advance(&m);
	assert_int_equal(m.state, MASTER_STARTING);
	assert_false(says_where_we_are());
	m.children[PUSHER].ready = true;
	m.children[1].ready = false; /* not wanted */
	start_advance(&m);
	assert_int_equal(m.state, MASTER_SERVING);
	assert_true(says_where_we_are());
	start_advance(&m);
	assert_int_equal(fixture_log_count("op=ready port=8848 "), 1);
}

static void one_that_stops_starts_no_more(void **state)
{
	(void)state;
	make_ready();
	m.state = MASTER_STOPPING;
	start_advance(&m);
	assert_int_equal(m.state, MASTER_STOPPING);
}

static void an_image_has_to_prove_itself_first(void **state)
{
	(void)state;
	make_ready();
	m.upgrade.step = UPGRADE_ARRIVING;
	start_advance(&m);
	assert_int_equal(m.state, MASTER_STARTING);
	m.upgrade.step = UPGRADE_NONE;
	start_advance(&m);
	assert_int_equal(m.state, MASTER_SERVING);
}

/* The mapping of nobody's file cannot get a name. */
static void a_segment_that_cannot_be_put_in_its_place_ends_it(void **state)
{
	(void)state;
	make_ready();
	m.convert.snapshot_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	m.seg->pending = true;
	snprintf(m.seg->path, sizeof(m.seg->path), "%s/no/segment", fixture_folder);
	m.seg->old_fd = -1;
	start_advance(&m);
	assert_true(m.state == MASTER_STOPPING && m.failed);
	assert_int_equal(fixture_log_count(
	                         "why=\"the converted segment cannot be put in its place\""),
	                 1);
	m.seg->pending = false;
	close(m.convert.snapshot_fd);
}

static void a_child_that_never_is_ready_ends_it(void **state)
{
	struct child *child = &m.children[0];

	(void)state;
	child->backoff.failures = START_TRIES - 1;
	start_child_died(&m, child, &death);
	assert_int_equal(m.state, MASTER_STARTING);
	child->backoff.failures = START_TRIES;
	m.children[CHILDREN].backoff.failures = START_TRIES;
	start_child_died(&m, &m.children[CHILDREN], &death); /* of the other image */
	assert_int_equal(m.state, MASTER_STARTING);
	m.state = MASTER_SERVING;
	start_child_died(&m, child, &death);
	assert_int_equal(m.state, MASTER_SERVING);
	m.state = MASTER_STARTING;
	start_child_died(&m, child, &death);
	assert_true(m.state == MASTER_STOPPING && m.failed);
	assert_int_equal(fixture_log_count("why=\"a child dies before it is ready\""), 1);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(it_serves_when_all_are_ready),
		ROW(one_that_stops_starts_no_more),
		ROW(an_image_has_to_prove_itself_first),
		ROW(a_segment_that_cannot_be_put_in_its_place_ends_it),
		ROW(a_child_that_never_is_ready_ends_it),
	};

	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
