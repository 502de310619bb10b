/* SPDX-License-Identifier: Apache-2.0 */
/* registry_file.c - a large registry as a snapshot, for rosterd --import: no client has to register
 * it.
 *
 *     registry_file FILE WHAT ...
 *
 * where each WHAT is one of
 *     services=COUNT,PER        COUNT services many-N of PER instances each
 *     instances=NAME,COUNT,SIZE a service of COUNT instances, each with SIZE bytes of metadata (0:
 *     none)
 *     clusters=NAME,COUNT,PER   a service of COUNT clusters c-N of PER instances each
 *     keys=NAME,COUNT           an instance with COUNT metadata keys of two to four letters
 *     subscribers=NAME,COUNT    of one service, from 127.9.x.y
 *     namespaces=COUNT,SIZE     namespaces ns-N with descriptions of SIZE bytes
 * in the namespace public and the group DEFAULT_GROUP. Instances are 10.a.b.c:80, ephemeral and
 * healthy. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/registry/namespaces.h"
#include "shared/registry/snapshot.h"
#include "shared/view/metadata.h"

#define SEGMENT_BYTES (4ULL << 30)
#define NUMBERS 2U

static struct registry reg;
static struct arena arena;

static void must(int ret, const char *what)
{
	if (ret >= 0)
		return;
	fprintf(stderr, "registry_file: %s: %s\n", what, err_str(ret));
	exit(EXIT_FAILURE);
}

/* ---- objects --------------------------------------------------------------------------------- */

static struct service_key key_of(const char *name, char text[200])
{
	int n = snprintf(text, 200, "DEFAULT_GROUP@@%s", name);

	return (struct service_key){ STR("public"), str_make(text, (size_t)n) };
}

static struct str letters(size_t count, char letter)
{
	char *p = arena_alloc(&arena, count + 1);

	must(p == NULL ? ERR_NOMEM : 0, "memory");
	memset(p, letter, count);
	return str_make(p, count);
}

static void put(const struct service_key *service, struct str cluster, unsigned number,
                const struct instance_metadata *metadata)
{
	char ip[32];
	int n = snprintf(ip, sizeof(ip), "10.%u.%u.%u", number >> 16 & 255, number >> 8 & 255,
	                 number & 255);
	struct instance_spec spec = {
		.key = { cluster, str_make(ip, (size_t)n), 80, true },
		.weight = 1,
		.enabled = true,
		.healthy = true,
		.metadata = *metadata,
	};

	must(registry_register(&reg, (struct origin){ .cause = CAUSE_CLIENT }, service, &spec),
	     "register");
}

static struct instance_metadata packed(const struct metadata_pair *pairs, size_t count)
{
	struct instance_metadata metadata;

	must(metadata_pack(&arena, pairs, count, &metadata), "metadata");
	return metadata;
}

/* ---- what there is --------------------------------------------------------------------------- */

static void services(const char *name, const unsigned numbers[NUMBERS])
{
	struct metadata_pair pair = { STR("version"), STR("1.2.3") };
	struct instance_metadata metadata = packed(&pair, 1);
	char text[200], one[64];

	(void)name;
	for (unsigned s = 0; s < numbers[0]; s++) {
		struct service_key key;

		snprintf(one, sizeof(one), "many-%u", s);
		key = key_of(one, text);
		for (unsigned i = 0; i < numbers[1]; i++)
			put(&key, STR("DEFAULT"), s * numbers[1] + i, &metadata);
	}
}

static void instances(const char *name, const unsigned numbers[NUMBERS])
{
	struct metadata_pair pair = { STR("k"), letters(numbers[1], 'v') };
	struct instance_metadata metadata = packed(&pair, numbers[1] > 0);
	char text[200];
	struct service_key key = key_of(name, text);

	for (unsigned i = 0; i < numbers[0]; i++)
		put(&key, STR("DEFAULT"), i, &metadata);
}

static void clusters(const char *name, const unsigned numbers[NUMBERS])
{
	struct instance_metadata metadata = packed(NULL, 0);
	char text[200], cluster[32];
	struct service_key key = key_of(name, text);

	for (unsigned c = 0; c < numbers[0]; c++) {
		int n = snprintf(cluster, sizeof(cluster), "c-%u", c);

		for (unsigned i = 0; i < numbers[1]; i++)
			put(&key, str_make(cluster, (size_t)n), c * numbers[1] + i, &metadata);
	}
}

