/* SPDX-License-Identifier: Apache-2.0 */
/* key.c - names and keys: their hashes, the shard they belong to, what is a valid name, how long
 * it may be. */
#include "shared/registry/registry_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "shared/shm/blob.h"
#include "shared/shm/departures.h"

/* An empty text may come with a null pointer. */
static inline uint64_t hash_text(struct str text, uint64_t seed)
{
	return XXH3_64bits_withSeed(text.n == 0 ? "" : text.p, text.n, seed);
}

/* The hash of one text is the seed of the next. So the texts need not be joined, and "ab", "c"
 * hashes differently from "a", "bc". */
static inline uint64_t hash_key(const struct service_key *key, uint64_t seed)
{
	return hash_text(key->name, hash_text(key->ns, seed));
}

struct place key_place(const struct registry *reg, const struct service_key *key)
{
	uint64_t hash = hash_key(key, reg->seg->header->seed);

	/* Shard and hash are made of different bits, so that the table of a shard is filled
	 * evenly. */
	return (struct place){ .shard = (uint32_t)(hash % SHARDS), .hash = (uint32_t)(hash >> 32) };
}

uint32_t registry_shard_of(const struct registry *reg, const struct service_key *service)
{
	return key_place(reg, service).shard;
}

/* This hash is made without the secret seed, because events show it. */
uint64_t key_name_hash(const struct service_key *key)
{
	return hash_key(key, 0);
}

uint32_t key_instance_hash(const struct registry *reg, uint32_t service_hash,
                           const struct instance_key *key)
{
	uint64_t head[2] = { service_hash,
		             (uint64_t)key_datum_port(key->port) << 1 | key->ephemeral };
	uint64_t hash = XXH3_64bits_withSeed(head, sizeof(head), reg->seg->header->seed);

	return (uint32_t)(hash_text(key->ip, hash_text(key->cluster, hash)) >> 32);
}

uint32_t key_subscriber_hash(const struct registry *reg, uint64_t audience_id,
                             const struct subscriber_spec *sub)
{
	/* Every byte of it is hashed, so it must have no padding. */
	struct {
		uint64_t audience, port;
		uint8_t address[16];
	} head = { audience_id, sub->port, { 0 } };
	uint64_t hash;

	memcpy(head.address, sub->address, sizeof(head.address));
	hash = XXH3_64bits_withSeed(&head, sizeof(head), reg->seg->header->seed);
	return (uint32_t)(hash_text(sub->agent, hash_text(sub->clusters, hash)) >> 32);
}

uint64_t registry_sender(const struct registry *reg, const uint8_t address[16])
{
	uint64_t key = departures_key(address), source = XXH3_64bits(&key, sizeof(key)) >> 32;
	uint64_t whole = XXH3_64bits_withSeed(address, 16, reg->seg->header->seed);

	/* 0 stands for a source that is not known, so no address has it. */
	return (source != 0 ? source : 1) << 32 | (whole & 0xffffffffU);
}

/* ---- rules of texts -------------------------------------------------------------------------- */

enum { IN_SERVICE = 1, IN_CLUSTER = 2 };

static const uint8_t allowed[256] = {
	['0' ... '9'] = IN_SERVICE | IN_CLUSTER,
	['a' ... 'z'] = IN_SERVICE | IN_CLUSTER,
	['A' ... 'Z'] = IN_SERVICE | IN_CLUSTER,
	['-'] = IN_SERVICE | IN_CLUSTER,
	['@'] = IN_SERVICE,
	['.'] = IN_SERVICE,
	[':'] = IN_SERVICE,
	['_'] = IN_SERVICE,
};

static bool only(struct str text, uint8_t set)
{
	for (size_t i = 0; i < text.n; i++) {
		if ((allowed[(unsigned char)text.p[i]] & set) == 0)
			return false;
	}
	return text.n > 0;
}

bool key_service_name_valid(struct str name)
{
	return only(name, IN_SERVICE);
}

bool key_cluster_name_valid(struct str name)
{
	return only(name, IN_CLUSTER);
}

/* ---- limits ---------------------------------------------------------------------------------- */

