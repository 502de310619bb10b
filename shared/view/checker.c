/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/checker.h"

#include <stdio.h>

#include "shared/base/buf.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"

#define EXPECTED_CODE 200

static const struct {
	const char *name;
	enum checker_type type;
} types[] = {
	{ "TCP", CHECKER_TCP },
	{ "HTTP", CHECKER_HTTP },
	{ "MYSQL", CHECKER_MYSQL },
	{ "NONE", CHECKER_NONE },
};

struct given {
	struct checker *checker;
	struct str type;
};

static struct str *field_of(struct given *given, struct str key)
{
	struct checker *c = given->checker;
	const struct {
		struct str name;
		struct str *field;
	} fields[] = {
		{ STR("type"), &given->type },   { STR("path"), &c->path },
		{ STR("headers"), &c->headers }, { STR("user"), &c->user },
		{ STR("pwd"), &c->pwd },         { STR("cmd"), &c->cmd },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (str_eq(fields[i].name, key))
			return fields[i].field;
	return NULL;
}

static const char *on_checker_item(void *arg, const struct json_item *item)
{
	struct given *given = arg;
	struct str *field;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth > 1)
		return NULL;
	if (str_eq(item->key, STR("expectedResponseCode")))
		return java_parse_int(item->text, &given->checker->expected) < 0
		               ? "expectedResponseCode is no number"
		               : NULL;
	field = field_of(given, item->key);
	if (field != NULL && item->kind == JSON_STRING)
		*field = item->text;
	return NULL;
}

static bool is_one_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
			return false;
	return true;
}

int checker_parse(struct arena *arena, struct str text, struct checker *checker_r, char *why,
                  size_t why_size)
{
	struct json_limits limits = { .depth = 8, .keys = 50 };
	struct given given = { checker_r, { NULL, 0 } };
	int ret;

	*checker_r = (struct checker){ .type = CHECKER_TCP, .expected = EXPECTED_CODE };
	if (text.n == 0)
		return 0;
	if ((ret = json_read(arena, text, limits, on_checker_item, &given, why, why_size)) < 0)
		return ret;
	if (!str_is_set(given.type)) {
		snprintf(why, why_size, "missing property 'type'");
		return ERR_SYNTAX;
	}
	checker_r->type = CHECKER_NONE; /* what an unknown type becomes */
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (str_eq(given.type, str_of(types[i].name)))
			checker_r->type = types[i].type;
	return is_one_line(checker_r->path) && is_one_line(checker_r->headers) ? 0 : ERR_RANGE;
}

static void put_fields(struct buf *b, const struct checker *c)
{
	if (c->type == CHECKER_HTTP) {
		/* An absent text is written as an empty one. */
		JSON_PUT_STRING(b, "path", c->path);
		JSON_PUT_STRING(b, "headers", c->headers);
		JSON_PUT_I64(b, "expectedResponseCode", c->expected);
	} else if (c->type == CHECKER_MYSQL) {
		if (str_is_set(c->user))
			JSON_PUT_STRING(b, "user", c->user);
		if (str_is_set(c->pwd))
			JSON_PUT_STRING(b, "pwd", c->pwd);
		if (str_is_set(c->cmd))
			JSON_PUT_STRING(b, "cmd", c->cmd);
	}
}

int checker_text(struct arena *arena, const struct checker *checker, struct str *text_r)
{
	struct buf b;

	*text_r = (struct str){ NULL, 0 };
	if (checker->type == CHECKER_TCP)
		return 0;
	buf_init(&b);
	buf_char(&b, '{');
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == checker->type)
			JSON_PUT_STRING(&b, "type", str_of(types[i].name));
	put_fields(&b, checker);
	buf_char(&b, '}');
	if (!buf_failed(&b))
		*text_r = arena_copy(arena, buf_view(&b));
	buf_free(&b);
	return str_is_set(*text_r) ? 0 : ERR_NOMEM;
}
