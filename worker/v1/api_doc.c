/* SPDX-License-Identifier: Apache-2.0 */
/* api_doc.c - prints doc/api.md from the table of routes (rosterd --print-api). */
#include <string.h>

#include "shared/process/document.h"
#include "worker/v1/later.h"
#include "worker/v1/router.h"

struct word {
	enum route_flag flag;
	const char *text;
};

static const struct word write_words[] = {
	{ ROUTE_INSTANCES, "instances" },
	{ ROUTE_SERVICES, "services" },
	{ ROUTE_OPERATOR, "node" },
};

static const struct word flag_words[] = {
	{ ROUTE_OPERATOR, "operator" },
};

static void print_words(FILE *out, unsigned flags, const struct word *words, size_t count)
{
	const char *comma = "";

	for (size_t i = 0; i < count; i++) {
		if ((flags & words[i].flag) == 0)
			continue;
		fprintf(out, "%s%s", comma, words[i].text);
		comma = ", ";
	}
}

static void print_route(FILE *out, const struct route *route)
{
	fprintf(out, "| %s | `/nacos%s` | ", method_name(route->method), route->path);
	print_words(out, route->flags, write_words, sizeof(write_words) / sizeof(write_words[0]));
	fputs(" | ", out);
	print_words(out, route->flags, flag_words, sizeof(flag_words) / sizeof(flag_words[0]));
	fprintf(out, " | %s |\n", route->about);
}

void document_api(FILE *out)
{
	fputs("# Routes\n\n"
	      "Printed by `rosterd --print-api` from the table of routes. Each path also works with one trailing slash. `/nacos`\n"
	      "stands for `context.path`. Under `/nacos/v1/ns` an unknown path and a wrong method are 501, elsewhere 404 and 500.\n"
	      "HEAD works where GET does, except under `/nacos/v1/ns`.\n\n"
	      "- Writes: what it changes; the others only read. Instances and services: with `instances.owner: source` only what is\n"
	      "  the client's own ([compatibility.md](compatibility.md)). Node: what concerns all, as switches, namespaces, the log.\n"
	      "- operator: only for sources that `operator.allow` lists, others get 403.\n\n"
	      "| Method | Path | Writes | Flags | What it does |\n"
	      "|---|---|---|---|---|\n",
	      out);
	for (unsigned i = 0; i < route_count; i++)
		print_route(out, &routes[i]);
	fputs("\n## Endpoints of later stages\n\n"
	      "Paths of the real server that are not served yet: 501, whatever the method.\n\n",
	      out);
	for (unsigned i = 0; i < later_count; i++)
		fprintf(out, "- `/nacos%s`\n", later_paths[i]);
}
