/* SPDX-License-Identifier: Apache-2.0 */
/* Which sockets need a sitter, and when the workers hear of it. */
#include "master/orphans.h"

#include "tests/unit/master_fixture.h"

/* They run as far as the table says. */
static void seem_to_run(struct child *child)
{
	child->pid = getpid();
	child->ready = true;
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(NULL);
	for (unsigned i = 0; i < 2; i++) {
		seem_to_run(&m.children[i]);
		assert_true(child_open_notice(&m.children[i]));
	}
	orphans_update(&m);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		m.children[i].pid = 0;
	fixture_deinit();
	return 0;
}

static void expect(uint64_t orphans, bool woken)
{
	orphans_update(&m);
	assert_int_equal(m.seg->board->orphans, orphans);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(fixture_was_woken(&m.children[i]), woken);
}

static void a_socket_is_an_orphan_while_nobody_serves_it(void **state)
{
	struct child *child = &m.children[1];

	(void)state;
	expect(0, false);
	child->ready = false;
	expect(2, true);
	expect(2, false); /* known already */
	child->ready = true;
	expect(0, true);
	child->stopped = true;
	expect(2, true);
	child->stopped = false;
	expect(0, true);
	child->busy = true;
	expect(2, true);
	child->busy = false;
	child->told = true;
	expect(2, false);
	child->told = false;
	expect(0, true);
	m.children[0].ready = child->ready = false;
	expect(3, true);
}

static void sockets_nobody_listens_at_are_none(void **state)
{
	(void)state;
	m.children[0].ready = m.children[1].ready = false;
	m.sockets.listening = 1;
	expect(1, true);
	m.sockets.listening = 0;
	expect(0, true);
}

static void a_worker_of_the_other_image_will_do(void **state)
{
	(void)state;
	m.children[1].ready = false;
	seem_to_run(&m.children[CHILDREN + 1]);
	expect(0, false);
	m.children[CHILDREN + 1].told = true;
	expect(2, true);
}

static void while_the_server_stops_there_are_none(void **state)
{
	(void)state;
	m.children[1].ready = false;
	expect(2, true);
	m.state = MASTER_STOPPING;
	expect(0, true);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(a_socket_is_an_orphan_while_nobody_serves_it),
		ROW(sockets_nobody_listens_at_are_none),
		ROW(a_worker_of_the_other_image_will_do),
		ROW(while_the_server_stops_there_are_none),
	};

	return cmocka_run_group_tests_name("orphans", tests, NULL, NULL);
}
