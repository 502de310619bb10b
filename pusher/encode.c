/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/encode.h"

#include "shared/base/assert.h"
#include "shared/base/fiber.h"
#include "shared/codec/gzip.h"
#include "shared/codec/json_write.h"
#include "shared/base/breath.h"
#include "shared/view/metadata.h"

#define LEVEL_SMALL 6
#define LEVEL_FAST 1
#define KEEP_BYTES (1U << 20)
/* A text is tried in pieces of so many bytes; one of PIECES_LONG pieces or more is packed in a
 * slice of its own. */
#define PIECE_BYTES (128U << 10)
#define PIECES_LONG 4U
/* A piece packed alone is longer by so much, at least, than as a part of the whole. */
#define PIECE_OVERHEAD 512U

int packers_init(struct packers *packers)
{
	int ret;

	packers->small = packers->fast = NULL;
	if ((ret = gzip_new(LEVEL_SMALL, &packers->small)) < 0)
		return ret;
	return gzip_new(LEVEL_FAST, &packers->fast);
}

void packers_free(struct packers *packers)
{
	gzip_free(&packers->small);
	gzip_free(&packers->fast);
}

void encoder_init(struct encoder *encoder, const struct packers *packers)
{
	*encoder = (struct encoder){ .packers = packers };
	buf_init(&encoder->hosts);
	buf_init(&encoder->metadata);
	buf_init(&encoder->data);
	buf_init(&encoder->packet);
	buf_init(&encoder->packed);
	buf_init(&encoder->escaped);
}

void encoder_free(struct encoder *encoder)
{
	buf_free(&encoder->hosts);
	buf_free(&encoder->metadata);
	buf_free(&encoder->data);
	buf_free(&encoder->packet);
	buf_free(&encoder->packed);
	buf_free(&encoder->escaped);
	pick_free(&encoder->pick);
}

/* One giant service must not leave the pusher giant. */
static void trim_buf(struct buf *b)
{
	if (b->cap > KEEP_BYTES) {
		buf_free(b);
		buf_init(b);
	}
	buf_reset(b);
}

void encoder_forget(struct encoder *encoder)
{
	pick_free(&encoder->pick);
	encoder->known = false;
	trim_buf(&encoder->hosts);
	trim_buf(&encoder->metadata);
	trim_buf(&encoder->data);
	trim_buf(&encoder->packet);
	trim_buf(&encoder->packed);
	trim_buf(&encoder->escaped);
}

/* ---- packing --------------------------------------------------------------------------------- */

/* Finds out whether it is worth while to pack the text. ERR_TOO_BIG: the whole would be too long,
 * or take too long. A text that repeats what stands more than a piece before seems longer than it
 * is. For a short text that is allowed for, since packing it in vain takes little time: the
 * allowance shrinks as the length grows. */
static int try_pieces(struct encoder *encoder, struct str text)
{
	size_t most = ENCODE_BYTES_MAX + (ENCODE_TEXT_MAX - text.n) / 16, sum = 0;
	int ret;

	ROSTER_ASSERT(text.n <= ENCODE_TEXT_MAX); /* or `most` would be anything */
	for (size_t at = 0; at < text.n; at += PIECE_BYTES) {
		size_t n = text.n - at < PIECE_BYTES ? text.n - at : PIECE_BYTES;

		buf_reset(&encoder->packed);
		if ((ret = gzip_pack(encoder->packers->fast, text.p + at, n, &encoder->packed)) < 0)
			return ret;
		sum += encoder->packed.len;
		most += PIECE_OVERHEAD;
		if (sum > most)
			return ERR_TOO_BIG;
		if ((ret = fiber_pause()) < 0)
			return ret;
	}
	return text.n < PIECES_LONG * PIECE_BYTES ? 0 : fiber_rest();
}

static int pack_packet(struct encoder *encoder, bool fast, struct str *bytes_r)
{
	struct str text = buf_view(&encoder->packet);
	/* Level 6 packs better, but takes too long for a long text (encode.h). */
	bool small = !fast && text.n <= ENCODE_SMALL_MAX;
	int ret = text.n > PIECE_BYTES ? try_pieces(encoder, text) : 0;

	if (ret < 0)
		return ret;
	buf_reset(&encoder->packed);
	ret = gzip_pack(small ? encoder->packers->small : encoder->packers->fast, text.p, text.n,
	                &encoder->packed);
	*bytes_r = buf_view(&encoder->packed);
	return ret;
}

/* D consists of `escaped`, which stands there as it is sent, and of data, which is escaped here. */
static int finish_packet(struct encoder *encoder, struct str escaped, struct str data, uint64_t key,
                         bool fast, struct str *bytes_r)
{
	struct buf *packet = &encoder->packet;
	int ret = 0;

	buf_reset(packet);
	BUF_LIT(packet, "{\"type\":\"dom\",\"data\":\"");
	buf_str(packet, escaped);
	json_escape(packet, data);
	buf_char(packet, '"');
	JSON_PUT_U64(packet, "lastRefTime", key);
	buf_char(packet, '}');
	if (buf_failed(packet))
		return ERR_NOMEM;
	if (packet->len > ENCODE_TEXT_MAX)
		return ERR_TOO_BIG;
	*bytes_r = buf_view(packet);
	if (packet->len >= ENCODE_GZIP_MIN)
		ret = pack_packet(encoder, fast, bytes_r);
	if (ret == 0 && bytes_r->n > ENCODE_BYTES_MAX)
		ret = ERR_TOO_BIG;
	return ret;
}

