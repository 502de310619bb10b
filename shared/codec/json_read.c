/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/json_read.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <yajl/yajl_parse.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/utf8.h"

#define PIECE 16384U   /* bytes handed to yajl between two pauses */
#define WORD_MAX 1024U /* of an unknown word, looked at */

struct reader {
	struct arena *arena;
	struct str text;
	struct json_limits limits;
	json_item_fn *fn;
	void *arg;
	const char *stopped; /* why a callback ended it */
	struct str key;
	size_t fed;    /* bytes that yajl has */
	size_t before; /* of them, before the piece in which the last value ended */
	bool whole;    /* the first value has ended */
	unsigned depth, keys;
	uint64_t objects; /* bit d: the container at depth d is an object */
	jmp_buf no_memory;
};

/* ---- memory for yajl ------------------------------------------------------------------------- */

/* yajl does not check what its allocator returns, so a refusal leaves by longjmp. Everything it
 * holds is the arena's: nothing leaks. The size before each block is for realloc. */
union block {
	size_t size;
	max_align_t align;
};

static void *reader_malloc(void *ctx, size_t size)
{
	struct reader *reader = ctx;
	union block *block = arena_alloc(reader->arena, sizeof(*block) + size);

	if (block == NULL)
		longjmp(reader->no_memory, 1);
	block->size = size;
	return block + 1;
}

static void *reader_realloc(void *ctx, void *old, size_t size)
{
	union block *block = old;
	void *fresh;

	if (old != NULL && block[-1].size >= size)
		return old;
	fresh = reader_malloc(ctx, size);
	if (old != NULL)
		memcpy(fresh, old, block[-1].size);
	return fresh;
}

