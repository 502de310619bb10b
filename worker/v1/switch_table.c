/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/switch_table.h"

#include <stdarg.h>
#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "worker/v1/switch_rows.h"

#define VERSION_SYNTAX "illegal version, must match: [0-9]+\\.[0-9]+\\.[0-9]+"
#define TOO_SMALL(what, limit) what " is too small(<" limit ")"

/* Values of interval and count are at least 1 here, where the reference takes any: 0 makes clients
 * beat without a pause. */
const struct switch_row switch_rows[] = {
#define AT(field) offsetof(struct switches, field)
	{ "masters", "masters", SWITCH_MASTERS, 0, 0, NULL, false },
	{ "adWeightMap", NULL, SWITCH_FIXED, 0, 0, "{}", false },
	{ "defaultPushCacheMillis", "pushCacheMillis", SWITCH_LONG, AT(push_cache_ms), 10000,
	  TOO_SMALL("min cache time for http or tcp", "10000"), true },
	{ "clientBeatInterval", "clientBeatInterval", SWITCH_LONG, AT(beat_interval_ms), 1,
	  TOO_SMALL("clientBeatInterval", "1"), true },
	{ "defaultCacheMillis", "defaultCacheMillis", SWITCH_LONG, AT(cache_ms), 1000,
	  TOO_SMALL("min default cache time ", "1000"), true },
	{ "distroThreshold", "distroThreshold", SWITCH_FLOAT, AT(distro_threshold), 0, NULL,
	  false },
	{ "healthCheckEnabled", "check", SWITCH_STRICT, AT(health_check), 0, NULL, true },
	{ "autoChangeHealthCheckEnabled", "autoChangeHealthCheckEnabled", SWITCH_LOOSE,
	  AT(auto_change_health_check), 0, NULL, false },
	{ "distroEnabled", "distro", SWITCH_STRICT, AT(distro), 0, NULL, false },
	{ "enableStandalone", "enableStandalone", SWITCH_EMPTY, AT(standalone), 0, NULL, false },
	{ "pushEnabled", "pushEnabled", SWITCH_STRICT, AT(push), 0, NULL, true },
	{ "checkTimes", "healthCheckTimes", SWITCH_INT, AT(check_times), 1,
	  TOO_SMALL("healthCheckTimes", "1"), true },
	{ "httpHealthParams", NULL, SWITCH_PARAMS, AT(http), 0, NULL, true },
	{ "tcpHealthParams", NULL, SWITCH_PARAMS, AT(tcp), 0, NULL, true },
	{ "mysqlHealthParams", NULL, SWITCH_PARAMS, AT(mysql), 0, NULL, true },
	{ "incrementalList", NULL, SWITCH_FIXED, 0, 0, "[]", false },
	{ "serverStatusSynchronizationPeriodMillis", "serverStatusSynchronizationPeriodMillis",
	  SWITCH_LONG, AT(server_status_ms), 1000,
	  TOO_SMALL("serverStatusSynchronizationPeriodMillis", "15000"), false },
	{ "serviceStatusSynchronizationPeriodMillis", "serviceStatusSynchronizationPeriodMillis",
	  SWITCH_LONG, AT(service_status_ms), 5000,
	  TOO_SMALL("serviceStatusSynchronizationPeriodMillis", "5000"), false },
	{ "disableAddIP", "disableAddIP", SWITCH_STRICT, AT(disable_add_ip), 0, NULL, false },
	{ "sendBeatOnly", "sendBeatOnly", SWITCH_STRICT, AT(send_beat_only), 0, NULL, false },
	{ "lightBeatEnabled", "lightBeatEnabled", SWITCH_LOOSE, AT(light_beat), 0, NULL, true },
	{ "limitedUrlMap", "limitedUrlMap", SWITCH_LIMITED, 0, 0, NULL, true },
	{ "distroServerExpiredMillis", "distroServerExpiredMillis", SWITCH_LONG,
	  AT(distro_expired_ms), INT64_MIN, NULL, false },
	{ "pushGoVersion", NULL, SWITCH_VERSION, AT(push_go), 0, NULL, true },
	{ "pushJavaVersion", NULL, SWITCH_VERSION, AT(push_java), 0, NULL, true },
	{ "pushPythonVersion", NULL, SWITCH_VERSION, AT(push_python), 0, NULL, true },
	{ "pushCVersion", NULL, SWITCH_VERSION, AT(push_c), 0, NULL, true },
	{ "pushCSharpVersion", NULL, SWITCH_VERSION, AT(push_csharp), 0, NULL, true },
	{ "enableAuthentication", NULL, SWITCH_STRICT, AT(authentication), 0, NULL, false },
	{ "overriddenServerStatus", "overriddenServerStatus", SWITCH_STATUS, 0, 0, NULL, true },
	{ "defaultInstanceEphemeral", "defaultInstanceEphemeral", SWITCH_STRICT, AT(ephemeral), 0,
	  NULL, true },
	{ "healthCheckWhiteList", NULL, SWITCH_FIXED, 0, 0, "[]", false },
	{ "name", NULL, SWITCH_FIXED, 0, 0, "\"00-00---000-NACOS_SWITCH_DOMAIN-000---00-00\"",
	  false },
	{ "checksum", NULL, SWITCH_FIXED, 0, 0, "null", false },
#undef AT
};

