/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/service_names.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/assert.h"
#include "shared/base/sort.h"

#define ROWS_FIRST 256U

struct reading {
	struct service_names *names;
	service_keep_fn *keep;
	void *arg;
	struct str ns; /* copy of the last namespace */
	int err;
};

static bool grow(struct service_names *names)
{
	size_t cap = names->cap == 0 ? ROWS_FIRST : names->cap * 2;
	struct service_row *rows;

	if (names->count < names->cap)
		return true;
	rows = reallocarray(names->rows, cap, sizeof(*rows));
	if (rows == NULL)
		return false;
	names->rows = rows;
	names->cap = cap;
	return true;
}

static void on_service_row(const struct service_row *row, void *arg)
{
	struct reading *reading = arg;
	struct service_names *names = reading->names;
	struct str name;

	if (reading->err != 0 || (reading->keep != NULL && !reading->keep(row, reading->arg)))
		return;
	if (!str_is_set(reading->ns) || !str_eq(reading->ns, row->ns))
		reading->ns = arena_copy(&names->arena, row->ns);
	name = arena_copy(&names->arena, row->name);
	if (!str_is_set(reading->ns) || !str_is_set(name) || !grow(names)) {
		reading->err = ERR_NOMEM;
		return;
	}
	ROSTER_ASSERT(names->count < names->cap);
	names->rows[names->count++] = (struct service_row){ reading->ns, name, row->instances };
}

/* Service names are ASCII by rule, so byte order is the order of UTF-16 units. */
static int compare_rows(const void *a, const void *b)
{
	const struct service_row *x = a, *y = b;
	int order = x->ns.p == y->ns.p ? 0 : str_compare(x->ns, y->ns);

	return order != 0 ? order : str_compare(x->name, y->name);
}

int service_names_sort(struct service_names *names, sort_compare_fn *compare)
{
	ROSTER_ASSERT(names->count <= names->cap);
	return sort_rows(names->rows, names->count, sizeof(names->rows[0]), compare);
}

int service_names_read(struct service_names *names, struct registry *reg, struct str ns,
                       service_keep_fn *keep, void *arg)
{
	struct reading reading = { .names = names, .keep = keep, .arg = arg };
	int ret;

	*names = (struct service_names){ .rows = NULL };
	arena_init(&names->arena, 0);
	ret = registry_services(reg, ns, on_service_row, &reading);
	if (ret == 0)
		ret = reading.err;
	if (ret == 0)
		ret = service_names_sort(names, compare_rows);
	return ret;
}

void service_names_free(struct service_names *names)
{
	arena_free(&names->arena);
	free(names->rows);
	*names = (struct service_names){ .rows = NULL };
}
