/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h - rosterd --export FILE and --import FILE: the registry of a stopped server to and from a snapshot.
 *
 * The way of a registry to another machine, over a reboot, or to another layout of the segment (export with the old binary,
 * import with the new one). Both wait for the lock of the segment like a start; neither touches a running server. */
#ifndef MASTER_TRANSFER_H
#define MASTER_TRANSFER_H

struct options;

/* Makes the file (0600; refuses one that is there) or removes it again. The segment stays as it is; one of another layout is
 * neither read nor set aside. Returns the exit code. */
int transfer_export(const struct options *options);
/* Checks the file as a whole before the segment is touched. A registry that is there is replaced only with --forget.
 * After an error on the way no segment is left. */
int transfer_import(const struct options *options);

#endif
