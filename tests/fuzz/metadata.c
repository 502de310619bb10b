/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata texts, two of them (a blank line between) for the batch changes; and packed forms that
 * nobody packed. */
#include "shared/base/arena.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pairs.h"

#define ARENA_MAX (64U << 20)

/* All that the change shows is there, the rest of the old is as it was. */
static void check_merged(struct arena *arena, struct str old, struct str change, struct str merged)
{
	struct instance_metadata rest, same;
	struct buf b;

	buf_init(&b);
	metadata_json(&b, change);
	fuzz_pairs_in(arena, buf_view(&b), merged);
	FUZZ_CHECK(metadata_without(arena, old, change, &rest) == 0);
	buf_reset(&b);
	metadata_json(&b, rest.packed);
	fuzz_pairs_in(arena, buf_view(&b), merged);
	fuzz_pairs_in(arena, buf_view(&b), old);
	FUZZ_CHECK(metadata_without(arena, merged, change, &same) == 0 &&
	           str_eq(same.packed, rest.packed));
	FUZZ_CHECK(metadata_merge(arena, merged, change, &same) == 0 &&
	           str_eq(same.packed, merged));
	buf_free(&b);
}

static void check_texts(struct arena *arena, struct str text, struct str change_text)
{
	struct instance_metadata old, change, merged;

	if (metadata_parse(arena, text, &old) < 0)
		return;
	fuzz_pairs_shown(arena, &old);
	FUZZ_CHECK(metadata_without(arena, old.packed, old.packed, &merged) == 0 &&
	           merged.packed.n == 0);
	if (metadata_parse(arena, change_text, &change) < 0)
		return;
	FUZZ_CHECK(metadata_merge(arena, old.packed, change.packed, &merged) == 0);
	check_merged(arena, old.packed, change.packed, merged.packed);
}

/* Out of a damaged segment: anything may come out, but from within these bytes. */
static void check_packed(struct arena *arena, struct str packed)
{
	struct instance_metadata merged, again;
	struct str value = metadata_get(packed, STR("k"));
	struct buf b;

	FUZZ_CHECK(!str_is_set(value) ||
	           (value.p >= packed.p && value.p + value.n <= packed.p + packed.n));
	buf_init(&b);
	metadata_json(&b, packed);
	FUZZ_CHECK(b.len >= 2 && b.len <= packed.n * 6 + 2);
	buf_free(&b);
	FUZZ_CHECK(metadata_merge(arena, packed, packed, &merged) == 0);
	FUZZ_CHECK(metadata_merge(arena, merged.packed, merged.packed, &again) == 0);
	FUZZ_CHECK(str_eq(merged.packed, again.packed));
	FUZZ_CHECK(metadata_without(arena, packed, packed, &merged) == 0 && merged.packed.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str change, text = fuzz_split(data, size, STR("\n\n"), &change);
	struct arena arena;

	arena_init(&arena, ARENA_MAX);
	check_texts(&arena, text, change);
	check_packed(&arena, str_make((const char *)data, size));
	arena_free(&arena);
	return 0;
}
