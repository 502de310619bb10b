/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.h - rosterd --export FILE and --import FILE: the registry of a stopped server to and
 * from a snapshot.
 *
 * The way of a registry to another machine, over a reboot, or to another layout of the segment
 * (export with the old binary, import with the new one). Both wait for the lock of the segment like
 * a start; neither touches a running server. */
#ifndef MASTER_UPGRADE_TRANSFER_H
#define MASTER_UPGRADE_TRANSFER_H

struct options;

/* Makes the file (0600), which has its name when it is whole (newfile.h), and refuses a name that
 * is taken. The segment stays as it is, and one of another layout is neither read nor set aside.
 * Returns the exit code. */
int transfer_export(const struct options *options);
/* Checks the file as a whole, loads it beside what is there, and puts it in its place. A registry
 * that is there is replaced only with --forget, and one of another layout is set aside. What was
 * loaded is checked as --check does it (0.5 s a million instances) before it takes the place. After
 * an error or a death on the way everything is as it was. Returns the exit code. */
int transfer_import(const struct options *options);

#endif
