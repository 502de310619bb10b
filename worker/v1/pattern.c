/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/base/fiber.h"

#define STEPS_MAX 100000U
#define DEPTH_MAX 2000U
#define HEAP_KIB 1024U
#define PARENS_MAX 50U
#define ITEMS_LOOK 64U /* items of the expression tried between two looks at the clock */

/* A match is of the whole subject, as with Java's matches(). One step of PCRE may go through the
 * whole subject, so a bound on the steps does not bound the time; therefore PCRE calls back before
 * each item that it tries. */
#define OPTIONS \
	(PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C | \
	 PCRE2_AUTO_CALLOUT)

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
	uint64_t spent_us, since_us; /* before, and since when it has been working on */
	uint32_t items;
	int err;
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

/* The time that others take meanwhile does not count. */
static int rest_between_items(struct pattern *pattern)
{
	uint64_t now_us = clock_mono_us();
	int ret;

	pattern->spent_us += now_us - pattern->since_us;
	ret = pattern->spent_us > PATTERN_TIME_MS * 1000U ? ERR_LIMIT : fiber_pause();
	pattern->since_us = clock_mono_us();
	return ret;
}

/* A value other than 0 gives the match up. */
static int on_pattern_item(pcre2_callout_block *block, void *arg)
{
	struct pattern *pattern = arg;

	(void)block;
	if (++pattern->items % ITEMS_LOOK == 0)
		pattern->err = rest_between_items(pattern);
	return pattern->err < 0 ? PCRE2_ERROR_CALLOUT : 0;
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
	pcre2_set_callout(pattern->limits, on_pattern_item, pattern);
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
	int ret;

	pattern->since_us = clock_mono_us();
	if (pattern->err == 0)
		pattern->err = rest_between_items(pattern);
	if (pattern->err < 0)
		return pattern->err;
	ret = pcre2_match(pattern->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, pattern->data,
	                  pattern->limits);
	pattern->spent_us += clock_mono_us() - pattern->since_us;
	if (ret >= 0)
		return 1;
	if (pattern->err == 0 && ret != PCRE2_ERROR_NOMATCH)
		return ERR_LIMIT;
	return pattern->err;
}
