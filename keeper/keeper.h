/* SPDX-License-Identifier: Apache-2.0 */
/* keeper.h - the keeper's context: everything hangs from here.
 *
 * It holds no state that a successor could not find again. What the brake must not forget is in the
 * segment. */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <ev.h>
#include <stdbool.h>

#include "keeper/audit.h"
#include "keeper/brake.h"
#include "keeper/checks.h"
#include "keeper/cleanup.h"
#include "keeper/expiry.h"
#include "keeper/work.h"
#include "shared/process/process.h"
#include "shared/process/turn.h"
#include "shared/registry/registry.h"

struct keeper {
	struct process *proc;
	struct ev_loop *loop;
	struct registry reg;
	struct cleanup cleanup;
	struct expiry expiry;
	struct brake brake;
	struct checks checks;
	struct audit audit;
	struct work work;
	struct turn turn;
	int exit_code; /* of the process when it ends as it should */
	ev_timer tick;
};

#endif
