/* SPDX-License-Identifier: Apache-2.0 */
/* What a service manager is told; the test listens at the socket in its place. */
#include "master/notify.h"

#include "tests/unit/folder_fixture.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"

#define MONO_US 1234567890123ULL

static int manager;

static int set_up(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	alarm(120);                /* only ends what hangs */
	unsetenv("WATCHDOG_USEC"); /* of who runs the tests */
	unsetenv("WATCHDOG_PID");
	if (folder_set_up(state) < 0)
		return -1;
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/notify", folder);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return bind(manager, (struct sockaddr *)&at, sizeof(at)) < 0
	               ? -1
	               : setenv("NOTIFY_SOCKET", at.sun_path, 1);
}

static int tear_down(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	clock_set_for_test(0, 0);
	close(manager);
	return folder_tear_down(state);
}

/* "": nothing came. Nothing is waited for: a datagram is there as soon as it was sent. */
static void expect(const char *text)
{
	char got[256];
	ssize_t n = recv(manager, got, sizeof(got) - 1, 0);

	got[n < 0 ? 0 : n] = 0;
	assert_string_equal(got, text);
}

static void tells_each_step(void **state)
{
	char ready[128], reloading[128];

	(void)state;
	snprintf(ready, sizeof(ready),
	         "READY=1\nMAINPID=%d\nSTATUS=Serving port 8848 with 4 workers", (int)getpid());
	notify_ready(4, 8848);
	expect(ready);
	/* systemd compares the time with that of the signal. */
	clock_set_for_test(MONO_US, 1);
	snprintf(reloading, sizeof(reloading), "RELOADING=1\nMONOTONIC_USEC=%llu", MONO_US);
	notify_reloading();
	expect(reloading);
	notify_reloaded("Refused: line 3: 100% wrong");
	expect("READY=1\nSTATUS=Refused: line 3: 100% wrong");
	notify_alive();
	expect("WATCHDOG=1");
	notify_stopping();
	expect("STOPPING=1\nSTATUS=Stopping");
	expect("");
}

static void without_a_manager_nothing_happens(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	notify_ready(1, 1);
	notify_reloading();
	notify_reloaded("");
	notify_alive();
	notify_stopping();
	expect("");
}

static void a_manager_that_is_gone_is_no_matter(void **state)
{
	(void)state;
	setenv("NOTIFY_SOCKET", folder_path("nobody"), 1);
	notify_ready(1, 1);
	notify_stopping();
	expect("");
}

/* How many lines of the log say so. */
static unsigned log_count(const char *what)
{
	static char text[16384];
	unsigned count = 0;
	int fd = open(folder_path("log"), O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0 && (size_t)n < sizeof(text) - 1);
	close(fd);
	text[n] = 0;
	for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
		count++;
	return count;
}

/* Returns how many messages the socket held. */
static unsigned read_all(void)
{
	unsigned count = 0;
	char got[256];

	while (recv(manager, got, sizeof(got), 0) >= 0)
		count++;
	return count;
}

static void a_manager_that_does_not_read_is_not_waited_for(void **state)
{
	const unsigned many = 5000; /* more than any queue of the system holds */
	static const char line[] = "op=notify what=lost err=\"Resource temporarily unavailable\"";

	(void)state;
	assert_int_equal(log_open(folder_path("log"), LOG_LEVEL_INFO), 0);
	for (unsigned turn = 1; turn <= 2; turn++) {
		for (unsigned i = 0; i < many; i++)
			notify_alive();
		assert_int_equal(log_count(line), turn); /* once, until one gets through */
		assert_in_range(read_all(), 1, many - 1);
		notify_alive();
		assert_int_equal(read_all(), 1);
	}
	assert_int_equal(log_open("", LOG_LEVEL_INFO), 0);
}

static void a_manager_may_have_a_name_without_a_file(void **state)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(at);
	char name[64];

	(void)state;
	close(manager);
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(manager >= 0);
	/* The system chooses a free one. */
	assert_int_equal(bind(manager, (struct sockaddr *)&at, sizeof(at.sun_family)), 0);
	assert_int_equal(getsockname(manager, (struct sockaddr *)&at, &size), 0);
	snprintf(name, sizeof(name), "@%.*s",
	         (int)(size - offsetof(struct sockaddr_un, sun_path) - 1), at.sun_path + 1);
	setenv("NOTIFY_SOCKET", name, 1);
	notify_alive();
	expect("WATCHDOG=1");
}

static void what_is_no_address_is_no_manager(void **state)
{
	static char names[][200] = { "", "/", "@", "notify", "vsock:2:1" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		notify_alive();
	}
	memset(names[0], 'x', sizeof(names[0]) - 1);
	names[0][0] = '/';
	setenv("NOTIFY_SOCKET", names[0], 1); /* longer than an address can be */
	notify_alive();
	expect("");
}

static void the_period_is_half_of_what_is_asked(void **state)
{
	static const struct {
		const char *asked;
		uint64_t period_ms;
	} rows[] = {
		{ "30000000", 15000 },
		{ "3000", 1 },
		{ "1999", 1 },
		{ "1", 1 }, /* 0 would mean never */
	};
	char pid[16];

	(void)state;
	assert_int_equal(notify_period_ms(), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setenv("WATCHDOG_USEC", rows[i].asked, 1);
		assert_int_equal(notify_period_ms(), rows[i].period_ms);
	}
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_period_ms(), 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
	setenv("WATCHDOG_PID", pid, 1); /* another process is asked */
	assert_int_equal(notify_period_ms(), 0);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "often", 1);
	assert_int_equal(notify_period_ms(), 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(tells_each_step),
		ROW(without_a_manager_nothing_happens),
		ROW(a_manager_that_is_gone_is_no_matter),
		ROW(a_manager_that_does_not_read_is_not_waited_for),
		ROW(a_manager_may_have_a_name_without_a_file),
		ROW(what_is_no_address_is_no_manager),
		ROW(the_period_is_half_of_what_is_asked),
	};

	return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
