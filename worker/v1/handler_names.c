/* SPDX-License-Identifier: Apache-2.0 */
/* GET /service/names and /service/status (specification 5.6, 5.7), and regular expressions of
 * clients over names. */
#include <stdlib.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/sort.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/codec/url.h"
#include "shared/view/list.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/v1/pattern.h"
#include "worker/v1/service_names.h"
#include "worker/worker.h"

/* ---- regular expressions --------------------------------------------------------------------- */

bool handler_pattern(struct request *rq, struct str text, struct pattern **pattern_r)
{
	char why[160] = "";
	int ret = pattern_new(text, pattern_r, why, sizeof(why));

	if (ret == ERR_SYNTAX)
		reply_caused(rq, 400, "%s: %.*s", why, reply_shown(text), text.p);
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	return ret == 0;
}

int handler_pattern_service(struct pattern *pattern, struct arena *arena, struct str name)
{
	char *text = arena_alloc(arena, name.n + 3);

	if (text == NULL)
		return ERR_NOMEM;
	memcpy(text, name.p, name.n);
	memcpy(text + name.n, ":[]", 3);
	return pattern_matches(pattern, str_make(text, name.n + 3));
}

void handler_pattern_failed(struct request *rq, int err)
{
	if (err == ERR_LIMIT)
		reply_caused(rq, 400, "the regular expression takes too long");
	else
		reply_registry_error(rq, err, STR(""), STR(""));
}

/* ---- GET /service/names ---------------------------------------------------------------------- */

struct names {
	struct request *rq;
	struct pattern *pattern; /* NULL: all */
	struct service_names services;
	struct str *bare;     /* room for as many as there are services */
	struct arena scratch; /* texts for the pattern */
	int pattern_err;
	struct breath breath;
	struct buf b;
};

#define NAME_WEIGHT 64U

