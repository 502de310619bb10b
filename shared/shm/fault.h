/* SPDX-License-Identifier: Apache-2.0 */
/* fault.h - numbered crash points.
 *
 * FAULT("name") compiles to nothing unless configured with --enable-faults. There, each passage
 * counts; when the count reaches the armed number, the process kills itself with SIGKILL at exactly
 * this place. Points stand before and after each store that other processes can see, around page
 * takes, queue links and lock hand-over.
 *
 * Arming is per process and inherited by fork. ROSTER_FAULT=N in the environment arms a child at
 * its start, with ROSTER_FAULT_ROLE=worker only one of that role. With ROSTER_FAULT_STOP set the
 * child is stopped (SIGSTOP) there instead; continued, it goes on. ROSTER_FAULT_MEAN_worker=N arms
 * each worker at a random number of its own, N on average, and so for the other roles: every
 * generation dies at another place.
 *
 * FAULT_AT("name") is a place of its own that ends in another way: ROSTER_FAULT_AT=name=segv (or
 * abort, exit, hang, kill); with stop it goes on when it is continued. Names are trial,
 * upgrade-begin, upgrade-adopt, upgrade-prove, upgrade-reap (a child was waited for) and the role
 * of each child; on the way of a new file into the place of an old one segment-made, load-service,
 * import-loaded, segment-whole, segment-two-names, segment-renamed, newfile-empty, save-services,
 * newfile-whole, newfile-named, files-fresh. */
#ifndef SHM_FAULT_H
#define SHM_FAULT_H

#include <stdint.h>

#ifdef ROSTER_FAULTS
void fault_point(const char *name);
/* Arms the point that is passed as number `at`; 0 disarms. The count begins again at zero. */
void fault_arm(uint64_t at);
uint64_t fault_count(void);
/* Who kills himself leaves the name of the point in *where (NULL: nowhere), which is memory shared
 * with his relatives by fork. For them the same text stands at the same address. */
void fault_tell(const char *volatile *where);
/* Called by a child when it enters its role: arms it as the environment says. */
void fault_arm_from_environment(const char *role);
#define FAULT(name) fault_point(name)
void fault_at(const char *name);
#define FAULT_AT(name) fault_at(name)
#else
#define FAULT(name) ((void)0)
#define FAULT_AT(name) ((void)0)
static inline void fault_arm_from_environment(const char *role)
{
	(void)role;
}
#endif

#endif
