/* SPDX-License-Identifier: Apache-2.0 */
#include "master/reload.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "master/master.h"
#include "master/notify.h"
#include "master/orphans.h"
#include "master/spawn.h"
#include "shared/base/assert.h"
#include "shared/base/log.h"
#include "shared/shm/slot.h"

unsigned reload_worker_count(const struct config *config)
{
	unsigned count = config->workers;
	cpu_set_t cpus;

	if (count == 0)
		count = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus)
		                                                       : 1;
	if (count == 0)
		count = 1;
	return count < WORKERS_MAX ? count : WORKERS_MAX;
}

int reload_init(struct master *m)
{
	void *page;

	if (m->config_shared != NULL) /* this image was called back: its children read it already */
		return 0;
	if ((m->config_fd = memfd_create("roster-config", MFD_CLOEXEC)) < 0 ||
	    ftruncate(m->config_fd, sizeof(struct config_shared)) < 0)
		return ERR_NOMEM;
	page = mmap(NULL, sizeof(struct config_shared), PROT_READ | PROT_WRITE, MAP_SHARED,
	            m->config_fd, 0);
	if (page == MAP_FAILED)
		return ERR_NOMEM;
	m->config_shared = page;
	m->config_shared->halves[0] = m->config;
	m->config_shared->halves[1] = m->config;
	return 0;
}

/* The half that nobody reads is written first, then the generation, so nobody takes a mixture. */
static void publish_config(struct master *m)
{
	struct config_shared *shared = m->config_shared;
	uint64_t next = shared->generation + 1;

	ROSTER_ASSERT(m->state == MASTER_SERVING); /* before that the first half is the only one */
	shared->halves[next & 1] = m->config;
	__atomic_store_n(&shared->generation, next, __ATOMIC_RELEASE);
	__atomic_store_n(&m->seg->board->config_generation, next, __ATOMIC_RELEASE);
	children_signal(m->children, SIGHUP);
}

static void set_workers(struct master *m, unsigned count)
{
	unsigned before = m->workers;

	if (count == before)
		return;
	ROSTER_ASSERT(m->state == MASTER_SERVING && count > 0 && count <= WORKERS_MAX);
	log_info("op=workers before=%u now=%u", before, count);
	m->workers = count;
	__atomic_store_n(&m->seg->board->workers, count, __ATOMIC_RELEASE);
	for (unsigned i = count; i < before; i++) {
		child_cancel_wait(&m->children[i], m->loop);
		/* Siblings accept at its socket from now on. */
		child_tell(&m->children[i], SIGUSR2);
	}
	spawn_wanted(m);
	orphans_update(m);
}

static void change_workers(struct master *m, int step)
{
	unsigned count = m->workers + (unsigned)step;

	if (m->state != MASTER_SERVING || count == 0 || count > WORKERS_MAX) {
		log_warning("op=workers now=%u step=%d result=refused", m->workers, step);
		return;
	}
	set_workers(m, count);
}

void reload_more_workers(struct master *m)
{
	change_workers(m, 1);
}

void reload_fewer_workers(struct master *m)
{
	change_workers(m, -1);
}

void reload_log(struct master *m)
{
	int ret = log_reopen();

	if (ret < 0)
		log_error("op=log-reopen err=\"%s\"", log_open_error(ret));
	children_signal(m->children, SIGUSR1);
}

static void apply_log(struct master *m, const struct config *fresh)
{
	int ret;

	if (strcmp(fresh->log_file, m->config.log_file) != 0 &&
	    (ret = log_open(fresh->log_file, fresh->log_level)) < 0)
		log_warning("op=reload key=log.file err=\"%s\"", log_open_error(ret));
	log_set_level(fresh->log_level);
}

static void apply_config(struct master *m, const struct config *fresh)
{
	unsigned changed = config_differences(&m->config, fresh);
	bool count_changed = fresh->workers != m->config.workers;

	apply_log(m, fresh);
	m->config = *fresh;
	publish_config(m);
	if (count_changed)
		set_workers(m, reload_worker_count(fresh));
	spawn_wanted(m);
	log_info("op=reload result=ok changed=%u", changed);
}

static int load_fresh(struct master *m, struct config *fresh, struct config_error *error)
{
	const char *fixed;
	int ret = options_load_config(m->options, fresh, error);

	if (ret < 0)
		return ret;
	if ((fixed = config_fixed_difference(&m->config, fresh)) != NULL) {
		snprintf(error->text, sizeof(error->text), "%s: changing it needs a restart",
		         fixed);
		return ERR_RANGE;
	}
	return 0;
}

void reload_config(struct master *m)
{
	struct config_error error = { .text = "" };
	struct config fresh;
	char quoted[2 * sizeof(error.text)];

	if (m->state != MASTER_SERVING) {
		log_warning("op=reload result=refused why=\"not serving yet, or no longer\"");
		return;
	}
	notify_reloading();
	if (load_fresh(m, &fresh, &error) < 0) {
		log_error("op=reload result=refused why=%s",
		          log_quote(str_of(error.text), quoted, sizeof(quoted)));
		notify_reloaded("Reload refused, the old configuration stays");
		return;
	}
	apply_config(m, &fresh);
	notify_reloaded("Serving, configuration read again");
}
