/* SPDX-License-Identifier: Apache-2.0 */
#include "master/plans.h"

#include <stddef.h>

#include "master/damage.h"
#include "master/orphans.h"
#include "master/reap.h"
#include "master/reload.h"
#include "master/start.h"
#include "master/stop.h"
#include "master/storage.h"
#include "master/upgrade/arrival.h"
#include "master/upgrade/convert.h"
#include "master/upgrade/freeze.h"
#include "master/upgrade/upgrade.h"

/* Who may end the server comes before who goes on with a start, and the stop behind all that may
 * have begun it. When it begins, a conversion is taken back before its freeze ends, and the upgrade
 * is over last. */
/* clang-format off */
const struct plan plans_rows[] = {
	{ "storage", .child_ready = storage_child_ready, .lend = storage_lend },
	{ "orphans", .advance = orphans_update },
	{ "damage",  .advance = damage_advance,  .child_died = damage_child_died },
	{ "arrival", .advance = arrival_advance, .child_died = arrival_child_died, .child_forked = arrival_record,
	             .blocks = arrival_blocks },
	{ "start",   .advance = start_advance,   .child_died = start_child_died },
	{ "convert", .advance = convert_advance, .in_child = convert_in_child,     .lend = convert_lend,
	             .stop = convert_stop },
	{ "freeze",  .blocks = freeze_blocks,    .stop = freeze_end },
	{ "stop",    .advance = stop_advance },
	{ "upgrade", .advance = upgrade_advance, .in_child = upgrade_in_child,     .stop = upgrade_stop },
	{ .name = NULL },
};

const struct signal_row plans_signals[] = {
	{ SIGCHLD, "CHLD", reap_children },
	{ SIGHUP,  "HUP",  reload_config },
	{ SIGUSR1, "USR1", reload_log },
	{ SIGUSR2, "USR2", upgrade_begin },
	{ SIGTERM, "TERM", stop_bounded },
	{ SIGINT,  "INT",  stop_bounded },
	{ SIGQUIT, "QUIT", stop_unbounded },
	{ SIGTTIN, "TTIN", reload_more_workers },
	{ SIGTTOU, "TTOU", reload_fewer_workers },
	{ 0,       NULL,   NULL },
};
/* clang-format on */