const unsigned switch_row_count = sizeof(switch_rows) / sizeof(switch_rows[0]);

/* Entries of PUT that stand for more than one row. */
static const char *const entry_version = "pushVersion", *const entry_batch = "batch";

/* The client types of pushVersion; C# cannot be set. */
static const struct {
	const char *type, *row;
} version_types[] = {
	{ "java", "pushJavaVersion" },
	{ "python", "pushPythonVersion" },
	{ "c", "pushCVersion" },
	{ "go", "pushGoVersion" },
};

/* ---- server status --------------------------------------------------------------------------- */

static const char *const status_texts[SERVER_STATUSES] = {
	[STATUS_STARTING] = "STARTING",
	[STATUS_UP] = "UP",
	[STATUS_DOWN] = "DOWN",
	[STATUS_PAUSED] = "PAUSED",
	[STATUS_WRITE_ONLY] = "WRITE_ONLY",
	[STATUS_READ_ONLY] = "READ_ONLY",
};

const char *server_status_text(enum server_status status)
{
	ROSTER_ASSERT((unsigned)status < SERVER_STATUSES);
	return status_texts[status];
}

int server_status_parse(struct str text, enum server_status *status_r)
{
	for (unsigned i = 0; i < SERVER_STATUSES; i++) {
		if (str_eq(text, str_of(status_texts[i]))) {
			*status_r = (enum server_status)i;
			return 0;
		}
	}
	return ERR_SYNTAX;
}

/* ---- cutting texts --------------------------------------------------------------------------- */

/* Takes the part before the separator. Returns false when the text is used up. */
static bool next_text_part(struct str *rest, char separator, struct str *part_r)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->p, separator, rest->n);
	*part_r = str_make(rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n);
	*rest = end != NULL ? str_make(end + 1, rest->n - part_r->n - 1)
	                    : str_make(rest->p + rest->n, 0);
	return true;
}

/* Returns the text without trailing separators, which Java's split() drops. */
static struct str without_tail(struct str text, char separator)
{
	while (text.n > 0 && text.p[text.n - 1] == separator)
		text.n--;
	return text;
}

/* An answer must have a final status that HTTP knows: 1xx would leave the client waiting. */
static bool is_final_status(int32_t status)
{
	return status >= 200 && status <= 599;
}

/* The text may have come with a snapshot, so it is not known that we wrote it. */
bool switch_next_limited(struct str *rest, struct str *url_r, int *status_r)
{
	struct str pair;
	int32_t status;

	if (!next_text_part(rest, ',', &pair) || !next_text_part(&pair, ':', url_r))
		return false;
	if (url_r->n == 0 || java_parse_int(pair, &status) < 0 || !is_final_status(status))
		return false;
	*status_r = status;
	return true;
}

/* ---- loading and storing --------------------------------------------------------------------- */

int switch_load(struct registry *reg, struct switches_copy *copy_r, struct switch_state *state_r)
{
	int ret = switches_read(reg, copy_r);

	if (ret < 0)
		return ret;
	*state_r = (struct switch_state){
		.words = copy_r->words,
		.masters = copy_r->texts.masters,
		.limited = copy_r->texts.limited,
		.status = copy_r->texts.status,
	};
	return 0;
}

