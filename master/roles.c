/* SPDX-License-Identifier: Apache-2.0 */
#include "master/roles.h"

#include "shared/base/assert.h"
#include "shared/codec/charset.h"

const struct role_row role_rows[ROLE_ROWS] = {
	{ .role = ROLE_WORKER,
	  .entrance = worker_main,
	  .prepare = charset_load,
	  .first_slot = 0,
	  .most = WORKERS_MAX,
	  .listens = true,
	  .busy_kill_ms = 5000,
	  .stop_order = 0 },
	{ .role = ROLE_PUSHER,
	  .entrance = pusher_main,
	  .first_slot = WORKERS_MAX,
	  .most = 1,
	  .pushes = true,
	  .busy_kill_ms = 10000,
	  .stop_order = 1 },
	{ .role = ROLE_KEEPER,
	  .entrance = keeper_main,
	  .load_modules = keeper_load_modules,
	  .first_slot = WORKERS_MAX + 1,
	  .most = 1,
	  .busy_kill_ms = 10000,
	  .stop_order = 1 },
};

const struct role_row *role_of_place(unsigned place)
{
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		if (place >= role_rows[i].first_slot &&
		    place < role_rows[i].first_slot + role_rows[i].most)
			return &role_rows[i];
	return NULL;
}

unsigned role_slot(unsigned place, unsigned bank)
{
	ROSTER_ASSERT(place < CHILDREN);
	return place < WORKERS_MAX ? slot_of_worker(bank, place) : place;
}
