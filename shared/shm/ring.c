/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/shm/ring.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/shm/fault.h"

/* The word of a slot is 0 when nothing can be read, and the position + 1 of the event that is
 * published. With BUSY the slot is being written: the word says for which position and since when,
 * so that readers can tell a slow writer from a dead one. */
#define BUSY (1ULL << 63)
#define BUSY_TIME_SHIFT 32
#define BUSY_TIME_MASK 0x7fffffffULL
#define BUSY_POSITION_MASK 0xffffffffULL
#define BUSY_PATIENCE_MS 1000U

struct ring {
	_Alignas(64) uint64_t head; /* position of the next event */
	uint32_t slots;
	uint32_t slot_bytes;
	uint64_t pad[6];
};

struct ring_slot {
	uint64_t word;
	struct ring_event event;
};

struct ring_name {
	uint64_t len;
	char text[RING_NAME_BYTES];
};

_Static_assert(sizeof(struct ring_event) == 56, "event and word are one cache line");

static uint32_t slot_bytes(bool names)
{
	return (uint32_t)(sizeof(struct ring_slot) + (names ? sizeof(struct ring_name) : 0));
}

uint64_t ring_bytes(uint32_t slots, bool names)
{
	return sizeof(struct ring) + (uint64_t)slots * slot_bytes(names);
}

void ring_create(struct ring *ring, uint32_t slots, bool names)
{
	/* A busy word keeps the lower half of a position only. */
	ROSTER_ASSERT(slots != 0 && (slots & (slots - 1)) == 0);
	ROSTER_ASSERT(ring->head == 0);
	ring->slots = slots;
	ring->slot_bytes = slot_bytes(names);
}

bool ring_valid(const struct ring *ring, uint32_t slots, bool names)
{
	return ring->slots == slots && ring->slot_bytes == slot_bytes(names) &&
	       ring->head < BUSY >> 1;
}

static inline struct ring_slot *ring_slot_at(const struct ring *ring, uint64_t position)
{
	return (struct ring_slot *)((uintptr_t)(ring + 1) +
	                            position % ring->slots * ring->slot_bytes);
}

static inline struct ring_name *name_of(const struct ring *ring, struct ring_slot *slot)
{
	return ring->slot_bytes > sizeof(*slot) ? (struct ring_name *)(slot + 1) : NULL;
}

static inline uint64_t busy_word(uint64_t position, uint64_t now_ms)
{
	return BUSY | (now_ms & BUSY_TIME_MASK) << BUSY_TIME_SHIFT |
	       ((position + 1) & BUSY_POSITION_MASK);
}

/* Has this position been claimed, whether it is published by now or not? */
static inline bool is_claim_of(uint64_t word, uint64_t position)
{
	if ((word & BUSY) != 0)
		return (word & BUSY_POSITION_MASK) == ((position + 1) & BUSY_POSITION_MASK);
	return word == position + 1;
}

unsigned ring_audit(const struct ring *ring, uint64_t from, uint64_t until)
{
	const uint64_t head = sizeof(*ring), step = ring->slot_bytes;
	uint64_t first = from <= head ? 0 : (from - head + step - 1) / step;
	uint64_t end = until <= head ? 0 : (until - head + step - 1) / step;
	unsigned found = 0;

	ROSTER_ASSERT(from <= until);
	for (uint64_t n = first; n < end && n < ring->slots; n++) {
		/* Below the first head every position was claimed, the second is beyond all that
		 * were published. */
		uint64_t before = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
		uint64_t word = __atomic_load_n(&ring_slot_at(ring, n)->word, __ATOMIC_ACQUIRE);
		uint64_t after = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE),
		         position = word - 1;

		if (word == 0)
			continue;
		if ((word & BUSY) != 0) /* the lower half of a position; slots are a power of two */
			found += (position & BUSY_POSITION_MASK) % ring->slots != n;
		else
			found += position % ring->slots != n || position >= after ||
			         position + ring->slots < before;
	}
	return found;
}

/* A writer claims the slot first and pushes the head on then, which everybody else does for him
 * too: so below the head every position has been claimed, even if the claimer died in between. */
