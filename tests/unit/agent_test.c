/* SPDX-License-Identifier: Apache-2.0 */
/* agent: type and version from the texts of real clients (specification 1.5), and who is pushed to
 * (9.1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "shared/net/agent.h"
#include "shared/naming/subscription.h"
#include "shared/registry/switches.h"

static const struct switches switches = {
	.push = 1,
	.push_java = AGENT_VERSION(0, 1, 0),
	.push_python = AGENT_VERSION(0, 4, 3),
	.push_c = AGENT_VERSION(1, 0, 12),
	.push_go = AGENT_VERSION(0, 1, 0),
	.push_csharp = AGENT_VERSION(0, 9, 0),
};

static void kinds(void **state)
{
	static const struct {
		const char *text;
		enum agent_kind kind;
		bool has_version;
		uint32_t version;
		bool java1, push;
	} rows[] = {
		{ "Nacos-Java-Client:v1.4.8", AGENT_JAVA, true, AGENT_VERSION(1, 4, 8), true,
		  true },
		{ "Nacos-Java-Client:v1.0.0", AGENT_JAVA, true, AGENT_VERSION(1, 0, 0), true,
		  true },
		{ "Nacos-Java-Client:v0.9.9", AGENT_JAVA, true, AGENT_VERSION(0, 9, 9), false,
		  true },
		{ "Nacos-Java-Client:v0.0.9", AGENT_JAVA, true, AGENT_VERSION(0, 0, 9), false,
		  false },
		{ "Nacos-Java-Client:v1.4.3-SNAPSHOT", AGENT_JAVA, true, AGENT_VERSION(1, 4, 3),
		  true, true },
		{ "Nacos-Java-Client:v2.0", AGENT_JAVA, true, AGENT_VERSION(2, 0, 0), true, true },
		{ "Nacos-Java-Client:v1..3", AGENT_JAVA, true, AGENT_VERSION(1, 0, 3), true, true },
		{ "Nacos-Java-Client:v9999.1", AGENT_JAVA, true, AGENT_VERSION(1023, 1, 0), true,
		  true },
		{ "Nacos-Java-Client", AGENT_JAVA, true, 0, false, false },
		{ "Nacos-Java-Client:vX", AGENT_JAVA, false, 0, false, false },
		{ "Nacos-Java-Client:v1.", AGENT_JAVA, false, 0, false, false },
		{ "Nacos-Java-Client:v", AGENT_JAVA, false, 0, false, false },
		{ "Nacos-DNS:v0.4.3", AGENT_DNS, true, AGENT_VERSION(0, 4, 3), false, true },
		{ "Nacos-C-Client:v1.0.11", AGENT_C, true, AGENT_VERSION(1, 0, 11), false, false },
		{ "vip-client4cpp:v1.0.12", AGENT_C, true, AGENT_VERSION(1, 0, 12), false, true },
		{ "Nacos-SDK-Java:v1.0.0", AGENT_JAVA_SDK, true, AGENT_VERSION(1, 0, 0), false,
		  false },
		{ "Nacos-Server:1.4.8", AGENT_NACOS_SERVER, true, AGENT_VERSION(0, 0, 1), false,
		  false },
		{ "unit-nginx", AGENT_TENGINE, true, 0, false, false },
		{ "Nacos-Go-Client:v1.1.6", AGENT_GO, true, AGENT_VERSION(1, 1, 6), false, true },
		{ "Nacos-CSharp-Client:v0.8.0", AGENT_CSHARP, true, AGENT_VERSION(0, 8, 0), false,
		  false },
		{ "Nacos-Python-Client:v1.0.0", AGENT_UNKNOWN, false, 0, false, false },
		{ "nacos-java-client:v1.0.0", AGENT_UNKNOWN, false, 0, false, false },
		{ "", AGENT_UNKNOWN, false, 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct agent agent = agent_parse(str_of(rows[i].text), STR(""));

		if (agent.kind != rows[i].kind || agent.has_version != rows[i].has_version ||
		    agent.version != rows[i].version || agent_is_java1(&agent) != rows[i].java1 ||
		    subscription_agent_can_push(&agent, &switches) != rows[i].push)
			fail_msg("%s: kind %d, version %x", rows[i].text, (int)agent.kind,
			         agent.version);
	}
}

static void client_version_is_second(void **state)
{
	struct agent agent = agent_parse(STR(""), STR("Nacos-Java-Client:v1.2.0"));

	(void)state;
	assert_int_equal(agent.kind, AGENT_JAVA);
	agent = agent_parse(STR("curl"), STR("Nacos-Java-Client:v1.2.0"));
	assert_int_equal(agent.kind, AGENT_UNKNOWN);
	assert_true(str_eq(agent.text, STR("curl")));
	agent = agent_parse((struct str){ NULL, 0 }, (struct str){ NULL, 0 });
	assert_int_equal(agent.kind, AGENT_UNKNOWN);
}

static void push_may_be_off(void **state)
{
	struct switches off = switches;
	struct agent agent = agent_parse(STR("Nacos-Java-Client:v1.2.0"), STR(""));

	(void)state;
	off.push = 0;
	assert_false(subscription_agent_can_push(&agent, &off));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(client_version_is_second),
		cmocka_unit_test(push_may_be_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
