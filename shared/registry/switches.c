#include "shared/registry/switches.h"

#include <string.h>

#include "shared/shm/shard.h"

_Static_assert(sizeof(struct switches) <= SHARD_ROOT_BYTES, "the switches fit the root of the office");

const struct switches *switches_of(const struct segment *seg)
{
	return (const struct switches *)seg->shards[SHARD_OFFICE].root;
}

static uint64_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static uint64_t version(unsigned major, unsigned minor, unsigned patch)
{
	return (uint64_t)major << 20 | minor << 10 | patch;
}

void switches_format(struct segment *seg)
{
	struct switches *s = (struct switches *)seg->shards[SHARD_OFFICE].root;

	*s = (struct switches){
		.push_cache_ms = 10000,
		.beat_interval_ms = 5000,
		.cache_ms = 3000,
		.distro_threshold = float_bits(0.7F),
		.health_check = 1,
		.auto_change_health_check = 1,
		.distro = 1,
		.standalone = 1,
		.push = 1,
		.check_times = 3,
		.http = { 5000, 500, float_bits(0.85F) },
		.tcp = { 5000, 1000, float_bits(0.75F) },
		.mysql = { 3000, 2000, float_bits(0.65F) },
		.server_status_ms = 2000,
		.service_status_ms = 5000,
		.light_beat = 1,
		.distro_expired_ms = 10000,
		.push_go = version(0, 1, 0),
		.push_java = version(0, 1, 0),
		.push_python = version(0, 4, 3),
		.push_c = version(1, 0, 12),
		.push_csharp = version(0, 9, 0),
		.ephemeral = 1,
	};
}
