/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/metadata.h"

#include <msgpack/pack.h>
#include <stdint.h>

#include "shared/base/assert.h"
#include "shared/base/breath.h"
#include "shared/base/hash.h"
#include "shared/base/utf8.h"
#include "shared/codec/java.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"

#define KEYS_MAX 1000U
#define LINEAR_MAX 16U /* pairs looked through one by one for a key */
#define PAIR_WEIGHT 64U

/* ---- the packed form, reading ---------------------------------------------------------------- */

/* We wrote it, but it comes from shared memory, so every length is checked. A cursor that met a
 * wrong one stays at the end. */
struct cursor {
	const uint8_t *p, *end;
};

static uint64_t take(struct cursor *c, unsigned bytes)
{
	uint64_t value = 0;

	if ((size_t)(c->end - c->p) < bytes) {
		c->p = c->end;
		return 0;
	}
	for (; bytes > 0; bytes--)
		value = value << 8 | *c->p++;
	return value;
}

/* Stands before the first pair. The three forms of a msgpack map are by the number of its pairs. */
static struct cursor cursor_open(struct str packed, uint32_t *pairs_r)
{
	const uint8_t *p = (const uint8_t *)(packed.n > 0 ? packed.p : "");
	struct cursor c = { p, p + packed.n };
	uint64_t tag = packed.n > 0 ? take(&c, 1) : 0;

	if ((tag & 0xf0) == 0x80)
		*pairs_r = tag & 0x0f;
	else if (tag == 0xde)
		*pairs_r = (uint32_t)take(&c, 2);
	else if (tag == 0xdf)
		*pairs_r = (uint32_t)take(&c, 4);
	else
		*pairs_r = 0;
	return c;
}

/* Takes a string, or nil as an unset text. Returns false when it is neither. */
static bool take_text(struct cursor *c, struct str *text_r)
{
	uint64_t n, tag;

	if (c->p == c->end)
		return false;
	tag = take(c, 1);
	if ((tag & 0xe0) == 0xa0)
		n = tag & 0x1f;
	else if (tag == 0xd9 || tag == 0xda || tag == 0xdb)
		n = take(c, tag == 0xd9 ? 1 : tag == 0xda ? 2 : 4);
	else if (tag == 0xc0) {
		*text_r = (struct str){ NULL, 0 };
		return true;
	} else
		return false;
	if (n > (uint64_t)(c->end - c->p))
		return false;
	*text_r = str_make((const char *)c->p, (size_t)n);
	c->p += n;
	return true;
}

static bool take_pair(struct cursor *c, struct metadata_pair *pair_r)
{
	return take_text(c, &pair_r->key) && str_is_set(pair_r->key) &&
	       take_text(c, &pair_r->value);
}

void metadata_json(struct buf *b, struct str packed)
{
	uint32_t pairs;
	struct cursor c = cursor_open(packed, &pairs);
	struct metadata_pair pair;

	buf_char(b, '{');
	for (; pairs > 0 && take_pair(&c, &pair); pairs--) {
		if (!str_is_set(pair.value))
			continue;
		json_comma(b);
		json_string(b, pair.key);
		buf_char(b, ':');
		json_string(b, pair.value);
	}
	buf_char(b, '}');
}

struct str metadata_get(struct str packed, struct str key)
{
	uint32_t pairs;
	struct cursor c = cursor_open(packed, &pairs);
	struct metadata_pair pair;

	for (; pairs > 0 && take_pair(&c, &pair); pairs--) {
		if (str_eq(pair.key, key))
			return pair.value;
	}
	return (struct str){ NULL, 0 };
}

/* ---- pairs in scratch memory ----------------------------------------------------------------- */

struct pairs {
	struct arena *arena;
	struct metadata_pair *at;
	size_t count, cap;
	int err; /* sticky */
	struct breath breath;
};

static void pairs_add(struct pairs *pairs, struct str key, struct str value)
{
	if (pairs->count == pairs->cap) {
		size_t cap = pairs->cap == 0 ? 16 : pairs->cap * 2;
		struct metadata_pair *grown = arena_alloc(pairs->arena, cap * sizeof(*grown));

		if (grown == NULL) {
			pairs->err = ERR_NOMEM;
			return;
		}
		if (pairs->count > 0)
			memcpy(grown, pairs->at, pairs->count * sizeof(*grown));
		pairs->at = grown;
		pairs->cap = cap;
	}
	ROSTER_ASSERT(pairs->count < pairs->cap);
	pairs->at[pairs->count++] = (struct metadata_pair){ key, value };
}

