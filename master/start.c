/* SPDX-License-Identifier: Apache-2.0 */
#include "master/start.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "master/upgrade/arrival.h"
#include "master/daemon.h"
#include "master/upgrade/fallback.h"
#include "master/files.h"
#include "master/master.h"
#include "master/notify.h"
#include "master/reload.h"
#include "master/renew.h"
#include "master/signals.h"
#include "master/spawn.h"
#include "master/stop.h"
#include "master/title.h"
#include "master/watch.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sandbox.h"
#include "shared/registry/registry.h"
#include "shared/process/sources.h"
#include "shared/registry/registry_check.h"
#include "shared/shm/health.h"
#include "shared/shm/queue.h"
#include "shared/shm/slot.h"

#define LOCK_WAIT_MS 10000U /* children of a predecessor may still be dying */
#define PORT_WAIT_MS 1000U  /* the last of them frees the flock before its sockets */
#define PORT_POLL_MS 20U

static const char *const origin_names[] = { "new", "attached", "set-aside" };

struct segment_config start_segment_config(const struct config *config, bool forget)
{
	return (struct segment_config){
		.dir = config->segment_dir,
		.runtime_dir = config->runtime_dir,
		.name = "segment",
		.limit_bytes = config->segment_limit,
		.max_age_ms = config->segment_max_age_ms,
		.lock_wait_ms = LOCK_WAIT_MS,
		.forget = forget,
		.damaged = registry_damaged,
	};
}

static int fail(const char *what, const char *why)
{
	log_error("op=start what=%s why=\"%s\"", what, why);
	fallback_because(why);
	return ERR_IO;
}

static int fail_early(const char *why, int code)
{
	fprintf(stderr, "rosterd: %s\n", why);
	fallback_because(why);
	return code;
}

/* Before the log: to the terminal. */
static int read_config(struct master *m)
{
	struct config_error error = { .text = "" };
	bool arriving = m->options->handover_fd >= 0;
	char why[256];

	if (arriving && arrival_begin(m, why, sizeof(why)) < 0) {
		fprintf(stderr, "rosterd: --handover: %s\n", why);
		return ERR_SYNTAX;
	}
	if (m->upgrade.back)
		return arrival_read_config(m) < 0 ? fail_early(strerror(errno), ERR_IO) : 0;
	if (options_load_config(m->options, &m->config, &error) < 0)
		return fail_early(error.text, ERR_SYNTAX);
	if (privileges_find(&m->privileges, m->config.user, why, sizeof(why)) < 0 ||
	    (!arriving && activation_read(&m->activation, why, sizeof(why)) < 0))
		return fail_early(why, ERR_SYNTAX);
	m->workers = reload_worker_count(&m->config);
	return 0;
}

static int open_log(struct master *m)
{
	char why[256];
	int ret;

	log_set_process("master");
	if (privileges_lower(&m->privileges) < 0)
		return fail_early(strerror(errno), ERR_IO);
	if ((ret = log_open(m->config.log_file, m->config.log_level)) < 0) {
		snprintf(why, sizeof(why), "log.file %.100s: %s%s%.60s", m->config.log_file, log_open_error(ret),
		         m->privileges.change ? ", as user " : "", m->privileges.user);
		return fail_early(why, ERR_IO);
	}
	return privileges_raise(&m->privileges) < 0 ? fail_early(strerror(errno), ERR_IO) : 0;
}

/* As many connections as the system lets us have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("op=start what=descriptor-limit err=\"%s\"", strerror(errno));
}

static int open_files(struct master *m)
{
	int ret;

	raise_descriptor_limit();
	if ((ret = files_prepare(m->config.runtime_dir, &m->privileges)) < 0)
		return fail(m->config.runtime_dir,
		            ret == ERR_RANGE ? "writable by everybody, without the sticky bit" : strerror(errno));
	return 0;
}

/* Nobody of an earlier life runs any more: we hold the flock. Counters begin at zero, as readers of metrics expect
 * of a start. */
static void clear_slots(struct master *m)
{
	for (unsigned i = 0; i < SLOT_BANKS * WORKERS_MAX; i++)
		if (m->seg->slots[slot_of_worker(i / WORKERS_MAX, i % WORKERS_MAX)].generation !=
		    0) /* others' pages are not touched */
			memset(&m->seg->routes[i * SLOT_ROUTES], 0, SLOT_ROUTES * sizeof(struct slot_route));
	memset(m->seg->slots, 0, SLOTS_MAX * sizeof(struct slot));
	*m->seg->board = (struct board){ .workers = m->workers, .master_pid = (uint64_t)getpid(), .started_ms = m->started_ms };
}

