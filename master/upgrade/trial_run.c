/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/trial_run.h"

#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/upgrade/handover.h"
#include "master/options.h"
#include "master/privileges.h"
#include "master/upgrade/trial.h"
#include "shared/config/config.h"
#include "shared/shm/fault.h"
#include "shared/shm/segment.h"

#define LOOP_SECONDS 1.0

static int fail_trial(const char *what)
{
	printf("%s\n", what);
	return EXIT_FAILURE;
}

static int check_config(const struct options *options, const struct handover *h)
{
	struct config_error error = { .text = "" };
	struct privileges privileges;
	struct config config;
	const char *fixed;
	char why[256];

	if (options_load_config(options, &config, &error) < 0)
		return fail_trial(error.text);
	if ((fixed = config_fixed_change(h->fixed, &config)) != NULL) {
		snprintf(why, sizeof(why), "%s: changing it needs a restart", fixed);
		return fail_trial(why);
	}
	return privileges_find(&privileges, config.user, why, sizeof(why)) < 0 ? fail_trial(why)
	                                                                       : 0;
}

static bool is_socket(int fd, int type)
{
	int got = 0;
	socklen_t size = sizeof(got);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &size) == 0 && got == type;
}

static int check_sockets(const struct handover *h)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		if (!is_socket(h->listen_fds[i], SOCK_STREAM))
			return fail_trial("a listening socket did not come along");
	return is_socket(h->udp_fd, SOCK_DGRAM) ? 0
	                                        : fail_trial("the push socket did not come along");
}

static void on_trial_time(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)timer;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Shows that libev works here at all, and that we live for so long. */
static int run_loop(void)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	ev_timer timer;

	if (loop == NULL)
		return fail_trial("no event loop can be made");
	ev_timer_init(&timer, on_trial_time, LOOP_SECONDS, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ev_loop_destroy(loop);
	return 0;
}

int trial_run(const struct options *options)
{
	struct handover *h;
	char why[256];
	int ret, segment;

	if (handover_map(options->handover_fd, false, getppid(), &h, why, sizeof(why)) < 0) {
		fprintf(stderr, "rosterd: --trial: %s\n", why);
		return 2;
	}
	if ((ret = check_config(options, h)) != 0 || (ret = check_sockets(h)) != 0)
		return ret;
	segment = segment_inspect(h->segment_fd, why, sizeof(why));
	if (segment < 0 && segment != ERR_RANGE)
		return fail_trial(why);
	FAULT_AT("trial");
	if ((ret = run_loop()) != 0)
		return ret;
	fputs(TRIAL_PASSED, stdout);
	return fflush(stdout) == 0 ? (segment == ERR_RANGE ? TRIAL_EXIT_LAYOUT : EXIT_SUCCESS)
	                           : EXIT_FAILURE;
}
