/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/media.h"

#include <stdlib.h>
#include <string.h>

struct media {
	struct str type;  /* without parameters */
	unsigned quality; /* thousandths */
};

static unsigned quality_of(struct str params)
{
	const char *p = params.n > 0 ? memmem(params.p, params.n, "q=", 2) : NULL;
	char text[8] = { 0 };
	size_t n;
	double q;

	if (p == NULL)
		return 1000;
	n = (size_t)(params.p + params.n - p - 2);
	memcpy(text, p + 2, n < sizeof(text) - 1 ? n : sizeof(text) - 1);
	q = strtod(text, NULL);
	return q >= 1 ? 1000 : q > 0 ? (unsigned)(q * 1000) : 0; /* "nan" is neither */
}

/* Takes the next element of an Accept value. Returns false at the end. */
static bool next_media(struct str *rest, struct media *media_r)
{
	const char *comma, *semicolon;
	struct str item;

	if (rest->n == 0)
		return false;
	comma = memchr(rest->p, ',', rest->n);
	item = str_make(rest->p, comma == NULL ? rest->n : (size_t)(comma - rest->p));
	*rest = comma == NULL ? str_make(rest->p + rest->n, 0)
	                      : str_make(comma + 1, rest->n - item.n - 1);
	semicolon = item.n > 0 ? memchr(item.p, ';', item.n) : NULL;
	media_r->quality = 1000;
	if (semicolon != NULL) {
		media_r->quality =
		        quality_of(str_make(semicolon, (size_t)(item.p + item.n - semicolon)));
		item.n = (size_t)(semicolon - item.p);
	}
	media_r->type = str_trim(item);
	return true;
}

static bool accepts_anything(struct str accept)
{
	return accept.n == 0 || str_eq(accept, STR("*/*"));
}

bool media_is_json(struct str type)
{
	static const struct str plus = STR("+json"), application = STR("application/");

	return str_ieq(type, STR("application/json")) ||
	       (type.n > plus.n + application.n &&
	        str_ieq(str_make(type.p, application.n), application) &&
	        str_ieq(str_make(type.p + type.n - plus.n, plus.n), plus));
}

/* Says whether the type is fit to be written back: token / token, no wildcard. */
static bool is_concrete(struct str type)
{
	unsigned slashes = 0;

	for (size_t i = 0; i < type.n; i++) {
		char c = type.p[i];

		slashes += c == '/';
		if (c <= ' ' || c == '*' || strchr("()<>@,;:\\\"[]?={}\x7f", c) != NULL)
			return false;
	}
	return slashes == 1 && type.p[0] != '/' && type.p[type.n - 1] != '/';
}

struct str media_concrete(struct str accept, struct str otherwise)
{
	struct str best_type = otherwise;
	struct media media;
	unsigned best = 0;

	if (accepts_anything(accept))
		return otherwise;
	while (next_media(&accept, &media)) {
		if (media.quality > best && is_concrete(media.type)) {
			best = media.quality;
			best_type = media.type;
		}
	}
	return best_type;
}

bool media_accepts_json(struct str accept)
{
	struct media media;

	if (accepts_anything(accept))
		return true;
	while (next_media(&accept, &media)) {
		if (media.quality > 0 &&
		    (media_is_json(media.type) || str_ieq(media.type, STR("application/*")) ||
		     str_eq(media.type, STR("*/*")) || str_eq(media.type, STR("*"))))
			return true;
	}
	return false;
}

bool media_accepts_html(struct str accept)
{
	struct media media;

	if (accepts_anything(accept))
		return false;
	while (next_media(&accept, &media)) {
		if (media.quality > 0 && str_ieq(media.type, STR("text/html")))
			return true;
	}
	return false;
}