static void pairs_unpack(struct pairs *pairs, struct str packed)
{
	uint32_t count;
	struct cursor c = cursor_open(packed, &count);
	struct metadata_pair pair;

	for (; count > 0 && pairs->err == 0 && take_pair(&c, &pair); count--) {
		pairs_add(pairs, pair.key, pair.value);
		if (breathe(&pairs->breath, PAIR_WEIGHT) < 0)
			pairs->err = ERR_GONE;
	}
}

/* Where the keys of some pairs stand. A few pairs need no table, they are looked through. */
struct key_table {
	const struct metadata_pair *pairs;
	size_t count;
	uint32_t *slots; /* index plus one, 0: free; NULL: they are few */
	size_t mask;
};

/* Begins an empty table with room for `most` pairs. It is never more than half full, so a search
 * always comes to a free slot. */
static int keys_begin(struct key_table *keys, struct arena *arena,
                      const struct metadata_pair *pairs, size_t most)
{
	size_t size = 64;

	*keys = (struct key_table){ .pairs = pairs };
	if (most <= LINEAR_MAX)
		return 0;
	while (size < most * 2)
		size *= 2;
	if ((keys->slots = arena_alloc(arena, size * sizeof(*keys->slots))) == NULL)
		return ERR_NOMEM;
	memset(keys->slots, 0, size * sizeof(*keys->slots));
	keys->mask = size - 1;
	return 0;
}

/* Returns the index of that key, or count when it is not there; *slot_r is where it stands, or
 * would. */
static size_t keys_find(const struct key_table *keys, struct str key, size_t *slot_r)
{
	size_t slot;

	*slot_r = 0;
	if (keys->slots == NULL) {
		for (size_t i = 0; i < keys->count; i++) {
			if (str_eq(keys->pairs[i].key, key))
				return i;
		}
		return keys->count;
	}
	/* The keys are a client's: with a hash that it knows it could make all of them meet in one
	 * slot. */
	slot = hash_text(key, 0) & keys->mask;
	while (keys->slots[slot] != 0 && !str_eq(keys->pairs[keys->slots[slot] - 1].key, key))
		slot = (slot + 1) & keys->mask;
	*slot_r = slot;
	return keys->slots[slot] != 0 ? keys->slots[slot] - 1 : keys->count;
}

/* Adds the next pair, pairs[count]. The slot is the one that keys_find() said. */
static void keys_add(struct key_table *keys, size_t slot)
{
	keys->count++;
	if (keys->slots != NULL)
		keys->slots[slot] = (uint32_t)keys->count;
}

/* Of equal keys the last value stays, in the place of the first one. */
static int drop_doubles(struct pairs *pairs)
{
	struct metadata_pair *all = pairs->at;
	struct key_table keys;
	size_t slot;
	int ret = keys_begin(&keys, pairs->arena, all, pairs->count);

	for (size_t i = 0; i < pairs->count && ret == 0; i++) {
		size_t at = keys_find(&keys, all[i].key, &slot);

		ROSTER_ASSERT(at <= i); /* what was read already may be written over */
		all[at].value = all[i].value;
		if (at == keys.count) {
			all[at].key = all[i].key;
			keys_add(&keys, slot);
		}
		ret = breathe(&pairs->breath, PAIR_WEIGHT + all[i].key.n);
	}
	pairs->count = keys.count;
	return ret;
}

/* ---- packing --------------------------------------------------------------------------------- */

struct packed {
	char *p;
	size_t n, cap;
};

static int packed_write(void *data, const char *p, size_t n)
{
	struct packed *packed = data;

	if (n > packed->cap - packed->n)
		return -1;
	memcpy(packed->p + packed->n, p, n);
	packed->n += n;
	return 0;
}

static void pack_metadata_text(msgpack_packer *packer, struct str s)
{
	if (!str_is_set(s)) {
		msgpack_pack_nil(packer);
		return;
	}
	msgpack_pack_str(packer, s.n);
	if (s.n > 0)
		msgpack_pack_str_body(packer, s.p, s.n);
}

/* A map of up to 2^32 pairs has a head of at most 5 bytes, and so has each text. */
static int pack_pairs(struct arena *arena, const struct metadata_pair *pairs, size_t count,
                      struct str *packed_r)
{
	struct packed packed = { .cap = 5 };
	msgpack_packer packer;

