/* SPDX-License-Identifier: Apache-2.0 */
#include "pusher/deliver.h"

#include <errno.h>
#include <string.h>

#include "pusher/ack.h"
#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/config/config.h"
#include "shared/metrics/metrics.h"
#include "shared/net/address.h"
#include "shared/registry/registry_pusher.h"
#include "shared/registry/subscribers.h"
#include "shared/shm/fault.h"

/* Pacing may delay a datagram for so long; what would have to wait longer is left owed. */
#define DELAY_LIMIT_MS (INFLIGHT_DELAY_MAX_MS - 10)
/* deliver_due() sends and gives up for so long at a time. */
#define DUE_MS 2U

int deliver_init(struct deliver *d, struct registry *reg, const struct config *config, int fd,
                 uint32_t overflow)
{
	uint64_t seed = reg->seg->header->seed;
	int ret;

	d->reg = reg;
	d->config = config;
	datagrams_init(&d->datagrams, DELIVER_KEEP_BYTES);
	if ((ret = inflight_new(seed, &d->inflight)) < 0 || (ret = pace_new(seed, &d->pace)) < 0 ||
	    (ret = recent_new(seed, &d->recent)) < 0)
		return ret;
	return udp_init(&d->udp, fd, overflow);
}

static void drop_entry(struct deliver *d, struct inflight_entry *entry)
{
	datagram_release(&d->datagrams, &entry->datagram);
	inflight_remove(d->inflight, entry);
}

/* The delivery leaves the table. An ACK that comes for it from now on is late, or a repeat, and
 * recent.h tells which. */
static void forget_entry(struct deliver *d, struct inflight_entry *entry, bool acked)
{
	if (entry->tries > 0)
		recent_add(d->recent, entry->address, entry->port, entry->key, acked);
	drop_entry(d, entry);
}

/* The items behind move up, so that the batch keeps the order in which it was filled. */
static void drop_first_out(struct deliver *d, unsigned n)
{
	unsigned i;

	ROSTER_ASSERT(n <= d->out_count);
	for (i = 0; i < n; i++) {
		d->out_bytes -= d->out[i].datagram->len;
		datagram_release(&d->datagrams, &d->out[i].datagram);
	}
	d->out_count -= n;
	memmove(d->out, d->out + n, d->out_count * sizeof d->out[0]);
	ROSTER_ASSERT(d->out_count > 0 || d->out_bytes == 0);
}

/* Returns the entry that an item belongs to, or NULL when its ACK came, or a newer push, while the
 * item waited for the socket. */
static struct inflight_entry *entry_of_item(struct deliver *d, const struct deliver_item *item)
{
	struct inflight_entry *entry = inflight_find(d->inflight, item->shard, item->sub_id);

	return entry != NULL && entry->key == item->key ? entry : NULL;
}

void deliver_free(struct deliver *d)
{
	struct inflight_entry *entry;
	unsigned i;

	for (i = 0; i < d->out_count; i++) {
		/* Entries that the batch holds are in no list, so they are found by its items. */
		if (d->out[i].held && (entry = entry_of_item(d, &d->out[i])) != NULL)
			drop_entry(d, entry);
	}
	drop_first_out(d, d->out_count);
	if (d->inflight != NULL) {
		/* At a time so far ahead everything in the wheel is due. */
		while ((entry = inflight_oldest(d->inflight)) != NULL ||
		       (entry = inflight_due(d->inflight, UINT64_MAX / 2)) != NULL)
			drop_entry(d, entry);
	}
	inflight_free(&d->inflight);
	pace_free(&d->pace);
	recent_free(&d->recent);
}

bool deliver_resend_owed(const struct subscriber_view *sub)
{
	return sub->push_key != 0 && sub->sent_revision > sub->acked_revision && sub->tries < 2;
}

void deliver_owe(struct deliver *d, uint8_t shard)
{
	ROSTER_ASSERT(shard < SHARDS); /* a subscriber is in no other */
	d->owed |= 1ULL << shard;
}

