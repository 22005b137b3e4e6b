/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page through which a program that asked for its own checkpoint and the engine talk. It lies
 * in the program's memory; the program passes its address to `thump checkpoint --coord ADDR`.
 *
 *   program: fills the page, state = WAITING, starts thump, FUTEX_WAITs on state while WAITING
 *   engine:  in the image the page says RESTORED; before the original goes on it writes code, text
 *            and SAVED or FAILED
 *
 * The stop itself interrupts the futex wait and makes it start again, in the original and in the
 * restored process, so it sees the new state without being woken.
 */
#ifndef THUMP_COORD_ABI_H
#define THUMP_COORD_ABI_H

#include <stdint.h>

#define THUMP_COORD_MAGIC     "thumpco1"
#define THUMP_COORD_TEXT_SIZE 4000

enum thump_coord_state {
	THUMP_COORD_IDLE = 0,
	THUMP_COORD_WAITING = 1,
	THUMP_COORD_FAILED = 2,	  /* no image; code and text say why */
	THUMP_COORD_SAVED = 3,	  /* the image is there and the program goes on */
	THUMP_COORD_RESTORED = 4, /* this is a process made from the image */
};

struct thump_coord_page {
	char magic[8];
	uint32_t state;	     /* futex */
	uint32_t code;	     /* enum thump_code */
	uint32_t helper_pid; /* of the engine, once it is at work; 0 before */
	uint32_t text_size;
	uint64_t reserved[9];
	char text[THUMP_COORD_TEXT_SIZE]; /* one problem a line, NUL-terminated */
};

_Static_assert(sizeof(struct thump_coord_page) == 4096, "one page");

#endif
