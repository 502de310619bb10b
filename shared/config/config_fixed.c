/* SPDX-License-Identifier: Apache-2.0 */
/* config_fixed.c - keys that a reload may not change: their values as one text, and what is
 * different in another one. */
#include "shared/config/config.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/config/config_key.h"

/* Writes a number, a text or a truth value. No list and no choice is among the keys that need a
 * restart: the test looks. */
static const char *value_text(const struct config *config, const struct config_key *key, char *out,
                              size_t size)
{
	const char *field = (const char *)config + key->off;
	uint64_t wide;
	uint32_t narrow;

	ROSTER_ASSERT(!config_key_is_list(key) && key->type != CONFIG_CHOICE);
	if (config_key_is_text(key))
		return field;
	if (key->type == CONFIG_BOOL)
		return *(const bool *)field ? "true" : "false";
	memcpy(&wide, field, key->size < sizeof(wide) ? key->size : sizeof(wide));
	memcpy(&narrow, field, sizeof(narrow));
	return config_number_text(key->type, key->size == sizeof(wide) ? wide : narrow, out, size);
}

int config_fixed_text(const struct config *config, char *out, size_t size)
{
	char number[32];
	size_t at = 0;

	for (unsigned i = 0; i < config_key_count; i++) {
		if (config_keys[i].reloadable)
			continue;
		at += (size_t)snprintf(out + at, size - at, "%s=%s\n", config_keys[i].name,
		                       value_text(config, &config_keys[i], number, sizeof(number)));
		if (at >= size)
			return ERR_TOO_BIG;
	}
	return 0;
}

/* Takes one line over. One that this binary does not know or does not take says nothing about its
 * own keys. */
static void take_line(struct config *running, struct str line)
{
	struct config_error error;
	char text[512];

	if (line.n >= sizeof(text))
		return;
	memcpy(text, line.p, line.n);
	text[line.n] = '\0';
	if (config_override(running, text, &error) < 0)
		return;
}

const char *config_fixed_change(const char *text, const struct config *fresh)
{
	struct config running;
	const char *end;

	config_defaults(&running);
	for (; (end = strchr(text, '\n')) != NULL; text = end + 1)
		take_line(&running, str_make(text, (size_t)(end - text)));
	return config_fixed_difference(&running, fresh);
}
