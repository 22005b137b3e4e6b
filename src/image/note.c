/* SPDX-License-Identifier: Apache-2.0 */
#include "image/note.h"

#include <endian.h>
#include <string.h>

#include "image/format.h"

#define NOTE_ALIGN 4u

struct image_note_mark image_note_begin(struct thump_buf *buf, const char *owner, uint32_t type)
{
	struct image_note_mark mark;

	thump_buf_put_u32(buf, (uint32_t)strlen(owner) + 1);
	mark.descsz_at = buf->size_bytes;
	thump_buf_put_u32(buf, 0); /* descsz, known at the end */
	thump_buf_put_u32(buf, type);
	thump_buf_put(buf, owner, strlen(owner) + 1);
	thump_buf_pad(buf, NOTE_ALIGN);
	mark.desc_at = buf->size_bytes;
	return mark;
}

void image_note_end(struct thump_buf *buf, struct image_note_mark mark)
{
	size_t desc_size = buf->size_bytes - mark.desc_at;
	uint32_t le;

	if (buf->failed)
		return;
	if (desc_size > UINT32_MAX) {
		buf->failed = true;
		return;
	}
	le = htole32((uint32_t)desc_size);
	memcpy(buf->bytes + mark.descsz_at, &le, sizeof(le));
	thump_buf_pad(buf, NOTE_ALIGN);
}

static struct image_note_mark record_begin(struct thump_buf *buf, uint32_t id, uint16_t flags)
{
	struct image_note_mark mark = image_note_begin(buf, IMG_OWNER, id);

	thump_buf_put_u16(buf, IMG_REC_VERSION);
	thump_buf_put_u16(buf, flags);
	thump_buf_put_u32(buf, 0);
	return mark;
}

struct image_note_mark image_record_begin(struct thump_buf *buf, uint32_t id)
{
	return record_begin(buf, id, IMG_REC_REQUIRED);
}

struct image_note_mark image_record_begin_optional(struct thump_buf *buf, uint32_t id)
{
	return record_begin(buf, id, 0);
}

static int check_padding(struct thump_reader *r, size_t size_bytes, struct thump_err *err)
{
	size_t padding = (NOTE_ALIGN - size_bytes % NOTE_ALIGN) % NOTE_ALIGN;
	const unsigned char *bytes = thump_get_bytes(r, padding);

	for (size_t i = 0; bytes && i < padding; i++)
		if (bytes[i])
			return thump_damaged(err, "padding of a note is not zero");
	return 0;
}

int image_note_next(struct thump_reader *r, struct image_note *note_ret, struct thump_err *err)
{
	uint32_t name_size = thump_get_u32(r), desc_size = thump_get_u32(r);
	uint32_t type = thump_get_u32(r);
	const char *owner = thump_get_bytes(r, name_size);
	const unsigned char *desc;

	if (!owner || name_size == 0 || owner[name_size - 1] != '\0')
		return thump_damaged(err, "a note is cut off or its owner has no end");
	if (check_padding(r, name_size, err) < 0)
		return -1;
	desc = thump_get_bytes(r, desc_size);
	if (check_padding(r, desc_size, err) < 0)
		return -1;
	if (r->failed)
		return thump_damaged(err, "note %s %#x is cut off", owner, type);
	*note_ret = (struct image_note){
		.owner = owner, .type = type, .desc = desc, .desc_size = desc_size
	};
	return 0;
}
