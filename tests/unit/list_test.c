/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/registry/layout.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"

#define ON (INSTANCE_ENABLED | INSTANCE_EPHEMERAL)

static struct instance_view instance(const char *ip, int port, uint32_t cluster, uint32_t flags)
{
	return (struct instance_view){
		.ip = str_of(ip),
		.port = port,
		.flags = flags,
		.weight = 1.0,
		.ident = -1,
		.cluster = cluster,
	};
}

static struct cluster_view cluster(const char *name)
{
	return (struct cluster_view){ .name = str_of(name),
		                      .check_port = 80,
		                      .use_instance_port = true };
}

struct fixture {
	struct service_view view;
	struct cluster_view clusters[32];
	struct instance_view instances[32];
	struct buf hosts, reply;
	struct list_shape shape;
	uint8_t checksum[16];
	bool fresh;
};

static void add_cluster(struct fixture *f, const char *name)
{
	f->clusters[f->view.cluster_count++] = cluster(name);
}

static struct instance_view *add(struct fixture *f, const char *ip, int port,
                                 uint32_t cluster_index, uint32_t flags)
{
	f->instances[f->view.instance_count] = instance(ip, port, cluster_index, flags);
	return &f->instances[f->view.instance_count++];
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->view.name = STR("g@@s");
	f->view.stamp.found = true;
	f->view.clusters = f->clusters;
	f->view.instances = f->instances;
	buf_init(&f->hosts);
	buf_init(&f->reply);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	buf_free(&f->hosts);
	buf_free(&f->reply);
	free(f);
	return 0;
}

static const char *hex_of(const uint8_t md5[16])
{
	static char text[33];

	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", md5[i]);
	return text;
}

static const char *text_of(struct buf *b)
{
	buf_char(b, '\0');
	assert_false(buf_failed(b));
	return b->data;
}

static const char *hosts_of(struct fixture *f, struct list_query query)
{
	buf_reset(&f->hosts);
	assert_int_equal(list_hosts(&f->view, &query, &f->hosts, &f->shape, &f->fresh, f->checksum,
	                            NULL),
	                 0);
	return text_of(&f->hosts);
}

/* "ip:health ip:health ..." of the hosts shown. */
static const char *shown(struct fixture *f, struct list_query query)
{
	static char out[512];
	const char *at = hosts_of(f, query), *ip, *valid;
	size_t n = 0;

	out[0] = '\0';
	while ((ip = strstr(at, "{\"ip\":\"")) != NULL) {
		ip += 7;
		valid = strstr(ip, "\"healthy\":") + 10;
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s:%c", n > 0 ? " " : "",
		                      (int)strcspn(ip, "\""), ip, *valid);
		at = valid;
	}
	return out;
}

/* ---- checksum: the two values read from a real server ---------------------------------------- */

static void test_checksum_one_instance(void **state)
{
	struct fixture *f = *state;

	f->view.name = STR("DEFAULT_GROUP@@ck");
	add_cluster(f, "DEFAULT");
	add(f, "1.1.1.1", 80, 0, ON | INSTANCE_HEALTHY);
	assert_int_equal(list_checksum(&f->view, f->checksum), 0);
	assert_string_equal(hex_of(f->checksum), "802404f6d4140103ec85d7888e15dc8d");
}

static void test_checksum_empty(void **state)
{
	struct fixture *f = *state;

	f->view.name = STR("DEFAULT_GROUP@@ck2");
	f->view.threshold = 0.3f;
	assert_int_equal(list_checksum(&f->view, f->checksum), 0);
	assert_string_equal(hex_of(f->checksum), "9b43b2aa0cec5f8eff124d9f0edf47e5");
}

static void test_checksum_ignores_order(void **state)
{
	struct fixture *f = *state;
	uint8_t other[16];
	struct instance_view swap;

	add_cluster(f, "DEFAULT");
	add_cluster(f, "c1");
	add(f, "1.1.1.1", 80, 0, ON | INSTANCE_HEALTHY);
	add(f, "1.1.1.1", 9, 0, ON);
	add(f, "\xee\x80\x80", 1, 1, ON);
	add(f, "\xf0\x90\x80\x80", 1, 1, ON);
	assert_int_equal(list_checksum(&f->view, f->checksum), 0);
	swap = f->instances[2], f->instances[2] = f->instances[3], f->instances[3] = swap;
	swap = f->instances[0], f->instances[0] = f->instances[1], f->instances[1] = swap;
	assert_int_equal(list_checksum(&f->view, other), 0);
	assert_memory_equal(f->checksum, other, 16);
	f->instances[0].weight = 2.0;
	assert_int_equal(list_checksum(&f->view, other), 0);
	assert_memory_not_equal(f->checksum, other, 16);
}

