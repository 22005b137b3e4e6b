/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: for openat, with their position, and the current one. */
#include "workload.h"

#include <sys/stat.h>
#include <sys/syscall.h>

int main(void)
{
	char before[4096], after[4096], cwd[4096];
	long size;
	int fd, path_fd, file;

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
	MUST(syscall(SYS_getdents64, fd, before, 512));

	workload_checkpoint();

	CHECK(getcwd(after, sizeof(after)) != NULL);
	CHECK(strcmp(after, cwd) == 0);
	size = MUST(syscall(SYS_getdents64, fd, before, sizeof(before)));
	MUST(lseek(fd, 0, SEEK_SET));
	MUST(syscall(SYS_getdents64, fd, after, 512));
	CHECK_EQ(syscall(SYS_getdents64, fd, after, sizeof(after)), size);
	CHECK(memcmp(before, after, (size_t)size) == 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	file = (int)MUST(openat(path_fd, "dir/entry-7", O_RDONLY));
	MUST(close(file));
	workload_pass();
}
