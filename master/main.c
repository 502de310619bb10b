/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - one binary: it serves, or it inspects a configuration or a segment, or it is the trial
 * of an upgrade. */
#include <stdio.h>
#include <stdlib.h>

#include "master/upgrade/fallback.h"
#include "master/inherited.h"
#include "master/inspect.h"
#include "master/master.h"
#include "master/options.h"
#include "master/title.h"
#include "master/upgrade/trial_run.h"

int main(int argc, char **argv)
{
	static struct options options;
	char why[256];
	char **args;

	fallback_arm(argc, argv); /* before anything can go wrong */
	if (inherited_mend() < 0) /* before a descriptor is opened */
		return EXIT_FAILURE;
	args = title_init(argc, argv);

	if (args == NULL)
		return EXIT_FAILURE;
	if (options_parse(&options, argc, args, why, sizeof(why)) < 0) {
		fprintf(stderr, "rosterd: %s\n", why);
		options_print_help(stderr);
		return 2;
	}
	if (options.action == OPTIONS_TRIAL)
		return trial_run(&options);
	return options.action == OPTIONS_RUN ? master_run(&options, args) : inspect_run(&options);
}
