/* SPDX-License-Identifier: Apache-2.0 */
/* fallback.h - calling the old binary back while an upgrade is not proven.
 *
 * From the first statement of main() until all new children serve, every end of the new image
 * (SEGV, BUS, ILL, FPE, ABRT, exit(), a refusal of its own) and a hang (ALRM after `upgrade.limit`)
 * ends in fexecve of the old binary: same pid, same children, same descriptors. What the old one
 * needs stands in the handover page. Over another layout the way back ends earlier, with the rename
 * that gives the new segment its name: the old binary would serve one that the next start does not
 * find. SIGKILL cannot be caught: after it master and children are gone, and the next start
 * attaches the segment. */
#ifndef MASTER_UPGRADE_FALLBACK_H
#define MASTER_UPGRADE_FALLBACK_H

#include <stdbool.h>

#include "master/upgrade/handover.h"

#define FALLBACK_HOLD_S 5

/* Does nothing unless the arguments name a handover of this very process, and are not already the
 * way back. Opens no descriptor. */
void fallback_arm(int argc, char **argv);
void fallback_disarm(void);
bool fallback_is_armed(void);
/* Is called in a child, first of all, because the end of a child calls nobody back. */
void fallback_forget(void);
/* Between the two a late alarm waits: while a child is forked or waited for, and until the page
 * says so. Holds nest. What hangs in one is called back after FALLBACK_HOLD_S all the same. */
void fallback_hold(void);
void fallback_release(void);
/* Around the rename of a conversion (convert_commit()). renamed: it was made, and the way back is
 * disarmed. Between the two a late alarm waits, and whoever would call the old binary back looks
 * whether the name still stands for its segment; else the image ends like one that is not armed. */
void fallback_rename_begin(void);
void fallback_rename_end(bool renamed);
/* Says why, for the log of the old image, before an exit() or as part of fallback_now(). The first
 * reason counts. */
void fallback_because(const char *why);
/* Calls the old binary back. Returns only when it is not armed, or the rename has been made. */
void fallback_now(const char *why);

#endif
