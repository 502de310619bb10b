/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a full beat. */
#include "shared/base/arena.h"
#include "shared/view/beat_json.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pairs.h"

static void check_beat(struct arena *arena, const struct beat_info *info)
{
	FUZZ_CHECK(utf8_valid(info->ip) && utf8_valid(info->cluster));
	if (info->light)
		FUZZ_CHECK(info->metadata.null && !str_is_set(info->ip) && info->port == 0 &&
		           info->ephemeral);
	if (info->metadata.null)
		FUZZ_CHECK(info->metadata.packed.n == 0);
	fuzz_pairs_shown(arena, &info->metadata);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct beat_info info;
	struct arena arena;
	char why[200] = "";
	int ret;

	arena_init(&arena, 1 << 24);
	ret = beat_json_parse(&arena, text, &info, why, sizeof(why));
	if (ret == 0)
		check_beat(&arena, &info);
	else
		FUZZ_CHECK(ret == ERR_SYNTAX && why[0] != '\0' &&
		           memchr(why, '\0', sizeof(why)) != NULL);
	arena_free(&arena);
	/* With next to no memory it says so; nothing leaks. */
	arena_init(&arena, 600);
	FUZZ_CHECK(beat_json_parse(&arena, text, &info, NULL, 0) <= 0);
	arena_free(&arena);
	return 0;
}
