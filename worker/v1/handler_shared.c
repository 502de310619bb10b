/* SPDX-License-Identifier: Apache-2.0 */
/* handler_shared.c - what several handlers do alike: read a service's name and metadata, look the
 * service up, keep an answer within its bounds. It calls no handler. */
#include "shared/base/breath.h"
#include "shared/view/metadata.h"
#include "worker/v1/bound.h"
#include "worker/v1/handlers.h"
#include "worker/worker.h"

/* ---- parameters ------------------------------------------------------------------------------ */

/* Endpoints that Spring binds answer an absent name with 500 and take an empty one. The format is
 * not checked (2.2). */
bool handler_bound_service(struct request *rq, struct service_key *key_r)
{
	if (!str_is_set(v1_request(rq)->service_name)) {
		reply_missing(rq, "serviceName", "String");
		return false;
	}
	*key_r = (struct service_key){ bound_namespace(rq), v1_request(rq)->service_name };
	return true;
}

/* Endpoints that read parameters by themselves answer an absent or empty name with 400. */
bool handler_required_service(struct request *rq, struct service_key *key_r)
{
	key_r->ns = request_namespace(rq);
	return request_any_service(rq, &key_r->name);
}

const char *handler_name_refusal(struct str name)
{
	/* Java's split() drops trailing empty parts. */
	while (name.n >= 2 && memcmp(name.p + name.n - 2, "@@", 2) == 0)
		name.n -= 2;
	if (name.n == 0 || memmem(name.p, name.n, "@@", 2) == NULL)
		return "it should be format as 'groupName@@serviceName'";
	return str_starts(name, STR("@@")) ? "groupName can't be empty" : NULL;
}

bool handler_parse_metadata(struct request *rq, struct str text,
                            struct instance_metadata *metadata_r)
{
	int ret = metadata_parse(&rq->arena, text, metadata_r);

	if (ret == ERR_TOO_BIG)
		reply_limit(rq, "limits.metadata", rq->worker->registry.limits.metadata_bytes,
		            true);
	else if (ret == ERR_SYNTAX)
		reply_caused(rq, 500, "metadata format incorrect:%.*s", reply_shown(text), text.p);
	else if (ret < 0)
		reply_registry_error(rq, ret, STR(""), STR(""));
	return ret == 0;
}

/* ---- services -------------------------------------------------------------------------------- */

const struct handler_unknown handler_unknown_service = { "service ", " is not found!" };

bool handler_viewed(struct request *rq, int ret, const struct service_key *key,
                    const struct handler_unknown *unknown)
{
	const struct service_view *view = v1_request(rq)->view;

	if (ret < 0)
		reply_registry_error(rq, ret, key->name, STR(""));
	else if (!view->stamp.found)
		reply_caused(rq, 500, "%s%.*s%s", unknown->before, reply_shown(key->name),
		             key->name.p, unknown->behind);
	return ret == 0 && view->stamp.found;
}

bool handler_settings(struct request *rq, const struct service_key *key)
{
	return handler_viewed(rq,
	                      registry_settings(&rq->worker->registry, key, v1_request(rq)->view),
	                      key, &handler_unknown_service);
}

/* ---- texts ----------------------------------------------------------------------------------- */

struct str handler_group_of(struct str grouped)
{
	const char *at = grouped.n > 0 ? memmem(grouped.p, grouped.n, "@@", 2) : NULL;

	if (at != NULL)
		return str_make(grouped.p, (size_t)(at - grouped.p));
	return grouped.n == 0 ? grouped : STR("DEFAULT_GROUP");
}

struct str handler_checker_of(const struct cluster_view *cluster)
{
	return cluster->checker.n > 0 ? cluster->checker : STR("{\"type\":\"TCP\"}");
}

void handler_put_datum_key(struct buf *b, struct str ip, int32_t port, struct str cluster)
{
	buf_str(b, ip);
	if (port > 0) {
		buf_char(b, ':');
		buf_i64(b, port);
	}
	BUF_LIT(b, ":unknown:");
	buf_str(b, cluster);
}

/* ---- limits of an answer --------------------------------------------------------------------- */

bool handler_page_fits(struct request *rq, uint64_t rows)
{
	uint64_t most = rq->worker->proc->config.limit_page;

	if (rows <= most)
		return true;
	reply_limit(rq, "limits.page", most, true);
	return false;
}

int handler_bytes_fit(struct request *rq, uint64_t bytes)
{
	uint64_t most = rq->worker->proc->config.http_memory_bytes;

	return most == 0 || bytes <= most ? 0 : ERR_ANSWER;
}

int handler_answer_fits(struct request *rq, const struct buf *b)
{
	return handler_bytes_fit(rq, b->len);
}

int handler_go_on(struct request *rq, const struct buf *b, struct breath *breath, size_t weight)
{
	int ret = handler_answer_fits(rq, b);

	return ret == 0 ? breathe(breath, weight) : ret;
}
