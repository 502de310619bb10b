/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/codec/gzip.h"

#include <libdeflate.h>
#include <stdlib.h>

#include "shared/base/assert.h"

struct gzip {
	struct libdeflate_compressor *compressor;
};

int gzip_new(int level, struct gzip **gzip_r)
{
	struct gzip *gzip = malloc(sizeof(*gzip));

	if (gzip == NULL)
		return ERR_NOMEM;
	gzip->compressor = libdeflate_alloc_compressor(level);
	if (gzip->compressor == NULL) {
		free(gzip);
		return ERR_NOMEM;
	}
	*gzip_r = gzip;
	return 0;
}

void gzip_free(struct gzip **gzip)
{
	if (*gzip == NULL)
		return;
	libdeflate_free_compressor((*gzip)->compressor);
	free(*gzip);
	*gzip = NULL;
}

int gzip_pack(struct gzip *gzip, const void *data, size_t n, struct buf *out)
{
	size_t room = libdeflate_gzip_compress_bound(gzip->compressor, n), packed;

	if (!buf_reserve(out, room))
		return ERR_NOMEM;
	/* With this much room the library never refuses. */
	packed = libdeflate_gzip_compress(gzip->compressor, data, n, out->data + out->len, room);
	if (packed == 0)
		return ERR_NOMEM;
	ROSTER_ASSERT(packed <= room);
	out->len += packed;
	return 0;
}
