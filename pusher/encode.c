/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/encode.h"

#include "shared/codec/gzip.h"
#include "shared/codec/json_write.h"
#include "shared/view/list.h"
#include "shared/view/metadata.h"

#define LEVEL_SMALL 6
#define LEVEL_FAST 1
/* Above the first, level 6 would hold everybody up; above the second nothing fits whatever the level. */
#define FAST_FROM (1U << 20)
#define HOPELESS_FROM (16U << 20)
#define KEEP_BYTES (1U << 20)

int encoder_init(struct encoder *encoder)
{
	int ret;

	encoder->small = encoder->fast = NULL;
	buf_init(&encoder->hosts);
	buf_init(&encoder->metadata);
	buf_init(&encoder->data);
	buf_init(&encoder->packet);
	buf_init(&encoder->packed);
	if ((ret = gzip_new(LEVEL_SMALL, &encoder->small)) < 0)
		return ret;
	return gzip_new(LEVEL_FAST, &encoder->fast);
}

void encoder_free(struct encoder *encoder)
{
	gzip_free(&encoder->small);
	gzip_free(&encoder->fast);
	buf_free(&encoder->hosts);
	buf_free(&encoder->metadata);
	buf_free(&encoder->data);
	buf_free(&encoder->packet);
	buf_free(&encoder->packed);
}

/* One giant service must not leave the pusher giant. */
static void reuse(struct buf *b)
{
	if (b->cap > KEEP_BYTES) {
		buf_free(b);
		buf_init(b);
	}
	buf_reset(b);
}

static void write_packet(struct buf *b, struct str data, uint64_t key)
{
	reuse(b);
	BUF_LIT(b, "{\"type\":\"dom\",\"data\":\"");
	json_escape(b, data);
	BUF_LIT(b, "\",\"lastRefTime\":");
	buf_u64(b, key);
	BUF_LIT(b, "}");
}

int encode_packet(struct encoder *encoder, struct str data, uint64_t key, bool fast, struct str *bytes_r)
{
	struct buf *packet = &encoder->packet;
	int ret;

	if (data.n > HOPELESS_FROM)
		return ERR_TOO_BIG;
	write_packet(packet, data, key);
	if (buf_failed(packet))
		return ERR_NOMEM;
	*bytes_r = buf_view(packet);
	if (packet->len >= ENCODE_GZIP_MIN) {
		reuse(&encoder->packed);
		ret = gzip_pack(fast || packet->len > FAST_FROM ? encoder->fast : encoder->small, packet->data, packet->len,
		                &encoder->packed);
		if (ret < 0)
			return ret;
		*bytes_r = buf_view(&encoder->packed);
	}
	return bytes_r->n > ENCODE_BYTES_MAX ? ERR_TOO_BIG : 0;
}

static int write_known(struct encoder *encoder, const struct encode_job *job, struct list_fields *fields,
                       struct encode_checksum *checksum_r)
{
	struct list_query query = { .clusters = job->clusters, .grouped = job->grouped };
	struct list_shape shape;
	int ret;

	reuse(&encoder->hosts);
	reuse(&encoder->metadata);
	metadata_json(&encoder->metadata, job->view->metadata);
	fields->metadata_json = buf_view(&encoder->metadata);
	ret = list_hosts(job->view, &query, &encoder->hosts, &shape, &checksum_r->fresh, checksum_r->md5, NULL);
	if (ret < 0)
		return ret;
	list_reply(&encoder->data, &query, &shape, buf_view(&encoder->hosts), fields);
	return buf_failed(&encoder->hosts) || buf_failed(&encoder->metadata) ? ERR_NOMEM : 0;
}

static void write_disabled(struct buf *b, const struct encode_job *job)
{
	BUF_LIT(b, "{\"name\":");
	json_string(b, job->name);
	BUF_LIT(b, ",\"lastRefTime\":");
	buf_u64(b, job->wall_ms);
	BUF_LIT(b, ",\"cacheMillis\":");
	buf_u64(b, job->cache_ms);
	BUF_LIT(b, "}");
}

int encode_push(struct encoder *encoder, const struct encode_job *job, struct str *bytes_r, struct encode_checksum *checksum_r)
{
	struct list_fields fields = {
		.name = job->name,
		.dom = job->grouped ? job->name : list_bare_name(job->name),
		.clusters = job->clusters,
		.env = STR(""),
		.cache_ms = job->cache_ms,
		.last_ref_time = job->wall_ms,
		.metadata_json = STR("{}"),
	};
	int ret = 0;

	checksum_r->fresh = false;
	reuse(&encoder->data);
	if (!job->view->stamp.found)
		list_reply_unknown(&encoder->data, &fields);
	else if (job->view->stamp.disabled)
		write_disabled(&encoder->data, job);
	else
		ret = write_known(encoder, job, &fields, checksum_r);
	if (ret < 0)
		return ret;
	if (buf_failed(&encoder->data))
		return ERR_NOMEM;
	return encode_packet(encoder, buf_view(&encoder->data), job->key, job->fast, bytes_r);
}
