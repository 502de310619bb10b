/* SPDX-License-Identifier: Apache-2.0 */
/* config_value.c - the text of one value to its field, by the type of its key, and back. */
#include "shared/config/config_key.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "shared/base/assert.h"
#include "shared/net/address.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Units rise, because a number is shown in the last one that divides it. That of a bare number
 * comes first. */
static const struct unit duration_units[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
	                                      { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit size_units[] = { { "", 1 },
	                                  { "KiB", 1024 },
	                                  { "MiB", 1024 * 1024 },
	                                  { "GiB", 1024 * 1024 * 1024 },
	                                  { NULL, 0 } };
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static __attribute__((format(printf, 3, 4))) int refuse_value(char why[CONFIG_WHY], int code,
                                                              const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CONFIG_WHY, format, args);
	va_end(args);
	return code;
}

static const struct unit *units_of(enum config_type type)
{
	if (type == CONFIG_DURATION)
		return duration_units;
	return type == CONFIG_SIZE ? size_units : no_units;
}

const char *config_number_text(enum config_type type, uint64_t value, char *out, size_t size)
{
	const struct unit *best = units_of(type);

	for (const struct unit *u = best; u->name != NULL; u++) {
		if (value != 0 && value % u->factor == 0)
			best = u;
	}
	if (value == 0)
		snprintf(out, size, "0");
	else
		snprintf(out, size, "%" PRIu64 "%s", value / best->factor, best->name);
	return out;
}

/* ---- fields ---------------------------------------------------------------------------------- */

static void *field(struct config *config, const struct config_key *key)
{
	return (char *)config + key->off;
}

static const void *field_const(const struct config *config, const struct config_key *key)
{
	return (const char *)config + key->off;
}

static void store_number(struct config *config, const struct config_key *key, uint64_t value)
{
	if (key->size == sizeof(bool)) {
		*(bool *)field(config, key) = value != 0;
	} else if (key->size == sizeof(uint32_t)) {
		*(uint32_t *)field(config, key) = (uint32_t)value;
	} else {
		ROSTER_ASSERT(key->size == sizeof(uint64_t));
		*(uint64_t *)field(config, key) = value;
	}
}

/* The number of items of a list stands right before its array (config.h). */
static uint32_t list_count(const struct config *config, const struct config_key *key)
{
	uint32_t count;

	memcpy(&count, (const char *)config + key->off - sizeof(count), sizeof(count));
	return count;
}

static void set_list_count(struct config *config, const struct config_key *key, uint32_t count)
{
	memcpy((char *)config + key->off - sizeof(count), &count, sizeof(count));
}

bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_key *key)
{
	if (config_key_is_list(key) && list_count(a, key) != list_count(b, key))
		return false;
	if (config_key_is_text(key))
		return strncmp(field_const(a, key), field_const(b, key), key->size) == 0;
	/* What is behind the end of a list is zero, so the whole arrays can be compared. */
	return memcmp(field_const(a, key), field_const(b, key), key->size) == 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Takes the digits off the front. Returns false when there are none, or too many for the type. */
static bool take_digits(struct str *text, uint64_t *value_r)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < text->n && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text->p[i] - '0'), &value))
			return false;
	}
	*text = str_make(text->p + i, text->n - i);
	*value_r = value;
	return i > 0;
}

static bool parse_number(enum config_type type, struct str text, uint64_t *value_r)
{
	uint64_t value;

	if (!take_digits(&text, &value))
		return false;
	if (text.n == 0) {
		*value_r = value;
		return true;
	}
	for (const struct unit *u = units_of(type); u->name != NULL; u++) {
		if (str_eq(text, str_of(u->name)))
			return !__builtin_mul_overflow(value, u->factor, value_r);
	}
	return false;
}

static int set_number(struct config *config, const struct config_key *key, struct str text,
                      char why[CONFIG_WHY])
{
	static const char *const wanted[CONFIG_TYPES] = {
		[CONFIG_INT] = "not a whole number",
		[CONFIG_DURATION] = "not a duration like 500ms, 15s, 10m, 2h or 1d",
		[CONFIG_SIZE] = "not a size like 4096, 64KiB, 16MiB or 1GiB",
	};
	char low[32], high[32];
	uint64_t value;

	if (!parse_number(key->type, text, &value))
		return refuse_value(why, ERR_SYNTAX, "%s", wanted[key->type]);
	if (value < key->min || value > key->max) {
		return refuse_value(why, ERR_RANGE, "out of range (%s to %s)",
		                    config_number_text(key->type, key->min, low, sizeof(low)),
		                    config_number_text(key->type, key->max, high, sizeof(high)));
	}
	store_number(config, key, value);
	return 0;
}

