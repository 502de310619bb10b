/* SPDX-License-Identifier: Apache-2.0 */
/* options.h - the command line of rosterd.
 *
 * The strings point into the argv given to options_parse(), which must stay (title.h
 * hands out a copy, because the original is overwritten by the process title). */
#ifndef MASTER_OPTIONS_H
#define MASTER_OPTIONS_H

#include <stdbool.h>
#include <stdio.h>

#include "shared/base/err.h"
#include "shared/config/config.h"

#define OPTIONS_OVERRIDES 128U

#ifndef SYSCONFDIR
#define SYSCONFDIR "/etc"
#endif
#define OPTIONS_DEFAULT_CONFIG SYSCONFDIR "/roster.yaml"

enum options_action {
	OPTIONS_RUN,
	OPTIONS_CHECK,
	OPTIONS_CHECK_REGISTRY,
	OPTIONS_EXPORT,
	OPTIONS_IMPORT,
	OPTIONS_VERSION,
	OPTIONS_HELP,
	OPTIONS_SAMPLE,
	OPTIONS_DOC,
	OPTIONS_API,
	OPTIONS_METRICS,
	OPTIONS_TRIAL
};

struct options {
	enum options_action action;
	bool foreground;           /* -f */
	int handover_fd;           /* --handover, --trial: the page of the image before; -1 */
	bool forget;               /* --forget: start empty, leave nothing */
	const char *snapshot_path; /* --export, --import */
	const char *config_path;   /* -c; NULL: the default file if there is one */
	const char *overrides[OPTIONS_OVERRIDES]; /* -o, in order */
	unsigned override_count;
};

/* Returns ERR_SYNTAX, and why says what is wrong. */
int options_parse(struct options *options, int argc, char **argv, char *why,
                  size_t why_size) MUST_CHECK;
/* Reads the file, then applies -o, then checks the rules between keys. */
int options_load_config(const struct options *options, struct config *config_r,
                        struct config_error *error_r) MUST_CHECK;
void options_print_help(FILE *out);

#endif
