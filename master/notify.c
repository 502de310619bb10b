/* SPDX-License-Identifier: Apache-2.0 */
#include "master/notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "shared/base/clock.h"

void notify_ready(unsigned workers, unsigned port)
{
	sd_notifyf(0, "READY=1\nMAINPID=%d\nSTATUS=Serving port %u with %u workers", (int)getpid(),
	           port, workers);
}

void notify_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_mono_us());
}

void notify_reloaded(const char *status)
{
	sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping");
}

void notify_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}

uint64_t notify_period_ms(void)
{
	uint64_t usec = 0;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	return usec / 2000 > 0 ? usec / 2000 : 1;
}
