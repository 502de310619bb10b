/* SPDX-License-Identifier: Apache-2.0 */
/* pairs.h - metadata as it is shown, checked against its packed form. */
#ifndef FUZZ_PAIRS_H
#define FUZZ_PAIRS_H

#include "shared/base/utf8.h"
#include "shared/codec/json_read.h"
#include "shared/view/metadata.h"
#include "tests/fuzz/fuzz.h"

struct fuzz_pairs {
	struct str packed;
	size_t count;
};

static inline const char *fuzz_pair(void *arg, const struct json_item *item)
{
	struct fuzz_pairs *pairs = arg;

	if (item->depth == 0)
		return NULL;
	FUZZ_CHECK(item->kind == JSON_STRING);
	FUZZ_CHECK(str_eq(metadata_get(pairs->packed, item->key), item->text));
	pairs->count++;
	return NULL;
}

/* Every pair shown is in the packed form. Returns how many. */
static inline size_t fuzz_pairs_in(struct arena *arena, struct str shown, struct str packed)
{
	struct json_limits limits = { .depth = 2, .keys = 100000 };
	struct fuzz_pairs pairs = { .packed = packed };

	FUZZ_CHECK(json_read(arena, shown, limits, fuzz_pair, &pairs, NULL, 0) == 0);
	return pairs.count;
}

/* What is shown can be read again, shows the same again, and changes nothing when put over the
 * old. */
static inline void fuzz_pairs_shown(struct arena *arena, const struct instance_metadata *metadata)
{
	struct instance_metadata again, merged;
	struct buf one, two;

	buf_init(&one);
	buf_init(&two);
	metadata_json(&one, metadata->packed);
	FUZZ_CHECK(!buf_failed(&one) && utf8_valid(buf_view(&one)));
	fuzz_pairs_in(arena, buf_view(&one), metadata->packed);
	FUZZ_CHECK(metadata_parse(arena, buf_view(&one), &again) == 0 && !again.null);
	metadata_json(&two, again.packed);
	FUZZ_CHECK(str_eq(buf_view(&one), buf_view(&two)));
	FUZZ_CHECK(metadata_merge(arena, metadata->packed, again.packed, &merged) == 0);
	FUZZ_CHECK(str_eq(merged.packed, metadata->packed));
	FUZZ_CHECK(merged.snowflake == metadata->snowflake);
	FUZZ_CHECK(merged.overrides.interval_ms == metadata->overrides.interval_ms);
	FUZZ_CHECK(merged.overrides.timeout_ms == metadata->overrides.timeout_ms);
	FUZZ_CHECK(merged.overrides.delete_ms == metadata->overrides.delete_ms);
	buf_free(&one);
	buf_free(&two);
}

#endif
