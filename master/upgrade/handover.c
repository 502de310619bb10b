/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/master.h"
#include "master/renew.h"
#include "shared/base/assert.h"

#define MAGIC 0x72765f7265747352ULL

/* ---- the page -------------------------------------------------------------------------------- */

static struct handover *map_page(int fd, int protection)
{
	void *page = mmap(NULL, sizeof(struct handover), protection, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? NULL : page;
}

int handover_new(struct handover **h_r, int *fd_r)
{
	int fd = memfd_create("roster-handover", MFD_CLOEXEC);
	struct handover *h;

	if (fd < 0)
		return ERR_IO;
	if (ftruncate(fd, sizeof(*h)) < 0 || (h = map_page(fd, PROT_READ | PROT_WRITE)) == NULL) {
		close(fd);
		return ERR_IO;
	}
	*h_r = h;
	*fd_r = fd;
	return 0;
}

static bool is_page_of(const struct handover *h, int fd, pid_t master_pid)
{
	return h->magic == MAGIC && h->master_pid == (int32_t)master_pid && h->self_fd == fd &&
	       h->arg_count <= HANDOVER_ARGS && memchr(h->args, 0, sizeof(h->args)) != NULL &&
	       h->args[sizeof(h->args) - 1] == 0;
}

int handover_map(int fd, bool writable, pid_t master_pid, struct handover **h_r, char *why,
                 size_t why_size)
{
	/* Version and length stand where they always stood. */
	struct handover *h = NULL;
	struct stat st;

	snprintf(why, why_size,
	         "only a running rosterd gives this option, to its successor (SIGUSR2)");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)offsetof(struct handover, master_pid))
		return ERR_SYNTAX;
	if (st.st_size != (off_t)sizeof(*h)) {
		snprintf(
		        why, why_size,
		        "the running server hands over in another way than this binary takes over (version %u)",
		        HANDOVER_VERSION);
		return ERR_SYNTAX;
	}
	if ((h = map_page(fd, writable ? PROT_READ | PROT_WRITE : PROT_READ)) == NULL)
		return ERR_SYNTAX;
	if (h->version != HANDOVER_VERSION && h->magic == MAGIC)
		snprintf(
		        why, why_size,
		        "the running server hands over in version %u, this binary takes over in version %u",
		        h->version, HANDOVER_VERSION);
	if (h->version != HANDOVER_VERSION || !is_page_of(h, fd, master_pid)) {
		handover_unmap(&h);
		return ERR_SYNTAX;
	}
	*h_r = h;
	return 0;
}

void handover_unmap(struct handover **h)
{
	if (*h != NULL)
		munmap(*h, sizeof(**h));
	*h = NULL;
}

int handover_fd_of(int argc, char *const *argv, const char *option)
{
	size_t n = strlen(option);
	char *end;
	long fd;

	if (argc < 2 || strncmp(argv[1], option, n) != 0)
		return -1;
	fd = strtol(argv[1] + n, &end, 10);
	return *end == 0 && end != argv[1] + n && fd >= 0 && fd < 1 << 20 ? (int)fd : -1;
}

/* ---- filling it ------------------------------------------------------------------------------ */

static int put_args(struct handover *h, char *const *args)
{
	size_t at = 0;

	h->arg_count = 0;
	for (unsigned i = renew_first_arg(args); args[i] != NULL; i++) {
		size_t size = strlen(args[i]) + 1;

		if (h->arg_count == HANDOVER_ARGS || at + size >= sizeof(h->args))
			return ERR_TOO_BIG;
		ROSTER_ASSERT(at + size < sizeof(h->args));
		memcpy(h->args + at, args[i], size);
		at += size;
		h->arg_count++;
	}
	return 0;
}

void handover_args(const struct handover *h, char *first, char **argv)
{
	char *text = (char *)(uintptr_t)h->args;
	unsigned n = 0;

	/* argv has no room for more; put_args() and handover_map() see to it. */
	ROSTER_ASSERT(h->arg_count <= HANDOVER_ARGS);
	argv[n++] = (char *)(uintptr_t)h->path;
	argv[n++] = first;
	for (unsigned i = 0; i < h->arg_count; i++) {
		argv[n++] = text;
		text += strlen(text) + 1;
	}
	argv[n] = NULL;
}

static void put_sockets(struct handover *h, const struct sockets *s,
                        const struct activation *activation)
{
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		h->listen_fds[i] = s->listen.fds[i];
		h->activated_fds[i] = i < activation->stream_count ? activation->stream_fds[i] : -1;
	}
	h->activated_count = activation->stream_count;
	h->activated_datagram_fd = activation->datagram_fd;
	h->listening = s->listening;
	h->activated = s->activated;
	h->shared = s->shared;
	h->backlog = s->backlog;
	h->udp_fd = s->udp_fd;
}

