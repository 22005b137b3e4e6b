/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses the architecture that the blob is built for. */
#ifndef THUMP_RESUME_ARCH_ARCH_H
#define THUMP_RESUME_ARCH_ARCH_H

#if defined(__x86_64__)
#include "x86_64.h"
#else
#error "the blob has no code for this architecture; see src/resume/arch"
#endif

#endif