static void keys(const char *name, const unsigned numbers[NUMBERS])
{
	struct metadata_pair *pairs = arena_alloc(&arena, numbers[0] * sizeof(*pairs));
	struct instance_metadata metadata;
	char text[200], key[16];
	struct service_key service = key_of(name, text);

	must(pairs == NULL ? ERR_NOMEM : 0, "memory");
	for (unsigned k = 0; k < numbers[0]; k++) {
		int n = snprintf(key, sizeof(key), "%x", k);

		pairs[k] = (struct metadata_pair){ arena_copy(&arena, str_make(key, (size_t)n)),
			                           STR("") };
	}
	metadata = packed(pairs, numbers[0]);
	put(&service, STR("DEFAULT"), 1, &metadata);
}

static void subscribers(const char *name, const unsigned numbers[NUMBERS])
{
	struct service_stamp stamp;
	char text[200], ip[32];
	struct service_key key = key_of(name, text);

	for (unsigned i = 0; i < numbers[0]; i++) {
		struct subscriber_spec sub = {
			.agent = STR("Nacos-Java-Client:v1.4.2"),
			.push = true,
			.port = (uint16_t)(1 + i % 65535),
			.address = { [10] = 0xff, [11] = 0xff, [12] = 127, [13] = 9 },
			.clusters = STR(""),
			.app = STR("unknown")
		};
		int n = snprintf(ip, sizeof(ip), "127.9.%u.%u", i >> 8 & 255, i & 255);

		sub.address[14] = (uint8_t)(i >> 8);
		sub.address[15] = (uint8_t)i;
		memcpy(sub.source, sub.address, sizeof(sub.source));
		sub.address_text = str_make(ip, (size_t)n);
		must(registry_poll(&reg, &key, &sub, &stamp), "subscribe");
	}
}

static void namespaces(const char *name, const unsigned numbers[NUMBERS])
{
	struct str about = letters(numbers[1], 'd');
	char id[32];

	(void)name;
	for (unsigned i = 0; i < numbers[0]; i++) {
		int n = snprintf(id, sizeof(id), "ns-%u", i);
		struct namespace_row row = { str_make(id, (size_t)n), str_make(id, (size_t)n),
			                     about };

		must(namespaces_create(&reg, &row), "namespace");
	}
}

/* ---- the command line ------------------------------------------------------------------------ */

static const struct {
	const char *word;
	bool named;
	void (*make)(const char *name, const unsigned numbers[NUMBERS]);
} kinds[] = {
	{ "services", false, services },      { "instances", true, instances },
	{ "clusters", true, clusters },       { "keys", true, keys },
	{ "subscribers", true, subscribers }, { "namespaces", false, namespaces },
};

static void make(const char *what)
{
	const char *equals = strchr(what, '='), *at = equals != NULL ? equals + 1 : "";
	unsigned numbers[NUMBERS] = { 0, 0 };
	char name[64] = "";

	for (size_t i = 0; equals != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].word) != (size_t)(equals - what) ||
		    strncmp(kinds[i].word, what, strlen(kinds[i].word)) != 0)
			continue;
		if (kinds[i].named) {
			size_t n = strcspn(at, ",");

			snprintf(name, sizeof(name), "%.*s", (int)n, at);
			at += n + (at[n] == ',');
		}
		numbers[0] = (unsigned)strtoul(at, NULL, 10);
		if ((at = strchr(at, ',')) != NULL)
			numbers[1] = (unsigned)strtoul(at + 1, NULL, 10);
		kinds[i].make(name, numbers);
		return;
	}
	fprintf(stderr, "registry_file: what is %s?\n", what);
	exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	struct snapshot_report report = { .why = "" };
	struct segment *seg;
	int fd, ret;

	if (argc < 3) {
		fprintf(stderr, "usage: registry_file FILE WHAT ...\n");
		return 2;
	}
	arena_init(&arena, 0);
	must(segment_open_anonymous(SEGMENT_BYTES, &seg), "segment");
	must(registry_format(seg), "format");
	registry_init(&reg, seg);
	for (int i = 2; i < argc; i++)
		make(argv[i]);
	fd = open(argv[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	must(fd < 0 ? ERR_IO : 0, argv[1]);
	ret = snapshot_save(&reg, fd, &report);
	must(ret, report.why);
	must(close(fd), "close");
	printf("services %llu instances %llu subscribers %llu bytes %llu\n",
	       (unsigned long long)report.services, (unsigned long long)report.instances,
	       (unsigned long long)report.subscribers, (unsigned long long)report.bytes);
	arena_free(&arena);
	return 0;
}
