/* SPDX-License-Identifier: Apache-2.0 */
/* Freeze and conversion with real children: a master and, in the same process, the one that would
 * come by exec. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "master/files.h"
#include "master/master.h"
#include "master/plans.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/spawn.h"
#include "master/storage.h"
#include "master/stop.h"
#include "master/watch.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sources.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/health.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"

#define WAIT_MS 60000 /* only ends what hangs */
#define CLIENTS 8
#define TEXT_MAX 65536

static char folder[64];
static struct master old, new;
static int clients[CLIENTS];
static int done_err;
static bool done;

/* ---- masters --------------------------------------------------------------------------------- */

static void take_segment(struct master *m)
{
	health_attach(m->seg, clock_mono_ms());
	memset(m->seg->slots, 0, SLOTS_MAX * sizeof(struct slot));
	*m->seg->board = (struct board){ .workers = m->workers };
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		m->seg->wake_fd[i] = -1;
	m->seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void prepare(struct master *m, unsigned workers)
{
	static struct options options;

	*m = (struct master){ .plans = plans_rows,
		              .options = &options,
		              .daemon_fd = -1,
		              .signal_fd = -1,
		              .config_fd = -1,
		              .upgrade = { .page_fd = -1, .next_fd = -1 },
		              .workers = workers };
	config_defaults(&m->config);
	snprintf(m->config.segment_dir, sizeof(m->config.segment_dir), "%s/seg", folder);
	snprintf(m->config.runtime_dir, sizeof(m->config.runtime_dir), "%s/run", folder);
	snprintf(m->config.log_file, sizeof(m->config.log_file), "%s/log", folder);
	snprintf(m->config.listen_address, sizeof(m->config.listen_address), "127.0.0.1");
	m->config.listen_port = 0;
	m->config.segment_limit = 64 << 20;
	convert_init(&m->convert);
	assert_int_equal(sources_new(&m->sources), 0);
}

static void serve(struct master *m)
{
	m->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	m->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(m->loop != NULL && m->ready_fd >= 0 && pipe(m->alive_fds) == 0);
	assert_int_equal(reload_init(m), 0);
	spawn_init(m);
	watch_start(m);
	spawn_wanted(m);
}

static void start_old(void)
{
	struct segment_report report;
	struct segment_config config;
	char why[160];

	prepare(&old, 2);
	config = storage_config(&old.config, false);
	assert_int_equal(segment_open(&config, &old.seg, &report), 0);
	assert_int_equal(registry_format(old.seg), 0);
	take_segment(&old);
	old.activation.datagram_fd = -1;
	sockets_init(&old.sockets);
	assert_int_equal(sockets_open(&old.sockets, &old.config, &old.activation, why, sizeof(why)),
	                 0);
	serve(&old);
}

/* What the loop would do, of both. */
static void turn(struct master *m)
{
	uint64_t count;

	if (m->loop == NULL)
		return;
	(void)!read(m->ready_fd, &count, sizeof(count));
	ev_run(m->loop, EVRUN_NOWAIT);
	watch_ring(m);
	reap_children(m);
}

#define WAIT_FOR(condition) \
	do { \
		uint64_t end_ms = clock_mono_ms() + WAIT_MS; \
		while (!(condition)) { \
			if (clock_mono_ms() > end_ms) \
				fail_msg("not in time: %s", #condition); \
			turn(&old); \
			turn(&new); \
			poll(NULL, 0, 2); \
		} \
	} while (0)

static void end_master(struct master *m)
{
	if (m->loop == NULL)
		return;
	stop_bounded(m);
	WAIT_FOR(children_running(m->children) == 0);
	ev_loop_destroy(m->loop);
	m->loop = NULL;
}

/* ---- clients --------------------------------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		                  .sin_port = htons(old.sockets.listen.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Lists come in chunks. */
static bool is_whole(const char *text, size_t n)
{
	const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length: ");

	if (body == NULL)
		return false;
	return length != NULL ? text + n >= body + 4 + atoi(length + 16)
	                      : strstr(body, "\r\n0\r\n\r\n") != NULL;
}

/* One whole answer; the masters go on meanwhile. */
static const char *hear(int fd)
{
	static char text[TEXT_MAX];
	size_t n = 0;

	for (;;) {
		ssize_t got;

		WAIT_FOR(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1);
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			fail_msg("closed: %zd %s", got, strerror(errno));
		n += (size_t)got;
		text[n] = 0;
		if (is_whole(text, n))
			return text;
	}
}

static const char *ask(int fd, const char *method, const char *target)
{
	char text[512];

	snprintf(text, sizeof(text),
	         "%s /nacos/v1/ns/%s HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method,
	         target);
	say(fd, text);
	return hear(fd);
}

static void register_one(int fd, int n)
{
	char target[128];

	snprintf(target, sizeof(target), "instance?serviceName=s&ip=10.0.0.%d&port=80", n);
	assert_non_null(strstr(ask(fd, "POST", target), "\r\n\r\nok"));
}

static unsigned hosts_seen(int fd)
{
	unsigned n = 0;

	for (const char *at = ask(fd, "GET", "instance/list?serviceName=s");
	     (at = strstr(at, "\"ip\"")) != NULL; at++)
		n++;
	return n;
}

static bool silent(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 0;
}

/* ---- around each test ------------------------------------------------------------------------ */

static void on_done(struct master *m, int err)
{
	assert_ptr_equal(m, &old);
	done = true;
	done_err = err;
}

static int set_up(void **state)
{
	char path[80];

	(void)state;
	snprintf(folder, sizeof(folder), "/dev/shm/roster-convert-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/log", folder);
	if (log_open(path, LOG_LEVEL_INFO) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/run", folder);
	mkdir(path, 0700);
	memset(&new, 0, sizeof(new));
	done = false;
	start_old();
	WAIT_FOR(old.state == MASTER_SERVING);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = dial();
		register_one(clients[i], i + 1);
	}
	return 0;
}

static unsigned files_in(const char *name, bool remove)
{
	char path[400];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		count++;
		snprintf(path, sizeof(path), "%s/%s/%s", folder, name, entry->d_name);
		if (remove)
			unlink(path);
	}
	if (dir != NULL)
		closedir(dir);
	return count;
}

static void say_broken(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int tear_down(void **state)
{
	char path[80];

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
	end_master(&old);
	end_master(&new);
	sockets_close_listening(&old.sockets);
	sockets_close_udp(&old.sockets);
	segment_close_for_test(&old.seg);
	segment_close_for_test(&new.seg);
	files_in("seg", true);
	files_in("run", true);
	snprintf(path, sizeof(path), "%s/log", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/seg", folder);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/run", folder);
	rmdir(path);
	return rmdir(folder);
}

static void begin(int expected)
{
	assert_int_equal(convert_begin(&old, on_done), 0);
	assert_int_equal(convert_begin(&old, on_done), ERR_BUSY);
	WAIT_FOR(done);
	assert_int_equal(done_err, expected);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* One worker less than before: it takes the connections of two. */
static void open_new(void)
{
	struct segment_config config;
	struct segment_report report;

	prepare(&new, 1);
	new.sockets = old.sockets;
	new.convert.snapshot_fd = dup(old.convert.snapshot_fd);
	new.convert.adopt.workers = new.workers;
	for (unsigned i = 0; i < 2; i++)
		new.convert.adopt.fds[i] = dup(old.children[i].migrate_fd);
	config = storage_config(&new.config, false);
	config.limit_bytes = 48 << 20;
	assert_int_equal(convert_open(&config, new.convert.snapshot_fd, &new.seg, &report), 0);
	assert_int_equal(files_in("seg", false), 2);
}

static void check_registry(struct segment *seg)
{
	struct registry reg;

	registry_init(&reg, seg);
	assert_int_equal(registry_audit(&reg, say_broken, NULL), 0);
}

static void everything_goes_over(void **state)
{
	uint64_t health_ms;

	(void)state;
	say(clients[0], "PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=10.0.0.1&po");
	begin(0);
	health_ms = old.seg->header->health_ms;
	say(clients[1],
	    "PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=10.0.0.2&port=80 HTTP/1.1\r\nHost: a\r\n\r\n");
	open_new();
	take_segment(&new);
	freeze_born(&new);
	serve(&new);
	for (unsigned i = 0; i < 20; i++)
		turn(&old);
	assert_true(silent(clients[1]));
	assert_int_equal(old.seg->header->health_ms, health_ms);
	WAIT_FOR(new.state == MASTER_SERVING);
	assert_int_equal(files_in("seg", false), 1);
	assert_non_null(strstr(hear(clients[1]), "\"code\":10200"));
	say(clients[0], "rt=80 HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(hear(clients[0]), "\"code\":10200"));
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(hosts_seen(clients[i]), CLIENTS);
	register_one(clients[2], 100);
	close(clients[3]);
	clients[3] = dial();
	assert_int_equal(hosts_seen(clients[3]), CLIENTS + 1);
	/* The clock went on where it stood. */
	assert_in_range(new.seg->header->health_ms, health_ms, health_ms + WAIT_MS);
	/* The old ones: workers have left by themselves, the others when they are told. */
	old.state = MASTER_STOPPING;
	old.stop_signal = SIGTERM;
	WAIT_FOR(children_running(old.children) == 0);
	ev_loop_destroy(old.loop);
	old.loop = NULL;
	end_master(&new);
	check_registry(new.seg);
}

static void a_cancelled_one_has_not_happened(void **state)
{
	(void)state;
	begin(0);
	open_new();
	say(clients[1],
	    "PUT /nacos/v1/ns/instance/beat?serviceName=s&ip=10.0.0.2&port=80 HTTP/1.1\r\nHost: a\r\n\r\n");
	for (unsigned i = 0; i < 20; i++)
		turn(&old);
	assert_true(silent(clients[1]));
	convert_cancel(&old);
	assert_non_null(strstr(hear(clients[1]), "\"code\":10200"));
	for (int i = 0; i < CLIENTS; i++)
		register_one(clients[i], 50 + i);
	assert_int_equal(hosts_seen(clients[0]), 2 * CLIENTS);
	/* The next start clears up behind the image that went no further. */
	assert_true(segment_sweep_beside(old.seg));
	assert_int_equal(files_in("seg", false), 1);
	for (unsigned i = 0; i < 2; i++)
		close(new.convert.adopt.fds[i]);
	check_registry(old.seg);
}

static void who_does_not_come_is_killed(void **state)
{
	pid_t before = old.children[1].pid;

	(void)state;
	assert_int_equal(kill(before, SIGSTOP), 0);
	WAIT_FOR(old.children[1].stopped);
	begin(0);
	assert_int_equal(old.children[1].pid, 0);
	assert_true(clock_mono_ms() - old.freeze.begun_ms >= FREEZE_LIMIT_MS);
	convert_cancel(&old);
	WAIT_FOR(old.children[1].ready);
	assert_int_not_equal(old.children[1].pid, before);
	check_registry(old.seg);
}

/* The file may not grow: the helper dies. */
static void without_a_snapshot_all_go_on(void **state)
{
	struct rlimit before, none = { 0, RLIM_INFINITY };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	signal(SIGXFSZ, SIG_IGN);
	begin(ERR_IO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(old.convert.state, CONVERT_NONE);
	assert_false(old.freeze.active);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(hosts_seen(clients[i]), CLIENTS);
}

static void a_stop_ends_it(void **state)
{
	(void)state;
	assert_int_equal(convert_begin(&old, on_done), 0);
	end_master(&old);
	assert_int_equal(old.convert.state, CONVERT_NONE);
	check_registry(old.seg);
}

/* It is loaded, and the next start is one of the new binary. */
static void a_stop_of_the_new_one_commits(void **state)
{
	(void)state;
	begin(0);
	open_new();
	take_segment(&new);
	freeze_born(&new);
	serve(&new);
	stop_bounded(&new);
	assert_int_equal(files_in("seg", false), 1);
	assert_false(new.failed);
	end_master(&new);
	check_registry(new.seg);
}

static void only_who_asks_keeps_the_way_to_ask(void **state)
{
	const struct child worker = { .role = &role_rows[0], .generation = 1 };
	const struct child successor = { .role = &role_rows[0], .generation = 2 };
	const struct child pusher = { .role = &role_rows[1], .generation = 1 };
	struct process proc = { .adopt = NULL };
	static struct master m;

	(void)state;
	convert_init(&m.convert);
	m.convert.adopt.fds[3] = dup(STDIN_FILENO);
	m.convert.adopt.workers = 1;
	convert_in_child(&m, &worker);
	assert_true(m.convert.adopt.fds[3] >= 0);
	convert_lend(&m, &successor, &proc);
	assert_null(proc.adopt);
	convert_lend(&m, &worker, &proc);
	assert_ptr_equal(proc.adopt, &m.convert.adopt);
	proc.adopt = NULL;
	convert_in_child(&m, &pusher);
	convert_lend(&m, &pusher, &proc);
	assert_null(proc.adopt);
	assert_int_equal(m.convert.adopt.fds[3], -1);
	assert_int_equal(m.convert.adopt.workers, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_goes_over),
		TEST(a_cancelled_one_has_not_happened),
		TEST(who_does_not_come_is_killed),
		TEST(without_a_snapshot_all_go_on),
		TEST(a_stop_ends_it),
		TEST(a_stop_of_the_new_one_commits),
		cmocka_unit_test(only_who_asks_keeps_the_way_to_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
