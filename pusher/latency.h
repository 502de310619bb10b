/* SPDX-License-Identifier: Apache-2.0 */
/* latency.h - puts a time into one of the histograms of shared/metrics/metrics.h (eight buckets and a sum). */
#ifndef PUSHER_LATENCY_H
#define PUSHER_LATENCY_H

#include <stdint.h>

#include "shared/metrics/metrics.h"

void latency_add(enum metric first_bucket, enum metric sum, uint64_t ms);

#endif
