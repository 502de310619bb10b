/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/corrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/base/arena.h"
#include "shared/registry/namespaces.h"
#include "shared/registry/registry_internal.h"
#include "shared/registry/settings.h"
#include "shared/registry/switches.h"
#include "shared/shm/health.h"
#include "shared/view/metadata.h"

#define LARGE 1U /* the service with a table of its own size */
#define LARGE_INSTANCES 700U
#define REMOVED 39U

static const struct origin client = { .cause = CAUSE_CLIENT };
static struct arena arena;

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "corrupt: %s: %s\n", what, err_str(ret));
	exit(2);
}

struct service_key content_key(unsigned n, char text[64])
{
	snprintf(text, 64,
	         n % 3 == 0 ? "DEFAULT_GROUP@@service-%u" : "g-%u@@a.service.with.a.longer.name.%u",
	         n % 7, n);
	return (struct service_key){ n % 5 == 0 ? STR("a-namespace") : STR("public"),
		                     str_of(text) };
}

static struct instance_metadata metadata_of(unsigned n)
{
	struct instance_metadata metadata = { .null = false };
	static char text[12000];
	size_t at = (size_t)snprintf(text, sizeof(text), "{\"version\":\"%u\"", n);

	if (n % 4 == 1)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		                       ",\"preserved.heart.beat.timeout\":\"%u\"", 20000 + n);
	/* One in fifty is longer than a page. */
	for (unsigned k = 0; k < (n % 50 == 7 ? 180U : n % 6); k++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
		                       ",\"key-%u\":\"a value of some length %u\"", k, k * n);
	snprintf(text + at, sizeof(text) - at, "}");
	if (n % 3 != 0)
		must(metadata_parse(&arena, str_of(text), &metadata), "metadata");
	metadata.snowflake = n % 9 == 0;
	return metadata;
}

/* Every other one has an owner. */
static struct origin origin_of(unsigned n)
{
	return (struct origin){ .cause = CAUSE_CLIENT,
		                .owns = n % 2 == 0,
		                .sender = (uint64_t)(n % 7 + 1) << 32 | n };
}

static void add(struct registry *reg, unsigned service, unsigned n)
{
	static const char *const clusters[] = { "DEFAULT", "east", "west" };
	char text[64], ip[64];
	struct service_key key = content_key(service, text);
	struct instance_spec spec = { .weight = 1.0 + n % 3,
		                      .enabled = true,
		                      .healthy = true,
		                      .app = n % 2 ? STR("app") : STR("") };

	snprintf(ip, sizeof(ip),
	         n % 11 == 3 ? "a-host-name-%u.of.some.length.example" : "10.%u.0.%u", service,
	         n % 250 + 1);
	spec.key = (struct instance_key){ str_of(clusters[n % 3]), str_of(ip), (int32_t)(8000 + n),
		                          n % 4 != 0 };
	spec.metadata = metadata_of(n);
	must(registry_register(reg, origin_of(n), &key, &spec), "register");
	arena_reset(&arena);
}

static void subscribe(struct registry *reg, unsigned service, unsigned n)
{
	char text[64], agent[48];
	struct service_key key = content_key(service, text);
	struct service_stamp stamp;
	struct subscriber_spec sub = { .app = STR("an-app"),
		                       .address_text = STR("10.9.8.7"),
		                       .push = true };

	snprintf(agent, sizeof(agent), "Nacos-Java-Client:v1.4.%u", n % 8);
	sub.agent = str_of(agent);
	sub.clusters = n % 3 == 0 ? STR("east,west") : STR("");
	sub.address[10] = sub.address[11] = 0xff;
	memcpy(sub.address + 12, &(uint32_t){ 0x0a000000U + n }, 4);
	sub.port = (uint16_t)(20000 + n);
	must(registry_poll(reg, &key, &sub, &stamp), "poll");
}

static void settings(struct registry *reg, unsigned n)
{
	char text[64];
	struct service_key key = content_key(n, text);
	struct service_settings of_service = { .threshold = 0.5F,
		                               .selector = STR("{\"type\":\"none\"}") };
	struct cluster_settings of_cluster = { .check_port = 81,
		                               .checker =
		                                       STR("{\"type\":\"HTTP\",\"path\":\"/\"}") };
	struct instance_metadata metadata = metadata_of(n + 1);

	of_service.metadata = of_cluster.metadata = metadata.packed;
	of_cluster.set_metadata = true;
	must(registry_update_service(reg, client, &key, &of_service), "service");
	must(registry_update_cluster(reg, client, &key, STR("east"), &of_cluster), "cluster");
	arena_reset(&arena);
}

static void office(struct registry *reg)
{
	struct switches_copy *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		exit(2);
	must(switches_read(reg, copy), "switches");
	copy->texts.masters = STR("10.0.0.1,10.0.0.2");
	copy->texts.limited = STR("/nacos/v1/x:403");
	must(switches_write(reg, &copy->words, &copy->texts), "switches");
	free(copy);
	for (unsigned n = 0; n < 90; n++) {
		char id[40];
		struct namespace_row row = { .name = STR("a name"),
			                     .about = n % 2 ? STR("described")
			                                    : (struct str){ NULL, 0 } };

		snprintf(id, sizeof(id), "namespace-%u", n);
		row.id = str_of(id);
		must(namespaces_create(reg, &row), "namespace");
	}
}

void content_make(struct registry *reg)
{
	char text[64];
	struct service_key key;

	arena_init(&arena, 1U << 20);
	health_tick(reg->seg, reg->seg->header->health_mono_ms + 1000, true);
	for (unsigned n = 0; n < CONTENT_SERVICES; n++)
		for (unsigned i = 0; i < (n == LARGE ? LARGE_INSTANCES : n % 6); i++)
			add(reg, n, i + n);
	for (unsigned n = 0; n < 200; n++)
		subscribe(reg, n % (CONTENT_SERVICES + 4), n); /* four wait for a service */
	for (unsigned n = 2; n < 20; n += 3)
		settings(reg, n);
	office(reg);
	key = content_key(REMOVED, text);
	must(registry_remove_service(reg, client, &key, NULL), "remove");
	for (unsigned n = 0; n < 60; n++) {
		struct instance_key gone = { STR("east"), STR("1.2.3.4"), (int32_t)n, true };
		struct instance_spec spec = {
			.key = gone, .weight = 1, .enabled = true, .app = STR("")
		};

		key = content_key(4, text);
		must(registry_register(reg, client, &key, &spec), "register");
		must(registry_deregister(reg, client, &key, &gone, NULL), "deregister");
	}
}

/* As far as it comes without a commit. */
static void half(struct registry *reg, unsigned n)
{
	char text[64], name[64];
	struct service_key key = content_key(n, text);
	struct place place = key_place(reg, &key);
	struct service *s;
	struct op op;
	uint32_t off;

	if (op_begin(&op, reg, place.shard, client) < 0)
		_exit(1);
	op.now_ms = health_now(reg->seg);
	off = service_find(&op, &key, place.hash, &s);
	if (off == 0)
		_exit(1);
	service_account(&op, s, field_set(&op, &s->metadata, STR("a new text")));
	service_mark(&op, off, s, CHANGE_CONTENT);
	snprintf(name, sizeof(name), "half@@%u", n);
	key.name = str_of(name);
	service_create(&op, &key, place, &s);
	_exit(op.tx.err == 0 && op.tx.entries > 0 ? 0 : 1);
}

void content_half_done(struct registry *reg)
{
	for (unsigned n = 2; n < 12; n += 3) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			half(reg, n);
		if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0)
			must(ERR_IO, "half an operation");
	}
}
