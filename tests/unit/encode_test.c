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
#include "shared/base/breath.h"
#include "shared/base/fiber.h"
#include "shared/registry/layout.h"

#define TEXT_MAX (4 << 20)

static struct packers packers;
static struct encoder encoder;
static char text[TEXT_MAX];

static int setup(void **state)
{
	(void)state;
	encoder_init(&encoder, &packers);
	return packers_init(&packers);
}

static int teardown(void **state)
{
	(void)state;
	encoder_free(&encoder);
	packers_free(&packers);
	return 0;
}

static size_t unpack(struct str bytes)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t n = 0;

	assert_memory_equal(bytes.p, "\x1f\x8b\x08\x00", 4);
	assert_int_equal(libdeflate_gzip_decompress(d, bytes.p, bytes.n, text, sizeof text, &n),
	                 LIBDEFLATE_SUCCESS);
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
	assert_int_equal(encode_packet(&encoder, STR("{\"a\":\"b\\n\"}"), 1795348111531000, false,
	                               &bytes),
	                 0);
	expect_text(
	        bytes,
	        "{\"type\":\"dom\",\"data\":\"{\\\"a\\\":\\\"b\\\\n\\\"}\",\"lastRefTime\":1795348111531000}");
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
	assert_int_equal(encode_packet(&encoder, str_make(data, 1023 - around), 1, false, &bytes),
	                 0);
	assert_int_equal(bytes.n, 1023);
	assert_int_equal(encode_packet(&encoder, str_make(data, 1024 - around), 1, false, &bytes),
	                 0);
	assert_int_equal(unpack(bytes), 1024);
	assert_memory_equal(text, "{\"type\":\"dom\",\"data\":\"xxx", 25);
	assert_int_equal(encode_packet(&encoder, str_make(data, 1024 - around), 1, true, &bytes),
	                 0);
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

/* ---- long ones ------------------------------------------------------------------------------- */

#define LONG_TEXT (3U << 20)

#define TEN "{\"a-key\":\"a-value\"},"
#define HUNDRED TEN TEN TEN TEN TEN

/* A list whose addresses count up; chance: letters at random after the first `chance` bytes. */
static char *long_text(size_t chance)
{
	char *data = malloc(LONG_TEXT + 4096);
	size_t n = 0;

	srandom(1);
	for (unsigned i = 0; n < LONG_TEXT; i++) {
		n += (size_t)sprintf(
		        data + n,
		        "{\"ip\":\"10.0.%u.%u\",\"port\":80,\"serviceName\":\"a-service\",\"healthy\":true,"
		        "\"clusterName\":\"DEFAULT\",\"weight\":1.0,\"metadata\":[" HUNDRED HUNDRED
		                HUNDRED HUNDRED "]},",
		        i / 256, i % 256);
		for (; n > chance && n % 4096 != 0; n++)
			data[n] = (char)('0' + random() % 64);
	}
	return data;
}

struct packing {
	const char *data;
	struct str bytes;
	int ret;
};

static void pack_long(void *arg)
{
	struct packing *packing = arg;

	packing->ret = encode_packet(&encoder, str_make(packing->data, LONG_TEXT), 1, true,
	                             &packing->bytes);
}

/* In slices of nothing: each pause ends one. */
static unsigned slices_of(struct packing *packing)
{
	struct fiber *fiber = fiber_new(pack_long, packing);
	unsigned n = 1;

	assert_non_null(fiber);
	while (!fiber_run(fiber, 0, false))
		n++;
	return n;
}

/* What fits is tried in pieces first, with a pause after each; what does not is given up as soon as
 * that shows. */