int switch_store(struct registry *reg, const struct switch_state *state)
{
	struct switches_texts texts = { state->masters, state->limited, state->status };

	if (texts.limited.n == 0)
		texts.limited = (struct str){ NULL, 0 };
	return switches_write(reg, &state->words, &texts);
}

/* ---- showing --------------------------------------------------------------------------------- */

static float float_of(uint64_t bits)
{
	uint32_t low = (uint32_t)bits;
	float value;

	memcpy(&value, &low, sizeof(value));
	return value;
}

static void show_params(struct buf *b, const struct health_params *params)
{
	buf_char(b, '{');
	JSON_PUT_I64(b, "max", (int64_t)params->max_ms);
	JSON_PUT_I64(b, "min", (int64_t)params->min_ms);
	JSON_PUT_FLOAT(b, "factor", float_of(params->factor));
	buf_char(b, '}');
}

static void show_masters(struct buf *b, struct str masters)
{
	struct str rest = without_tail(masters, ','), part;

	if (!str_is_set(masters)) {
		BUF_LIT(b, "null");
		return;
	}
	buf_char(b, '[');
	if (rest.n == 0)
		json_string(b, STR(""));
	while (next_text_part(&rest, ',', &part)) {
		json_comma(b);
		json_string(b, part);
	}
	buf_char(b, ']');
}

static void show_limited(struct buf *b, struct str rest)
{
	struct str url;
	int status;

	buf_char(b, '{');
	while (switch_next_limited(&rest, &url, &status)) {
		json_comma(b);
		json_string(b, url);
		buf_printf(b, ":%d", status);
	}
	buf_char(b, '}');
}

static void show_text(struct buf *b, struct str text)
{
	if (str_is_set(text))
		json_string(b, text);
	else
		BUF_LIT(b, "null");
}

static void show_version(struct buf *b, uint64_t word)
{
	buf_printf(b, "\"%u.%u.%u\"", (unsigned)(word >> 20) & 1023, (unsigned)(word >> 10) & 1023,
	           (unsigned)word & 1023);
}

static void show_row(struct buf *b, const struct switch_row *row, const struct switch_state *state)
{
	const uint64_t *word = switch_word((struct switch_state *)state, row);

	switch (row->type) {
	case SWITCH_LONG:
	case SWITCH_INT:
		buf_i64(b, (int64_t)*word);
		break;
	case SWITCH_STRICT:
	case SWITCH_LOOSE:
	case SWITCH_EMPTY:
		json_bool(b, *word != 0);
		break;
	case SWITCH_FLOAT:
		json_float(b, float_of(*word));
		break;
	case SWITCH_PARAMS:
		show_params(b, (const struct health_params *)word);
		break;
	case SWITCH_VERSION:
		show_version(b, *word);
		break;
	case SWITCH_MASTERS:
		show_masters(b, state->masters);
		break;
	case SWITCH_LIMITED:
		show_limited(b, state->limited);
		break;
	case SWITCH_STATUS:
		show_text(b, state->status);
		break;
	case SWITCH_FIXED:
		buf_str(b, str_of(row->refusal));
		break;
	}
}

void switch_show(struct buf *b, const struct switch_state *state)
{
	for (unsigned i = 0; i < switch_row_count; i++) {
		buf_printf(b, "%c\"%s\":", i == 0 ? '{' : ',', switch_rows[i].name);
		show_row(b, &switch_rows[i], state);
	}
	buf_char(b, '}');
}

/* ---- setting one ----------------------------------------------------------------------------- */

int switch_refuse(struct switch_refusal *refusal, int status, const char *format, ...)
{
	va_list args;

	ROSTER_ASSERT(status >= 400);
	va_start(args, format);
	vsnprintf(refusal->text, sizeof(refusal->text), format, args);
	va_end(args);
	refusal->status = status;
	refusal->cause[0] = '\0';
	return ERR_RANGE;
}

static int shown(struct str text)
{
	return (int)str_cut(text, SWITCH_SHOWN).n;
}

static int refuse_switch_number(struct switch_refusal *refusal, struct str value)
{
	return switch_refuse(refusal, 400, "For input string: \"%.*s\"", shown(value),
	                     value.n > 0 ? value.p : "");
}

