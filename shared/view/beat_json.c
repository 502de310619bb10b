/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/beat_json.h"

#include <math.h>
#include <stddef.h>

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/view/metadata.h"

#define DEPTH_MAX 16U
#define KEYS_MAX 1000U

enum field_type { FIELD_TEXT, FIELD_INT, FIELD_DOUBLE, FIELD_BOOL, FIELD_METADATA };

#define UNUSED SIZE_MAX /* a field that must have the right type, but whose value goes nowhere */

static const struct field {
	struct str name;
	enum field_type type;
	size_t offset;
} fields[] = {
	{ { "ip", 2 }, FIELD_TEXT, offsetof(struct beat_info, ip) },
	{ { "port", 4 }, FIELD_INT, offsetof(struct beat_info, port) },
	{ { "weight", 6 }, FIELD_DOUBLE, offsetof(struct beat_info, weight) },
	{ { "cluster", 7 }, FIELD_TEXT, offsetof(struct beat_info, cluster) },
	{ { "ephemeral", 9 }, FIELD_BOOL, offsetof(struct beat_info, ephemeral) },
	{ { "metadata", 8 }, FIELD_METADATA, 0 },
	{ { "serviceName", 11 }, FIELD_TEXT, UNUSED },
	{ { "ak", 2 }, FIELD_TEXT, UNUSED },
	{ { "load", 4 }, FIELD_DOUBLE, UNUSED },
	{ { "cpu", 3 }, FIELD_DOUBLE, UNUSED },
	{ { "rt", 2 }, FIELD_DOUBLE, UNUSED },
	{ { "qps", 3 }, FIELD_DOUBLE, UNUSED },
	{ { "mem", 3 }, FIELD_DOUBLE, UNUSED },
};

struct beat_reader {
	struct arena *arena;
	struct beat_info *info;
	bool in_metadata; /* the open member at depth 1 is the metadata object */
	bool no_memory;
	struct metadata_pair *pairs;
	size_t count, cap;
};

/* ---- scalars, as lenient as the Java server -------------------------------------------------- */

static bool is_scalar(enum json_kind kind)
{
	return kind != JSON_OBJECT && kind != JSON_ARRAY;
}

static const char *read_text(const struct json_item *item, struct str *out)
{
	if (!is_scalar(item->kind))
		return "a text field is not a scalar";
	*out = item->kind == JSON_NULL ? (struct str){ NULL, 0 } : item->text;
	return NULL;
}

/* Is there no value? That is null, an empty string, or the word null in a string. A string of
 * blanks is an error. */
static bool is_none(const struct json_item *item)
{
	if (item->kind != JSON_STRING)
		return item->kind == JSON_NULL;
	return item->text.n == 0 || str_eq(str_trim(item->text), STR("null"));
}

/* Reads an integer. The fraction of a number is cut off, that of a number in a string is an
 * error. */
static const char *read_int(const struct json_item *item, int32_t *out)
{
	bool text = item->kind == JSON_STRING;
	double number;

	*out = 0;
	if (is_none(item))
		return NULL;
	if (!text && item->kind != JSON_NUMBER)
		return "an integer field is not a number";
	if (java_parse_int(text ? str_trim(item->text) : item->text, out) == 0)
		return NULL;
	if (text || java_parse_double(item->text, &number) < 0 ||
	    !(number > -2147483649.0 && number < 2147483648.0))
		return "an integer field is not a 32-bit number";
	*out = (int32_t)number;
	return NULL;
}

static const char *read_double(const struct json_item *item, double *out)
{
	*out = 0;
	if (is_none(item))
		return NULL;
	if (item->kind != JSON_NUMBER && item->kind != JSON_STRING)
		return "a number field is not a number";
	return java_parse_double(item->text, out) == 0 ? NULL : "a number field is not a number";
}

static bool is_word(struct str text, struct str lower, struct str title, struct str upper)
{
	return str_eq(text, lower) || str_eq(text, title) || str_eq(text, upper);
}

