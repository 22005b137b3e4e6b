/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/maps.h"

#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/fd.h"
#include "model/model.h"
#include "proc/text.h"

#define READ_CHUNK_BYTES ((size_t)64 << 10)
#define LINE_LIMIT_BYTES ((size_t)1 << 20)
#define DELETED_SUFFIX	 " (deleted)"
#define SUFFIX_LEN	 (sizeof(DELETED_SUFFIX) - 1)

/* Letters as in fs/proc/task_mmu.c, show_smap_vma_flags(); 0: known, and told elsewhere (prot,
 * shared) or without meaning for a restored process (softdirty, DONTEXPAND, MAYSHARE). */
static const struct {
	char letters[3];
	uint32_t trait;
} vmflags[] = {
	{ "rd", 0 },
	{ "wr", 0 },
	{ "ex", 0 },
	{ "sh", 0 },
	{ "ms", 0 },
	{ "sd", 0 },
	{ "de", 0 },
	{ "gu", THUMP_VMA_GUARDED },
	{ "mr", THUMP_VMA_MAYREAD },
	{ "mw", THUMP_VMA_MAYWRITE },
	{ "me", THUMP_VMA_MAYEXEC },
	{ "gd", THUMP_VMA_GROWSDOWN },
	{ "lo", THUMP_VMA_LOCKED },
	{ "dc", THUMP_VMA_DONTFORK },
	{ "wf", THUMP_VMA_WIPEONFORK },
	{ "dd", THUMP_VMA_DONTDUMP },
	{ "hg", THUMP_VMA_HUGEPAGE },
	{ "nh", THUMP_VMA_NOHUGEPAGE },
	{ "mg", THUMP_VMA_MERGEABLE },
	{ "nr", THUMP_VMA_NORESERVE },
	{ "sr", THUMP_VMA_SEQ_READ },
	{ "rr", THUMP_VMA_RAND_READ },
	{ "sf", THUMP_VMA_SYNC },
	{ "dp", THUMP_VMA_DROPPABLE },
	{ "sl", THUMP_VMA_SEALED },
	{ "ac", THUMP_VMA_ACCOUNT },
	{ "ss", THUMP_VMA_SHADOW_STACK },
	{ "ht", THUMP_VMA_HUGETLB },
	{ "io", THUMP_VMA_IO },
	{ "pf", THUMP_VMA_IO },
	{ "mm", THUMP_VMA_IO },
	{ "um", THUMP_VMA_UFFD },
	{ "uw", THUMP_VMA_UFFD },
	{ "ui", THUMP_VMA_UFFD },
};

void thump_maps_init(struct thump_maps *maps, struct thump_arena *arena)
{
	*maps = (struct thump_maps){ .arena = arena };
}

static bool trait_of(const char letters[2], uint32_t *trait_ret)
{
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(vmflags); i++) {
		if (memcmp(vmflags[i].letters, letters, 2) != 0)
			continue;
		*trait_ret = vmflags[i].trait;
		return true;
	}
	return false;
}

uint32_t thump_vmflags_parse(const char *flags, size_t len, char unknown_flag[3])
{
	uint32_t traits = 0;

	memset(unknown_flag, 0, 3);
	for (size_t i = 0; i + 1 < len; i += 2) {
		uint32_t trait = 0;

		while (i + 1 < len && flags[i] == ' ')
			i++;
		if (i + 1 >= len)
			break;
		if (trait_of(flags + i, &trait))
			traits |= trait;
		else if (unknown_flag[0] == '\0')
			memcpy(unknown_flag, flags + i, 2);
	}
	return traits;
}

static bool take_perms(const char **at, struct thump_map *map)
{
	const char *p = *at;

	if (strlen(p) < 4 || !strchr("r-", p[0]) || !strchr("w-", p[1]) || !strchr("x-", p[2]) ||
	    !strchr("sp", p[3]))
		return false;
	map->prot = (p[0] == 'r' ? PROT_READ : 0U) | (p[1] == 'w' ? PROT_WRITE : 0U) |
		    (p[2] == 'x' ? PROT_EXEC : 0U);
	map->shared = p[3] == 's';
	*at = p + 4;
	return true;
}

