/* SPDX-License-Identifier: Apache-2.0 */
/* datagram.h - the bytes of one push, shared by all subscribers that get the same ones.
 *
 * References are counted: the round that encoded the bytes holds one, and so does each delivery
 * that may have to send them again. The set knows how many bytes are kept. Past its limit new
 * datagrams are still made, since they must be sent, but they say keep == false: deliveries do not
 * hold them, and a resend is encoded anew from the state of that moment. So the memory of the
 * pusher stays bounded however many services change.
 *
 * The set also answers "is there a live push with this lastRefTime?", which tells an ACK from a
 * foreign address from one nobody waits for. */
#ifndef PUSHER_DATAGRAM_H
#define PUSHER_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/str.h"

#define DATAGRAM_BUCKETS 1024U

struct datagram {
	struct datagram *next; /* of the bucket */
	uint64_t key;          /* lastRefTime */
	uint32_t refs;
	bool keep;
	size_t len;
	char data[];
};

struct datagrams {
	struct datagram *buckets[DATAGRAM_BUCKETS];
	uint64_t count;
	uint64_t bytes, bytes_max;
};

void datagrams_init(struct datagrams *set, uint64_t bytes_max);
/* Copies the bytes. The caller gets one reference, or NULL when there is no memory. */
struct datagram *datagram_new(struct datagrams *set, uint64_t key, struct str bytes);
struct datagram *datagram_hold(struct datagram *datagram);
/* Gives a reference back and clears the pointer, which may be NULL. The last reference frees. */
void datagram_release(struct datagrams *set, struct datagram **datagram);
bool datagrams_live(const struct datagrams *set, uint64_t key);

#endif
