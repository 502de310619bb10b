/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/router.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/base/assert.h"
#include "shared/base/utf8.h"
#include "worker/v1/form.h"
#include "worker/v1/gate.h"
#include "worker/v1/later.h"
#include "worker/v1/params.h"
#include "worker/v1/path.h"
#include "worker/v1/reply.h"
#include "worker/v1/v1.h"
#include "worker/http/long.h"
#include "worker/http/answer.h"
#include "worker/http/source_limit.h"

#define NAMING "/v1/ns"
#define NAME_LONG 65536U

/* One path and its rows by method. */
struct router_entry {
	struct str path; /* unset: free */
	const struct route *by_method[METHOD_OTHER];
};

struct router {
	struct str context; /* context.path; empty for "/" */
	const struct route *rows;
	unsigned count;
	unsigned mask;
	struct router_entry entries[];
};

/* ---- table ----------------------------------------------------------------------------------- */

static bool under(struct str path, struct str prefix)
{
	return str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/');
}

/* Returns the entry of that path, or the free one where it would stand. The table is at most half
 * full, so there is one. */
static struct router_entry *entry_of(struct router *router, struct str path)
{
	unsigned at = (unsigned)XXH3_64bits(path.p, path.n) & router->mask;

	while (str_is_set(router->entries[at].path) && !str_eq(router->entries[at].path, path))
		at = (at + 1) & router->mask;
	return &router->entries[at];
}

int router_new(const struct route *rows, unsigned count, struct str context,
               struct router **router_r)
{
	unsigned size = 16;
	struct router *router;

	while (size < count * 2)
		size *= 2;
	if ((router = calloc(1, sizeof(*router) + size * sizeof(router->entries[0]))) == NULL)
		return ERR_NOMEM;
	router->context = str_eq(context, STR("/")) ? STR("") : context;
	router->rows = rows;
	router->count = count;
	router->mask = size - 1;
	for (unsigned i = 0; i < count; i++) {
		struct str path = str_of(rows[i].path);
		struct router_entry *entry = entry_of(router, path);

		/* router_find() looks for paths without the slash at their end. */
		ROSTER_ASSERT(path.n == 1 || (path.n > 1 && path.p[path.n - 1] != '/'));
		/* The filter chain goes by the path, and the flag says the same. */
		ROSTER_ASSERT(under(path, STR(NAMING)) == ((rows[i].flags & ROUTE_NAMING) != 0));
		ROSTER_ASSERT(rows[i].method >= METHOD_OTHER ||
		              entry->by_method[rows[i].method] == NULL);
		entry->path = path;
		if (rows[i].method < METHOD_OTHER)
			entry->by_method[rows[i].method] = &rows[i];
	}
	*router_r = router;
	return 0;
}

void router_free(struct router **router)
{
	free(*router);
	*router = NULL;
}

const struct route *router_find(const struct router *router, enum method method, struct str path,
                                bool *path_known_r)
{
	const struct router_entry *entry;

	if (path.n > 1 && path.p[path.n - 1] == '/' && path.p[path.n - 2] != '/')
		path.n--;
	entry = entry_of((struct router *)router, path);
	*path_known_r = str_is_set(entry->path);
	return *path_known_r && method < METHOD_OTHER ? entry->by_method[method] : NULL;
}

const struct route *router_rows(const struct router *router, unsigned *count_r)
{
	*count_r = router->count;
	return router->rows;
}

