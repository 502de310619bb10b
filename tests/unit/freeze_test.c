/* SPDX-License-Identifier: Apache-2.0 */
/* Everybody stands still, as the master sees it: who has to, who is killed for it, and that they go
 * on. */
#include "master/upgrade/freeze.h"

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
	{ "freeze", .blocks = freeze_blocks, .stop = freeze_end },
	{ .name = NULL },
};

static int set_up(void **state)
{
	(void)state;
	nobody_new = false;
	fixture_init(rows);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(child_open_notice(&m.children[i]));
		fixture_start(&m.children[i]);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit();
	return 0;
}

/* What a child does in freeze_here(). */
static void stand_still(const struct child *child)
{
	m.seg->slots[child->slot].frozen_seen = m.seg->board->frozen;
}

static void it_is_done_when_all_have_said_so(void **state)
{
	(void)state;
	assert_false(freeze_done(&m));
	freeze_begin(&m);
	assert_int_equal(m.seg->board->frozen, 1);
	assert_true(fixture_was_woken(&m.children[0]) && fixture_was_woken(&m.children[1]));
	assert_false(freeze_done(&m));
	stand_still(&m.children[0]);
	assert_false(freeze_done(&m));
	stand_still(&m.children[1]);
	assert_true(freeze_done(&m));
	freeze_begin(&m); /* has begun already */
	assert_int_equal(m.freeze.generation, 1);
	assert_int_equal(fixture_log_count("op=freeze generation=1 children=2"), 1);
}

static void nobody_is_forked_meanwhile(void **state)
{
	(void)state;
	assert_false(freeze_blocks(&m, &m.children[PUSHER]));
	freeze_begin(&m);
	assert_true(freeze_blocks(&m, &m.children[PUSHER]));
	spawn_wanted(&m);
	assert_int_equal(children_running(m.children), 2);
	freeze_end(&m); /* forks the pusher and the keeper */
	assert_int_equal(children_running(m.children), 4);
	assert_int_equal(m.seg->board->frozen, 0);
	assert_true(fixture_was_woken(&m.children[0]));
	assert_false(ev_is_active(&m.freeze.limit));
	freeze_end(&m);
	assert_int_equal(fixture_log_count("op=freeze-end"), 1);
}

static void who_does_not_come_is_killed(void **state)
{
	siginfo_t info;

	(void)state;
	freeze_begin(&m);
	stand_still(&m.children[0]);
	ev_invoke(m.loop, &m.freeze.limit, EV_TIMER);
	info = fixture_wait_end(&m.children[1]);
	assert_int_equal(info.si_status, SIGKILL);
	assert_true(m.children[1].killed && !m.children[0].killed);
	assert_int_equal(fixture_log_count("op=kill name=worker/1"), 1);
	assert_int_equal(fixture_log_count("why=not-frozen"), 1);
	waitpid(m.children[1].pid, NULL, 0);
	child_died(&m.children[1], &info);
	assert_true(freeze_done(&m)); /* the dead stand still too */
}

static void an_old_acknowledgement_does_not_count(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		freeze_begin(&m);
		assert_false(freeze_done(&m));
		stand_still(&m.children[0]);
		stand_still(&m.children[1]);
		assert_true(freeze_done(&m));
		nobody_new = true;
		freeze_end(&m);
		nobody_new = false;
		assert_false(freeze_done(&m));
	}
	assert_int_equal(m.freeze.generation, 2);
}

static void children_may_be_born_into_one(void **state)
{
	(void)state;
	freeze_born(&m);
	assert_int_equal(m.seg->board->frozen, 1);
	assert_false(freeze_blocks(&m, &m.children[PUSHER]));
	spawn_wanted(&m);
	assert_int_equal(children_running(m.children), 4);
	freeze_end(&m);
	assert_int_equal(m.seg->board->frozen, 0);
	assert_false(m.freeze.active || m.freeze.born);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(it_is_done_when_all_have_said_so), ROW(nobody_is_forked_meanwhile),
		ROW(who_does_not_come_is_killed),      ROW(an_old_acknowledgement_does_not_count),
		ROW(children_may_be_born_into_one),
	};

	return cmocka_run_group_tests_name("freeze", tests, NULL, NULL);
}
