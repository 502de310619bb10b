/* SPDX-License-Identifier: Apache-2.0 */
/* sanitized.h - SANITIZED is 1 in a build with the address sanitizer, 0 in all others. gcc and
 * clang say so in different ways. */
#ifndef BASE_SANITIZED_H
#define BASE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
