/* renew.h - exec of ourselves: same pid, same arguments, new memory. */
#ifndef MASTER_RENEW_H
#define MASTER_RENEW_H

struct master;

/* Returns only when it failed; the master then ends with an error. */
void renew_exec(struct master *m);

#endif
