/* SPDX-License-Identifier: Apache-2.0 */
#include "master/plan.h"

#include <stddef.h>

#include "master/master.h"

static const struct plan none = { .name = NULL };

static const struct plan *first_plan(const struct master *m)
{
	return m->plans != NULL ? m->plans : &none;
}

void plan_advance(struct master *m)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->advance != NULL)
			plan->advance(m);
}

void plan_child_ready(struct master *m, const struct child *child)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->child_ready != NULL)
			plan->child_ready(m, child);
}

void plan_child_died(struct master *m, const struct child *child, const siginfo_t *info)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->child_died != NULL)
			plan->child_died(m, child, info);
}

bool plan_blocks(const struct master *m, const struct child *child)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->blocks != NULL && plan->blocks(m, child))
			return true;
	return false;
}

void plan_child_forked(struct master *m)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->child_forked != NULL)
			plan->child_forked(m);
}

void plan_in_child(struct master *m, const struct child *self)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->in_child != NULL)
			plan->in_child(m, self);
}

void plan_lend(const struct master *m, const struct child *self, struct process *proc)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->lend != NULL)
			plan->lend(m, self, proc);
}

void plan_stop(struct master *m)
{
	for (const struct plan *plan = first_plan(m); plan->name != NULL; plan++)
		if (plan->stop != NULL)
			plan->stop(m);
}
