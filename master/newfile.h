/* SPDX-License-Identifier: Apache-2.0 */
/* newfile.h - a file for an operator that has a name only when it is whole.
 *
 * It is made without one (O_TMPFILE), written, and then given the name that was asked for: never in
 * the place of a file that has it. A death before that leaves nothing, since a file without a name
 * goes with its last descriptor. Only where the file system has no files without a name (NFS) does
 * it carry its name from the start, and a death leaves the beginning of a file.
 *
 * The file is made as the account, and in a folder that the account may not write to, as the caller
 * (privileges_open() says why). Between the calls the rights are lowered. */
#ifndef MASTER_NEWFILE_H
#define MASTER_NEWFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "master/privileges.h"
#include "shared/base/err.h"

struct newfile {
	struct privileges *privileges;
	int dir_fd, fd; /* fd: to write to */
	bool raised;    /* made with the rights of the caller; its name is given with them too */
	bool named;     /* has its name already */
	char name[256];
};

/* Returns ERR_IO with errno, which is EEXIST when there is a file of that name. */
int newfile_open(struct newfile *file_r, struct privileges *privileges, const char *path,
                 mode_t mode) MUST_CHECK;
/* Brings the file onto the disk, then gives it its name. Returns ERR_IO with errno, and then
 * newfile_discard() has to follow. */
int newfile_commit(struct newfile *file) MUST_CHECK;
/* Leaves nothing behind. Returns false if the name stays, with a file that is not whole. */
bool newfile_discard(struct newfile *file) MUST_CHECK;

#endif
