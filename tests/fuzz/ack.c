/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams that claim to be ACKs. */
#include "pusher/ack.h"
#include "shared/base/arena.h"
#include "shared/codec/json_read.h"
#include "tests/fuzz/fuzz.h"

#define CUTS_MAX 300 /* longer texts are not cut at every byte */

/* It ends with its brace: a text cut before is none, and what follows changes nothing. */
static void check_cuts(struct str text, uint64_t key)
{
	bool accepted = false;
	uint64_t cut_key;

	for (size_t n = 0; n <= text.n && n <= CUTS_MAX; n++) {
		if (ack_parse(str_make(text.p, n), &cut_key) < 0) {
			FUZZ_CHECK(!accepted);
			continue;
		}
		FUZZ_CHECK(accepted || text.p[n - 1] == '}');
		FUZZ_CHECK(cut_key == key);
		accepted = true;
	}
}

static void check_written(uint64_t key)
{
	char text[100];
	uint64_t again;
	int n = snprintf(text, sizeof(text),
	                 " {\"type\":\"push-ack\",\"lastRefTime\":\" %llu \",\"data\":\"\"}\n",
	                 (unsigned long long)key);

	FUZZ_CHECK(ack_parse(str_make(text, (size_t)n), &again) == 0 && again == key);
}

static const char *on_item(void *arg, const struct json_item *item)
{
	struct str *found = arg;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth == 1 && str_eq(item->key, STR("lastRefTime")))
		*found = item->kind == JSON_STRING || item->kind == JSON_NUMBER ? item->text
		                                                                : str_make("", 0);
	return NULL;
}

/* Digits only, as many as fit 64 bits whatever they are. */
static bool is_key(struct str text)
{
	text = str_trim(text);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
	}
	return text.n > 0 && text.n <= 19;
}

/* A JSON reader finds the same; escapes are left out, which the ACK reader does not decode. */
static void check_json(struct str text, bool accepted)
{
	struct json_limits limits = { .depth = 64, .keys = 1000 };
	struct str found = str_make("", 0);
	struct arena arena;

	if (text.n == 0 || memchr(text.p, '\\', text.n) != NULL ||
	    memchr(text.p, '\v', text.n) != NULL || memchr(text.p, '\f', text.n) != NULL)
		return;
	arena_init(&arena, 1 << 22);
	if (json_read(&arena, text, limits, on_item, &found, NULL, 0) == 0)
		FUZZ_CHECK(accepted == is_key(found));
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	uint64_t key;
	bool accepted = ack_parse(text, &key) == 0;

	check_json(text, accepted);
	if (accepted) {
		check_cuts(text, key);
		check_written(key);
	}
	return 0;
}