static bool take_header(const char **at, struct thump_map *map)
{
	uint64_t major, minor;

	if (!thump_text_u64(at, 16, &map->start) || !thump_text_char(at, '-') ||
	    !thump_text_u64(at, 16, &map->end) || !thump_text_char(at, ' ') ||
	    !take_perms(at, map) || !thump_text_char(at, ' ') ||
	    !thump_text_u64(at, 16, &map->offset) || !thump_text_char(at, ' ') ||
	    !thump_text_u64(at, 16, &major) || !thump_text_char(at, ':') ||
	    !thump_text_u64(at, 16, &minor) || !thump_text_char(at, ' ') ||
	    !thump_text_u64(at, 10, &map->ino))
		return false;
	map->dev_major = (uint32_t)major;
	map->dev_minor = (uint32_t)minor;
	thump_text_blanks(at);
	return map->start < map->end && major <= UINT32_MAX && minor <= UINT32_MAX;
}

/* In place. The kernel writes a newline in a path as \012 and leaves everything else, backslashes
 * included, as it is (mangle_path with "\n"). */
static void unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		bool newline = strncmp(from, "\\012", 4) == 0;

		*to = newline ? '\n' : *from;
		from += newline ? 4 : 1;
	}
	*to = '\0';
}

/* map->path, in the line, and map->deleted from the rest of a line. */
static void take_path(char *text, struct thump_map *map)
{
	size_t len;

	unescape(text);
	len = strlen(text);
	if (map->ino != 0 && len > SUFFIX_LEN &&
	    strcmp(text + len - SUFFIX_LEN, DELETED_SUFFIX) == 0) {
		text[len - SUFFIX_LEN] = '\0';
		map->deleted = true;
	}
	map->path = text;
}

static int keep_map(struct thump_maps *maps, struct thump_map *map, struct thump_err *err)
{
	struct thump_map *list =
		thump_arena_grow(maps->arena, maps->list, maps->count, sizeof(*list));
	const struct thump_map *previous = maps->count ? &list[maps->count - 1] : NULL;

	if (list && previous && strcmp(previous->path, map->path) == 0)
		map->path = previous->path; /* most mappings come in groups */
	else
		map->path = thump_arena_strdup(maps->arena, map->path);
	if (!list || !map->path)
		return thump_fail(err, "out of memory while reading maps");
	maps->list = list;
	maps->list[maps->count++] = *map;
	return 0;
}

static int add_map(struct thump_maps *maps, char *line, struct thump_err *err)
{
	struct thump_map map = { 0 };
	const char *at = line;

	if (!take_header(&at, &map))
		return thump_fail(err, "malformed line in maps: %.200s", line);
	if (map.start < maps->last_end)
		return thump_fail(err, "maps out of order: %.200s", line);
	take_path(line + (at - line), &map);
	maps->last_end = map.end;
	maps->left_out = maps->wanted && !maps->wanted(maps->wanted_ctx, &map);
	return maps->left_out ? 0 : keep_map(maps, &map, err);
}

/* The value of attribute `name` ("Swap:") when this line is it. */
static const char *attribute(const char *line, size_t len, const char *name)
{
	size_t name_len = strlen(name);

	if (len < name_len || memcmp(line, name, name_len) != 0)
		return NULL;
	for (line += name_len; *line == ' '; line++)
		;
	return line;
}

static int add_attribute(struct thump_maps *maps, const char *line, size_t len,
			 struct thump_err *err)
{
	struct thump_map *map = maps->count ? &maps->list[maps->count - 1] : NULL;
	const char *value;
	uint64_t number;

	if (maps->left_out)
		return 0;
	if (!map)
		return thump_fail(err, "smaps begins with an attribute: %.*s",
				  (int)thump_min_u64(len, 200), line);
	if ((value = attribute(line, len, "VmFlags:"))) {
		map->traits =
			thump_vmflags_parse(value, (size_t)(line + len - value), map->unknown_flag);
		map->have_flags = true;
	} else if ((value = attribute(line, len, "ProtectionKey:"))) {
		if (thump_text_u64(&value, 10, &number) && number <= UINT32_MAX)
			map->pkey = (uint32_t)number;
	} else if ((value = attribute(line, len, "Swap:"))) {
		if (thump_text_u64(&value, 10, &number))
			map->swap_kib = number;
	}
	return 0;
}

/* Attribute lines of smaps begin with a capital letter, header lines with a hex digit in lower
 * case. The byte after an attribute line is the newline that ends every number in it. */
