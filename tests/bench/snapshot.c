/* SPDX-License-Identifier: Apache-2.0 */
/* How long the change to another layout stands still: a registry is saved to a memfd and loaded
 * into a new segment.
 *
 *     tests/bench/snapshot [instances] [instances per service] [limit in ms]
 *
 * One process, one core; CPU and wall time a step, and the same for a million instances. With a
 * limit the exit code says whether save and load together stayed below it, scaled to a million. The
 * check is what --import does beside that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/snapshot.h"

#define LIMIT_BYTES (1536ULL << 20)

/* {"version": "1.2.3", "zone": "z-12"} */
static const char metadata[] = "\x82\xa7version\xa5"
                               "1.2.3\xa4zone\xa4z-12";

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err_str(ret));
	exit(EXIT_FAILURE);
}

static void open_registry(struct registry *reg)
{
	struct segment *seg;

	must(segment_open_anonymous(LIMIT_BYTES, &seg), "segment");
	must(registry_format(seg), "format");
	registry_init(reg, seg);
}

static void fill(struct registry *reg, uint32_t instances, uint32_t per_service)
{
	char name[64], ip[32];

	for (uint32_t n = 0; n < instances; n++) {
		struct instance_spec spec = { .key = { STR("DEFAULT"), { ip, 0 }, 8080, true },
			                      .weight = 1,
			                      .enabled = true,
			                      .healthy = true };
		struct service_key key = { STR("public"), { name, 0 } };

		key.name.n = (size_t)snprintf(name, sizeof(name), "DEFAULT_GROUP@@service-%u",
		                              n / per_service);
		spec.key.ip.n = (size_t)snprintf(ip, sizeof(ip), "10.%u.%u.%u", n >> 16,
		                                 n >> 8 & 255, n & 255);
		spec.metadata.packed = str_make(metadata, sizeof(metadata) - 1);
		must(registry_register(reg, (struct origin){ .cause = CAUSE_CLIENT }, &key, &spec),
		     "register");
	}
}

static double step(const char *what, int (*fn)(struct registry *, int, struct snapshot_report *),
                   struct registry *reg, int fd, uint32_t instances)
{
	double wall = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	struct snapshot_report report;
	int ret = fn(reg, fd, &report);

	wall = now(CLOCK_MONOTONIC) - wall;
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (ret < 0)
		fprintf(stderr, "%s\n", report.why);
	must(ret, what);
	printf("%-5s %8.1f ms CPU, %8.1f ms wall, %6.1f MB, %6.1f ms CPU a million instances\n",
	       what, cpu, wall, (double)report.bytes / 1e6, cpu * 1e6 / instances);
	return cpu * 1e6 / instances;
}

static void say_broken(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int check(struct registry *reg, int fd, struct snapshot_report *report_r)
{
	(void)fd;
	*report_r = (struct snapshot_report){ .bytes = 0 };
	return registry_audit(reg, say_broken, NULL) == 0 ? 0 : ERR_CORRUPT;
}

int main(int argc, char **argv)
{
	uint32_t instances = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000;
	uint32_t per_service = argc > 2 ? (uint32_t)atoi(argv[2]) : 10;
	double limit_ms = argc > 3 ? atof(argv[3]) : 0, sum;
	struct registry from, to;
	int fd = memfd_create("snapshot", MFD_CLOEXEC);

	must(fd < 0 || instances == 0 || per_service == 0 ? ERR_RANGE : 0, "arguments");
	open_registry(&from);
	fill(&from, instances, per_service);
	open_registry(&to);
	sum = step("save", snapshot_save, &from, fd, instances);
	must(lseek(fd, 0, SEEK_SET) == 0 ? 0 : ERR_IO, "seek");
	sum += step("load", snapshot_load, &to, fd, instances);
	step("check", check, &to, fd, instances);
	printf("save and load %8.1f ms CPU a million instances, %u a service\n", sum, per_service);
	return limit_ms > 0 && sum > limit_ms ? EXIT_FAILURE : EXIT_SUCCESS;
}
