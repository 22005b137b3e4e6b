/* SPDX-License-Identifier: Apache-2.0 */
/* memfds: content, holes, size, offset, seals, name, and shared and private views of them. */
#include "workload.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define PAGE ((size_t)4096)
#define SIZE (300 * PAGE)

static int make_memfd(const char *name, unsigned flags)
{
	int fd = (int)MUST(memfd_create(name, flags));

	MUST(ftruncate(fd, SIZE));
	return fd;
}

int main(void)
{
	char *shared, *alias, *private, text[64], link[64] = "";
	struct stat st;
	int fd, sealed, unmapped;

	workload_init();
	fd = make_memfd("thump test", MFD_CLOEXEC);
	shared = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	alias = must_mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, fd, 100 * PAGE);
	private = must_mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill_pattern(shared, PAGE, 1);
	fill_pattern(shared + 101 * PAGE, PAGE, 2);
	fill_pattern(private + 200 * PAGE, PAGE, 3);
	MUST(lseek(fd, 12345, SEEK_SET));

	sealed = make_memfd("sealed", MFD_ALLOW_SEALING);
	must_write(sealed, "sealed content", 14);
	MUST(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
	unmapped = make_memfd("", MFD_CLOEXEC);
	must_write(unmapped, "never mapped", 12);

	workload_checkpoint();

	CHECK(has_pattern(shared, PAGE, 1) && has_pattern(alias + PAGE, PAGE, 2));
	CHECK(is_zero(shared + PAGE, 100 * PAGE));
	CHECK(has_pattern(private + 200 * PAGE, PAGE, 3) && is_zero(shared + 200 * PAGE, PAGE));
	CHECK(has_pattern(private, PAGE, 1));
	fill_pattern(shared + 100 * PAGE, PAGE, 5);
	CHECK(has_pattern(alias, PAGE, 5));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 12345);
	MUST(fstat(fd, &st));
	CHECK_EQ(st.st_size, SIZE);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	MUST(readlink(text, link, sizeof(link) - 1));
	CHECK(strcmp(link, "/memfd:thump test (deleted)") == 0);

	CHECK_EQ(fcntl(sealed, F_GETFD), 0);
	CHECK_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	CHECK_EQ(pread(sealed, text, 14, 0), 14);
	CHECK(memcmp(text, "sealed content", 14) == 0);
	CHECK_EQ(pread(unmapped, text, 12, 0), 12);
	CHECK(memcmp(text, "never mapped", 12) == 0);
	workload_pass();
}
