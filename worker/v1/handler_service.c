/* SPDX-License-Identifier: Apache-2.0 */
/* GET /service/list (specification 5.5). */
#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/view/metadata.h"
#include "shared/view/selector.h"
#include "worker/v1/handlers.h"
#include "worker/v1/service_names.h"
#include "worker/worker.h"

enum selector_on { SELECT_ALL, SELECT_INSTANCE, SELECT_SERVICE };

struct selector {
	struct str type, expression; /* unset: not given */
	enum selector_on on;
	struct str key, value;
};

struct listing {
	struct request *rq;
	struct service_key scope; /* name unused */
	struct str prefix;        /* "group@@"; unset: all groups */
	int32_t page, size;
	uint32_t total; /* names in the namespace, before the filters */
	struct service_names names;
	struct breath breath;
};

#define NAME_WEIGHT 64U /* of one in memory */

/* ---- which names ----------------------------------------------------------------------------- */

static bool in_group(const struct service_row *row, void *arg)
{
	struct listing *list = arg;

	list->total++;
	return !str_is_set(list->prefix) || str_starts(row->name, list->prefix);
}

/* ---- selector -------------------------------------------------------------------------------- */

static const char *on_selector_item(void *arg, const struct json_item *item)
{
	struct selector *selector = arg;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth == 1 && str_eq(item->key, STR("type")))
		selector->type = item->text;
	else if (item->depth == 1 && str_eq(item->key, STR("expression")))
		selector->expression = item->text;
	return NULL;
}

static struct str selector_without_blanks(struct arena *arena, struct str text, char other)
{
	char *p = arena_alloc(arena, text.n + 1);
	size_t n = 0;

	if (p == NULL)
		return STR("");
	for (size_t i = 0; i < text.n; i++) {
		if (strchr(" \t\n\v\f\r", text.p[i]) == NULL && text.p[i] != other)
			p[n++] = text.p[i];
	}
	return str_make(p, n);
}

static enum selector_on selects_on(struct str left)
{
	if (str_eq(left, STR("INSTANCE")) || str_starts(left, STR("INSTANCE.")))
		return SELECT_INSTANCE;
	return str_eq(left, STR("SERVICE")) || str_starts(left, STR("SERVICE.")) ? SELECT_SERVICE
	                                                                         : SELECT_ALL;
}

/* INSTANCE.metadata.key = 'value' is split at "="; the key is what follows the last dot. An
 * expression about neither instances nor services selects all, whatever it says. */
static bool read_expression(struct listing *list, struct selector *selector)
{
	struct str text = selector_without_blanks(&list->rq->arena, selector->expression, ' ');
	const char *equals = text.n > 0 ? memchr(text.p, '=', text.n) : NULL, *dot, *next;
	struct str left = equals != NULL ? str_make(text.p, (size_t)(equals - text.p)) : text,
	           right;

	if ((selector->on = selects_on(left)) == SELECT_ALL)
		return true;
	if (equals == NULL || equals + 1 == text.p + text.n) {
		reply_caused(list->rq, 500, "the expression of the selector has no value");
		return false;
	}
	right = str_make(equals + 1, (size_t)(text.p + text.n - equals - 1));
	next = memchr(right.p, '=', right.n);
	if (next != NULL)
		right.n = (size_t)(next - right.p);
	dot = memrchr(left.p, '.', left.n);
	selector->key = dot != NULL ? str_make(dot + 1, (size_t)(equals - dot - 1)) : left;
	selector->value = selector_without_blanks(&list->rq->arena, right, '\'');
	return true;
}

static bool known_type(struct str type)
{
	return str_eq(type, STR("none")) || str_eq(type, STR("label")) ||
	       str_eq(type, STR("unknown"));
}

/* Returns false when the request was answered. */
static bool read_selector(struct listing *list, struct selector *selector)
{
	struct str text = request_optional(list->rq, "selector", (struct str){ NULL, 0 });
	struct json_limits limits = { .depth = 16, .keys = 100 };
	char why[160];

	*selector = (struct selector){ .on = SELECT_ALL };
	if (text.n == 0)
		return true;
	if (json_read(&list->rq->arena, text, limits, on_selector_item, selector, why,
	              sizeof(why)) < 0) {
		reply_caused2(list->rq, 500,
		              STR("errCode: 101, errMsg: Nacos deserialize failed.  "),
		              str_of(why));
		return false;
	}
	if (!str_is_set(selector->type)) {
		reply_caused(list->rq, 500, "the selector has no type");
		return false;
	}
	if (!known_type(selector->type)) {
		reply_caused(list->rq, 400, SELECTOR_NO_SUCH_TEXT "%.*s",
		             reply_shown(selector->type), selector->type.p);
		return false;
	}
	if (!str_is_set(selector->expression)) {
		reply_caused(list->rq, 500, "the selector has no expression");
		return false;
	}
	if (!str_eq(selector->type, STR("label")) || str_is_blank(selector->expression))
		return true;
	return read_expression(list, selector);
}

