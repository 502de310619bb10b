/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings and forms (a line end between), and the parameters that handlers take out of
 * them. */
#include <ctype.h>
#include <math.h>

#include "shared/base/utf8.h"
#include "shared/codec/java.h"
#include "shared/metrics/metrics.h"
#include "tests/fuzz/fuzz.h"
#include "worker/v1/path.h"
#include "worker/v1/params.h"
#include "worker/v1/router.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

#define PARAMS_MAX 64

/* ---- decoding -------------------------------------------------------------------------------- */

/* The plainest way to write it: each byte escaped. */
static struct str escape(struct arena *arena, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	char *p = arena_alloc(arena, s.n * 3 + 1);

	FUZZ_CHECK(p != NULL);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		p[i * 3] = '%';
		p[i * 3 + 1] = hex[c >> 4];
		p[i * 3 + 2] = hex[c & 15];
	}
	return str_make(p, s.n * 3);
}

static bool escapes_whole(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '%')
			continue;
		if (i + 2 >= s.n || !isxdigit((unsigned char)s.p[i + 1]) ||
		    !isxdigit((unsigned char)s.p[i + 2]))
			return false;
	}
	return true;
}

static void check_decode(struct arena *arena, struct str text, bool plus)
{
	struct str out, again;
	int ret = url_decode(arena, text, plus, &out);

	FUZZ_CHECK(ret == (escapes_whole(text) ? 0 : ERR_SYNTAX));
	if (ret < 0)
		return;
	FUZZ_CHECK(out.n <= text.n);
	FUZZ_CHECK(url_decode(arena, escape(arena, out), plus, &again) == 0 && str_eq(out, again));
}