static void log_segment(const struct segment *seg, const struct segment_report *report)
{
	/* A text beside it means: look at this. */
	void (*say)(const char *format, ...) = report->why[0] != 0 ? log_warning : log_info;

	say("op=segment-open origin=%s path=%s bytes=%llu rolled_back=%u stale=%d why=\"%s\"", origin_names[report->origin],
	    seg->path, (unsigned long long)seg->bytes, report->rolled_back, report->stale, report->why);
}

static int use_segment(struct master *m, const struct segment_report *report)
{
	int ret;

	m->origin = report->origin;
	m->stale = report->stale;
	log_segment(m->seg, report);
	if (report->leftover)
		log_info("op=segment-open what=leftover path=%s.new result=removed", m->seg->path);
	if (m->convert.snapshot_fd < 0 && report->origin != SEGMENT_ATTACHED && (ret = registry_format(m->seg)) < 0)
		return fail("registry-format", err_str(ret));
	health_attach(m->seg, clock_mono_ms());
	clear_slots(m);
	if (m->convert.snapshot_fd >= 0)
		freeze_born(m); /* until all are ready: convert_commit() */
	for (unsigned i = 0; i < QUEUE_CONSUMERS; i++)
		m->seg->wake_fd[i] = -1;
	m->seg->wake_fd[QUEUE_PUSHER] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return m->seg->wake_fd[QUEUE_PUSHER] < 0 ? fail("eventfd", strerror(errno)) : 0;
}

static int enter_sandbox(void *role)
{
	return sandbox_enter(*(const enum role *)role);
}

/* As every role will run: a filter that breaks the hand-over of locks must be found now. */
static int probe_kernel(struct master *m)
{
	lock_probe_fn *before = m->config.sandbox_seccomp ? enter_sandbox : NULL;
	char why[200];

	for (unsigned i = 0; i < ROLE_ROWS; i++) {
		enum role role = role_rows[i].role;
		int ret = segment_probe_robust(before, &role);

		if (ret == ERR_LOCK)
			return fail("robust-locks",
			            "the kernel does not hand over the lock of a dead process (is set_robust_list filtered?)");
		if (ret < 0) {
			snprintf(why, sizeof(why),
			         "the kernel takes no filter for the %s: %s; sandbox.seccomp: false starts without",
			         role_rows[i].name, strerror(errno));
			return fail("sandbox.seccomp", why);
		}
	}
	return 0;
}

static int open_segment(struct master *m)
{
	struct segment_config config = start_segment_config(&m->config, m->options->forget);
	struct segment_report report = { .origin = SEGMENT_NEW };
	int ret;

	if ((ret = probe_kernel(m)) < 0)
		return ret;
	if (privileges_lower(&m->privileges) < 0)
		return fail("privileges", strerror(errno));
	config.later = true;
	ret = segment_open(&config, &m->seg, &report);
	if (privileges_raise(&m->privileges) < 0)
		return fail("privileges", strerror(errno));
	if (ret < 0)
		return fail("segment", report.why[0] != 0 ? report.why : err_str(ret));
	return use_segment(m, &report);
}

int start_converted(struct master *m, char *why, size_t why_size)
{
	struct segment_config config = start_segment_config(&m->config, false);
	struct segment_report report = { .origin = SEGMENT_NEW };
	int ret = convert_open(&config, m->convert.snapshot_fd, &m->seg, &report);

	if (ret < 0) {
		snprintf(why, why_size, "%s", report.why[0] != 0 ? report.why : err_str(ret));
		return ret;
	}
	m->convert.adopt.workers = m->workers;
	return use_segment(m, &report);
}

static int wait_for_sockets(struct master *m, char *why, size_t why_size)
{
	const struct timespec poll = { 0, PORT_POLL_MS * 1000000L };
	uint64_t begin_ms = clock_mono_ms();
	int ret;

	for (;;) {
		sockets_init(&m->sockets);
		ret = sockets_open(&m->sockets, &m->config, &m->activation, why, why_size);
		if (ret != ERR_BUSY || clock_mono_ms() - begin_ms >= PORT_WAIT_MS)
			return ret;
		nanosleep(&poll, NULL);
	}
}

static int open_sockets(struct master *m)
{
	char why[160];

	if (wait_for_sockets(m, why, sizeof(why)) < 0)
		return fail("sockets", why);
	if (privileges_drop(&m->privileges) < 0)
		return fail("privileges", strerror(errno));
	files_remove(m->config.runtime_dir); /* of a predecessor that was killed */
	return 0;
}

