/* SPDX-License-Identifier: Apache-2.0 */
/* Deleted open files travel in the image, also where nobody may open them any more; two
 * descriptions of one deleted inode stay one inode. */
#include "workload.h"

#include <sys/stat.h>

#define SIZE 300000

int main(void)
{
	static char bytes[SIZE];
	struct stat st;
	int fd, second, unnamed, unreadable;

	workload_init();
	fd = make_file("to-be-deleted", SIZE, 1, O_RDWR | O_CLOEXEC);
	second = (int)MUST(open("to-be-deleted", O_RDWR | O_APPEND | O_CLOEXEC));
	MUST(unlink("to-be-deleted"));
	MUST(lseek(fd, 99, SEEK_SET));
	unnamed = (int)MUST(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	must_write(unnamed, "never had a name", 16);
	unreadable = make_file("unreadable", SIZE, 2, O_RDWR | O_CLOEXEC);
	MUST(lseek(unreadable, 4711, SEEK_SET));
	MUST(fchmod(unreadable, 0200));
	MUST(unlink("unreadable"));

	workload_checkpoint();

	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 99);
	CHECK_EQ(pread(fd, bytes, SIZE, 0), SIZE);
	CHECK(has_pattern(bytes, SIZE, 1));
	MUST(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(st.st_size, SIZE);
	must_write(second, "appended", 8);
	CHECK_EQ(pread(fd, bytes, 8, SIZE), 8);
	CHECK(memcmp(bytes, "appended", 8) == 0);
	MUST(ftruncate(fd, SIZE));
	CHECK_EQ(pread(unnamed, bytes, 100, 0), 16);
	CHECK(memcmp(bytes, "never had a name", 16) == 0);
	CHECK_EQ(lseek(unnamed, 0, SEEK_CUR), 16);
	CHECK_EQ(lseek(unreadable, 0, SEEK_CUR), 4711);
	CHECK_EQ(pread(unreadable, bytes, SIZE, 0), SIZE);
	CHECK(has_pattern(bytes, SIZE, 2));
	MUST(fstat(unreadable, &st));
	CHECK_EQ(st.st_mode & 07777, 0200);
	workload_pass();
}