static void test_checksum_cluster_order_is_the_map_order(void **state)
{
	static const char *const names[] = {
		"c2", "a", "c1", "e", "b", "d"
	}; /* no two in one bucket */
	struct fixture *f = *state;
	uint8_t other[16];

	for (unsigned i = 0; i < 6; i++)
		add_cluster(f, names[i]);
	assert_int_equal(list_checksum(&f->view, f->checksum), 0);
	f->view.cluster_count = 0;
	for (unsigned i = 6; i > 0; i--)
		add_cluster(f, names[i - 1]);
	assert_int_equal(list_checksum(&f->view, other), 0);
	assert_memory_equal(f->checksum, other, 16);
}

static void test_checksum_kept_or_fresh(void **state)
{
	struct fixture *f = *state;

	hosts_of(f, (struct list_query){ .clusters = STR("") });
	assert_true(f->fresh);
	f->view.has_checksum = true;
	memset(f->view.checksum, 0xab, 16);
	hosts_of(f, (struct list_query){ .clusters = STR("") });
	assert_false(f->fresh);
	assert_string_equal(f->shape.checksum, "abababababababababababababababab");
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void test_host_shape(void **state)
{
	struct fixture *f = *state;
	struct instance_view *i;
	struct instance_metadata metadata;
	struct metadata_pair pairs[] = { { STR("z"), STR("\"") }, { STR("a"), STR("1") } };
	struct arena arena;

	arena_init(&arena, 0);
	assert_int_equal(metadata_pack(&arena, pairs, 2, &metadata), 0);
	add_cluster(f, "c1");
	i = add(f, "1.1.1.1", 80, 0, ON | INSTANCE_HEALTHY);
	i->metadata = metadata.packed;
	assert_string_equal(
	        hosts_of(f, (struct list_query){ .clusters = STR("") }),
	        "[{\"ip\":\"1.1.1.1\",\"port\":80,\"valid\":true,\"healthy\":true,\"marked\":false,"
	        "\"instanceId\":\"1.1.1.1#80#c1#g@@s\",\"metadata\":{\"z\":\"\\\"\",\"a\":\"1\"},\"enabled\":true,"
	        "\"weight\":1.0,\"clusterName\":\"c1\",\"serviceName\":\"s\",\"ephemeral\":true}]");
	arena_free(&arena);
	i->flags = INSTANCE_ENABLED | INSTANCE_HEALTHY | INSTANCE_METADATA_NULL;
	i->weight = (double)NAN;
	i->ident = 3;
	i->ip = STR("a\"b");
	assert_string_equal(
	        hosts_of(f, (struct list_query){ .clusters = STR(""), .grouped = true }),
	        "[{\"ip\":\"a\\\"b\",\"port\":80,\"valid\":true,\"healthy\":true,\"marked\":false,"
	        "\"instanceId\":\"3\",\"metadata\":null,\"enabled\":true,\"weight\":\"NaN\",\"clusterName\":\"c1\","
	        "\"serviceName\":\"g@@s\",\"ephemeral\":false}]");
	i->ident = -1;
	assert_non_null(strstr(hosts_of(f, (struct list_query){ .clusters = STR("") }),
	                       "\"instanceId\":\"a\\\"b#80#c1#g@@s\""));
}

static void fill_mixed(struct fixture *f)
{
	add_cluster(f, "a");
	add_cluster(f, "b");
	add_cluster(f, "empty");
	add(f, "a1", 1, 0, ON | INSTANCE_HEALTHY);
	add(f, "a2", 1, 0, ON);
	add(f, "a3", 1, 0, ON | INSTANCE_HEALTHY);
	add(f, "b1", 1, 1, ON);
	add(f, "b2", 1, 1, INSTANCE_HEALTHY);
	add(f, "b3", 1, 1, ON | INSTANCE_HEALTHY);
}

static void test_selection(void **state)
{
	static const struct {
		const char *clusters;
		float threshold;
		bool healthy_only;
		const char *expected;
	} rows[] = {
		{ "", 0.0f, false, "a2:f b1:f a1:t a3:t b3:t" },
		{ "", 0.0f, true, "a1:t a3:t b3:t" },
		{ "b,a", 0.0f, false, "b1:f a2:f b3:t a1:t a3:t" },
		{ "b", 0.0f, false, "b1:f b3:t" },
		{ "b,,b,x,b", 0.0f, false, "b1:f b3:t" },
		{ ",", 0.0f, false, "a2:f b1:f a1:t a3:t b3:t" },
		{ "a ", 0.0f, false, "" },
		/* Protection: 4 of 6 (a disabled one counts), reached when equal. */
		{ "", 0.6666667f, false, "a1:t a3:t b3:t a2:t b1:t" },
		{ "", 0.6666667f, true, "a1:t a3:t b3:t a2:t b1:t" },
		{ "", 0.6666666f, false, "a2:f b1:f a1:t a3:t b3:t" },
		{ "a", 0.7f, false, "a1:t a3:t a2:t" },
	};
	struct fixture *f = *state;

	fill_mixed(f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct list_query query = { .clusters = str_of(rows[i].clusters),
			                    .healthy_only = rows[i].healthy_only };

		f->view.threshold = rows[i].threshold;
		assert_string_equal(shown(f, query), rows[i].expected);
	}
}

static void test_all_sick_is_all_healthy(void **state)
{
	struct fixture *f = *state;

	add_cluster(f, "a");
	add(f, "a1", 1, 0, ON);
	add(f, "a2", 1, 0, ON);
	assert_string_equal(shown(f,
	                          (struct list_query){ .clusters = STR(""), .healthy_only = true }),
	                    "a1:t a2:t");
	assert_int_equal(f->shape.hosts, 2);
}

static void test_many_clusters(void **state)
{
	struct fixture *f = *state;
	char names[32][4];

	for (uint32_t i = 0; i < 32; i++) {
		snprintf(names[i], sizeof(names[i]), "c%u", i);
		add_cluster(f, names[i]);
		add(f, names[i], 1, i, ON | INSTANCE_HEALTHY);
	}
	assert_string_equal(shown(f, (struct list_query){ .clusters = STR("c31,c0,c17") }),
	                    "c31:t c0:t c17:t");
	hosts_of(f, (struct list_query){ .clusters = STR("") });
	assert_int_equal(f->shape.hosts, 32);
}

/* ---- reply ----------------------------------------------------------------------------------- */

static const char *reply_of(struct fixture *f, struct list_query query)
{
	struct list_fields fields = {
		.name = STR("g@@s"),
		.dom = STR("s"),
		.clusters = query.clusters,
		.env = STR("e\"v"),
		.cache_ms = 3000,
		.last_ref_time = 1795348206306,
		.metadata_json = STR("{\"m\":\"1\"}"),
	};

	f->view.has_checksum = true;
	memset(f->view.checksum, 0x34, 16);
	buf_reset(&f->hosts);
	assert_int_equal(list_hosts(&f->view, &query, &f->hosts, &f->shape, &f->fresh, f->checksum,
	                            NULL),
	                 0);
	buf_reset(&f->reply);
	list_reply(&f->reply, &query, &f->shape, buf_view(&f->hosts), &fields);
	return text_of(&f->reply);
}

#define CHECKSUM "34343434343434343434343434343434"

static void test_reply_empty(void **state)
{
	struct fixture *f = *state;
	const char *expected =
	        "{\"dom\":\"s\",\"name\":\"g@@s\",\"cacheMillis\":3000,\"lastRefTime\":1795348206306,\"checksum\":\"" CHECKSUM
	        "\",\"useSpecifiedURL\":false,\"clusters\":\"zz\",\"env\":\"e\\\"v\",\"hosts\":[],"
	        "\"metadata\":{\"m\":\"1\"}}";

	fill_mixed(f);
	assert_string_equal(reply_of(f, (struct list_query){ .clusters = STR("zz") }), expected);
	assert_string_equal(reply_of(f, (struct list_query){ .clusters = STR("zz"),
	                                                     .is_check = true }),
	                    expected);
}

static void test_reply_full(void **state)
{
	struct fixture *f = *state;

	add_cluster(f, "a");
	add(f, "a1", 1, 0, INSTANCE_HEALTHY);
	assert_string_equal(
	        reply_of(f, (struct list_query){ .clusters = STR("") }),
	        "{\"hosts\":[],\"dom\":\"s\",\"name\":\"g@@s\",\"cacheMillis\":3000,\"lastRefTime\":1795348206306,"
	        "\"checksum\":\"" CHECKSUM
	        "\",\"useSpecifiedURL\":false,\"clusters\":\"\",\"env\":\"e\\\"v\","
	        "\"metadata\":{\"m\":\"1\"}}");
	assert_string_equal(reply_of(f,
	                             (struct list_query){ .clusters = STR(""), .is_check = true }),
	                    "{}");
}

static void test_reply_unknown(void **state)
{
	struct fixture *f = *state;
	struct list_fields fields = { .name = STR("g@@s"),
		                      .clusters = STR("a,b"),
		                      .cache_ms = 3000 };

	list_reply_unknown(&f->reply, &fields);
	assert_string_equal(
	        text_of(&f->reply),
	        "{\"name\":\"g@@s\",\"clusters\":\"a,b\",\"cacheMillis\":3000,\"hosts\":[]}");
}

static void put_bits(const struct fixture *f, uint64_t *healthy)
{
	*healthy = 0;
	for (uint32_t n = 0; n < f->view.instance_count; n++)
		*healthy |= (uint64_t)((f->instances[n].flags & INSTANCE_HEALTHY) != 0) << n;
}

static unsigned ones(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

/* Any flips, one after the other: the pieces give what rendering gives. The protect threshold is
 * met exactly now and then. */
static void test_flipped_is_rendered(void **state)
{
	struct fixture *f = *state;
	struct list_query query = { .clusters = STR("") };
	struct list_piece pieces[32], fresh[32];
	struct list_shape shape;
	struct buf old, rendered;
	unsigned below = 0, equal = 0, above = 0;
	uint64_t healthy;
	char ip[16][24];

	buf_init(&old);
	buf_init(&rendered);
	f->view.threshold = 6.0F / 16.0F;
	add_cluster(f, "DEFAULT");
	add_cluster(f, "c1");
	for (unsigned n = 0; n < 16; n++) {
		snprintf(ip[n], sizeof(ip[n]), "10.0.0.%u", n * n);
		add(f, ip[n], (int)n, n >= 9,
		    n == 5 ? (uint32_t)INSTANCE_HEALTHY : ON | INSTANCE_HEALTHY);
	}
	assert_int_equal(list_hosts(&f->view, &query, &old, &shape, &f->fresh, f->checksum, pieces),
	                 0);
	srand(20240229);
	for (unsigned round = 0; round < 500; round++) {
		f->instances[rand() % 16].flags ^= INSTANCE_HEALTHY;
		if (round % 3 == 0)
			f->instances[rand() % 16].flags ^= INSTANCE_HEALTHY;
		put_bits(f, &healthy);
		below += ones(healthy) < 6;
		equal += ones(healthy) == 6;
		above += ones(healthy) > 6;
		buf_reset(&f->hosts);
		buf_reset(&rendered);
		assert_int_equal(list_flipped(buf_view(&old), pieces, 16, &healthy,
		                              f->view.threshold, &f->hosts),
		                 0);
		assert_int_equal(list_hosts(&f->view, &query, &rendered, &shape, &f->fresh,
		                            f->checksum, fresh),
		                 0);
		assert_true(str_eq(buf_view(&f->hosts), buf_view(&rendered)));
		assert_memory_equal(pieces, fresh, 16 * sizeof(fresh[0]));
		buf_reset(&old);
		buf_str(&old, buf_view(&f->hosts));
	}
	assert_true(below > 10 && equal > 10 && above > 10);
	buf_free(&old);
	buf_free(&rendered);
}

static void test_bare_name(void **state)
{
	static const char *const rows[][2] = {
		{ "g@@s", "s" },    { "s", "s" },  { "", "" },
		{ "g@@a@@b", "a" }, { "g@@", "" }, { "g@@s@t", "s@t" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(str_eq(list_bare_name(str_of(rows[i][0])), str_of(rows[i][1])));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_checksum_one_instance),
		T(test_checksum_empty),
		T(test_checksum_ignores_order),
		T(test_checksum_cluster_order_is_the_map_order),
		T(test_checksum_kept_or_fresh),
		T(test_host_shape),
		T(test_selection),
		T(test_all_sick_is_all_healthy),
		T(test_many_clusters),
		T(test_reply_empty),
		T(test_reply_full),
		T(test_reply_unknown),
		T(test_flipped_is_rendered),
		T(test_bare_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