static const char *read_bool(const struct json_item *item, bool *out)
{
	struct str text = str_trim(item->text);
	int64_t number;

	*out = item->kind == JSON_TRUE;
	if (*out || item->kind == JSON_FALSE || is_none(item))
		return NULL;
	if (item->kind == JSON_STRING) {
		*out = is_word(text, STR("true"), STR("True"), STR("TRUE"));
		if (*out || is_word(text, STR("false"), STR("False"), STR("FALSE")))
			return NULL;
		return "a boolean field is neither true nor false";
	}
	if (item->kind != JSON_NUMBER || java_parse_long(text, &number) < 0)
		return "a boolean field is neither true nor false";
	*out = number != 0;
	return NULL;
}

/* ---- members --------------------------------------------------------------------------------- */

static const struct field *field_of(struct str key)
{
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (str_eq(fields[i].name, key))
			return &fields[i];
	}
	return NULL;
}

static const char *begin_metadata(struct beat_reader *reader, const struct json_item *item)
{
	if (item->kind != JSON_OBJECT && item->kind != JSON_NULL)
		return "metadata is not an object";
	reader->count = 0; /* of two metadata members the last one counts */
	reader->in_metadata = item->kind == JSON_OBJECT;
	reader->info->metadata.null = item->kind == JSON_NULL;
	return NULL;
}

static const char *read_member(struct beat_reader *reader, const struct json_item *item)
{
	const struct field *field = field_of(item->key);
	union {
		struct str text;
		int32_t integer;
		double number;
		bool flag;
	} unused;
	void *out = &unused;

	reader->in_metadata = false;
	if (field == NULL)
		return NULL;
	if (field->type == FIELD_METADATA)
		return begin_metadata(reader, item);
	if (field->offset != UNUSED)
		out = (char *)reader->info + field->offset;
	switch (field->type) {
	case FIELD_INT:
		return read_int(item, out);
	case FIELD_DOUBLE:
		return read_double(item, out);
	case FIELD_BOOL:
		return read_bool(item, out);
	default:
		return read_text(item, out);
	}
}

static const char *read_metadata(struct beat_reader *reader, const struct json_item *item)
{
	if (!is_scalar(item->kind))
		return "a metadata value is not a scalar";
	if (reader->count == reader->cap) {
		size_t cap = reader->cap == 0 ? 16 : reader->cap * 2;
		struct metadata_pair *grown = arena_alloc(reader->arena, cap * sizeof(*grown));

		if (grown == NULL) {
			reader->no_memory = true;
			return "out of memory";
		}
		if (reader->count > 0)
			memcpy(grown, reader->pairs, reader->count * sizeof(*grown));
		reader->pairs = grown;
		reader->cap = cap;
	}
	ROSTER_ASSERT(reader->count < reader->cap);
	reader->pairs[reader->count++] =
	        (struct metadata_pair){ item->key, item->kind == JSON_NULL ? (struct str){ NULL, 0 }
		                                                           : item->text };
	return NULL;
}

static const char *on_beat_item(void *arg, const struct json_item *item)
{
	struct beat_reader *reader = arg;

	if (item->depth == 0) {
		reader->info->light = item->kind == JSON_NULL;
		return item->kind == JSON_OBJECT || item->kind == JSON_NULL ? NULL
		                                                            : "not an object";
	}
	if (item->depth == 1)
		return read_member(reader, item);
	return reader->in_metadata ? read_metadata(reader, item) : NULL;
}

int beat_json_parse(struct arena *arena, struct str text, struct beat_info *info_r, char *why,
                    size_t why_size)
{
	struct beat_reader reader = { .arena = arena, .info = info_r };
	struct json_limits limits = { .depth = DEPTH_MAX, .keys = KEYS_MAX };
	bool null;
	int ret;

	*info_r = (struct beat_info){ .ephemeral = true, .metadata = { .null = true } };
	ret = json_read(arena, text, limits, on_beat_item, &reader, why, why_size);
	if (ret < 0)
		return reader.no_memory ? ERR_NOMEM : ret;
	/* Packing begins with empty metadata, which does not know of a null. */
	null = info_r->metadata.null;
	if ((ret = metadata_pack(arena, reader.pairs, reader.count, &info_r->metadata)) < 0)
		return ret;
	info_r->metadata.null = null;
	return 0;
}
