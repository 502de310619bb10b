/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of damaged segments: an attach, the check and every operation meet them, and nobody
 * crashes, hangs or touches what lies outside; and what is structure is noticed.
 *
 *     corrupt [--cases N] [--seed S] [--case K] [--area NAME] [--folder PATH]
 *
 * Each case is a copy of one file with something of everything in it, damaged at random (bits,
 * words, swapped words, zeroed blocks; the file cut off, another fingerprint). A child attaches it
 * as a master would, with limits of time and memory and, where the kernel puts the mapping, with
 * forbidden pages on both sides; checks it in slices; and does what workers, keeper and pusher do.
 * Every fourth case works before it checks. The case number and the seed make a case: --case K
 * plays one again, and says what it did.
 *
 * Noticed has to be every changed bit that corrupt_map.c calls structure. The others are contents
 * (a flipped bit of a text may be served), hints that are found again, or memory nobody reads. */
#include "tests/fault/corrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shared/base/sanitized.h"
#include "shared/registry/registry_audit.h"
#include "shared/shm/slab.h"

#define CHILD_SECONDS 60U
#define CHILD_MEMORY (512ULL << 20) /* beyond what it has at its start */
#define GUARD_BYTES (1U << 20)
#define CHANGES_MAX 4200U
#define SLICE 64U

static const struct {
	const char *name;
	unsigned weight;
} areas[AREAS] = {
	[AREA_HEADER] = { "header", 8 },           [AREA_SLOTS] = { "slots", 1 },
	[AREA_RINGS] = { "ring-words", 3 },        [AREA_EVENTS] = { "events", 1 },
	[AREA_SHARDS] = { "shard-words", 5 },      [AREA_LOCKS] = { "locks", 1 },
	[AREA_LOG] = { "undo-logs", 8 },           [AREA_IDLE] = { "never-read", 1 },
	[AREA_SLABS] = { "slab-counts", 6 },       [AREA_ROOTS] = { "roots", 8 },
	[AREA_SWITCHES] = { "switches", 1 },       [AREA_OWNERS] = { "page-owners", 6 },
	[AREA_DESCS] = { "page-bitmaps", 10 },     [AREA_TABLES] = { "tables", 8 },
	[AREA_SERVICES] = { "services", 8 },       [AREA_CLUSTERS] = { "clusters", 6 },
	[AREA_INSTANCES] = { "instances", 9 },     [AREA_AUDIENCES] = { "audiences", 6 },
	[AREA_SUBSCRIBERS] = { "subscribers", 8 }, [AREA_NAMESPACES] = { "namespaces", 4 },
	[AREA_BLOBS] = { "text-heads", 6 },        [AREA_TEXTS] = { "texts", 3 },
	[AREA_FREE] = { "free-memory", 1 },        [AREA_FILE] = { "file", 3 },
};

enum stage { STAGE_ATTACH, STAGE_WORK, STAGE_CHECK, STAGE_AFTER, STAGE_DONE };
static const char *const stages[] = { "attach", "work", "check", "work after the check",
	                              "the end" };

/* Written by the child. */
struct outcome {
	int stage;
	bool aside, guarded;
	unsigned broken, endless;
	int err;
	char why[320], first[200];
};

struct byte_change {
	uint64_t at;
	uint8_t old;
};

struct score {
	unsigned cases, structure, attach, check, beyond, harmless, undetected, crashed, hung;
};

static struct {
	const char *folder;
	char path[300];
	uint8_t *image[2]; /* at rest; with logs of operations that died */
	struct map map[2];
	uint64_t file_bytes;
	struct outcome *outcome;
	struct score score[AREAS];
	uint64_t seed, random;
	bool talk;
	int only; /* area, -1: all */
	unsigned unguarded;
} run;

static uint64_t next_random(void)
{
	run.random += 0x9e3779b97f4a7c15ULL;
	uint64_t z = run.random;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return next_random() % n;
}

