/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/ops.h"

/* clang-format off */
#define P(verb_, service_, key_, values_, number_) { { ACT_##verb_, SVC_##service_, KEY_##key_, VALUES_##values_, number_ }, 1 }
#define MANY(verb_, service_, key_, values_, number_, times_) \
	{ { ACT_##verb_, SVC_##service_, KEY_##key_, VALUES_##values_, number_ }, times_ }
#define A(verb_, service_, key_, values_, number_) { ACT_##verb_, SVC_##service_, KEY_##key_, VALUES_##values_, number_ }

#define THREE P(REGISTER, MAIN, PLAIN, SHORT, 1), P(REGISTER, MAIN, PLAIN, SHORT, 2), P(REGISTER, MAIN, OTHER, SHORT, 3)
#define SETTINGS P(UPDATE_SERVICE, MAIN, PLAIN, SHORT, 0), P(UPDATE_CLUSTER, MAIN, LONG, SHORT, 0)
#define WATCHED MANY(SUBSCRIBE, MAIN, PLAIN, SHORT, 5000, 3)
#define LASTING P(REGISTER, MAIN, LASTING, NONE, 9)
#define OFFICE P(SWITCHES, MAIN, PLAIN, TINY, 400), P(CREATE_NAMESPACE, MAIN, PLAIN, SHORT, 1), \
	P(CREATE_NAMESPACE, MAIN, PLAIN, RICH, 2)

const struct operation operations[] = {
	{ "register, new service", { THREE }, A(REGISTER, NEW, LONG, RICH, 80), 1, 100, 0 },
	{ "register, new instance", { THREE }, A(REGISTER, MAIN, LONG, RICH, 80), 1, 80, 0 },
	{ "register, no metadata", { THREE }, A(REGISTER, MAIN, PLAIN, NONE, 80), 1, 40, 0 },
	{ "register, persistent", { THREE }, A(REGISTER, MAIN, LASTING, SHORT, 9), 1, 60, 0 },
	{ "register, short timeouts", { THREE }, A(REGISTER, MAIN, PLAIN, OFTEN, 80), 1, 60, 0 },
	{ "register, replace", { THREE }, A(REGISTER, MAIN, PLAIN, RICH, 2), 1, 40, 0 },
	{ "register, replace by less", { THREE }, A(REGISTER, MAIN, PLAIN, NONE, 2), 1, 30, 0 },
	{ "register, bad cluster", { THREE }, A(REGISTER, NEW, BAD, SHORT, 2), 1, 30, 0 },
	{ "register, table grows", { MANY(REGISTER, MAIN, PLAIN, NONE, 1, 64) }, A(REGISTER, MAIN, LONG, RICH, 80), 1, 90, 0 },
	{ "register, segment grows", { THREE }, A(REGISTER, NEW, LONG, RICH, 80), 1, 100, OP_TIGHT },
	{ "update", { THREE }, A(UPDATE, MAIN, PLAIN, RICH, 1), 1, 40, 0 },
	{ "update, other cluster", { THREE }, A(UPDATE, MAIN, OTHER, TINY, 1), 1, 40, 0 },
	{ "deregister", { THREE }, A(DEREGISTER, MAIN, PLAIN, NONE, 2), 1, 40, 0 },
	{ "deregister, last", { P(REGISTER, MAIN, LONG, RICH, 80) }, A(DEREGISTER, MAIN, LONG, NONE, 80), 1, 40, 0 },
	{ "deregister, table shrinks",
	  { MANY(REGISTER, MAIN, PLAIN, NONE, 1, 65), MANY(DEREGISTER, MAIN, PLAIN, NONE, 17, 49) },
	  A(DEREGISTER, MAIN, PLAIN, NONE, 2), 1, 40, 0 },
	{ "deregister, unknown cluster", { THREE }, A(DEREGISTER, MAIN, LONG, NONE, 2), 1, 15, 0 },
	{ "patch", { THREE }, A(PATCH, MAIN, PLAIN, RICH, 2), 1, 40, 0 },
	{ "patch, texts of one size", { P(REGISTER, MAIN, PLAIN, TINY, 2) }, A(PATCH, MAIN, PLAIN, OFTEN, 2), 1, 40, 0 },
	{ "set metadata", { THREE }, A(METADATA, MAIN, PLAIN, RICH, 1), 1, 40, 0 },
	{ "beat", { THREE, P(LATER, MAIN, PLAIN, NONE, 100) }, A(BEAT, MAIN, PLAIN, NONE, 2), 1, 4, 0 },
	{ "beat that revives", { THREE, P(SICK, MAIN, PLAIN, NONE, 2), P(LATER, MAIN, PLAIN, NONE, 100) },
	  A(BEAT, MAIN, PLAIN, NONE, 2), 1, 15, 0 },
	{ "set health", { THREE }, A(SICK, MAIN, PLAIN, NONE, 2), 1, 15, 0 },
	{ "check confirms", { THREE, LASTING }, A(CHECKED_WELL, MAIN, LASTING, NONE, 9), 1, 15, 0 },
	{ "check fails", { THREE, LASTING, P(CHECKED_WELL, MAIN, LASTING, NONE, 9) }, A(CHECKED_SICK, MAIN, LASTING, NONE, 9), 1, 15, 0 },
	{ "create service", { THREE }, A(CREATE_SERVICE, NEW, PLAIN, SHORT, 0), 1, 40, 0 },
	{ "edit service", { THREE }, A(UPDATE_SERVICE, MAIN, PLAIN, SHORT, 0), 1, 20, 0 },
	{ "edit service, replace", { THREE, SETTINGS }, A(UPDATE_SERVICE, MAIN, PLAIN, TINY, 0), 1, 20, 0 },
	{ "edit cluster, new", { THREE }, A(UPDATE_CLUSTER, MAIN, LONG, RICH, 0), 1, 30, 0 },
	{ "edit cluster, replace", { THREE, SETTINGS }, A(UPDATE_CLUSTER, MAIN, LONG, TINY, 0), 1, 20, 0 },
	{ "remove service", { THREE, WATCHED, SETTINGS }, A(REMOVE_SERVICE, MAIN, PLAIN, NONE, 0), 1, 30, OP_ALONE },
	{ "remove empty service", { THREE, P(REGISTER, EMPTY, PLAIN, NONE, 1), P(DEREGISTER, EMPTY, PLAIN, NONE, 1) },
	  A(REMOVE_EMPTY, EMPTY, PLAIN, NONE, 0), 1, 30, 0 },
	{ "drain", { THREE, SETTINGS, P(REMOVE_SERVICE, MAIN, PLAIN, NONE, 0) }, A(DRAIN, MAIN, PLAIN, NONE, 7), 7, 150, OP_ALONE },
	{ "expire: flip and remove",
	  { THREE, P(LATER, MAIN, PLAIN, NONE, 20000), P(BEAT, MAIN, PLAIN, NONE, 2), P(LATER, MAIN, PLAIN, NONE, 15001),
	    P(BEAT, MAIN, OTHER, NONE, 3) },
	  A(EXPIRE, MAIN, PLAIN, NONE, 0), 2, 60, 0 },
	{ "expire: remove all", { THREE, P(LATER, MAIN, PLAIN, NONE, 40000) }, A(EXPIRE, MAIN, PLAIN, NONE, 0), 3, 90, OP_ALONE },
	{ "drop stale", { THREE, P(ATTACH, MAIN, PLAIN, NONE, 0), P(LATER, MAIN, PLAIN, NONE, 1) },
	  A(STALE, MAIN, PLAIN, NONE, 1000), 3, 100, 0 },
	{ "subscribe, first", { THREE, WATCHED }, A(SUBSCRIBE, NEW, PLAIN, SHORT, 6000), 1, 50, 0 },
	{ "subscribe, next", { THREE, WATCHED }, A(SUBSCRIBE, MAIN, PLAIN, SHORT, 6000), 1, 40, 0 },
	{ "subscribe, renew", { THREE, WATCHED }, A(SUBSCRIBE, MAIN, PLAIN, SHORT, 5001), 1, 4, OP_SILENT },
	{ "subscribe, from now on with push", { THREE, P(SUBSCRIBE, MAIN, PLAIN, NONE, 5000) },
	  A(SUBSCRIBE, MAIN, PLAIN, SHORT, 5000), 1, 10, 0 },
	{ "unsubscribe", { THREE, WATCHED }, A(UNSUBSCRIBE, MAIN, PLAIN, NONE, 3), 3, 100, 0 },
	{ "mark sent", { THREE, WATCHED }, A(SENT, MAIN, PLAIN, NONE, 0), 1, 10, 0 },
	{ "mark acked", { THREE, WATCHED, P(SENT, MAIN, PLAIN, NONE, 0) }, A(ACKED, MAIN, PLAIN, NONE, 0), 1, 8, 0 },
	{ "take changed", { THREE, P(REGISTER, NEW, PLAIN, NONE, 1) }, A(TAKE, MAIN, PLAIN, NONE, 0), 1, 8, OP_TAKES | OP_SILENT },
	{ "store checksum", { THREE }, A(CHECKSUM, MAIN, PLAIN, NONE, 0), 1, 8, OP_ALONE },
	{ "compact", { MANY(REGISTER, MAIN, PLAIN, SHORT, 1, 75), MANY(DEREGISTER, MAIN, PLAIN, NONE, 2, 73) },
	  A(COMPACT, MAIN, PLAIN, NONE, 0), 1, 20, OP_SILENT },
	{ "switches", { OFFICE }, A(SWITCHES, MAIN, PLAIN, RICH, 404), 1, 20, OP_OFFICE },
	{ "create namespace", { OFFICE }, A(CREATE_NAMESPACE, MAIN, PLAIN, TINY, 3), 1, 30, OP_OFFICE },
	{ "create namespace, table grows", { MANY(CREATE_NAMESPACE, MAIN, PLAIN, NONE, 10, 64) },
	  A(CREATE_NAMESPACE, MAIN, PLAIN, TINY, 3), 1, 40, OP_OFFICE },
	{ "change namespace", { OFFICE }, A(UPDATE_NAMESPACE, MAIN, PLAIN, RICH, 1), 1, 20, OP_OFFICE },
	{ "delete namespace", { OFFICE }, A(REMOVE_NAMESPACE, MAIN, PLAIN, NONE, 2), 1, 20, OP_OFFICE },
};
/* clang-format on */

const unsigned operation_count = sizeof(operations) / sizeof(operations[0]);
