/* SPDX-License-Identifier: Apache-2.0 */
/* A process of our own beside the one that does the work. */
#ifndef THUMP_BASE_BESIDE_H
#define THUMP_BASE_BESIDE_H

#include "base/err.h"

/*
 * As fork(2), but the new process is orphaned at birth, so that nobody has to reap it. 0: in the
 * new process; 1: in the caller; -1 with errno: there is no new one.
 */
THUMP_MUST_CHECK int thump_fork_beside(void);

#endif
