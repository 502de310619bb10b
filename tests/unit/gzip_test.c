/* SPDX-License-Identifier: Apache-2.0 */
/* gzip: what is packed unpacks to the same, with the header the specification names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <libdeflate.h>

#include "shared/codec/gzip.h"

static void packs(void **state)
{
	static char text[3000], back[3000];
	struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
	struct gzip *gzip;
	struct buf out;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "{\"ip\":\"10.1.0.1\"}"[i % 17];
	buf_init(&out);
	assert_int_equal(gzip_new(6, &gzip), 0);
	buf_char(&out, '#'); /* appended, not put over what is there */
	assert_int_equal(gzip_pack(gzip, text, sizeof(text), &out), 0);
	assert_true(out.len < 300);
	assert_memory_equal(out.data, "#\x1f\x8b\x08\0", 5);
	assert_int_equal(libdeflate_gzip_decompress(decompressor, out.data + 1, out.len - 1, back,
	                                            sizeof(back), &n),
	                 0);
	assert_int_equal(n, sizeof(text));
	assert_memory_equal(back, text, n);

	buf_reset(&out);
	assert_int_equal(gzip_pack(gzip, "", 0, &out), 0);
	assert_int_equal(libdeflate_gzip_decompress(decompressor, out.data, out.len, back,
	                                            sizeof(back), &n),
	                 0);
	assert_int_equal(n, 0);

	gzip_free(&gzip);
	assert_null(gzip);
	gzip_free(&gzip);
	buf_free(&out);
	libdeflate_free_decompressor(decompressor);
}

static void refuses_an_unknown_level(void **state)
{
	struct gzip *gzip = NULL;

	(void)state;
	assert_int_equal(gzip_new(99, &gzip), ERR_NOMEM);
	assert_null(gzip);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(packs),
		                            cmocka_unit_test(refuses_an_unknown_level) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