/* ---- words and texts ------------------------------------------------------------------------- */

static int set_bool(struct config *config, const struct config_key *key, struct str text,
                    char why[CONFIG_WHY])
{
	bool yes = str_eq(text, STR("true"));

	if (!yes && !str_eq(text, STR("false")))
		return refuse_value(why, ERR_SYNTAX, "neither true nor false");
	store_number(config, key, yes);
	return 0;
}

static int set_choice(struct config *config, const struct config_key *key, struct str text,
                      char why[CONFIG_WHY])
{
	size_t at;

	for (unsigned i = 0; key->choices[i] != NULL; i++) {
		if (str_eq(text, str_of(key->choices[i]))) {
			store_number(config, key, i);
			return 0;
		}
	}
	at = (size_t)snprintf(why, CONFIG_WHY, "none of");
	for (unsigned i = 0; key->choices[i] != NULL && at < CONFIG_WHY; i++)
		at += (size_t)snprintf(why + at, CONFIG_WHY - at, "%s %s", i == 0 ? "" : ",",
		                       key->choices[i]);
	return ERR_SYNTAX;
}

static bool has_control_byte(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
			return true;
	}
	return false;
}

/* Is this SCHEME://HOST[:PORT], as a browser sends it: without a path, and without a slash at the
 * end? */
static bool is_origin(struct str word)
{
	const char *mark = word.n > 0 ? memmem(word.p, word.n, "://", 3) : NULL;
	struct str host;

	if (mark == NULL || mark == word.p)
		return false;
	host = str_make(mark + 3, (size_t)(word.p + word.n - mark - 3));
	for (size_t i = 0; i < host.n; i++)
		if (strchr("/?#,@*\"\\", host.p[i]) != NULL || (unsigned char)host.p[i] >= 0x7f)
			return false;
	return host.n > 0;
}

static bool are_origins(struct str text)
{
	if (str_eq(text, STR("echo")) || str_eq(text, STR("off")))
		return true;
	while (text.n > 0) {
		const char *blank = memchr(text.p, ' ', text.n);
		size_t n = blank == NULL ? text.n : (size_t)(blank - text.p);

		if (n > 0 && !is_origin(str_make(text.p, n)))
			return false;
		n += blank != NULL;
		text = str_make(text.p + n, text.n - n);
	}
	return true;
}

/* Does the byte mean itself in a URL, whoever reads it, so that nobody decodes, escapes or cuts it
 * off? */
static bool is_plain_in_url(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~", c) != NULL);
}

/* Takes "/segment" off the front of a path that begins with a slash, and returns it without the
 * slash. */
static struct str take_segment(struct str *path)
{
	size_t n = 1;

	while (n < path->n && path->p[n] != '/')
		n++;
	*path = str_make(path->p + n, path->n - n);
	return str_make(path->p - (n - 1), n - 1);
}

/* Returns NULL, or what is wrong. Requests are compared with the path byte by byte, so it must have
 * one spelling only. */
static const char *context_refusal(struct str text)
{
	if (str_eq(text, STR("/")))
		return NULL;
	if (text.n == 0 || text.p[0] != '/')
		return "does not begin with a slash";
	while (text.n > 0) {
		struct str segment = take_segment(&text);

		if (segment.n == 0)
			return text.n == 0 ? "ends with a slash" : "has an empty segment";
		if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
			return "has a segment of dots";
		for (size_t i = 0; i < segment.n; i++) {
			if (!is_plain_in_url(segment.p[i]))
				return "has another byte than letters, digits and -._~/";
		}
	}
	return NULL;
}