static int set_number(struct switch_state *state, const struct switch_row *row, struct str value,
                      struct switch_refusal *refusal)
{
	int64_t number;
	int32_t narrow;

	if (row->type == SWITCH_INT) {
		if (java_parse_int(value, &narrow) < 0)
			return refuse_switch_number(refusal, value);
		number = narrow;
	} else if (java_parse_long(value, &number) < 0) {
		return refuse_switch_number(refusal, value);
	}
	if (number < row->min)
		return switch_refuse(refusal, 400, "%s", row->refusal);
	*switch_word(state, row) = (uint64_t)number;
	return 0;
}

static int set_float(struct switch_state *state, const struct switch_row *row, struct str value,
                     struct switch_refusal *refusal)
{
	char text[JAVA_DOUBLE_TEXT + 1];
	double number;
	float narrow;
	uint32_t bits;

	if (java_parse_double(value, &number) < 0)
		return str_is_blank(value) ? switch_refuse(refusal, 400, "empty String")
		                           : refuse_switch_number(refusal, str_trim(value));
	narrow = (float)number;
	text[java_float_text(narrow, text)] = '\0';
	if (!(narrow > 0))
		return switch_refuse(refusal, 400,
		                     "distroThreshold can not be zero or negative: %s", text);
	memcpy(&bits, &narrow, sizeof(bits));
	*switch_word(state, row) = bits;
	return 0;
}

/* Reads N.N.N and stores each number in ten bits. */
static int set_version(struct switch_state *state, const struct switch_row *row, struct str value,
                       struct switch_refusal *refusal)
{
	struct str rest = value, part;
	uint64_t word = 0;
	unsigned parts = 0;
	int32_t number;

	while (next_text_part(&rest, '.', &part)) {
		if (part.n == 0 || part.p[0] < '0' || part.p[0] > '9' ||
		    java_parse_int(part, &number) < 0)
			return switch_refuse(refusal, 400, VERSION_SYNTAX);
		if (number > 1023)
			return switch_refuse(refusal, 400,
			                     "illegal version, a part is more than 1023: %.*s",
			                     shown(value), value.p);
		word = word << 10 | (uint64_t)number;
		parts++;
	}
	if (parts != 3 || value.p[value.n - 1] == '.')
		return switch_refuse(refusal, 400, VERSION_SYNTAX);
	ROSTER_ASSERT(word >> 30 == 0);
	*switch_word(state, row) = word;
	return 0;
}

static int add_limited(struct buf *b, struct str pair, struct switch_refusal *refusal)
{
	struct str rest = without_tail(pair, ':'), url = STR(""), number;
	int32_t status;

	if (!next_text_part(&rest, ':', &url) || !next_text_part(&rest, ':', &number))
		return switch_refuse(refusal, 400, "invalid input for limited urls");
	if (url.n == 0)
		return switch_refuse(refusal, 400, "url can not be empty, url: ");
	if (java_parse_int(number, &status) < 0)
		return refuse_switch_number(refusal, number);
	if (!is_final_status(status))
		return switch_refuse(refusal, 400, "illegal normal status code: %d", (int)status);
	if (b->len > 0)
		buf_char(b, ',');
	buf_str(b, url);
	buf_printf(b, ":%d", (int)status);
	return 0;
}

static int set_limited(struct arena *arena, struct switch_state *state, struct str value,
                       struct switch_refusal *refusal)
{
	struct str rest = without_tail(value, ','), pair, text;
	struct buf b;
	int ret = 0;

	if (value.n == 0)
		return 0;
	if (value.n > SWITCHES_TEXT_MAX)
		return ERR_TOO_BIG;
	buf_init(&b);
	while (ret == 0 && next_text_part(&rest, ',', &pair))
		ret = add_limited(&b, pair, refusal);
	text = arena_copy(arena, buf_view(&b));
	if (ret == 0 && (buf_failed(&b) || (b.len > 0 && !str_is_set(text))))
		ret = ERR_NOMEM;
	if (ret == 0)
		state->limited = b.len > 0 ? text : STR("");
	buf_free(&b);
	return ret;
}

