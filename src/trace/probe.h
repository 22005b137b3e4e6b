/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_TRACE_PROBE_H
#define THUMP_TRACE_PROBE_H

#include "base/err.h"

/* Whether this process may trace a child of its own, which restore needs. Under seccomp, yama's
 * ptrace_scope 3 or an LSM it may not: false, with errno. */
bool thump_probe_ptrace(void);

#endif
