/* SPDX-License-Identifier: Apache-2.0 */
/* acts.h - operations on the registry as data: what the campaign kills, what prepares for it and
 * what others do meanwhile.
 *
 * An act is small, fixed and the same in every process, so a number through a pipe is enough to say
 * which one was answered. acts.c carries it out on the registry, model.c on the plain model; both
 * give the same code for the same act.
 *
 * All services of a bed lie in one shard: whoever works beside the victim wants the same lock. */
#ifndef TESTS_FAULT_ACTS_H
#define TESTS_FAULT_ACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry/registry.h"
#include "shared/registry/registry_keeper.h"

enum verb {
	ACT_NONE,
	ACT_REGISTER,
	ACT_UPDATE,
	ACT_DEREGISTER,
	ACT_PATCH,
	ACT_METADATA, /* reads the list, then registry_set_metadata() */
	ACT_BEAT,
	ACT_SICK,
	ACT_WELL,
	ACT_CHECKED_WELL, /* what active checks of a persistent instance say */
	ACT_CHECKED_SICK,
	ACT_CREATE_SERVICE,
	ACT_UPDATE_SERVICE,
	ACT_UPDATE_CLUSTER,
	ACT_REMOVE_SERVICE,
	ACT_REMOVE_EMPTY,
	ACT_DRAIN,       /* number: steps at most */
	ACT_EXPIRE,      /* the whole service */
	ACT_STALE,       /* the whole shard, one look of number services and instances */
	ACT_SUBSCRIBE,   /* number: port */
	ACT_UNSUBSCRIBE, /* number: how many, from the oldest */
	ACT_SENT,        /* marks every subscriber */
	ACT_ACKED,
	ACT_TAKE, /* of the change queue: all that is there */
	ACT_CHECKSUM,
	ACT_COMPACT,  /* the whole shard */
	ACT_SWITCHES, /* number: which word; values: texts too */
	ACT_CREATE_NAMESPACE,
	ACT_UPDATE_NAMESPACE,
	ACT_REMOVE_NAMESPACE,
	/* Never killed: they make the state that an operation needs. */
	ACT_LATER,  /* number: ms of the health clock */
	ACT_ATTACH, /* as after a restart of the server */
	ACT_VERBS
};

/* Services of a bed. Those of a crew member are touched by nobody else. */
enum bed_service { SVC_MAIN, SVC_NEW, SVC_EMPTY, SVC_CREW, SVC_COUNT = SVC_CREW + 4 };

enum act_key {
	KEY_PLAIN,
	KEY_OTHER, /* another cluster */
	KEY_LONG,  /* an address that needs a blob, and a new cluster */
	KEY_BAD,   /* a cluster name that is refused */
	KEY_LASTING,
	KEY_CREW,
	KEY_CREW_LASTING,
	KEY_COUNT
};

enum act_values { VALUES_NONE, VALUES_TINY, VALUES_SHORT, VALUES_RICH, VALUES_OFTEN, VALUES_COUNT };

struct act {
	uint8_t verb;    /* enum verb */
	uint8_t service; /* enum bed_service */
	uint8_t key;     /* enum act_key */
	uint8_t values;  /* enum act_values */
	int32_t number;  /* port, unless the verb says otherwise */
};

/* A registry in an anonymous segment, shared with the processes forked from this one. */
struct bed {
	struct segment *seg;
	struct registry reg;
	struct keeper_walks walks;
	uint32_t shard; /* of every service */
	char names[SVC_COUNT][32];
	/* What ACT_TAKE of this process took: called for each; service: enum bed_service. */
	void (*taken)(unsigned service, uint64_t id, uint64_t changed, void *arg);
	void *taken_arg;
};

/* Ends the program when memory is refused. */
void bed_open(struct bed *bed);
void bed_close(struct bed *bed);
struct service_key bed_key(const struct bed *bed, unsigned service);

/* 0 or a code of err.h. */
int act_run(struct bed *bed, const struct act *act);
const char *act_name(const struct act *act);

/* ---- what a key and values stand for: acts.c and model.c read the same rows ------------------ */

struct key_row {
	const char *ip, *cluster;
	bool ephemeral, valid;
};

struct values_row {
	const char *metadata; /* NULL: none; not terminated where bytes says */
	uint32_t metadata_bytes;
	const char *app;
	double weight;
	bool enabled;
	struct overrides overrides;
	float threshold;
	const char *selector, *checker;
	int32_t check_port;
	bool use_instance_port;
	const char *masters, *limited;
};

const struct key_row *act_key_row(unsigned key);
const struct values_row *act_values_row(unsigned values);
void act_namespace_id(int32_t number, char out[16]);

#define SWITCH_WORDS 4U /* number of ACT_SWITCHES; each owner has one of his own */
#define LATE_KEY 77U    /* lastRefTime that ACT_SENT writes */

#endif
