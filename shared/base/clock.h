/* SPDX-License-Identifier: Apache-2.0 */
/* clock.h - the only clocks.
 *
 * mono is CLOCK_MONOTONIC, for timers and for everything stored in the segment that is compared
 * within one boot. boot is CLOCK_BOOTTIME, which also counts the time of a suspended machine. wall
 * is CLOCK_REALTIME, for answers and logs only. cpu is what this thread has used of a processor:
 * what its work costs, whoever runs beside it. The time of beats is none of these but the health
 * clock of shared/shm/health.h.
 *
 * Tests may set them all except cpu (clock_set_for_test(); boot follows mono); zero gives the real
 * clocks back. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void);
uint64_t clock_mono_us(void);
uint64_t clock_boot_ms(void);
uint64_t clock_wall_ms(void);
uint64_t clock_wall_us(void);
uint64_t clock_cpu_us(void);
void clock_set_for_test(uint64_t mono_us, uint64_t wall_us);

#endif