static int compare_texts(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* Picks the bare names in [begin, end) that match. Different groups may hold the same one. */
static int pick_names(struct names *names, size_t begin, size_t end, size_t *count_r)
{
	size_t count = 0;

	ROSTER_ASSERT(begin < end && end <= names->services.count);
	for (size_t i = begin; i < end; i++) {
		struct str name = names->services.rows[i].name;
		int ret = 1;

		arena_reset(&names->scratch);
		if (names->pattern != NULL)
			ret = handler_pattern_service(names->pattern, &names->scratch, name);
		if (ret < 0)
			names->pattern_err = ret;
		if (ret == 1)
			names->bare[count++] = list_bare_name(name);
		if (ret < 0 || (ret = breathe(&names->breath, NAME_WEIGHT + name.n)) < 0)
			return ret;
	}
	*count_r = count;
	return sort_rows(names->bare, count, sizeof(names->bare[0]), compare_texts);
}

static int put_names_of_namespace(struct names *names, size_t begin, size_t end)
{
	size_t count = 0;
	int ret = pick_names(names, begin, end, &count);

	if (ret < 0)
		return ret;
	json_comma(&names->b);
	json_string(&names->b, names->services.rows[begin].ns);
	BUF_LIT(&names->b, ":[");
	for (size_t i = 0; i < count && ret == 0; i++) {
		if (i == 0 || !str_eq(names->bare[i], names->bare[i - 1])) {
			json_comma(&names->b);
			json_string(&names->b, names->bare[i]);
		}
		ret = handler_go_on(names->rq, &names->b, &names->breath,
		                    NAME_WEIGHT + names->bare[i].n);
	}
	buf_char(&names->b, ']');
	return ret;
}

/* Returns the row behind the namespace of that row, or an error. */
static int64_t end_of_namespace(struct names *names, size_t begin)
{
	const struct service_names *services = &names->services;
	size_t end = begin;
	int ret;

	ROSTER_ASSERT(begin < services->count);
	for (; end < services->count && str_eq(services->rows[end].ns, services->rows[begin].ns);
	     end++) {
		if ((ret = breathe(&names->breath, NAME_WEIGHT)) < 0)
			return ret;
	}
	return (int64_t)end;
}

/* The count is that of the namespaces, as in 1.4.8. */
static int put_names(struct names *names)
{
	int64_t begin = 0, end, count = (int64_t)names->services.count;
	unsigned namespaces = 0;
	int ret = 0;

	BUF_LIT(&names->b, "{\"services\":{");
	for (; begin < count && ret == 0; begin = end, namespaces++) {
		if ((end = end_of_namespace(names, (size_t)begin)) < 0)
			return (int)end;
		ret = put_names_of_namespace(names, (size_t)begin, (size_t)end);
	}
	buf_char(&names->b, '}');
	JSON_PUT_U64(&names->b, "count", namespaces);
	buf_char(&names->b, '}');
	return ret;
}

static void answer_names(struct names *names)
{
	int ret = ERR_NOMEM;

	buf_init(&names->b);
	arena_init(&names->scratch, 0);
	names->bare = reallocarray(NULL, names->services.count + 1, sizeof(names->bare[0]));
	if (names->bare != NULL)
		ret = put_names(names);
	free(names->bare);
	arena_free(&names->scratch);
	if (ret == 0)
		handler_reply_buf(names->rq, &names->b);
	else if (names->pattern_err < 0)
		handler_pattern_failed(names->rq, names->pattern_err);
	else
		reply_registry_error(names->rq, ret, STR(""), STR(""));
	buf_free(&names->b);
}

static struct str between_any(struct request *rq, struct str text)
{
	char *p = arena_alloc(&rq->arena, text.n + 4);

	if (p == NULL)
		return STR("");
	memcpy(p, ".*", 2);
	memcpy(p + 2, text.p, text.n);
	memcpy(p + 2 + text.n, ".*", 2);
	return str_make(p, text.n + 4);
}

void handle_service_names(struct request *rq)
{
	struct names names = { .rq = rq };
	struct str ns = bound_optional(rq, "namespaceId"), expression = bound_optional(rq, "expr");
	bool responsible_only, all = str_is_blank(ns);
	int ret;

	/* A node alone is responsible for every service. */
	if (!bound_bool(rq, "responsibleOnly", &responsible_only))
		return;
	if (expression.n > 0 && !handler_pattern(rq, between_any(rq, expression), &names.pattern))
		return;
	ret = service_names_read(&names.services, &rq->worker->registry,
	                         all ? (struct str){ NULL, 0 } : ns, NULL, NULL);
	if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	else if (names.services.count == 0 && !all)
		reply_caused(rq, 500, "no such namespace");
	else
		answer_names(&names);
	service_names_free(&names.services);
	pattern_free(&names.pattern);
}

/* ---- POST /service/status -------------------------------------------------------------------- */

struct report {
	struct str statuses, sender; /* unset: not given */
};

static const char *on_report_item(void *arg, const struct json_item *item)
{
	struct report *report = arg;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth == 1 && str_eq(item->key, STR("statuses")))
		report->statuses = item->text;
	else if (item->depth == 1 && str_eq(item->key, STR("clientIP")))
		report->sender = item->text;
	return NULL;
}

/* Other servers report the checksums of their services here. A node alone has no peers, so whoever
 * sends is none of them. */
void handle_service_status(struct request *rq)
{
	struct json_limits limits = { .depth = 8, .keys = 100 };
	struct report report = { { NULL, 0 }, { NULL, 0 } };
	struct str text;
	char why[160] = "";

	if (url_decode(&rq->arena, rq->body, true, &text) < 0)
		text = rq->body;
	if (json_read(&rq->arena, text, limits, on_report_item, &report, why, sizeof(why)) < 0)
		reply_caused2(rq, 500, STR("errCode: 101, errMsg: Nacos deserialize failed.  "),
		              str_of(why));
	else if (!str_is_set(report.statuses) || !str_is_set(report.sender))
		reply_caused(rq, 500, "statuses and clientIP are needed");
	else
		reply_caused(rq, 500, "ip: %.*s is not in serverlist", reply_shown(report.sender),
		             report.sender.p);
}
