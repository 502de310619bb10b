/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/bound.h"

#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "worker/v1/params.h"
#include "worker/v1/reply.h"

#define TEXT_SHOWN 100U   /* of a bad value */
#define NUMBER_LONG 4096U /* a longer text is no number, whatever blanks are in it */

static void refuse_bound(struct request *rq, const char *type, const char *exception,
                         const char *cause)
{
	char first[400];
	int n = snprintf(
	        first, sizeof(first),
	        "Failed to convert value of type 'java.lang.String' to required type '%s'; nested exception is java.lang.%s: %s",
	        type, exception, cause);

	/* Bad values are cut to TEXT_SHOWN, so nothing is cut here. */
	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(first));
	reply_caused2(rq, 500, str_of(first), str_of(cause));
}

bool bound_text(struct request *rq, const char *name, struct str *value_r)
{
	*value_r = request_text(rq, str_of(name));
	if (str_is_set(*value_r))
		return true;
	reply_missing(rq, name, "String");
	return false;
}

struct str bound_optional(struct request *rq, const char *name)
{
	struct str value = request_text(rq, str_of(name));

	return str_is_set(value) ? value : STR("");
}

struct str bound_namespace(struct request *rq)
{
	struct str ns = bound_optional(rq, "namespaceId");

	return ns.n > 0 ? ns : STR("public");
}

static int shown(struct str text)
{
	return (int)str_cut(text, TEXT_SHOWN).n;
}

static struct str bound_without_blanks(struct request *rq, struct str text)
{
	char *p = text.n <= NUMBER_LONG ? arena_alloc(&rq->arena, text.n + 1) : NULL;
	size_t n = 0;

	if (p == NULL)
		return text;
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] > ' ')
			p[n++] = text.p[i];
	return str_make(p, n);
}

static bool read_int(struct request *rq, struct str given, int32_t *value_r)
{
	struct str text = bound_without_blanks(rq, given);
	char cause[TEXT_SHOWN + 40];

	if (java_parse_int(text, value_r) == 0)
		return true;
	snprintf(cause, sizeof(cause), "For input string: \"%.*s\"", shown(text), text.p);
	refuse_bound(rq, "int", "NumberFormatException", cause);
	return false;
}

bool bound_int(struct request *rq, const char *name, int32_t *value_r)
{
	struct str text = request_param(rq, str_of(name));

	if (str_is_set(text))
		return read_int(rq, text, value_r);
	reply_missing(rq, name, "int");
	return false;
}

bool bound_optional_int(struct request *rq, const char *name, int32_t *value_r)
{
	struct str text = request_param(rq, str_of(name));

	if (str_is_set(text))
		return read_int(rq, text, value_r);
	reply_caused(
	        rq, 500,
	        "Optional int parameter '%s' is present but cannot be translated into a null value due to being declared as "
	        "a primitive type. Consider declaring it as object wrapper for the corresponding primitive type.",
	        name);
	return false;
}

static bool is_one_of(struct str text, const char *const words[4])
{
	for (unsigned i = 0; i < 4; i++)
		if (str_ieq(text, str_of(words[i])))
			return true;
	return false;
}

bool bound_bool(struct request *rq, const char *name, bool *value_r)
{
	static const char *const yes[4] = { "true", "on", "yes", "1" }, *const no[4] = {
		"false", "off", "no", "0"
	};
	struct str raw = bound_optional(rq, name), text = str_trim(raw);
	char cause[TEXT_SHOWN + 40];

	*value_r = is_one_of(text, yes);
	if (*value_r || is_one_of(text, no) || !str_is_set(request_param(rq, str_of(name))))
		return true;
	snprintf(cause, sizeof(cause), "Invalid boolean value [%.*s]", shown(raw), raw.p);
	refuse_bound(rq, "boolean", "IllegalArgumentException", cause);
	return false;
}

bool bound_float(struct request *rq, const char *name, float *value_r)
{
	struct str given = bound_optional(rq, name), text = bound_without_blanks(rq, given);
	char cause[TEXT_SHOWN + 40];
	double value = 0.0;

	if (given.n == 0 || java_parse_double(text, &value) == 0) {
		*value_r = (float)value;
		return true;
	}
	if (text.n == 0)
		snprintf(cause, sizeof(cause), "empty String");
	else
		snprintf(cause, sizeof(cause), "For input string: \"%.*s\"", shown(text), text.p);
	refuse_bound(rq, "float", "NumberFormatException", cause);
	return false;
}
