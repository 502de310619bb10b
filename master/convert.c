#include "master/convert.h"

#include <stdio.h>

#include "master/master.h"

int upgrade_convert(struct master *m, char *why, size_t why_size)
{
	snprintf(why, why_size,
	         "another layout: %s cannot be taken over as it stands; stop the server, then start the new binary",
	         m->seg->path);
	return ERR_RANGE;
}
