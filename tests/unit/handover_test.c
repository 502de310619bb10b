/* SPDX-License-Identifier: Apache-2.0 */
/* The page between two images of the master: who may read it, and what comes out again. */
#include "master/upgrade/handover.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/master.h"
#include "master/spawn.h"

static struct master m;
static struct handover *page;
static int page_fd;
static char *args[] = { (char *)"rosterd",
	                (char *)"--handover=9",
	                (char *)"-f",
	                (char *)"-o",
	                (char *)"a=",
	                (char *)"",
	                NULL };

static int set_up(void **state)
{
	struct segment *seg;

	(void)state;
	m = (struct master){ .args = args,
		             .path = "/usr/sbin/rosterd",
		             .config_fd = -1,
		             .convert = { .snapshot_fd = -1 },
		             .upgrade = { .page_fd = -1 } };
	config_defaults(&m.config);
	sockets_init(&m.sockets);
	m.activation.datagram_fd = -1;
	spawn_init(&m);
	if (segment_open_anonymous(0, &seg) < 0 || handover_new(&page, &page_fd) < 0)
		return -1;
	m.seg = seg;
	page->self_fd = page_fd;
	return handover_fill(page, &m);
}

static int tear_down(void **state)
{
	(void)state;
	segment_close_for_test(&m.seg);
	handover_unmap(&page);
	close(page_fd);
	return 0;
}

static void expect_refused(int fd, pid_t pid, const char *expected)
{
	struct handover *h = NULL;
	char why[160];

	assert_int_equal(handover_map(fd, true, pid, &h, why, sizeof(why)), ERR_SYNTAX);
	assert_null(h);
	assert_non_null(strstr(why, expected));
}

static void maps_only_its_own(void **state)
{
	struct handover *h = NULL;
	char why[160];
	int fd;

	(void)state;
	assert_int_equal(handover_map(page_fd, true, getpid(), &h, why, sizeof(why)), 0);
	handover_unmap(&h);
	expect_refused(page_fd, getpid() + 1, "only a running rosterd");
	expect_refused(-1, getpid(), "only a running rosterd");
	fd = open("/dev/null", O_RDWR);
	expect_refused(fd, getpid(), "only a running rosterd");
	close(fd);
	fd = dup(page_fd); /* the number is part of it */
	expect_refused(fd, getpid(), "only a running rosterd");
	close(fd);
	page->version++;
	expect_refused(page_fd, getpid(), "hands over in version 3");
	page->version--;
	page->magic++;
	expect_refused(page_fd, getpid(), "only a running rosterd");
	page->magic--;
	page->args[sizeof(page->args) - 1] = 'x';
	expect_refused(page_fd, getpid(), "only a running rosterd");
	page->args[sizeof(page->args) - 1] = 0;
	assert_int_equal(ftruncate(page_fd, sizeof(*page) + 8), 0);
	expect_refused(page_fd, getpid(), "in another way");
}

static void the_command_line_stays(void **state)
{
	char *argv[HANDOVER_ARGS + 3], first[] = "--trial=4";
	const char *const expected[] = { "/usr/sbin/rosterd", "--trial=4", "-f", "-o", "a=", "" };

	(void)state;
	handover_args(page, first, argv);
	for (unsigned i = 0; i < 6; i++)
		assert_string_equal(argv[i], expected[i]);
	assert_null(argv[6]);
	assert_int_equal(handover_fd_of(2, args, HANDOVER_OPTION), 9);
	assert_int_equal(handover_fd_of(2, args, HANDOVER_TRIAL_OPTION), -1);
	assert_int_equal(handover_fd_of(1, args, HANDOVER_OPTION), -1);
	assert_int_equal(handover_fd_of(2, argv, HANDOVER_TRIAL_OPTION), 4);
}

static void too_long_is_refused(void **state)
{
	static char text[HANDOVER_ARGS_BYTES + 1];
	char *many[HANDOVER_ARGS + 3];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	args[5] = text;
	assert_int_equal(handover_fill(page, &m), ERR_TOO_BIG);
	args[5] = (char *)"";
	for (unsigned i = 0; i < HANDOVER_ARGS + 2; i++)
		many[i] = args[2];
	many[HANDOVER_ARGS + 2] = NULL;
	m.args = many;
	assert_int_equal(handover_fill(page, &m), ERR_TOO_BIG);
	m.args = args;
}

static void children_change_sides(void **state)
{
	static struct master next;

	(void)state;
	m.children[1].pid = 41;
	m.children[1].notice_fd = 12;
	m.children[1].ready = m.children[1].stopped = true;
	m.children[65].pid = 43;
	m.children[65].told = true;
	assert_int_equal(handover_fill(page, &m), 0);
	next.bank = !page->bank;
	spawn_init(&next);
	handover_take_children(page, &next, HANDOVER_NEW);
	assert_int_equal(next.children[1].pid, 0);
	assert_int_equal(next.children[1].slot, slot_of_worker(1, 1));
	assert_int_equal(next.children[CHILDREN + 1].pid, 41);
	assert_int_equal(next.children[CHILDREN + 1].slot, 1);
	assert_int_equal(next.children[CHILDREN + 1].notice_fd, 12);
	assert_true(next.children[CHILDREN + 1].ready && next.children[CHILDREN + 1].stopped &&
	            !next.children[CHILDREN + 1].told);
	assert_true(next.children[CHILDREN + 65].told);
	assert_int_equal(next.children[CHILDREN + 65].slot, next.children[65].slot);
	next.children[0].pid = 50;
	handover_record(page, &next);
	/* And back: the image that is called back finds both. */
	m.bank = page->bank;
	spawn_init(&m);
	handover_take_children(page, &m, HANDOVER_OLD);
	assert_int_equal(m.children[1].pid, 41);
	assert_int_equal(m.children[CHILDREN].pid, 50);
	assert_int_equal(m.children[CHILDREN].slot, slot_of_worker(1, 0));
}

static void descriptors_pass_or_not(void **state)
{
	(void)state;
	assert_int_equal(fcntl(page_fd, F_GETFD), FD_CLOEXEC);
	handover_pass(page, true);
	assert_int_equal(fcntl(page_fd, F_GETFD), 0);
	handover_pass(page, false);
	assert_int_equal(fcntl(page_fd, F_GETFD), FD_CLOEXEC);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(maps_only_its_own),     ROW(the_command_line_stays),  ROW(too_long_is_refused),
		ROW(children_change_sides), ROW(descriptors_pass_or_not),
	};

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
