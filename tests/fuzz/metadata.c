/* Metadata texts: what was packed is shown, and what is shown packs to the same again. */
#include "shared/base/arena.h"
#include "shared/view/metadata.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct instance_metadata first, again, merged;
	struct arena arena;
	struct buf one, two;

	arena_init(&arena, 1 << 24);
	buf_init(&one);
	buf_init(&two);
	if (metadata_parse(&arena, str_make((const char *)data, size), &first) == 0) {
		metadata_json(&one, first.packed);
		FUZZ_CHECK(metadata_parse(&arena, buf_view(&one), &again) == 0);
		metadata_json(&two, again.packed);
		FUZZ_CHECK(str_eq(buf_view(&one), buf_view(&two)));
		if (metadata_merge(&arena, first.packed, first.packed, &merged) == 0)
			FUZZ_CHECK(str_eq(merged.packed, first.packed));
		if (metadata_without(&arena, first.packed, first.packed, &merged) == 0)
			FUZZ_CHECK(merged.packed.n == 0);
	}
	buf_free(&one);
	buf_free(&two);
	arena_free(&arena);
	return 0;
}
