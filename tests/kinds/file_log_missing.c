/* SPDX-License-Identifier: Apache-2.0 */
/* An O_APPEND log that is gone when the image is restored is made anew. */
#include "workload.h"

#include <sys/stat.h>

int main(void)
{
	struct stat by_fd, by_name;
	int fd;

	workload_init();
	fd = make_file("gone.log", 500, 1, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (workload_checkpoint() == WORKLOAD_ORIGINAL) {
		MUST(unlink("gone.log"));
		workload_pass();
	}

	must_write(fd, "verified\n", 9);
	MUST(fstat(fd, &by_fd));
	MUST(stat("gone.log", &by_name));
	CHECK_EQ(by_fd.st_ino, by_name.st_ino);
	CHECK_EQ(by_name.st_size, 9);
	workload_pass();
}