static void reader_free(void *ctx, void *block)
{
	(void)ctx;
	(void)block;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int stop_reading(struct reader *reader, const char *why)
{
	reader->stopped = why;
	return 0;
}

static int report_item(struct reader *reader, enum json_kind kind, struct str text)
{
	bool in_object = reader->depth > 0 && (reader->objects >> (reader->depth - 1) & 1);
	struct json_item item = { kind, reader->depth,
		                  in_object ? reader->key : (struct str){ NULL, 0 }, text };
	const char *why = reader->fn(reader->arg, &item);

	reader->before = reader->fed;
	reader->whole = reader->depth == 0 && kind != JSON_OBJECT && kind != JSON_ARRAY;
	return why == NULL ? 1 : stop_reading(reader, why);
}

/* yajl hands out the source itself or a buffer that it uses again for the next string. */
static struct str kept(struct reader *reader, const unsigned char *p, size_t n)
{
	struct str s = str_make((const char *)p, n);

	if (n == 0)
		return STR("");
	if (s.p >= reader->text.p && s.p < reader->text.p + reader->text.n)
		return s;
	s = arena_copy(reader->arena, s);
	if (s.p == NULL)
		longjmp(reader->no_memory, 1);
	return s;
}

static int on_null(void *ctx)
{
	return report_item(ctx, JSON_NULL, STR("null"));
}

static int on_boolean(void *ctx, int value)
{
	return value ? report_item(ctx, JSON_TRUE, STR("true"))
	             : report_item(ctx, JSON_FALSE, STR("false"));
}

static int on_number(void *ctx, const char *p, size_t n)
{
	return report_item(ctx, JSON_NUMBER, kept(ctx, (const unsigned char *)p, n));
}

static int on_string(void *ctx, const unsigned char *p, size_t n)
{
	return report_item(ctx, JSON_STRING, kept(ctx, p, n));
}

static int on_key(void *ctx, const unsigned char *p, size_t n)
{
	struct reader *reader = ctx;

	if (++reader->keys > reader->limits.keys)
		return stop_reading(reader, "too many names");
	reader->key = kept(reader, p, n);
	reader->before = reader->fed;
	return 1;
}

static int begin_container(struct reader *reader, enum json_kind kind)
{
	uint64_t bit;

	if (reader->depth >= reader->limits.depth)
		return stop_reading(reader, "nested too deeply");
	if (!report_item(reader, kind, STR("")))
		return 0;
	bit = UINT64_C(1) << reader->depth++;
	reader->objects = kind == JSON_OBJECT ? reader->objects | bit : reader->objects & ~bit;
	return 1;
}

static int on_begin_object(void *ctx)
{
	return begin_container(ctx, JSON_OBJECT);
}

static int on_begin_array(void *ctx)
{
	return begin_container(ctx, JSON_ARRAY);
}

static int on_end(void *ctx)
{
	struct reader *reader = ctx;

	ROSTER_ASSERT(reader->depth > 0); /* yajl ends only what it began */
	reader->depth--;
	reader->whole = reader->depth == 0;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_begin_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_end,
	.yajl_start_array = on_begin_array,
	.yajl_end_array = on_end,
};

/* ---- what yajl lets through ------------------------------------------------------------------ */

/* Returns the 16 bits of an escape \uXXXX at p, or -1 if there is none. */
static int32_t escaped_unit(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < 6; i++) {
		int c = (unsigned char)p[i];
		int digit = c >= '0' && c <= '9'                     ? c - '0'
		            : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
		                                                     : -1;

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	return unit;
}

/* Returns the length of the escape at p; *half_r says that it is half of a surrogate pair without
 * its other half. */
static size_t escape_length(const char *p, const char *end, bool *half_r)
{
	int32_t unit = escaped_unit(p, end), low;

	*half_r = unit >= 0xdc00 && unit <= 0xdfff;
	if (unit < 0xd800 || unit > 0xdbff)
		return unit >= 0 ? 6 : 2;
	low = escaped_unit(p + 6, end);
	*half_r = low < 0xdc00 || low > 0xdfff;
	return *half_r ? 6 : 12;
}

/* Clients cut texts between the halves of an emoji. yajl would make a question mark of such a half,
 * or bytes that are not UTF-8; here it becomes what a broken byte becomes, an escape of the same
 * length. */
static int repair_escapes(struct arena *arena, struct str text, struct str *out_r)
{
	const char *end = text.p + text.n, *p = text.p, *next;
	struct breath breath = { 0 };
	bool half;

	*out_r = text;
	while (p < end && (next = memchr(p, '\\', (size_t)(end - p))) != NULL) {
		size_t n = escape_length(next, end, &half);

		if (half && out_r->p == text.p && (*out_r = arena_copy(arena, text)).p == NULL)
			return ERR_NOMEM;
		if (half)
			memcpy((char *)out_r->p + (next - text.p) + 2, "fffd", 4);
		if (breathe(&breath, (size_t)(next - p) / 16 + n) < 0)
			return ERR_GONE;
		p = next + n;
	}
	return 0;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Returns the word at the beginning if JSON has no such word. With trailing text allowed yajl would
 * read "nullable" as null. */
static struct str unknown_word(struct str text)
{
	struct str s = str_trim(text);
	size_t n = 0;

	if (s.n > 0 && is_letter(s.p[0])) {
		while (n < s.n && n < WORD_MAX &&
		       (is_letter(s.p[n]) || (s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_' ||
		        s.p[n] == '$'))
			n++;
	}
	s.n = n;
	if (str_eq(s, STR("null")) || str_eq(s, STR("true")) || str_eq(s, STR("false")))
		s.n = 0;
	return s;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int refuse_text(const char *reason, char *why, size_t why_size)
{
	if (why != NULL && why_size > 0) {
		snprintf(why, why_size, "%s", reason);
		why[strcspn(why, "\n")] = '\0';
	}
	return ERR_SYNTAX;
}

/* Answers with the text recorded of the Java server, as far as one line of source goes. */
static int refuse_word(struct str text, struct str word, char *why, size_t why_size)
{
	if (why != NULL && why_size > 0) {
		snprintf(
		        why, why_size,
		        "Unrecognized token '%.*s': was expecting (JSON String, Number, Array, Object or token 'null', "
		        "'true' or 'false')\n at [Source: (String)\"%.*s\"; line: 1, column: %zu]",
		        (int)word.n, word.p, (int)(text.n < WORD_MAX ? text.n : WORD_MAX), text.p,
		        (size_t)(word.p - text.p) + word.n + 1);
		str_end_whole(why);
	}
	return ERR_SYNTAX;
}

static yajl_handle open_parser(struct reader *reader, yajl_alloc_funcs *memory)
{
	yajl_handle parser;

	*memory = (yajl_alloc_funcs){ reader_malloc, reader_realloc, reader_free, reader };
	parser = yajl_alloc(&callbacks, memory, reader);
	if (parser == NULL)
		longjmp(reader->no_memory, 1);
	yajl_config(parser, yajl_allow_trailing_garbage, 1);
	yajl_config(parser, yajl_dont_validate_strings, 1); /* done, and better, before */
	return parser;
}

/* Feeds yajl in pieces, with a pause behind each. yajl decodes a text in one go when it has all of
 * it. */
static int feed(struct reader *reader, yajl_handle parser, yajl_status *status_r)
{
	const unsigned char *p = (const unsigned char *)reader->text.p;

	*status_r = yajl_status_ok;
	while (reader->fed < reader->text.n && *status_r == yajl_status_ok && !reader->whole) {
		size_t left = reader->text.n - reader->fed, n = left < PIECE ? left : PIECE,
		       at = reader->fed;

		ROSTER_ASSERT(reader->before <= reader->fed);
		reader->fed += n;
		*status_r = yajl_parse(parser, p + at, n);
		if (*status_r == yajl_status_ok && !reader->whole &&
		    reader->fed - reader->before > JSON_TEXT_MAX)
			return ERR_TOO_BIG;
		if (n < left && fiber_pause() < 0)
			return ERR_GONE;
	}
	return 0;
}

static int run_parser(struct reader *reader, char *why, size_t why_size)
{
	const unsigned char *p = (const unsigned char *)reader->text.p;
	yajl_alloc_funcs memory;
	yajl_handle parser;
	yajl_status status;
	int ret;

	if (setjmp(reader->no_memory) != 0)
		return ERR_NOMEM;
	parser = open_parser(reader, &memory);
	ret = feed(reader, parser, &status);
	if (ret == ERR_TOO_BIG)
		(void)refuse_text("a text is too long", why, why_size);
	if (ret < 0)
		return ret;
	if (status == yajl_status_ok)
		status = yajl_complete_parse(parser);
	if (status == yajl_status_ok)
		return 0;
	if (reader->stopped != NULL)
		return refuse_text(reader->stopped, why, why_size);
	return refuse_text((const char *)yajl_get_error(parser, 0, p, reader->text.n), why,
	                   why_size);
}

int json_read(struct arena *arena, struct str text, struct json_limits limits, json_item_fn *fn,
              void *arg, char *why, size_t why_size)
{
	struct reader reader = { .arena = arena, .limits = limits, .fn = fn, .arg = arg };
	struct str word;
	int ret;

	ROSTER_ASSERT(limits.depth <= 64); /* a bit each in reader.objects */
	if (str_is_blank(text))
		return refuse_text("no content", why, why_size);
	if ((ret = utf8_repair(arena, text, &text)) < 0 ||
	    (ret = repair_escapes(arena, text, &reader.text)) < 0)
		return ret;
	if ((word = unknown_word(text)).n > 0)
		return refuse_word(text, word, why, why_size);
	return run_parser(&reader, why, why_size);
}
