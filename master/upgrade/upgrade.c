/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/upgrade/convert.h"
#include "master/upgrade/fallback.h"
#include "master/upgrade/handover.h"
#include "master/master.h"
#include "master/notify.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/slot.h"

#define WHY_BYTES 1024

void upgrade_release(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	convert_cancel(m); /* whoever stood still goes on */
	handover_unmap(&u->page);
	if (u->page_fd >= 0)
		close(u->page_fd);
	if (u->next_fd >= 0)
		close(u->next_fd);
	u->page_fd = u->next_fd = -1;
}

static void count_upgrade(uint64_t *word)
{
	__atomic_store_n(word, *word + 1, __ATOMIC_RELAXED);
}

static void refuse_upgrade(struct master *m, const char *why)
{
	char quoted[2 * WHY_BYTES];

	ROSTER_ASSERT(m->upgrade.step == UPGRADE_TRYING);
	log_error("op=upgrade result=refused path=\"%s\" why=%s", m->path,
	          log_quote(str_of(why), quoted, sizeof(quoted)));
	count_upgrade(&m->seg->board->upgrades_refused);
	upgrade_release(m);
	m->upgrade.step = UPGRADE_NONE;
	notify_reloaded("Upgrade refused, the running binary serves on");
}

/* ---- the binary ------------------------------------------------------------------------------ */

/* A name without a slash is looked for in PATH, as the shell did that started us. */
static int open_in_path(const char *name)
{
	const char *path = getenv("PATH");
	char full[4096];
	int fd = -1;

	for (const char *at = path != NULL ? path : "/usr/sbin:/usr/bin"; fd < 0;) {
		size_t n = strcspn(at, ":");

		snprintf(full, sizeof(full), "%.*s%s%.1000s", n < 3000 ? (int)n : 3000, at,
		         n > 0 ? "/" : "", name);
		fd = open(full, O_PATH | O_CLOEXEC);
		if (at[n] == 0)
			break;
		at += n + 1;
	}
	return fd;
}

static int open_binary(const char *path)
{
	return strchr(path, '/') != NULL ? open(path, O_PATH | O_CLOEXEC) : open_in_path(path);
}

/* ---- exec ------------------------------------------------------------------------------------ */

/* Returns only when it failed. */
static void exec_next(struct master *m, struct handover *h)
{
	static char *argv[HANDOVER_ARGS + 3];
	char first[32];

	snprintf(first, sizeof(first), "%s%d", HANDOVER_OPTION, h->self_fd);
	handover_args(h, first, argv);
	log_info("op=upgrade step=exec path=\"%s\" trial_ms=%llu", m->path,
	         (unsigned long long)(clock_mono_ms() - m->upgrade.begun_ms));
	handover_pass(h, true);
	fcntl(h->next_fd, F_SETFD, 0);
	fexecve(h->next_fd, argv, environ);
	int saved = errno;
	handover_pass(h, false);
	errno = saved;
}

/* Fills the page once more, because children, sockets and the configuration may have changed during
 * the trial, and becomes the new binary. */
static void hand_over(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	char why[WHY_BYTES];
	int old_fd;

	ROSTER_ASSERT(u->step == UPGRADE_TRYING && u->trial.pid == 0 && u->page != NULL &&
	              u->next_fd >= 0);
	if (handover_fill(u->page, m) < 0) {
		refuse_upgrade(m, "the command line or a path is too long to be handed over");
		return;
	}
	u->page->begun_ms = u->begun_ms;
	if ((old_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC)) >= 0) {
		u->page->binary_fd = old_fd;
		u->page->next_fd = u->next_fd;
		exec_next(m, u->page);
		close(old_fd);
	}
	snprintf(why, sizeof(why), "exec: %s", strerror(errno));
	refuse_upgrade(m, why);
}

/* Without an error the children stand still, and the snapshot is whole. */
static void on_converted(struct master *m, int err)
{
	if (m->upgrade.step != UPGRADE_TRYING)
		return;
	if (err < 0)
		refuse_upgrade(m, "the registry could not be converted to another layout");
	else
		hand_over(m);
}

static void convert_first(struct master *m)
{
	if (convert_begin(m, on_converted) < 0)
		refuse_upgrade(m, "another layout, and the registry cannot be converted now");
	else
		log_info("op=upgrade step=convert");
}

/* ---- the trial ------------------------------------------------------------------------------- */

static int start_trial(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	if (handover_new(&u->page, &u->page_fd) < 0)
		return ERR_IO;
	u->page->self_fd = u->page_fd;
	if (handover_fill(u->page, m) < 0) {
		errno = E2BIG;
		return ERR_TOO_BIG;
	}
	return trial_start(m, u->page, u->next_fd);
}

void upgrade_begin(struct master *m)
{
	struct upgrade *u = &m->upgrade;
	char why[WHY_BYTES];

	if (m->state != MASTER_SERVING || u->step != UPGRADE_NONE) {
		log_warning("op=upgrade result=refused why=\"%s\"",
		            u->step != UPGRADE_NONE ? "the last one is not over"
		                                    : "not serving yet, or no longer");
		count_upgrade(&m->seg->board->upgrades_refused);
		return;
	}
	ROSTER_ASSERT(u->page == NULL && u->page_fd < 0 && u->next_fd < 0);
	notify_reloading();
	u->begun_ms = clock_mono_ms();
	u->step = UPGRADE_TRYING;
	if ((u->next_fd = open_binary(m->path)) < 0 || start_trial(m) < 0) {
		snprintf(why, sizeof(why), "%s: %s", u->next_fd < 0 ? "the binary" : "the trial",
		         strerror(errno));
		refuse_upgrade(m, why);
		return;
	}
	log_info("op=upgrade step=trial path=\"%s\" pid=%d", m->path, (int)u->trial.pid);
}

void upgrade_advance(struct master *m)
{
	enum trial_result result;
	char why[WHY_BYTES] = "";

	if (!trial_reap(m, &result, why, sizeof(why)))
		return;
	if (m->state != MASTER_SERVING)
		return;
	ROSTER_ASSERT(m->upgrade.step == UPGRADE_TRYING);
	if (result == TRIAL_FAILED)
		refuse_upgrade(m, why);
	else if (result == TRIAL_LAYOUT)
		convert_first(m);
	else
		hand_over(m);
}

void upgrade_in_child(struct master *m, const struct child *self)
{
	(void)self;
	if (m->upgrade.page_fd >= 0)
		close(m->upgrade.page_fd);
}

void upgrade_stop(struct master *m)
{
	struct upgrade *u = &m->upgrade;

	if (u->step == UPGRADE_TRYING)
		trial_cancel(m);
	fallback_disarm();
	ev_timer_stop(m->loop, &u->prove);
	ev_timer_stop(m->loop, &u->drain);
	u->step = UPGRADE_NONE;
}