static void test_long_text_is_tried_in_pieces(void **state)
{
	static const struct {
		size_t chance; /* from there on */
		int ret;
		unsigned least, most;
	} rows[] = {
		{ SIZE_MAX, 0, 24, 40 },
		{ 0, ERR_TOO_BIG, 1, 4 },
		{ LONG_TEXT / 2, ERR_TOO_BIG, 12, 20 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct packing packing = { .data = long_text(rows[i].chance) };
		unsigned slices = slices_of(&packing);

		assert_int_equal(packing.ret, rows[i].ret);
		assert_in_range(slices, rows[i].least, rows[i].most);
		if (packing.ret == 0)
			assert_int_equal(unpack(packing.bytes), buf_view(&encoder.packet).n);
		free((void *)packing.data);
	}
}

static void test_longest_text(void **state)
{
	size_t n = ENCODE_TEXT_MAX + 1;
	char *data = calloc(1, n);
	struct str bytes;

	(void)state;
	memset(data, 'x', n);
	assert_int_equal(encode_packet(&encoder, str_make(data, n), 1, true, &bytes), ERR_TOO_BIG);
	assert_int_equal(encode_packet(&encoder, str_make(data, n - 1), 1, true, &bytes),
	                 ERR_TOO_BIG); /* with what is around it */
	assert_int_equal(encode_packet(&encoder, str_make(data, n - 100), 1, true, &bytes), 0);
	free(data);
}

/* ---- hosts that texts share ------------------------------------------------------------------ */

static struct instance_view instances[20000];

static struct service_view view_of(uint32_t count)
{
	static struct cluster_view clusters[2];
	struct service_view view;

	service_view_init(&view);
	clusters[0] = (struct cluster_view){ .name = STR("A") };
	clusters[1] = (struct cluster_view){ .name = STR("B") };
	view.name = STR("G@@s");
	view.stamp.found = true;
	view.clusters = clusters;
	view.cluster_count = 2;
	view.instances = instances;
	view.instance_count = count;
	for (uint32_t i = 0; i < count; i++)
		instances[i] = (struct instance_view){
			.ip = STR("10.0.0.1"),
			.port = (int32_t)i,
			.flags = INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_EPHEMERAL,
			.ident = -1,
			.weight = 1.0,
			.cluster = i >= count / 2,
		};
	return view;
}

static int encode(struct encoder *by, const struct service_view *view, const char *clusters,
                  bool grouped, struct str *bytes_r)
{
	struct encode_job job = { .view = view,
		                  .name = STR("G@@s"),
		                  .clusters = str_of(clusters),
		                  .grouped = grouped,
		                  .key = 9 };
	struct encode_checksum checksum;

	return encode_push(by, &job, bytes_r, &checksum);
}

/* Whatever was encoded before, the packet is the one of an encoder that knows nothing. */
static void test_hosts_are_shared(void **state)
{
	static const struct {
		const char *clusters;
		bool grouped;
	} rows[] = {
		{ "", true },    { "A,B", true },  { "B,A", true }, { "A", true },
		{ "A,x", true }, { "A,x", false }, { "x", false },  { "y", false },
		{ "", false },   { "B", false },   { "", true },
	};
	struct service_view view = view_of(6);
	struct str bytes, alone;
	struct encoder other;

	(void)state;
	encoder_forget(&encoder);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		encoder_init(&other, &packers);
		assert_int_equal(encode(&encoder, &view, rows[i].clusters, rows[i].grouped, &bytes),
		                 0);
		assert_int_equal(encode(&other, &view, rows[i].clusters, rows[i].grouped, &alone),
		                 0);
		assert_int_equal(bytes.n, alone.n);
		assert_memory_equal(bytes.p, alone.p, alone.n);
		encoder_free(&other);
	}
	/* Of another view nothing is known. */
	view = view_of(8);
	encoder_forget(&encoder);
	encoder_init(&other, &packers);
	assert_int_equal(encode(&encoder, &view, "", true, &bytes), 0);
	assert_int_equal(encode(&other, &view, "", true, &alone), 0);
	assert_int_equal(bytes.n, alone.n);
	encoder_free(&other);
}

/* Too many hosts for any text that picks them; not for others. */
static void test_too_many_hosts(void **state)
{
	struct service_view view = view_of(20000);
	struct str bytes;

	(void)state;
	encoder_forget(&encoder);
	assert_int_equal(encode(&encoder, &view, "", true, &bytes), ERR_TOO_BIG);
	assert_true(encoder.hosts.cap + encoder.escaped.cap < 4 * ENCODE_TEXT_MAX);
	/* Known, so that nothing is rendered: the view could be gone. */
	view.instances = NULL;
	view.instance_count = 0;
	encoder.pick.count = 0;
	assert_int_equal(encode(&encoder, &view, "A", true, &bytes), ERR_TOO_BIG);
	view = view_of(2);
	encoder_forget(&encoder);
	assert_int_equal(encode(&encoder, &view, "A", true, &bytes), 0);
}

/* What is short enough may be too long when it is escaped: it is given up as soon as that shows. */
static void test_hosts_too_long_when_escaped(void **state)
{
	enum { QUOTES = 1000, MANY = ENCODE_TEXT_MAX / (6 * QUOTES) };
	static char quotes[QUOTES];
	struct service_view view = view_of(MANY);
	struct str bytes;

	(void)state;
	memset(quotes, '"', sizeof(quotes));
	for (unsigned i = 0; i < MANY; i++)
		instances[i].ip = str_make(quotes, sizeof(quotes));
	encoder_forget(&encoder);
	assert_int_equal(encode(&encoder, &view, "", true, &bytes), ERR_TOO_BIG);
	assert_in_range(encoder.escaped.len, ENCODE_TEXT_MAX, ENCODE_TEXT_MAX + 4 * BREATH_WEIGHT);
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
	expect_text(
	        bytes,
	        "{\"type\":\"dom\",\"data\":\"{\\\"name\\\":\\\"G@@s\\\",\\\"clusters\\\":\\\"a,b\\\","
	        "\\\"cacheMillis\\\":10000,\\\"hosts\\\":[]}\",\"lastRefTime\":9}");
	assert_false(checksum.fresh);
	view.stamp.found = view.stamp.disabled = true;
	assert_int_equal(encode_push(&encoder, &job, &bytes, &checksum), 0);
	expect_text(bytes,
	            "{\"type\":\"dom\",\"data\":\"{\\\"name\\\":\\\"G@@s\\\",\\\"lastRefTime\\\":5,"
	            "\\\"cacheMillis\\\":10000}\",\"lastRefTime\":9}");
	service_view_free(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_is_raw),
		cmocka_unit_test(test_gzip_from_1024),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_long_text_is_tried_in_pieces),
		cmocka_unit_test(test_longest_text),
		cmocka_unit_test(test_hosts_are_shared),
		cmocka_unit_test(test_too_many_hosts),
		cmocka_unit_test(test_hosts_too_long_when_escaped),
		cmocka_unit_test(test_unknown_and_disabled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
