/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces.h - the namespaces that were stored on purpose, in the office.
 *
 * Services need none of them: any name is a namespace for a service. They are rows for the console,
 * kept across restarts like the switches. Ids are checked by the caller. Same rules and errors as
 * the writes of registry.h. */
#ifndef REGISTRY_NAMESPACES_H
#define REGISTRY_NAMESPACES_H

#include "shared/registry/registry.h"

#define NAMESPACES_ID_MAX 128U
#define NAMESPACES_TEXT_MAX 1024U

struct namespace_row {
	struct str id, name;
	struct str about; /* unset: null */
};

struct namespace_copy {
	struct namespace_row row; /* points into text */
	char text[NAMESPACES_ID_MAX + 2 * NAMESPACES_TEXT_MAX];
};

/* Makes a namespace. ERR_EXISTS; ERR_LIMIT by limits.namespaces, or by limits.name for one of the
 * texts. */
int namespaces_create(struct registry *reg, const struct namespace_row *row) MUST_CHECK;
/* Replaces name and description. ERR_NOT_FOUND. */
int namespaces_update(struct registry *reg, const struct namespace_row *row) MUST_CHECK;
/* Removes a namespace; services in it stay. ERR_NOT_FOUND. */
int namespaces_remove(struct registry *reg, struct str id) MUST_CHECK;
/* ERR_NOT_FOUND. */
int namespaces_get(struct registry *reg, struct str id, struct namespace_copy *copy_r) MUST_CHECK;
/* Calls fn for all that are there throughout, in order of creation and outside the lock. Others run
 * in between (fiber_pause()): ERR_GONE. */
typedef void namespaces_fn(const struct namespace_row *row, void *arg);
int namespaces_each(struct registry *reg, namespaces_fn *fn, void *arg) MUST_CHECK;

#endif
