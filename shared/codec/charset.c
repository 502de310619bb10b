/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/charset.h"

#include <errno.h>
#include <iconv.h>

#include "shared/base/assert.h"
#include "shared/base/fiber.h"
#include "shared/base/utf8.h"

#define PIECE 16384U /* bytes written between two pauses */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct charset {
	const char *converter; /* as the C library calls it; NULL: UTF-8, which needs none */
	unsigned unit;         /* bytes left out where nothing can be read */
};

enum {
	UTF_8,
	GBK,
	GB18030,
	BIG5,
	ISO_8859_1,
	ISO_8859_2,
	ISO_8859_5,
	ISO_8859_15,
	US_ASCII,
	WINDOWS_1250,
	WINDOWS_1251,
	WINDOWS_1252,
	KOI8_R,
	UTF_16BE,
	UTF_16LE,
	EUC_JP,
	SHIFT_JIS,
	EUC_KR,
	CHARSETS
};

static const struct charset charsets[CHARSETS] = {
	[UTF_8] = { NULL, 1 },
	[GBK] = { "GBK", 1 },
	[GB18030] = { "GB18030", 1 },
	[BIG5] = { "BIG5", 1 },
	[ISO_8859_1] = { "ISO-8859-1", 1 },
	[ISO_8859_2] = { "ISO-8859-2", 1 },
	[ISO_8859_5] = { "ISO-8859-5", 1 },
	[ISO_8859_15] = { "ISO-8859-15", 1 },
	[US_ASCII] = { "US-ASCII", 1 },
	[WINDOWS_1250] = { "CP1250", 1 },
	[WINDOWS_1251] = { "CP1251", 1 },
	[WINDOWS_1252] = { "CP1252", 1 },
	[KOI8_R] = { "KOI8-R", 1 },
	[UTF_16BE] = { "UTF-16BE", 2 },
	[UTF_16LE] = { "UTF-16LE", 2 },
	[EUC_JP] = { "EUC-JP", 1 },
	[SHIFT_JIS] = { "CP932",
	                1 }, /* the C library's own SHIFT_JIS makes a yen sign of the backslash; Java does not */
	[EUC_KR] = { "EUC-KR", 1 },
};

const struct charset *const charset_utf8 = &charsets[UTF_8];

static const struct {
	const char *name;
	unsigned charset;
} names[] = {
	{ "UTF-8", UTF_8 },
	{ "UTF8", UTF_8 },
	{ "GBK", GBK },
	{ "CP936", GBK },
	{ "MS936", GBK },
	{ "WINDOWS-936", GBK },
	{ "GB2312", GBK }, /* a part of it; two signs differ in the C library's own, not in Java */
	{ "EUC-CN", GBK },
	{ "EUC_CN", GBK },
	{ "GB18030", GB18030 },
	{ "BIG5", BIG5 },
	{ "ISO-8859-1", ISO_8859_1 },
	{ "ISO_8859-1", ISO_8859_1 },
	{ "ISO8859-1", ISO_8859_1 },
	{ "ISO8859_1", ISO_8859_1 },
	{ "LATIN1", ISO_8859_1 },
	{ "ISO-8859-2", ISO_8859_2 },
	{ "ISO-8859-5", ISO_8859_5 },
	{ "ISO-8859-15", ISO_8859_15 },
	{ "US-ASCII", US_ASCII },
	{ "ASCII", US_ASCII },
	{ "WINDOWS-1250", WINDOWS_1250 },
	{ "WINDOWS-1251", WINDOWS_1251 },
	{ "WINDOWS-1252", WINDOWS_1252 },
	{ "CP1252", WINDOWS_1252 },
	{ "KOI8-R", KOI8_R },
	{ "UTF-16", UTF_16BE },
	{ "UTF-16BE", UTF_16BE },
	{ "UTF-16LE", UTF_16LE },
	{ "EUC-JP", EUC_JP },
	{ "SHIFT_JIS", SHIFT_JIS },
	{ "SJIS", SHIFT_JIS },
	{ "WINDOWS-31J", SHIFT_JIS },
	{ "EUC-KR", EUC_KR },
};

/* Each converter is opened when it is first asked for and lives as long as the process. An open one
 * keeps its module mapped. */
static struct converter {
	bool tried;
	iconv_t cd;
} converters[CHARSETS];

/* Returns false when the C library has none. */
static bool open_converter(const struct charset *charset, iconv_t *cd_r)
{
	struct converter *converter = &converters[charset - charsets];

	ROSTER_ASSERT(charset->converter != NULL); /* UTF-8 is never converted */
	if (!converter->tried)
		converter->cd = iconv_open("UTF-8", charset->converter);
	converter->tried = true;
	*cd_r = converter->cd;
	return converter->cd != (iconv_t)-1;
}

void charset_load(void)
{
	iconv_t cd;

	for (unsigned i = UTF_8 + 1; i < CHARSETS; i++)
		(void)open_converter(&charsets[i], &cd);
}

const struct charset *charset_find(struct str name)
{
	for (size_t i = 0; i < COUNT(names); i++) {
		const struct charset *charset = &charsets[names[i].charset];
		iconv_t cd;

		if (str_ieq(name, str_of(names[i].name)))
			return charset == charset_utf8 || open_converter(charset, &cd) ? charset
			                                                               : NULL;
	}
	return NULL;
}

bool charset_in_forms(const struct charset *charset)
{
	return charset->unit == 1;
}

struct decoding {
	const struct charset *charset;
	iconv_t cd;
	char *in, *at;
	size_t in_left, room;
};

/* Goes on until about `most` bytes are written. What stops it is the room given, so it ends between
 * two characters. */
static void decode_piece(struct decoding *d, size_t most)
{
	ROSTER_ASSERT(most <= d->room);
	iconv(d->cd, NULL, NULL, NULL, NULL); /* whatever the text before left in it */
	while (d->in_left > 0 && most >= 3) {
		size_t room = most, skip, written;
		bool done = iconv(d->cd, &d->in, &d->in_left, &d->at, &room) != (size_t)-1;
		int why = errno;

		written = most - room;
		d->room -= written;
		most = room;
		if (done || why == E2BIG || most < 3)
			return;
		/* EINVAL is a character that the text cut off: nothing behind it can be read
		 * either. */
		skip = why == EINVAL || d->in_left < d->charset->unit ? d->in_left
		                                                      : d->charset->unit;
		memcpy(d->at, "\xef\xbf\xbd", 3);
		d->at += 3;
		d->room -= 3;
		most -= 3;
		d->in_left -= skip;
		d->in += skip;
	}
}

/* Between two pieces others use the same converter, which is harmless: none of those in the table
 * keeps a state there. */
int charset_decode(struct arena *arena, const struct charset *charset, struct str text,
                   struct str *out_r)
{
	struct decoding d = {
		.charset = charset, .in = (char *)text.p, .in_left = text.n, .room = text.n * 3 + 8
	};
	size_t before = text.n + 1;
	char *out;

	if (charset == charset_utf8 || text.n == 0 || !open_converter(charset, &d.cd))
		return utf8_repair(arena, text, out_r);
	if ((out = d.at = arena_alloc(arena, d.room)) == NULL)
		return ERR_NOMEM;
	while (d.in_left > 0 && d.in_left < before && d.room >= 3) {
		before = d.in_left;
		decode_piece(&d, d.room < PIECE ? d.room : PIECE);
		if (fiber_pause() < 0)
			return ERR_GONE;
	}
	*out_r = str_make(out, (size_t)(d.at - out));
	return 0;
}
