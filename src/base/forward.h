/* SPDX-License-Identifier: Apache-2.0 */
#ifndef THUMP_BASE_FORWARD_H
#define THUMP_BASE_FORWARD_H

#include <sys/signalfd.h>

#include "base/types.h"

/*
 * Passes a signal that was read from a signalfd on to `pid` (through pidfd where that is >= 0).
 * What was queued with a value keeps value and sender; everything else is sent as by kill(2).
 */
void thump_forward_signal(const struct signalfd_siginfo *from, pid_t pid, int pidfd);

#endif
