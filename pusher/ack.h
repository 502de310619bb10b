/* SPDX-License-Identifier: Apache-2.0 */
/* ack.h - reads lastRefTime out of an acknowledgement (specification 9.5).
 *
 * A JSON object of which only the member lastRefTime counts, as a string or a number; blanks around are
 * cut, the last of several wins, other members are skipped whatever they hold. Nothing is trusted because
 * of it: the caller matches the number together with the datagram's source. */
#ifndef PUSHER_ACK_H
#define PUSHER_ACK_H

#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

/* ERR_SYNTAX: not an object, cut off, or no usable lastRefTime. */
int ack_parse(struct str text, uint64_t *key_r) MUST_CHECK;

#endif
