/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_TESTS_FAULTS_WORKERS_ARCH_H
#define THUMP_TESTS_FAULTS_WORKERS_ARCH_H

/* Fills all registers and the red zone with patterns, spins, compares. */
void victim_hold_registers(void);
/* What a handler may do to registers. */
void victim_scribble_registers(void);

/* The same for tile registers (AMX), state that the kernel allocates on first use; only naps where
 * the CPU or the kernel has none. */
void victim_set_up_tiles(void);
void victim_hold_tiles(void);

/* Adds 1 to the counter of this CPU in a long restartable sequence; 1 if it was committed. */
unsigned long victim_rseq_add(void);
unsigned long victim_rseq_sum(void);

#endif
