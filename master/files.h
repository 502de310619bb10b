/* files.h - the runtime folder with the files that tell others where we are.
 *
 * pid and port appear once the server is ready, each by a rename, and go at the stop. */
#ifndef MASTER_FILES_H
#define MASTER_FILES_H

#include <stdint.h>
#include <sys/types.h>

#include "shared/base/err.h"

/* Makes the folder (mode 0755) if it is missing; uid (uid_t)-1: the owner stays. "" is no folder. A link, or what everybody
 * may write to without the sticky bit (ERR_RANGE), is refused. */
int files_prepare(const char *runtime_dir, uid_t uid, gid_t gid) MUST_CHECK;
int files_write(const char *runtime_dir, uint16_t port) MUST_CHECK;
void files_remove(const char *runtime_dir);

#endif
