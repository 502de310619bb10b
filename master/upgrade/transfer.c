/* SPDX-License-Identifier: Apache-2.0 */
#include "master/upgrade/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/newfile.h"
#include "master/options.h"
#include "master/privileges.h"
#include "master/storage.h"
#include "shared/base/err.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/snapshot.h"
#include "shared/shm/fault.h"
#include "shared/shm/segment.h"

struct transfer {
	const struct options *options;
	struct segment_config config;
	struct config keys; /* config points into it */
	struct privileges privileges;
	struct registry reg;
	struct segment *seg; /* its mapping is never given back, so neither is the handle */
};

static int fail_transfer(const char *what, const char *why)
{
	fprintf(stderr, "rosterd: %s: %s\n", what, why);
	return EXIT_FAILURE;
}

/* Says what is wrong with a snapshot, or else the text of the code. */
static int fail_snapshot(const char *path, int err, const struct snapshot_report *report)
{
	char why[200];

	if (err == ERR_IO)
		snprintf(why, sizeof(why), "%s: %s", report->why, strerror(errno));
	else
		snprintf(why, sizeof(why), "%s", report->why[0] != 0 ? report->why : err_str(err));
	return fail_transfer(path, why);
}

/* Returns false after it has said why. */
static bool prepare_transfer(struct transfer *t, const struct options *options)
{
	struct config_error error = { .text = "" };
	char why[256] = "";

	t->options = options;
	if (options_load_config(options, &t->keys, &error) < 0) {
		fprintf(stderr, "rosterd: %s\n", error.text);
		return false;
	}
	t->config = storage_config(&t->keys, options->forget);
	if (privileges_find(&t->privileges, t->keys.user, why, sizeof(why)) < 0)
		return fail_transfer("user", why) == EXIT_SUCCESS;
	return true;
}

static bool open_segment(struct transfer *t, struct segment_report *report_r)
{
	int ret = segment_open(&t->config, &t->seg, report_r);

	if (ret < 0)
		fail_transfer("segment", report_r->why[0] != 0 ? report_r->why : err_str(ret));
	return ret == 0;
}

static void say_transferred(const char *what, const struct transfer *t,
                            const struct snapshot_report *report)
{
	printf("%s %s: %llu services, %llu instances, %llu subscribers, %llu bytes\n", what,
	       t->seg->path, (unsigned long long)report->services,
	       (unsigned long long)report->instances, (unsigned long long)report->subscribers,
	       (unsigned long long)report->bytes);
}

static int export(struct transfer *t, struct newfile *file)
{
	struct segment_report segment_report;
	struct snapshot_report report;
	int ret;

	t->config.only_attach = true;
	if (!open_segment(t, &segment_report))
		return EXIT_FAILURE;
	registry_init(&t->reg, t->seg);
	if ((ret = snapshot_save(&t->reg, file->fd, &report)) < 0)
		return fail_snapshot(t->options->snapshot_path, ret, &report);
	if (newfile_commit(file) < 0)
		return fail_transfer(t->options->snapshot_path, strerror(errno));
	say_transferred("exported", t, &report);
	return EXIT_SUCCESS;
}

int transfer_export(const struct options *options)
{
	static struct transfer t;
	struct newfile file;
	int code;

	if (!prepare_transfer(&t, options))
		return EXIT_FAILURE;
	if (newfile_open(&file, &t.privileges, options->snapshot_path, 0600) < 0)
		return fail_transfer(options->snapshot_path, strerror(errno));
	FAULT_AT("newfile-empty");
	code = export(&t, &file);
	if (code != EXIT_SUCCESS && !newfile_discard(&file))
		fprintf(stderr, "rosterd: %s stays, and is not whole\n", options->snapshot_path);
	return code;
}

static void keep_first(const char *text, void *arg)
{
	struct snapshot_report *report = arg;

	if (report->why[0] == 0)
		snprintf(report->why, sizeof(report->why), "is broken: %s", text);
}

/* Loads it beside the registry that may be there. What the check of a server would throw away is
 * not taken: by then the registry that was there is gone. */
static int load_beside(struct transfer *t, int fd, struct snapshot_report *report_r)
{
	int ret = registry_format(t->seg);

	if (ret < 0)
		return ret;
	registry_init(&t->reg, t->seg);
	if ((ret = snapshot_load(&t->reg, fd, report_r)) < 0)
		return ret;
	FAULT_AT("import-loaded");
	if (registry_audit(&t->reg, keep_first, report_r) == 0)
		return 0;
	return ERR_CORRUPT;
}

static int import(struct transfer *t, int fd)
{
	struct snapshot_report report = { .why = "" };
	int ret = load_beside(t, fd, &report);

	if (ret < 0) {
		segment_discard(t->seg);
		if (ret == ERR_FULL)
			snprintf(
			        report.why, sizeof(report.why),
			        "the segment is full: it has %llu MiB (segment.limit) or its file system no more room; nothing was changed",
			        (unsigned long long)t->seg->bytes >> 20);
		return fail_snapshot(t->options->snapshot_path, ret, &report);
	}
	if (segment_commit(t->seg) < 0) {
		ret = fail_transfer(t->seg->path, strerror(errno));
		segment_discard(t->seg);
		return ret;
	}
	say_transferred("imported", t, &report);
	if (report.lacks[0] != 0)
		printf("not in it, since its layout is %u: %s\n", report.layout, report.lacks);
	return EXIT_SUCCESS;
}

int transfer_import(const struct options *options)
{
	static struct transfer t;
	struct segment_report segment_report;
	struct snapshot_report report;
	int fd, ret;

	if (!prepare_transfer(&t, options))
		return EXIT_FAILURE;
	/* From here on we have the rights of the server. */
	if ((fd = privileges_open(&t.privileges, options->snapshot_path, O_RDONLY | O_CLOEXEC, 0)) <
	    0)
		return fail_transfer(options->snapshot_path, strerror(errno));
	if ((ret = snapshot_verify(fd, &report)) < 0)
		return fail_snapshot(options->snapshot_path, ret, &report);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return fail_transfer(options->snapshot_path, strerror(errno));
	t.config.later = true;
	if (!open_segment(&t, &segment_report))
		return EXIT_FAILURE;
	if (segment_report.origin == SEGMENT_ATTACHED)
		return fail_transfer(
		        t.seg->path,
		        "holds a registry; --forget puts the imported one in its place");
	return import(&t, fd);
}
