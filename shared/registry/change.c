/* SPDX-License-Identifier: Apache-2.0 */
/* change.c - takes services off the list of changed ones; the transactions that change them put
 * them there. */
#include "shared/registry/registry_internal.h"
#include "shared/registry/registry_pusher.h"

int registry_take_changed(struct registry *reg, uint32_t shard, uint32_t consumer, uint64_t now_ms,
                          uint64_t min_age_ms, struct changed_service *changed_r,
                          uint64_t *wait_ms_r)
{
	uint32_t link =
	        (uint32_t)(offsetof(struct service, queue) + consumer * sizeof(struct queue_link));
	struct queue_list *list;
	struct service *s;
	struct op op;
	uint64_t due_ms;
	int ret;

	*wait_ms_r = UINT64_MAX;
	if (consumer >= QUEUE_CONSUMERS)
		return ERR_RANGE;
	if ((ret = op_begin(&op, reg, shard, (struct origin){ 0 })) < 0)
		return ret;
	ROSTER_ASSERT(link + sizeof(struct queue_link) <= sizeof(struct service));
	list = &op.root->queue[consumer];
	if (list->first == 0 || (s = service_at(&op, list->first)) == NULL) {
		ret = op.tx.err;
		op_end(&op);
		return ret;
	}
	due_ms = queue_link_changed_ms(&s->queue[consumer]) + min_age_ms;
	if (due_ms > now_ms) {
		*wait_ms_r = due_ms - now_ms;
		op_end(&op);
		return 0;
	}
	key_copy(&op.tx, s->name, s->ns_len, s->name_len, &changed_r->name);
	changed_r->id = s->id;
	changed_r->changed = s->changed;
	changed_r->change = queue_take(&op.tx, list, list->first, SLAB_SERVICE, link,
	                               &changed_r->changed_at_ms);
	/* A service that is listed without a pending change would stay the first of the list for
	 * ever. */
	if (changed_r->change == 0)
		undo_fail(&op.tx, ERR_CORRUPT);
	ret = op_finish(&op, 0);
	return ret < 0 ? ret : 1;
}
