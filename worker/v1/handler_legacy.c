/* SPDX-License-Identifier: Apache-2.0 */
/* handler_legacy.c - paths of the oldest clients, answered by the handlers of today (specification
 * 6.5). */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/codec/json_write.h"
#include "shared/view/list.h"
#include "worker/v1/handlers.h"
#include "worker/v1/service_names.h"
#include "worker/worker.h"

/* ---- aliases with a parameter of their own --------------------------------------------------- */

/* The service is DEFAULT_GROUP@@dom whatever serviceName and groupName say. blank says what is
 * wrong with a blank dom; if it is NULL, a blank one is refused for its format, as any name is. */
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
	v1_request(rq)->service_name = str_make(p, group.n + dom.n);
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

/* ---- allDomNames ----------------------------------------------------------------------------- */

static int compare_doms(const void *a, const void *b)
{
	const struct service_row *x = a, *y = b;
	int order = str_compare(x->ns, y->ns);

	return order != 0 ? order : str_compare(x->name, y->name);
}

struct doms {
	struct request *rq;
	struct service_names names;
	struct breath breath;
	struct buf b;
};

#define DOM_WEIGHT 64U

/* Makes names bare; the same one in two groups of a namespace counts once. */
static int make_bare(struct doms *doms)
{
	struct service_names *names = &doms->names;
	size_t kept = 0;
	int ret = 0;

	for (size_t i = 0; i < names->count && ret == 0; i++) {
		names->rows[i].name = list_bare_name(names->rows[i].name);
		ret = breathe(&doms->breath, DOM_WEIGHT);
	}
	if (ret == 0)
		ret = service_names_sort(names, compare_doms);
	for (size_t i = 0; i < names->count && ret == 0; i++) {
		if (kept == 0 || compare_doms(&names->rows[kept - 1], &names->rows[i]) != 0)
			names->rows[kept++] = names->rows[i];
		ret = breathe(&doms->breath, DOM_WEIGHT);
	}
	names->count = kept;
	return ret;
}

/* Writes the names of one namespace from row *at on; *at becomes the row behind them. */
static int put_doms_of_namespace(struct doms *doms, size_t *at)
{
	const struct service_names *names = &doms->names;
	size_t first = *at;
	struct str ns;
	int ret = 0;

	ROSTER_ASSERT(first < names->count);
	ns = names->rows[first].ns;
	for (; *at < names->count && ret == 0 && str_eq(names->rows[*at].ns, ns); ++*at) {
		json_comma(&doms->b);
		json_string(&doms->b, names->rows[*at].name);
		ret = handler_go_on(doms->rq, &doms->b, &doms->breath,
		                    DOM_WEIGHT + names->rows[*at].name.n);
	}
	ROSTER_ASSERT(*at > first); /* or put_all() never ends */
	return ret;
}

static int put_all(struct doms *doms)
{
	int ret = 0;

	buf_char(&doms->b, '{');
	for (size_t i = 0; i < doms->names.count && ret == 0;) {
		json_comma(&doms->b);
		json_string(&doms->b, doms->names.rows[i].ns);
		BUF_LIT(&doms->b, ":[");
		ret = put_doms_of_namespace(doms, &i);
		buf_char(&doms->b, ']');
	}
	buf_char(&doms->b, '}');
	return ret;
}

static int put_public(struct doms *doms)
{
	const struct service_names *names = &doms->names;
	size_t i = 0;
	int ret = 0;

	for (; i < names->count && ret == 0 && !str_eq(names->rows[i].ns, STR("public")); i++)
		ret = breathe(&doms->breath, DOM_WEIGHT);
	buf_char(&doms->b, '[');
	if (i < names->count && ret == 0)
		ret = put_doms_of_namespace(doms, &i);
	buf_char(&doms->b, ']');
	return ret;
}

static int put_doms(struct doms *doms)
{
	const struct agent *agent = &v1_request(doms->rq)->agent;
	bool only_public = agent->kind == AGENT_DNS && agent->has_version &&
	                   agent->version <= AGENT_VERSION(1, 0, 1);
	int ret = make_bare(doms);

	if (ret < 0)
		return ret;
	buf_char(&doms->b, '{');
	JSON_PUT_U64(&doms->b, "count", doms->names.count);
	JSON_KEY(&doms->b, "doms");
	ret = only_public ? put_public(doms) : put_all(doms);
	buf_char(&doms->b, '}');
	return ret;
}

/* responsibleOnly changes nothing: one node is responsible for all. */
void handle_legacy_names(struct request *rq)
{
	struct doms doms = { .rq = rq };
	int ret = service_names_read(&doms.names, &rq->worker->registry, (struct str){ NULL, 0 },
	                             NULL, NULL);

	buf_init(&doms.b);
	if (ret == 0)
		ret = put_doms(&doms);
	handler_reply_made(rq, &doms.b, ret);
	service_names_free(&doms.names);
}
