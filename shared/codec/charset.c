/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/charset.h"

#include <errno.h>
#include <iconv.h>

#include "shared/codec/utf8.h"

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
	[SHIFT_JIS] = { "CP932", 1 }, /* the C library's own SHIFT_JIS makes a yen sign of the backslash; Java does not */
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

/* One for the whole life of the process, opened when it is first asked for. An open one keeps its module mapped. */
static struct converter {
	bool tried;
	iconv_t cd;
} converters[CHARSETS];

/* False: the C library has none. */
static bool open_converter(const struct charset *charset, iconv_t *cd_r)
{
	struct converter *converter = &converters[charset - charsets];

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
			return charset == charset_utf8 || open_converter(charset, &cd) ? charset : NULL;
	}
	return NULL;
}

bool charset_in_forms(const struct charset *charset)
{
	return charset->unit == 1;
}

int charset_decode(struct arena *arena, const struct charset *charset, struct str text, struct str *out_r)
{
	size_t room = text.n * 3 + 8, in_left = text.n;
	char *out, *at, *in = (char *)text.p;
	iconv_t cd;

	if (charset == charset_utf8 || text.n == 0 || !open_converter(charset, &cd))
		return utf8_repair(arena, text, out_r);
	if ((out = at = arena_alloc(arena, room)) == NULL)
		return ERR_NOMEM;
	iconv(cd, NULL, NULL, NULL, NULL); /* whatever the text before left in it */
	while (in_left > 0 && iconv(cd, &in, &in_left, &at, &room) == (size_t)-1) {
		size_t skip = errno == EINVAL || in_left < charset->unit ? in_left : charset->unit;

		if (errno == E2BIG || room < 3)
			break;
		memcpy(at, "\xef\xbf\xbd", 3);
		at += 3;
		room -= 3;
		in_left -= skip;
		in += skip;
	}
	*out_r = str_make(out, (size_t)(at - out));
	return 0;
}
