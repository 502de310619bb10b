/* SPDX-License-Identifier: Apache-2.0 */
/* probe_tcp.c - passes when the peer takes the connection; nothing is sent or read. */
#include "keeper/probe_kind.h"

static int begin_tcp(struct probe *probe, const struct probe_order *order)
{
	return probe_connect(probe, order);
}

static bool step_tcp(struct probe *probe, int events, struct probe_result *result_r)
{
	int error;

	/* Only the time has run out, so there is no connection. */
	if ((events & EV_WRITE) == 0) {
		*result_r = probe_timed_out();
		return true;
	}
	error = probe_connect_error(probe);
	*result_r = error == 0 ? probe_passed(probe) : probe_failed("connect", error);
	return true;
}

static void end_tcp(struct probe *probe)
{
	(void)probe;
}

const struct probe_kind probe_tcp = { sizeof(struct probe), begin_tcp, step_tcp, end_tcp, NULL };
