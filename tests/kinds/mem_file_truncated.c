/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings of a file that was cut: what is behind its end is SIGBUS, also where the program had
 * written, and is content once the file is long enough again. */
#include "workload.h"

#include <setjmp.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 4 };

static sigjmp_buf back;

static void take_fault(int signo)
{
	(void)signo;
	siglongjmp(back, 1);
}

static bool is_behind_the_end(const volatile char *at)
{
	if (sigsetjmp(back, 1))
		return true;
	(void)*at;
	return false;
}

int main(void)
{
	char *private, *shared;
	int fd;

	workload_init();
	CHECK(signal(SIGBUS, take_fault) != SIG_ERR);
	fd = make_file("truncated-data", (size_t)PAGES * PAGE, 1, O_RDWR | O_CLOEXEC);
	private = must_mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = must_mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill_pattern(private, PAGE, 2);
	fill_pattern(private + 3 * PAGE, PAGE, 3);
	MUST(ftruncate(fd, PAGE + 100));

	workload_checkpoint();

	CHECK(has_pattern(private, PAGE, 2));
	CHECK(!is_behind_the_end(private + PAGE + 200));
	CHECK(is_behind_the_end(private + 2 * PAGE));
	CHECK(is_behind_the_end(private + 3 * PAGE));
	CHECK(is_behind_the_end(shared + 2 * PAGE));
	MUST(ftruncate(fd, (off_t)PAGES * PAGE));
	CHECK(is_zero(private + 3 * PAGE, PAGE));
	shared[2 * PAGE] = 'x';
	CHECK_EQ(private[2 * PAGE], 'x');
	shared[2 * PAGE] = 0;
	MUST(ftruncate(fd, PAGE + 100));
	workload_pass();
}
