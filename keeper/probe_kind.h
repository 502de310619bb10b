/* SPDX-License-Identifier: Apache-2.0 */
/* probe_kind.h - what probe.c and the protocols agree on; for keeper/probe*.c only. */
#ifndef KEEPER_PROBE_KIND_H
#define KEEPER_PROBE_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "keeper/probe.h"

struct probe_kind;

/* First member of the struct of a protocol. */
struct probe {
	const struct probe_kind *kind;
	struct ev_loop *loop;
	ev_io io;
	ev_timer limit;
	int fd;       /* -1: none */
	int error;    /* errno of connect(), found at once */
	bool at_once; /* nothing has to be waited for before the first step */
	uint64_t began_us;
	probe_done_fn *done;
	void *arg;
	struct probe_pace *pace;
	char peer[PROBE_PEER]; /* for the log */
};

struct probe_kind {
	size_t size; /* of the protocol's struct, zeroed before begin() */
	/* Begins to connect; calls probe_wait() or sets at_once. An error: as for probe_start(). */
	int (*begin)(struct probe *probe, const struct probe_order *order);
	/* Goes on with what the descriptor is ready for. With EV_TIMER the time is over, and it is
	 * the end unless this call began the next stage with probe_renew(). Returns true when
	 * *result_r is set and the probe is over. */
	bool (*step)(struct probe *probe, int events, struct probe_result *result_r);
	/* Frees what begin() and step() made, the descriptor excepted. */
	void (*end)(struct probe *probe);
	/* The part that the protocol has in probe_load_modules(), or NULL. */
	void (*load_modules)(void);
};

extern const struct probe_kind probe_tcp, probe_http, probe_mysql;

/* Opens probe->fd, begins to connect it, and waits. */
int probe_connect(struct probe *probe, const struct probe_order *order) MUST_CHECK;
/* Returns, after EV_WRITE, the errno of the connection; 0 when it is there. */
int probe_connect_error(const struct probe *probe);
/* Waits for events on probe->fd; the limit stays. */
void probe_wait(struct probe *probe, int events);
/* Lets a new PROBE_LIMIT_MS begin. */
void probe_renew(struct probe *probe);

struct probe_result probe_passed(const struct probe *probe);
struct probe_result probe_timed_out(void);
/* What the errno of a connection means. That it was refused is a verdict at once; a lack on this
 * side is none. */
struct probe_result probe_failed(const char *why, int error);

#endif
