/* convert.h - an upgrade to a binary with another layout of the segment.
 *
 * The trial of the new binary found everything in order but the layout (exit code TRIAL_EXIT_LAYOUT). The old master then
 * calls upgrade_convert() once, in its loop, right before the exec. Either it returns 0, and the segment behind m->seg->fd,
 * which the handover passes on, has the layout of the new binary; or it logs what the operator can do and returns a
 * negative code, and the registry is served on as it was: the upgrade is refused. */
#ifndef MASTER_CONVERT_H
#define MASTER_CONVERT_H

#include "shared/base/err.h"

struct master;

int upgrade_convert(struct master *m) MUST_CHECK;

#endif
