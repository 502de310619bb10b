/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libdeflate.h>

#include "pusher/encode.h"

#define TEXT_MAX (4 << 20)

static struct encoder encoder;
static char text[TEXT_MAX];

static int setup(void **state)
{
	(void)state;
	return encoder_init(&encoder);
}

static int teardown(void **state)
{
	(void)state;
	encoder_free(&encoder);
	return 0;
}

static size_t unpack(struct str bytes)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t n = 0;

	assert_memory_equal(bytes.p, "\x1f\x8b\x08\x00", 4);
	assert_int_equal(libdeflate_gzip_decompress(d, bytes.p, bytes.n, text, sizeof text, &n), LIBDEFLATE_SUCCESS);
	libdeflate_free_decompressor(d);
	return n;
}

static void expect_text(struct str bytes, const char *want)
{
	assert_int_equal(bytes.n, strlen(want));
	assert_memory_equal(bytes.p, want, bytes.n);
}

static void test_small_is_raw(void **state)
{
	struct str bytes;

	(void)state;
	assert_int_equal(encode_packet(&encoder, STR("{\"a\":\"b\\n\"}"), 1795348111531000, false, &bytes), 0);
	expect_text(bytes, "{\"type\":\"dom\",\"data\":\"{\\\"a\\\":\\\"b\\\\n\\\"}\",\"lastRefTime\":1795348111531000}");
}

/* 1023 bytes leave raw, 1024 as gzip. */
static void test_gzip_from_1024(void **state)
{
	char data[2048];
	struct str bytes;
	size_t around;

	(void)state;
	memset(data, 'x', sizeof data);
	assert_int_equal(encode_packet(&encoder, str_make(data, 0), 1, false, &bytes), 0);
	around = bytes.n;
	assert_int_equal(encode_packet(&encoder, str_make(data, 1023 - around), 1, false, &bytes), 0);
	assert_int_equal(bytes.n, 1023);
	assert_int_equal(encode_packet(&encoder, str_make(data, 1024 - around), 1, false, &bytes), 0);
	assert_int_equal(unpack(bytes), 1024);
	assert_memory_equal(text, "{\"type\":\"dom\",\"data\":\"xxx", 25);
	assert_int_equal(encode_packet(&encoder, str_make(data, 1024 - around), 1, true, &bytes), 0);
	assert_int_equal(unpack(bytes), 1024);
}

static void test_too_big(void **state)
{
	enum { N = 200000 };
	char *data = malloc(N);
	struct str bytes;
	unsigned i;

	(void)state;
	srandom(1);
	for (i = 0; i < N; i++)
		data[i] = (char)('0' + random() % 64);
	assert_int_equal(encode_packet(&encoder, str_make(data, N), 1, false, &bytes), ERR_TOO_BIG);
	/* And the next one is not harmed. */
	assert_int_equal(encode_packet(&encoder, str_make(data, N / 4), 1, false, &bytes), 0);
	assert_true(bytes.n <= ENCODE_BYTES_MAX);
	free(data);
}

static void test_unknown_and_disabled(void **state)
{
	struct service_view view;
	struct encode_job job = {
		.view = &view,
		.name = STR("G@@s"),
		.clusters = STR("a,b"),
		.cache_ms = 10000,
		.wall_ms = 5,
		.key = 9,
	};
	struct encode_checksum checksum;
	struct str bytes;

	(void)state;
	service_view_init(&view);
	view.stamp.found = false;
	assert_int_equal(encode_push(&encoder, &job, &bytes, &checksum), 0);
	expect_text(bytes, "{\"type\":\"dom\",\"data\":\"{\\\"name\\\":\\\"G@@s\\\",\\\"clusters\\\":\\\"a,b\\\","
	                   "\\\"cacheMillis\\\":10000,\\\"hosts\\\":[]}\",\"lastRefTime\":9}");
	assert_false(checksum.fresh);
	view.stamp.found = view.stamp.disabled = true;
	assert_int_equal(encode_push(&encoder, &job, &bytes, &checksum), 0);
	expect_text(bytes, "{\"type\":\"dom\",\"data\":\"{\\\"name\\\":\\\"G@@s\\\",\\\"lastRefTime\\\":5,"
	                   "\\\"cacheMillis\\\":10000}\",\"lastRefTime\":9}");
	service_view_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_is_raw),
		cmocka_unit_test(test_gzip_from_1024),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_unknown_and_disabled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
