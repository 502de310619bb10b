/* SPDX-License-Identifier: Apache-2.0 */
/* handover.h - what one image of the master leaves to the next: a memfd that stays open across exec
 * in place.
 *
 * The image that serves fills it, execs the new binary in the same process, and the new one reads
 * it. Until the upgrade is over the new image keeps the two tables of children up to date there, so
 * that the old binary finds them when it is called back (fallback.h). The trial gets the same page
 * read-only.
 *
 * Plain words, no pointers. Two binaries must agree on it: HANDOVER_VERSION is raised whenever a
 * field changes, and a trial of another version fails, which refuses the upgrade. */
#ifndef MASTER_UPGRADE_HANDOVER_H
#define MASTER_UPGRADE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "master/roles.h"
#include "shared/base/err.h"

#define HANDOVER_VERSION 2U
#define HANDOVER_ARGS_BYTES 32768U
#define HANDOVER_ARGS 300U
/* The first argument of the new image, with the number of the descriptor behind it. Not for
 * people. */
#define HANDOVER_OPTION "--handover="
#define HANDOVER_TRIAL_OPTION "--trial="

struct master;

enum { HANDOVER_READY = 1, HANDOVER_STOPPED = 2, HANDOVER_TOLD = 4, HANDOVER_KILLED = 8 };

struct handover_child {
	int32_t pid; /* 0: none */
	uint32_t generation;
	uint32_t flags;    /* HANDOVER_* */
	int32_t notice_fd; /* -1: none */
	uint64_t forked_ms, resumed_ms;
};

/* Whose children they are: those of the image that filled the page, and of the one it called. */
enum { HANDOVER_OLD, HANDOVER_NEW, HANDOVER_IMAGES };

struct handover {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes;
	int32_t master_pid; /* both images */
	/* of the slots of the old image's workers; the new one uses the other (slot.h) */
	uint32_t bank;

	/* Descriptors, by number; -1: none. */
	int32_t self_fd;
	int32_t binary_fd; /* O_PATH: the binary of the old image */
	int32_t next_fd;   /* O_PATH: the binary of the new image; a script is read through it */
	/* memfd of the page that the old image's children read (struct config_shared) */
	int32_t config_fd;
	int32_t segment_fd; /* of the old image, also when the new one has another */
	/* memfd: the registry for a segment of another layout (convert.h); -1: the same layout */
	int32_t snapshot_fd;
	/* where the old image's workers can be asked for their connections */
	int32_t migrate_fds[WORKERS_MAX];
	int32_t udp_fd;
	int32_t ready_fd;
	int32_t alive_fds[2];
	int32_t wake_fds[2];
	int32_t listen_fds[WORKERS_MAX];
	int32_t activated_fds[WORKERS_MAX]; /* of the service manager */
	int32_t activated_datagram_fd;
	uint32_t activated_count;
	uint64_t listening, activated, shared; /* struct sockets */
	int32_t backlog;

	uint32_t workers;
	uint32_t stale;
	uint32_t limit_ms; /* the new image is ready by then, or the old one is called back */
	uint32_t drain_ms;
	uint64_t started_ms;
	uint64_t begun_ms; /* SIGUSR2 came */
	char segment_path[256];
	char path[1024];  /* the binary, as the first image was started */
	char fixed[4096]; /* config_fixed_text() */
	uint32_t arg_count;
	char args[HANDOVER_ARGS_BYTES]; /* one after the other, each ended by 0 */

	struct handover_child children[HANDOVER_IMAGES][CHILDREN];

	/* Written by the image that failed. */
	uint32_t back; /* the old binary has been called back */
	char why[256];
};

/* Makes a zeroed page that is shared. *fd_r is closed by exec until handover_pass(). */
int handover_new(struct handover **h_r, int *fd_r) MUST_CHECK;
/* Maps the page behind an inherited descriptor. Returns ERR_SYNTAX when it is none that
 * `master_pid` made, and why says so. */
int handover_map(int fd, bool writable, pid_t master_pid, struct handover **h_r, char *why,
                 size_t why_size) MUST_CHECK;
void handover_unmap(struct handover **h);
/* Returns the number behind the option in the first argument, or -1 if it is not there. */
int handover_fd_of(int argc, char *const *argv, const char *option);

/* Fills in, before the exec in the old image, everything but self_fd, binary_fd and next_fd.
 * Returns ERR_TOO_BIG when the command line or a path is too long. */
int handover_fill(struct handover *h, const struct master *m) MUST_CHECK;
/* Is called in the new image after each change among the children of either image. */
void handover_record(struct handover *h, const struct master *m);
/* The other way: copies pids, descriptors and states of both images into the table of m, `own` into
 * its first half. */
void handover_take_children(const struct handover *h, struct master *m, unsigned own);
/* Makes all descriptors named in the page outlive an exec, or not. Async-signal-safe. */
void handover_pass(const struct handover *h, bool pass);
/* Puts the arguments of the page behind name and first, ended by NULL. They point into the page.
 * argv has room for HANDOVER_ARGS + 3. */
void handover_args(const struct handover *h, char *first, char **argv);

#endif