static void die(const char *what)
{
	fprintf(stderr, "corrupt: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* ---- the file to be damaged ------------------------------------------------------------------ */

static struct segment_config config_of(const char *name)
{
	return (struct segment_config){ .dir = run.folder,
		                        .name = name,
		                        .limit_bytes = CONTENT_BYTES,
		                        .damaged = registry_damaged };
}

static void take_image(struct segment *seg, unsigned n)
{
	if (n == 0)
		map_make(seg, &run.map[n]);
	else
		map_logs(seg, &run.map[0], &run.map[n]);
	run.image[n] = malloc(run.map[n].bytes);
	if (run.image[n] == NULL)
		die("memory");
	memcpy(run.image[n], seg->base, run.map[n].bytes);
	run.file_bytes = seg->bytes;
}

static void make_images(void)
{
	struct segment_config config = config_of("original");
	struct segment_report report;
	static struct segment *seg;
	static struct registry reg;

	config.forget = true;
	if (segment_open(&config, &seg, &report) < 0 || registry_format(seg) < 0)
		die(report.why);
	registry_init(&reg, seg);
	content_make(&reg);
	if (registry_audit(&reg, NULL, NULL) != 0)
		die("the content is not clean");
	take_image(seg, 0);
	content_half_done(&reg);
	take_image(seg, 1);
	if (segment_unlink(seg) < 0)
		die("unlink");
}

static void write_copy(const uint8_t *image, uint64_t bytes)
{
	int fd = open(run.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die(run.path);
	for (uint64_t done = 0; done < bytes;) {
		ssize_t n = pwrite(fd, image + done, bytes - done, (off_t)done);

		if (n <= 0)
			die("write");
		done += (uint64_t)n;
	}
	if (ftruncate(fd, (off_t)run.file_bytes) < 0)
		die("ftruncate");
	close(fd);
}

/* ---- damage ---------------------------------------------------------------------------------- */

struct damage {
	unsigned image;
	enum area area;
	const char *how;
	struct byte_change changes[CHANGES_MAX];
	unsigned count;
	int64_t cut; /* length of the file, -1: as it was */
	bool swapped, structure;
};

static void set_byte(struct damage *d, uint64_t at, uint8_t value)
{
	uint8_t *byte = &run.image[d->image][at];

	if (*byte == value || d->count == CHANGES_MAX)
		return;
	d->changes[d->count++] = (struct byte_change){ at, *byte };
	*byte = value;
}

static void set_word(struct damage *d, uint64_t at, uint64_t value)
{
	for (unsigned n = 0; n < 8; n++)
		set_byte(d, at + n, (uint8_t)(value >> 8 * n));
}

static uint64_t word_at(const struct damage *d, uint64_t at)
{
	uint64_t word;

	memcpy(&word, run.image[d->image] + at, sizeof(word));
	return word;
}

static enum area pick_area(void)
{
	unsigned sum = 0, at;

	if (run.only >= 0)
		return (enum area)run.only;
	for (unsigned n = 0; n < AREAS; n++)
		sum += areas[n].weight;
	at = (unsigned)below(sum);
	for (unsigned n = 0; n < AREAS; n++) {
		if (at < areas[n].weight)
			return (enum area)n;
		at -= areas[n].weight;
	}
	return AREA_HEADER;
}

static uint64_t pick_word(const struct damage *d)
{
	const struct map *map = &run.map[d->image];

	return map->words[d->area][below(map->count[d->area])];
}

static void damage_file(struct damage *d)
{
	uint64_t lengths[] = { 0,
		               1,
		               100,
		               4095,
		               4096,
		               70000,
		               run.map[0].bytes / 2,
		               run.file_bytes - 4096,
		               run.file_bytes - 1,
		               run.file_bytes + 4096 };

	d->structure = true;
	if (below(3) == 0) {
		d->how = "another fingerprint";
		set_byte(d, offsetof(struct segment_header, fingerprint) + below(32),
		         (uint8_t)next_random());
		set_byte(d, offsetof(struct segment_header, fingerprint),
		         (uint8_t)~run.image[d->image][16]);
		return;
	}
	d->how = "another length";
	d->cut = (int64_t)lengths[below(sizeof(lengths) / sizeof(lengths[0]))];
	d->structure = d->cut != 0; /* an empty file is none: a new segment, nothing to set aside */
}

/* The same words of two objects of a kind: each has what is the other's, and all is there once. No
 * structure says whose text was whose. */
static bool exchanged(const struct damage *d, uint64_t at, uint64_t other)
{
	static const uint32_t bytes[AREAS] = {
		[AREA_SERVICES] = SLAB_BYTES_SERVICE,
		[AREA_CLUSTERS] = SLAB_BYTES_CLUSTER,
		[AREA_INSTANCES] = SLAB_BYTES_INSTANCE,
		[AREA_AUDIENCES] = SLAB_BYTES_AUDIENCE,
		[AREA_SUBSCRIBERS] = SLAB_BYTES_SUBSCRIBER,
		[AREA_NAMESPACES] = SLAB_BYTES_NAMESPACE,
	};

	return d->swapped && bytes[d->area] != 0 &&
	       at % SEGMENT_PAGE % bytes[d->area] == other % SEGMENT_PAGE % bytes[d->area];
}

static void damage_bytes(struct damage *d)
{
	uint64_t at = pick_word(d), other = pick_word(d), mine = word_at(d, at),
	         block = 16U << below(8);

	switch (below(10)) {
	case 0:
		d->how = "random word";
		set_word(d, at, next_random());
		break;
	case 1:
		d->how = "swapped words";
		d->swapped = true;
		set_word(d, at, word_at(d, other));
		set_word(d, other, mine);
		break;
	case 2:
		d->how = "zeroed block";
		for (uint64_t n = at / block * block;
		     n < at / block * block + block && n < run.map[d->image].bytes; n++)
			set_byte(d, n, 0);
		break;
	case 3:
		d->how = "half a word copied";
		set_word(d, at, (mine & 0xffffffff00000000ULL) | (word_at(d, other) & 0xffffffffU));
		break;
	case 4:
		d->how = "eight flipped bits";
		for (unsigned n = 0; n < 8; n++)
			set_word(d, at, word_at(d, at) ^ 1ULL << below(64));
		break;
	default:
		d->how = "a flipped bit";
		set_word(d, at, mine ^ 1ULL << below(64));
		break;
	}
	if (exchanged(d, at, other))
		return;
	/* Changed twice: the first one has what was there. */
	for (unsigned n = 0; n < d->count; n++) {
		const struct byte_change *c = &d->changes[n];
		unsigned first = 0;

		/* An event that nobody wrote: readers skip it and count it as missed. */
		if (run.map[d->image].area[c->at] == AREA_RINGS && word_at(d, c->at / 8 * 8) == 0)
			continue;
		while (d->changes[first].at != c->at)
			first++;
		d->structure |= ((d->changes[first].old ^ run.image[d->image][c->at]) &
		                 run.map[d->image].must[c->at]) != 0;
	}
}

static void damage_undo(struct damage *d)
{
	while (d->count > 0) {
		d->count--;
		run.image[d->image][d->changes[d->count].at] = d->changes[d->count].old;
	}
}

/* ---- the child ------------------------------------------------------------------------------- */

static void keep_first(const char *text, void *arg)
{
	struct outcome *o = arg;

	if (o->first[0] == 0)
		snprintf(o->first, sizeof(o->first), "%s", text);
}

/* The way the keeper does it, nobody disturbing. */
static unsigned check_in_slices(struct registry *reg, struct outcome *o)
{
	unsigned broken = 0;

	for (uint32_t shard = 0; shard < SHARDS_ALL; shard++) {
		int ret = registry_audit_shard(reg, shard, SLICE, keep_first, o);

		broken += ret < 0 ? 1 : (unsigned)ret;
		if (ret < 0)
			keep_first(err_str(ret), o);
	}
	return broken + registry_audit_rest(reg, keep_first, o);
}

static void limit(void)
{
	struct rlimit memory = { 0 }, core = { 0, 0 };
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (file != NULL && fscanf(file, "%llu", &pages) == 1)
		memory.rlim_cur = memory.rlim_max = pages * 4096 + CHILD_MEMORY;
	if (file != NULL)
		fclose(file);
	if (!SANITIZED && pages > 0)
		setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &core);
	alarm(CHILD_SECONDS * (SANITIZED ? 4 : 1));
}

/* A hole of the file's size between forbidden pages: the mapping goes there, if the kernel takes
 * the first that fits. */
static uint8_t *make_hole(void)
{
	uint8_t *at = mmap(NULL, run.file_bytes + 2 * GUARD_BYTES, PROT_NONE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	munmap(at + GUARD_BYTES, run.file_bytes);
	return at + GUARD_BYTES;
}

static void child(uint32_t random)
{
	struct outcome *o = run.outcome;
	struct segment_config config = config_of("copy");
	struct segment_report report;
	struct segment *seg;
	struct registry reg;
	uint8_t *hole;

	limit();
	hole = make_hole();
	o->err = segment_open(&config, &seg, &report);
	o->aside = o->err == 0 && report.origin == SEGMENT_SET_ASIDE;
	snprintf(o->why, sizeof(o->why), "%s", report.why);
	if (o->err == 0 && report.origin != SEGMENT_ATTACHED)
		o->err = registry_format(seg);
	if (o->err < 0)
		_exit(0);
	o->guarded = seg->base == hole;
	registry_init(&reg, seg);
	if (random % 4 == 3) {
		o->stage = STAGE_WORK;
		o->endless = ops_run(&reg, random);
	}
	o->stage = STAGE_CHECK;
	o->broken = check_in_slices(&reg, o);
	o->stage = STAGE_AFTER;
	o->endless += ops_run(&reg, random);
	o->broken += registry_audit(&reg, NULL, NULL) > 0 && o->broken > 0;
	o->stage = STAGE_DONE;
	_exit(0);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void describe(unsigned number, const struct damage *d, const char *verdict, int status)
{
	const struct outcome *o = run.outcome;

	printf("case %u seed %llu: %s, %s%s, at %#llx (%u bytes), must be noticed: %s -> %s; status %#x in %s, attach: %s%s; check: %u %s\n",
	       number, (unsigned long long)run.seed, areas[d->area].name, d->how,
	       d->image == 1 ? ", logs pending" : "",
	       (unsigned long long)(d->count > 0 ? d->changes[0].at : 0), d->count,
	       d->structure ? "yes" : "no", verdict, status, stages[o->stage],
	       o->err < 0 ? err_str(o->err) : "", o->why, o->broken, o->first);
}

/* Files set aside by this case: one, when the attach says so. */
static unsigned remove_asides(void)
{
	unsigned found = 0;

	for (unsigned n = 1; n < 4; n++) {
		char path[320];

		snprintf(path, sizeof(path), "%s.aside.%u", run.path, n);
		found += unlink(path) == 0;
	}
	return found;
}

static const char *judge(const struct damage *d, int status, unsigned asides)
{
	struct outcome *o = run.outcome;
	struct score *s = &run.score[d->area];
	bool noticed;

	s->cases++;
	s->structure += d->structure;
	run.unguarded += o->stage > STAGE_ATTACH && !o->guarded;
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGXCPU)) {
		s->hung++;
		return "HUNG";
	}
	if (status != 0) {
		s->crashed++;
		return "CRASHED";
	}
	if (o->endless > 0) {
		s->hung++;
		return "WITHOUT END";
	}
	if (o->err < 0 || asides != o->aside) { /* neither served nor set aside */
		s->crashed++;
		return "NOT SERVED";
	}
	noticed = o->aside || o->broken > 0;
	s->attach += d->structure && o->aside;
	s->check += d->structure && !o->aside && o->broken > 0;
	s->beyond += !d->structure && noticed;
	s->harmless += !d->structure && !noticed;
	if (!d->structure || noticed)
		return noticed ? "noticed" : "harmless";
	/* Work came first and may have written over it. */
	s->undetected++;
	return "UNNOTICED";
}

static bool play(unsigned number)
{
	static struct damage d;
	const char *verdict;
	uint32_t random;
	int status = 0;
	pid_t pid;

	run.random = run.seed * 1000003 + number;
	d.area = pick_area();
	d.image = d.area == AREA_LOG || below(4) == 0;
	d.count = 0;
	d.cut = -1;
	d.swapped = d.structure = false;
	if (d.area == AREA_FILE)
		damage_file(&d);
	else
		damage_bytes(&d);
	random = (uint32_t)next_random();
	if (d.structure && random % 4 == 3 && d.area != AREA_FILE)
		/* Work before the check may repair or remove it: only crashes count. */
		d.structure = false;
	write_copy(run.image[d.image], run.map[d.image].bytes);
	if (d.cut >= 0 && truncate(run.path, d.cut) < 0)
		die("truncate");
	memset(run.outcome, 0, sizeof(*run.outcome));
	fflush(stdout);
	if ((pid = fork()) == 0)
		child(random);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die("fork");
	verdict = judge(&d, status, remove_asides());
	if (run.talk || (verdict[0] >= 'A' && verdict[0] <= 'Z'))
		describe(number, &d, verdict, status);
	damage_undo(&d);
	return verdict[0] >= 'a';
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void print_table(void)
{
	struct score sum = { 0 };

	printf("%-13s %6s %9s %7s %7s %9s %9s %9s %7s %5s\n", "area", "cases", "structure",
	       "attach", "check", "unnoticed", "harmless", "also seen", "crashed", "hung");
	for (unsigned n = 0; n <= AREAS; n++) {
		const struct score *s = n == AREAS ? &sum : &run.score[n];

		printf("%-13s %6u %9u %7u %7u %9u %9u %9u %7u %5u\n",
		       n == AREAS ? "all" : areas[n].name, s->cases, s->structure, s->attach,
		       s->check, s->undetected, s->harmless, s->beyond, s->crashed, s->hung);
		sum.cases += s->cases;
		sum.structure += s->structure;
		sum.attach += s->attach;
		sum.check += s->check;
		sum.undetected += s->undetected;
		sum.harmless += s->harmless;
		sum.beyond += s->beyond;
		sum.crashed += s->crashed;
		sum.hung += s->hung;
	}
}

static uint64_t number_of(const char *text)
{
	return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static int area_of(const char *text)
{
	for (int n = 0; n < AREAS && text != NULL; n++)
		if (strcmp(areas[n].name, text) == 0)
			return n;
	fprintf(stderr, "corrupt: no such area\n");
	exit(2);
}

int main(int argc, char **argv)
{
	unsigned cases = 500, failed = 0, first = 0;
	struct timespec begin, end;
	char made[] = "/dev/shm/roster-corrupt-XXXXXX";

	run.seed = 1;
	run.only = -1;
	for (int n = 1; n < argc; n += 2) {
		if (strcmp(argv[n], "--cases") == 0)
			cases = (unsigned)number_of(argv[n + 1]);
		else if (strcmp(argv[n], "--seed") == 0)
			run.seed = number_of(argv[n + 1]);
		else if (strcmp(argv[n], "--area") == 0)
			run.only = area_of(argv[n + 1]);
		else if (strcmp(argv[n], "--case") == 0)
			first = (unsigned)number_of(argv[n + 1]), cases = 1, run.talk = true;
		else
			die(argv[n]);
	}
	run.folder = mkdtemp(made);
	if (run.folder == NULL)
		die(made);
	snprintf(run.path, sizeof(run.path), "%s/copy", run.folder);
	run.outcome = mmap(NULL, sizeof(*run.outcome), PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.outcome == MAP_FAILED)
		die("memory");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	make_images();
	for (unsigned n = first; n < first + cases; n++)
		failed += !play(n);
	clock_gettime(CLOCK_MONOTONIC, &end);
	unlink(run.path);
	rmdir(run.folder);
	print_table();
	printf("seed %llu, %u cases, %u without forbidden pages around the mapping, %lld s\n",
	       (unsigned long long)run.seed, cases, run.unguarded,
	       (long long)(end.tv_sec - begin.tv_sec));
	printf("%u passed, %u failed\n", cases - failed, failed);
	return failed > 0;
}
