/* SPDX-License-Identifier: Apache-2.0 */
/* gzip.h - one gzip member from one buffer (libdeflate). Process-private compressor. */
#ifndef CODEC_GZIP_H
#define CODEC_GZIP_H

#include "shared/base/buf.h"
#include "shared/base/err.h"

struct gzip;

int gzip_new(int level, struct gzip **gzip_r) MUST_CHECK;
void gzip_free(struct gzip **gzip);
/* Appends the member to out; its header is 1f 8b 08, without a name. ERR_NOMEM. */
int gzip_pack(struct gzip *gzip, const void *data, size_t n, struct buf *out) MUST_CHECK;

#endif
