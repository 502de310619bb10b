/* SPDX-License-Identifier: Apache-2.0 */
#include "master/roles.h"

#include "shared/codec/charset.h"

const struct role_row role_rows[ROLE_ROWS] = {
	/* role        name      entrance     prepare       modules first slot          most         listens pushes busy   stop */
	{ ROLE_WORKER, "worker", worker_main, charset_load, NULL, 0, WORKERS_MAX, true, false, 5000, 0 },
	{ ROLE_PUSHER, "pusher", pusher_main, NULL, NULL, WORKERS_MAX, 1, false, true, 10000, 1 },
	{ ROLE_KEEPER, "keeper", keeper_main, NULL, keeper_load_modules, WORKERS_MAX + 1, 1, false, false, 10000, 1 },
};

const struct role_row *role_of_place(unsigned place)
{
	for (unsigned i = 0; i < ROLE_ROWS; i++)
		if (place >= role_rows[i].first_slot && place < role_rows[i].first_slot + role_rows[i].most)
			return &role_rows[i];
	return NULL;
}

unsigned role_slot(unsigned place, unsigned bank)
{
	return place < WORKERS_MAX ? slot_of_worker(bank, place) : place;
}