int thump_maps_line(struct thump_maps *maps, const char *line, size_t len, struct thump_err *err)
{
	auto_free char *copy = NULL;

	if (len && line[0] >= 'A' && line[0] <= 'Z')
		return add_attribute(maps, line, len, err);
	copy = strndup(line, len);
	if (!copy)
		return thump_fail(err, "out of memory while reading maps");
	if (strlen(copy) != len)
		return thump_fail(err, "maps holds a NUL byte");
	return add_map(maps, copy, err);
}

int thump_maps_parse(struct thump_maps *maps, const char *text, struct thump_err *err)
{
	const char *line;
	size_t len;

	while (thump_text_line(&text, &line, &len)) {
		if (thump_maps_line(maps, line, len, err) < 0)
			return -1;
	}
	return 0;
}

/* Hands all complete lines in buf to the parser and moves the rest to the front. */
static int take_lines(struct thump_maps *maps, char *buf, size_t *used, struct thump_err *err)
{
	char *line = buf, *end = buf + *used;
	char *newline;

	while ((newline = memchr(line, '\n', (size_t)(end - line)))) {
		if (thump_maps_line(maps, line, (size_t)(newline - line), err) < 0)
			return -1;
		line = newline + 1;
	}
	*used = (size_t)(end - line);
	memmove(buf, line, *used);
	return 0;
}

int thump_maps_read(struct thump_maps *maps, int fd, struct thump_err *err)
{
	size_t room = READ_CHUNK_BYTES, used = 0;
	auto_free char *buf = malloc(room);

	for (;;) {
		ssize_t got;

		if (used == room) {
			char *bigger = room < LINE_LIMIT_BYTES ? realloc(buf, room * 2) : NULL;

			if (!bigger)
				return thump_fail(err, "a line of maps is too long");
			buf = bigger;
			room *= 2;
		}
		if (!buf)
			return thump_fail(err, "out of memory while reading maps");
		got = read(fd, buf + used, room - used);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return thump_fail_errno(err, "read maps");
		if (got == 0)
			return used ? thump_fail(err, "maps ends inside a line") : 0;
		used += (size_t)got;
		if (take_lines(maps, buf, &used, err) < 0)
			return -1;
	}
}

static bool same_map(const struct thump_map *x, const struct thump_map *y)
{
	return x->start == y->start && x->end == y->end && x->prot == y->prot &&
	       x->shared == y->shared && x->offset == y->offset && x->ino == y->ino &&
	       x->dev_major == y->dev_major && x->dev_minor == y->dev_minor &&
	       x->deleted == y->deleted && strcmp(x->path, y->path) == 0;
}

struct comparison {
	const struct thump_maps *maps;
	size_t next;
	bool same;
};

/* Wants none of them: a second list would only cost memory. */
static bool compare_next(void *ctx, const struct thump_map *map)
{
	struct comparison *comparison = ctx;
	const struct thump_maps *maps = comparison->maps;

	comparison->same = comparison->same && comparison->next < maps->count &&
			   same_map(&maps->list[comparison->next], map);
	comparison->next++;
	return false;
}

int thump_maps_compare(const struct thump_maps *maps, int fd, bool *same_ret, struct thump_err *err)
{
	struct comparison comparison = { .maps = maps, .same = true };
	struct thump_maps none = { .wanted = compare_next, .wanted_ctx = &comparison };

	if (thump_maps_read(&none, fd, err) < 0)
		return -1;
	*same_ret = comparison.same && comparison.next == maps->count;
	return 0;
}

static void take_attributes(struct thump_map *map, const struct thump_map *from)
{
	map->have_flags = from->have_flags;
	memcpy(map->unknown_flag, from->unknown_flag, sizeof(map->unknown_flag));
	map->traits = from->traits;
	map->pkey = from->pkey;
	map->swap_kib = from->swap_kib;
}

void thump_maps_take_attributes(struct thump_maps *maps, const struct thump_maps *from)
{
	size_t k = 0;

	for (size_t i = 0; i < maps->count; i++) {
		struct thump_map *map = &maps->list[i];

		while (k < from->count && from->list[k].start < map->start)
			k++;
		if (k < from->count && same_map(&from->list[k], map))
			take_attributes(map, &from->list[k]);
	}
}