static void put_child(struct handover_child *out, const struct child *child)
{
	*out = (struct handover_child){ .pid = child->pid,
		                        .generation = child->generation,
		                        .notice_fd = child->notice_fd,
		                        .forked_ms = child->forked_ms,
		                        .resumed_ms = child->resumed_ms };
	out->flags = (child->ready ? HANDOVER_READY : 0U) |
	             (child->stopped ? HANDOVER_STOPPED : 0U) | (child->told ? HANDOVER_TOLD : 0U) |
	             (child->killed ? HANDOVER_KILLED : 0U);
}

static void put_children(struct handover_child *out, const struct child *children)
{
	for (unsigned i = 0; i < CHILDREN; i++)
		put_child(&out[i], &children[i]);
}

int handover_fill(struct handover *h, const struct master *m)
{
	h->magic = MAGIC;
	h->version = HANDOVER_VERSION;
	h->bytes = sizeof(*h);
	h->master_pid = (int32_t)getpid();
	h->bank = m->bank;
	h->binary_fd = h->next_fd = -1;
	h->config_fd = m->config_fd;
	h->segment_fd = m->seg->fd;
	h->snapshot_fd = m->convert.snapshot_fd;
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		h->migrate_fds[i] = m->children[i].migrate_fd;
	h->ready_fd = m->ready_fd;
	for (unsigned i = 0; i < 2; i++) {
		h->alive_fds[i] = m->alive_fds[i];
		h->wake_fds[i] = m->seg->wake_fd[i];
	}
	put_sockets(h, &m->sockets, &m->activation);
	h->workers = m->workers;
	h->stale = m->stale;
	h->limit_ms = (uint32_t)m->config.upgrade_limit_ms;
	h->drain_ms = (uint32_t)m->config.upgrade_drain_ms;
	h->started_ms = m->started_ms;
	h->back = 0;
	snprintf(h->why, sizeof(h->why), "it ended");
	snprintf(h->segment_path, sizeof(h->segment_path), "%s", m->seg->path);
	if (snprintf(h->path, sizeof(h->path), "%s", m->path) >= (int)sizeof(h->path))
		return ERR_TOO_BIG;
	put_children(h->children[HANDOVER_OLD], m->children);
	memset(h->children[HANDOVER_NEW], 0, sizeof(h->children[HANDOVER_NEW]));
	for (unsigned i = 0; i < CHILDREN; i++)
		h->children[HANDOVER_NEW][i].notice_fd = -1;
	if (config_fixed_text(&m->config, h->fixed, sizeof(h->fixed)) < 0)
		return ERR_TOO_BIG;
	return put_args(h, m->args);
}

void handover_record(struct handover *h, const struct master *m)
{
	/* A copy in a child would lie about it. */
	ROSTER_ASSERT(h->master_pid == (int32_t)getpid());
	put_children(h->children[HANDOVER_NEW], m->children);
	put_children(h->children[HANDOVER_OLD], m->children + CHILDREN);
}

/* ---- taking over ----------------------------------------------------------------------------- */

static void take_child(struct child *child, const struct handover_child *from)
{
	const struct child known = { .pid = from->pid,
		                     .generation = from->generation,
		                     .notice_fd = from->notice_fd,
		                     .forked_ms = from->forked_ms,
		                     .resumed_ms = from->resumed_ms,
		                     .ready = (from->flags & HANDOVER_READY) != 0,
		                     .stopped = (from->flags & HANDOVER_STOPPED) != 0,
		                     .told = (from->flags & HANDOVER_TOLD) != 0,
		                     .killed = (from->flags & HANDOVER_KILLED) != 0 };

	child_adopt(child, &known);
}

void handover_take_children(const struct handover *h, struct master *m, unsigned own)
{
	ROSTER_ASSERT(own < HANDOVER_IMAGES);
	for (unsigned i = 0; i < CHILDREN; i++) {
		take_child(&m->children[i], &h->children[own][i]);
		take_child(&m->children[CHILDREN + i], &h->children[!own][i]);
	}
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void pass_one(int fd, bool pass)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

void handover_pass(const struct handover *h, bool pass)
{
	const int32_t single[] = { h->self_fd,
		                   h->binary_fd,
		                   h->config_fd,
		                   h->segment_fd,
		                   h->udp_fd,
		                   h->ready_fd,
		                   h->alive_fds[0],
		                   h->alive_fds[1],
		                   h->wake_fds[0],
		                   h->wake_fds[1],
		                   h->activated_datagram_fd,
		                   h->snapshot_fd };

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		pass_one(single[i], pass);
	for (unsigned i = 0; i < WORKERS_MAX; i++) {
		pass_one(h->listen_fds[i], pass);
		pass_one(h->activated_fds[i], pass);
		pass_one(h->migrate_fds[i], pass);
	}
	for (unsigned image = 0; image < HANDOVER_IMAGES; image++)
		for (unsigned i = 0; i < CHILDREN; i++)
			pass_one(h->children[image][i].notice_fd, pass);
}
