/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/identity.h"

#include <elf.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/fd.h"

#define BUILD_ID_MAX	  64
#define NR_PHDRS_LIMIT	  256
#define NOTES_LIMIT_BYTES ((size_t)1 << 20)

uint32_t thump_build_id_of_notes(const unsigned char *notes, size_t size_bytes,
				 unsigned char build_id[64])
{
	size_t at = 0;

	while (size_bytes - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr note;
		size_t name_at = at + sizeof(note), desc_at;

		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz > size_bytes || note.n_descsz > size_bytes)
			return 0;
		desc_at = name_at + ((note.n_namesz + 3U) & ~3U);
		at = desc_at + ((note.n_descsz + 3U) & ~3U);
		if (desc_at + note.n_descsz > size_bytes)
			return 0;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(notes + name_at, "GNU", 4) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= BUILD_ID_MAX) {
			memcpy(build_id, notes + desc_at, note.n_descsz);
			return note.n_descsz;
		}
		if (at > size_bytes)
			return 0;
	}
	return 0;
}

/* The beginning of a file: headers and build-id nearly always lie in it, so one read does. */
struct file_head {
	int fd;
	size_t size_bytes;
	unsigned char bytes[4096];
};

static bool read_at(const struct file_head *head, void *buf, size_t size_bytes, uint64_t offset)
{
	if (offset > head->size_bytes || size_bytes > head->size_bytes - offset)
		return thump_pread_full(head->fd, buf, size_bytes, offset) == 0;
	memcpy(buf, head->bytes + offset, size_bytes);
	return true;
}

static uint32_t build_id_of_segment(const struct file_head *head, const Elf64_Phdr *phdr,
				    unsigned char build_id[64])
{
	auto_free unsigned char *notes = NULL;

	if (phdr->p_type != PT_NOTE || phdr->p_filesz == 0 || phdr->p_filesz > NOTES_LIMIT_BYTES)
		return 0;
	notes = malloc(phdr->p_filesz);
	if (!notes || !read_at(head, notes, phdr->p_filesz, phdr->p_offset))
		return 0;
	return thump_build_id_of_notes(notes, phdr->p_filesz, build_id);
}

uint32_t thump_build_id_of_fd(int fd, unsigned char build_id[64])
{
	struct file_head head = { .fd = fd };
	ssize_t got = pread(fd, head.bytes, sizeof(head.bytes), 0);
	Elf64_Ehdr ehdr;

	head.size_bytes = got > 0 ? (size_t)got : 0;
	if (!read_at(&head, &ehdr, sizeof(ehdr), 0) || memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0 ||
	    ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_phentsize != sizeof(Elf64_Phdr) ||
	    ehdr.e_phnum > NR_PHDRS_LIMIT)
		return 0;
	for (size_t i = 0; i < ehdr.e_phnum; i++) {
		Elf64_Phdr phdr;
		uint32_t len;

		if (!read_at(&head, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)))
			return 0;
		len = build_id_of_segment(&head, &phdr, build_id);
		if (len)
			return len;
	}
	return 0;
}

void thump_identity_from_stat(const struct stat *st, struct thump_file_identity *identity_ret)
{
	*identity_ret = (struct thump_file_identity){
		.size_bytes = (uint64_t)st->st_size,
		.mode = st->st_mode,
		.mtime_ns =
			(uint64_t)st->st_mtim.tv_sec * 1000000000U + (uint64_t)st->st_mtim.tv_nsec,
		.dev = st->st_dev,
		.ino = st->st_ino,
	};
}

bool thump_identity_is_made_up(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
		return true;
	default:
		return false;
	}
}

/* xxh3 of the first and last 64 KiB of the first size_bytes of the file, or of all of it when
 * they would overlap. -1 with errno. */
static int edge_hash(int fd, uint64_t size_bytes, uint64_t *hash_ret)
{
	bool whole = size_bytes <= 2 * THUMP_IDENTITY_EDGE_BYTES;
	size_t first = whole ? size_bytes : THUMP_IDENTITY_EDGE_BYTES;
	size_t last = whole ? 0 : THUMP_IDENTITY_EDGE_BYTES;
	auto_free unsigned char *buf = malloc(first + last + 1);

	if (!buf || thump_pread_full(fd, buf, first, 0) < 0 ||
	    thump_pread_full(fd, buf + first, last, size_bytes - last) < 0)
		return -1;
	*hash_ret = XXH3_64bits(buf, first + last);
	return 0;
}

int thump_identity_read(int fd, struct thump_file_identity *identity_ret, struct thump_err *err)
{
	struct thump_file_identity identity;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "fstat");
	thump_identity_from_stat(&st, &identity);
	if (S_ISREG(st.st_mode) && !thump_identity_is_made_up(fd)) {
		identity.build_id_len = thump_build_id_of_fd(fd, identity.build_id);
		if (identity.build_id_len == 0 &&
		    edge_hash(fd, identity.size_bytes, &identity.edge_hash) < 0)
			return thump_fail_errno(err, "read the edges of the file");
	}
	*identity_ret = identity;
	return 0;
}

bool thump_identity_same(const struct thump_file_identity *a, const struct thump_file_identity *b)
{
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return false;
	if (!S_ISREG(a->mode))
		return true;
	return a->size_bytes == b->size_bytes && a->build_id_len == b->build_id_len &&
	       memcmp(a->build_id, b->build_id, a->build_id_len) == 0 &&
	       (a->build_id_len != 0 || a->edge_hash == b->edge_hash);
}

int thump_identity_grown(int fd, const struct thump_file_identity *recorded, bool *grown_ret,
			 struct thump_err *err)
{
	uint64_t hash;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "fstat");
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size < recorded->size_bytes ||
	    recorded->build_id_len != 0) {
		*grown_ret = false;
		return 0;
	}
	if (edge_hash(fd, recorded->size_bytes, &hash) < 0)
		return thump_fail_errno(err, "read the edges of the file");
	*grown_ret = hash == recorded->edge_hash;
	return 0;
}
