/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of our own beside the one that does the work. */
#ifndef THUMP_BASE_THREAD_H
#define THUMP_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

/*
 * pthread_create(3) with all signals blocked in the new thread: signals are for the thread that
 * calls. The mask of the caller is as it was afterwards. Returns 0 or an error number, as
 * pthread_create does.
 */
THUMP_MUST_CHECK int thump_thread_start(pthread_t *thread_ret, void *(*run)(void *arg), void *arg);

#endif
