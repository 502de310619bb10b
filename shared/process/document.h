/* SPDX-License-Identifier: Apache-2.0 */
/* document.h - pages of doc/ that the roles print from their tables (rosterd --print-api,
 * --print-metrics).
 *
 * Here, because the master prints them and never includes another role's folder. */
#ifndef PROCESS_DOCUMENT_H
#define PROCESS_DOCUMENT_H

#include <stdio.h>

void document_api(FILE *out);
void document_metrics(FILE *out);

#endif
