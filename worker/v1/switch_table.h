/* SPDX-License-Identifier: Apache-2.0 */
/* switch_table.h - the switches of specification 10 as rows: shown, set one by one, set as a batch.
 *
 * Whoever sets one works on a copy: load, set, store, and again when another worker stored
 * meanwhile. Texts are views of the copy, of the request, or of the arena handed in. */
#ifndef WORKER_V1_SWITCH_TABLE_H
#define WORKER_V1_SWITCH_TABLE_H

#include <stdbool.h>

#include "shared/base/arena.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/registry/switches.h"

struct registry;

#define SWITCH_SHOWN 100U /* bytes of a bad value in a refusal */

struct switch_state {
	struct switches words;
	struct str masters; /* "a,b"; unset: null */
	struct str limited; /* limitedUrlMap: "url:status,url:status"; unset or "": none */
	struct str status;  /* overriddenServerStatus; unset: null; "" and blanks: none */
};

#define SWITCH_UNKNOWN 1

struct switch_refusal {
	int status; /* HTTP */
	char text[320];
	char cause[160]; /* second element of the chain, "": none */
};

/* Fills *copy_r with what is stored, *state_r with views of it. */
int switch_load(struct registry *reg, struct switches_copy *copy_r,
                struct switch_state *state_r) MUST_CHECK;
/* Returns ERR_AGAIN when somebody else stored since the load, ERR_TOO_BIG when a text is too
 * long. */
int switch_store(struct registry *reg, const struct switch_state *state) MUST_CHECK;

/* Writes the answer of GET switches. */
void switch_show(struct buf *b, const struct switch_state *state);
/* Sets one entry of PUT switches. Returns 0 when it is accepted, SWITCH_UNKNOWN when there is no
 * such entry and nothing changed, ERR_RANGE or ERR_SYNTAX when it is refused and *state is as it
 * was, or another error. */
int switch_set(struct arena *arena, struct switch_state *state, struct str entry, struct str value,
               struct switch_refusal *refusal_r) MUST_CHECK;
/* Says whether a value of this entry changes what the server does. */
bool switch_is_live(struct str entry);

/* Takes the first pair off the text of limitedUrlMap. Returns false at the end, and at a pair that
 * no route stores. */
bool switch_next_limited(struct str *rest, struct str *url_r, int *status_r);

enum server_status {
	STATUS_STARTING,
	STATUS_UP,
	STATUS_DOWN,
	STATUS_PAUSED,
	STATUS_WRITE_ONLY,
	STATUS_READ_ONLY,
	SERVER_STATUSES
};

const char *server_status_text(enum server_status status);
/* Returns ERR_SYNTAX when it is none of them. */
int server_status_parse(struct str text, enum server_status *status_r) MUST_CHECK;

#endif
