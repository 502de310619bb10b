/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_pack.h - msgpack-c's packer writing into memory of a fixed size; for snapshot_save.c.
 *
 * Nothing here takes memory, so it may run under a lock. What does not fit is counted and not
 * written: len > cap says how much would have been needed. The packer is msgpack-c's own template
 * with a plain copy in the place of its callback. */
#ifndef REGISTRY_SNAPSHOT_PACK_H
#define REGISTRY_SNAPSHOT_PACK_H

#include <msgpack/pack_define.h>
#include <msgpack/timestamp.h>
#include <stdint.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/str.h"
#include "shared/shm/blob.h"

struct pack {
	char *data;
	size_t len, cap;
};

static inline int pack_append(struct pack *pack, const void *bytes, size_t n)
{
	if (pack->len + n <= pack->cap)
		memcpy(pack->data + pack->len, bytes, n);
	pack->len += n;
	return 0;
}

#define msgpack_pack_inline_func(name) static inline int pack##name
#define msgpack_pack_inline_func_cint(name) static inline int pack##name
#define msgpack_pack_user struct pack *
#define msgpack_pack_append_buffer(user, buf, len) return pack_append(user, buf, len)
/* The template's time stamp calls it by its name in the library. */
#define msgpack_pack_ext pack_ext
#include <msgpack/pack_template.h>
#undef msgpack_pack_ext

/* A map whose pairs are counted as they come. */
struct pack_map {
	struct pack *pack;
	size_t at; /* of the count */
	uint32_t pairs;
};

static inline struct pack_map pack_map_begin(struct pack *pack)
{
	const char head[3] = { (char)0xde, 0, 0 };

	pack_append(pack, head, sizeof(head));
	return (struct pack_map){ pack, pack->len - 2, 0 };
}

static inline void pack_map_end(const struct pack_map *map)
{
	ROSTER_ASSERT(map->pairs <= UINT16_MAX);
	if (map->pack->len > map->pack->cap)
		return;
	map->pack->data[map->at] = (char)(map->pairs >> 8);
	map->pack->data[map->at + 1] = (char)map->pairs;
}

static inline struct pack *pack_key(struct pack_map *map, unsigned key)
{
	ROSTER_ASSERT(key <= UINT8_MAX);
	map->pairs++;
	pack_uint8(map->pack, (uint8_t)key);
	return map->pack;
}

/* Zero is the default of a number. */
static inline void pack_number(struct pack_map *map, unsigned key, uint64_t value)
{
	if (value != 0)
		pack_uint64(pack_key(map, key), value);
}

/* Unset is the default of a text; an empty one is written. */
static inline void pack_text(struct pack_map *map, unsigned key, struct str text)
{
	if (!str_is_set(text))
		return;
	pack_str(pack_key(map, key), text.n);
	pack_append(map->pack, text.p, text.n);
}

static inline void pack_bytes(struct pack_map *map, unsigned key, const void *bytes, size_t n)
{
	pack_bin(pack_key(map, key), n);
	pack_append(map->pack, bytes, n);
}

static inline void pack_blob(struct pack_map *map, unsigned key, const struct tx *tx, uint32_t off)
{
	struct str text;
	uint32_t n;

	if (off == 0)
		return;
	text = blob_view(tx, off);
	if (text.p != NULL) {
		pack_bytes(map, key, text.p, text.n);
		return;
	}
	n = blob_len(tx, off);
	pack_bin(pack_key(map, key), n);
	if (map->pack->len + n <= map->pack->cap)
		blob_copy(tx, off, map->pack->data + map->pack->len, n);
	map->pack->len += n;
}

#endif
