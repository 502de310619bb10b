#include "shared/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE 2048

static const struct {
	const char *name;
	const char *journal; /* priority prefix that journald reads */
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", "<3>" },
	[LOG_LEVEL_WARNING] = { "warning", "<4>" },
	[LOG_LEVEL_INFO] = { "info", "<6>" },
	[LOG_LEVEL_DEBUG] = { "debug", "<7>" },
};

static struct {
	int fd;
	enum log_level level;
	bool journal;
	const char *process;
	char path[256];
} target = { .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .process = "roster" };

static uint64_t lost;

uint64_t log_take_lost(void)
{
	uint64_t n = lost;

	lost = 0;
	return n;
}

static bool is_stderr(const char *path)
{
	return path[0] == '\0' || strcmp(path, "stderr") == 0;
}

static int file_open(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
}

static void target_set(int fd)
{
	if (target.fd > STDERR_FILENO)
		close(target.fd);
	target.fd = fd;
}

int log_open(const char *path, enum log_level level)
{
	int fd = STDERR_FILENO;

	if (strlen(path) >= sizeof(target.path))
		return ERR_TOO_BIG;
	if (!is_stderr(path)) {
		fd = file_open(path);
		if (fd < 0)
			return ERR_IO;
	}
	target_set(fd);
	memcpy(target.path, path, strlen(path) + 1);
	target.level = level;
	target.journal = is_stderr(path) && getenv("JOURNAL_STREAM") != NULL;
	return 0;
}

int log_reopen(void)
{
	int fd;

	if (is_stderr(target.path))
		return 0;
	fd = file_open(target.path);
	if (fd < 0)
		return ERR_IO;
	target_set(fd);
	return 0;
}

void log_set_level(enum log_level level)
{
	target.level = level;
}

void log_set_process(const char *name)
{
	target.process = name;
}

int log_fd(void)
{
	return target.fd;
}

/* "2026-11-24T08:20:48.123Z level process[pid]: ", or the journal's own prefix, which has all that. */
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
	n = snprintf(line, size, "%s.%03ldZ %s %s[%d]: ", date, now.tv_nsec / 1000000, levels[level].name, target.process,
	             (int)getpid());
	return (size_t)n;
}

static void line_write(enum log_level level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void line_write(enum log_level level, const char *format, va_list args)
{
	char line[LOG_LINE];
	size_t len;
	int saved = errno, n;

	if (level > target.level)
		return;
	len = line_head(line, sizeof(line) - 1, level);
	n = vsnprintf(line + len, sizeof(line) - 1 - len, format, args);
	if (n > 0)
		len += (size_t)n < sizeof(line) - 1 - len ? (size_t)n : sizeof(line) - 2 - len;
	line[len++] = '\n';
	/* A full disk must not stop the server: the line is lost, nothing else. */
	if (write(target.fd, line, len) != (ssize_t)len)
		lost++;
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

const char *log_quote(struct str s, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	if (size < 3)
		return "";
	out[at++] = '"';
	for (size_t i = 0; i < s.n && at + 6 < size; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c == '"' || c == '\\' || c == 0x7f) {
			out[at++] = '\\';
			out[at++] = 'x';
			out[at++] = hex[c >> 4];
			out[at++] = hex[c & 15];
		} else {
			out[at++] = (char)c;
		}
	}
	out[at++] = '"';
	out[at] = '\0';
	return out;
}
