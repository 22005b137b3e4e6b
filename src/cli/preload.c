/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/preload.h"

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/command.h"

#define LIBRARY "libthump.so.0"
/* Of "#!" (execve(2)), and of scripts that are started by scripts. */
enum { SCRIPT_LINE_MAX = 256, SCRIPTS_MAX = 4 };

/* A file as it lies on disk; no part of it is trusted. */
struct file {
	struct stat st;
	const char *bytes;
	size_t size_bytes;
};

static void close_file(struct file *file)
{
	if (file->bytes)
		(void)munmap((void *)(uintptr_t)file->bytes, file->size_bytes);
	file->bytes = NULL;
}
#define auto_file __attribute__((cleanup(close_file)))

static bool open_file(const char *path, struct file *file_ret)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0)
		return false;
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return false;
	*file_ret = (struct file){ .st = st, .bytes = bytes, .size_bytes = (size_t)st.st_size };
	return true;
}

static bool has(const struct file *file, uint64_t offset, uint64_t size_bytes)
{
	return offset <= file->size_bytes && size_bytes <= file->size_bytes - offset;
}

/* ---- ELF ----------------------------------------------------------------------------------- */

static bool elf_header(const struct file *file, Elf64_Ehdr *ehdr_ret)
{
	if (!has(file, 0, sizeof(*ehdr_ret)))
		return false;
	memcpy(ehdr_ret, file->bytes, sizeof(*ehdr_ret));
	return memcmp(ehdr_ret->e_ident, ELFMAG, SELFMAG) == 0 &&
	       ehdr_ret->e_ident[EI_CLASS] == ELFCLASS64 &&
	       ehdr_ret->e_phentsize == sizeof(Elf64_Phdr) &&
	       has(file, ehdr_ret->e_phoff, (uint64_t)ehdr_ret->e_phnum * sizeof(Elf64_Phdr));
}

static Elf64_Phdr program_header(const struct file *file, const Elf64_Ehdr *ehdr, size_t i)
{
	Elf64_Phdr phdr;

	memcpy(&phdr, file->bytes + ehdr->e_phoff + i * sizeof(phdr), sizeof(phdr));
	return phdr;
}

/* Where the content of the first segment of this type lies; false: there is none. */
static bool segment(const struct file *file, const Elf64_Ehdr *ehdr, uint32_t type,
		    Elf64_Phdr *phdr_ret)
{
	for (size_t i = 0; i < ehdr->e_phnum; i++) {
		Elf64_Phdr phdr = program_header(file, ehdr, i);

		if (phdr.p_type == type && has(file, phdr.p_offset, phdr.p_filesz)) {
			*phdr_ret = phdr;
			return true;
		}
	}
	return false;
}

/* Path of the dynamic loader, or NULL: the program is static. */
static const char *interpreter(const struct file *file, const Elf64_Ehdr *ehdr)
{
	Elf64_Phdr phdr;
	const char *path;

	if (!segment(file, ehdr, PT_INTERP, &phdr) || phdr.p_filesz == 0)
		return NULL;
	path = file->bytes + phdr.p_offset;
	return path[phdr.p_filesz - 1] == '\0' ? path : NULL;
}

/* Of an address of the program, in the file; the file's size when it lies in no segment. */
static uint64_t offset_of(const struct file *file, const Elf64_Ehdr *ehdr, uint64_t addr)
{
	for (size_t i = 0; i < ehdr->e_phnum; i++) {
		Elf64_Phdr phdr = program_header(file, ehdr, i);

		if (phdr.p_type == PT_LOAD && addr >= phdr.p_vaddr &&
		    addr - phdr.p_vaddr < phdr.p_filesz)
			return phdr.p_offset + (addr - phdr.p_vaddr);
	}
	return file->size_bytes;
}

static bool is_sanitizer(const char *name, size_t room)
{
	static const char *const runtimes[] = { "libasan.", "libtsan.", "libmsan.", "libhwasan.",
						"libclang_rt." };

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(runtimes); i++)
		if (strnlen(name, room) > strlen(runtimes[i]) &&
		    strncmp(name, runtimes[i], strlen(runtimes[i])) == 0)
			return true;
	return false;
}

/* Their runtimes must be the first library of all, or end the program. */
static bool needs_sanitizer(const struct file *file, const Elf64_Ehdr *ehdr)
{
	uint64_t strings = 0;
	Elf64_Phdr dynamic;
	Elf64_Dyn entry;

	if (!segment(file, ehdr, PT_DYNAMIC, &dynamic))
		return false;
	for (int pass = 0; pass < 2; pass++) {
		for (uint64_t at = 0; at + sizeof(entry) <= dynamic.p_filesz; at += sizeof(entry)) {
			uint64_t name;

			memcpy(&entry, file->bytes + dynamic.p_offset + at, sizeof(entry));
			if (pass == 0 && entry.d_tag == DT_STRTAB)
				strings = offset_of(file, ehdr, entry.d_un.d_ptr);
			name = strings + entry.d_un.d_val;
			if (pass == 1 && entry.d_tag == DT_NEEDED && has(file, name, 1) &&
			    is_sanitizer(file->bytes + name, file->size_bytes - name))
				return true;
		}
	}
	return false;
}

