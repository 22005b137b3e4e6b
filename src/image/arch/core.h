/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader needs to know about the machine's core notes. */
#ifndef THUMP_IMAGE_ARCH_CORE_H
#define THUMP_IMAGE_ARCH_CORE_H

#include "base/bytes.h"
#include "model/model.h"

/* NT_PRSTATUS -> tid and regs. -1 when it is too short; left-over bytes are the caller's. */
THUMP_MUST_CHECK int image_decode_prstatus(struct thump_reader *r, struct thump_task *task);

#endif
