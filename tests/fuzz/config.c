/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML file, from memory, and the same text as -o KEY=VALUE. */
#include "shared/config/config_key.h"
#include "tests/fuzz/fuzz.h"

/* One line without control bytes, so that a log shows it as it is. */
static void check_message(const struct config_error *error, const char *begin)
{
	size_t n = strnlen(error->text, sizeof(error->text));

	FUZZ_CHECK(n > strlen(begin) && n < sizeof(error->text));
	FUZZ_CHECK(memcmp(error->text, begin, strlen(begin)) == 0);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK((unsigned char)error->text[i] >= ' ' && error->text[i] != 0x7f);
}

/* "memory:LINE: ..." */
static void check_place(const struct config_error *error, size_t size)
{
	char *end;
	unsigned long line;

	check_message(error, "memory:");
	line = strtoul(error->text + strlen("memory:"), &end, 10);
	FUZZ_CHECK(line >= 1 && line <= size + 1 && *end == ':');
}

static uint64_t number_of(const struct config *config, const struct config_key *key)
{
	const char *at = (const char *)config + key->off;
	uint32_t word;
	uint64_t wide;

	memcpy(&word, at, sizeof(word));
	if (key->size == sizeof(word))
		return word;
	memcpy(&wide, at, sizeof(wide));
	return wide;
}

/* The value stands in its range and is the same when shown and set again. */
static void check_value(const struct config *config, const struct config_key *key)
{
	char text[2048] = "", why[CONFIG_WHY];
	struct config again;

	switch (key->type) {
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_SIZE:
		FUZZ_CHECK(number_of(config, key) >= key->min &&
		           number_of(config, key) <= key->max);
		config_number_text(key->type, number_of(config, key), text, sizeof(text));
		break;
	case CONFIG_TEXT:
	case CONFIG_PATH:
	case CONFIG_ADDRESS:
	case CONFIG_ORIGINS:
		FUZZ_CHECK(strnlen((const char *)config + key->off, key->size) < key->size);
		snprintf(text, sizeof(text), "%s", (const char *)config + key->off);
		break;
	default:
		return;
	}
	config_defaults(&again);
	FUZZ_CHECK(config_value_set(&again, key, str_of(text), why) == 0);
	FUZZ_CHECK(config_value_equal(config, &again, key));
}

static void check_values(const struct config *config)
{
	struct config_error error;

	for (unsigned i = 0; i < config_key_count; i++)
		check_value(config, &config_keys[i]);
	FUZZ_CHECK(config->push_trusted_count <= ADDRESS_CLAIMS_MAX);
	for (unsigned i = 0; i < config->push_trusted_count; i++)
		FUZZ_CHECK(config->push_trusted[i].source_bits <= 128 &&
		           config->push_trusted[i].claimed_bits <= 128);
	if (config_check(config, &error) < 0)
		check_message(&error, "");
}

/* A value that was refused changes nothing. */
static void check_override(const uint8_t *data, size_t size)
{
	char *assignment = malloc(size + 1);
	struct config config, before;
	struct config_error error;

	FUZZ_CHECK(assignment != NULL);
	if (size > 0)
		memcpy(assignment, data, size);
	assignment[size] = '\0';
	config_defaults(&config);
	before = config;
	if (config_override(&config, assignment, &error) == 0)
		check_values(&config);
	else {
		check_message(&error, "-o: ");
		FUZZ_CHECK(memcmp(&config, &before, sizeof(config)) == 0);
	}
	free(assignment);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error error = { .text = "" };
	struct config config;

	config_defaults(&config);
	if (config_yaml_text("memory", str_make((const char *)data, size), &config, &error) < 0)
		check_place(&error, size);
	else
		check_values(&config);
	check_override(data, size);
	return 0;
}
