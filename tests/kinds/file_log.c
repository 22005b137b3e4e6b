/* SPDX-License-Identifier: Apache-2.0 */
/* An O_APPEND log: it has grown since (the original went on writing), and everything is still
 * appended. */
#include "workload.h"

#include <sys/stat.h>

int main(void)
{
	struct stat before, after;
	int fd;

	workload_init();
	fd = make_file("server.log", 500, 1, O_WRONLY | O_APPEND | O_CLOEXEC);
	must_write(fd, "started\n", 8);

	workload_checkpoint();

	CHECK(fcntl(fd, F_GETFL) & O_APPEND);
	MUST(fstat(fd, &before));
	must_write(fd, "verified\n", 9);
	MUST(stat("server.log", &after));
	CHECK_EQ(after.st_size, before.st_size + 9);
	CHECK_EQ(after.st_ino, before.st_ino);
	workload_pass();
}
