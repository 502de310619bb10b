/* SPDX-License-Identifier: Apache-2.0 */
/* /console/namespaces: rows of the office (section 2 of the console's specification). */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "shared/base/assert.h"
#include "shared/codec/json_write.h"
#include "shared/registry/namespaces.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

#define UUID_TEXT 36U

static void answer_bool(struct request *rq, bool value)
{
	reply_json(rq, value ? STR("true") : STR("false"), (struct str){ NULL, 0 },
	           (struct str){ NULL, 0 });
}

/* ---- ids ------------------------------------------------------------------------------------- */

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '-';
}

static bool is_valid_id(struct str id)
{
	if (id.n == 0 || id.n > NAMESPACES_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		if (!is_word(id.p[i]))
			return false;
	}
	return true;
}

/* Makes a random one (version 4) in lower case. Returns false when the kernel gave no random
 * bytes. */
static bool make_uuid(char text[UUID_TEXT + 1])
{
	uint8_t bytes[16];
	unsigned at = 0;

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return false;
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		at += (unsigned)snprintf(text + at, 3, "%02x", bytes[i]);
	}
	ROSTER_ASSERT(at == UUID_TEXT);
	return true;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* reply_registry_error() tells whether it is the request's fault, as a text that is too long, or a
 * full node. */
static void answer_failure(struct request *rq, int err)
{
	reply_registry_error(rq, err, STR(""), STR(""));
}

void handle_namespace_create(struct request *rq)
{
	struct namespace_row row;
	char uuid[UUID_TEXT + 1];
	struct str id;
	int ret;

	if (!bound_text(rq, "customNamespaceId", &id) ||
	    !bound_text(rq, "namespaceName", &row.name))
		return;
	row.about = request_text(rq, STR("namespaceDesc"));
	row.id = str_trim(id);
	if (row.id.n == 0) {
		if (!make_uuid(uuid)) {
			reply_caused(rq, 500, "no random bytes: %s", strerror(errno));
			return;
		}
		row.id = str_make(uuid, UUID_TEXT);
	} else if (!is_valid_id(row.id)) {
		answer_bool(rq, false);
		return;
	}
	ret = namespaces_create(&rq->worker->registry, &row);
	if (ret < 0 && ret != ERR_EXISTS)
		answer_failure(rq, ret);
	else
		answer_bool(rq, ret == 0);
}

/* Answers true even if there is no such namespace. */
void handle_namespace_update(struct request *rq)
{
	struct namespace_row row;
	int ret;

	if (!bound_text(rq, "namespace", &row.id) ||
	    !bound_text(rq, "namespaceShowName", &row.name))
		return;
	row.about = request_text(rq, STR("namespaceDesc"));
	ret = namespaces_update(&rq->worker->registry, &row);
	if (ret < 0 && ret != ERR_NOT_FOUND)
		answer_failure(rq, ret);
	else
		answer_bool(rq, true);
}

/* Services in it stay: they need no stored namespace. */
void handle_namespace_delete(struct request *rq)
{
	struct str id;
	int ret;

	if (!bound_text(rq, "namespaceId", &id))
		return;
	ret = namespaces_remove(&rq->worker->registry, id);
	if (ret < 0 && ret != ERR_NOT_FOUND)
		answer_failure(rq, ret);
	else
		answer_bool(rq, true);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void put_row(struct buf *b, struct str id, struct str name, unsigned type)
{
	json_comma(b);
	buf_char(b, '{');
	JSON_PUT_STRING(b, "namespace", id);
	JSON_PUT_STRING(b, "namespaceShowName", name);
	JSON_PUT_LIT(b, "quota", "200");
	JSON_PUT_LIT(b, "configCount", "0");
	JSON_PUT_U64(b, "type", type);
}

struct list {
	struct request *rq;
	struct buf b;
	int err;
};

static void on_namespace_row(const struct namespace_row *row, void *arg)
{
	struct list *list = arg;

	if (list->err < 0)
		return;
	put_row(&list->b, row->id, row->name, 2);
	buf_char(&list->b, '}');
	list->err = handler_answer_fits(list->rq, &list->b);
}

static void answer_list(struct request *rq)
{
	struct list list = { .rq = rq };
	int ret;

	buf_init(&list.b);
	BUF_LIT(&list.b, "{\"code\":200,\"message\":null,\"data\":[");
	put_row(&list.b, STR(""), STR("public"), 0);
	buf_char(&list.b, '}');
	ret = namespaces_each(&rq->worker->registry, on_namespace_row, &list);
	BUF_LIT(&list.b, "]}");
	handler_reply_made(rq, &list.b, ret < 0 ? ret : list.err);
}

static void put_detail(struct buf *b, const struct namespace_row *row, unsigned type)
{
	put_row(b, row->id, row->name, type);
	if (str_is_set(row->about))
		JSON_PUT_STRING(b, "namespaceDesc", row->about);
	else
		JSON_PUT_LIT(b, "namespaceDesc", "null");
	buf_char(b, '}');
}

static void answer_detail(struct request *rq)
{
	struct namespace_copy copy = { .row = { STR(""), STR("Public"), STR("Public Namespace") } };
	struct str id;
	struct buf b;
	int ret = 0;

	if (!bound_text(rq, "namespaceId", &id))
		return;
	if (str_is_blank(id))
		copy.row.id = id;
	else
		ret = namespaces_get(&rq->worker->registry, id, &copy);
	if (ret == ERR_NOT_FOUND) {
		reply_caused(rq, 500, "namespace %.*s is not stored",
		             (int)str_cut(id, NAMESPACES_ID_MAX).n, id.p);
		return;
	}
	if (ret < 0) {
		answer_failure(rq, ret);
		return;
	}
	buf_init(&b);
	put_detail(&b, &copy.row, str_is_blank(id) ? 0 : 2);
	handler_reply_buf(rq, &b);
}

static void answer_exists(struct request *rq)
{
	struct namespace_copy copy;
	struct str id;
	int ret = ERR_NOT_FOUND;

	if (!bound_text(rq, "customNamespaceId", &id))
		return;
	if (!str_is_blank(id))
		ret = namespaces_get(&rq->worker->registry, id, &copy);
	if (ret < 0 && ret != ERR_NOT_FOUND)
		answer_failure(rq, ret);
	else
		answer_bool(rq, ret == 0);
}

void handle_namespace_get(struct request *rq)
{
	if (str_eq(bound_optional(rq, "show"), STR("all")))
		answer_detail(rq);
	else if (str_eq(bound_optional(rq, "checkNamespaceIdExist"), STR("true")))
		answer_exists(rq);
	else
		answer_list(rq);
}
