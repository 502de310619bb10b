/* SPDX-License-Identifier: Apache-2.0 */
/* hash.h - hashes of texts of clients, for tables in private memory.
 *
 * They depend on random bytes that the kernel gives to each program it starts (children have those
 * of their parent), so that nobody outside can choose texts that meet in one place of a table. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "shared/base/str.h"

/* `more` is what else the hash shall depend on, for instance the hash of another text. */
uint64_t hash_text(struct str text, uint64_t more);

#endif
