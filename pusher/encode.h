/* SPDX-License-Identifier: Apache-2.0 */
/* encode.h - one push packet: text, then gzip when it is worth it (specification 9.4).
 *
 * The inner text D is the list reply a poll would get (shared/view/list.h), with cacheMillis of
 * the switch defaultPushCacheMillis; the packet is
 *
 *     {"type":"dom","data":"<D as JSON string>","lastRefTime":<R>}
 *
 * Packets of ENCODE_GZIP_MIN bytes or more leave as one gzip member. Buffers are reused from call to
 * call: the bytes handed out are valid until the next one. */
#ifndef PUSHER_ENCODE_H
#define PUSHER_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"

#define ENCODE_GZIP_MIN 1024U
#define ENCODE_BYTES_MAX 65507U /* of a datagram */
#define ENCODE_BYTES_GO 4024U   /* what the Go client reads of one */

struct gzip;

struct encoder {
	struct gzip *small, *fast;
	struct buf hosts, metadata, data, packet, packed;
};

struct encode_job {
	const struct service_view *view; /* not found: the four fields of an unknown service */
	struct str name;                 /* group@@service */
	struct str clusters;             /* as the subscriber asked */
	bool grouped;
	bool fast; /* many wait: level 1 instead of 6 */
	uint64_t cache_ms, wall_ms;
	uint64_t key; /* R */
};

struct encode_checksum {
	bool fresh; /* computed here: store it for the other readers */
	uint8_t md5[16];
};

int encoder_init(struct encoder *encoder) MUST_CHECK;
void encoder_free(struct encoder *encoder);
/* ERR_TOO_BIG: no datagram can hold it. ERR_NOMEM. */
int encode_push(struct encoder *encoder, const struct encode_job *job, struct str *bytes_r,
                struct encode_checksum *checksum_r) MUST_CHECK;
/* The second half alone: D is given. */
int encode_packet(struct encoder *encoder, struct str data, uint64_t key, bool fast, struct str *bytes_r) MUST_CHECK;

#endif
