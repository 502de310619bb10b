/* SPDX-License-Identifier: Apache-2.0 */
/* handler_pages.c - the pages for people, and for health checks that ask for the console of the
 * original. They have no script; links are relative, so they hold under any context path and behind
 * any proxy. */
#include "worker/v1/handlers.h"
#include "worker/v1/later.h"
#include "worker/v1/router.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

#define HTML STR("text/html;charset=UTF-8")
#define PAGE_HEAD(title) \
	"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" title \
	"</title>\n</head>\n<body>\n"
#define PAGE_END "</body>\n</html>\n"

void handle_page_index(struct request *rq)
{
	reply_as(
	        rq, HTML,
	        STR(PAGE_HEAD(
	                "Roster") "<h1>Roster</h1>\n"
	                          "<p>A service registry that speaks the Nacos 1.x naming protocol. Version " PACKAGE_VERSION
	                          "; to clients a " HANDLER_VERSION " server.</p>\n"
	                          "<ul>\n"
	                          "<li><a href=\"api.html\">What it answers</a></li>\n"
	                          "<li><a href=\"v1/ns/operator/metrics\">Status and counts</a></li>\n"
	                          "<li><a href=\"v1/core/cluster/nodes\">The nodes</a></li>\n"
	                          "<li><a href=\"actuator/prometheus\">Metrics for Prometheus</a></li>\n"
	                          "</ul>\n" PAGE_END));
}

/* Shows the table of routes, as doc/api.md has it, under the context path in use. */
void handle_page_api(struct request *rq)
{
	const char *context = rq->worker->proc->config.context_path;
	const struct route *rows;
	unsigned count;
	struct buf b;

	if (context[1] == '\0')
		context = "";
	rows = router_rows(v1_of(rq->worker)->router, &count);
	buf_init(&b);
	BUF_LIT(&b,
	        PAGE_HEAD(
	                "Roster: routes") "<h1>Routes</h1>\n<table>\n"
	                                  "<tr><th>Method</th><th>Path</th><th>What it does</th></tr>\n");
	for (unsigned i = 0; i < count; i++)
		buf_printf(&b, "<tr><td>%s</td><td>%s%s</td><td>%s%s</td></tr>\n",
		           method_name(rows[i].method), context, rows[i].path, rows[i].about,
		           (rows[i].flags & ROUTE_OPERATOR) != 0 ? " (for operator.allow only)"
		                                                 : "");
	BUF_LIT(&b, "</table>\n<h2>Endpoints of later stages</h2>\n<ul>\n");
	for (unsigned i = 0; i < later_count; i++)
		buf_printf(&b, "<li>%s%s</li>\n", context, later_paths[i]);
	BUF_LIT(&b, "</ul>\n" PAGE_END);
	if (buf_failed(&b))
		reply_caused(rq, 503, "out of memory");
	else
		reply_as(rq, HTML, buf_view(&b));
	buf_free(&b);
}
