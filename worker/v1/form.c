/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/form.h"

#include <string.h>

#include "shared/base/utf8.h"
#include "worker/v1/reply.h"

#define NAME_SHOWN 60U /* bytes of a name that is refused */

static const struct str form = STR("application/x-www-form-urlencoded");

struct str form_text(const struct request *rq)
{
	struct str none = { NULL, 0 };

	if (rq->body.n == 0 || rq->content_type.n < form.n)
		return none;
	if (rq->method != METHOD_POST && rq->method != METHOD_PUT && rq->method != METHOD_DELETE &&
	    rq->method != METHOD_PATCH)
		return none;
	if (!str_ieq(str_make(rq->content_type.p, form.n), form))
		return none;
	return rq->content_type.n == form.n || strchr("; \t", rq->content_type.p[form.n]) != NULL
	               ? rq->body
	               : none;
}

/* Takes the text up to the next semicolon that is not between quotes. */
static struct str next_form_part(struct str *rest)
{
	bool quoted = false;
	size_t n = 0;
	struct str part;

	while (n < rest->n && (quoted || rest->p[n] != ';'))
		quoted ^= rest->p[n++] == '"';
	part = str_make(rest->p, n);
	n += n < rest->n;
	*rest = str_make(rest->p + n, rest->n - n);
	return part;
}

static struct str without_quotes(struct str s)
{
	if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
		return str_make(s.p + 1, s.n - 2);
	return s;
}

/* Returns unset when no charset is named. */
static struct str charset_named(struct str type)
{
	struct str found = { NULL, 0 };

	next_form_part(&type);
	while (type.n > 0) {
		struct str part = next_form_part(&type);
		const char *equals = part.n > 0 ? memchr(part.p, '=', part.n) : NULL;
		size_t n = equals != NULL ? (size_t)(equals - part.p) : 0;

		if (equals != NULL && str_ieq(str_trim(str_make(part.p, n)), STR("charset")))
			found = without_quotes(str_trim(str_make(equals + 1, part.n - n - 1)));
	}
	return found;
}

bool form_charset(struct request *rq, const struct charset **charset_r)
{
	struct str name = charset_named(rq->content_type);

	*charset_r = charset_find(str_is_set(name) ? name : STR("UTF-8"));
	if (*charset_r != NULL && charset_in_forms(*charset_r))
		return true;
	if (name.n > NAME_SHOWN)
		name.n = NAME_SHOWN;
	if (utf8_repair(&rq->arena, name, &name) < 0)
		name = STR("?");
	reply_caused(rq, 400, "Content-Type: the charset \"%.*s\" of the form is not known",
	             (int)name.n, name.p);
	return false;
}
