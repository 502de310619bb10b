/* SPDX-License-Identifier: Apache-2.0 */
/* files.h - the runtime folder with the files that tell others where we are.
 *
 * pid and port appear once the server is ready, each by a rename, and go at the stop. Both happens
 * as the account, never as root. */
#ifndef MASTER_FILES_H
#define MASTER_FILES_H

#include <stdint.h>

#include "master/privileges.h"
#include "shared/base/err.h"

/* Makes the folder (mode 0755) if it is missing, as the account. Where the account may not, root
 * makes it and gives it to the account, and then no part of the path may be a link (ELOOP). A
 * folder that is there keeps its owner, and the account has to be able to write into it (ERR_IO,
 * errno EACCES). "" is no folder. A link is refused, and so is what everybody may write to without
 * the sticky bit (ERR_RANGE). Is called with the rights of a start. */
int files_prepare(const char *runtime_dir, struct privileges *privileges) MUST_CHECK;
int files_write(const char *runtime_dir, uint16_t port) MUST_CHECK;
void files_remove(const char *runtime_dir);

#endif
