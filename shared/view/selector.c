/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/view/selector.h"

#include <stdbool.h>

#include "shared/base/assert.h"
#include "shared/base/buf.h"
#include "shared/codec/json_read.h"
#include "shared/codec/json_write.h"
#include "shared/codec/url.h"

#define LABELS_MAX 64U

struct given {
	struct str type, expression; /* unset: not given */
};

/* The Java server asks each member for its text, whatever it is: that of an object or an array is
 * empty. */
static struct str text_of(const struct json_item *item)
{
	return item->kind == JSON_OBJECT || item->kind == JSON_ARRAY ? STR("") : item->text;
}

static const char *on_selector_item(void *arg, const struct json_item *item)
{
	struct given *given = arg;

	if (item->depth == 0)
		return item->kind == JSON_OBJECT ? NULL : "not an object";
	if (item->depth == 1 && str_eq(item->key, STR("type")))
		given->type = text_of(item);
	else if (item->depth == 1 && str_eq(item->key, STR("expression")))
		given->expression = text_of(item);
	return NULL;
}

static struct str strip_blanks(struct arena *arena, struct str text)
{
	char *p = arena_alloc(arena, text.n + 1);
	size_t n = 0;

	if (p == NULL)
		return (struct str){ NULL, 0 };
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] != ' ' && (text.p[i] < '\t' || text.p[i] > '\r'))
			p[n++] = text.p[i];
	return str_make(p, n);
}

/* Returns the label X of "CONSUMER.label.X=PROVIDER.label.X", unset when it is not of that form. */
static struct str label_of(struct str term)
{
	const struct str left = STR("CONSUMER.label."), right = STR("PROVIDER.label.");
	const char *equals = term.n > 0 ? memchr(term.p, '=', term.n) : NULL;
	struct str a, b;

	if (equals == NULL)
		return (struct str){ NULL, 0 };
	a = str_make(term.p, (size_t)(equals - term.p));
	b = str_make(equals + 1, term.n - a.n - 1);
	if (!str_starts(a, left) || !str_starts(b, right))
		return (struct str){ NULL, 0 };
	a = str_make(a.p + left.n, a.n - left.n);
	b = str_make(b.p + right.n, b.n - right.n);
	return a.n > 0 && str_eq(a, b) ? a : (struct str){ NULL, 0 };
}

static bool known(const struct str *labels, unsigned count, struct str label)
{
	for (unsigned i = 0; i < count; i++)
		if (str_eq(labels[i], label))
			return true;
	return false;
}

/* Returns how many different labels there are, 0 for a blank expression, or -1 for a bad one. */
static int read_labels(struct str expression, struct str labels[LABELS_MAX])
{
	unsigned count = 0;

	if (expression.n > 0 && expression.p[expression.n - 1] == '&')
		return -1;
	while (expression.n > 0) {
		const char *end = memchr(expression.p, '&', expression.n);
		struct str term =
		        str_make(expression.p,
		                 end == NULL ? expression.n : (size_t)(end - expression.p));
		struct str label = label_of(term);
		size_t used = term.n + (end != NULL);

		if (!str_is_set(label) || count == LABELS_MAX)
			return -1;
		ROSTER_ASSERT(count < LABELS_MAX && used <= expression.n);
		if (!known(labels, count, label))
			labels[count++] = label;
		expression = str_make(expression.p + used, expression.n - used);
	}
	return (int)count;
}

static enum selector_verdict show_label(struct arena *arena, struct str expression,
                                        struct str *shown_r)
{
	struct str labels[LABELS_MAX];
	struct str bare = strip_blanks(arena, expression);
	int count;
	struct buf b;

	if (!str_is_set(bare))
		return SELECTOR_MEMORY;
	if ((count = read_labels(bare, labels)) < 0)
		return SELECTOR_EXPRESSION;
	ROSTER_ASSERT((unsigned)count <= LABELS_MAX);
	buf_init(&b);
	BUF_LIT(&b, "{\"type\":\"label\"");
	JSON_PUT_STRING(&b, "expression", expression);
	JSON_PUT_LIT(&b, "labels", "[");
	for (int i = 0; i < count; i++) {
		json_comma(&b);
		json_string(&b, labels[i]);
	}
	BUF_LIT(&b, "]}");
	if (!buf_failed(&b))
		*shown_r = arena_copy(arena, buf_view(&b));
	buf_free(&b);
	return str_is_set(*shown_r) ? SELECTOR_OK : SELECTOR_MEMORY;
}

enum selector_verdict selector_parse(struct arena *arena, struct str text, struct str *shown_r,
                                     char *why, size_t why_size)
{
	struct json_limits limits = { .depth = 16, .keys = 100 };
	struct given given = { { NULL, 0 }, { NULL, 0 } };
	struct str decoded;

	*shown_r = (struct str){ NULL, 0 };
	if (str_is_blank(text))
		return SELECTOR_OK;
	/* The Java server decodes it a second time; what cannot be decoded is taken as it is. */
	if (url_decode(arena, text, true, &decoded) < 0)
		decoded = text;
	if (json_read(arena, decoded, limits, on_selector_item, &given, why, why_size) < 0)
		return SELECTOR_JSON;
	if (!str_is_set(given.type))
		return SELECTOR_NO_TYPE;
	if (str_eq(given.type, STR("none")))
		return SELECTOR_OK;
	if (str_eq(given.type, STR("unknown")))
		return SELECTOR_UNKNOWN;
	if (!str_eq(given.type, STR("label"))) {
		*shown_r = given.type;
		return SELECTOR_NO_SUCH;
	}
	if (!str_is_set(given.expression))
		return SELECTOR_NO_EXPRESSION;
	return show_label(arena, given.expression, shown_r);
}
