/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: a whole stream as it is, or (without its magic) the records of one, with the right
 * start and checksum put around. What loads is a clean registry, and its own snapshot loads again
 * into the same numbers. */
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "shared/base/buf.h"
#include "shared/registry/registry.h"
#include "shared/registry/registry_audit.h"
#include "shared/registry/snapshot.h"
#include "tests/fuzz/fuzz.h"

#define SEGMENT_BYTES (8U << 20)
#define START "\xafroster-snapshot\x01"
#define CHECKSUM_BYTES 9U

static void open_registry(struct registry *reg)
{
	struct segment *seg;

	FUZZ_CHECK(segment_open_anonymous(SEGMENT_BYTES, &seg) == 0 && registry_format(seg) == 0);
	registry_init(reg, seg);
}

static void say(const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int load(struct registry *reg, struct str bytes, struct snapshot_report *report_r)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC), ret;

	FUZZ_CHECK(fd >= 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n &&
	           lseek(fd, 0, SEEK_SET) == 0);
	ret = snapshot_load(reg, fd, report_r);
	FUZZ_CHECK((reg->seg->header->magic == SEGMENT_MAGIC) == (ret == 0));
	FUZZ_CHECK((report_r->why[0] != 0) == (ret != 0));
	close(fd);
	return ret;
}

static void again(struct registry *from, const struct snapshot_report *first)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC);
	struct snapshot_report report;
	struct registry to;

	open_registry(&to);
	FUZZ_CHECK(fd >= 0 && snapshot_save(from, fd, &report) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	FUZZ_CHECK(snapshot_load(&to, fd, &report) == 0);
	FUZZ_CHECK(report.services == first->services && report.instances == first->instances);
	FUZZ_CHECK(report.subscribers == first->subscribers && registry_audit(&to, say, NULL) == 0);
	close(fd);
	segment_close_for_test(&to.seg);
}

static void attempt(struct str bytes)
{
	struct snapshot_report report;
	struct registry reg;

	open_registry(&reg);
	if (load(&reg, bytes, &report) == 0) {
		FUZZ_CHECK(registry_audit(&reg, say, NULL) == 0);
		again(&reg, &report);
	}
	segment_close_for_test(&reg.seg);
}

static void attempt_sealed(struct str start, struct str records)
{
	uint64_t sum;
	struct buf b;

	buf_init(&b);
	buf_str(&b, start);
	buf_str(&b, records);
	sum = __builtin_bswap64(XXH3_64bits(b.data, b.len));
	buf_char(&b, (char)0xcf);
	buf_put(&b, &sum, sizeof(sum));
	attempt(buf_view(&b));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = size > 0 ? str_make((const char *)data, size) : str_make("", 0);

	if (!str_starts(bytes, STR(START))) {
		attempt_sealed(STR(START), bytes);
		return 0;
	}
	attempt(bytes);
	if (size > sizeof(START) + CHECKSUM_BYTES)
		attempt_sealed(str_make("", 0), str_make(bytes.p, size - CHECKSUM_BYTES));
	return 0;
}
