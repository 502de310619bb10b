/* log.h - one line per decision, as key=value.
 *
 *     log_info("op=reload result=ok keys=%u", changed);
 *
 * Levels: error = someone must act; warning = we coped; info = state changed;
 * debug = off unless asked for. A line is one write(2): processes that share the
 * file do not mix their lines. Never called while a shard lock is held.
 * Client bytes inside a line go through log_quote(). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* path: "" or "stderr" for standard error (journald reads it; <N> prefixes are
 * written when JOURNAL_STREAM is set); else a file, opened for appending.
 * Returns ERR_IO and keeps the previous target when the file cannot be opened. */
int log_open(const char *path, enum log_level level) MUST_CHECK;
/* SIGUSR1: opens the same path again (after logrotate moved it). */
int log_reopen(void) MUST_CHECK;
void log_set_level(enum log_level level);
/* Shown in every line: "worker/0". Kept by reference. */
void log_set_process(const char *name);
int log_fd(void);
/* Lines that could not be written (a full disk) since the last call. */
uint64_t log_take_lost(void);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "text" with control bytes, quotes and backslashes as \xNN; cut to size. Returns out. */
const char *log_quote(struct str s, char *out, size_t size);

#endif
