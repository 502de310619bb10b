/* SPDX-License-Identifier: Apache-2.0 */
/* http_fixture.h - a worker without a registry, and requests without a socket, for the HTTP
 * tests. */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/metrics/metrics.h"
#include "worker/v1/params.h"
#include "worker/v1/reply.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
	struct process proc;
	struct slot slot;
	struct worker worker;
	struct v1 v1;
	struct switches switches;
	struct request rq;
	struct v1_request own;
	struct buf out;
	char text[65536]; /* of fixture_out() */
};

static inline void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->proc.slot = &f->slot;
	f->proc.config.http_head_bytes = 8192;
	f->proc.config.http_line_bytes = 4096;
	f->proc.config.http_headers = 20;
	f->proc.config.http_body_bytes = 100000;
	f->proc.config.http_pipeline = 64;
	strcpy(f->proc.config.http_cors, "echo");
	f->worker.proc = &f->proc;
	f->worker.protocol = &v1_protocol;
	f->worker.protocol_state = &f->v1;
	keep_alive_init(&f->worker.keep_alive, 75000);
	f->worker.switches = &f->switches;
	f->v1.gate = (struct gate){ .begun = true, .open = true, .status = STATUS_UP };
	metrics_use(&f->slot);
}

static inline void fixture_take(struct request *rq)
{
	struct output *output = &rq->output;

	for (int i = 0; i < output->piece_count; i++)
		buf_put(output->bytes, output->pieces[i].iov_base, output->pieces[i].iov_len);
	buf_str(output->bytes, buf_view(&output->body));
	output_drop(output);
}

/* A fresh request: GET /nacos/v1/ns/x, kept alive. What it takes of a carrier is that its output is
 * taken. */
static inline struct request *fixture_request(struct fixture *f)
{
	static const struct carrier carrier = { .take = fixture_take };

	arena_free(&f->rq.arena);
	f->own = (struct v1_request){ .plain = STR("/nacos/v1/ns/x"), .view = &f->v1.view };
	f->rq = (struct request){ .worker = &f->worker,
		                  .own = &f->own,
		                  .method = METHOD_GET,
		                  .method_text = STR("GET"),
		                  .keep_alive = true,
		                  .carrier = &carrier,
		                  .path = STR("/nacos/v1/ns/x"),
		                  .output = { .bytes = &f->out } };
	arena_init(&f->rq.arena, 0);
	buf_reset(&f->out);
	return &f->rq;
}

static inline const char *fixture_out(struct fixture *f)
{
	size_t n;

	fixture_take(&f->rq);
	n = f->out.len < sizeof(f->text) - 1 ? f->out.len : sizeof(f->text) - 1;
	if (n > 0)
		memcpy(f->text, f->out.data, n);
	f->text[n] = '\0';
	return f->text;
}

static inline void fixture_free(struct fixture *f)
{
	service_view_free(&f->v1.view);
	service_view_free(&f->v1.spare);
	arena_free(&f->rq.arena);
	buf_free(&f->out);
}

static inline bool has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

static inline const char *body_of(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");

	return end == NULL ? "" : end + 4;
}

#endif