static struct ring_slot *claim(struct ring *ring, uint64_t *position_r, uint64_t *mark_r)
{
	uint64_t now = clock_mono_ms();

	for (;;) {
		uint64_t position = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), next = position;
		struct ring_slot *slot = ring_slot_at(ring, position);
		uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_ACQUIRE),
		         mark = busy_word(position, now);
		bool mine = !is_claim_of(word, position) &&
		            __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) == position &&
		            __atomic_compare_exchange_n(&slot->word, &word, mark, false,
		                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);

		FAULT("ring-claimed");
		__atomic_compare_exchange_n(&ring->head, &next, position + 1, false,
		                            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		FAULT("ring-head");
		if (mine) {
			*position_r = position;
			*mark_r = mark;
			return slot;
		}
	}
}

void ring_append(struct ring *ring, const struct ring_event *event, struct str name)
{
	uint64_t position, mark;
	struct ring_slot *slot;
	struct ring_name *text;

	ROSTER_ASSERT(event->kind < EVENT_KINDS && event->cause < CAUSE_KINDS);
	slot = claim(ring, &position, &mark);
	text = name_of(ring, slot);
	slot->event = *event;
	FAULT("ring-half");
	if (text != NULL) {
		text->len = str_cut(name, RING_NAME_BYTES).n;
		if (text->len > 0)
			memcpy(text->text, name.p, text->len);
		FAULT("ring-named");
	}
	/* Somebody else has the slot: this process was stopped for so long that the ring came
	 * round, and what stands there may be mixed. */
	if (!__atomic_compare_exchange_n(&slot->word, &mark, position + 1, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_RELAXED))
		__atomic_store_n(&slot->word, 0, __ATOMIC_RELEASE);
	FAULT("ring-published");
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Returns true when the copy is whole: the word was the same before and after. */
static bool copy_out(const struct ring *ring, uint64_t position, struct ring_event *event_r,
                     struct str *name_r, char *out)
{
	struct ring_slot *slot = ring_slot_at(ring, position);
	const struct ring_name *name = name_of(ring, slot);
	uint64_t len = 0;

	if (__atomic_load_n(&slot->word, __ATOMIC_ACQUIRE) != position + 1)
		return false;
	*event_r = slot->event;
	if (name != NULL && out != NULL) {
		len = name->len < RING_NAME_BYTES ? name->len : RING_NAME_BYTES;
		memcpy(out, name->text, len);
	}
	if (name_r != NULL)
		*name_r = str_make(out, len);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&slot->word, __ATOMIC_RELAXED) == position + 1;
}

/* A claim that is older than the patience is one of a dead writer, and its event is missed. */
static bool is_being_written(const struct ring *ring, uint64_t position)
{
	uint64_t word = __atomic_load_n(&ring_slot_at(ring, position)->word, __ATOMIC_ACQUIRE);
	uint64_t age = (clock_mono_ms() - (word >> BUSY_TIME_SHIFT)) & BUSY_TIME_MASK;

	return (word & BUSY) != 0 && is_claim_of(word, position) && age < BUSY_PATIENCE_MS;
}

bool ring_next(const struct ring *ring, uint64_t *cursor, struct ring_event *event_r,
               struct str *name_r, char name_out[RING_NAME_BYTES], uint64_t *missed_r)
{
	uint64_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);

	ROSTER_ASSERT(name_r == NULL || name_out != NULL); /* a name has to be copied somewhere */
	if (*cursor > head)
		*cursor = head;
	if (head - *cursor > ring->slots) {
		*missed_r += head - ring->slots - *cursor;
		*cursor = head - ring->slots;
	}
	for (; *cursor < head; (*cursor)++) {
		if (copy_out(ring, *cursor, event_r, name_r, name_out)) {
			(*cursor)++;
			return true;
		}
		/* If it was published between the two looks, is_being_written() said no and a copy
		 * says yes. */
		if (is_being_written(ring, *cursor))
			return false;
		if (copy_out(ring, *cursor, event_r, name_r, name_out)) {
			(*cursor)++;
			return true;
		}
		(*missed_r)++;
	}
	return false;
}