const char *registry_limit_key(enum registry_limit which)
{
	static const char *const keys[REGISTRY_LIMITS] = {
		[REGISTRY_LIMIT_NAME] = "limits.name",
		[REGISTRY_LIMIT_METADATA] = "limits.metadata",
		[REGISTRY_LIMIT_NAMESPACES] = "limits.namespaces",
		[REGISTRY_LIMIT_SERVICES] = "limits.services",
		[REGISTRY_LIMIT_SERVICE_BYTES] = "limits.service_bytes",
		[REGISTRY_LIMIT_CLUSTERS_PER_SERVICE] = "limits.clusters_per_service",
		[REGISTRY_LIMIT_INSTANCES] = "limits.instances",
		[REGISTRY_LIMIT_INSTANCES_PER_SERVICE] = "limits.instances_per_service",
		[REGISTRY_LIMIT_SUBSCRIBERS] = "limits.subscribers",
		[REGISTRY_LIMIT_SUBSCRIBERS_PER_SERVICE] = "limits.subscribers_per_service",
		[REGISTRY_LIMIT_SUBSCRIBERS_PER_SOURCE] = "limits.subscribers_per_source",
		[REGISTRY_LIMIT_SUBSCRIBER_BYTES] = "limits.subscriber_bytes",
		[REGISTRY_LIMIT_SUBSCRIBER_BYTES_PER_SOURCE] = "limits.subscriber_bytes_per_source",
	};

	ROSTER_ASSERT(which < REGISTRY_LIMITS);
	return keys[which];
}

int key_refuse(struct registry *reg, enum registry_limit which, uint64_t limit)
{
	/* A limit of 0 means that there is none, so it refuses nothing. */
	ROSTER_ASSERT(which < REGISTRY_LIMITS && limit != 0);
	reg->refused = (struct refusal){ which, limit, false };
	return ERR_LIMIT;
}

int key_refuse_size(struct registry *reg, enum registry_limit which, uint64_t limit)
{
	int ret = key_refuse(reg, which, limit);

	reg->refused.by_itself = true;
	return ret;
}

/* A limit of 0, or one beyond what can be stored, is what can be stored. */
static int check_length(struct registry *reg, struct str text, uint64_t most)
{
	uint64_t limit = reg->limits.name_bytes;

	if (limit == 0 || limit > most)
		limit = most;
	return text.n > limit ? key_refuse_size(reg, REGISTRY_LIMIT_NAME, limit) : 0;
}

int key_check_text(struct registry *reg, struct str text)
{
	return check_length(reg, text, TEXT_MAX_BYTES);
}

int key_check_service(struct registry *reg, const struct service_key *key)
{
	int ret = check_length(reg, key->ns, NAME_MAX_BYTES);

	return ret < 0 ? ret : check_length(reg, key->name, NAME_MAX_BYTES);
}

int key_check_metadata(struct registry *reg, const struct instance_metadata *metadata)
{
	uint64_t limit = reg->limits.metadata_bytes;

	if (limit == 0 || limit > BLOB_MAX_BYTES)
		limit = BLOB_MAX_BYTES;
	return metadata->packed.n > limit ? key_refuse_size(reg, REGISTRY_LIMIT_METADATA, limit)
	                                  : 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

uint32_t key_join(const struct service_key *key, char out[2 * NAME_MAX_BYTES + 1])
{
	ROSTER_ASSERT(key->ns.n <= NAME_MAX_BYTES && key->name.n <= NAME_MAX_BYTES);
	if (key->ns.n > 0)
		memcpy(out, key->ns.p, key->ns.n);
	out[key->ns.n] = '\0';
	if (key->name.n > 0)
		memcpy(out + key->ns.n + 1, key->name.p, key->name.n);
	return (uint32_t)(key->ns.n + 1 + key->name.n);
}

bool key_is(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
            const struct service_key *key)
{
	struct str text;

	/* The lengths stand in the object, so most others are told apart without their text. */
	if (key->ns.n != ns_len || key->name.n != name_len)
		return false;
	text = blob_view(tx, name);
	return text.n == (size_t)ns_len + 1 + name_len &&
	       str_eq(key->name, str_make(text.p + ns_len + 1, name_len)) &&
	       str_eq(key->ns, str_make(text.p, ns_len));
}

void key_copy(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
              struct name_copy *copy_r)
{
	uint32_t n = blob_copy(tx, name, copy_r->text, sizeof(copy_r->text));

	copy_r->ns_len = ns_len;
	copy_r->name_len = name_len;
	/* A damaged name is copied as an empty one. */
	if (n > sizeof(copy_r->text) || n != ns_len + 1 + name_len)
		copy_r->ns_len = copy_r->name_len = 0;
}

bool key_of(const struct tx *tx, uint32_t name, uint32_t ns_len, uint32_t name_len,
            struct service_key *key_r)
{
	struct str text = blob_view(tx, name);

	if (text.n != (size_t)ns_len + 1 + name_len)
		return false;
	key_r->ns = str_make(text.p, ns_len);
	key_r->name = str_make(text.p + ns_len + 1, name_len);
	return true;
}
