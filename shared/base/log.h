/* SPDX-License-Identifier: Apache-2.0 */
/* log.h - one line per decision, as key=value.
 *
 *     log_info("op=reload result=ok keys=%u", changed);
 *
 * Levels: error = someone must act; warning = we coped; info = state changed; debug = off unless
 * asked for. A line is one write, so processes that share the file do not mix their lines. Nobody
 * logs while he holds a shard lock. A value that can hold a blank is in quotes (err="%s"); client
 * bytes go through log_quote(), which writes them.
 *
 * No process waits for whoever reads the log. A line that a pipe, a socket or a terminal does not
 * take at once is dropped and counted, and the next one that fits is preceded by
 * "op=log what=lost lines=N". Only a file is waited for: there the disk decides, and the
 * watchdogs (master/watch.h, systemd's) bound it. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The path is "", "stderr" or "/dev/stderr" for standard error (journald reads it; <N> prefixes are
 * written when JOURNAL_STREAM is set), else that of a file, which is opened for appending.
 *
 * Standard error stays as others share it: it is opened a second time to be written to without
 * waiting. Only a pipe or terminal of another account cannot be opened again; there the flag is set
 * on the shared one, since a server that stops is worse than a neighbour that gets EAGAIN.
 *
 * ERR_RANGE: the file is not a regular one with a single name, or the last part of its path is a
 * link. ERR_IO: it cannot be opened. ERR_TOO_BIG: the path is too long. The previous target stays
 * then. */
int log_open(const char *path, enum log_level level) MUST_CHECK;
/* SIGUSR1: opens the same path again (after logrotate moved it). */
int log_reopen(void) MUST_CHECK;
/* Does such a path mean standard error? */
bool log_is_stderr(const char *path);
/* What the code of one of these two means, for people. It reads errno, so it is called right
 * after. */
const char *log_open_error(int code);
void log_set_level(enum log_level level);
/* The name is shown in every line: "worker/0". It is not copied, so it has to stay. */
void log_set_process(const char *name);
/* How many lines could not be written (a full disk, a reader that stands still) since the last
 * call. */
uint64_t log_take_lost(void);
/* Writes the bytes as they are, to the same target under the same rule; a signal handler may do so.
 * Returns false when they were not written as a whole. */
bool log_write_raw(const char *bytes, size_t n);

/* For a kind of lines that others can cause as often as they like. */
struct log_limit {
	uint64_t at_ms;   /* of the last one; 0: there was none */
	uint64_t skipped; /* since then */
};
/* May this line be written? One a second may. *skipped_r (NULL: nobody asks) is how many were not
 * since the last one. */
bool log_may(struct log_limit *limit, uint64_t now_ms, uint64_t *skipped_r) MUST_CHECK;

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Writes the text in quotes, with control bytes (U+0080 to U+009F too), quotes and backslashes as
 * \xNN, and cut between two characters if it does not fit. Returns out. */
const char *log_quote(struct str s, char *out, size_t size);

#endif
