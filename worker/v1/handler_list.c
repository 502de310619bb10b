/* SPDX-License-Identifier: Apache-2.0 */
/* GET /instance/list (specification 4.6): subscribes whoever asks for pushes, and answers from
 * the cache where it can. */
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/fiber.h"
#include "shared/naming/service.h"
#include "shared/naming/subscription.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"
#include "shared/view/pick.h"
#include "worker/v1/caller.h"
#include "worker/v1/handlers.h"
#include "worker/v1/list_cache.h"
#include "worker/v1/v1.h"
#include "worker/worker.h"

/* The list of a service with more instances, or of one that takes more memory (500 bytes an
 * instance), is a long request. */
#define LONG_INSTANCES 2048U
#define LONG_STORED_BYTES (1U << 20)
/* What grew beyond this for one large service is given back after use. */
#define KEEP_BYTES (4U << 20)
/* Of a list from the cache, between two pauses. */
#define COPY_BYTES (256U << 10)
/* A longer list is rendered anew after a flip: it is more than registry_health() looks at in one
 * hold. */
#define PIECES_MOST 4096U
_Static_assert(PIECES_MOST % 64 == 0 && PIECES_MOST <= REGISTRY_HEALTH_MOST,
               "a bit for each piece, and registry_health() answers for all of them");

struct list_request {
	struct service_key service;
	struct str client_ip, app, env;
	int32_t udp_port;
	bool grouped;
	struct list_query query;
	struct list_fields fields;
	struct service_stamp stamp;
	struct buf *hosts; /* where they are written, when they are not in the cache */
	/* the key of the cache: clusters as they came, and once the service is read their normal
	 * form */
	struct str picked;
};

/* ---- parameters ------------------------------------------------------------------------------ */

static bool is_true(struct request *rq, const char *name)
{
	return str_ieq(request_optional(rq, name, STR("")), STR("true"));
}

static bool read_list(struct request *rq, struct list_request *list)
{
	if (!handler_service_key(rq, &list->service))
		return false;
	list->query.clusters = list->picked = request_optional(rq, "clusters", STR(""));
	list->client_ip = request_optional(rq, "clientIP", STR(""));
	if (!request_int(rq, request_optional(rq, "udpPort", STR("0")), &list->udp_port))
		return false;
	list->env = request_optional(rq, "env", STR(""));
	list->query.is_check = is_true(rq, "isCheck");
	list->query.healthy_only = is_true(rq, "healthyOnly");
	list->app = request_optional(rq, "app", STR(""));
	list->grouped = agent_is_java1(&v1_request(rq)->agent);
	list->query.grouped = list->grouped;
	return true;
}

/* ---- subscription ---------------------------------------------------------------------------- */

/* Reads the stamp and subscribes, in one hold of the lock. Who is not pushed to gets the short poll
 * interval. */