static bool has_pair(struct str packed, const struct selector *selector)
{
	struct str value = metadata_get(packed, selector->key);

	return str_is_set(value) && str_eq(value, selector->value);
}

/* Returns 1, 0 or an error. */
static int matches(struct listing *list, const struct selector *selector)
{
	const struct service_view *view = v1_request(list->rq)->view;
	int ret = 0;

	if (!view->stamp.found)
		return 0;
	if (selector->on == SELECT_SERVICE)
		return has_pair(view->metadata, selector);
	for (uint32_t i = 0; i < view->instance_count && ret == 0; i++) {
		if (has_pair(view->instances[i].metadata, selector))
			return 1;
		ret = breathe(&list->breath, NAME_WEIGHT + view->instances[i].metadata.n);
	}
	return ret;
}

static int select_names(struct listing *list, const struct selector *selector)
{
	struct request *rq = list->rq;
	struct service_names *names = &list->names;
	struct service_key key = list->scope;
	size_t kept = 0;
	int ret;

	for (size_t i = 0; i < names->count; i++) {
		key.name = names->rows[i].name;
		if (selector->on == SELECT_SERVICE)
			ret = registry_settings(&rq->worker->registry, &key, v1_request(rq)->view);
		else
			ret = registry_view(&rq->worker->registry, &key, v1_request(rq)->view);
		if (ret == 0)
			ret = matches(list, selector);
		if (ret == 1)
			names->rows[kept++] = names->rows[i];
		if (ret < 0 || (ret = breathe(&list->breath, SERVICE_WEIGHT)) < 0)
			return ret;
	}
	names->count = kept;
	return 0;
}

/* ---- answer ---------------------------------------------------------------------------------- */

static int put_page(struct buf *b, struct listing *list, size_t start, size_t end)
{
	int ret = 0;

	ROSTER_ASSERT(start <= end && end <= list->names.count);
	BUF_LIT(b, "{\"doms\":[");
	for (size_t i = start; i < end && ret == 0; i++) {
		struct str name = list->names.rows[i].name;

		ROSTER_ASSERT(name.n >= list->prefix.n);
		json_comma(b);
		json_string(b, str_make(name.p + list->prefix.n, name.n - list->prefix.n));
		ret = handler_go_on(list->rq, b, &list->breath, NAME_WEIGHT + name.n);
	}
	buf_char(b, ']');
	JSON_PUT_U64(b, "count", list->names.count);
	buf_char(b, '}');
	return ret;
}

static void answer_rows(struct request *rq, struct listing *list, size_t start, size_t end)
{
	struct buf b;

	if (!handler_page_fits(rq, end - start))
		return;
	buf_init(&b);
	handler_reply_made(rq, &b, put_page(&b, list, start, end));
}

static void answer_page(struct request *rq, struct listing *list)
{
	int64_t count = (int64_t)list->names.count;
	int64_t start = ((int64_t)list->page - 1) * list->size, end;

	if (start < 0)
		start = 0;
	if (start > count)
		start = count;
	end = start < count ? start + list->size : start;
	if (end > count)
		end = count;
	if (end < start) {
		reply_caused(rq, 400, "fromIndex(%d) > toIndex(%d)", (int)start, (int)end);
		return;
	}
	answer_rows(rq, list, (size_t)start, (size_t)end);
}

static struct str group_prefix(struct request *rq)
{
	struct str group = request_optional(rq, "groupName", STR("DEFAULT_GROUP"));
	char *p;

	if (str_eq(group, STR("*")))
		return (struct str){ NULL, 0 };
	if ((p = arena_alloc(&rq->arena, group.n + 2)) == NULL)
		return STR("DEFAULT_GROUP@@");
	memcpy(p, group.p, group.n);
	memcpy(p + group.n, "@@", 2);
	return str_make(p, group.n + 2);
}

static void list_services(struct request *rq, struct listing *list)
{
	struct selector selector;
	int ret = service_names_read(&list->names, &rq->worker->registry, list->scope.ns, in_group,
	                             list);

	if (ret == 0 && list->total > 0 && !read_selector(list, &selector))
		return;
	if (ret == 0 && list->total > 0 && selector.on != SELECT_ALL)
		ret = select_names(list, &selector);
	if (ret < 0) {
		reply_registry_error(rq, ret, STR(""), STR(""));
		return;
	}
	answer_page(rq, list);
}

void handle_service_list(struct request *rq)
{
	struct listing list = { .rq = rq };
	struct str page, size;

	if (!request_required(rq, "pageNo", &page))
		return;
	list.page = java_lenient_int(page);
	if (!request_required(rq, "pageSize", &size))
		return;
	list.size = java_lenient_int(size);
	list.scope.ns = request_namespace(rq);
	list.prefix = group_prefix(rq);
	list_services(rq, &list);
	service_names_free(&list.names);
}
