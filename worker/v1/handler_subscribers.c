/* SPDX-License-Identifier: Apache-2.0 */
/* GET /service/subscribers (specification 5.9). */
#include "shared/base/assert.h"
#include "shared/base/fiber.h"
#include "shared/codec/java.h"
#include "shared/codec/json_write.h"
#include "shared/naming/unpushed.h"
#include "shared/net/address.h"
#include "shared/registry/subscribers.h"
#include "shared/view/list.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define BATCH 8U

/* One page of all subscribers that match, written while they are counted. */
struct page {
	struct str ns, group, name;
	int64_t start, end, count, rows;
	bool detail;
	struct request *rq;
	struct buf b;
};

static bool contains(struct str whole, struct str part)
{
	return part.n == 0 ||
	       (whole.n >= part.n && memmem(whole.p, whole.n, part.p, part.n) != NULL);
}

/* A match is always fuzzy (specification 5.9): the namespace begins with the asked one, group and
 * name contain theirs. */
static bool matches(const struct page *page, struct str ns, struct str name)
{
	return str_starts(ns, page->ns) && contains(list_bare_name(name), page->name) &&
	       contains(handler_group_of(name), page->group);
}

/* Adds what 1.x does not show. */
static void put_detail(struct page *page, const struct subscriber_view *sub)
{
	const char *why = unpushed_reason(&page->rq->worker->naming, sub);
	struct buf *b = &page->b;
	char text[ADDRESS_TEXT];

	JSON_PUT_STRING(b, "clusters",
	                str_make(sub->clusters, sub->clusters_len < sizeof(sub->clusters)
	                                                ? sub->clusters_len
	                                                : sizeof(sub->clusters)));
	JSON_PUT_STRING(b, "source", str_of(address_text(sub->source, text)));
	JSON_PUT_BOOL(b, "push", why == NULL);
	if (why != NULL)
		JSON_PUT_STRING(b, "reason", str_of(why));
}

static void put_subscriber(struct page *page, struct str ns, struct str name,
                           const struct subscriber_view *sub)
{
	struct buf *b = &page->b;
	char text[ADDRESS_TEXT];
	struct str ip = str_make(sub->address_text, sub->address_text_len);

	if (!address_is_zero(sub->address))
		ip = str_of(address_text(sub->address, text));
	json_comma(b);
	BUF_LIT(b, "{\"addrStr\":\"");
	json_escape(b, ip);
	buf_printf(b, ":%u\"", sub->port);
	JSON_PUT_STRING(b, "agent",
	                str_make(sub->agent, sub->agent_len < sizeof(sub->agent)
	                                             ? sub->agent_len
	                                             : sizeof(sub->agent)));
	JSON_PUT_STRING(b, "app",
	                str_make(sub->app, sub->app_len < sizeof(sub->app) ? sub->app_len
	                                                                   : sizeof(sub->app)));
	JSON_PUT_STRING(b, "ip", ip);
	JSON_PUT_STRING(b, "namespaceId", ns);
	JSON_PUT_STRING(b, "serviceName", name);
	if (page->detail)
		put_detail(page, sub);
	buf_char(b, '}');
}

/* Counts all and shows those of the page. */
static int add_batch(struct page *page, const struct service_key *key,
                     const struct subscriber_view *batch, int n)
{
	ROSTER_ASSERT(n > 0 && n <= (int)BATCH);
	for (int i = 0; i < n; i++, page->count++) {
		if (page->count < page->start || page->count >= page->end)
			continue;
		if (!handler_page_fits(page->rq, (uint64_t)++page->rows))
			return ERR_ANSWER;
		put_subscriber(page, key->ns, key->name, &batch[i]);
	}
	return handler_answer_fits(page->rq, &page->b);
}

static int add_audience(struct registry *reg, struct page *page, const struct service_key *key)
{
	struct audience_cursor cursor = { 0 };
	struct subscriber_view batch[BATCH];
	int n, ret = 0;

	while (ret == 0 && (n = registry_subscribers(reg, key, &cursor, batch, BATCH)) != 0) {
		ret = n < 0 ? n : add_batch(page, key, batch, n);
		if (ret == 0)
			ret = fiber_pause();
	}
	return ret;
}

static int add_shard(struct registry *reg, struct page *page, uint32_t shard)
{
	struct audience_entry entry = { .id = 0 };
	int ret;

	while ((ret = registry_audience_after(reg, shard, entry.id, &entry)) == 1) {
		struct service_key key = name_copy_key(&entry.name);

		ret = matches(page, key.ns, key.name) ? add_audience(reg, page, &key) : 0;
		if (ret < 0 || (ret = fiber_pause()) < 0)
			return ret;
	}
	return ret;
}

/* A page that begins exactly at the end exists and is empty; one that begins behind the end, or
 * ends before it begins, does not exist. */
static void answer_subscribers(struct request *rq, struct page *page, int ret)
{
	if (ret == ERR_ANSWER) {
		if (!rq->answered)
			reply_registry_error(rq, ret, STR(""), STR(""));
		return;
	}
	ROSTER_ASSERT(page->rows <= page->count);
	if (ret < 0 || page->start > page->count || page->end < page->start) {
		page->b.len = 0;
		BUF_LIT(&page->b, "{\"subscribers\":[],\"count\":0}");
	} else {
		buf_char(&page->b, ']');
		JSON_PUT_I64(&page->b, "count", page->count);
		buf_char(&page->b, '}');
	}
	handler_reply_buf(rq, &page->b);
}

void handle_service_subscribers(struct request *rq)
{
	struct page page = { .count = 0 };
	struct service_key key;
	int64_t number, size;
	int ret = 0;

	if (!handler_required_service(rq, &key))
		return;
	number = java_lenient_int(request_optional(rq, "pageNo", STR("1")));
	size = java_lenient_int(request_optional(rq, "pageSize", STR("1000")));
	page.ns = key.ns;
	page.group = handler_group_of(key.name);
	page.name = list_bare_name(key.name);
	page.start = (number - 1) * size > 0 ? (number - 1) * size : 0;
	page.end = page.start + size;
	page.detail = str_ieq(request_optional(rq, "detail", STR("")), STR("true"));
	page.rq = rq;
	buf_init(&page.b);
	BUF_LIT(&page.b, "{\"subscribers\":[");
	for (uint32_t shard = 0; shard < SHARDS && ret >= 0; shard++)
		ret = add_shard(&rq->worker->registry, &page, shard);
	answer_subscribers(rq, &page, ret);
	buf_free(&page.b);
}
