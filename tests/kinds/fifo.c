/* SPDX-License-Identifier: Apache-2.0 */
/* A named pipe whose both ends are inside of the process, with content. */
#include "workload.h"

#include <sys/stat.h>

int main(void)
{
	struct stat by_fd, by_name;
	char bytes[16];
	int both, reader;

	workload_init();
	(void)unlink("named-pipe");
	MUST(mkfifo("named-pipe", 0600));
	both = (int)MUST(open("named-pipe", O_RDWR | O_CLOEXEC));
	reader = (int)MUST(open("named-pipe", O_RDONLY | O_NONBLOCK));
	must_write(both, "in the pipe", 11);

	workload_checkpoint();

	must_read(reader, bytes, 11);
	CHECK(memcmp(bytes, "in the pipe", 11) == 0);
	MUST(fstat(reader, &by_fd));
	MUST(stat("named-pipe", &by_name));
	CHECK_EQ(by_fd.st_ino, by_name.st_ino);
	must_write(both, "more", 4);
	must_read(reader, bytes, 4);
	CHECK_EQ(read(reader, bytes, 1), -1);
	CHECK_EQ(errno, EAGAIN);
	workload_pass();
}
