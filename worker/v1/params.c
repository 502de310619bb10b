/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/params.h"

#include "shared/base/assert.h"
#include "shared/base/fiber.h"
#include "shared/base/utf8.h"
#include "shared/codec/charset.h"
#include "shared/codec/java.h"
#include "worker/v1/reply.h"
#include "worker/v1/v1.h"

#define TEXT_LONG 65536U

/* Returns the bytes of the value, read again as the charset that `encoding` names. */
static struct str reread(struct request *rq, struct str value)
{
	const struct charset *encoding = v1_request(rq)->encoding;

	if (encoding != NULL && charset_decode(&rq->arena, encoding, value, &value) < 0)
		return STR("");
	return value;
}

/* Whoever asks for a long text goes through it, more than once, so others run before. The text is
 * absent when nobody waits for the answer any more. */
static struct str found(struct str value)
{
	return value.n > TEXT_LONG && fiber_pause() < 0 ? (struct str){ NULL, 0 } : value;
}

struct str request_param(const struct request *rq, struct str name)
{
	const struct v1_request *own = v1_request(rq);

	ROSTER_ASSERT(own->param_count <= REQUEST_PARAMS_MAX);
	for (unsigned i = own->param_count; i > 0; i--) {
		if (str_eq(own->params[i - 1].name, name))
			return found(own->params[i - 1].value);
	}
	return (struct str){ NULL, 0 };
}

struct str request_text(struct request *rq, struct str name)
{
	struct str value = request_param(rq, name);

	return utf8_repair(&rq->arena, value, &value) == 0 ? value : (struct str){ NULL, 0 };
}

struct str request_optional(struct request *rq, const char *name, struct str fallback)
{
	struct str value = request_param(rq, str_of(name));

	return str_is_blank(value) ? fallback : str_trim(reread(rq, value));
}

static bool required(struct request *rq, const char *name, struct str value, struct str *value_r)
{
	if (value.n == 0) {
		reply_caused(rq, 400, "Param '%s' is required.", name);
		return false;
	}
	*value_r = str_trim(reread(rq, value));
	return true;
}

bool request_required(struct request *rq, const char *name, struct str *value_r)
{
	return required(rq, name, request_param(rq, str_of(name)), value_r);
}

/* Says whether a split at "@@", which drops trailing empty parts, has a second part. */
static bool has_second_part(struct str name)
{
	while (name.n >= 2 && memcmp(name.p + name.n - 2, "@@", 2) == 0)
		name.n -= 2;
	return str_has_double(name, '@');
}

bool request_any_service(struct request *rq, struct str *name_r)
{
	return required(rq, "serviceName", found(v1_request(rq)->service_name), name_r);
}

bool request_service(struct request *rq, struct str *name_r)
{
	if (!request_any_service(rq, name_r))
		return false;
	if (!has_second_part(*name_r)) {
		reply_caused(
		        rq, 400,
		        "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'");
		return false;
	}
	if (str_starts(*name_r, STR("@@"))) {
		reply_caused(rq, 400, "Param 'serviceName' is illegal, groupName can't be empty");
		return false;
	}
	return true;
}

struct str request_namespace(struct request *rq)
{
	return request_optional(rq, "namespaceId", STR("public"));
}

static bool refuse_number(struct request *rq, struct str text)
{
	reply_caused(rq, 400, "For input string: \"%.*s\"", reply_shown(text),
	             text.n > 0 ? text.p : "");
	return false;
}

bool request_int(struct request *rq, struct str text, int32_t *value_r)
{
	return java_parse_int(text, value_r) == 0 ? true : refuse_number(rq, text);
}

bool request_double(struct request *rq, struct str text, double *value_r)
{
	if (java_parse_double(text, value_r) == 0)
		return true;
	if (str_trim(text).n == 0) {
		reply_caused(rq, 400, "empty String");
		return false;
	}
	return refuse_number(rq, text);
}
