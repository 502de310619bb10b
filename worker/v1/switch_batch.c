/* SPDX-License-Identifier: Apache-2.0 */
/* switch_batch.c - the entry "batch": the whole object at once. What it does not name gets its
 * default; the values are checked as those of single entries. */
#include "worker/v1/switch_rows.h"

#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"

#define DESERIALIZE \
	"errCode: 101, errMsg: Nacos deserialize for class [com.alibaba.nacos.naming.misc.SwitchDomain] failed.  "

#define CHECK_MIN_MS 500 /* http and tcp */
#define CHECK_MAX_MS 3000

struct batch {
	struct arena *arena;
	struct switch_state state;
	const struct switch_row *row; /* of the member being read; NULL: unknown */
	struct buf list;              /* masters or limitedUrlMap, as their entries take them */
	struct switch_refusal *refusal;
	int err;
};

/* ---- members of objects and lists ------------------------------------------------------------ */

static const char *read_param(struct health_params *params, const struct json_item *item)
{
	double factor;
	int64_t number;
	float narrow;
	uint32_t bits;

	if (item->kind != JSON_NUMBER || java_parse_double(item->text, &factor) < 0)
		return "a health parameter is not a number";
	if (str_eq(item->key, STR("factor"))) {
		narrow = (float)factor;
		memcpy(&bits, &narrow, sizeof(bits));
		params->factor = bits;
		return NULL;
	}
	if (java_parse_long(item->text, &number) < 0)
		return "a health parameter is not a whole number";
	if (str_eq(item->key, STR("max")))
		params->max_ms = (uint64_t)number;
	else if (str_eq(item->key, STR("min")))
		params->min_ms = (uint64_t)number;
	return NULL;
}

static void add_to_list(struct batch *batch, struct str text)
{
	if (batch->list.len > 0)
		buf_char(&batch->list, ',');
	buf_str(&batch->list, text);
}

/* The text form has no escapes, so neither separator may stand in a name. */
static bool has_separator(struct str text)
{
	return text.n > 0 &&
	       (memchr(text.p, ',', text.n) != NULL || memchr(text.p, ':', text.n) != NULL);
}

static const char *read_limited(struct batch *batch, const struct json_item *item)
{
	if (item->kind != JSON_NUMBER)
		return "a status of limitedUrlMap is not a number";
	if (has_separator(item->key)) {
		batch->err = switch_refuse(batch->refusal, 400, "invalid input for limited urls");
		return "refused";
	}
	add_to_list(batch, item->key);
	buf_char(&batch->list, ':');
	buf_str(&batch->list, item->text);
	return NULL;
}

static const char *read_inner(struct batch *batch, const struct json_item *item)
{
	ROSTER_ASSERT(batch->row != NULL);
	switch (batch->row->type) {
	case SWITCH_PARAMS:
		return read_param((struct health_params *)switch_word(&batch->state, batch->row),
		                  item);
	case SWITCH_LIMITED:
		return read_limited(batch, item);
	case SWITCH_MASTERS:
		if (item->kind != JSON_STRING)
			return "one of the masters is not a text";
		add_to_list(batch, item->text);
		return NULL;
	default:
		return NULL;
	}
}

/* ---- members of the batch -------------------------------------------------------------------- */

/* Gives the list that was being read to its row, as a single entry would. */
static int close_list(struct batch *batch)
{
	struct str text;

	if (batch->row == NULL || batch->list.len == 0)
		return 0;
	ROSTER_ASSERT(batch->row->type == SWITCH_MASTERS || batch->row->type == SWITCH_LIMITED);
	text = arena_copy(batch->arena, buf_view(&batch->list));
	if (buf_failed(&batch->list) || !str_is_set(text))
		return ERR_NOMEM;
	buf_reset(&batch->list);
	return switch_set_row(batch->arena, &batch->state, batch->row, text, batch->refusal);
}

static const struct switch_row *row_of_name(struct str name)
{
	for (unsigned i = 0; i < switch_row_count; i++) {
		if (str_eq(name, str_of(switch_rows[i].name)))
			return &switch_rows[i];
	}
	return NULL;
}

/* True for rows that stay as they are whatever a batch says. */
static bool is_out_of_reach(const struct switch_row *row)
{
	return row->type == SWITCH_FIXED || row->type == SWITCH_EMPTY ||
	       strcmp(row->name, "pushCSharpVersion") == 0;
}

