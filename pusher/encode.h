/* SPDX-License-Identifier: Apache-2.0 */
/* encode.h - one push packet: text, then gzip when it is worth it (specification 9.4).
 *
 * The inner text D is the list reply a poll would get (shared/view/list.h), with cacheMillis of the
 * switch defaultPushCacheMillis; the packet is
 *
 *     {"type":"dom","data":"<D as JSON string>","lastRefTime":<R>}
 *
 * Packets of ENCODE_GZIP_MIN bytes or more leave as one gzip member. Buffers are reused from call
 * to call: the bytes handed out are valid until the next one.
 *
 * Most of a packet are its hosts, and they are the same for all texts that pick the same clusters
 * (shared/view/pick.h). So the hosts of the call before are kept, escaped, and so is the fact that
 * they are too many.
 *
 * Long work pauses (fiber.h), so an encoder belongs to one round. The compressors are used within
 * one call only, and shared by all.
 *
 * A packet is bounded because beyond ENCODE_TEXT_MAX of text hardly anything fits a datagram:
 * 65,507 bytes hold 3.2 MB of the most regular list (10,700 hosts that count up), 1.9 MB with
 * addresses at random, and 0.8 MB with an id for each host. Level 6 packs a long text of few
 * letters for 33 ns a byte, so it is for texts up to ENCODE_SMALL_MAX (4 ms at worst; a list takes
 * 0.3 ms). Level 1 takes 1 ns for each byte it reads and 16 more for each it writes: 4 MiB that fit
 * take 4 to 5 ms, 4 MiB at random would take 40. So a text is tried first, piece by piece with
 * pauses between, and given up as soon as its pieces are far too long together. */
#ifndef PUSHER_ENCODE_H
#define PUSHER_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"
#include "shared/view/list.h"

#define ENCODE_GZIP_MIN 1024U
#define ENCODE_BYTES_MAX 65507U /* of a datagram */
#define ENCODE_BYTES_GO 4024U   /* what the Go client reads of one */
#define ENCODE_TEXT_MAX (4U << 20)
#define ENCODE_SMALL_MAX (128U << 10)

struct gzip;

struct packers {
	struct gzip *small, *fast; /* level 6, level 1 */
};

struct encoder {
	const struct packers *packers;
	struct buf hosts, metadata, data, packet, packed;
	/* The hosts of the call before, as they stand in a packet. */
	struct buf escaped;
	struct pick pick;
	struct list_shape shape;
	bool known, grouped;
	int fate; /* 0, ERR_TOO_BIG */
};

struct encode_job {
	/* when it says "not found", the four fields of an unknown service are sent */
	const struct service_view *view;
	struct str name;     /* group@@service */
	struct str clusters; /* as the subscriber asked */
	bool grouped;
	bool fast; /* many wait: level 1 instead of 6 */
	uint64_t cache_ms, wall_ms;
	uint64_t key; /* R */
};

struct encode_checksum {
	bool fresh; /* computed here: store it for the other readers */
	uint8_t md5[16];
};

int packers_init(struct packers *packers) MUST_CHECK;
void packers_free(struct packers *packers);

void encoder_init(struct encoder *encoder, const struct packers *packers);
void encoder_free(struct encoder *encoder);
/* To be called when the view is filled anew: what is known of it is not true any more. Gives large
 * buffers back. */
void encoder_forget(struct encoder *encoder);
/* Makes the packet of a job. ERR_TOO_BIG: no datagram can hold it. ERR_NOMEM. ERR_GONE: a pause
 * said that nobody waits for it. checksum_r->fresh is set in any case. */
int encode_push(struct encoder *encoder, const struct encode_job *job, struct str *bytes_r,
                struct encode_checksum *checksum_r) MUST_CHECK;
/* Does the second half alone: the caller has D. */
int encode_packet(struct encoder *encoder, struct str data, uint64_t key, bool fast,
                  struct str *bytes_r) MUST_CHECK;

#endif
