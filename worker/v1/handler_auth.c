/* SPDX-License-Identifier: Apache-2.0 */
/* Logging in while there are no users: everybody is let in, with a token that nobody looks at.
 *
 * Clients with credentials in their configuration ask this first, and some do nothing else before
 * it succeeds. The token has the shape of the original's, because consoles read the name out of it;
 * its signature is 32 random bytes. */
#include <sys/random.h>

#include "shared/base/clock.h"
#include "shared/codec/base64.h"
#include "shared/codec/json_write.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define TOKEN_LIFE_S 18000U
#define SIGNATURE_BYTES 32U

/* Writes "header.claims.signature". Returns false when the kernel gave no random bytes. */
static bool put_token(struct buf *b, struct str user)
{
	char signature[SIGNATURE_BYTES];
	struct buf claims;

	if (getrandom(signature, sizeof(signature), 0) != (ssize_t)sizeof(signature))
		return false;
	buf_init(&claims);
	buf_char(&claims, '{');
	JSON_PUT_STRING(&claims, "sub", user);
	JSON_PUT_U64(&claims, "exp", clock_wall_ms() / 1000 + TOKEN_LIFE_S);
	buf_char(&claims, '}');
	base64url_put(b, STR("{\"alg\":\"HS256\"}"));
	buf_char(b, '.');
	base64url_put(b, buf_view(&claims));
	buf_char(b, '.');
	base64url_put(b, str_make(signature, sizeof(signature)));
	b->failed = b->failed || buf_failed(&claims);
	buf_free(&claims);
	return true;
}

/* accessToken comes first: the console of the original looks for the first dot. */
static void answer_token(struct request *rq, struct str user, struct str token)
{
	struct buf headers, body;

	buf_init(&headers);
	buf_init(&body);
	BUF_LIT(&headers, "Authorization: Bearer ");
	buf_str(&headers, token);
	BUF_LIT(&headers, "\r\n");
	buf_char(&body, '{');
	JSON_PUT_STRING(&body, "accessToken", token);
	JSON_PUT_U64(&body, "tokenTtl", TOKEN_LIFE_S);
	JSON_PUT_LIT(&body, "globalAdmin", "true");
	JSON_PUT_STRING(&body, "username", user);
	buf_char(&body, '}');
	if (buf_failed(&headers) || buf_failed(&body))
		reply_caused(rq, 503, "out of memory");
	else
		reply_json_headers(rq, buf_view(&headers), buf_view(&body));
	buf_free(&headers);
	buf_free(&body);
}

void handle_login(struct request *rq)
{
	uint64_t limit = rq->worker->proc->config.limit_name_bytes;
	struct str user, password;
	struct buf token;

	if (!bound_text(rq, "username", &user) || !bound_text(rq, "password", &password))
		return;
	if (user.n > limit) {
		reply_limit(rq, "limits.name", limit, true);
		return;
	}
	buf_init(&token);
	if (!put_token(&token, user))
		reply_caused(rq, 500, "no random bytes");
	else if (buf_failed(&token))
		reply_caused(rq, 503, "out of memory");
	else
		answer_token(rq, user, buf_view(&token));
	buf_free(&token);
}
