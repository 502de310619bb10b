/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/assert.h"

#define LOG_LINE 2048
#define LIMIT_MS 1000U

static const struct {
	const char *name;
	const char *journal; /* priority prefix that journald reads */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "<3>" },
	[LOG_LEVEL_WARNING] = { "warning", "<4>" },
	[LOG_LEVEL_INFO] = { "info", "<6>" },
	[LOG_LEVEL_DEBUG] = { "debug", "<7>" },
};

/* How to write without waiting. */
enum sink {
	SINK_WRITE, /* a file, or what does not wait */
	SINK_SEND,  /* a socket: journald */
};

static struct {
	int fd;
	enum sink sink;
	enum log_level level;
	bool journal;
	const char *process;
	char path[256];
} target = { .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .process = "roster" };

static uint64_t lost;   /* since log_take_lost() */
static uint64_t unsaid; /* since the last line that fitted */
static bool torn;       /* what was written last is the beginning of a line */

uint64_t log_take_lost(void)
{
	uint64_t n = lost;

	lost = 0;
	return n;
}

bool log_is_stderr(const char *path)
{
	return path[0] == '\0' || strcmp(path, "stderr") == 0 || strcmp(path, "/dev/stderr") == 0;
}

/* O_NONBLOCK, because somebody may have put a pipe in the place of the file, and nobody reads
 * it. */
static int file_open(const char *path)
{
	struct stat st;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
	              0640);

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO || errno == EISDIR ? ERR_RANGE : ERR_IO;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		return fd;
	close(fd);
	return ERR_RANGE;
}

static void target_set(int fd, enum sink sink)
{
	ROSTER_ASSERT(fd >= 0);
	if (target.fd > STDERR_FILENO)
		close(target.fd);
	target.fd = fd;
	target.sink = sink;
	torn = false;
}

/* A descriptor that others share keeps its flags where that can be helped. It is of no use to ask
 * first whether it takes bytes: a terminal with room for one byte says yes, and then waits for the
 * rest. */
static int stderr_open(enum sink *sink_r)
{
	struct stat st;
	int fd, flags;

	*sink_r = SINK_WRITE;
	if (fstat(STDERR_FILENO, &st) < 0 || S_ISREG(st.st_mode))
		return STDERR_FILENO;
	if (S_ISSOCK(st.st_mode)) {
		*sink_r = SINK_SEND;
		return STDERR_FILENO;
	}
	fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if ((flags = fcntl(STDERR_FILENO, F_GETFL)) < 0 ||
	    fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK) < 0)
		return ERR_IO;
	return STDERR_FILENO;
}

int log_open(const char *path, enum log_level level)
{
	enum sink sink = SINK_WRITE;
	int fd;

	if (strlen(path) >= sizeof(target.path))
		return ERR_TOO_BIG;
	fd = log_is_stderr(path) ? stderr_open(&sink) : file_open(path);
	if (fd < 0)
		return fd;
	target_set(fd, sink);
	ROSTER_ASSERT(level <= LOG_LEVEL_DEBUG);
	memcpy(target.path, path, strlen(path) + 1);
	target.level = level;
	target.journal = log_is_stderr(path) && getenv("JOURNAL_STREAM") != NULL;
	return 0;
}

int log_reopen(void)
{
	int fd;

	if (log_is_stderr(target.path))
		return 0;
	fd = file_open(target.path);
	if (fd < 0)
		return fd;
	target_set(fd, SINK_WRITE);
	return 0;
}

const char *log_open_error(int code)
{
	return code == ERR_RANGE ? "not a regular file with a single name (empty: standard error)"
	                         : strerror(errno);
}

void log_set_level(enum log_level level)
{
	target.level = level;
}

void log_set_process(const char *name)
{
	ROSTER_ASSERT(name != NULL);
	target.process = name;
}

/* Writes "2026-11-24T08:20:48.123Z level process[pid]: ". For the journal, which knows time and
 * pid, it is the priority and the process. */