static int poll_service(struct request *rq, struct list_request *list)
{
	const struct naming_caller caller = caller_of(rq);
	const struct naming_wish wish = {
		.address = list->client_ip,
		.port = list->udp_port,
		.clusters = list->query.clusters,
		.app = list->app,
		.grouped = list->grouped,
	};
	struct naming_polled polled;
	int ret = naming_poll(&rq->worker->naming, &caller, &list->service, &wish, &polled);

	list->stamp = polled.stamp;
	list->fields.cache_ms = polled.cache_ms;
	return ret;
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* True for the usual list: all clusters, healthy or not. Only of such a list pieces are kept, which
 * a flip moves. */
static bool flips_are_moved(const struct list_request *list)
{
	return list->query.clusters.n == 0 && !list->query.healthy_only;
}

/* Makes a fresh copy of the service, whose revision may be newer than the stamp; list->stamp.found
 * is false when the service has gone meanwhile. normal is memory for the normal form of the
 * clusters. */
static int read_service(struct request *rq, struct list_request *list, struct buf *normal)
{
	int ret = registry_view(&rq->worker->registry, &list->service, v1_request(rq)->view);

	if (ret < 0)
		return ret;
	list->stamp = v1_request(rq)->view->stamp;
	if (list->stamp.found && list->query.clusters.n > 0 &&
	    (ret = pick_normal(v1_request(rq)->view, list->query.clusters, normal)) == 0)
		list->picked = buf_view(normal);
	return ret;
}

static int render(struct request *rq, struct list_request *list, struct buf *hosts,
                  struct buf *metadata, struct list_cache_entry *entry)
{
	struct service_view *view = v1_request(rq)->view;
	uint8_t checksum[16];
	bool fresh;
	int ret;

	entry->content = view->content;
	if (flips_are_moved(list) && view->instance_count <= PIECES_MOST) {
		entry->piece_count = view->instance_count;
		entry->pieces =
		        arena_alloc(&rq->arena, entry->piece_count * sizeof(entry->pieces[0]));
	}
	if (entry->pieces == NULL)
		entry->piece_count = 0;
	if ((ret = list_hosts(view, &list->query, hosts, &entry->shape, &fresh, checksum,
	                      entry->pieces)) < 0)
		return ret;
	metadata_json(metadata, view->metadata);
	/* The checksum saves the next reader work; if it cannot be stored, that one makes it
	 * again. */
	if (fresh && !view->loose &&
	    naming_keep_checksum(&rq->worker->naming, &list->service, view->stamp.id, view->content,
	                         checksum) < 0)
		fresh = false;
	return buf_failed(metadata) ? ERR_NOMEM : 0;
}

static struct list_cache_key cache_key(const struct list_request *list)
{
	return (struct list_cache_key){
		.epoch = list->stamp.epoch,
		.service_id = list->stamp.id,
		.revision = list->stamp.revision,
		.clusters = list->picked,
		.grouped = list->grouped,
		.healthy_only = list->query.healthy_only,
	};
}

static void give_back_large(struct v1 *v1)
{
	if (v1->hosts.cap > KEEP_BYTES)
		buf_free(&v1->hosts);
	if (v1->view.text_cap > KEEP_BYTES)
		service_view_free(&v1->view);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answer_entry(struct request *rq, struct list_request *list,
                         const struct list_cache_entry *entry)
{
	struct str none = { NULL, 0 };
	/* The buffer is given away where it would not outlast this function: give_back_large() or
	 * the end of answer_long() would free it. */
	bool leaves = rq->work != NULL || list->hosts->cap > KEEP_BYTES;
	bool own = leaves && entry->hosts.p != NULL && entry->hosts.p == list->hosts->data;
	struct buf b;
	int ret = handler_bytes_fit(rq, entry->hosts.n);

	if (ret < 0) {
		reply_registry_error(rq, ret, list->service.name, STR(""));
		return;
	}
	list->fields.metadata_json = entry->metadata_json;
	buf_init(&b);
	if (entry->shape.empty || list->query.is_check)
		list_reply(&b, &list->query, &entry->shape, entry->hosts, &list->fields);
	else
		list_reply_tail(&b, &entry->shape, &list->fields);
	if (buf_failed(&b))
		reply_caused(rq, 503, "out of memory");
	else if (entry->shape.empty || list->query.is_check)
		reply_json(rq, buf_view(&b), none, none);
	else if (own)
		reply_json_buf(rq, STR(LIST_HEAD), list->hosts, buf_view(&b));
	else
		reply_json(rq, STR(LIST_HEAD), entry->hosts, buf_view(&b));
	buf_free(&b);
}

static void answer_unknown(struct request *rq, const struct list_request *list)
{
	struct buf b;

	buf_init(&b);
	list_reply_unknown(&b, &list->fields);
	handler_reply_buf(rq, &b);
}

static void answer_and_keep(struct request *rq, struct list_request *list,
                            const struct list_cache_entry *entry)
{
	struct list_cache_key key = cache_key(list);

	list_cache_put(v1_of(rq->worker)->list_cache, &key, entry);
	answer_entry(rq, list, entry);
}

/* If only health has changed since an older entry, its hosts are moved. Returns false when the list
 * has to be rendered. */
static bool answer_flipped(struct request *rq, struct list_request *list)
{
	struct list_cache_key key = cache_key(list);
	const struct list_cache_entry *older =
	        list_cache_older(v1_of(rq->worker)->list_cache, &key);
	uint64_t healthy[PIECES_MOST / 64];
	struct list_cache_entry entry;
	struct buf *hosts = list->hosts;

	if (older == NULL || older->piece_count == 0 || older->shape.empty ||
	    older->piece_count != list->stamp.instances)
		return false;
	ROSTER_ASSERT(older->piece_count <= PIECES_MOST);
	entry = *older;
	entry.pieces = arena_alloc(&rq->arena, entry.piece_count * sizeof(entry.pieces[0]));
	entry.metadata_json = arena_copy(&rq->arena, older->metadata_json);
	if (entry.pieces == NULL || entry.metadata_json.p == NULL)
		return false;
	memcpy(entry.pieces, older->pieces, entry.piece_count * sizeof(entry.pieces[0]));
	if (registry_health(&rq->worker->registry, &list->service, list->stamp.id, entry.content,
	                    entry.piece_count, healthy, &list->stamp) < 0)
		return false;
	buf_reset(hosts);
	if (list_flipped(older->hosts, entry.pieces, entry.piece_count, healthy,
	                 list->stamp.threshold, hosts) < 0)
		return false;
	entry.hosts = buf_view(hosts);
	answer_and_keep(rq, list, &entry);
	metric_add(METRIC_LIST_CACHE_FLIPPED, 1);
	return true;
}

/* A long list is copied in slices. */
static void answer_copied(struct request *rq, struct list_request *list,
                          const struct list_cache_entry *held)
{
	struct list_cache_entry entry = *held;
	int ret = 0;

	buf_reset(list->hosts);
	if (!buf_reserve(list->hosts, held->hosts.n))
		ret = ERR_NOMEM;
	else if ((ret = fiber_copy(list->hosts->data, held->hosts.p, held->hosts.n, COPY_BYTES)) ==
	         0)
		list->hosts->len = held->hosts.n;
	entry.hosts = buf_view(list->hosts);
	if (ret == 0)
		answer_entry(rq, list, &entry);
	else
		reply_registry_error(rq, ret, list->service.name, STR(""));
}

static bool answer_cached(struct request *rq, struct list_request *list)
{
	const struct list_cache_key key = cache_key(list);
	const struct list_cache_entry *held = list_cache_hold(v1_of(rq->worker)->list_cache, &key);

	if (held == NULL)
		return false;
	metric_add(METRIC_LIST_CACHE_HITS, 1);
	if (held->hosts.n > COPY_BYTES && rq->work != NULL)
		answer_copied(rq, list, held);
	else
		answer_entry(rq, list, held);
	list_cache_release(held);
	return true;
}

static void answer_rendered(struct request *rq, struct list_request *list)
{
	struct list_cache_entry entry = { .hosts = { NULL, 0 } };
	struct buf *hosts = list->hosts, metadata;
	int ret;

	metric_add(METRIC_LIST_CACHE_MISSES, 1);
	buf_reset(hosts);
	buf_init(&metadata);
	if ((ret = render(rq, list, hosts, &metadata, &entry)) < 0) {
		reply_registry_error(rq, ret, list->service.name, STR(""));
	} else {
		entry.hosts = buf_view(hosts);
		entry.metadata_json = buf_view(&metadata);
		if (v1_request(rq)->view->loose)
			answer_entry(rq, list, &entry);
		else
			answer_and_keep(rq, list, &entry);
	}
	buf_free(&metadata);
}

/* Other texts of clusters that pick the same have the same hosts, which are kept once, under the
 * normal form. */
static void answer_read(struct request *rq, struct list_request *list)
{
	struct buf normal;
	int ret;

	buf_init(&normal);
	if ((ret = read_service(rq, list, &normal)) < 0)
		reply_registry_error(rq, ret, list->service.name, STR(""));
	else if (!list->stamp.found)
		answer_unknown(rq, list);
	else if (list->query.clusters.n == 0 || v1_request(rq)->view->loose ||
	         str_eq(list->picked, list->query.clusters) || !answer_cached(rq, list))
		answer_rendered(rq, list);
	buf_free(&normal);
}

static void answer_stamped(struct request *rq, struct list_request *list)
{
	if (answer_cached(rq, list))
		return;
	if (!flips_are_moved(list) || !answer_flipped(rq, list))
		answer_read(rq, list);
}

/* Some time may have passed since the request came, so the stamp is read anew. */
static void answer_long(struct request *rq)
{
	struct list_request *list = rq->kept;
	struct buf hosts;
	int ret = registry_poll(&rq->worker->registry, &list->service, NULL, &list->stamp);

	ROSTER_ASSERT(rq->work != NULL); /* or answer_entry() lends hosts, which end here */
	buf_init(&hosts);
	list->hosts = &hosts;
	list->fields.last_ref_time = clock_wall_ms();
	if (ret < 0)
		reply_registry_error(rq, ret, list->service.name, STR(""));
	else if (!list->stamp.found)
		answer_unknown(rq, list);
	else
		answer_stamped(rq, list);
	buf_free(&hosts);
}

/* Writes hosts that are not in the cache into a buffer that all such requests share. */
static void answer_short(struct request *rq, struct list_request *list)
{
	struct v1 *v1 = v1_of(rq->worker);

	ROSTER_ASSERT(rq->work == NULL); /* or others would write there at each of its pauses */
	list->hosts = &v1->hosts;
	answer_stamped(rq, list);
	give_back_large(v1);
}

/* A large body makes a request a long one, whatever it asks for. */
static bool is_short(const struct request *rq, const struct list_request *list)
{
	return rq->work == NULL && list->stamp.instances <= LONG_INSTANCES &&
	       list->stamp.bytes <= LONG_STORED_BYTES;
}

static void answer_found(struct request *rq, struct list_request *list)
{
	struct list_request *kept;

	if (is_short(rq, list)) {
		answer_short(rq, list);
		return;
	}
	if ((kept = arena_alloc(&rq->arena, sizeof(*kept))) == NULL) {
		reply_caused(rq, 503, "out of memory");
		return;
	}
	*kept = *list;
	rq->kept = kept;
	long_start(rq, answer_long);
}

void handle_instance_list(struct request *rq)
{
	struct list_request list;
	int ret;

	memset(&list, 0, sizeof(list));
	if (!read_list(rq, &list))
		return;
	metric_add(METRIC_LISTS, 1);
	if ((ret = poll_service(rq, &list)) < 0) {
		reply_registry_error(rq, ret, list.service.name, STR(""));
		return;
	}
	list.fields.name = list.service.name;
	list.fields.dom = list.grouped ? list.service.name : list_bare_name(list.service.name);
	list.fields.clusters = list.query.clusters;
	list.fields.env = list.env;
	list.fields.last_ref_time = clock_wall_ms();
	if (!list.stamp.found)
		answer_unknown(rq, &list);
	else if (list.stamp.disabled)
		reply_caused(rq, 500, "service is disabled now.");
	else if (v1_request(rq)->agent.kind == AGENT_JAVA && !v1_request(rq)->agent.has_version)
		reply_caused(rq, 500, "the version of the client cannot be read");
	else
		answer_found(rq, &list);
}
