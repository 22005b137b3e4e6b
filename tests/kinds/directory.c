/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: for openat, with their position, and the current one. */
#include "workload.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FIRST_PART 512

/* The names of up to size_bytes of entries; returns their number. */
static int next_names(int fd, size_t size_bytes, char names[][32])
{
	char entries[8192];
	long size = MUST(syscall(SYS_getdents64, fd, entries, size_bytes));
	int count = 0;

	for (long at = 0; at < size;) {
		struct dirent64 *entry = (struct dirent64 *)(entries + at);

		snprintf(names[count++], 32, "%.31s", entry->d_name);
		at += entry->d_reclen;
	}
	return count;
}

int main(void)
{
	static char head[64][32], before[64][32], after[64][32];
	char cwd[4096], cwd_after[4096];
	int fd, path_fd, file, count;

	workload_init();
	if (mkdir("dir", 0700) != 0)
		CHECK_EQ(errno, EEXIST);
	MUST(chdir("dir"));
	for (int i = 0; i < 50; i++) {
		char name[32];

		snprintf(name, sizeof(name), "entry-%d", i);
		fd = (int)MUST(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		MUST(close(fd));
	}
	CHECK(getcwd(cwd, sizeof(cwd)) != NULL);
	fd = (int)MUST(open(".", O_RDONLY | O_DIRECTORY));
	path_fd = (int)MUST(open("..", O_PATH | O_DIRECTORY | O_CLOEXEC));
	CHECK(next_names(fd, FIRST_PART, head) > 0);

	workload_checkpoint();

	CHECK(getcwd(cwd_after, sizeof(cwd_after)) != NULL);
	CHECK(strcmp(cwd_after, cwd) == 0);
	count = next_names(fd, 8192, after);
	MUST(lseek(fd, 0, SEEK_SET));
	CHECK(next_names(fd, FIRST_PART, head) > 0);
	CHECK_EQ(next_names(fd, 8192, before), count);
	for (int i = 0; i < count; i++)
		CHECK(strcmp(before[i], after[i]) == 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	file = (int)MUST(openat(path_fd, "dir/entry-7", O_RDONLY));
	MUST(close(file));
	workload_pass();
}
