/* SPDX-License-Identifier: Apache-2.0 */
#include "master/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/options.h"
#include "master/privileges.h"
#include "master/start.h"
#include "shared/base/err.h"
#include "shared/registry/registry.h"
#include "shared/registry/snapshot.h"
#include "shared/shm/segment.h"

struct transfer {
	const struct options *options;
	struct segment_config config;
	struct config keys; /* config points into it */
	int fd;
	struct registry reg;
	struct segment *seg; /* its mapping is never given back, so neither is the handle */
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "rosterd: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

/* What is wrong with a snapshot, or else the code. */
static int fail_snapshot(const char *path, int err, const struct snapshot_report *report)
{
	char why[200];

	if (err == ERR_IO)
		snprintf(why, sizeof(why), "%s: %s", report->why, strerror(errno));
	else
		snprintf(why, sizeof(why), "%s", report->why[0] != 0 ? report->why : err_str(err));
	return fail(path, why);
}

/* Configuration, then the file; from there on with the rights of the server. False: said why. */
static bool prepare(struct transfer *t, const struct options *options, int flags)
{
	struct config_error error = { .text = "" };
	struct privileges privileges;
	char why[256] = "";

	t->options = options;
	if (options_load_config(options, &t->keys, &error) < 0) {
		fprintf(stderr, "rosterd: %s\n", error.text);
		return false;
	}
	t->config = start_segment_config(&t->keys, options->forget);
	if (privileges_find(&privileges, t->keys.user, why, sizeof(why)) < 0)
		return fail("user", why) == EXIT_SUCCESS;
	if ((t->fd = privileges_open(&privileges, options->snapshot_path, flags | O_CLOEXEC, 0600)) < 0)
		return fail(options->snapshot_path, strerror(errno)) == EXIT_SUCCESS;
	return true;
}

static bool open_segment(struct transfer *t, struct segment_report *report_r)
{
	int ret = segment_open(&t->config, &t->seg, report_r);

	if (ret < 0)
		fail("segment", report_r->why[0] != 0 ? report_r->why : err_str(ret));
	return ret == 0;
}

static void say(const char *what, const struct transfer *t, const struct snapshot_report *report)
{
	printf("%s %s: %llu services, %llu instances, %llu subscribers, %llu bytes\n", what, t->seg->path,
	       (unsigned long long)report->services, (unsigned long long)report->instances,
	       (unsigned long long)report->subscribers, (unsigned long long)report->bytes);
}

static int export(struct transfer *t)
{
	struct segment_report segment_report;
	struct snapshot_report report;
	int ret;

	t->config.only_attach = true;
	if (!open_segment(t, &segment_report))
		return EXIT_FAILURE;
	registry_init(&t->reg, t->seg);
	if ((ret = snapshot_save(&t->reg, t->fd, &report)) < 0)
		return fail_snapshot(t->options->snapshot_path, ret, &report);
	if (fsync(t->fd) < 0 && errno != EINVAL && errno != EROFS) /* a pipe has nothing to sync */
		return fail(t->options->snapshot_path, strerror(errno));
	say("exported", t, &report);
	return EXIT_SUCCESS;
}

int transfer_export(const struct options *options)
{
	static struct transfer t;
	int code;

	if (!prepare(&t, options, O_WRONLY | O_CREAT | O_EXCL))
		return EXIT_FAILURE;
	code = export(&t);
	/* The rights may be gone by now: then the file stays, and no import takes it. */
	if (code != EXIT_SUCCESS && unlink(options->snapshot_path) < 0)
		fprintf(stderr, "rosterd: %s stays\n", options->snapshot_path);
	return code;
}

static int import(struct transfer *t)
{
	struct snapshot_report report;
	int ret;

	if ((ret = registry_format(t->seg)) < 0)
		return fail("segment", err_str(ret));
	registry_init(&t->reg, t->seg);
	if ((ret = snapshot_load(&t->reg, t->fd, &report)) == 0) {
		say("imported", t, &report);
		return EXIT_SUCCESS;
	}
	if (segment_unlink(t->seg) < 0)
		fprintf(stderr, "rosterd: %s stays\n", t->seg->path);
	return fail_snapshot(t->options->snapshot_path, ret, &report);
}

int transfer_import(const struct options *options)
{
	static struct transfer t;
	struct segment_report segment_report;
	struct snapshot_report report;
	int ret;

	if (!prepare(&t, options, O_RDONLY))
		return EXIT_FAILURE;
	if ((ret = snapshot_verify(t.fd, &report)) < 0)
		return fail_snapshot(options->snapshot_path, ret, &report);
	if (lseek(t.fd, 0, SEEK_SET) < 0)
		return fail(options->snapshot_path, strerror(errno));
	if (!open_segment(&t, &segment_report))
		return EXIT_FAILURE;
	if (segment_report.origin == SEGMENT_ATTACHED)
		return fail(t.seg->path, "holds a registry; --forget puts the imported one in its place");
	return import(&t);
}
