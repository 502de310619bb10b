/* SPDX-License-Identifier: Apache-2.0 */
/* The new image beside the old one's children: what it takes over, who makes room, when it is
 * proven, and that the page stays true meanwhile. Both images are this process; the way back is not
 * armed. */
#include "master/upgrade/arrival.h"

#include "tests/unit/master_fixture.h"
#include "master/reap.h"
#include "master/upgrade/handover.h"

static unsigned advanced;

static void advance(struct master *of)
{
	assert_ptr_equal(of, &m);
	advanced++;
}

static const struct plan rows[] = {
	{ "arrival", .advance = arrival_advance, .child_died = arrival_child_died,
	  .blocks = arrival_blocks, .child_forked = arrival_record },
	{ "test", .advance = advance },
	{ .name = NULL },
};

/* The old image has a worker, a pusher and a keeper, and has filled the page. */
static void fill_page(void)
{
	static char *args[] = { (char *)"rosterd", (char *)"-f", NULL };
	const unsigned places[] = { 0, PUSHER, KEEPER };
	struct handover *page;
	int page_fd;

	m.args = args;
	snprintf(m.path, sizeof(m.path), "/usr/sbin/rosterd");
	for (unsigned i = 0; i < 3; i++) {
		assert_true(child_open_notice(&m.children[places[i]]));
		fixture_start(&m.children[places[i]]);
		child_set_ready(&m.children[places[i]]);
	}
	assert_int_equal(handover_new(&page, &page_fd), 0);
	page->self_fd = page_fd;
	assert_int_equal(handover_fill(page, &m), 0);
	page->begun_ms = clock_mono_ms();
	page->binary_fd = dup(page_fd);
	page->config_fd = dup(page_fd);
	page->segment_fd = dup(page_fd);
	handover_unmap(&page);
	m.options->handover_fd = page_fd;
}

static int set_up(void **state)
{
	char why[160];

	(void)state;
	advanced = 0;
	fixture_init(rows);
	m.workers = 1;
	m.bank = 0;
	fill_page();
	/* From here on we are the new image; the segment is the same. */
	m.state = MASTER_STARTING;
	assert_int_equal(arrival_begin(&m, why, sizeof(why)), 0);
	spawn_init(&m);
	fixture_use_role(fixture_serve);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (m.upgrade.page != NULL) {
		close(m.upgrade.page->binary_fd);
		close(m.upgrade.page->config_fd);
		close(m.upgrade.page->segment_fd);
	}
	upgrade_release(&m);
	fixture_deinit();
	return 0;
}

static struct child *elder(unsigned place)
{
	return &m.children[CHILDREN + place];
}

/* Others that had ended too are reaped with it. */
static void end(struct child *child)
{
	if (child->pid > 0)
		fixture_wait_end(child);
	reap_children(&m);
	assert_int_equal(child->pid, 0);
}

/* All three of ours serve. */
static void serve(void)
{
	const unsigned places[] = { 0, PUSHER, KEEPER };

	spawn_wanted(&m);
	child_set_ready(&m.children[0]);
	arrival_advance(&m);
	end(elder(PUSHER));
	end(elder(KEEPER));
	for (unsigned i = 1; i < 3; i++) {
		assert_true(m.children[places[i]].pid > 0); /* forked when the elder was reaped */
		child_set_ready(&m.children[places[i]]);
	}
}

static void the_page_says_what_to_take_over(void **state)
{
	(void)state;
	assert_int_equal(m.bank, 1); /* the other one */
	assert_string_equal(m.path, "/usr/sbin/rosterd");
	assert_false(m.upgrade.back || m.upgrade.converted);
	arrival_adopt_children(&m);
	assert_int_equal(m.upgrade.step, UPGRADE_ARRIVING);
	assert_int_equal(children_running(m.children), 3);
	assert_true(elder(0)->pid > 0 && elder(0)->ready && elder(KEEPER)->pid > 0 &&
	            m.children[0].pid == 0);
}

static void an_option_by_hand_is_refused(void **state)
{
	struct options other = { .handover_fd = STDIN_FILENO };
	struct master next = { .options = &other };
	char why[160] = "";

	(void)state;
	assert_int_equal(arrival_begin(&next, why, sizeof(why)), ERR_SYNTAX);
	assert_non_null(strstr(why, "only a running rosterd"));
	arrival_adopt_children(&m); /* the tear down ends them */
}