	if (count == 0) {
		*packed_r = (struct str){ NULL, 0 };
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		packed.cap += 10 + pairs[i].key.n + pairs[i].value.n;
	if ((packed.p = arena_alloc(arena, packed.cap)) == NULL)
		return ERR_NOMEM;
	msgpack_packer_init(&packer, &packed, packed_write);
	msgpack_pack_map(&packer, count);
	for (size_t i = 0; i < count; i++) {
		pack_metadata_text(&packer, pairs[i].key);
		pack_metadata_text(&packer, pairs[i].value);
	}
	*packed_r = str_make(packed.p, packed.n);
	return 0;
}

/* ---- reserved keys --------------------------------------------------------------------------- */

/* What does not begin with a digit, or does not fit into Java's long, changes nothing. */
static void override(uint64_t *ms, struct str value)
{
	int64_t number;

	if (value.n > 0 && value.p[0] >= '0' && value.p[0] <= '9' &&
	    java_parse_long(value, &number) == 0)
		*ms = (uint64_t)number;
}

static void apply_reserved(struct instance_metadata *metadata, const struct metadata_pair *pair)
{
	struct overrides *overrides = &metadata->overrides;

	if (str_eq(pair->key, STR("preserved.heart.beat.interval"))) {
		overrides->has = overrides->has_interval = true;
		override(&overrides->interval_ms, pair->value);
	} else if (str_eq(pair->key, STR("preserved.heart.beat.timeout"))) {
		overrides->has = true;
		override(&overrides->timeout_ms, pair->value);
	} else if (str_eq(pair->key, STR("preserved.ip.delete.timeout"))) {
		overrides->has = true;
		override(&overrides->delete_ms, pair->value);
	} else if (str_eq(pair->key, STR("preserved.instance.id.generator"))) {
		metadata->snowflake = str_ieq(pair->value, STR("snowflake"));
	}
}

static void metadata_init(struct instance_metadata *metadata)
{
	*metadata = (struct instance_metadata){
		.overrides = { .interval_ms = BEAT_INTERVAL_MS,
		               .timeout_ms = BEAT_TIMEOUT_MS,
		               .delete_ms = BEAT_DELETE_MS },
	};
}

/* Makes the metadata from unique pairs in their final order. */
static int finish_metadata(struct arena *arena, const struct metadata_pair *pairs, size_t count,
                           struct instance_metadata *metadata_r)
{
	metadata_init(metadata_r);
	for (size_t i = 0; i < count; i++) {
		if (str_starts(pairs[i].key, STR("preserved.")))
			apply_reserved(metadata_r, &pairs[i]);
	}
	return pack_pairs(arena, pairs, count, &metadata_r->packed);
}

static int finish_pairs(struct pairs *pairs, struct instance_metadata *metadata_r)
{
	int ret;

	if (pairs->err < 0)
		return pairs->err;
	if ((ret = drop_doubles(pairs)) < 0)
		return ret;
	return finish_metadata(pairs->arena, pairs->at, pairs->count, metadata_r);
}

int metadata_pack(struct arena *arena, const struct metadata_pair *given, size_t count,
                  struct instance_metadata *metadata_r)
{
	struct pairs pairs = { .arena = arena };

