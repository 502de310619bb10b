/* SPDX-License-Identifier: Apache-2.0 */
/* What a binary looks at as a trial, and that it leaves all of that as it was. The test is the
 * master, and the trial its child. */
#include "master/upgrade/trial_run.h"

#include "tests/unit/child_fixture.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/handover_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "master/upgrade/trial.h"
#include "shared/base/clock.h"

#define SEGMENT_BYTES (12U << 20)
#define LOOP_MS 900U /* it lives for a second */

static struct options options;
static struct master m;
static struct handover *page;
static struct segment *seg;
static int page_fd;

static int listen_here(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0
	               ? fd
	               : -1;
}

static int set_up(void **state)
{
	static char *args[] = { (char *)"rosterd", NULL };
	static char config_path[128];
	struct segment_config config = {
		.dir = folder, .runtime_dir = "", .name = "segment", .limit_bytes = SEGMENT_BYTES
	};
	struct segment_report report;

	if (folder_set_up(state) < 0)
		return -1;
	folder_put("roster.yaml", "log: {level: info}\n");
	snprintf(config_path, sizeof(config_path), "%s/roster.yaml", folder);
	if (segment_open(&config, &seg, &report) < 0 ||
	    !handover_page_new(&m, seg, args, &page, &page_fd))
		return -1;
	page->udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		page->listen_fds[i] = i == 0 ? listen_here() : page->listen_fds[0];
	options = (struct options){ .action = OPTIONS_TRIAL,
		                    .handover_fd = page_fd,
		                    .config_path = config_path };
	return page->listen_fds[0] >= 0 && page->udp_fd >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	close(page->listen_fds[0]);
	close(page->udp_fd);
	handover_unmap(&page);
	close(page_fd);
	segment_close_for_test(&seg);
	return folder_tear_down(state);
}

static int run_here(void *arg)
{
	(void)arg;
	return trial_run(&options);
}

/* said: its whole output. */
static void ends(int code, const char *said)
{
	child_expect(run_here, NULL, code, "");
	assert_string_equal(child_text, said);
}

/* ---- what passes ----------------------------------------------------------------------------- */

static void dial(int to_fd)
{
	struct sockaddr_in to;
	socklen_t size = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(to_fd, (struct sockaddr *)&to, &size), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, size), 0);
	close(fd);
}

/* The trial runs for a while, and neither writes nor accepts. */
static void all_is_well(void **state)
{
	struct handover *page_before = malloc(sizeof(*page));
	uint8_t *before = malloc(SEGMENT_BYTES);
	uint64_t begin_ms = clock_mono_ms();
	int fd;

	(void)state;
	assert_true(page_before != NULL && before != NULL);
	memcpy(page_before, page, sizeof(*page));
	memcpy(before, seg->base, seg->bytes);
	dial(page->listen_fds[0]);
	ends(0, TRIAL_PASSED);
	assert_true(clock_mono_ms() - begin_ms >= LOOP_MS);
	assert_memory_equal(page, page_before, sizeof(*page));
	assert_memory_equal(seg->base, before, seg->bytes);
	fd = accept(page->listen_fds[0], NULL, NULL); /* still waits there */
	assert_true(fd >= 0);
	close(fd);
	free(page_before);
	free(before);
}

static void another_layout_is_no_failure(void **state)
{
	(void)state;
	seg->header->layout++;
	ends(TRIAL_EXIT_LAYOUT, TRIAL_PASSED);
}

static int run_to_full_disk(void *arg)
{
	CHILD_MUST(freopen("/dev/full", "w", stdout) != NULL);
	return run_here(arg);
}

static void who_cannot_say_it_has_not_passed(void **state)
{
	(void)state;
	child_expect(run_to_full_disk, NULL, EXIT_FAILURE, "");
}

/* ---- what does not --------------------------------------------------------------------------- */

static void a_configuration_that_cannot_be_read(void **state)
{
	char expected[256];

	(void)state;
	folder_put("roster.yaml", "log: {level: loud}\n");
	assert_int_equal(child_run(run_here, NULL), EXIT_FAILURE);
	snprintf(expected, sizeof(expected), "%s:1: log.level", options.config_path);
	assert_memory_equal(child_text, expected, strlen(expected));
}

static void a_key_that_needs_a_restart(void **state)
{
	(void)state;
	folder_put("roster.yaml", "listen: {backlog: 7}\n");
	ends(EXIT_FAILURE, "listen.backlog: changing it needs a restart\n");
}

static void a_user_that_is_gone(void **state)
{
	(void)state;
	folder_put("roster.yaml", "user: no-such-user\n");
	snprintf(m.config.user, sizeof(m.config.user), "no-such-user");
	assert_int_equal(config_fixed_text(&m.config, page->fixed, sizeof(page->fixed)), 0);
	ends(EXIT_FAILURE, "user \"no-such-user\" does not exist\n");
}

static void sockets_that_did_not_come_along(void **state)
{
	int none[] = { -1, page_fd, page->udp_fd };

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		page->listen_fds[WORKERS_MAX - 1] = none[i];
		ends(EXIT_FAILURE, "a listening socket did not come along\n");
	}
	page->listen_fds[WORKERS_MAX - 1] = page->listen_fds[0];
	page->udp_fd = page->listen_fds[0];
	ends(EXIT_FAILURE, "the push socket did not come along\n");
	page->udp_fd = none[2];
}

static void a_segment_that_is_none(void **state)
{
	(void)state;
	seg->header->magic++;
	assert_int_equal(child_run(run_here, NULL), EXIT_FAILURE);
	assert_memory_equal(child_text, "the segment is ", 15);
	seg->header->magic--;
	page->segment_fd = page_fd;
	assert_int_equal(child_run(run_here, NULL), EXIT_FAILURE);
	assert_null(strstr(child_text, TRIAL_PASSED));
}

static void a_master_that_is_not_ours(void **state)
{
	(void)state;
	page->master_pid++;
	ends(2,
	     "rosterd: --trial: only a running rosterd gives this option, to its successor (SIGUSR2)\n");
	page->master_pid--;
	page->version++;
	child_expect(run_here, NULL, 2,
	             "rosterd: --trial: the running server hands over in version ");
	options.handover_fd = -1;
	child_expect(run_here, NULL, 2, "rosterd: --trial: ");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(all_is_well),
		ROW(another_layout_is_no_failure),
		ROW(who_cannot_say_it_has_not_passed),
		ROW(a_configuration_that_cannot_be_read),
		ROW(a_key_that_needs_a_restart),
		ROW(a_user_that_is_gone),
		ROW(sockets_that_did_not_come_along),
		ROW(a_segment_that_is_none),
		ROW(a_master_that_is_not_ours),
	};

	return cmocka_run_group_tests_name("trial_run", tests, NULL, NULL);
}