static void on_ring(struct ev_loop *loop, ev_io *io, int revents)
{
	struct master *m = io->data;
	uint64_t count;

	(void)loop;
	(void)revents;
	while (read(m->ready_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	watch_ring(m);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	notify_alive();
}

static void start_watchdog(struct master *m)
{
	double period = (double)notify_period_ms() / 1000.;

	ev_timer_init(&m->watchdog, on_watchdog, period, period);
	if (period > 0)
		ev_timer_start(m->loop, &m->watchdog);
}

/* Not the default loop: that one would take SIGCHLD. */
static int make_loop(struct master *m)
{
	if ((m->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) == NULL)
		return fail("loop", "cannot be made");
	if (m->options->handover_fd < 0 &&
	    ((m->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0 || pipe2(m->alive_fds, O_CLOEXEC | O_NONBLOCK) < 0))
		return fail("descriptors", strerror(errno));
	if (signals_start(m) < 0)
		return fail("signals", strerror(errno));
	if (reload_init(m) < 0)
		return fail("config-page", strerror(errno));
	if (sources_new(&m->sources) < 0)
		return fail("sources", strerror(errno));
	ev_io_init(&m->ready_io, on_ring, m->ready_fd, EV_READ);
	m->ready_io.data = m;
	ev_io_start(m->loop, &m->ready_io);
	start_watchdog(m);
	return 0;
}

/* The last step before the children: from here on somebody may change what is in it. */
static int commit_segment(struct master *m)
{
	bool fresh = m->seg->pending;

	if (segment_commit(m->seg) < 0)
		return fail("segment-commit", strerror(errno));
	if (fresh)
		log_info("op=segment-commit path=%s", m->seg->path);
	return 0;
}

static bool all_ready(const struct master *m)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		if (spawn_is_wanted(m, &m->children[i]) && !m->children[i].ready)
			return false;
	return true;
}

void start_advance(struct master *m)
{
	if (m->state != MASTER_STARTING || !all_ready(m) || !arrival_is_proven(m))
		return;
	if (convert_commit(m) < 0) {
		arrival_failed(m, "the converted segment cannot be put in its place");
		stop_failed(m, "the converted segment cannot be put in its place");
		return;
	}
	m->state = MASTER_SERVING;
	if (files_write(m->config.runtime_dir, m->sockets.listen.port) < 0)
		log_error("op=start what=%s err=\"%s\"", m->config.runtime_dir, strerror(errno));
	log_info("op=ready port=%u push_port=%u pid=%d workers=%u start_ms=%llu", m->sockets.listen.port, m->sockets.udp_port,
	         (int)getpid(), m->workers, (unsigned long long)(clock_mono_ms() - m->started_ms));
	notify_ready(m->workers, m->sockets.listen.port);
	daemon_ready(&m->daemon_fd, log_is_stderr(m->config.log_file));
	arrival_confirm(m);
}

static void forget(const struct master *m)
{
	if (m->options->forget && m->seg != NULL && segment_unlink(m->seg) < 0)
		log_warning("op=stop what=forget path=%s err=\"%s\"", m->seg->path, strerror(errno));
}

static int serve(struct master *m)
{
	int (*const fresh[])(struct master *) = { open_files, open_segment, open_sockets, make_loop, commit_segment, NULL };
	int (*const handed_over[])(struct master *) = { open_files, arrival_adopt, make_loop, NULL };
	bool arriving = m->options->handover_fd >= 0;

	for (int (*const *step)(struct master *) = arriving ? handed_over : fresh; *step != NULL; step++) {
		if ((*step)(m) < 0) {
			segment_discard(m->seg);
			return EXIT_FAILURE;
		}
	}
	spawn_init(m);
	watch_start(m);
	if (arriving)
		arrival_adopt_children(m);
	(void)malloc_trim(0); /* of reading the configuration and of the probes: each child would keep it */
	spawn_wanted(m);
	ev_run(m->loop, 0);
	files_remove(m->config.runtime_dir);
	segment_discard(m->seg);
	if (m->renew)
		renew_exec(m);
	forget(m);
	log_info("op=stopped failed=%d", m->failed);
	return m->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int master_run(struct options *options, char **args)
{
	static struct master master;
	struct master *m = &master;

	*m = (struct master){ .options = options,
		              .args = args,
		              .daemon_fd = -1,
		              .config_fd = -1,
		              .upgrade = { .page_fd = -1, .next_fd = -1 },
		              .started_ms = clock_mono_ms() };
	convert_init(&m->convert);
	snprintf(m->path, sizeof(m->path), "%s", args[0]);
	if (read_config(m) < 0 || open_log(m) < 0)
		return EXIT_FAILURE;
	if (!options->foreground && options->handover_fd < 0 && daemon_enter(m->config.log_file, &m->daemon_fd) < 0)
		return EXIT_FAILURE;
	title_set("master");
	return serve(m);
}
