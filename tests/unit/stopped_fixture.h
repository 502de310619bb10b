/* SPDX-License-Identifier: Apache-2.0 */
/* stopped_fixture.h - the folder of a server that does not run: its configuration and its registry.
 *
 * The registry is opened in children only, because a mapping is never given back and the lock goes
 * with the process. */
#ifndef TESTS_STOPPED_FIXTURE_H
#define TESTS_STOPPED_FIXTURE_H

#include "tests/unit/child_fixture.h"
#include "tests/unit/folder_fixture.h"
#include "tests/unit/registry_fixture.h"

#include "master/options.h"
#include "master/storage.h"

#define STOPPED_SEGMENT "seg/segment"
#define STOPPED_TEXT_BYTES 8000U /* of metadata of each instance */

static struct options stopped_options;

static inline void stopped_configure(const char *limit)
{
	char text[512];

	snprintf(text, sizeof(text), "runtime_dir: %s/run\nsegment: {dir: %s/seg, limit: %s}\n",
	         folder, folder, limit);
	folder_put("roster.yaml", text);
}

static inline int stopped_set_up(void **state)
{
	static char path[128];

	if (folder_set_up(state) < 0)
		return -1;
	stopped_configure("16MiB");
	snprintf(path, sizeof(path), "%s/roster.yaml", folder);
	stopped_options = (struct options){ .handover_fd = -1, .config_path = path };
	return 0;
}

/* In a child: as a start does. */
static inline void stopped_open(struct registry *reg_r)
{
	struct config_error error;
	struct segment_report report;
	struct segment_config segment_config;
	static struct config config;
	struct segment *seg;

	CHILD_MUST(options_load_config(&stopped_options, &config, &error) == 0);
	segment_config = storage_config(&config, false);
	CHILD_MUST(segment_open(&segment_config, &seg, &report) == 0);
	if (report.origin != SEGMENT_ATTACHED)
		CHILD_MUST(registry_format(seg) == 0);
	health_attach(seg, clock_mono_ms());
	registry_init(reg_r, seg);
}

static inline int stopped_add_here(void *count)
{
	static char text[STOPPED_TEXT_BYTES];
	struct registry reg;
	struct service_key key = key_for("g@@s");

	stopped_open(&reg);
	for (int i = 0; i < *(int *)count; i++) {
		struct instance_spec spec = spec_for("10.0.0.1", i + 1);

		spec.metadata.packed = str_make(text, sizeof(text));
		CHILD_MUST(registry_register(&reg, client, &key, &spec) == 0);
	}
	return 0;
}

/* Makes the registry first if there is none. */
static inline void stopped_add_at(struct spot spot, int count)
{
	assert_int_equal_at(spot, child_run_at(spot, stopped_add_here, &count), 0);
}
#define stopped_add(...) stopped_add_at(SPOT, __VA_ARGS__)

static inline int stopped_count_here(void *arg)
{
	struct registry_stats stats;
	struct registry reg;

	(void)arg;
	stopped_open(&reg);
	registry_stats(&reg, &stats);
	printf("%llu", (unsigned long long)stats.instances);
	return 0;
}

/* How many instances a start would find. */
static inline int stopped_count_at(struct spot spot)
{
	assert_int_equal_at(spot, child_run_at(spot, stopped_count_here, NULL), 0);
	return atoi(child_text);
}
#define stopped_count() stopped_count_at(SPOT)

/* Changes a byte of the file, as a defect or an older binary would have it. */
static inline void stopped_change_at(struct spot spot, const char *name, off_t at)
{
	int fd = open(folder_path(name), O_RDWR | O_CLOEXEC);
	unsigned char byte;

	assert_true_at(spot, fd >= 0);
	assert_int_equal_at(spot, pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal_at(spot, pwrite(fd, &byte, 1, at), 1);
	close(fd);
}
#define stopped_change(...) stopped_change_at(SPOT, __VA_ARGS__)

static inline void stopped_change_layout_at(struct spot spot)
{
	stopped_change_at(spot, STOPPED_SEGMENT, offsetof(struct segment_header, layout));
}
#define stopped_change_layout() stopped_change_layout_at(SPOT)

#endif
