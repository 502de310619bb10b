/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "shared/codec/json_write.h"
#include "shared/view/list.h"
#include "worker/handlers.h"
#include "worker/service_names.h"
#include "worker/worker.h"

/* ---- aliases with a parameter of their own -------------------------------------------- */

/* The service is DEFAULT_GROUP@@dom whatever serviceName and groupName say. blank: what is wrong with a blank one, NULL: its
 * format, as of any name. */
static bool take_dom(struct request *rq, const char *blank)
{
	static const struct str group = STR("DEFAULT_GROUP@@");
	struct str dom;
	char *p;

	if (!request_required(rq, "dom", &dom))
		return false;
	if (dom.n == 0 && blank != NULL) {
		reply_caused(rq, 400, "Param 'serviceName' is illegal, %s", blank);
		return false;
	}
	if ((p = arena_alloc(&rq->arena, group.n + dom.n)) == NULL) {
		reply_caused(rq, 503, "out of memory");
		return false;
	}
	memcpy(p, group.p, group.n);
	if (dom.n > 0)
		memcpy(p + group.n, dom.p, dom.n);
	rq->service_name = str_make(p, group.n + dom.n);
	return true;
}

void handle_legacy_list(struct request *rq)
{
	if (take_dom(rq, "serviceName is blank"))
		handle_instance_list(rq);
}

void handle_legacy_beat(struct request *rq)
{
	if (take_dom(rq, NULL))
		handle_instance_beat(rq);
}

/* ---- allDomNames -------------------------------------------------------------------------- */

static int compare_texts(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_doms(const void *a, const void *b)
{
	const struct service_row *x = a, *y = b;
	int order = compare_texts(x->ns, y->ns);

	return order != 0 ? order : compare_texts(x->name, y->name);
}

/* Bare names; the same one of two groups of a namespace counts once. */
static void make_bare(struct service_names *names)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->count; i++)
		names->rows[i].name = list_bare_name(names->rows[i].name);
	if (names->count > 1)
		qsort(names->rows, names->count, sizeof(names->rows[0]), compare_doms);
	for (size_t i = 0; i < names->count; i++) {
		if (kept == 0 || compare_doms(&names->rows[kept - 1], &names->rows[i]) != 0)
			names->rows[kept++] = names->rows[i];
	}
	names->count = kept;
}

/* The names of one namespace from row `at` on; returns the row behind. */
static size_t put_namespace(struct buf *b, const struct service_names *names, size_t at)
{
	struct str ns = names->rows[at].ns;
	size_t i;

	for (i = at; i < names->count && str_eq(names->rows[i].ns, ns); i++) {
		if (i > at)
			buf_char(b, ',');
		json_string(b, names->rows[i].name);
	}
	return i;
}

static void put_all(struct buf *b, const struct service_names *names)
{
	buf_char(b, '{');
	for (size_t i = 0; i < names->count;) {
		if (i > 0)
			buf_char(b, ',');
		json_string(b, names->rows[i].ns);
		BUF_LIT(b, ":[");
		i = put_namespace(b, names, i);
		buf_char(b, ']');
	}
	buf_char(b, '}');
}

static void put_public(struct buf *b, const struct service_names *names)
{
	size_t i = 0;

	while (i < names->count && !str_eq(names->rows[i].ns, STR("public")))
		i++;
	buf_char(b, '[');
	if (i < names->count)
		put_namespace(b, names, i);
	buf_char(b, ']');
}

static void answer_doms(struct request *rq, const struct service_names *names)
{
	bool only_public = rq->agent.kind == AGENT_DNS && rq->agent.has_version && rq->agent.version <= AGENT_VERSION(1, 0, 1);
	struct buf b;

	buf_init(&b);
	BUF_LIT(&b, "{\"count\":");
	buf_u64(&b, names->count);
	BUF_LIT(&b, ",\"doms\":");
	if (only_public)
		put_public(&b, names);
	else
		put_all(&b, names);
	buf_char(&b, '}');
	handler_reply_buf(rq, &b);
}

/* responsibleOnly changes nothing: one node is responsible for all. */
void handle_legacy_names(struct request *rq)
{
	struct service_names names;
	int ret = service_names_read(&names, &rq->worker->registry, (struct str){ NULL, 0 }, NULL, NULL);

	if (ret < 0) {
		reply_registry_error(rq, ret, STR(""), STR(""));
	} else {
		make_bare(&names);
		answer_doms(rq, &names);
	}
	service_names_free(&names);
}
