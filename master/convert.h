/* convert.h - an upgrade to a binary with another layout of the segment.
 *
 * The trial of the new binary found everything in order but the layout (exit code TRIAL_EXIT_LAYOUT). The old master then
 * calls upgrade_convert() once, in its loop, before the exec. It may take as long as nobody may be served anyway, and
 * must not leave anything half done: either the segment behind m->seg->fd (which the handover passes on) has the layout of the
 * new binary and 0 is returned, or the registry is served on as it was and the result is negative; why says what the
 * operator can do. */
#ifndef MASTER_CONVERT_H
#define MASTER_CONVERT_H

#include <stddef.h>

#include "shared/base/err.h"

struct master;

int upgrade_convert(struct master *m, char *why, size_t why_size) MUST_CHECK;

#endif
