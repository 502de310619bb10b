/* SPDX-License-Identifier: Apache-2.0 */
/* keep_alive.h - how long an idle connection is promised to stay, and the header lines that say so.
 *
 * HttpURLConnection, on which the Java clients stand, drops an idle connection after 5 s unless the
 * server answers "Keep-Alive: timeout=N", and instances beat every 5 s: without it nearly every
 * beat costs a connection. So whoever asks with the token keep-alive in Connection is told on each
 * answer after which the connection stays, as Tomcat does it.
 *
 * N is four fifths of http.idle_timeout in whole seconds (75 s: 60): a client that uses the
 * connection in the last moment must not meet our end of it on the way. Below 1.25 s that would be
 * no whole second, and nothing is promised: "timeout=0" means "for ever" to some.
 *
 * What is promised is kept: the deadline of an idle connection is that of the configuration which
 * was told (connection.idle_ms), and a worker that leaves closes with an answer, not before
 * (worker/main.c). When the whole server stops, nothing is kept. */
#ifndef WORKER_HTTP_KEEP_ALIVE_H
#define WORKER_HTTP_KEEP_ALIVE_H

#include <stdint.h>

#include "shared/base/str.h"

#define KEEP_ALIVE_TEXT 64U

struct keep_alive {
	uint32_t seconds; /* N; 0: nothing is promised */
	uint32_t text_n;
	/* whole header lines; "Connection: keep-alive" always, HTTP/1.0 needs it */
	char text[KEEP_ALIVE_TEXT];
};

void keep_alive_init(struct keep_alive *keep_alive, uint64_t idle_timeout_ms);

static inline struct str keep_alive_lines(const struct keep_alive *keep_alive)
{
	return str_make(keep_alive->text, keep_alive->text_n);
}

#endif
