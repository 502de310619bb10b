/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/config/config.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/config/config_key.h"

#define SEGMENT_LIMIT_LOWEST (8ULL * 1024 * 1024) /* SEGMENT_BYTES_MIN of shared/shm */

void config_defaults(struct config *config)
{
	char why[CONFIG_WHY];

	memset(config, 0, sizeof(*config));
	for (unsigned i = 0; i < config_key_count; i++) {
		/* The rows are constant: a bad one is found by the first start and by the unit
		 * test. */
		if (config_value_set(config, &config_keys[i], str_of(config_keys[i].fallback),
		                     why) < 0) {
			fprintf(stderr, "default of %s: %s\n", config_keys[i].name, why);
			abort();
		}
	}
}

int config_load(const char *path, struct config *config_r, struct config_error *error_r)
{
	struct config config;
	int ret;

	error_r->text[0] = '\0';
	config_defaults(&config);
	if (path != NULL && path[0] != '\0') {
		ret = config_yaml_read(path, &config, error_r);
		if (ret < 0)
			return ret;
	}
	*config_r = config;
	return 0;
}

int config_override(struct config *config, const char *assignment, struct config_error *error_r)
{
	const char *equals = strchr(assignment, '=');
	const struct config_key *key;
	char why[CONFIG_WHY], shown[128];
	int ret;

	if (equals == NULL) {
		snprintf(error_r->text, sizeof(error_r->text), "-o: %s: not of the form key=value",
		         log_quote(str_of(assignment), shown, sizeof(shown)));
		return ERR_SYNTAX;
	}
	key = config_key_find(str_make(assignment, (size_t)(equals - assignment)));
	if (key == NULL) {
		snprintf(error_r->text, sizeof(error_r->text), "-o: %s: unknown key",
		         log_quote(str_make(assignment, (size_t)(equals - assignment)), shown,
		                   sizeof(shown)));
		return ERR_SYNTAX;
	}
	/* The value may have '=' in it, the key has not. */
	ret = config_value_set(config, key, str_of(equals + 1), why);
	if (ret < 0)
		snprintf(error_r->text, sizeof(error_r->text), "-o: %s: %s", key->name, why);
	return ret;
}

/* ---- rules between keys ---------------------------------------------------------------------- */

struct rule {
	const char *key, *what;
	bool (*broken)(const struct config *config);
};

static bool line_above_head(const struct config *config)
{
	return config->http_line_bytes > config->http_head_bytes;
}

static bool segment_too_small(const struct config *config)
{
	return config->segment_limit != 0 && config->segment_limit < SEGMENT_LIMIT_LOWEST;
}

static const struct rule rules[] = {
	{ "http.line", "more than http.head", line_above_head },
	{ "segment.limit", "less than 8MiB", segment_too_small },
};

int config_check(const struct config *config, struct config_error *error_r)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (rules[i].broken(config)) {
			snprintf(error_r->text, sizeof(error_r->text), "%s: %s", rules[i].key,
			         rules[i].what);
			return ERR_RANGE;
		}
	}
	return 0;
}

/* ---- differences ----------------------------------------------------------------------------- */

const char *config_fixed_difference(const struct config *old, const struct config *new_config)
{
	for (unsigned i = 0; i < config_key_count; i++) {
		if (!config_keys[i].reloadable &&
		    !config_value_equal(old, new_config, &config_keys[i]))
			return config_keys[i].name;
	}
	return NULL;
}

unsigned config_differences(const struct config *old, const struct config *new_config)
{
	unsigned count = 0;

	for (unsigned i = 0; i < config_key_count; i++)
		count += !config_value_equal(old, new_config, &config_keys[i]);
	return count;
}
