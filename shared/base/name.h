/* SPDX-License-Identifier: Apache-2.0 */
/* name.h - how long the name of a namespace or of a service (with its group) may be: the
 * configuration allows no more (limits.name), and whoever holds such a name makes room for this
 * much. */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#define NAME_MAX_BYTES 1023U

#endif