/* ---- marks in the segment -------------------------------------------------------------------- */

typedef int mark_fn(struct registry *reg, uint32_t shard, const struct delivery *d, uint32_t count);

/* Marks all with one hold of the lock for each run of the same shard. The deliveries of a round are
 * all of one shard, so that a batch costs one hold as a rule. A mark that fails is not made up for:
 * the subscriber seems to be behind, and gets a state twice at worst. */
static void mark_runs(struct deliver *d, mark_fn *fn, const struct delivery *list,
                      const uint8_t *shards, unsigned count)
{
	unsigned from, to;
	int ret;

	for (from = 0; from < count; from = to) {
		for (to = from + 1; to < count && shards[to] == shards[from]; to++)
			;
		if ((ret = fn(d->reg, shards[from], list + from, to - from)) < 0)
			log_warning("op=push-mark shard=%u count=%u err=\"%s\"", shards[from],
			            to - from, err_str(ret));
	}
}

static void mark_items_sent(struct deliver *d, const struct deliver_item *items, unsigned count,
                            uint64_t now_ms)
{
	struct delivery list[UDP_BATCH];
	uint8_t shards[UDP_BATCH];
	unsigned i;

	ROSTER_ASSERT(count <= UDP_BATCH);
	for (i = 0; i < count; i++) {
		list[i] = (struct delivery){
			.id = items[i].sub_id,
			.off = items[i].sub_off,
			.revision = items[i].revision,
			.key = items[i].key,
			.at_ms = now_ms,
			.tries = items[i].tries,
		};
		shards[i] = items[i].shard;
	}
	mark_runs(d, registry_mark_sent, list, shards, count);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Enters a delivery in the place of an older one to the same subscriber. If another delivery with
 * the same socket and key is in flight, that one stands for both in the counters. */
static struct inflight_entry *enter_flight(struct deliver *d, const struct deliver_item *item,
                                           bool hold_bytes)
{
	struct inflight_entry *old = inflight_find(d->inflight, item->shard, item->sub_id);
	struct inflight_entry fields = {
		.sub_id = item->sub_id,
		.key = item->key,
		.revision = item->revision,
		.sub_off = item->sub_off,
		.port = item->port,
		.shard = item->shard,
	};

	if (old != NULL)
		forget_entry(d, old, false);
	memcpy(fields.address, item->address, 16);
	fields.counted = inflight_match(d->inflight, item->address, item->port, item->key) == NULL;
	if (hold_bytes)
		fields.datagram = datagram_hold(item->datagram);
	return inflight_add(d->inflight, &fields);
}

/* What the kernel took waits for its ACK from now on. An item whose entry is gone was acknowledged,
 * or replaced, while it waited for the socket; it counts as sent and nothing is waited for. */
static void settle_sent(struct deliver *d, const struct deliver_item *item, uint64_t now_ms)
{
	struct inflight_entry *entry =
	        item->held ? entry_of_item(d, item) : enter_flight(d, item, item->datagram->keep);

	metric_add(METRIC_PUSH_BYTES, item->datagram->len);
	if (item->tries > 1)
		metric_add(METRIC_PUSH_RETRIED, 1);
	if (entry == NULL)
		return;
	if (item->tries == 1 && entry->counted)
		metric_add(METRIC_PUSH_TOTAL, 1);
	if (entry->first_ms == 0)
		entry->first_ms = now_ms;
	/* Bytes that are not to be kept go now. So do others after the second datagram, since there
	 * is no third. */
	if (entry->datagram != NULL && (!entry->datagram->keep || item->tries > 1))
		datagram_release(&d->datagrams, &entry->datagram);
	entry->tries = item->tries;
	entry->sent_ms = now_ms;
	inflight_wait(d->inflight, entry);
}

/* The first datagram of the batch cannot be sent at all. It counts as failed, and the batch goes on
 * behind it: one bad destination must not stop the others. */
static void settle_failed(struct deliver *d, struct deliver_item *item, bool too_long)
{
	struct inflight_entry *entry = inflight_find(d->inflight, item->shard, item->sub_id);
	bool counted = item->held ? entry != NULL && entry->counted
	                          : inflight_match(d->inflight, item->address, item->port,
	                                           item->key) == NULL;
	char text[ADDRESS_TEXT];

	ROSTER_ASSERT(item == d->out && d->out_count > 0);
	metric_add(too_long ? METRIC_PUSH_OVERSIZE : METRIC_PUSH_SEND_ERRORS, 1);
	if (counted && item->tries == 1)
		metric_add(METRIC_PUSH_TOTAL, 1);
	if (counted)
		metric_add(METRIC_PUSH_FAILED, 1);
	log_debug("op=push-send to=%s port=%u bytes=%zu err=\"%s\"",
	          address_text(item->address, text), item->port, item->datagram->len,
	          strerror(errno));
	if (entry != NULL)
		forget_entry(d, entry, false);
	/* With two tries noted nothing more is owed for this state; the next change tries again. */
	item->tries = 2;
	mark_items_sent(d, item, 1, clock_mono_ms());
	drop_first_out(d, 1);
}

static void settle_batch(struct deliver *d, unsigned sent)
{
	uint64_t now_ms = clock_mono_ms();
	unsigned i;

	if (sent == 0)
		return;
	for (i = 0; i < sent; i++)
		settle_sent(d, &d->out[i], now_ms);
	mark_items_sent(d, d->out, sent, now_ms);
	FAULT("push-marked");
	drop_first_out(d, sent);
}

bool deliver_flush(struct deliver *d)
{
	struct udp_out out[UDP_BATCH];
	enum udp_result result;
	unsigned i, sent;

	while (d->out_count > 0 && d->blocked == UDP_SENT) {
		for (i = 0; i < d->out_count; i++) {
			const struct deliver_item *item = &d->out[i];

			out[i] = (struct udp_out){
				item->address,
				item->port,
				str_make(item->datagram->data, item->datagram->len),
			};
		}
		FAULT("push-unsent");
		result = udp_send(&d->udp, out, d->out_count, &sent);
		FAULT("push-sent-unmarked");
		settle_batch(d, sent);
		if (result == UDP_FULL || result == UDP_SHORT)
			d->blocked = result;
		else if (result != UDP_SENT)
			settle_failed(d, &d->out[0], result == UDP_TOO_LONG);
	}
	return d->blocked == UDP_SENT;
}

void deliver_unblock(struct deliver *d)
{
	d->blocked = UDP_SENT;
}

static uint32_t reserve_pace(struct deliver *d, const uint8_t address[16], uint16_t port)
{
	struct pace_rates rates = { d->config->push_rate, d->config->push_rate_address };
	uint32_t wait_ms =
	        pace_reserve(d->pace, &rates, address, port, clock_mono_us(), DELAY_LIMIT_MS);

	if (wait_ms > 0)
		metric_add(METRIC_PUSH_PACED, 1);
	return wait_ms;
}

/* A batch that is full leaves at once; if the socket takes no more, it stays and nothing is
 * added. */
static void put_out(struct deliver *d, const struct deliver_item *item)
{
	ROSTER_ASSERT(d->out_count < UDP_BATCH);
	ROSTER_ASSERT(item->tries == 1 || item->tries == 2);
	d->out[d->out_count] = *item;
	(void)datagram_hold(item->datagram);
	d->out_bytes += item->datagram->len;
	if (++d->out_count == UDP_BATCH || d->out_bytes >= DELIVER_OUT_BYTES)
		(void)deliver_flush(d);
}

/* Puts a push that was not sent yet into the wheel. It waits there with one try less, because
 * item_of() adds that again. */
static void delay_new(struct deliver *d, const struct deliver_item *item, uint32_t wait_ms)
{
	uint64_t now_ms = clock_mono_ms();
	struct inflight_entry *entry = enter_flight(d, item, true);

	ROSTER_ASSERT(item->tries > 0);
	entry->tries = (uint8_t)(item->tries - 1);
	inflight_delay(d->inflight, entry, now_ms, now_ms + wait_ms);
}

void deliver_push(struct deliver *d, uint8_t shard, const struct subscriber_view *sub,
                  struct datagram *datagram, uint64_t revision, uint8_t tries)
{
	struct deliver_item item = {
		.datagram = datagram,
		.sub_id = sub->id,
		.key = datagram->key,
		.revision = revision,
		.sub_off = sub->off,
		.port = sub->port,
		.shard = shard,
		.tries = tries,
	};
	uint32_t wait_ms;

	/* Room is reserved for all that stands in the batch, since settle_sent() enters them after
	 * they were sent, when nothing can be refused any more. */
	if (d->out_count == UDP_BATCH || inflight_reserve(d->inflight, UDP_BATCH + 1) < 0) {
		deliver_owe(d, shard);
		return;
	}
	memcpy(item.address, sub->address, 16);
	wait_ms = reserve_pace(d, sub->address, sub->port);
	if (wait_ms == PACE_REFUSED)
		deliver_owe(d, shard);
	else if (wait_ms > 0)
		delay_new(d, &item, wait_ms);
	else
		put_out(d, &item);
}

void deliver_unsent(struct deliver *d, uint8_t shard, const struct subscriber_view *sub,
                    uint64_t key, uint64_t revision, uint32_t why)
{
	struct inflight_entry *old = inflight_find(d->inflight, shard, sub->id);
	struct delivery delivery = {
		.id = sub->id,
		.off = sub->off,
		.revision = revision,
		.key = key,
		.at_ms = clock_mono_ms(),
		.tries = why,
	};

	ROSTER_ASSERT(why == REGISTRY_TRIES_OVERSIZE || why == REGISTRY_TRIES_VIEWS);
	if (old != NULL)
		forget_entry(d, old, false);
	metric_add(why == REGISTRY_TRIES_VIEWS ? METRIC_PUSH_VIEWS_REFUSED : METRIC_PUSH_OVERSIZE,
	           1);
	mark_runs(d, registry_mark_sent, &delivery, &shard, 1);
}

/* ---- time ------------------------------------------------------------------------------------ */

static struct deliver_item item_of(const struct inflight_entry *entry)
{
	struct deliver_item item = {
		.datagram = entry->datagram,
		.sub_id = entry->sub_id,
		.key = entry->key,
		.revision = entry->revision,
		.sub_off = entry->sub_off,
		.port = entry->port,
		.shard = entry->shard,
		.tries = (uint8_t)(entry->tries + 1),
		.held = true,
	};

	memcpy(item.address, entry->address, 16);
	return item;
}

static void send_held(struct deliver *d, struct inflight_entry *entry)
{
	struct deliver_item item = item_of(entry);

	ROSTER_ASSERT(item.datagram != NULL); /* who waits for a turn or a resend holds its bytes */
	inflight_hold(d->inflight, entry);
	put_out(d, &item);
}

static void give_up_entry(struct deliver *d, struct inflight_entry *entry)
{
	if (entry->counted)
		metric_add(METRIC_PUSH_FAILED, 1);
	forget_entry(d, entry, false);
}

/* The oldest delivery has waited long enough: it is sent again, as its pace allows, or given up. */
static void expire_wait(struct deliver *d, struct inflight_entry *entry, uint64_t now_ms)
{
	uint32_t wait_ms;

	if (entry->tries >= 2) {
		give_up_entry(d, entry);
	} else if (entry->datagram == NULL) {
		/* Its bytes were not kept: a tour sends the state of then, as the second try. */
		deliver_owe(d, entry->shard);
		forget_entry(d, entry, false);
	} else if ((wait_ms = reserve_pace(d, entry->address, entry->port)) == 0) {
		send_held(d, entry);
	} else {
		/* Unlike a new push, a resend is not left owed: it goes out a little too fast. */
		if (wait_ms > DELAY_LIMIT_MS)
			wait_ms = DELAY_LIMIT_MS;
		inflight_delay(d->inflight, entry, now_ms, now_ms + wait_ms);
	}
}

/* The wait is the one that is configured now, so a reload also changes it for what is in flight. */
static uint64_t wait_end(const struct deliver *d, const struct inflight_entry *entry)
{
	return entry->sent_ms + d->config->push_ack_wait_ms;
}

bool deliver_due(struct deliver *d)
{
	uint64_t now_ms = clock_mono_ms();
	struct inflight_entry *entry;
	unsigned n;

	if (!deliver_flush(d))
		return false;
	for (n = 0; n < UDP_BATCH && d->blocked == UDP_SENT; n++) {
		/* The first one goes out whatever the time, so that each call gets on. */
		if (n > 0 && clock_mono_ms() - now_ms >= DUE_MS)
			return deliver_flush(d);
		if ((entry = inflight_due(d->inflight, now_ms)) != NULL)
			send_held(d, entry);
		else if ((entry = inflight_oldest(d->inflight)) != NULL &&
		         wait_end(d, entry) <= now_ms)
			expire_wait(d, entry, now_ms);
		else
			break;
	}
	return deliver_flush(d) && n == UDP_BATCH;
}

/* All wait equally long, so the oldest one is the next whose wait is over. */
uint64_t deliver_next(const struct deliver *d)
{
	const struct inflight_entry *oldest = inflight_oldest(d->inflight);
	uint64_t due = inflight_next_due(d->inflight);

	return oldest != NULL && wait_end(d, oldest) < due ? wait_end(d, oldest) : due;
}

/* ---- ACKs ------------------------------------------------------------------------------------ */

static void flush_acked(struct deliver *d)
{
	FAULT("push-ack-unmarked");
	mark_runs(d, registry_mark_acked, d->acked, d->acked_shard, d->acked_count);
	d->acked_count = 0;
}

static void accept_ack(struct deliver *d, struct inflight_entry *entry, uint64_t now_ms)
{
	ROSTER_ASSERT(entry->tries > 0); /* what was not sent cannot be acknowledged */
	if (d->acked_count == sizeof d->acked / sizeof d->acked[0])
		flush_acked(d);
	ROSTER_ASSERT(d->acked_count < sizeof d->acked / sizeof d->acked[0]);
	d->acked_shard[d->acked_count] = entry->shard;
	d->acked[d->acked_count++] = (struct delivery){
		.id = entry->sub_id,
		.off = entry->sub_off,
		.revision = entry->revision,
		.key = entry->key,
		.at_ms = now_ms,
		.tries = entry->tries,
	};
	if (entry->counted) {
		metric_add(METRIC_PUSH_OK, 1);
		metric_observe(METRIC_TIME_PUSH_ACK, (now_ms - entry->first_ms) * 1000);
		metric_cost_add(now_ms, now_ms - entry->first_ms);
	}
	forget_entry(d, entry, true);
}

/* Says how an ACK counts that no push waits for. */
static enum metric stray_of(const struct deliver *d, const uint8_t address[16], uint16_t port,
                            uint64_t key)
{
	switch (recent_find(d->recent, address, port, key)) {
	case RECENT_ACKED:
		return METRIC_PUSH_ACK_REPEATED;
	case RECENT_LEFT:
		return METRIC_PUSH_ACK_UNKNOWN;
	case RECENT_NONE:
		break;
	}
	return datagrams_live(&d->datagrams, key) ? METRIC_PUSH_ACK_FOREIGN
	                                          : METRIC_PUSH_ACK_UNKNOWN;
}

/* Clears the deliveries that the ACK acknowledges, `most` at most. Returns how many. */
static unsigned clear_acked(struct deliver *d, const struct deliver_ack *ack, unsigned most)
{
	uint64_t now_ms = clock_mono_ms();
	struct inflight_entry *entry, *next;
	unsigned n = 0;

	for (entry = inflight_match(d->inflight, ack->address, ack->port, ack->key);
	     entry != NULL && n < most; entry = next) {
		next = inflight_match_next(d->inflight, entry);
		/* What still waits for its turn was not sent: the ACK means another one of the same
		 * socket. */
		if (entry->tries == 0)
			continue;
		accept_ack(d, entry, now_ms);
		n++;
	}
	return n;
}

/* Works on the ACKs that were read, up to DELIVER_ACK_SHARE deliveries. An ACK stays the first of
 * the rest until a search for it found fewer deliveries than were allowed: then there are no
 * more. */
static void clear_rest(struct deliver *d)
{
	unsigned left = DELIVER_ACK_SHARE, n;

	for (; d->rest_first < d->rest_count && left > 0; left -= n) {
		struct deliver_ack *ack = &d->rest[d->rest_first];

		n = clear_acked(d, ack, left);
		ROSTER_ASSERT(n <= left);
		if (n == 0 && !ack->begun)
			metric_add(stray_of(d, ack->address, ack->port, ack->key), 1);
		ack->begun |= n > 0;
		d->rest_first += n < left;
	}
	ROSTER_ASSERT(d->rest_first <= d->rest_count);
	if (d->rest_first == d->rest_count)
		d->rest_first = d->rest_count = 0;
	if (d->acked_count > 0)
		flush_acked(d);
}

/* A text that is no ACK counts as one with the key 0, which no push has: it is a stray. */
static void on_ack_datagram(void *arg, const uint8_t address[16], uint16_t port, struct str text)
{
	struct deliver *d = arg;
	struct deliver_ack *ack;

	ROSTER_ASSERT(d->rest_count < UDP_BATCH);
	ack = &d->rest[d->rest_count++];
	*ack = (struct deliver_ack){ .port = port };
	memcpy(ack->address, address, 16);
	if (ack_parse(text, &ack->key) < 0)
		ack->key = 0;
}

unsigned deliver_receive(struct deliver *d)
{
	uint32_t lost = 0;
	unsigned n = UDP_BATCH;

	if (d->rest_count == 0)
		n = udp_receive(&d->udp, on_ack_datagram, d, &lost);
	clear_rest(d);
	if (lost > 0)
		metric_add(METRIC_PUSH_RXQ_OVERFLOW, lost);
	return d->rest_count > 0 ? UDP_BATCH : n;
}

/* ---- after a death --------------------------------------------------------------------------- */

void deliver_recover(struct deliver *d, uint8_t shard, const struct subscriber_view *sub)
{
	uint64_t now_ms = clock_mono_ms();
	struct inflight_entry fields = {
		.sub_id = sub->id,
		.key = sub->push_key,
		.revision = sub->sent_revision,
		.sub_off = sub->off,
		.port = sub->port,
		.shard = shard,
		.tries = (uint8_t)sub->tries,
		.first_ms = sub->sent_at_ms,
		.sent_ms = 0,
	};

	if (inflight_find(d->inflight, shard, sub->id) != NULL ||
	    inflight_reserve(d->inflight, UDP_BATCH + 1) < 0)
		return;
	memcpy(fields.address, sub->address, 16);
	fields.counted =
	        inflight_match(d->inflight, sub->address, sub->port, sub->push_key) == NULL;
	/* Who is owed a resend gets it at once. Who had both datagrams waits once more from now on,
	 * since nobody knows how much of its wait is left. */
	if (sub->tries < 2) {
		inflight_wait_first(d->inflight, inflight_add(d->inflight, &fields));
	} else {
		fields.sent_ms = now_ms;
		inflight_wait(d->inflight, inflight_add(d->inflight, &fields));
	}
}
