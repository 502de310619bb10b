/* SPDX-License-Identifier: Apache-2.0 */
/* What SIGCHLD says: one line in the log, whatever the child left; a free slot; the plans, and then
 * a successor. */
#include "master/reap.h"

#include "tests/unit/master_fixture.h"

static unsigned advanced, died;
static const struct child *last_died;
static int last_status;
static bool stop_at_death, nobody_new;

static void advance(struct master *of)
{
	assert_ptr_equal(of, &m);
	advanced++;
}

static void child_died_hook(struct master *of, const struct child *child, const siginfo_t *info)
{
	assert_ptr_equal(of, &m);
	assert_int_equal(child->pid, 0);
	assert_int_equal(m.seg->slots[child->slot].pid, 0);
	assert_int_equal(m.seg->slots[child->slot].state, SLOT_FREE);
	assert_false(ev_is_active(&child->respawn));
	died++;
	last_died = child;
	last_status = info->si_status;
	if (stop_at_death)
		m.state = MASTER_STOPPING;
}

static bool blocks(const struct master *of, const struct child *child)
{
	(void)of;
	return nobody_new && child != last_died;
}

static const struct plan rows[] = {
	{ "test", .advance = advance, .child_died = child_died_hook, .blocks = blocks },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	advanced = died = 0;
	stop_at_death = nobody_new = false;
	fixture_init(rows);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit();
	return 0;
}

/* Ends it and reaps it. */
static void lose(struct child *child, int signal_number)
{
	fixture_signal(child, signal_number);
	fixture_wait_end(child);
	reap_children(&m);
}

