/* SPDX-License-Identifier: Apache-2.0 */
#include "master/master.h"

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

#include "master/daemon.h"
#include "master/failure.h"
#include "master/files.h"
#include "master/notify.h"
#include "master/plans.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/renew.h"
#include "master/signals.h"
#include "master/spawn.h"
#include "master/storage.h"
#include "master/title.h"
#include "master/upgrade/arrival.h"
#include "master/watch.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/process/sources.h"

#define PORT_WAIT_MS 1000U /* a predecessor's last child frees the flock before its sockets */
#define PORT_POLL_MS 20U

/* What fails before the log is open is said on the terminal. */
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
		return arrival_read_config(m) < 0 ? failure_print(strerror(errno), ERR_IO) : 0;
	if (options_load_config(m->options, &m->config, &error) < 0)
		return failure_print(error.text, ERR_SYNTAX);
	if (privileges_find(&m->privileges, m->config.user, why, sizeof(why)) < 0 ||
	    (!arriving && activation_read(&m->activation, why, sizeof(why)) < 0))
		return failure_print(why, ERR_SYNTAX);
	m->workers = reload_worker_count(&m->config);
	return 0;
}

static int open_log(struct master *m)
{
	char why[256];
	int ret;

	log_set_process("master");
	if (privileges_lower(&m->privileges) < 0)
		return failure_print(strerror(errno), ERR_IO);
	if ((ret = log_open(m->config.log_file, m->config.log_level)) < 0) {
		snprintf(why, sizeof(why), "log.file %.100s: %s%s%.60s", m->config.log_file,
		         log_open_error(ret), m->privileges.change ? ", as user " : "",
		         m->privileges.user);
		return failure_print(why, ERR_IO);
	}
	return privileges_raise(&m->privileges) < 0 ? failure_print(strerror(errno), ERR_IO) : 0;
}

/* Asks for as many descriptors, and so connections, as the system lets us have. */
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
	const char *cause;
	char why[512];
	int ret;

	raise_descriptor_limit();
	if ((ret = files_prepare(m->config.runtime_dir, &m->privileges)) == 0)
		return 0;
	cause = ret == ERR_RANGE ? "writable by everybody, without the sticky bit"
	                         : strerror(errno);
	snprintf(why, sizeof(why), "runtime_dir %s: %s", m->config.runtime_dir, cause);
	return failure_log("runtime-dir", why);
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
		return failure_log("sockets", why);
	if (privileges_drop(&m->privileges) < 0)
		return failure_log("privileges", strerror(errno));
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

/* This is not the default loop of libev, which would take SIGCHLD. */
static int make_loop(struct master *m)
{
	if ((m->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV)) == NULL)
		return failure_log("loop", "cannot be made");
	if (m->options->handover_fd < 0 &&
	    ((m->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0 ||
	     pipe2(m->alive_fds, O_CLOEXEC | O_NONBLOCK) < 0))
		return failure_log("descriptors", strerror(errno));
	if (signals_start(m) < 0)
		return failure_log("signals", strerror(errno));
	if (reload_init(m) < 0)
		return failure_log("config-page", strerror(errno));
	if (sources_new(&m->sources) < 0)
		return failure_log("sources", strerror(errno));
	ev_io_init(&m->ready_io, on_ring, m->ready_fd, EV_READ);
	m->ready_io.data = m;
	ev_io_start(m->loop, &m->ready_io);
	start_watchdog(m);
	return 0;
}

static void forget_segment(const struct master *m)
{
	if (m->options->forget && m->seg != NULL && segment_unlink(m->seg) < 0)
		log_warning("op=stop what=forget path=\"%s\" err=\"%s\"", m->seg->path,
		            strerror(errno));
}

static int start_and_serve(struct master *m)
{
	int (*const fresh[])(struct master *) = { open_files, storage_open,   open_sockets,
		                                  make_loop,  storage_commit, NULL };
	int (*const handed_over[])(struct master *) = { open_files, arrival_adopt, make_loop,
		                                        NULL };
	bool arriving = m->options->handover_fd >= 0;

	for (int (*const *step)(struct master *) = arriving ? handed_over : fresh; *step != NULL;
	     step++) {
		if ((*step)(m) < 0) {
			segment_discard(m->seg);
			return EXIT_FAILURE;
		}
	}
	spawn_init(m);
	watch_start(m);
	if (arriving) {
		arrival_adopt_children(m);
		reap_children(m); /* who died between two images */
	}
	/* What reading the configuration and the probes left would be kept by each child. */
	(void)malloc_trim(0);
	spawn_wanted(m);
	ev_run(m->loop, 0);
	ROSTER_ASSERT(m->state == MASTER_STOPPING && children_running(m->children) == 0);
	files_remove(m->config.runtime_dir);
	segment_discard(m->seg);
	if (m->renew)
		renew_exec(m);
	forget_segment(m);
	log_info("op=stopped failed=%d", m->failed);
	return m->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int master_run(struct options *options, char **args)
{
	static struct master master;
	struct master *m = &master;

	*m = (struct master){ .options = options,
		              .args = args,
		              .plans = plans_rows,
		              .signals = plans_signals,
		              .daemon_fd = -1,
		              .config_fd = -1,
		              .upgrade = { .page_fd = -1, .next_fd = -1 },
		              .started_ms = clock_mono_ms() };
	convert_init(&m->convert);
	snprintf(m->path, sizeof(m->path), "%s", args[0]);
	if (read_config(m) < 0 || open_log(m) < 0)
		return EXIT_FAILURE;
	if (!options->foreground && options->handover_fd < 0 &&
	    daemon_enter(m->config.log_file, &m->daemon_fd) < 0) {
		failure_print(strerror(errno), ERR_IO);
		return EXIT_FAILURE;
	}
	title_set("master");
	return start_and_serve(m);
}
