/* SPDX-License-Identifier: Apache-2.0 */
/* service_names.h - the services of a namespace, or of all, sorted: what lists of services begin
 * with.
 *
 * Names are copied out of the segment, so no lock is held while they are looked at. They are
 * private to a request, which frees them before it ends. All calls pause (fiber.h) and may return
 * ERR_GONE. */
#ifndef WORKER_V1_SERVICE_NAMES_H
#define WORKER_V1_SERVICE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/arena.h"
#include "shared/base/sort.h"
#include "shared/registry/registry.h"

struct service_names {
	struct arena arena;
	struct service_row *rows; /* by namespace, then by name, in byte order */
	size_t count, cap;
};

/* Is called for each service, in no order, and may pause. NULL in its place keeps all. */
typedef bool service_keep_fn(const struct service_row *row, void *arg);

/* Reads all namespaces when ns is unset. Returns 0 or an error of the registry; names are to be
 * freed in any case. */
int service_names_read(struct service_names *names, struct registry *reg, struct str ns,
                       service_keep_fn *keep, void *arg) MUST_CHECK;
/* Sorts the rows into another order. */
int service_names_sort(struct service_names *names, sort_compare_fn *compare) MUST_CHECK;
void service_names_free(struct service_names *names);

#endif
