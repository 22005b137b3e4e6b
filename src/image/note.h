/* SPDX-License-Identifier: Apache-2.0 */
/* One ELF note: writing it and walking over them; elf(5). */
#ifndef THUMP_IMAGE_NOTE_H
#define THUMP_IMAGE_NOTE_H

#include "base/bytes.h"

/* Begins a note; everything put into buf until image_note_end is its desc. */
struct image_note_mark {
	size_t descsz_at, desc_at;
};
struct image_note_mark image_note_begin(struct thump_buf *buf, const char *owner, uint32_t type);
void image_note_end(struct thump_buf *buf, struct image_note_mark mark);

/* A begun note of owner thump with version and flags of a record. */
struct image_note_mark image_record_begin(struct thump_buf *buf, uint32_t id);
/* One that readers may skip. */
struct image_note_mark image_record_begin_optional(struct thump_buf *buf, uint32_t id);

struct image_note {
	const char *owner; /* NUL-terminated, inside the input */
	uint32_t type;
	const unsigned char *desc;
	size_t desc_size;
};

/* Takes the next note out of r; checks owner and padding. */
THUMP_MUST_CHECK int image_note_next(struct thump_reader *r, struct image_note *note_ret,
				     struct thump_err *err);

#endif
