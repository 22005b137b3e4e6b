/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_CAPTURE_ARCH_H
#define THUMP_CAPTURE_ARCH_H

#include "model/model.h"

/* The TLS base, which is what pthread_self(3) returns, in glibc and musl. */
static inline uint64_t thump_arch_thread_pointer(const struct thump_task *task)
{
#if defined(__x86_64__)
	return task->regs.fs_base;
#else
#error "where is the TLS base?"
#endif
}

#endif
