#include "master/convert.h"

#include "master/master.h"
#include "shared/base/log.h"

int upgrade_convert(struct master *m)
{
	log_error(
	        "op=convert result=refused path=%s why=\"another layout: the segment cannot be taken over as it stands; stop the "
	        "server, then start the new binary\"",
	        m->seg->path);
	return ERR_RANGE;
}