static void who_is_alone_in_its_role_makes_room(void **state)
{
	(void)state;
	arrival_adopt_children(&m);
	assert_true(arrival_blocks(&m, &m.children[KEEPER]) && !arrival_blocks(&m, &m.children[0]));
	spawn_wanted(&m);
	assert_true(m.children[0].pid > 0 && m.children[PUSHER].pid == 0 &&
	            m.children[KEEPER].pid == 0);
	arrival_advance(&m);
	assert_false(elder(PUSHER)->told || elder(KEEPER)->told); /* ours is not ready yet */
	child_set_ready(&m.children[0]);
	arrival_advance(&m);
	assert_true(elder(PUSHER)->told && elder(KEEPER)->told && !elder(0)->told);
	end(elder(KEEPER));
	assert_true(m.children[KEEPER].pid > 0 && !arrival_blocks(&m, &m.children[KEEPER]));
	end(elder(PUSHER));
	assert_true(m.children[PUSHER].pid > 0);
}

static void the_page_stays_true(void **state)
{
	const struct handover *page = m.upgrade.page;

	(void)state;
	arrival_adopt_children(&m);
	spawn_wanted(&m);
	assert_int_equal(page->children[HANDOVER_NEW][0].pid, m.children[0].pid);
	assert_int_equal(page->children[HANDOVER_OLD][0].pid, elder(0)->pid);
	fixture_signal(elder(0), SIGKILL);
	end(elder(0));
	assert_int_equal(page->children[HANDOVER_OLD][0].pid, 0);
	fixture_signal(&m.children[0], SIGKILL);
	end(&m.children[0]);
	assert_int_equal(page->children[HANDOVER_NEW][0].pid, 0);
}

static void it_is_proven_after_a_while(void **state)
{
	(void)state;
	assert_true(arrival_is_proven(&m)); /* no upgrade yet */
	arrival_adopt_children(&m);
	assert_false(arrival_is_proven(&m));
	m.convert.snapshot_fd = 0; /* over another layout nobody can wait */
	assert_true(arrival_is_proven(&m));
	m.convert.snapshot_fd = -1;
	assert_true(ev_is_active(&m.upgrade.prove));
	advanced = 0;
	ev_invoke(m.loop, &m.upgrade.prove, EV_TIMER);
	assert_true(arrival_is_proven(&m));
	assert_int_equal(advanced, 1); /* the start may go on */
}

static void then_the_others_are_dismissed(void **state)
{
	siginfo_t info;

	(void)state;
	arrival_adopt_children(&m);
	serve();
	assert_false(elder(0)->told);
	arrival_confirm(&m);
	assert_int_equal(m.upgrade.step, UPGRADE_LEAVING);
	assert_null(m.upgrade.page);
	assert_int_equal(m.seg->board->upgrades_done, 1);
	assert_true(elder(0)->told && ev_is_active(&m.upgrade.drain));
	info = fixture_wait_end(elder(0));
	assert_int_equal(info.si_status, SIGUSR2); /* as soon as no client notices */
	assert_int_equal(fixture_log_count("op=upgrade result=done"), 0);
	end(elder(0));
	assert_int_equal(m.upgrade.step, UPGRADE_NONE);
	assert_int_equal(elder(0)->notice_fd, -1);
	assert_false(ev_is_active(&m.upgrade.drain));
	assert_int_equal(fixture_log_count("op=upgrade result=done"), 1);
	assert_int_equal(children_running(m.children), 3);
}

static void block(int signal_number, bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal_number);
	sigprocmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void who_takes_too_long_is_told_again_and_then_killed(void **state)
{
	siginfo_t info;

	(void)state;
	arrival_adopt_children(&m);
	serve();
	block(SIGUSR2, true); /* two elders that do not hear it */
	block(SIGTERM, true);
	fixture_start(elder(1));
	block(SIGTERM, false);
	fixture_start(elder(2));
	block(SIGUSR2, false);
	arrival_confirm(&m);
	end(elder(0));
	ev_invoke(m.loop, &m.upgrade.drain, EV_TIMER);
	info = fixture_wait_end(elder(2));
	assert_int_equal(info.si_status, SIGTERM);
	end(elder(2));
	assert_false(elder(1)->killed);
	ev_invoke(m.loop, &m.upgrade.drain, EV_TIMER);
	info = fixture_wait_end(elder(1));
	assert_int_equal(info.si_status, SIGKILL);
	assert_true(elder(1)->killed && elder(1)->told);
	end(elder(1));
	assert_int_equal(m.upgrade.step, UPGRADE_NONE);
	assert_int_equal(fixture_log_count("step=drain"), 3);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(the_page_says_what_to_take_over),
		ROW(an_option_by_hand_is_refused),
		ROW(who_is_alone_in_its_role_makes_room),
		ROW(the_page_stays_true),
		ROW(it_is_proven_after_a_while),
		ROW(then_the_others_are_dismissed),
		ROW(who_takes_too_long_is_told_again_and_then_killed),
	};

	return cmocka_run_group_tests_name("arrival", tests, NULL, NULL);
}
