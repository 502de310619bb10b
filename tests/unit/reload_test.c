/* SPDX-License-Identifier: Apache-2.0 */
/* What may change while the server serves: all of a new configuration or none of it, and the number
 * of workers. */
#include "master/reload.h"

#include <sys/mman.h>

#include "tests/unit/master_fixture.h"

static bool nobody_new;

static bool blocks(const struct master *of, const struct child *child)
{
	(void)of;
	(void)child;
	return nobody_new;
}

static const struct plan rows[] = {
	{ "test", .blocks = blocks },
	{ .name = NULL },
};

static int set_up(void **state)
{
	static char path[96];
	struct config_error error;
	FILE *file;

	(void)state;
	nobody_new = false;
	fixture_init(rows);
	snprintf(path, sizeof(path), "%s/roster.yaml", fixture_folder);
	assert_non_null(file = fopen(path, "we"));
	assert_int_equal(fclose(file), 0);
	m.options->config_path = path;
	assert_int_equal(options_load_config(m.options, &m.config, &error), 0);
	m.config.sandbox_seccomp = false;
	m.options->overrides[0] = "sandbox.seccomp=false";
	m.options->overrides[1] = "workers=2";
	m.options->override_count = 2;
	m.config.workers = 2;
	return reload_init(&m);
}

static int tear_down(void **state)
{
	(void)state;
	unlink(m.options->config_path);
	munmap(m.config_shared, sizeof(*m.config_shared));
	close(m.config_fd);
	fixture_deinit();
	return 0;
}

static const struct config *published(void)
{
	return &m.config_shared->halves[m.config_shared->generation & 1];
}

/* Ends by the signal that it was given. */
static void expect_signalled(struct child *child, int signal_number)
{
	siginfo_t info = fixture_wait_end(child);

	assert_int_equal(info.si_status, signal_number);
}

static void workers_mean_cores_or_a_number(void **state)
{
	struct config config = { .workers = 3 };

	(void)state;
	assert_int_equal(reload_worker_count(&config), 3);
	config.workers = WORKERS_MAX + 5;
	assert_int_equal(reload_worker_count(&config), WORKERS_MAX);
	config.workers = 0;
	assert_in_range(reload_worker_count(&config), 1, WORKERS_MAX);
}

static void children_read_a_page_that_is_made_once(void **state)
{
	struct config_shared *page = m.config_shared;

	(void)state;
	assert_int_equal(page->generation, 0);
	assert_int_equal(page->halves[0].workers, 2);
	assert_int_equal(page->halves[1].workers, 2);
	assert_int_equal(reload_init(&m), 0); /* an image that was called back has one */
	assert_ptr_equal(m.config_shared, page);
}

static void a_new_configuration_is_published(void **state)
{
	(void)state;
	fixture_start(&m.children[0]);
	m.options->overrides[2] = "push.ack_wait=1234ms";
	m.options->override_count = 3;
	reload_config(&m);
	assert_int_equal(m.config_shared->generation, 1);
	assert_int_equal(m.seg->board->config_generation, 1);
	assert_int_equal(published()->push_ack_wait_ms, 1234);
	assert_int_equal(published()->workers, 2);
	assert_int_equal(m.config.push_ack_wait_ms, 1234);
	expect_signalled(&m.children[0], SIGHUP);
	assert_int_equal(fixture_log_count("op=reload result=ok changed=1"), 1);
	assert_true(m.children[1].pid > 0); /* whoever is wanted and was not there */
}

static void expect_refused(const char *override, const char *why)
{
	m.options->overrides[2] = override;
	m.options->override_count = 3;
	reload_config(&m);
	assert_int_equal(m.config_shared->generation, 0);
	assert_int_equal(children_running(m.children), 0);
	assert_int_equal(fixture_log_count(why), 1);
}

static void a_wrong_one_changes_nothing(void **state)
{
	(void)state;
	expect_refused("push.ack_wait=never", "op=reload result=refused why=\"");
	expect_refused("listen.port=1", "listen.port: changing it needs a restart");
	m.state = MASTER_STARTING;
	expect_refused("push.ack_wait=1234ms", "not serving yet, or no longer");
	assert_int_not_equal(m.config.push_ack_wait_ms, 1234);
}

static void one_worker_more(void **state)
{
	(void)state;
	m.sockets.listening = 7;
	reload_more_workers(&m);
	assert_int_equal(m.workers, 3);
	assert_int_equal(m.seg->board->workers, 3);
	assert_true(m.children[2].pid > 0);
	assert_int_equal(m.seg->board->orphans, 7); /* nobody is ready yet */
}

static void one_worker_less_leaves_its_socket_to_the_others(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		fixture_start(&m.children[i]);
		child_set_ready(&m.children[i]);
	}
	fixture_start(&m.children[PUSHER]);
	fixture_start(&m.children[KEEPER]);
	reload_fewer_workers(&m);
	assert_int_equal(m.workers, 1);
	assert_true(m.children[1].told && !m.children[0].told);
	expect_signalled(&m.children[1], SIGUSR2);
	assert_int_equal(m.seg->board->orphans, 2);
	assert_int_equal(fixture_log_count("op=workers before=2 now=1"), 1);
}

static void a_successor_that_is_no_longer_wanted_does_not_come(void **state)
{
	(void)state;
	nobody_new = true;
	child_wait(&m.children[1], m.loop, 60000);
	reload_fewer_workers(&m);
	assert_false(ev_is_active(&m.children[1].respawn));
	assert_false(m.children[1].told);
}

static void the_number_of_workers_has_bounds(void **state)
{
	(void)state;
	m.workers = 1;
	reload_fewer_workers(&m);
	assert_int_equal(m.workers, 1);
	m.workers = WORKERS_MAX;
	reload_more_workers(&m);
	assert_int_equal(m.workers, WORKERS_MAX);
	m.workers = 2;
	m.state = MASTER_STARTING;
	reload_more_workers(&m);
	assert_int_equal(m.workers, 2);
	assert_int_equal(fixture_log_count("result=refused"), 3);
}

static void a_log_that_was_moved_is_made_anew(void **state)
{
	char path[96], moved[96];

	(void)state;
	fixture_start(&m.children[0]);
	snprintf(path, sizeof(path), "%s/log", fixture_folder);
	snprintf(moved, sizeof(moved), "%s/log.1", fixture_folder);
	assert_int_equal(rename(path, moved), 0);
	reload_log(&m);
	log_info("op=test");
	assert_int_equal(fixture_log_count("op=test"), 1);
	expect_signalled(&m.children[0], SIGUSR1);
	unlink(moved);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(workers_mean_cores_or_a_number),
		ROW(children_read_a_page_that_is_made_once),
		ROW(a_new_configuration_is_published),
		ROW(a_wrong_one_changes_nothing),
		ROW(one_worker_more),
		ROW(one_worker_less_leaves_its_socket_to_the_others),
		ROW(a_successor_that_is_no_longer_wanted_does_not_come),
		ROW(the_number_of_workers_has_bounds),
		ROW(a_log_that_was_moved_is_made_anew),
	};

	return cmocka_run_group_tests_name("reload", tests, NULL, NULL);
}
