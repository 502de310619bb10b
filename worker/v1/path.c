/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/v1/path.h"

#include <string.h>

#include "shared/base/assert.h"
#include "shared/codec/url.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_plain(struct str raw)
{
	for (size_t i = 0; i < raw.n; i++)
		if (strchr("%;\\.", raw.p[i]) != NULL || (unsigned char)raw.p[i] >= 0x80)
			return false;
	return !str_has_double(raw, '/');
}

static bool contains(struct str s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* ---- the container --------------------------------------------------------------------------- */

static bool has_refused_byte(struct str raw)
{
	static const char *const refused[] = { "%2f", "%2F", "%5c", "%5C", "%00", "\\" };

	for (size_t i = 0; i < COUNT(refused); i++)
		if (contains(raw, refused[i]))
			return true;
	for (size_t i = 0; i < raw.n; i++)
		if ((unsigned char)raw.p[i] >= 0x80 || raw.p[i] == '\0')
			return true;
	return false;
}

/* Returns what stands from there up to the next slash. */
static struct str segment_at(struct str s, size_t at)
{
	size_t end = at;

	while (end < s.n && s.p[end] != '/')
		end++;
	return str_make(s.p + at, end - at);
}

/* Returns a copy without what stands between a semicolon and the end of its segment. */
static struct str without_parameters(struct arena *arena, struct str raw)
{
	char *p = arena_alloc(arena, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; p != NULL && i < raw.n; i++) {
		if (raw.p[i] == ';')
			i += segment_at(raw, i).n;
		if (i < raw.n)
			p[n++] = raw.p[i];
	}
	return (struct str){ p, n };
}

static bool is_dots(struct str segment, bool two)
{
	return str_eq(segment, two ? STR("..") : STR("."));
}

/* Resolves empty segments and dots, in place. Returns false when that leads above the root. */
static bool normalize(struct str *path)
{
	char *out = (char *)path->p;
	size_t n = 0, at = 0;
	bool open = false; /* ends with a slash */

	while (at < path->n) {
		struct str segment = segment_at(*path, ++at);

		at += segment.n;
		open = segment.n == 0 || is_dots(segment, false) || is_dots(segment, true);
		if (is_dots(segment, true)) {
			if (n == 0)
				return false;
			while (out[--n] != '/')
				continue;
		} else if (!open) {
			out[n++] = '/';
			memmove(out + n, segment.p, segment.n);
			n += segment.n;
		}
	}
	if (open || n == 0)
		out[n++] = '/';
	ROSTER_ASSERT(n <= path->n);
	path->n = n;
	return true;
}

static int decode(struct arena *arena, struct str raw, struct str *plain_r)
{
	struct str bare;
	int ret;

	if (has_refused_byte(raw))
		return ERR_SYNTAX;
	if ((bare = without_parameters(arena, raw)).p == NULL)
		return ERR_NOMEM;
	if ((ret = url_decode(arena, bare, false, plain_r)) < 0)
		return ret;
	return normalize(plain_r) ? 0 : ERR_SYNTAX;
}

/* ---- the firewall ---------------------------------------------------------------------------- */

static const char *malicious_text(struct str raw, struct str plain)
{
	static const char *const written[] = { "//",  ";",   "%3b", "%3B", "%2e", "%2E",
		                               "%25", "%0a", "%0A", "%0d", "%0D" };
	static const char *const decoded[] = {
		"\xe2\x80\xa8", "\xe2\x80\xa9"
	}; /* separators of lines and paragraphs */

	for (size_t i = 0; i < COUNT(written); i++)
		if (contains(raw, written[i]))
			return written[i];
	for (size_t i = 0; i < COUNT(decoded); i++)
		if (contains(plain, decoded[i]))
			return decoded[i];
	return NULL;
}

static bool has_dots(struct str raw)
{
	for (size_t at = 0; at < raw.n; at++) {
		struct str segment = segment_at(raw, at);

		if (is_dots(segment, false) || is_dots(segment, true))
			return true;
		at += segment.n;
	}
	return false;
}

int path_read(struct arena *arena, struct str raw, struct path *path_r)
{
	int ret;

	*path_r = (struct path){ .plain = raw };
	if (is_plain(raw) || raw.p[0] != '/')
		return 0;
	if ((ret = decode(arena, raw, &path_r->plain)) < 0)
		return ret;
	path_r->malicious = malicious_text(raw, path_r->plain);
	path_r->dots = has_dots(raw);
	return 0;
}
