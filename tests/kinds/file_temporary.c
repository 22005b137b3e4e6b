/* SPDX-License-Identifier: Apache-2.0 */
/* A file under the temporary directory travels in the image: the original removes it before the
 * image is restored. */
#include "workload.h"

#include <sys/mman.h>

#define SIZE 20000

int main(void)
{
	char name[] = "/tmp/thump-test-XXXXXX", bytes[SIZE], *mapped;
	int fd;

	workload_init();
	fd = (int)MUST(mkstemp(name));
	fill_pattern(bytes, SIZE, 1);
	must_write(fd, bytes, SIZE);
	MUST(lseek(fd, 4711, SEEK_SET));
	mapped = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	workload_tell("temporary", "%s", name);

	workload_checkpoint();

	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 4711);
	CHECK_EQ(pread(fd, bytes, SIZE, 0), SIZE);
	CHECK(has_pattern(bytes, SIZE, 1));
	CHECK(has_pattern(mapped, SIZE, 1));
	mapped[0] ^= 1;
	CHECK_EQ(pread(fd, bytes, 1, 0), 1);
	CHECK_EQ(bytes[0], mapped[0]);
	mapped[0] ^= 1;
	MUST(unlink(name));
	workload_pass();
}
