/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/net/agent.h"

/* The first row whose prefix matches wins. */
static const struct {
	struct str prefix;
	enum agent_kind kind;
} agents[] = {
	{ { "Nacos-Java-Client", 17 }, AGENT_JAVA },
	{ { "Nacos-DNS", 9 }, AGENT_DNS },
	{ { "Nacos-C-Client", 14 }, AGENT_C },
	{ { "Nacos-SDK-Java", 14 }, AGENT_JAVA_SDK },
	{ { "Nacos-Server", 12 }, AGENT_NACOS_SERVER },
	{ { "unit-nginx", 10 }, AGENT_TENGINE },
	{ { "vip-client4cpp", 14 }, AGENT_C },
	{ { "Nacos-Go-Client", 15 }, AGENT_GO },
	{ { "Nacos-CSharp-Client", 19 }, AGENT_CSHARP },
};

static enum agent_kind kind_of(struct str text)
{
	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
		if (str_starts(text, agents[i].prefix))
			return agents[i].kind;
	}
	return AGENT_UNKNOWN;
}

/* The version stands behind the first ":v", else from the second character on, as the Java server
 * has it. */
static struct str version_text(struct str text)
{
	for (size_t i = 0; i + 1 < text.n; i++) {
		if (text.p[i] == ':' && text.p[i + 1] == 'v')
			return str_make(text.p + i + 2, text.n - i - 2);
	}
	return text.n > 0 ? str_make(text.p + 1, text.n - 1) : text;
}

static bool is_separator(char c)
{
	switch (c) {
	case '-':
	case '_':
	case '.':
	case '/':
	case ';':
	case ':':
		return true;
	default:
		return false;
	}
}

static uint32_t leading_digits(const char *p, size_t n)
{
	uint32_t value = 0;

	for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '9'; i++) {
		value = value * 10 + (uint32_t)(p[i] - '0');
		if (value > 1023)
			return 1023;
	}
	return value;
}

/* Returns false when there are fewer than two parts. Empty parts at the end do not count. */
static bool parse_version(struct str text, uint32_t *version_r)
{
	uint32_t parts[3] = { 0, 0, 0 };
	unsigned count = 0;

	while (text.n > 0 && is_separator(text.p[text.n - 1]))
		text.n--;
	for (size_t begin = 0, i = 0; i <= text.n; i++) {
		if (i < text.n && !is_separator(text.p[i]))
			continue;
		if (count < 3)
			parts[count] = leading_digits(text.p + begin, i - begin);
		count++;
		begin = i + 1;
	}
	*version_r = AGENT_VERSION(parts[0], parts[1], parts[2]);
	return count >= 2;
}

struct agent agent_parse(struct str user_agent, struct str client_version)
{
	struct agent agent = { .text = user_agent.n > 0 ? user_agent : client_version };

	agent.kind = kind_of(agent.text);
	if (agent.kind != AGENT_UNKNOWN)
		agent.has_version = parse_version(version_text(agent.text), &agent.version);
	if (!agent.has_version)
		agent.version = 0;
	return agent;
}

bool agent_is_java1(const struct agent *agent)
{
	return agent->kind == AGENT_JAVA && agent->has_version &&
	       agent->version >= AGENT_VERSION(1, 0, 0);
}
