/* SPDX-License-Identifier: Apache-2.0 */
/* base64.h - the base64url of RFC 4648: - and _ for + and /, no padding. */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "shared/base/buf.h"
#include "shared/base/str.h"

void base64url_put(struct buf *b, struct str bytes);

#endif
