/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/err.h"

#include <stddef.h>

static const struct {
	int code;
	const char *text;
} err_texts[] = {
	{ 0, "ok" },
	{ ERR_NOMEM, "out of memory" },
	{ ERR_FULL, "segment full" },
	{ ERR_LIMIT, "limit reached" },
	{ ERR_NOT_FOUND, "not found" },
	{ ERR_EXISTS, "exists already" },
	{ ERR_SERVICE_NAME, "bad service name" },
	{ ERR_CLUSTER_NAME, "bad cluster name" },
	{ ERR_SYNTAX, "bad syntax" },
	{ ERR_RANGE, "out of range" },
	{ ERR_CORRUPT, "corrupt segment" },
	{ ERR_LOCK, "shard lock not to be had" },
	{ ERR_UNDO, "undo log too short" },
	{ ERR_IO, "system call failed" },
	{ ERR_AGAIN, "changed meanwhile" },
	{ ERR_TOO_BIG, "too big" },
	{ ERR_BUSY, "busy" },
	{ ERR_NO_INSTANCE, "no such instance" },
	{ ERR_OWNER, "registered from another address" },
	{ ERR_GONE, "nobody waits for it" },
	{ ERR_DEPARTURES, "too many instances taken away" },
	{ ERR_ANSWER, "answer too long" },
};

const char *err_str(int code)
{
	for (size_t i = 0; i < sizeof(err_texts) / sizeof(err_texts[0]); i++)
		if (err_texts[i].code == code)
			return err_texts[i].text;
	return "unknown error";
}
