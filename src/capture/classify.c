/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/mappings.h"

#include <string.h>

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

const char *thump_map_anon_name(const struct thump_map *map, size_t *len_ret)
{
	static const char *const starts[] = { "[anon:", "[anon_shmem:" };
	size_t path_len = strlen(map->path);

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(starts); i++) {
		size_t len = strlen(starts[i]);

		if (!starts_with(map->path, starts[i]) || map->path[path_len - 1] != ']')
			continue;
		*len_ret = path_len - len - 1;
		return map->path + len;
	}
	return NULL;
}

/* Traits that no restore can bring back, whatever is mapped. */
static const struct {
	uint32_t trait;
	const char *reason;
} refused_traits[] = {
	{ THUMP_VMA_HUGETLB, "huge pages (hugetlbfs, MAP_HUGETLB) cannot be saved" },
	{ THUMP_VMA_IO, "memory of a device cannot be saved" },
	{ THUMP_VMA_UFFD, "registered with userfaultfd(2), which cannot be saved" },
	{ THUMP_VMA_SHADOW_STACK, "a shadow stack cannot be saved" },
	{ THUMP_VMA_SYNC, "MAP_SYNC (persistent memory) cannot be saved" },
};

/* Where nobody looks at single pages. */
static bool hides_guards(const struct thump_map *map)
{
	return (map->traits & THUMP_VMA_GUARDED) &&
	       (map->shared ||
		(map->traits & (THUMP_VMA_WIPEONFORK | THUMP_VMA_DROPPABLE | THUMP_VMA_LOCKED)));
}

static const char *refused_trait(const struct thump_map *map)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(refused_traits); i++) {
		if (map->traits & refused_traits[i].trait)
			return refused_traits[i].reason;
	}
	if (hides_guards(map))
		return "guard regions (MADV_GUARD_INSTALL) of memory that is shared, locked or "
		       "wiped cannot be saved";
	if (map->unknown_flag[0])
		return "a flag of its VmFlags in smaps is not known to this version of thump";
	return NULL;
}

/* Names that the kernel gives; none of them is a path that could be opened. */
static const struct {
	const char *start;
	bool deleted;
	enum thump_map_class class;
	const char *reason;
} names[] = {
	{ "/memfd:", true, THUMP_MAP_MEMFD, NULL },
	{ "/dev/zero", true, THUMP_MAP_SHMEM, NULL },
	{ "[anon_shmem:", false, THUMP_MAP_SHMEM, NULL },
	{ "/SYSV", true, THUMP_MAP_REFUSED, "System V shared memory (shmget(2)) cannot be saved" },
	{ "/[aio]", true, THUMP_MAP_REFUSED,
	  "a context for asynchronous I/O (io_setup(2)) cannot be saved" },
	{ "anon_inode:[io_uring]", false, THUMP_MAP_REFUSED, "io_uring cannot be saved" },
	{ "anon_inode:[perf_event]", false, THUMP_MAP_REFUSED, "perf events cannot be saved" },
	{ "[uprobes]", false, THUMP_MAP_REFUSED, "a traced program (uprobes) cannot be saved" },
};

static enum thump_map_class classify_name(const struct thump_map *map, const char **reason_ret)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(names); i++) {
		if (!starts_with(map->path, names[i].start) || map->deleted != names[i].deleted)
			continue;
		*reason_ret = names[i].reason;
		return names[i].class;
	}
	if (map->path[0] == '/')
		return THUMP_MAP_FILE;
	*reason_ret = "a mapping of this kind cannot be saved";
	return THUMP_MAP_REFUSED;
}

bool thump_map_has_descriptor(const struct thump_map *map)
{
	/* Files that the kernel made for memory, and that were never open; see
	 * hugetlb_file_setup(), shmem_zero_setup(), aio_setup_ring() and newseg() of the kernel. */
	static const char *const no_descriptor[] = { "/SYSV", "/[aio]", "/dev/zero",
						     "/anon_hugepage" };

	if (map->ino == 0)
		return false;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(no_descriptor); i++)
		if (map->deleted && starts_with(map->path, no_descriptor[i]))
			return false;
	return true;
}

enum thump_map_class thump_map_classify(const struct thump_map *map, const char **reason_ret)
{
	const char *reason;

	/* Kernel mappings first: they carry flags that are refused elsewhere (io, pf, sl). */
	if (map->ino == 0 && strcmp(map->path, "[vdso]") == 0)
		return THUMP_MAP_VDSO;
	if (map->ino == 0 && starts_with(map->path, "[vvar"))
		return THUMP_MAP_VVAR;
	if (map->ino == 0 && strcmp(map->path, "[vsyscall]") == 0)
		return THUMP_MAP_VSYSCALL;
	reason = refused_trait(map);
	if (reason) {
		*reason_ret = reason;
		return THUMP_MAP_REFUSED;
	}
	if (map->ino == 0 && !map->shared && (map->path[0] == '\0' || map->path[0] == '[') &&
	    strcmp(map->path, "[uprobes]") != 0)
		return THUMP_MAP_ANON;
	return classify_name(map, reason_ret);
}