/* ---- glibc --------------------------------------------------------------------------------- */

/* The highest N after any `prefix` in the file, which is followed by a number; -1: none. */
static long highest_after(const struct file *file, const char *prefix)
{
	const size_t len = strlen(prefix);
	const char *at = file->bytes, *end = file->bytes + file->size_bytes;
	long highest = -1;

	while ((at = memmem(at, (size_t)(end - at), prefix, len))) {
		long number = 0;

		for (at += len; at < end && *at >= '0' && *at <= '9' && number < 10000; at++)
			number = number * 10 + (*at - '0');
		if (number > highest)
			highest = number;
	}
	return highest;
}

/* Every glibc's loader says which one it is; that of another C library does not. */
static bool loader_takes(const char *loader_path, const struct file *library)
{
	auto_file struct file loader = { 0 };

	return open_file(loader_path, &loader) &&
	       highest_after(&loader, "stable release version 2.") >=
		       highest_after(library, "GLIBC_2.");
}

/* ---- the command --------------------------------------------------------------------------- */

/* What executes a script, or NULL when it is none; execve(2). */
static const char *script_interpreter(struct thump_arena *arena, const struct file *file)
{
	const char *line = file->bytes + 2, *end;
	size_t room = file->size_bytes < SCRIPT_LINE_MAX ? file->size_bytes : SCRIPT_LINE_MAX;

	if (room < 3 || memcmp(file->bytes, "#!", 2) != 0)
		return NULL;
	end = file->bytes + room;
	while (line < end && (*line == ' ' || *line == '\t'))
		line++;
	room = 0;
	while (line + room < end && !strchr(" \t\n", line[room]))
		room++;
	return room ? thump_arena_strndup(arena, line, room) : NULL;
}

/* Opens what the kernel will execute. NULL, or why that is not known. */
static const char *open_program(struct thump_arena *arena, const char *command,
				struct file *file_ret)
{
	const char *path = thump_find_command(arena, command);

	for (int i = 0; i < SCRIPTS_MAX; i++) {
		if (!path || !open_file(path, file_ret))
			return "it cannot be read";
		/* In secure mode (ld.so(8)) paths in LD_PRELOAD are ignored. */
		if (file_ret->st.st_mode & (S_ISUID | S_ISGID) ||
		    getxattr(path, "security.capability", NULL, 0) > 0)
			return "it gets other rights when it is executed";
		path = script_interpreter(arena, file_ret);
		if (!path)
			return NULL;
		close_file(file_ret);
	}
	return "it is a script of a script";
}

/* NULL, or why the library does not fit. */
static const char *misfit(const struct file *program, const struct file *library)
{
	Elf64_Ehdr ehdr, own;
	const char *loader;

	if (!elf_header(program, &ehdr) || !elf_header(library, &own) ||
	    ehdr.e_machine != own.e_machine)
		return "it is no program of this machine's";
	loader = interpreter(program, &ehdr);
	if (!loader)
		return "it is linked statically";
	if (!loader_takes(loader, library))
		return "its C library is another one, or too old";
	if (needs_sanitizer(program, &ehdr) || needs_sanitizer(library, &own))
		return "one of the two is built with a sanitizer, which must be loaded first";
	return NULL;
}

/* The library as installed or beside the executable `thump`, by its real path: that is what the
 * image needs. */
static const char *find_library(struct thump_arena *arena, const char *thump)
{
	static const char *const places[] = { LIBRARY, "../lib/" LIBRARY,
					      "../" THUMP_LIBDIR "/" LIBRARY };
	const char *slash = strrchr(thump, '/');
	char real[PATH_MAX];

	for (size_t i = 0; slash && i < THUMP_ARRAY_SIZE(places); i++) {
		const char *path = thump_arena_printf(arena, "%.*s/%s", (int)(slash - thump), thump,
						      places[i]);

		if (path && realpath(path, real))
			return thump_arena_strdup(arena, real);
	}
	return NULL;
}

const char *thump_preload(struct thump_arena *arena, const char *thump, const char *command,
			  const char **why_not_ret)
{
	const char *path = thump ? find_library(arena, thump) : NULL;
	const char *others = getenv("LD_PRELOAD");
	auto_file struct file program = { 0 }, library = { 0 };

	/* Neither can be in a list, ld.so(8). */
	if (!path || strpbrk(path, " :") || !open_file(path, &library)) {
		*why_not_ret = LIBRARY " is not there";
		return NULL;
	}
	*why_not_ret = open_program(arena, command, &program);
	if (!*why_not_ret)
		*why_not_ret = misfit(&program, &library);
	if (*why_not_ret)
		return NULL;
	if (!others || !*others)
		return path;
	return thump_arena_printf(arena, "%s:%s", others, path);
}
