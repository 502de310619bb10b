/* utf8.h - is a text well-formed UTF-8, and what does Java make of it? */
#ifndef CODEC_UTF8_H
#define CODEC_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/str.h"

/* No overlong forms, no surrogates, nothing over U+10FFFF. */
bool utf8_valid(struct str s);
/* String.hashCode() of a well-formed text: 31-polynomial over its UTF-16 units. */
uint32_t utf8_java_hash(struct str s);

#endif