static bool kind_fits(const struct switch_row *row, enum json_kind kind)
{
	switch (row->type) {
	case SWITCH_LONG:
	case SWITCH_INT:
	case SWITCH_FLOAT:
		return kind == JSON_NUMBER;
	case SWITCH_STRICT:
	case SWITCH_LOOSE:
		return kind == JSON_TRUE || kind == JSON_FALSE;
	case SWITCH_VERSION:
	case SWITCH_STATUS:
		return kind == JSON_STRING;
	case SWITCH_MASTERS:
		return kind == JSON_ARRAY;
	default:
		return kind == JSON_OBJECT;
	}
}

static const char *read_member(struct batch *batch, const struct json_item *item)
{
	if (batch->err == 0)
		batch->err = close_list(batch);
	if (batch->err < 0)
		return "refused";
	batch->row = row_of_name(item->key);
	if (batch->row != NULL && is_out_of_reach(batch->row))
		batch->row = NULL;
	if (batch->row == NULL || item->kind == JSON_NULL)
		return NULL;
	if (!kind_fits(batch->row, item->kind))
		return "a member has the wrong type";
	if (item->kind != JSON_ARRAY && item->kind != JSON_OBJECT)
		batch->err = switch_set_row(batch->arena, &batch->state, batch->row, item->text,
		                            batch->refusal);
	return batch->err < 0 ? "refused" : NULL;
}

static const char *on_batch_item(void *arg, const struct json_item *item)
{
	struct batch *batch = arg;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth == 1)
		return read_member(batch, item);
	return item->depth == 2 && batch->row != NULL ? read_inner(batch, item) : NULL;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool bad_factor(const struct health_params *params)
{
	uint32_t bits = (uint32_t)params->factor;
	float factor;

	memcpy(&factor, &bits, sizeof(factor));
	return !(factor >= 0 && factor <= 1);
}

static int check_params(const struct switches *words, struct switch_refusal *refusal)
{
	if ((int64_t)words->http.min_ms < CHECK_MIN_MS || (int64_t)words->tcp.min_ms < CHECK_MIN_MS)
		return switch_refuse(refusal, 400,
		                     "min check time for http or tcp is too small(<%d)",
		                     CHECK_MIN_MS);
	if ((int64_t)words->mysql.min_ms < CHECK_MIN_MS)
		return switch_refuse(refusal, 400, "min check time for mysql is too small(<%d)",
		                     CHECK_MIN_MS);
	if ((int64_t)words->http.max_ms < CHECK_MAX_MS || (int64_t)words->tcp.max_ms < CHECK_MAX_MS)
		return switch_refuse(refusal, 400,
		                     "max check time for http or tcp is too small(<%d)",
		                     CHECK_MAX_MS);
	if (bad_factor(&words->http) || bad_factor(&words->tcp) || bad_factor(&words->mysql))
		return switch_refuse(refusal, 400, "malformed factor");
	return 0;
}

static int read_batch(struct batch *batch, struct str value)
{
	static const struct json_limits limits = { .depth = 8, .keys = 1000 };
	char why[160] = "";
	int ret = json_read(batch->arena, value, limits, on_batch_item, batch, why, sizeof(why));

	if (batch->err < 0)
		return batch->err;
	if (ret == ERR_SYNTAX) {
		switch_refuse(batch->refusal, 500, DESERIALIZE);
		snprintf(batch->refusal->cause, sizeof(batch->refusal->cause), "%s", why);
		return ERR_SYNTAX;
	}
	return ret < 0 ? ret : close_list(batch);
}

int switch_set_batch(struct arena *arena, struct switch_state *state, struct str value,
                     struct switch_refusal *refusal)
{
	struct batch batch = { .arena = arena, .refusal = refusal };
	int ret;

	switches_defaults(&batch.state.words);
	batch.state.words.generation = state->words.generation;
	batch.state.words.standalone = state->words.standalone;
	batch.state.limited = STR("");
	buf_init(&batch.list);
	ret = read_batch(&batch, value);
	if (ret == 0)
		ret = check_params(&batch.state.words, refusal);
	if (ret == 0)
		*state = batch.state;
	buf_free(&batch.list);
	return ret;
}
