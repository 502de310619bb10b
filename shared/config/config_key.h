/* SPDX-License-Identifier: Apache-2.0 */
/* config_key.h - one row a configuration key, and the conversion between text and value.
 *
 * This is for shared/config and its tests only. A text is converted in one place, wherever it came
 * from: the file, -o, or the default in the row itself. */
#ifndef CONFIG_CONFIG_KEY_H
#define CONFIG_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/config/config.h"

enum config_type {
	CONFIG_INT,     /* decimal digits */
	CONFIG_BOOL,    /* true or false */
	CONFIG_TEXT,    /* min and max are lengths */
	CONFIG_PATH,    /* text: empty or absolute */
	CONFIG_ADDRESS, /* text: a literal IP address */
	CONFIG_ORIGINS, /* text: echo, off, or origins (SCHEME://HOST[:PORT]) with blanks between */
	CONFIG_CONTEXT, /* text: "/", or segments of a URL that each begin with a slash */
	CONFIG_CHOICE,  /* one of the words in choices; the value is its index */
	CONFIG_DURATION, /* number with ms, s, m, h or d; a bare number is milliseconds */
	CONFIG_SIZE,     /* number with KiB, MiB or GiB; a bare number is bytes */
	CONFIG_TRUSTED,  /* list of "SOURCE[/BITS] CLAIMED[/BITS]" */
	CONFIG_RANGES,   /* list of "ADDRESS[/BITS]" */
	CONFIG_TYPES
};

struct config_key {
	const char *name;
	enum config_type type;
	size_t off, size;     /* of the field in struct config */
	uint64_t min, max;    /* of the value, or of the length of a text */
	const char *fallback; /* the default, as text */
	const char *unit;     /* of a number, for people; "" where the type says it */
	bool reloadable;
	const char *about;          /* one or two sentences */
	const char *const *choices; /* CONFIG_CHOICE: ends with NULL */
};

#define CONFIG_KEYS_MAX 128U
#define CONFIG_WHY 192U /* room for "what is wrong" */

extern const struct config_key config_keys[];
extern const unsigned config_key_count;

/* Returns the row of a key, or NULL when there is none. */
const struct config_key *config_key_find(struct str name);
/* Does a key start with these words and a dot? */
bool config_key_is_section(struct str name);

/* Sets the field. A list takes its items separated by commas. On ERR_SYNTAX and ERR_RANGE
 * `why` says what is wrong and the field keeps its value. */
int config_value_set(struct config *config, const struct config_key *key, struct str text,
                     char why[CONFIG_WHY]) MUST_CHECK;
/* Does the field hold the value as it was written? */
static inline bool config_key_is_text(const struct config_key *key)
{
	return key->type == CONFIG_TEXT || key->type == CONFIG_PATH ||
	       key->type == CONFIG_ADDRESS || key->type == CONFIG_ORIGINS ||
	       key->type == CONFIG_CONTEXT;
}

static inline bool config_key_is_list(const struct config_key *key)
{
	return key->type == CONFIG_TRUSTED || key->type == CONFIG_RANGES;
}

/* A list is set item by item: it is cleared first. On an error an item is not added. */
void config_list_clear(struct config *config, const struct config_key *key);
int config_list_add(struct config *config, const struct config_key *key, struct str item,
                    char why[CONFIG_WHY]) MUST_CHECK;

bool config_value_equal(const struct config *a, const struct config *b,
                        const struct config_key *key);
/* Writes a number in the notation of its type: "10m", "64KiB", "8848". Returns out. */
const char *config_number_text(enum config_type type, uint64_t value, char *out, size_t size);

/* Reads the file into *config, key by key (config_yaml.c). */
int config_yaml_read(const char *path, struct config *config,
                     struct config_error *error_r) MUST_CHECK;
/* The same from memory; path is for the messages only. After an error of either *config is half
 * changed. */
int config_yaml_text(const char *path, struct str text, struct config *config,
                     struct config_error *error_r) MUST_CHECK;

#endif
