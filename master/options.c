/* SPDX-License-Identifier: Apache-2.0 */
#include "master/options.h"

#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "master/upgrade/handover.h"
#include "shared/base/assert.h"

enum {
	LONG_FORGET = 256,
	LONG_PRINT,
	LONG_CHECK,
	LONG_API,
	LONG_METRICS,
	LONG_EXPORT,
	LONG_IMPORT,
	LONG_HANDOVER,
	LONG_TRIAL
};

static const struct option long_options[] = {
	{ "foreground", no_argument, NULL, 'f' },
	{ "config", required_argument, NULL, 'c' },
	{ "option", required_argument, NULL, 'o' },
	{ "test", no_argument, NULL, 't' },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "forget", no_argument, NULL, LONG_FORGET },
	{ "print-config", required_argument, NULL, LONG_PRINT },
	{ "check", no_argument, NULL, LONG_CHECK },
	{ "export", required_argument, NULL, LONG_EXPORT },
	{ "import", required_argument, NULL, LONG_IMPORT },
	{ "print-api", no_argument, NULL, LONG_API },
	{ "print-metrics", no_argument, NULL, LONG_METRICS },
	/* These two pass between two images of a running server (handover.h), so the help does not
	 * name them. */
	{ "handover", required_argument, NULL, LONG_HANDOVER },
	{ "trial", required_argument, NULL, LONG_TRIAL },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
        "usage: rosterd [-f] [-c FILE] [-o KEY=VALUE]... [--forget]\n"
        "       rosterd -t | --check | --export FILE | --import FILE | -v | -h | --print-config sample|doc |\n"
        "               --print-api | --print-metrics\n"
        "\n"
        "  -c, --config FILE       configuration (default " OPTIONS_DEFAULT_CONFIG ", if there)\n"
        "  -o, --option KEY=VALUE  sets one key after the file was read; may be repeated\n"
        "  -f, --foreground        does not go into the background\n"
        "      --forget            starts with an empty registry and leaves none behind\n"
        "  -t, --test              checks the configuration and says so\n"
        "      --export FILE       writes the registry of a stopped server to a new file\n"
        "      --import FILE       makes the registry of a stopped server from such a file\n"
        "                          (--forget: in the place of the one that is there)\n"
        "      --check             walks the registry of a stopped server, names each broken rule\n"
        "  -v, --version           version and layout of the shared memory\n"
        "      --print-config WHAT prints the sample file or the documentation of the keys\n"
        "      --print-api         prints the documentation of the routes\n"
        "      --print-metrics     prints the documentation of the metrics\n"
        "  -h, --help              this text\n"
        "\n"
        "signals: HUP reads the configuration again, USR1 opens the log again, TERM and INT stop,\n"
        "QUIT stops without a time limit, TTIN one worker more, TTOU one worker less,\n"
        "USR2 goes over to the binary that is now at the path rosterd was started by\n";

static int set_print(struct options *options, const char *what, char *why, size_t why_size)
{
	if (strcmp(what, "sample") == 0) {
		options->action = OPTIONS_SAMPLE;
	} else if (strcmp(what, "doc") == 0) {
		options->action = OPTIONS_DOC;
	} else {
		snprintf(why, why_size, "--print-config takes sample or doc, not \"%s\"", what);
		return ERR_SYNTAX;
	}
	return 0;
}

static int add_override(struct options *options, const char *assignment, char *why, size_t why_size)
{
	if (strchr(assignment, '=') == NULL) {
		snprintf(why, why_size, "-o takes KEY=VALUE, not \"%s\"", assignment);
		return ERR_SYNTAX;
	}
	if (options->override_count == OPTIONS_OVERRIDES) {
		snprintf(why, why_size, "more than %u times -o", OPTIONS_OVERRIDES);
		return ERR_SYNTAX;
	}
	ROSTER_ASSERT(options->override_count < OPTIONS_OVERRIDES);
	options->overrides[options->override_count++] = assignment;
	return 0;
}

static int refuse_option(char **argv, int c, char *why, size_t why_size)
{
	const char *kind = c == ':' ? "needs a value" : "is unknown";

	if (optopt > 0 && optopt < 256)
		snprintf(why, why_size, "option -%c %s", optopt, kind);
	else
		snprintf(why, why_size, "option %s %s", argv[optind - 1], kind);
	return ERR_SYNTAX;
}

/* It is taken as the first argument only, where the running server puts it. */
static int set_handover(struct options *options, int c, char **argv, char *why, size_t why_size)
{
	bool trial = c == LONG_TRIAL;

	options->handover_fd =
	        handover_fd_of(optind, argv, trial ? HANDOVER_TRIAL_OPTION : HANDOVER_OPTION);
	if (optind != 2 || options->handover_fd < 0) {
		snprintf(why, why_size,
		         "%s: only a running rosterd gives this option, to its successor (SIGUSR2)",
		         trial ? "--trial" : "--handover");
		return ERR_SYNTAX;
	}
	if (trial)
		options->action = OPTIONS_TRIAL;
	return 0;
}

static int apply_option(struct options *options, int c, char **argv, char *why, size_t why_size)
{
	switch (c) {
	case 'f':
		options->foreground = true;
		return 0;
	case 'c':
		options->config_path = optarg;
		return 0;
	case 'o':
		return add_override(options, optarg, why, why_size);
	case 't':
		options->action = OPTIONS_CHECK;
		return 0;
	case 'v':
		options->action = OPTIONS_VERSION;
		return 0;
	case 'h':
		options->action = OPTIONS_HELP;
		return 0;
	case LONG_FORGET:
		options->forget = true;
		return 0;
	case LONG_CHECK:
		options->action = OPTIONS_CHECK_REGISTRY;
		return 0;
	case LONG_EXPORT:
	case LONG_IMPORT:
		options->action = c == LONG_EXPORT ? OPTIONS_EXPORT : OPTIONS_IMPORT;
		options->snapshot_path = optarg;
		return 0;
	case LONG_API:
		options->action = OPTIONS_API;
		return 0;
	case LONG_METRICS:
		options->action = OPTIONS_METRICS;
		return 0;
	case LONG_HANDOVER:
	case LONG_TRIAL:
		return set_handover(options, c, argv, why, why_size);
	case LONG_PRINT:
		return set_print(options, optarg, why, why_size);
	default:
		return refuse_option(argv, c, why, why_size);
	}
}

int options_parse(struct options *options, int argc, char **argv, char *why, size_t why_size)
{
	int c, ret;

	*options = (struct options){ .action = OPTIONS_RUN, .handover_fd = -1 };
	optind = 0; /* glibc: begin anew, also for a second call */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":fc:o:tvh", long_options, NULL)) != -1)
		if ((ret = apply_option(options, c, argv, why, why_size)) < 0)
			return ret;
	if (optind < argc) {
		snprintf(why, why_size, "\"%s\" is not an option", argv[optind]);
		return ERR_SYNTAX;
	}
	return 0;
}

int options_load_config(const struct options *options, struct config *config_r,
                        struct config_error *error_r)
{
	const char *path = options->config_path;
	int ret;

	if (path == NULL && access(OPTIONS_DEFAULT_CONFIG, F_OK) == 0)
		path = OPTIONS_DEFAULT_CONFIG;
	if ((ret = config_load(path, config_r, error_r)) < 0)
		return ret;
	for (unsigned i = 0; i < options->override_count; i++)
		if ((ret = config_override(config_r, options->overrides[i], error_r)) < 0)
			return ret;
	return config_check(config_r, error_r);
}

void options_print_help(FILE *out)
{
	fputs(help_text, out);
}
