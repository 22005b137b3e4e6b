/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/libjvm.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "cli/command.h"

/* The launcher, without links. */
static const char *find_java(struct thump_arena *arena, const char *java)
{
	const char *path = thump_find_command(arena, java);
	char real[PATH_MAX];

	return path && realpath(path, real) ? thump_arena_strdup(arena, real) : NULL;
}

void thump_libjvm_open(struct thump_arena *arena, const char *java, struct thump_libjvm *libjvm_ret)
{
	const char *launcher = find_java(arena, java);
	const char *slash = launcher ? strrchr(launcher, '/') : NULL;
	struct thump_libjvm libjvm = {
		.path = slash ? thump_arena_printf(arena, "%.*s/../lib/server/libjvm.so",
						   (int)(slash - launcher), launcher)
			      : NULL,
	};
	auto_close int fd = libjvm.path ? open(libjvm.path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;
	void *content = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0)
		content = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (content != MAP_FAILED) {
		libjvm.content = content;
		libjvm.size_bytes = (size_t)st.st_size;
	}
	*libjvm_ret = libjvm;
}

void thump_libjvm_close(struct thump_libjvm *libjvm)
{
	if (libjvm->content)
		(void)munmap(libjvm->content, libjvm->size_bytes);
	libjvm->content = NULL;
}

/* A flag's name is a string of its own. */
bool thump_libjvm_knows(const struct thump_libjvm *libjvm, const char *flag)
{
	char whole[64];
	int len = snprintf(whole, sizeof(whole), "%c%s", 0, flag);

	return libjvm->content &&
	       memmem(libjvm->content, libjvm->size_bytes, whole, (size_t)len + 1) != NULL;
}
