/* SPDX-License-Identifier: Apache-2.0 */
/* child.h - the skeleton that every child stands on: its loop, and its answers to the master and
 * to operators.
 *
 * A role has a context of its own and one row of hooks. child_run() does the rest, in this order:
 * it blocks the signals, makes the loop, calls init(), says that the child is ready, looks at the
 * board, calls begin(), runs the loop until somebody calls ev_break(loop, EVBREAK_ALL), and calls
 * deinit(). While the loop runs:
 *
 *     SIGTERM, SIGINT   stop(); the loop ends after stop_limit_ms, whatever is left
 *     SIGQUIT           the same with quit_limit_ms
 *     SIGUSR2           leave(): a successor serves; a role without this hook stops as by SIGTERM
 *     SIGHUP            process_reload(), then reload()
 *     SIGUSR1           log_reopen()
 *     notice_fd         a look at the board: if the server stands still, freeze_begin(), the wait
 *                       of freeze.h, and freeze_over(), or freeze_give() and the end; then notice()
 *     alive_fd          the master died: the loop ends, and stop() is not called
 *
 * The wait of the loop stands between process_idle() and process_busy(); they enclose the
 * callbacks of all watchers. stop() and leave() are called once each, after process_stopping();
 * SIGTERM may come after SIGUSR2.
 *
 * Every hook may be NULL but init, deinit and stop. Hooks are called between two events of the
 * loop and with no lock held. The context is the caller's, the loop is ours. All state is private
 * to the process, except its slot: a death in the middle leaves what the role had in the segment.
 *
 * The names: `struct child` is the master's, for its side of a child. */
#ifndef PROCESS_CHILD_H
#define PROCESS_CHILD_H

#include <stdbool.h>
#include <stdint.h>

struct ev_loop;
struct process;

struct child_hooks {
	/* Makes all parts of the role and starts its watchers; 0 or an error, which ends the
	 * child. */
	int (*init)(void *role, struct ev_loop *loop);
	/* Frees them; after an init() that failed, those that it made. */
	void (*deinit)(void *role);
	/* NULL or true: the child is announced as ready after init(). False: the role calls
	 * process_ready() itself. */
	bool (*ready)(const void *role);
	/* What the role does first, before it waits for any event. */
	void (*begin)(void *role);
	void (*reload)(void *role);
	/* The board may have changed. */
	void (*notice)(void *role);
	/* The server is about to stand still: the last moment in which the segment may be
	 * touched. */
	void (*freeze_begin)(void *role);
	/* The server goes on after it has stood still for so many milliseconds. */
	void (*freeze_over)(void *role, uint64_t stood_ms);
	/* The server does not go on for us: a successor waits at migrate_fd, and the process ends
	 * afterwards without deinit(). */
	void (*freeze_give)(void *role);
	/* Takes nothing new, and ends the loop at once or when the work in hand is done. */
	void (*stop)(void *role);
	/* Takes nothing new, and ends the loop when the last client has gone. */
	void (*leave)(void *role);
	/* What a limit cut off, as a number for the log. */
	unsigned (*unfinished)(const void *role);
	/* Milliseconds; 0: no limit. */
	uint32_t stop_limit_ms;
	uint32_t quit_limit_ms;
};

/* Returns the exit code: EXIT_FAILURE if there was no loop or init() failed, else EXIT_SUCCESS. */
int child_run(struct process *proc, const struct child_hooks *hooks, void *role);

#endif
