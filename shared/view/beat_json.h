/* SPDX-License-Identifier: Apache-2.0 */
/* beat_json.h - the JSON body of a full beat (specification 4.7), read with yajl. */
#ifndef VIEW_BEAT_JSON_H
#define VIEW_BEAT_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"
#include "shared/registry/registry.h"

struct beat_info {
	bool light;    /* JSON null: a light beat */
	struct str ip; /* unset: absent */
	int32_t port;
	double weight;                     /* 0.0 unless given */
	struct str cluster;                /* unset: absent */
	bool ephemeral;                    /* true unless given */
	struct instance_metadata metadata; /* null unless given */
};

/* Reads a beat. Unknown fields are ignored, and numbers in strings are accepted; depth and keys are
 * limited. Texts point into the source or the arena. ERR_SYNTAX with what the parser says in why
 * (for the second cause), ERR_NOMEM, and the other codes of json_read(). */
int beat_json_parse(struct arena *arena, struct str text, struct beat_info *info_r, char *why,
                    size_t why_size) MUST_CHECK;

#endif
