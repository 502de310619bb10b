/* SPDX-License-Identifier: Apache-2.0 */
/* ack.h - reads lastRefTime out of an acknowledgement (specification 9.5).
 *
 * An acknowledgement is a JSON object of which only the member lastRefTime counts, as a string or
 * a number. Blanks around it are cut, the last of several wins, and other members are skipped
 * whatever they hold. Nothing is trusted because of it: the caller matches the number together with
 * the source of the datagram. */
#ifndef PUSHER_ACK_H
#define PUSHER_ACK_H

#include <stdint.h>

#include "shared/base/err.h"
#include "shared/base/str.h"

/* ERR_SYNTAX: the text is no object, is cut off, or has no usable lastRefTime. */
int ack_parse(struct str text, uint64_t *key_r) MUST_CHECK;

#endif
