/* SPDX-License-Identifier: Apache-2.0 */
#include "master/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/options.h"
#include "master/privileges.h"
#include "master/storage.h"
#include "master/upgrade/transfer.h"
#include "shared/process/document.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/segment.h"

/* Reads the configuration, and becomes the account as which a start opens the segment. Returns
 * false after it has said what is wrong. */
static bool load_as_account(const struct options *options, struct config *config)
{
	struct config_error error = { .text = "" };
	struct privileges privileges;
	char why[256] = "";

	if (options_load_config(options, config, &error) < 0) {
		fprintf(stderr, "rosterd: %s\n", error.text);
		return false;
	}
	if (privileges_find(&privileges, config->user, why, sizeof(why)) < 0 ||
	    privileges_lower(&privileges) < 0) {
		fprintf(stderr, "rosterd: %s\n", why[0] != 0 ? why : strerror(errno));
		return false;
	}
	return true;
}

static int inspect_config(const struct options *options)
{
	struct segment_config segment;
	struct config config;
	char why[256] = "";

	if (!load_as_account(options, &config))
		return EXIT_FAILURE;
	segment = storage_config(&config, false);
	if (segment_check_config(&segment, why, sizeof(why)) < 0) {
		fprintf(stderr, "rosterd: %s\n", why);
		return EXIT_FAILURE;
	}
	puts("configuration ok");
	return EXIT_SUCCESS;
}

static void say_broken(const char *text, void *arg)
{
	(void)arg;
	printf("broken: %s\n", text);
}

/* Opens the segment the way a start does (it waits for its lock and plays the logs), but makes none
 * and sets none aside: what a start would not take may be what an older binary serves. */
static int inspect_registry(const struct options *options)
{
	struct segment_config segment_config;
	struct segment_report report = { .origin = SEGMENT_NEW };
	static struct segment *seg; /* its mapping is never given back, so neither is the handle */
	struct registry reg;
	struct registry_stats stats;
	struct config config;
	unsigned broken;
	int ret;

	if (!load_as_account(options, &config))
		return EXIT_FAILURE;
	segment_config = storage_config(&config, false);
	segment_config.only_attach = true;
	if ((ret = segment_open(&segment_config, &seg, &report)) < 0) {
		fprintf(stderr, "rosterd: no registry to check: %s\n",
		        report.why[0] != 0 ? report.why : err_str(ret));
		return EXIT_FAILURE;
	}
	registry_init(&reg, seg);
	broken = registry_audit(&reg, say_broken, NULL);
	registry_stats(&reg, &stats);
	printf("%s: %llu services, %llu instances, %llu subscribers, %u locks rolled back, %u broken rules\n",
	       seg->path, (unsigned long long)stats.services, (unsigned long long)stats.instances,
	       (unsigned long long)stats.subscribers, report.rolled_back, broken);
	return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int inspect_run(const struct options *options)
{
	switch (options->action) {
	case OPTIONS_CHECK:
		return inspect_config(options);
	case OPTIONS_CHECK_REGISTRY:
		return inspect_registry(options);
	case OPTIONS_EXPORT:
		return transfer_export(options);
	case OPTIONS_IMPORT:
		return transfer_import(options);
	case OPTIONS_VERSION:
		printf("roster %s\nlayout %s\n", PACKAGE_VERSION, segment_fingerprint_text());
		break;
	case OPTIONS_SAMPLE:
		config_print_sample(stdout);
		break;
	case OPTIONS_DOC:
		config_print_doc(stdout);
		break;
	case OPTIONS_API:
		document_api(stdout);
		break;
	case OPTIONS_METRICS:
		document_metrics(stdout);
		break;
	default:
		options_print_help(stdout);
		break;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