/* A text that is no status is refused; 1.4.8 takes it and never computes its status again. */
static int set_status(struct switch_state *state, struct str value, struct switch_refusal *refusal)
{
	enum server_status status;

	if (str_eq(value, STR("null")))
		value = STR("");
	if (!str_is_blank(value) && server_status_parse(value, &status) < 0)
		return switch_refuse(
		        refusal, 400,
		        "overriddenServerStatus is none of STARTING, UP, DOWN, PAUSED, WRITE_ONLY, "
		        "READ_ONLY, null: %.*s",
		        shown(value), value.p);
	state->status = str_is_blank(value) ? STR("") : value;
	return 0;
}

int switch_set_row(struct arena *arena, struct switch_state *state, const struct switch_row *row,
                   struct str value, struct switch_refusal *refusal)
{
	/* No entry names such a row, and a batch sets their members or passes them over. */
	ROSTER_ASSERT(row->type != SWITCH_PARAMS && row->type != SWITCH_FIXED);
	switch (row->type) {
	case SWITCH_LONG:
	case SWITCH_INT:
		return set_number(state, row, value, refusal);
	case SWITCH_FLOAT:
		return set_float(state, row, value, refusal);
	case SWITCH_STRICT:
		*switch_word(state, row) = java_strict_bool(value);
		return 0;
	case SWITCH_LOOSE:
		*switch_word(state, row) = java_loose_bool(value);
		return 0;
	case SWITCH_EMPTY:
		if (value.n == 0)
			*switch_word(state, row) = 0;
		return 0;
	case SWITCH_VERSION:
		return set_version(state, row, value, refusal);
	case SWITCH_MASTERS:
		state->masters = value;
		return 0;
	case SWITCH_LIMITED:
		return set_limited(arena, state, value, refusal);
	case SWITCH_STATUS:
		return set_status(state, value, refusal);
	case SWITCH_PARAMS:
	case SWITCH_FIXED:
		break;
	}
	return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static const struct switch_row *row_of_entry(struct str entry)
{
	for (unsigned i = 0; i < switch_row_count; i++) {
		if (switch_rows[i].entry != NULL && str_eq(entry, str_of(switch_rows[i].entry)))
			return &switch_rows[i];
	}
	return NULL;
}

static const struct switch_row *row_of_name(const char *name)
{
	const struct switch_row *row = switch_rows;

	while (strcmp(row->name, name) != 0) {
		row++;
		ROSTER_ASSERT(row < switch_rows + switch_row_count);
	}
	return row;
}

/* Reads "type:N.N.N". The version is checked first, on a trial copy. */
static int set_push_version(struct arena *arena, struct switch_state *state, struct str value,
                            struct switch_refusal *refusal)
{
	struct str rest = without_tail(value, ':'), type = STR(""), version;
	struct switch_state trial = *state;
	int ret;

	if (!next_text_part(&rest, ':', &type) || !next_text_part(&rest, ':', &version))
		return switch_refuse(refusal, 500, "Index 1 out of bounds for length 1");
	if ((ret = switch_set_row(arena, &trial, row_of_name("pushGoVersion"), version, refusal)) <
	    0)
		return ret;
	for (size_t i = 0; i < sizeof(version_types) / sizeof(version_types[0]); i++) {
		if (str_eq(type, str_of(version_types[i].type)))
			return switch_set_row(arena, state, row_of_name(version_types[i].row),
			                      version, refusal);
	}
	return switch_refuse(refusal, 400, "unsupported client type: %.*s", shown(type), type.p);
}

int switch_set(struct arena *arena, struct switch_state *state, struct str entry, struct str value,
               struct switch_refusal *refusal_r)
{
	const struct switch_row *row = row_of_entry(entry);

	if (row != NULL)
		return switch_set_row(arena, state, row, value, refusal_r);
	if (str_eq(entry, str_of(entry_version)))
		return set_push_version(arena, state, value, refusal_r);
	if (str_eq(entry, str_of(entry_batch)))
		return switch_set_batch(arena, state, value, refusal_r);
	return SWITCH_UNKNOWN;
}

bool switch_is_live(struct str entry)
{
	const struct switch_row *row = row_of_entry(entry);

	return row != NULL
	               ? row->live
	               : str_eq(entry, str_of(entry_version)) || str_eq(entry, str_of(entry_batch));
}
