/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/datagram.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"

/* Keys of one time are close together: the multiplication spreads them over the buckets. */
static struct datagram **datagram_bucket(const struct datagrams *set, uint64_t key)
{
	uint64_t mixed = key * 0x9e3779b97f4a7c15ULL;

	return (struct datagram **)&set->buckets[mixed >> 54 & (DATAGRAM_BUCKETS - 1)];
}

void datagrams_init(struct datagrams *set, uint64_t bytes_max)
{
	memset(set, 0, sizeof *set);
	set->bytes_max = bytes_max;
}

struct datagram *datagram_new(struct datagrams *set, uint64_t key, struct str bytes)
{
	struct datagram **bucket = datagram_bucket(set, key);
	struct datagram *datagram = malloc(sizeof *datagram + bytes.n);

	if (datagram == NULL)
		return NULL;
	datagram->key = key;
	datagram->refs = 1;
	/* Decided once and for all: who holds the datagram must not depend on what others release
	 * meanwhile. */
	datagram->keep = set->bytes + bytes.n <= set->bytes_max;
	datagram->len = bytes.n;
	if (bytes.n > 0)
		memcpy(datagram->data, bytes.p, bytes.n);
	datagram->next = *bucket;
	*bucket = datagram;
	set->count++;
	set->bytes += bytes.n;
	return datagram;
}

struct datagram *datagram_hold(struct datagram *datagram)
{
	ROSTER_ASSERT(datagram->refs > 0);
	datagram->refs++;
	return datagram;
}

void datagram_release(struct datagrams *set, struct datagram **datagram_p)
{
	struct datagram *datagram = *datagram_p;
	struct datagram **link;

	*datagram_p = NULL;
	if (datagram == NULL)
		return;
	ROSTER_ASSERT(datagram->refs > 0);
	if (--datagram->refs > 0)
		return;
	/* With the last reference it leaves its bucket, so that no ACK finds it alive. */
	for (link = datagram_bucket(set, datagram->key); *link != datagram; link = &(*link)->next)
		ROSTER_ASSERT(*link != NULL); /* it stands in the bucket of its key */
	ROSTER_ASSERT(set->count > 0 && set->bytes >= datagram->len);
	*link = datagram->next;
	set->count--;
	set->bytes -= datagram->len;
	free(datagram);
}

bool datagrams_live(const struct datagrams *set, uint64_t key)
{
	const struct datagram *datagram = *datagram_bucket(set, key);

	while (datagram != NULL && datagram->key != key)
		datagram = datagram->next;
	return datagram != NULL;
}
