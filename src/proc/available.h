/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_PROC_AVAILABLE_H
#define THUMP_PROC_AVAILABLE_H

#include <stdint.h>

/* How much memory the machine and our control group have left: UINT64_MAX where nobody says. */
uint64_t thump_memory_available(void);

#endif
