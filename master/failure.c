/* SPDX-License-Identifier: Apache-2.0 */
#include "master/failure.h"

#include <stdio.h>

#include "master/upgrade/fallback.h"
#include "shared/base/err.h"
#include "shared/base/log.h"

int failure_print(const char *why, int code)
{
	fprintf(stderr, "rosterd: %s\n", why);
	fallback_because(why);
	return code;
}

int failure_log(const char *what, const char *why)
{
	log_error("op=start what=%s why=\"%s\"", what, why);
	fallback_because(why);
	return ERR_IO;
}
