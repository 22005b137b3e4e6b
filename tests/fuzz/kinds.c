/* SPDX-License-Identifier: Apache-2.0 */
/* The records of descriptors. An input is the kind (2 bytes), the version of its record (1), open
 * flags (4), and the record. */
#include "fuzz.h"

#include <string.h>

#include "base/fd.h"
#include "kinds/kind.h"

#define HEAD 7u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct thump_ofd ofd = { .backing_id = THUMP_NO_ID };
	struct thump_err err = THUMP_ERR_INIT;
	const struct thump_kind *kind;
	struct thump_arena arena;
	void *object = NULL;

	if (size < HEAD)
		return 0;
	memcpy(&ofd.kind_id, data, sizeof(ofd.kind_id));
	ofd.version = data[2];
	memcpy(&ofd.open_flags, data + 3, sizeof(ofd.open_flags));
	kind = thump_kind_by_id(ofd.kind_id);
	if (!kind)
		return 0;
	ofd.record_size = (uint32_t)(size - HEAD);
	/* A copy of exactly its size: a read behind it is seen. */
	ofd.record = malloc(ofd.record_size ? ofd.record_size : 1);
	if (!ofd.record)
		return 0;
	memcpy(ofd.record, data + HEAD, ofd.record_size);
	thump_arena_init(&arena);
	if (kind->decode(&ofd, &arena, &object, &err) == 0 && kind->launcher_fd)
		(void)kind->launcher_fd(object);
	thump_arena_deinit(&arena);
	free(ofd.record);
	return 0;
}
