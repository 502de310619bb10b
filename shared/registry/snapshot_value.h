/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_value.h - what is saved of a stored object, key by key: fields as they stand (fields.h),
 * and values that are made from members.
 *
 * For snapshot_save.c and the tests that compare objects. The rows of fields.h do without it, so
 * that who follows them need not know what a snapshot makes of an object. */
#ifndef REGISTRY_SNAPSHOT_VALUE_H
#define REGISTRY_SNAPSHOT_VALUE_H

#include "shared/registry/fields.h"

/* What a snapshot is made from. */
struct field_context {
	const struct tx *tx;
	uint64_t mono_ms; /* the present: times of CLOCK_MONOTONIC are saved as ages */
};

/* Makes the value of a key that is not saved as it stands at its place. Returns false when it is
 * saved as it stands, or left out if it has no place. */
typedef bool field_make_fn(const struct field_context *context, unsigned key, const void *object,
                           union field_value *value_r);

struct saved_kind {
	const struct fields *fields;
	field_make_fn *make[FIELD_KEYS]; /* by key; NULL: the field is saved as it stands */
};

extern const struct saved_kind saved_services, saved_clusters, saved_instances, saved_audiences,
        saved_subscribers;

/* Says what is saved under a key; returns false when nothing is. A blob that is saved as it stands
 * is given by its reference, in *blob_r, which is 0 otherwise. A number that is usual is given
 * too. */
static inline bool field_saved(const struct field_context *context, const struct saved_kind *kind,
                               unsigned key, const void *object, union field_value *value_r,
                               uint32_t *blob_r)
{
	const struct fields *fields = kind->fields;
	const struct field_row *row = &fields->rows[key];

	ROSTER_ASSERT(key > 0 && key < fields->saved);
	*blob_r = 0;
	if (kind->make[key] != NULL && kind->make[key](context, key, object, value_r))
		return true;
	if (row->bytes == 0)
		return false;
	if (field_is_blob(row))
		return (*blob_r = (uint32_t)field_number(row, object)) != 0;
	if (row->type == FIELD_ADDRESS)
		value_r->text = str_make((const char *)object + row->at, row->bytes);
	else
		value_r->number = field_number(row, object);
	return true;
}

#endif
