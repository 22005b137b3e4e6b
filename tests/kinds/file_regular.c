/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files: offsets, status flags, close-on-exec, and which descriptors share an offset. */
#include "workload.h"

#include <sys/stat.h>

int main(void)
{
	char bytes[16];
	struct stat before, after;
	int reader, writer, sync, twin, other, path_only, direct;

	workload_init();
	reader = make_file("regular-data", 10000, 1, O_RDONLY);
	MUST(lseek(reader, 1234, SEEK_SET));
	twin = (int)MUST(fcntl(reader, F_DUPFD_CLOEXEC, 100));
	other = (int)MUST(open("regular-data", O_RDONLY | O_CLOEXEC | O_NOATIME));
	MUST(lseek(other, 77, SEEK_SET));
	writer = make_file("regular-out", 100, 2, O_RDWR | O_CLOEXEC);
	MUST(lseek(writer, 1000000, SEEK_SET)); /* beyond the end */
	sync = (int)MUST(open("regular-out", O_WRONLY | O_DSYNC | O_NONBLOCK));
	path_only = (int)MUST(open("regular-out", O_PATH | O_CLOEXEC));
	/* Not every file system has it (open(2)). */
	direct = open("regular-data", O_RDONLY | O_DIRECT | O_CLOEXEC);
	MUST(fstat(writer, &before));

	workload_checkpoint();

	CHECK_EQ(lseek(reader, 0, SEEK_CUR), 1234);
	CHECK_EQ(lseek(twin, 0, SEEK_CUR), 1234);
	must_read(twin, bytes, 10);
	CHECK_EQ(lseek(reader, 0, SEEK_CUR), 1244);
	CHECK_EQ(lseek(other, 0, SEEK_CUR), 77);
	CHECK_EQ(fcntl(reader, F_GETFD), 0);
	CHECK_EQ(fcntl(twin, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(other, F_GETFL) & (O_ACCMODE | O_NOATIME), O_RDONLY | O_NOATIME);
	CHECK_EQ(lseek(writer, 0, SEEK_CUR), 1000000);
	CHECK_EQ(fcntl(writer, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fcntl(sync, F_GETFL) & (O_ACCMODE | O_DSYNC | O_NONBLOCK),
		 O_WRONLY | O_DSYNC | O_NONBLOCK);
	if (direct >= 0)
		CHECK_EQ(fcntl(direct, F_GETFL) & O_DIRECT, O_DIRECT);
	CHECK_EQ(fcntl(path_only, F_GETFL) & O_PATH, O_PATH);
	MUST(fstat(writer, &after));
	CHECK(before.st_ino == after.st_ino && before.st_dev == after.st_dev);
	CHECK_EQ(after.st_size, 100);
	MUST(fstat(path_only, &after));
	CHECK(before.st_ino == after.st_ino);
	workload_pass();
}
