/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/http/cors.h"

static bool is_listed(const char *setting, struct str origin)
{
	const char *p = setting;

	while (*p != '\0') {
		size_t n = strcspn(p, " ");

		if (n > 0 && str_ieq(str_make(p, n), origin))
			return true;
		p += n + strspn(p + n, " ");
	}
	return false;
}

bool cors_shows(const char *setting, struct str origin)
{
	return str_is_set(origin) && (strcmp(setting, "echo") == 0 || cors_grants(setting, origin));
}

/* Neither of the two words is an origin. */
bool cors_grants(const char *setting, struct str origin)
{
	return origin.n > 0 && memmem(origin.p, origin.n, "://", 3) != NULL &&
	       is_listed(setting, origin);
}
