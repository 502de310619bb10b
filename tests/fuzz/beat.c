/* The JSON of a full beat. */
#include "shared/base/arena.h"
#include "shared/view/beat_json.h"
#include "shared/view/metadata.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct beat_info info;
	struct arena arena;
	struct buf b;
	char why[200] = "";

	arena_init(&arena, 1 << 22);
	buf_init(&b);
	if (beat_json_parse(&arena, str_make((const char *)data, size), &info, why, sizeof(why)) == 0 && !info.light)
		metadata_json(&b, info.metadata.packed);
	buf_free(&b);
	arena_free(&arena);
	return 0;
}
