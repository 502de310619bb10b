/* SPDX-License-Identifier: Apache-2.0 */
/* The full JSON of an instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/arena.h"
#include "shared/registry/layout.h"
#include "shared/view/instance_json.h"
#include "shared/view/metadata.h"

#define HEAD \
	"{\"instanceId\":\"1.2.3.5#1#DEFAULT#g@@v2\",\"ip\":\"1.2.3.5\",\"port\":1,\"weight\":1.0,\"healthy\":true,\"enabled\":true," \
	"\"ephemeral\":true,\"clusterName\":\"DEFAULT\",\"serviceName\":\"g@@v2\""
#define BEAT ",\"lastBeat\":1795348205523,\"marked\":false"
#define TIMES ",\"instanceHeartBeatTimeOut\":15000,\"ipDeleteTimeout\":30000}"

static const struct {
	const char *metadata; /* NULL: the null map */
	const char *app;
	const char *shown;
} rows[] = {
	{ "", "DEFAULT",
	  HEAD
	  ",\"metadata\":{}" BEAT
	  ",\"app\":\"DEFAULT\",\"instanceHeartBeatInterval\":5000,\"instanceIdGenerator\":\"simple\"" TIMES },
	/* without the key the generator is left out */
	{ "n=1", "DEFAULT",
	  HEAD ",\"metadata\":{\"n\":\"1\"}" BEAT
	       ",\"app\":\"DEFAULT\",\"instanceHeartBeatInterval\":5000" TIMES },
	{ "{\"preserved.instance.id.generator\":\"snowflake\"}", NULL,
	  HEAD ",\"metadata\":{\"preserved.instance.id.generator\":\"snowflake\"}" BEAT
	       ",\"instanceHeartBeatInterval\":5000,\"instanceIdGenerator\":\"snowflake\"" TIMES },
	{ NULL, NULL,
	  HEAD BEAT
	  ",\"instanceHeartBeatInterval\":5000,\"instanceIdGenerator\":\"simple\"" TIMES },
	{ "{\"preserved.heart.beat.interval\":\"2000\",\"preserved.heart.beat.timeout\":\"+6\",\"preserved.ip.delete.timeout\":\"x\"}",
	  NULL,
	  HEAD
	  ",\"metadata\":{\"preserved.heart.beat.interval\":\"2000\",\"preserved.heart.beat.timeout\":\"+6\","
	  "\"preserved.ip.delete.timeout\":\"x\"}" BEAT
	  ",\"instanceHeartBeatInterval\":2000" TIMES },
};

static const struct instance_json_clock now = { .health_ms = 50000, .wall_ms = 1795348215523 };

static void shows_each(void **state)
{
	struct cluster_view cluster = { .name = STR("DEFAULT") };
	struct service_view view = { .name = STR("g@@v2"),
		                     .clusters = &cluster,
		                     .cluster_count = 1 };
	struct arena arena;
	struct buf b;

	(void)state;
	arena_init(&arena, 0);
	buf_init(&b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct instance_metadata metadata = { .null = rows[i].metadata == NULL };
		struct instance_view instance = {
			.ip = STR("1.2.3.5"),
			.port = 1,
			.weight = 1.0,
			.ident = -1,
			.beat_ms = 40000,
			.flags = INSTANCE_HEALTHY | INSTANCE_ENABLED | INSTANCE_EPHEMERAL,
		};

		if (rows[i].metadata != NULL)
			assert_int_equal(metadata_parse(&arena, str_of(rows[i].metadata),
			                                &metadata),
			                 0);
		else
			instance.flags |= INSTANCE_METADATA_NULL;
		instance.metadata = metadata.packed;
		if (rows[i].app != NULL)
			instance.app = str_of(rows[i].app);
		buf_reset(&b);
		instance_json(&b, &view, &instance, now);
		buf_char(&b, '\0');
		assert_string_equal(b.data, rows[i].shown);
	}
	buf_free(&b);
	arena_free(&arena);
}

/* A beat that came in after the clocks were read is not in the future. */
static void a_late_beat(void **state)
{
	struct cluster_view cluster = { .name = STR("DEFAULT") };
	struct service_view view = { .name = STR("g@@v2"),
		                     .clusters = &cluster,
		                     .cluster_count = 1 };
	struct instance_view instance = { .ip = STR("h"), .ident = -1, .beat_ms = 60000 };
	struct buf b;

	(void)state;
	buf_init(&b);
	instance_json(&b, &view, &instance, now);
	buf_char(&b, '\0');
	assert_non_null(strstr(b.data, "\"lastBeat\":1795348215523,"));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shows_each),
		                            cmocka_unit_test(a_late_beat) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