int encode_packet(struct encoder *encoder, struct str data, uint64_t key, bool fast,
                  struct str *bytes_r)
{
	if (data.n > ENCODE_TEXT_MAX)
		return ERR_TOO_BIG;
	return finish_packet(encoder, STR(""), data, key, fast, bytes_r);
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* Escapes in pieces with pauses between; the unescaped text is not needed afterwards. */
static int escape_hosts(struct encoder *encoder)
{
	struct breath breath = { 0 };
	struct str hosts = buf_view(&encoder->hosts);
	int ret = 0;

	ROSTER_ASSERT(encoder->escaped.len == 0);
	json_escape(&encoder->escaped, STR(LIST_HEAD));
	/* Each byte is escaped by itself, so a piece may end anywhere. */
	for (size_t at = 0; at < hosts.n && ret == 0; at += BREATH_WEIGHT) {
		size_t n = hosts.n - at < BREATH_WEIGHT ? hosts.n - at : BREATH_WEIGHT;

		json_escape(&encoder->escaped, str_make(hosts.p + at, n));
		ret = encoder->escaped.len > ENCODE_TEXT_MAX ? ERR_TOO_BIG : breathe(&breath, n);
	}
	buf_reset(&encoder->hosts);
	return ret;
}

static int render_hosts(struct encoder *encoder, const struct encode_job *job,
                        struct encode_checksum *checksum_r)
{
	struct list_query query = { .grouped = job->grouped, .most = ENCODE_TEXT_MAX };
	int ret;

	buf_reset(&encoder->hosts);
	buf_reset(&encoder->escaped);
	ret = list_hosts_picked(job->view, &encoder->pick, &query, &encoder->hosts, &encoder->shape,
	                        NULL);
	if (ret == 0 && !encoder->shape.empty)
		ret = escape_hosts(encoder);
	if (ret == 0)
		ret = list_shape_checksum(job->view, &encoder->shape, &checksum_r->fresh,
		                          checksum_r->md5);
	return ret == 0 && buf_failed(&encoder->escaped) ? ERR_NOMEM : ret;
}

/* Puts the hosts into encoder->escaped and ->shape, unless they stand there from the call
 * before. */
static int hosts_for(struct encoder *encoder, const struct encode_job *job,
                     struct encode_checksum *checksum_r)
{
	struct pick pick;
	int ret = pick_make(&pick, job->view, job->clusters);

	if (ret == 0 && encoder->known && encoder->grouped == job->grouped &&
	    pick_same(&pick, &encoder->pick)) {
		pick_free(&pick);
		return encoder->fate;
	}
	pick_free(&encoder->pick);
	encoder->pick = pick;
	encoder->grouped = job->grouped;
	if (ret == 0)
		ret = render_hosts(encoder, job, checksum_r);
	encoder->fate = ret;
	/* That the hosts are too many is true for the next call as well. A lack of memory need not
	 * be. */
	encoder->known = ret == 0 || ret == ERR_TOO_BIG;
	return ret;
}

/* ---- D --------------------------------------------------------------------------------------- */

static int write_known(struct encoder *encoder, const struct encode_job *job,
                       struct list_fields *fields, struct encode_checksum *checksum_r)
{
	struct list_query query = { .clusters = job->clusters, .grouped = job->grouped };
	int ret = hosts_for(encoder, job, checksum_r);

	if (ret < 0)
		return ret;
	buf_reset(&encoder->metadata);
	metadata_json(&encoder->metadata, job->view->metadata);
	fields->metadata_json = buf_view(&encoder->metadata);
	ROSTER_ASSERT(encoder->known && encoder->fate == 0);
	/* Else the hosts would come twice. */
	ROSTER_ASSERT(!encoder->shape.empty || encoder->escaped.len == 0);
	/* Without hosts nothing is escaped yet, and the reply is written from its beginning. */
	if (encoder->shape.empty)
		list_reply(&encoder->data, &query, &encoder->shape, STR(""), fields);
	else
		list_reply_tail(&encoder->data, &encoder->shape, fields);
	return buf_failed(&encoder->metadata) ? ERR_NOMEM : 0;
}

/* Of a service that is switched off a client learns nothing but when to ask again. */
static void write_disabled(struct buf *b, const struct encode_job *job)
{
	buf_char(b, '{');
	JSON_PUT_STRING(b, "name", job->name);
	JSON_PUT_U64(b, "lastRefTime", job->wall_ms);
	JSON_PUT_U64(b, "cacheMillis", job->cache_ms);
	buf_char(b, '}');
}

int encode_push(struct encoder *encoder, const struct encode_job *job, struct str *bytes_r,
                struct encode_checksum *checksum_r)
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
	struct str escaped = STR("");
	int ret = 0;

	checksum_r->fresh = false;
	buf_reset(&encoder->data);
	if (!job->view->stamp.found) {
		list_reply_unknown(&encoder->data, &fields);
	} else if (job->view->stamp.disabled) {
		write_disabled(&encoder->data, job);
	} else {
		ret = write_known(encoder, job, &fields, checksum_r);
		escaped = buf_view(&encoder->escaped);
	}
	if (ret < 0)
		return ret;
	if (buf_failed(&encoder->data))
		return ERR_NOMEM;
	return finish_packet(encoder, escaped, buf_view(&encoder->data), job->key, job->fast,
	                     bytes_r);
}
