/* SPDX-License-Identifier: Apache-2.0 */
/* handover_fixture.h - a page as the image that serves fills it, here for a master that has neither
 * children nor sockets. */
#ifndef TESTS_HANDOVER_FIXTURE_H
#define TESTS_HANDOVER_FIXTURE_H

#include <stdio.h>

#include "master/master.h"
#include "master/upgrade/handover.h"

/* The page names the calling process as the master. args: the whole command line, "rosterd" first.
 * seg stays the caller's. False: there is no page. */
static inline bool handover_page_new(struct master *m, struct segment *seg, char **args,
                                     struct handover **page_r, int *fd_r)
{
	*m = (struct master){ .args = args,
		              .path = "/usr/sbin/rosterd",
		              .seg = seg,
		              .ready_fd = -1,
		              .alive_fds = { -1, -1 },
		              .config_fd = -1,
		              .convert = { .snapshot_fd = -1 },
		              .activation = { .datagram_fd = -1 } };
	config_defaults(&m->config);
	sockets_init(&m->sockets);
	for (unsigned i = 0; i < CHILDREN_ALL; i++)
		m->children[i].notice_fd = m->children[i].migrate_fd = -1;
	if (handover_new(page_r, fd_r) < 0 || handover_fill(*page_r, m) < 0)
		return false;
	(*page_r)->self_fd = *fd_r;
	return true;
}

#endif
