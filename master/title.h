/* SPDX-License-Identifier: Apache-2.0 */
/* title.h - what ps shows: "roster: master", "roster: worker/0". */
#ifndef MASTER_TITLE_H
#define MASTER_TITLE_H

/* Is called first of all, before anything keeps a pointer into argv, whose memory becomes the
 * title. Returns a copy of argv, ended by NULL, that lives for ever, or NULL when there is no
 * memory. */
char **title_init(int argc, char **argv);
void title_set(const char *name);

#endif
