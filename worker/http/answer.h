/* SPDX-License-Identifier: Apache-2.0 */
/* answer.h - an answer in HTTP/1.1: status line, headers, the framing of its body; and the answers
 * that the server gives by itself, before any protocol looks at a request.
 *
 * Whoever answers fills a struct answer and calls one of the functions below, once a request: they
 * set rq->answered and rq->status, and count 4xx and 5xx. The protocol says which of these end the
 * connection. HEAD has no body, HTTP/1.0 no chunks.
 *
 * The bytes go to rq->output (output.h). Memory that is refused shows there. */
#ifndef WORKER_HTTP_ANSWER_H
#define WORKER_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/str.h"

struct buf;
struct request;

/* A text of this size or more is not copied behind its head but written from where it lies. */
#define ANSWER_LONG (16U * 1024U)

/* Which of the headers for browsers it has: those about the origins that may read it (cors.h), and
 * those of its protocol (protocol.h). */
enum answer_kind {
	ANSWER_WHOLE,     /* all of them */
	ANSWER_BARE,      /* none */
	ANSWER_PREFLIGHT, /* those about origins */
};

struct answer {
	int status;
	enum answer_kind kind;
	struct str type;        /* unset: no content type */
	bool charset;           /* behind the type: UTF-8 */
	bool chunked;           /* else the length is written */
	bool granted;           /* a preflight */
	size_t length;          /* of the body; written by the functions below */
	struct str allow;       /* unset: not said */
	uint64_t retry_after_s; /* 0: not said */
	struct str headers;     /* further ones, each with its line end */
};

/* Puts the head and a body, which is copied. */
void answer_put(struct request *rq, struct answer *answer, struct str body);
/* The body is a, b and c, one after the other. a and c are copied; b is borrowed from ANSWER_LONG
 * on: it stays as it is until the handler returns or pauses. */
void answer_parts(struct request *rq, struct answer *answer, struct str a, struct str b,
                  struct str c);
/* The same, but b is given away. Leaves *b empty, or as it is when there is no body to send. */
void answer_give(struct request *rq, struct answer *answer, struct str a, struct buf *b,
                 struct str c);

const char *answer_reason(int status);

/* An HTML page; 405 says which methods there are. */
void answer_page(struct request *rq, int status);
/* Answers 302 from the context path to the same with a slash and the query: relative links of a
 * page that stands at the context path itself would lead to the wrong place. */
void answer_redirect(struct request *rq, struct str context);
/* Answers OPTIONS with 200, no body and the methods in Allow; "OPTIONS *" is told all of them. */
void answer_options(struct request *rq, struct str methods);
/* Answers 200 with what was asked for, or 403 "Invalid CORS request": cors.h. */
void answer_preflight(struct request *rq);
/* Answers bytes that never became a request, with an HTML page and "Connection: close". */
void answer_refuse(struct buf *out, int status);

#endif