static int set_text(struct config *config, const struct config_key *key, struct str text,
                    char why[CONFIG_WHY])
{
	uint8_t address[16];
	char *to = field(config, key);

	if (has_control_byte(text))
		return refuse_value(why, ERR_SYNTAX, "has a control character");
	if (text.n < key->min)
		return refuse_value(why, ERR_RANGE, "must not be empty");
	if (text.n > key->max)
		return refuse_value(why, ERR_RANGE, "longer than %" PRIu64 " bytes", key->max);
	if (key->type == CONFIG_PATH && text.n > 0 && text.p[0] != '/')
		return refuse_value(why, ERR_SYNTAX, "not an absolute path");
	if (key->type == CONFIG_CONTEXT && context_refusal(text) != NULL)
		return refuse_value(why, ERR_SYNTAX, "%s", context_refusal(text));
	if (key->type == CONFIG_ADDRESS && address_parse(text, address) < 0)
		return refuse_value(why, ERR_SYNTAX, "not a literal IP address");
	if (key->type == CONFIG_ORIGINS && !are_origins(text))
		return refuse_value(
		        why, ERR_SYNTAX,
		        "neither echo nor off nor origins like https://a.example or http://b.example:8080");
	ROSTER_ASSERT(text.n < key->size); /* the row's max leaves room for the zero byte */
	/* Zero to the end of the field: no rest of a longer text is copied to other processes. */
	memset(to, 0, key->size);
	memcpy(to, text.p, text.n);
	return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

void config_list_clear(struct config *config, const struct config_key *key)
{
	memset(field(config, key), 0, key->size);
	set_list_count(config, key, 0);
}

/* Returns the part before the first blank; *rest_r is what stands behind the blanks. */
static struct str first_word(struct str text, struct str *rest_r)
{
	size_t n = 0;

	while (n < text.n && text.p[n] != ' ')
		n++;
	*rest_r = str_trim(str_make(text.p + n, text.n - n));
	return str_make(text.p, n);
}

static int add_trusted(struct config *config, const struct config_key *key, struct str item,
                       char why[CONFIG_WHY])
{
	struct address_claim entry = { 0 };
	struct str claimed, source = first_word(str_trim(item), &claimed);

	if (address_parse_range(source, entry.source, &entry.source_bits) < 0 ||
	    address_parse_range(claimed, entry.claimed, &entry.claimed_bits) < 0)
		return refuse_value(why, ERR_SYNTAX, "not an entry like \"10.0.0.1 10.0.0.0/8\"");
	ROSTER_ASSERT((list_count(config, key) + 1) * sizeof(entry) <= key->size);
	((struct address_claim *)field(config, key))[list_count(config, key)] = entry;
	return 0;
}

static int add_range(struct config *config, const struct config_key *key, struct str item,
                     char why[CONFIG_WHY])
{
	struct config_range range = { 0 };

	if (address_parse_range(str_trim(item), range.address, &range.bits) < 0)
		return refuse_value(why, ERR_SYNTAX, "not an entry like \"10.0.0.0/8\"");
	ROSTER_ASSERT((list_count(config, key) + 1) * sizeof(range) <= key->size);
	((struct config_range *)field(config, key))[list_count(config, key)] = range;
	return 0;
}

int config_list_add(struct config *config, const struct config_key *key, struct str item,
                    char why[CONFIG_WHY])
{
	uint32_t count = list_count(config, key);
	int ret;

	if (count >= key->max)
		return refuse_value(why, ERR_RANGE, "more than %" PRIu64 " entries", key->max);
	ret = key->type == CONFIG_TRUSTED ? add_trusted(config, key, item, why)
	                                  : add_range(config, key, item, why);
	if (ret == 0)
		set_list_count(config, key, count + 1);
	return ret;
}

/* Nothing of a list is taken when one of its items is wrong. */
static int set_list(struct config *config, const struct config_key *key, struct str text,
                    char why[CONFIG_WHY])
{
	struct config changed = *config;
	int ret = 0;

	config_list_clear(&changed, key);
	while (ret == 0 && !str_is_blank(text)) {
		const char *comma = memchr(text.p, ',', text.n);
		size_t n = comma != NULL ? (size_t)(comma - text.p) : text.n;

		ret = config_list_add(&changed, key, str_make(text.p, n), why);
		text = comma != NULL ? str_make(comma + 1, text.n - n - 1) : str_make(text.p, 0);
	}
	if (ret == 0)
		*config = changed;
	return ret;
}

typedef int set_fn(struct config *, const struct config_key *, struct str, char[CONFIG_WHY]);

static set_fn *const setters[CONFIG_TYPES] = {
	[CONFIG_INT] = set_number,      [CONFIG_BOOL] = set_bool,    [CONFIG_TEXT] = set_text,
	[CONFIG_PATH] = set_text,       [CONFIG_ADDRESS] = set_text, [CONFIG_CHOICE] = set_choice,
	[CONFIG_DURATION] = set_number, [CONFIG_SIZE] = set_number,  [CONFIG_TRUSTED] = set_list,
	[CONFIG_RANGES] = set_list,     [CONFIG_ORIGINS] = set_text, [CONFIG_CONTEXT] = set_text,
};

int config_value_set(struct config *config, const struct config_key *key, struct str text,
                     char why[CONFIG_WHY])
{
	ROSTER_ASSERT(key->type < CONFIG_TYPES);
	return setters[key->type](config, key, text, why);
}