static void last_words_are_quoted(void **state)
{
	struct slot *slot = &m.seg->slots[m.children[0].slot];
	char path[80], text[4096] = "";
	ssize_t n;
	int fd;

	(void)state;
	m.workers = 0; /* nobody is started again */
	snprintf(slot->last_words, SLOT_LAST_WORDS, "%s",
	         "assert \"a\\b\" failed\nop=upgrade result=ok\x1b[2J");
	fixture_start(&m.children[0]);
	lose(&m.children[0], SIGKILL);
	assert_int_equal(slot->last_words[0], 0);
	snprintf(path, sizeof(path), "%s/log", fixture_folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_non_null(strstr(
	        text,
	        "last_words=\"assert \\x22a\\x5cb\\x22 failed\\x0aop=upgrade result=ok\\x1b[2J\"\n"));
	assert_ptr_equal(strchr(text, '\n'), text + n - 1);
	close(fd);
}

static void end_with_words(struct child *child, const char *words, int signal_number)
{
	signal(signal_number, SIG_DFL); /* cmocka catches it */
	fixture_start(child);
	assert_false(child->asserted);
	snprintf(m.seg->slots[child->slot].last_words, SLOT_LAST_WORDS, "%s", words);
	lose(child, signal_number);
}

static void who_ended_by_an_assert_is_known(void **state)
{
	struct child *child = &m.children[0];

	(void)state;
	m.workers = 0;
	end_with_words(child, "assert n > 0 at shared/a.c:7", SIGABRT);
	assert_true(child->asserted);
	end_with_words(child, "assert n > 0 at shared/a.c:7", SIGSEGV); /* left from before */
	assert_false(child->asserted);
	end_with_words(child, "", SIGABRT); /* the C library's, or somebody's */
	assert_false(child->asserted);
}

static void plans_hear_of_it_before_a_successor_waits(void **state)
{
	struct child *child = &m.children[1];

	(void)state;
	fixture_start(&m.children[0]);
	fixture_start(child);
	m.seg->slots[child->slot].state = SLOT_READY;
	lose(child, SIGKILL);
	assert_int_equal(died, 1);
	assert_ptr_equal(last_died, child);
	assert_int_equal(last_status, SIGKILL);
	assert_int_equal(advanced, 1);
	assert_true(ev_is_active(&child->respawn));
	assert_int_equal(fixture_log_count("op=respawn name=worker/1 delay_ms=100"), 1);
	assert_true(m.children[0].pid > 0);
	reap_children(&m); /* nothing new */
	assert_true(died == 1 && advanced == 2);
}

static void one_that_was_ready_is_replaced_at_once(void **state)
{
	struct child *child = &m.children[1];

	(void)state;
	fixture_start(child);
	child_set_ready(child);
	lose(child, SIGKILL);
	assert_int_equal(fixture_log_count("op=respawn"), 0);
	assert_int_equal(fixture_log_count("op=child-exit name=worker/1"), 1);
	nobody_new = true; /* but this one */
	ev_run(m.loop, EVRUN_ONCE);
	assert_true(child->pid > 0);
}

static void who_is_not_wanted_has_no_successor(void **state)
{
	(void)state;
	m.workers = 1;
	fixture_start(&m.children[1]);
	lose(&m.children[1], SIGKILL);
	assert_false(ev_is_active(&m.children[1].respawn));
	fixture_start(&m.children[0]);
	stop_at_death = true; /* a plan begins the stop because of it */
	lose(&m.children[0], SIGKILL);
	assert_false(ev_is_active(&m.children[0].respawn));
	assert_int_equal(fixture_log_count("op=respawn"), 0);
}

/* Whoever is alone in its role waits for the other image's. */
static void after_an_elder_its_successor_is_looked_for(void **state)
{
	(void)state;
	m.workers = 0;
	fixture_start(&m.children[CHILDREN + KEEPER]);
	lose(&m.children[CHILDREN + KEEPER], SIGKILL);
	assert_true(m.children[KEEPER].pid > 0 && m.children[PUSHER].pid > 0);
	assert_false(ev_is_active(&m.children[CHILDREN + KEEPER].respawn));
}

static void stopping_and_going_on_is_seen(void **state)
{
	struct child *child = &m.children[0];
	struct slot *slot = &m.seg->slots[child->slot];

	(void)state;
	fixture_start(child);
	fixture_signal(child, SIGSTOP);
	fixture_wait_change(child, WSTOPPED);
	reap_children(&m);
	assert_true(child->stopped && slot->stopped == 1);
	fixture_signal(child, SIGCONT);
	fixture_wait_change(child, WCONTINUED);
	reap_children(&m);
	assert_true(!child->stopped && slot->stopped == 0 && child->resumed_ms > 0);
	assert_int_equal(died, 0);
	assert_int_equal(fixture_log_count("op=child-stopped name=worker/0"), 1);
	assert_int_equal(fixture_log_count("op=child-continued name=worker/0"), 1);
}

static unsigned warnings(void)
{
	return fixture_log_count(" warning ");
}

static void only_an_end_without_a_reason_is_a_warning(void **state)
{
	struct child *child = &m.children[0];

	(void)state;
	m.workers = 0;
	fixture_start(child);
	child_end(child);
	fixture_wait_end(child);
	reap_children(&m);
	assert_int_equal(warnings(), 0);
	fixture_start(child);
	child_tell(child, SIGTERM); /* it should have left with 0 */
	fixture_wait_end(child);
	reap_children(&m);
	assert_int_equal(warnings(), 1);
}

static void connections_of_the_dead_are_nobodys(void **state)
{
	const uint64_t hash = 12345;

	(void)state;
	m.workers = 0;
	nobody_new = true;
	sources_connection(m.sources, 1, hash, 1);
	fixture_start(&m.children[CHILDREN + 1]); /* counts in a table of its own image */
	lose(&m.children[CHILDREN + 1], SIGKILL);
	assert_int_equal(sources_connections(m.sources, hash), 1);
	fixture_start(&m.children[1]);
	lose(&m.children[1], SIGKILL);
	assert_int_equal(sources_connections(m.sources, hash), 0);
}

/* An image that failed had waited for it, and could not say so any more. */
static void who_is_no_child_any_more_is_dead(void **state)
{
	struct child *child = &m.children[1];

	(void)state;
	fixture_start(&m.children[0]);
	fixture_start(child);
	fixture_signal(child, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	reap_children(&m);
	assert_true(died == 1 && last_died == child && last_status == -1);
	assert_true(child->pid == 0 && ev_is_active(&child->respawn));
	assert_true(m.children[0].pid > 0);
	assert_int_equal(fixture_log_count("op=child-exit name=worker/1"), 1);
}

static void nobody_elses_status_is_taken(void **state)
{
	siginfo_t info = { 0 };
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(7);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	reap_children(&m);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(died, 0);
}

static void readers_of_the_queue_are_woken(void **state)
{
	uint64_t count = 0;

	(void)state;
	m.seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	reap_children(&m); /* a writer may have died before it did */
	assert_int_equal(read(m.seg->wake_fd[QUEUE_PUSHER], &count, sizeof(count)), sizeof(count));
	close(m.seg->wake_fd[QUEUE_PUSHER]);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(last_words_are_quoted),
		ROW(who_ended_by_an_assert_is_known),
		ROW(plans_hear_of_it_before_a_successor_waits),
		ROW(one_that_was_ready_is_replaced_at_once),
		ROW(who_is_not_wanted_has_no_successor),
		ROW(after_an_elder_its_successor_is_looked_for),
		ROW(stopping_and_going_on_is_seen),
		ROW(only_an_end_without_a_reason_is_a_warning),
		ROW(connections_of_the_dead_are_nobodys),
		ROW(who_is_no_child_any_more_is_dead),
		ROW(nobody_elses_status_is_taken),
		ROW(readers_of_the_queue_are_woken),
	};

	return cmocka_run_group_tests_name("reap", tests, NULL, NULL);
}
