/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of stored fields: complete, and in themselves consistent. */
#include "tests/unit/registry_fixture.h"

#include "shared/registry/snapshot_value.h"

static const struct kind {
	const char *name;
	const struct saved_kind *saved;
	size_t bytes;
} kinds[] = {
	{ "service", &saved_services, sizeof(struct service) },
	{ "cluster", &saved_clusters, sizeof(struct cluster) },
	{ "instance", &saved_instances, sizeof(struct instance) },
	{ "audience", &saved_audiences, sizeof(struct audience) },
	{ "subscriber", &saved_subscribers, sizeof(struct subscriber) },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Who adds a member to a struct of layout.h has to say what becomes of it. */
static void each_byte_belongs_to_one_row(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		const struct fields *fields = kinds[k].saved->fields;
		uint8_t rows[SEGMENT_UNIT * 16] = { 0 };

		assert_true(kinds[k].bytes <= sizeof(rows));
		for (uint32_t n = 0; n < fields->count; n++) {
			const struct field_row *row = &fields->rows[n];

			for (uint32_t byte = row->at; byte < (uint32_t)row->at + row->bytes; byte++)
				rows[byte]++;
		}
		for (size_t byte = 0; byte < kinds[k].bytes; byte++) {
			if (rows[byte] != 1)
				fail_msg("byte %zu of struct %s has %u rows", byte, kinds[k].name,
				         rows[byte]);
		}
	}
}

static size_t bytes_of(enum field_type type)
{
	static const uint8_t bytes[] = {
		[FIELD_U8] = 1,     [FIELD_U16] = 2,      [FIELD_U32] = 4,  [FIELD_U64] = 8,
		[FIELD_I32] = 4,    [FIELD_ADDRESS] = 16, [FIELD_TEXT] = 0, [FIELD_BLOB] = 4,
		[FIELD_FILLED] = 4, [FIELD_PACKED] = 4,
	};

	return bytes[type];
}

static bool is_consistent(const struct field_row *row, bool saved, bool made)
{
	bool has_text = row->type == FIELD_TEXT || field_is_blob(row);

	if (!saved)
		return row->bytes > 0 && (row->type == FIELD_INSIDE || row->type == FIELD_BLOB) &&
		       !row->shown && row->since == 0;
	if (row->bytes == 0 ? !made : row->bytes != bytes_of(row->type))
		return false;
	return row->type != FIELD_INSIDE && row->since >= 2 && row->since <= SEGMENT_LAYOUT &&
	       (!has_text || (row->most > 0 && row->usual == 0));
}

static void rows_agree_with_themselves(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		const struct fields *fields = kinds[k].saved->fields;

		assert_in_range(fields->saved, 2, FIELD_KEYS);
		assert_in_range(fields->count, fields->saved, UINT16_MAX);
		assert_null(fields->rows[0].name);
		for (uint32_t n = 1; n < fields->count; n++) {
			const struct field_row *row = &fields->rows[n];
			bool saved = n < fields->saved,
			     made = saved && kinds[k].saved->make[n] != NULL;

			if (row->name == NULL ? !saved || made : !is_consistent(row, saved, made))
				fail_msg("row %u of %s", n, kinds[k].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_byte_belongs_to_one_row),
		cmocka_unit_test(rows_agree_with_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
