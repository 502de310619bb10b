#include "worker/request.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>

#include "shared/codec/java.h"
#include "shared/codec/utf8.h"

/* Charsets a client may name in `encoding`, as the converter of the C library calls them. A list of our
 * own: the library loads modules by name, and a client shall not choose the name. */
static const struct {
	const char *name;
	const char *iconv_name;
} charsets[] = {
	{ "GBK", "GBK" },
	{ "GB2312", "GB2312" },
	{ "GB18030", "GB18030" },
	{ "BIG5", "BIG5" },
	{ "ISO-8859-1", "ISO-8859-1" },
	{ "ISO8859-1", "ISO-8859-1" },
	{ "ISO8859_1", "ISO-8859-1" },
	{ "LATIN1", "ISO-8859-1" },
	{ "ISO-8859-2", "ISO-8859-2" },
	{ "ISO-8859-5", "ISO-8859-5" },
	{ "ISO-8859-15", "ISO-8859-15" },
	{ "US-ASCII", "US-ASCII" },
	{ "ASCII", "US-ASCII" },
	{ "WINDOWS-1250", "CP1250" },
	{ "WINDOWS-1251", "CP1251" },
	{ "WINDOWS-1252", "CP1252" },
	{ "UTF-16", "UTF-16BE" },
	{ "UTF-16BE", "UTF-16BE" },
	{ "UTF-16LE", "UTF-16LE" },
	{ "EUC-JP", "EUC-JP" },
	{ "SHIFT_JIS", "SHIFT_JIS" },
	{ "EUC-KR", "EUC-KR" },
};

static bool is_utf8_name(struct str name)
{
	return str_ieq(name, STR("UTF-8")) || str_ieq(name, STR("UTF8"));
}

static const char *charset_of(struct str name)
{
	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
		if (str_ieq(name, str_of(charsets[i].name)))
			return charsets[i].iconv_name;
	}
	return NULL;
}

/* What cannot be read becomes U+FFFD. Each input byte gives at most three. */
static struct str convert(struct request *rq, iconv_t cd, struct str value)
{
	size_t room = value.n * 3 + 8, in_left = value.n;
	char *out = arena_alloc(&rq->arena, room), *at = out, *in = (char *)value.p;

	if (out == NULL)
		return value;
	while (in_left > 0 && iconv(cd, &in, &in_left, &at, &room) == (size_t)-1) {
		if (errno == E2BIG || room < 3)
			break;
		memcpy(at, "\xef\xbf\xbd", 3);
		at += 3;
		room -= 3;
		in_left = errno == EINVAL ? 0 : in_left - 1;
		in++;
	}
	return str_make(out, (size_t)(at - out));
}

bool request_rereads(const struct request *rq)
{
	return rq->encoding.n > 0 && !is_utf8_name(rq->encoding) && charset_of(rq->encoding) != NULL;
}

/* The UTF-8 bytes of the value, read again as the charset that `encoding` names; an unknown one is ignored. */
static struct str reread(struct request *rq, struct str value)
{
	iconv_t cd;

	if (value.n == 0 || !request_rereads(rq) || (cd = iconv_open("UTF-8", charset_of(rq->encoding))) == (iconv_t)-1)
		return value;
	value = convert(rq, cd, value);
	iconv_close(cd);
	return value;
}

struct str request_param(const struct request *rq, struct str name)
{
	for (unsigned i = rq->param_count; i > 0; i--) {
		if (str_eq(rq->params[i - 1].name, name))
			return rq->params[i - 1].value;
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

/* Parts of a split at "@@" whose trailing empty parts are dropped: is there a second one? */
static bool has_second_part(struct str name)
{
	while (name.n >= 2 && memcmp(name.p + name.n - 2, "@@", 2) == 0)
		name.n -= 2;
	return str_has_double(name, '@');
}

bool request_service(struct request *rq, struct str *name_r)
{
	if (!required(rq, "serviceName", rq->service_name, name_r))
		return false;
	if (!has_second_part(*name_r)) {
		reply_caused(rq, 400, "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'");
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

static bool bad_number(struct request *rq, struct str text)
{
	reply_caused(rq, 400, "For input string: \"%.*s\"", (int)text.n, text.n > 0 ? text.p : "");
	return false;
}

bool request_int(struct request *rq, struct str text, int32_t *value_r)
{
	return java_parse_int(text, value_r) == 0 ? true : bad_number(rq, text);
}

bool request_double(struct request *rq, struct str text, double *value_r)
{
	if (java_parse_double(text, value_r) == 0)
		return true;
	if (str_trim(text).n == 0) {
		reply_caused(rq, 400, "empty String");
		return false;
	}
	return bad_number(rq, text);
}
