/* SPDX-License-Identifier: Apache-2.0 */
/* selector.h - service selectors: none and label (specification 5.10).
 *
 * A label selector compares labels of a configuration database, which a naming server alone does
 * not have: all labels are empty there, so every instance passes. So the selector is parsed,
 * checked, stored and shown, and selects all. */
#ifndef VIEW_SELECTOR_H
#define VIEW_SELECTOR_H

#include "shared/base/arena.h"
#include "shared/base/err.h"
#include "shared/base/str.h"

enum selector_verdict {
	SELECTOR_OK,
	SELECTOR_JSON, /* not JSON; why says what */
	SELECTOR_NO_TYPE,
	SELECTOR_UNKNOWN,       /* the type "unknown" */
	SELECTOR_NO_SUCH,       /* another type; *shown_r is its name */
	SELECTOR_NO_EXPRESSION, /* a label selector has one, which may be blank */
	SELECTOR_EXPRESSION,    /* a bad one */
	SELECTOR_MEMORY
};

/* What the Java server says of a type that does not exist; the name of the type follows. */
#define SELECTOR_NO_SUCH_TEXT "No enum constant com.alibaba.nacos.api.selector.SelectorType."
#define SELECTOR_NONE STR("{\"type\":\"none\"}")

/* The text was percent-decoded once. *shown_r is the JSON as it is stored and shown, unset for
 * none; its memory is the arena's. */
enum selector_verdict selector_parse(struct arena *arena, struct str text, struct str *shown_r,
                                     char *why, size_t why_size);

#endif
