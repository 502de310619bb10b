/* SPDX-License-Identifier: Apache-2.0 */
/* failure.h - why a start ends: one line for people, and the same text for the old image, should it
 * be called back.
 *
 * Both return the code they are given, or ERR_IO, so that a step can end with the call. */
#ifndef MASTER_FAILURE_H
#define MASTER_FAILURE_H

/* For the time before the log is open: the line goes to the terminal. */
int failure_print(const char *why, int code);
int failure_log(const char *what, const char *why);

#endif
