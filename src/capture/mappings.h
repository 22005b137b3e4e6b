/* SPDX-License-Identifier: Apache-2.0 */
/* Inside src/capture: what kind a mapping is, from its line in smaps alone; pure. */
#ifndef THUMP_CAPTURE_MAPPINGS_H
#define THUMP_CAPTURE_MAPPINGS_H

#include "model/model.h"
#include "proc/maps.h"

enum thump_map_class {
	THUMP_MAP_ANON,
	THUMP_MAP_VDSO,
	THUMP_MAP_VVAR,
	THUMP_MAP_VSYSCALL,
	THUMP_MAP_FILE, /* a path: a file of any type, or a device */
	THUMP_MAP_MEMFD,
	THUMP_MAP_SHMEM,   /* MAP_SHARED | MAP_ANONYMOUS */
	THUMP_MAP_REFUSED, /* see the reason */
};

/* *reason_ret is set for THUMP_MAP_REFUSED only: what it is, and why it cannot be saved. */
enum thump_map_class thump_map_classify(const struct thump_map *map, const char **reason_ret);

/* It was made of a descriptor, so that hooks which close that may unmap it, too. */
bool thump_map_has_descriptor(const struct thump_map *map);

/* PR_SET_VMA_ANON_NAME in "[anon:NAME]" or "[anon_shmem:NAME]": start and length, or NULL. */
const char *thump_map_anon_name(const struct thump_map *map, size_t *len_ret);

#endif