unsigned router_number(const struct router *router, const struct route *route)
{
	return route >= router->rows && route < router->rows + router->count
	               ? (unsigned)(route - router->rows)
	               : ROUTER_NONE;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static unsigned pairs_at_most(struct str text)
{
	unsigned count = 1;
	const char *p = text.p, *end;

	if (text.n == 0)
		return 0;
	end = p + text.n;
	while (p < end && count <= REQUEST_PARAMS_MAX &&
	       (p = memchr(p, '&', (size_t)(end - p))) != NULL) {
		count++;
		p++;
	}
	return count;
}

static bool params_failed(struct request *rq, int err)
{
	if (err == ERR_LIMIT)
		reply_caused(rq, 400, "http.parameters reached: %u", REQUEST_PARAMS_MAX);
	else if (err == ERR_SYNTAX)
		reply_caused(rq, 400, "Malformed percent escape in the parameters");
	else
		reply_caused(rq, 503, "out of memory");
	return false;
}

static int decode_values(struct request *rq, const struct charset *charset, unsigned begin,
                         unsigned end)
{
	struct v1_request *own = v1_request(rq);
	int ret = 0;

	ROSTER_ASSERT(begin <= end && end <= own->param_count);
	for (unsigned i = begin; i < end && ret == 0; i++)
		ret = charset_decode(&rq->arena, charset, own->params[i].value,
		                     &own->params[i].value);
	return ret;
}

/* Form and query come to the handlers as UTF-8, but for what they read again as `encoding`. A
 * client that names one charset in both places wrote everything in it, so nothing is read a second
 * time. */
static int decode_params(struct request *rq, unsigned in_form, const struct charset *charset)
{
	struct str name = request_param(rq, STR("encoding"));
	const struct charset *encoding = str_is_set(name) ? charset_find(name) : charset_utf8;
	bool once, rereads;
	int ret = 0;

	/* An unknown one counts for nothing in 1.4.8, as recorded. */
	if (encoding == NULL)
		encoding = charset_utf8;
	once = in_form > 0 && encoding == charset;
	rereads = encoding != charset_utf8 && !once;
	if (charset != charset_utf8 || !rereads)
		ret = decode_values(rq, charset, 0, in_form);
	if (ret == 0 && !rereads)
		ret = decode_values(rq, encoding, in_form, v1_request(rq)->param_count);
	v1_request(rq)->encoding = rereads ? encoding : NULL;
	return ret;
}

/* What is stored comes out again in the JSON that others read: one broken text would make it
 * unreadable for all. */
static bool repair_texts(struct request *rq)
{
	int ret = utf8_repair(&rq->arena, rq->user_agent, &rq->user_agent);

	if (ret == 0)
		ret = utf8_repair(&rq->arena, rq->client_version, &rq->client_version);
	return ret == 0 || params_failed(rq, ret);
}

/* The form is read first, because later ones win and the query shall beat the form. */
static bool read_params(struct request *rq)
{
	struct v1_request *own = v1_request(rq);
	struct str form = form_text(rq);
	const struct charset *charset = charset_utf8;
	unsigned room = pairs_at_most(form) + pairs_at_most(rq->query);
	int in_form = 0, count = 0;

	if (form.n > 0 && !form_charset(rq, &charset))
		return false;
	if (room == 0)
		return true;
	if (room > REQUEST_PARAMS_MAX)
		room = REQUEST_PARAMS_MAX;
	if ((own->params = arena_alloc(&rq->arena, room * sizeof(own->params[0]))) == NULL)
		return params_failed(rq, ERR_NOMEM);
	if (form.n > 0 && (in_form = url_form(&rq->arena, form, own->params, room)) < 0)
		return params_failed(rq, in_form);
	ROSTER_ASSERT((unsigned)in_form <= room);
	if (rq->query.n > 0)
		count = url_params(&rq->arena, rq->query, own->params + in_form,
		                   room - (unsigned)in_form);
	if (count < 0)
		return params_failed(rq, count);
	ROSTER_ASSERT((unsigned)(in_form + count) <= room);
	own->param_count = (unsigned)(in_form + count);
	return (count = decode_params(rq, (unsigned)in_form, charset)) == 0 ||
	       params_failed(rq, count);
}

/* No service has such a long name. It can come in a form only, and would be gone through again and
 * again. */
static bool refuse_name(struct request *rq)
{
	reply_limit(rq, "limits.name", rq->worker->registry.limits.name_bytes, true);
	return false;
}

static bool has_group(struct str name)
{
	return str_has_double(name, '@');
}

static bool join_group(struct request *rq, struct str name)
{
	struct str group = request_param(rq, STR("groupName"));
	char *p;

	if (group.n > NAME_LONG)
		return refuse_name(rq);
	if (str_is_blank(group))
		group = STR("DEFAULT_GROUP");
	if ((p = arena_alloc(&rq->arena, group.n + 2 + name.n)) == NULL)
		return params_failed(rq, ERR_NOMEM);
	memcpy(p, group.p, group.n);
	memcpy(p + group.n, "@@", 2);
	memcpy(p + group.n + 2, name.p, name.n);
	v1_request(rq)->service_name = str_make(p, group.n + 2 + name.n);
	return true;
}

/* Takes steps 2, 4 and 5 of the responsibility filter. A blank name stays as it was given. */
static bool group_service(struct request *rq)
{
	struct str name = request_param(rq, STR("serviceName"));
	struct str dom;

	if (name.n <= NAME_LONG && str_is_blank(name)) {
		dom = request_param(rq, STR("dom"));
		if (str_is_set(dom))
			name = dom;
	}
	if (name.n > NAME_LONG)
		return refuse_name(rq);
	if (!str_is_blank(name)) {
		name = str_trim(name);
		if (!has_group(name))
			return join_group(rq, name);
	}
	v1_request(rq)->service_name = name;
	return true;
}

bool router_prepare(struct request *rq)
{
	struct v1_request *own = v1_request(rq);
	bool made;

	ROSTER_ASSERT(!rq->answered && own->params == NULL);
	if ((made = read_params(rq) && repair_texts(rq))) {
		own->agent = agent_parse(rq->user_agent, rq->client_version);
		made = group_service(rq);
	}
	ROSTER_ASSERT(made != rq->answered);
	return made;
}

/* ---- dispatch -------------------------------------------------------------------------------- */

static bool refuse_path(struct request *rq, const struct path *path)
{
	if (path->malicious != NULL)
		reply_early_page(
		        rq, 500,
		        "The request was rejected because the URL contained a potentially malicious String \"%s\"",
		        path->malicious);
	else if (path->dots)
		reply_early_page(rq, 500,
		                 "The request was rejected because the URL was not normalized.");
	return rq->answered;
}

/* A path that stands in the table means what it says; any other is looked at more closely. */
static int read_path(const struct router *router, struct request *rq, struct path *path_r)
{
	struct str context = router->context;
	bool known = false;

	if (str_starts(rq->path, context))
		(void)router_find(router, METHOD_OTHER,
		                  str_make(rq->path.p + context.n, rq->path.n - context.n), &known);
	*path_r = (struct path){ .plain = rq->path };
	return known ? 0 : path_read(&rq->arena, rq->path, path_r);
}

static bool refuse_early(const struct router *router, struct request *rq)
{
	struct path path;
	int ret = read_path(router, rq, &path);

	if (ret < 0) {
		answer_page(rq, ret == ERR_SYNTAX ? 400 : 503);
		return true;
	}
	v1_request(rq)->plain = path.plain;
	if (rq->method == METHOD_TRACE) {
		answer_page(rq, 405);
		return true;
	}
	if (rq->method == METHOD_OPTIONS && str_eq(path.plain, STR("*"))) {
		answer_options(rq, STR(""));
		return true;
	}
	if (!under(path.plain, router->context)) {
		answer_page(rq, 404);
		return true;
	}
	if (refuse_path(rq, &path))
		return true;
	if (rq->method == METHOD_OPTIONS && str_is_set(rq->origin) && str_is_set(rq->cors_method)) {
		answer_preflight(rq);
		return true;
	}
	return false;
}

/* Tells the methods with which a path outside the naming API may be asked for. */
static void tell_methods(const struct router *router, struct request *rq, struct str path)
{
	static const char *const names[METHOD_OTHER] = {
		[METHOD_GET] = "GET,HEAD",  [METHOD_POST] = "POST",   [METHOD_PUT] = "PUT",
		[METHOD_DELETE] = "DELETE", [METHOD_PATCH] = "PATCH",
	};
	char text[64] = "";
	unsigned n = 0;

	for (int method = 0; method < METHOD_OTHER; method++) {
		bool known;

		if (names[method] != NULL &&
		    router_find(router, (enum method)method, path, &known) != NULL)
			n += (unsigned)snprintf(text + n, sizeof(text) - n, "%s,", names[method]);
	}
	n += (unsigned)snprintf(text + n, sizeof(text) - n, "OPTIONS");
	ROSTER_ASSERT(n < sizeof(text));
	answer_options(rq, str_make(text, n));
}

static void no_route(const struct router *router, struct request *rq, struct str path,
                     bool path_known)
{
	bool naming = under(path, STR(NAMING));

	if (!naming && path_known && rq->method == METHOD_OPTIONS)
		tell_methods(router, rq, path);
	else if (naming || (!path_known && later_holds(path)))
		reply_early_page(rq, 501, "no such api:%.*s:%.*s", (int)rq->method_text.n,
		                 rq->method_text.p, (int)rq->path.n, rq->path.p);
	else if (path_known)
		reply_caused(rq, 500, "Request method '%.*s' not supported", (int)rq->method_text.n,
		             rq->method_text.p);
	else
		reply_error_page(rq, 404, STR("No message available"));
}

static bool stops_source(struct request *rq)
{
	uint64_t wait_s = source_limit_wait_s(rq);

	if (wait_s == 0)
		return false;
	reply_over_limit(rq, "limits.per_source",
	                 (uint32_t)rq->worker->proc->config.limit_per_source, wait_s);
	return true;
}

void router_dispatch(const struct router *router, struct request *rq)
{
	struct v1_request *own = v1_request(rq);
	struct str path;
	bool path_known, naming;

	ROSTER_ASSERT(!rq->answered && own->route == NULL);
	if (stops_source(rq) || refuse_early(router, rq)) {
		ROSTER_ASSERT(rq->answered);
		return;
	}
	ROSTER_ASSERT(own->plain.n >= router->context.n);
	path = str_make(own->plain.p + router->context.n, own->plain.n - router->context.n);
	if (path.n == 0) {
		answer_redirect(rq, router->context);
		return;
	}
	own->route = router_find(router, rq->method, path, &path_known);
	naming = under(path, STR(NAMING));
	if (own->route == NULL && path_known && !naming && rq->method == METHOD_HEAD)
		own->route = router_find(router, METHOD_GET, path, &path_known);
	if (naming && gate_stops(rq))
		return;
	if (own->route == NULL) {
		no_route(router, rq, path, path_known);
		return;
	}
	if ((own->route->flags & ROUTE_OPERATOR) != 0 && !gate_admits(rq))
		return;
	if (router_prepare(rq)) {
		if ((own->route->flags & ROUTE_LONG) != 0)
			long_start(rq, own->route->handler);
		else
			own->route->handler(rq);
	}
	if (!rq->answered && !rq->parked)
		reply_caused(rq, 500, "the handler gave no answer");
}