	for (size_t i = 0; i < count; i++)
		pairs_add(&pairs, given[i].key, given[i].value);
	return finish_pairs(&pairs, metadata_r);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

struct json_pairs {
	struct pairs pairs;
	bool null;
};

static const char *on_metadata_item(void *arg, const struct json_item *item)
{
	struct json_pairs *json = arg;

	if (item->depth == 0) {
		json->null = item->kind == JSON_NULL;
		return item->kind == JSON_OBJECT || json->null ? NULL : "not an object";
	}
	if (item->kind == JSON_OBJECT || item->kind == JSON_ARRAY)
		return "not a scalar";
	pairs_add(&json->pairs, item->key,
	          item->kind == JSON_NULL ? (struct str){ NULL, 0 } : item->text);
	return NULL;
}

static int parse_json(struct arena *arena, struct str text, struct instance_metadata *metadata_r)
{
	struct json_pairs json = { .pairs = { .arena = arena } };
	struct json_limits limits = { .depth = 2, .keys = KEYS_MAX };
	int ret = json_read(arena, text, limits, on_metadata_item, &json, NULL, 0);

	if (ret < 0)
		return ret;
	ret = finish_pairs(&json.pairs, metadata_r);
	metadata_r->null = json.null;
	return ret;
}

/* ---- k=v,k=v --------------------------------------------------------------------------------- */

/* Adds the pair of one piece. Java's split() drops empty pieces at the end, so the value may not be
 * empty, and '=' behind it do not count. */
static int add_piece(struct pairs *pairs, struct str piece)
{
	const char *equals = piece.n > 0 ? memchr(piece.p, '=', piece.n) : NULL;
	struct str key, value;

	if (equals == NULL)
		return ERR_SYNTAX;
	key = str_make(piece.p, (size_t)(equals - piece.p));
	value = str_make(equals + 1, piece.n - key.n - 1);
	while (value.n > 0 && value.p[value.n - 1] == '=')
		value.n--;
	if (value.n == 0 || memchr(value.p, '=', value.n) != NULL || pairs->count == KEYS_MAX)
		return ERR_SYNTAX;
	pairs_add(pairs, key, value);
	return 0;
}

static int split_pieces(struct pairs *pairs, struct str text)
{
	while (text.n > 0 && text.p[text.n - 1] == ',')
		text.n--;
	while (text.n > 0) {
		const char *comma = memchr(text.p, ',', text.n);
		size_t n = comma != NULL ? (size_t)(comma - text.p) : text.n;
		int ret = add_piece(pairs, str_make(text.p, n));

		if (ret < 0)
			return ret;
		n += comma != NULL;
		text = str_make(text.p + n, text.n - n);
	}
	return 0;
}

/* Puts the pairs into the order in which a HashMap of that many keys goes: bucket by bucket, and in
 * each in the order of insertion. */
static int java_order(struct pairs *pairs)
{
	size_t buckets = 16, *next, *heads, count = 0;
	struct metadata_pair *sorted;

	while (pairs->count > buckets / 4 * 3)
		buckets *= 2;
	heads = arena_alloc(pairs->arena, buckets * sizeof(*heads));
	next = arena_alloc(pairs->arena, pairs->count * sizeof(*next));
	sorted = arena_alloc(pairs->arena, pairs->count * sizeof(*sorted));
	if (heads == NULL || next == NULL || sorted == NULL)
		return ERR_NOMEM;
	memset(heads, 0, buckets * sizeof(*heads));
	for (size_t i = pairs->count; i > 0;
	     i--) { /* backwards: each becomes the head of its bucket */
		uint32_t hash = utf8_java_hash(pairs->at[i - 1].key);
		size_t bucket = (hash ^ hash >> 16) & (buckets - 1);

		next[i - 1] = heads[bucket];
		heads[bucket] = i;
	}
	for (size_t bucket = 0; bucket < buckets; bucket++) {
		for (size_t i = heads[bucket]; i > 0; i = next[i - 1])
			sorted[count++] = pairs->at[i - 1];
	}
	ROSTER_ASSERT(count == pairs->count);
	pairs->at = sorted;
	return 0;
}

static int parse_pieces(struct arena *arena, struct str text, struct instance_metadata *metadata_r)
{
	struct pairs pairs = { .arena = arena };
	int ret = utf8_repair(arena, text, &text);

	if (ret == 0)
		ret = split_pieces(&pairs, text);
	if (ret < 0)
		return ret;
	if (pairs.err < 0)
		return pairs.err;
	if ((ret = drop_doubles(&pairs)) < 0)
		return ret;
	if (pairs.count > 1 && (ret = java_order(&pairs)) < 0)
		return ret;
	return finish_metadata(arena, pairs.at, pairs.count, metadata_r);
}

int metadata_parse(struct arena *arena, struct str text, struct instance_metadata *metadata_r)
{
	int ret;

	metadata_init(metadata_r);
	if (str_is_blank(text))
		return 0;
	/* What is not JSON is tried as the older syntax, as the Java server does. */
	ret = parse_json(arena, text, metadata_r);
	return ret == ERR_SYNTAX ? parse_pieces(arena, text, metadata_r) : ret;
}

/* ---- batch changes --------------------------------------------------------------------------- */

int metadata_merge(struct arena *arena, struct str old, struct str change,
                   struct instance_metadata *metadata_r)
{
	struct pairs pairs = { .arena = arena };

	pairs_unpack(&pairs, old);
	pairs_unpack(&pairs, change);
	return finish_pairs(&pairs, metadata_r);
}

int metadata_without(struct arena *arena, struct str old, struct str change,
                     struct instance_metadata *metadata_r)
{
	struct pairs doomed = { .arena = arena }, pairs = { .arena = arena };
	struct key_table keys;
	size_t kept = 0, slot;
	int ret;

	pairs_unpack(&doomed, change);
	pairs_unpack(&pairs, old);
	ret = doomed.err < 0 ? doomed.err : pairs.err;
	if (ret == 0)
		ret = keys_begin(&keys, arena, doomed.at, doomed.count);
	for (size_t i = 0; i < doomed.count && ret == 0; i++) { /* packed ones are unique */
		(void)keys_find(&keys, doomed.at[i].key, &slot);
		keys_add(&keys, slot);
	}
	for (size_t i = 0; i < pairs.count && ret == 0; i++) {
		if (keys_find(&keys, pairs.at[i].key, &slot) == keys.count)
			pairs.at[kept++] = pairs.at[i];
		ret = breathe(&pairs.breath, PAIR_WEIGHT + pairs.at[i].key.n);
	}
	return ret < 0 ? ret : finish_metadata(arena, pairs.at, kept, metadata_r);
}
