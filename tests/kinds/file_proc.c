/* SPDX-License-Identifier: Apache-2.0 */
/* Files that the kernel makes up: those of the process itself are of the restored one, its memory
 * and its threads included; sysfs; a list of mounts in an epoll set. */
#include "workload.h"

#include <sys/epoll.h>
#include <sys/stat.h>

static int watch_mounts(void)
{
	struct epoll_event wanted = { .events = EPOLLPRI };
	int epoll = (int)MUST(epoll_create1(EPOLL_CLOEXEC));
	int mounts = (int)MUST(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));

	MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, mounts, &wanted));
	return mounts;
}

/* At the offset where it was: not at the beginning. */
static void check_offset(int fd)
{
	char start[16], here[16];

	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	must_read(fd, here, 1);
	MUST(lseek(fd, 0, SEEK_SET));
	must_read(fd, start, 11);
	CHECK_EQ(here[0], start[10]);
}

static void check_memory(int mem)
{
	static volatile int number;
	int seen = 0;

	number = 4711;
	CHECK_EQ(pread(mem, &seen, sizeof(seen), (off_t)(uintptr_t)&number), sizeof(seen));
	CHECK_EQ(seen, 4711);
	seen = 815;
	CHECK_EQ(pwrite(mem, &seen, sizeof(seen), (off_t)(uintptr_t)&number), sizeof(seen));
	CHECK_EQ(number, 815);
}

/* The folder is that of this very process. */
static void check_folder(int folder, const char *path)
{
	struct stat ours, theirs;

	MUST(fstat(folder, &theirs));
	MUST(stat(path, &ours));
	CHECK_EQ(theirs.st_ino, ours.st_ino);
}

int main(void)
{
	int status, copy, mem, own, thread, sys, mounts;
	char byte;

	workload_init();
	status = (int)MUST(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	MUST(lseek(status, 10, SEEK_SET));
	copy = (int)MUST(fcntl(status, F_DUPFD, 50));
	mem = (int)MUST(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	own = (int)MUST(open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	thread = (int)MUST(open("/proc/thread-self/comm", O_RDWR | O_CLOEXEC));
	sys = (int)MUST(open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC));
	mounts = watch_mounts();

	workload_checkpoint();

	check_offset(status);
	MUST(lseek(status, 7, SEEK_SET));
	CHECK_EQ(lseek(copy, 0, SEEK_CUR), 7);
	CHECK_EQ(fcntl(copy, F_GETFD), 0);
	CHECK_EQ(fcntl(status, F_GETFD), FD_CLOEXEC);
	check_memory(mem);
	check_folder(own, "/proc/self");
	must_write(thread, "renamed", 7);
	must_read(sys, &byte, 1);
	must_read(mounts, &byte, 1);
	workload_pass();
}
