/* Query strings and forms. */
#include "shared/base/arena.h"
#include "shared/codec/url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct url_param params[64];
	struct arena arena;
	struct str text = str_make((const char *)data, size), out;
	int n;

	arena_init(&arena, 1 << 20);
	n = url_params(&arena, text, params, 64);
	for (int i = 0; i < n; i++)
		FUZZ_CHECK(params[i].name.n + params[i].value.n <= size);
	if (url_decode(&arena, text, true, &out) == 0)
		FUZZ_CHECK(out.n <= size);
	arena_free(&arena);
	return 0;
}