static size_t line_head(char *line, size_t size, enum log_level level)
{
	struct timespec now;
	struct tm utc;
	char date[32];
	int n;

	if (target.journal) {
		n = snprintf(line, size, "%s%s: ", levels[level].journal, target.process);
		return (size_t)n;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
	n = snprintf(line, size, "%s.%03ldZ %s %s[%d]: ", date, now.tv_nsec / 1000000,
	             levels[level].name, target.process, (int)getpid());
	return (size_t)n;
}

/* Returns how many bytes were taken; a negative number for none. */
static ssize_t sink_write(const char *bytes, size_t n)
{
	struct iovec piece = { (void *)(uintptr_t)bytes, n };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };

	if (target.sink == SINK_SEND)
		return sendmsg(target.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(target.fd, bytes, n);
}

bool log_write_raw(const char *bytes, size_t n)
{
	ssize_t done = sink_write(bytes, n);

	if (done > 0)
		torn = done < (ssize_t)n;
	return done == (ssize_t)n;
}

/* Ends a line and writes it. It has at most LOG_LINE bytes, so a pipe takes it as a whole or not at
 * all (PIPE_BUF). The first byte of `line` is left free: behind a torn line a line break goes
 * there. n is what snprintf() said of the text behind the head of `len` bytes. */
static bool line_finish(char *line, size_t len, int n)
{
	const size_t room = LOG_LINE - 1 - len;

	if (n > 0)
		len += (size_t)n < room ? (size_t)n : str_whole(str_make(line + len, room - 1)).n;
	line[len++] = '\n';
	line[0] = '\n';
	return torn ? log_write_raw(line, len) : log_write_raw(line + 1, len - 1);
}

static bool say_lost(void)
{
	char line[LOG_LINE];
	size_t len = 1 + line_head(line + 1, sizeof(line) - 2, LOG_LEVEL_WARNING);

	return line_finish(line, len,
	                   snprintf(line + len, sizeof(line) - 1 - len,
	                            "op=log what=lost lines=%" PRIu64, unsaid));
}

static void line_write(enum log_level level, const char *format, va_list args)
        __attribute__((format(printf, 2, 0)));
static void line_write(enum log_level level, const char *format, va_list args)
{
	char line[LOG_LINE];
	size_t len;
	int saved = errno;

	if (level > target.level)
		return;
	if (unsaid > 0 && say_lost())
		unsaid = 0;
	len = 1 + line_head(line + 1, sizeof(line) - 2, level);
	/* A full disk, or a reader that stands still, must not stop the server: a line is lost and
	 * nothing else. */
	if (unsaid > 0 ||
	    !line_finish(line, len, vsnprintf(line + len, sizeof(line) - 1 - len, format, args))) {
		lost++;
		unsaid++;
	}
	errno = saved;
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(LOG_LEVEL_INFO, format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_write(LOG_LEVEL_DEBUG, format, args);
	va_end(args);
}

bool log_may(struct log_limit *limit, uint64_t now_ms, uint64_t *skipped_r)
{
	if (limit->at_ms != 0 && now_ms - limit->at_ms < LIMIT_MS) {
		limit->skipped++;
		return false;
	}
	if (skipped_r != NULL)
		*skipped_r = limit->skipped;
	*limit = (struct log_limit){ .at_ms = now_ms };
	return true;
}

/* Is this a byte that a terminal obeys? Those are the control bytes, and both bytes of U+0080 to
 * U+009F, of which one stands for ESC [. */
static bool is_control(struct str s, size_t i)
{
	unsigned char c = (unsigned char)s.p[i], before = i > 0 ? (unsigned char)s.p[i - 1] : 0;
	unsigned char next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;

	return c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next <= 0x9f) ||
	       (before == 0xc2 && c >= 0x80 && c <= 0x9f);
}

const char *log_quote(struct str s, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	if (size < 3)
		return "";
	out[at++] = '"';
	for (size_t i = 0; i < s.n && at + 6 < size; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_control(s, i) || c == '"' || c == '\\') {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[c >> 4];
			out[at++] = hex[c & 15];
		} else {
			out[at++] = (char)c;
		}
	}
	/* Those who read the log expect UTF-8, also of a text that was cut before. */
	ROSTER_ASSERT(at + 2 <= size); /* the quote and the zero byte */
	at = str_whole(str_make(out, at)).n;
	out[at++] = '"';
	out[at] = '\0';
	return out;
}
