/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/later.h"

const char *const later_paths[] = {
	"/v1/auth/users",
	"/v1/auth/users/password",
	"/v1/auth/users/search",
	"/v1/auth/roles",
	"/v1/auth/roles/search",
	"/v1/auth/permissions",
	"/v1/core/cluster/report",
	"/v1/core/cluster/switch/lookup",
	"/v1/core/cluster/server/leave",
	"/v1/core/ops/raft",
	"/v1/core/ops/idInfo",
	"/v1/core/ops/log",
	"/v1/ns/distro/datum",
	"/v1/ns/distro/datums",
	"/v1/ns/distro/checksum",
	"/v1/ns/raft/vote",
	"/v1/ns/raft/beat",
	"/v1/ns/raft/datum",
	"/v1/ns/raft/datum/commit",
	"/v1/ns/raft/datum/reload",
	"/v1/ns/raft/listeners",
};

const unsigned later_count = sizeof(later_paths) / sizeof(later_paths[0]);

bool later_holds(struct str path)
{
	if (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	for (unsigned i = 0; i < later_count; i++)
		if (str_eq(path, str_of(later_paths[i])))
			return true;
	return false;
}
