/* SPDX-License-Identifier: Apache-2.0 */
/* switch_rows.h - the rows behind switch_table.h, for its two sources and their test only. */
#ifndef WORKER_V1_SWITCH_ROWS_H
#define WORKER_V1_SWITCH_ROWS_H

#include <stddef.h>

#include "shared/base/assert.h"
#include "worker/v1/switch_table.h"

enum switch_type {
	SWITCH_LONG,
	SWITCH_INT,
	SWITCH_FLOAT,
	SWITCH_STRICT,  /* true only if the value is "true" */
	SWITCH_LOOSE,   /* also on, yes, t, y */
	SWITCH_EMPTY,   /* an empty value sets false, any other does nothing */
	SWITCH_PARAMS,  /* struct health_params; batch only */
	SWITCH_VERSION, /* set by the entry pushVersion */
	SWITCH_MASTERS,
	SWITCH_LIMITED,
	SWITCH_STATUS,
	SWITCH_FIXED, /* cannot be set; shown as the text in `refusal` */
};

/* In the order of the answer. */
struct switch_row {
	const char *name;  /* in the answer and in a batch */
	const char *entry; /* of PUT; NULL: only by batch or not at all */
	enum switch_type type;
	size_t offset; /* in struct switches */
	int64_t min;   /* of LONG and INT */
	const char *refusal;
	bool live; /* false: stored and shown only */
};

extern const struct switch_row switch_rows[];
extern const unsigned switch_row_count;

/* Writes the refusal, cut to its room, and returns ERR_RANGE. */
int switch_refuse(struct switch_refusal *refusal, int status, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* Sets the field of the row; SWITCH_VERSION takes "1.2.3". */
int switch_set_row(struct arena *arena, struct switch_state *state, const struct switch_row *row,
                   struct str value, struct switch_refusal *refusal) MUST_CHECK;
/* Sets the whole object. Is in switch_batch.c. */
int switch_set_batch(struct arena *arena, struct switch_state *state, struct str value,
                     struct switch_refusal *refusal) MUST_CHECK;

static inline uint64_t *switch_word(struct switch_state *state, const struct switch_row *row)
{
	ROSTER_ASSERT(row->offset <= sizeof(state->words) - sizeof(uint64_t));
	return (uint64_t *)((char *)&state->words + row->offset);
}

#endif
