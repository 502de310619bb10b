/* SPDX-License-Identifier: Apache-2.0 */
#include "master/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "shared/base/assert.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#define MESSAGE_MAX 512U

static bool unheard; /* the last message did not get through, and the log has said so */

/* A path, or a name that begins with '@' and belongs to no file. Returns ERR_SYNTAX for anything
 * else. */
static int find_manager(const char *name, struct sockaddr_un *at_r, socklen_t *size_r)
{
	size_t n = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(at_r->sun_path))
		return ERR_SYNTAX;
	*at_r = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(at_r->sun_path, name, n);
	if (name[0] == '@')
		at_r->sun_path[0] = '\0'; /* its length tells where such a name ends */
	else
		n++;
	*size_r = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 0;
}

/* sd_notify() would wait for room at the other socket, for ever. Returns ERR_IO with errno. */
static int send_now(const struct sockaddr_un *at, socklen_t size, const char *text, size_t n)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;
	ssize_t done;

	if (fd < 0)
		return ERR_IO;
	done = sendto(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)at, size);
	saved = errno;
	close(fd);
	errno = saved;
	return done == (ssize_t)n ? 0 : ERR_IO;
}

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un at;
	char text[MESSAGE_MAX];
	socklen_t size;
	va_list args;
	int n;

	if (name == NULL || find_manager(name, &at, &size) < 0)
		return;
	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ROSTER_ASSERT(n > 0 && (size_t)n < sizeof(text)); /* our own words and numbers */
	if (send_now(&at, size, text, (size_t)n) == 0) {
		unheard = false;
		return;
	}
	if (!unheard)
		log_warning("op=notify what=lost err=\"%s\"", strerror(errno));
	unheard = true;
}

void notify_ready(unsigned workers, unsigned port)
{
	tell("READY=1\nMAINPID=%d\nSTATUS=Serving port %u with %u workers", (int)getpid(), port,
	     workers);
}

void notify_reloading(void)
{
	tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
}

void notify_reloaded(const char *status)
{
	tell("READY=1\nSTATUS=%s", status);
}

void notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=Stopping");
}

void notify_alive(void)
{
	tell("WATCHDOG=1");
}

uint64_t notify_period_ms(void)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	return usec / 2000 > 0 ? usec / 2000 : 1;
}
