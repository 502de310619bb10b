/* SPDX-License-Identifier: Apache-2.0 */
/* shards - many processes on the shards alone: how often one waits for another.
 *
 *     shards PROCESSES SECONDS
 *
 * A registry of 16,000 instances in 1,600 services, in memory of its own. Each process beats random
 * instances, and with one call in a hundred replaces one. A voluntary context switch of such a
 * process is a wait for a lock, for there is nothing else to wait for. Prints "operations N waits N
 * waits_per_million N". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/registry/registry.h"

#define SERVICES 1600U
#define PER_SERVICE 10U
#define SEGMENT_BYTES (256U << 20)
#define REPLACE_EVERY 100U

struct total {
	uint64_t operations, waits;
};

static const struct origin client = { .cause = CAUSE_CLIENT };

struct names {
	char service[48], ip[24];
};

static struct service_key service_of(struct names *names, unsigned n)
{
	snprintf(names->service, sizeof(names->service), "DEFAULT_GROUP@@service-%u",
	         n / PER_SERVICE);
	return (struct service_key){ STR("public"), str_of(names->service) };
}

static struct instance_key instance_of(struct names *names, unsigned n)
{
	snprintf(names->ip, sizeof(names->ip), "10.0.%u.%u", n >> 8, n & 255);
	return (struct instance_key){ STR("DEFAULT"), str_of(names->ip), 8080, true };
}

static void must(int ret, const char *what)
{
	if (ret < 0) {
		fprintf(stderr, "shards: %s: %s\n", what, err_str(ret));
		exit(2);
	}
}

static void put(struct registry *reg, unsigned n)
{
	struct names names;
	struct service_key service = service_of(&names, n);
	struct instance_spec spec = {
		.key = instance_of(&names, n), .weight = 1, .enabled = true, .healthy = true
	};

	must(registry_register(reg, client, &service, &spec), "register");
}

static void beat(struct registry *reg, unsigned n)
{
	struct names names;
	struct service_key service = service_of(&names, n);
	struct instance_key key = instance_of(&names, n);
	struct beat_result result;

	must(registry_beat(reg, client, &service, &key, &result), "beat");
}

static void work(struct segment *seg, unsigned seed, double seconds, struct total *total)
{
	uint64_t end_us = clock_mono_us() + (uint64_t)(seconds * 1e6), done = 0;
	uint64_t random = seed * 0x9e3779b97f4a7c15ULL + 1;
	struct rusage usage;
	struct registry reg;

	registry_init(&reg, seg);
	while (done % 1024 != 0 || clock_mono_us() < end_us) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		if (done % REPLACE_EVERY == 0)
			put(&reg, (unsigned)(random % (SERVICES * PER_SERVICE)));
		else
			beat(&reg, (unsigned)(random % (SERVICES * PER_SERVICE)));
		done++;
	}
	getrusage(RUSAGE_SELF, &usage);
	__atomic_fetch_add(&total->operations, done, __ATOMIC_RELAXED);
	__atomic_fetch_add(&total->waits, (uint64_t)usage.ru_nvcsw, __ATOMIC_RELAXED);
}

int main(int argc, char **argv)
{
	struct total *total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE,
	                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned processes = argc == 3 ? (unsigned)atoi(argv[1]) : 0;
	struct segment *seg;
	struct registry reg;
	int status, failed = 0;

	if (processes == 0 || total == MAP_FAILED) {
		fprintf(stderr, "usage: shards PROCESSES SECONDS\n");
		return EXIT_FAILURE;
	}
	must(segment_open_anonymous(SEGMENT_BYTES, &seg), "segment");
	must(registry_format(seg), "format");
	registry_init(&reg, seg);
	for (unsigned n = 0; n < SERVICES * PER_SERVICE; n++)
		put(&reg, n);
	for (unsigned i = 0; i < processes; i++) {
		if (fork() == 0) {
			work(seg, i + 1, strtod(argv[2], NULL), total);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		failed += status != 0;
	printf("operations %" PRIu64 " waits %" PRIu64 " waits_per_million %.1f\n",
	       total->operations, total->waits,
	       (double)total->waits * 1e6 / (double)total->operations);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
