/* SPDX-License-Identifier: Apache-2.0 */
/* inherited.h - what whoever starts us may have left in a state that we cannot work with: the
 * standard descriptors and the dispositions of signals, both of which go through an exec. */
#ifndef MASTER_INHERITED_H
#define MASTER_INHERITED_H

#include "shared/base/err.h"

/* Is called by main() before a descriptor is opened.
 *
 * Those of the descriptors 0 to 2 that are closed become /dev/null. Otherwise the segment would get
 * one of these numbers, and messages and log lines would be written over it. SIGCHLD has its
 * default again if it was ignored, because no end of a child would be told else. SIGXFSZ is
 * ignored, so a write beyond RLIMIT_FSIZE fails with EFBIG, which is treated like a full disk.
 *
 * Changes nothing in an image that comes by exec from one that has called it. Returns ERR_IO when
 * there is no /dev/null for a closed descriptor; nobody could be told anything then. */
int inherited_mend(void) MUST_CHECK;

#endif
