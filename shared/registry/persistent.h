/* SPDX-License-Identifier: Apache-2.0 */
/* persistent.h - what the active checks (specification 8.3) read of persistent instances, and how
 * they set health.
 *
 * Same rules as registry.h. A look copies at most PERSISTENT_ROWS instances in one hold, cluster by
 * cluster in order of creation; between holds the service may change: then the next look at it sees
 * another revision. */
#ifndef REGISTRY_PERSISTENT_H
#define REGISTRY_PERSISTENT_H

#include "shared/registry/registry.h"

#define PERSISTENT_ROWS 256U
#define PERSISTENT_IP 48U /* room for every literal address; a longer text is none */

struct persistent_row {
	uint64_t id;
	uint32_t off;   /* hint, checked against the id */
	uint32_t flags; /* enum instance_flag of layout.h */
	int32_t port;
	uint64_t beat_ms; /* health clock of the latest registration */
	uint32_t ip_len;  /* above PERSISTENT_IP: the text was left out */
	char ip[PERSISTENT_IP];
};

struct persistent_look {
	/* in */
	struct keeper_entry service;
	uint64_t revision; /* known already; 0: none */
	/* in and out: where to go on; zero to begin */
	uint32_t cluster_off;
	uint64_t resume_id;
	uint32_t resume_off;
	uint64_t looks; /* so far: bounds lists that have no end */
	/* out */
	bool unchanged; /* the revision is the known one: nothing was copied */
	bool done;      /* this was the last cluster's last piece */
	bool cut;       /* some instances were missed: the place to go on was gone. Look again */
	uint64_t seen;  /* revision at the beginning of the first hold */
	uint32_t persistent;
	/* Instances of one cluster with these settings; name_len 0: there is none. */
	char name[1024], checker[4096]; /* hold every text the registry takes; checker_len 0: TCP */
	uint32_t name_len, checker_len;
	int32_t check_port;
	bool use_instance_port;
	uint32_t rows;
	struct persistent_row row[PERSISTENT_ROWS];
};

/* Copies the next piece in one hold. ERR_NOT_FOUND: the service is gone. */
int registry_look_persistent(struct registry *reg, uint32_t shard,
                             struct persistent_look *look) MUST_CHECK;

/* Stores what enough checks in a row said: sets health and INSTANCE_CONFIRMED and pushes, also when
 * health stays as it was. ERR_NO_INSTANCE: the instance is gone, ephemeral or marked. It never
 * allocates. */
int registry_set_checked(struct registry *reg, struct origin origin, uint32_t shard,
                         struct keeper_entry service, struct keeper_entry instance,
                         bool healthy) MUST_CHECK;

#endif