/* Pairs are not longer than the text, have a name, and are the same when written and read again. */
static void check_pairs(struct arena *arena, struct str text)
{
	struct url_param params[PARAMS_MAX], again[PARAMS_MAX];
	int count = url_params(arena, text, params, PARAMS_MAX),
	    lenient = url_form(arena, text, again, PARAMS_MAX);
	size_t bytes = 0;
	struct buf b;

	FUZZ_CHECK(count >= 0 || count == ERR_SYNTAX || count == ERR_LIMIT);
	/* A form differs only where a query is refused. */
	FUZZ_CHECK(count == ERR_SYNTAX ? lenient >= 0 || lenient == ERR_LIMIT : lenient == count);
	for (int i = 0; i < count; i++)
		FUZZ_CHECK(str_eq(params[i].name, again[i].name) &&
		           str_eq(params[i].value, again[i].value));
	buf_init(&b);
	for (int i = 0; i < count; i++) {
		FUZZ_CHECK(params[i].name.n > 0);
		bytes += params[i].name.n + params[i].value.n + (i > 0);
		buf_str(&b, escape(arena, params[i].name));
		buf_char(&b, '=');
		buf_str(&b, escape(arena, params[i].value));
		buf_char(&b, '&');
	}
	FUZZ_CHECK(bytes <= text.n);
	if (count >= 0)
		FUZZ_CHECK(url_params(arena, buf_view(&b), again, PARAMS_MAX) == count);
	for (int i = 0; i < count; i++)
		FUZZ_CHECK(str_eq(params[i].name, again[i].name) &&
		           str_eq(params[i].value, again[i].value));
	buf_free(&b);
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* Nothing that could be read in two ways is left, and reading it again changes nothing. */
static void check_path(struct arena *arena, struct str text)
{
	struct path path, again;
	struct str raw = arena_copy(arena, text);

	FUZZ_CHECK(str_is_set(raw));
	if (path_read(arena, raw, &path) < 0 || raw.n == 0 || raw.p[0] != '/')
		return;
	FUZZ_CHECK(path.plain.n > 0 && path.plain.n <= raw.n && path.plain.p[0] == '/');
	FUZZ_CHECK(!str_has_double(path.plain, '/') &&
	           memchr(path.plain.p, '\0', path.plain.n) == NULL);
	FUZZ_CHECK(str_eq(raw, str_make(text.p, text.n)));
	if (path_read(arena, path.plain, &again) == 0 && !str_eq(again.plain, path.plain))
		FUZZ_CHECK(path.malicious != NULL || memchr(raw.p, '%', raw.n) != NULL);
	FUZZ_CHECK(memchr(raw.p, ';', raw.n) == NULL || path.malicious != NULL);
	FUZZ_CHECK(!path.dots || !str_eq(path.plain, raw));
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The text of a number reads back as the number. */
static void check_number(double value)
{
	char text[JAVA_DOUBLE_TEXT];
	unsigned n = java_double_text(value, text);
	double again;

	FUZZ_CHECK(n > 0 && n < sizeof(text) && strlen(text) == n);
	FUZZ_CHECK(java_parse_double(str_make(text, n), &again) == 0);
	FUZZ_CHECK(isnan(value) ? isnan(again) : memcmp(&value, &again, sizeof(value)) == 0);
}

static void check_float(float value)
{
	char text[JAVA_DOUBLE_TEXT];
	unsigned n = java_float_text(value, text);
	float again = java_lenient_float(str_make(text, n));

	FUZZ_CHECK(n > 0 && n < sizeof(text) && strlen(text) == n);
	FUZZ_CHECK(isnan(value) ? isnan(again) : memcmp(&value, &again, sizeof(value)) == 0);
}

/* ---- requests -------------------------------------------------------------------------------- */

struct server {
	struct process proc;
	struct slot slot;
	struct worker worker;
	struct request rq;
	struct v1_request own;
	struct buf out;
};

/* An answer was given exactly when the look-up failed; then the next one may answer again. */
static void check_answer(struct server *s, bool failed)
{
	FUZZ_CHECK(s->rq.answered == failed);
	FUZZ_CHECK(!failed || (s->out.len > 12 && memcmp(s->out.data, "HTTP/1.1 ", 9) == 0));
	FUZZ_CHECK(!failed || s->out.data[9] == '4' || s->out.data[9] == '5');
	buf_reset(&s->out);
	s->rq.answered = false;
}

/* Handed to a function that wants a zero byte at the end; one inside ends the name. */
static const char *name_of(struct server *s, struct str name)
{
	struct str copy = arena_copy(&s->rq.arena, name);

	FUZZ_CHECK(str_is_set(copy));
	return copy.p;
}

static void check_param(struct server *s, const struct url_param *param)
{
	const char *name = name_of(s, param->name);
	struct str value, raw = request_param(&s->rq, str_of(name));
	int32_t number;
	double real;

	value = request_optional(&s->rq, name, STR("absent"));
	FUZZ_CHECK(value.n <= raw.n * 3 + 8);
	FUZZ_CHECK(str_eq(value, str_trim(value)));
	FUZZ_CHECK(!utf8_valid(raw) || utf8_valid(value) || s->own.encoding != NULL);
	check_answer(s, !request_required(&s->rq, name, &value));
	check_answer(s, !request_int(&s->rq, param->value, &number));
	if (request_double(&s->rq, param->value, &real)) {
		check_number(real);
		check_float(java_lenient_float(param->value));
		check_answer(s, false);
	} else {
		check_answer(s, true);
	}
}

static void check_service(struct server *s)
{
	struct str name;
	bool good = request_service(&s->rq, &name);

	check_answer(s, !good);
	if (good)
		FUZZ_CHECK(memmem(name.p, name.n, "@@", 2) != NULL && !str_starts(name, STR("@@")));
}

static void check_request(struct server *s, struct str query, struct str form)
{
	s->proc.slot = &s->slot;
	s->worker.proc = &s->proc;
	s->worker.protocol = &v1_protocol;
	metrics_use(&s->slot);
	s->rq = (struct request){
		.worker = &s->worker,
		.own = &s->own,
		.method = METHOD_PUT,
		.method_text = STR("PUT"),
		.keep_alive = true,
		.path = STR("/nacos/v1/ns/instance"),
		.query = query,
		.body = form,
		.content_type = STR("application/x-www-form-urlencoded"),
		.user_agent = query,
		.output = { .bytes = &s->out },
	};
	arena_init(&s->rq.arena, 0);
	if (!router_prepare(&s->rq)) {
		check_answer(s, true);
	} else {
		FUZZ_CHECK(s->own.param_count <= REQUEST_PARAMS_MAX);
		check_service(s);
		for (unsigned i = 0; i < s->own.param_count && i < PARAMS_MAX; i++)
			check_param(s, &s->own.params[i]);
	}
	arena_free(&s->rq.arena);
	buf_free(&s->out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str form, query = fuzz_split(data, size, STR("\n"), &form);
	struct server *server = calloc(1, sizeof(*server));
	struct arena arena;

	FUZZ_CHECK(server != NULL);
	arena_init(&arena, 1 << 22);
	check_decode(&arena, query, true);
	check_decode(&arena, query, false);
	check_pairs(&arena, query);
	check_path(&arena, query);
	check_request(server, query, form);
	arena_free(&arena);
	free(server);
	return 0;
}
