/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/clock.h"

#define STEPS_MAX 100000U
#define DEPTH_MAX 2000U
#define HEAP_KIB 1024U
#define PARENS_MAX 50U

/* The whole subject, as Java's matches(). */
#define OPTIONS (PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C)

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	uint64_t spent_us;
};

static int compile(struct str text, pcre2_code **code_r, char *why, size_t why_size)
{
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	PCRE2_SIZE at;
	int error;

	if (context == NULL)
		return ERR_NOMEM;
	pcre2_set_max_pattern_length(context, PATTERN_BYTES_MAX);
	pcre2_set_parens_nest_limit(context, PARENS_MAX);
	*code_r = pcre2_compile((PCRE2_SPTR)text.p, text.n, OPTIONS, &error, &at, context);
	pcre2_compile_context_free(context);
	if (*code_r != NULL)
		return 0;
	if (error == PCRE2_ERROR_NOMEMORY)
		return ERR_NOMEM;
	if (pcre2_get_error_message(error, (PCRE2_UCHAR *)why, why_size) < 0)
		snprintf(why, why_size, "bad regular expression");
	return ERR_SYNTAX;
}

int pattern_new(struct str text, struct pattern **pattern_r, char *why, size_t why_size)
{
	struct pattern *pattern = calloc(1, sizeof(*pattern));
	int ret = pattern == NULL ? ERR_NOMEM : compile(text, &pattern->code, why, why_size);

	*pattern_r = NULL;
	if (ret == 0) {
		pattern->data = pcre2_match_data_create(1, NULL);
		pattern->limits = pcre2_match_context_create(NULL);
		if (pattern->data == NULL || pattern->limits == NULL)
			ret = ERR_NOMEM;
	}
	if (ret < 0) {
		pattern_free(&pattern);
		return ret;
	}
	pcre2_set_match_limit(pattern->limits, STEPS_MAX);
	pcre2_set_depth_limit(pattern->limits, DEPTH_MAX);
	pcre2_set_heap_limit(pattern->limits, HEAP_KIB);
	*pattern_r = pattern;
	return 0;
}

void pattern_free(struct pattern **pattern)
{
	if (*pattern == NULL)
		return;
	pcre2_match_context_free((*pattern)->limits);
	pcre2_match_data_free((*pattern)->data);
	pcre2_code_free((*pattern)->code);
	free(*pattern);
	*pattern = NULL;
}

int pattern_matches(struct pattern *pattern, struct str subject)
{
	uint64_t began = clock_mono_us();
	int ret;

	if (pattern->spent_us > PATTERN_TIME_MS * 1000U)
		return ERR_LIMIT;
	ret = pcre2_match(pattern->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, pattern->data, pattern->limits);
	pattern->spent_us += clock_mono_us() - began;
	if (ret >= 0)
		return 1;
	return ret == PCRE2_ERROR_NOMATCH ? 0 : ERR_LIMIT;
}
