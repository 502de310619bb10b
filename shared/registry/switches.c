/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/registry/switches.h"

#include "shared/registry/office.h"
#include "shared/shm/blob.h"
#include "shared/shm/fault.h"

const struct switches *switches_of(const struct segment *seg)
{
	return &office_of(seg)->switches;
}

/* Every switch is a word, so a float is stored by its bits. */
static uint64_t factor_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Packed like this, versions are compared as numbers. */
static uint64_t push_version(unsigned major, unsigned minor, unsigned patch)
{
	return (uint64_t)major << 20 | minor << 10 | patch;
}

void switches_defaults(struct switches *switches_r)
{
	*switches_r = (struct switches){
		.push_cache_ms = 10000,
		.beat_interval_ms = 5000,
		.cache_ms = 3000,
		.distro_threshold = factor_bits(0.7F),
		.health_check = 1,
		.auto_change_health_check = 1,
		.distro = 1,
		.standalone = 1,
		.push = 1,
		.check_times = 3,
		.http = { 5000, 500, factor_bits(0.85F) },
		.tcp = { 5000, 1000, factor_bits(0.75F) },
		.mysql = { 3000, 2000, factor_bits(0.65F) },
		.server_status_ms = 2000,
		.service_status_ms = 5000,
		.light_beat = 1,
		.distro_expired_ms = 10000,
		.push_go = push_version(0, 1, 0),
		.push_java = push_version(0, 1, 0),
		.push_python = push_version(0, 4, 3),
		.push_c = push_version(1, 0, 12),
		.push_csharp = push_version(0, 9, 0),
		.ephemeral = 1,
	};
}

void office_format(struct segment *seg)
{
	struct office *office = office_of(seg);

	*office = (struct office){ .first_namespace = 0 };
	switches_defaults(&office->switches);
	table_init(&office->namespaces, SLAB_NAMESPACE);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct str switches_copy_text(struct op *op, uint32_t off, char room[SWITCHES_TEXT_MAX])
{
	struct str text;

	if (off == 0)
		return (struct str){ NULL, 0 };
	text = blob_view(&op->tx, off);
	/* The room is for texts as long as they may be stored; a longer one is damaged. */
	if (text.p == NULL || text.n > SWITCHES_TEXT_MAX) {
		undo_fail(&op->tx, ERR_CORRUPT);
		return (struct str){ NULL, 0 };
	}
	memcpy(room, text.p, text.n);
	return str_make(room, text.n);
}

int switches_read(struct registry *reg, struct switches_copy *copy_r)
{
	const struct office *office = office_of(reg->seg);
	struct op op;
	int ret = op_begin(&op, reg, SHARD_OFFICE, (struct origin){ 0 });

	if (ret < 0)
		return ret;
	/* The words are copied under the lock, so that they and the texts are of one generation. */
	copy_r->words = office->switches;
	copy_r->texts.masters = switches_copy_text(&op, office->masters, copy_r->room[0]);
	copy_r->texts.limited = switches_copy_text(&op, office->limited, copy_r->room[1]);
	copy_r->texts.status = switches_copy_text(&op, office->status, copy_r->room[2]);
	ret = op.tx.err;
	op_end(&op);
	return ret;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct replacement {
	const struct switches *words;
	const struct switches_texts *texts;
};

static int switches_write_op(struct op *op, void *arg)
{
	const struct replacement *new = arg;
	struct office *office = office_of(op->reg->seg);
	uint64_t *words = (uint64_t *)&office->switches;
	const uint64_t *wanted = (const uint64_t *)new->words;

	ROSTER_ASSERT(new->texts->masters.n <= SWITCHES_TEXT_MAX &&new->texts->limited.n <=
	              SWITCHES_TEXT_MAX &&new->texts->status.n <= SWITCHES_TEXT_MAX);
	/* Somebody else has changed a switch since the caller read them. */
	if (office->switches.generation != new->words->generation)
		return ERR_AGAIN;
	/* Only words that differ are logged, and each is stored at once: readers take no lock. */
	for (size_t i = 0; i < sizeof(struct switches) / sizeof(uint64_t); i++) {
		if (words[i] != wanted[i])
			undo_set64(&op->tx, &words[i], wanted[i]);
	}
	field_set(op, &office->masters, new->texts->masters);
	field_set(op, &office->limited, new->texts->limited);
	field_set(op, &office->status, new->texts->status);
	FAULT("switches-written");
	/* Readers without the lock see the words before they see that there are new ones. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	undo_set64(&op->tx, &office->switches.generation, office->switches.generation + 1);
	return 0;
}

int switches_write(struct registry *reg, const struct switches *words,
                   const struct switches_texts *texts)
{
	struct replacement replacement = { words, texts };

	if (texts->masters.n > SWITCHES_TEXT_MAX || texts->limited.n > SWITCHES_TEXT_MAX ||
	    texts->status.n > SWITCHES_TEXT_MAX)
		return ERR_TOO_BIG;
	return op_run(reg, SHARD_OFFICE, (struct origin){ .cause = CAUSE_OPERATOR },
	              switches_write_op, &replacement);
}
