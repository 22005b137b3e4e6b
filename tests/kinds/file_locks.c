/* SPDX-License-Identifier: Apache-2.0 */
/* Locks on files: flock(2), POSIX record locks (also of a file that is mapped, as SQLite's log is)
 * and locks of an open file description are held again: another description finds them taken. */
#include "workload.h"

#include <sys/file.h>
#include <sys/mman.h>

static int open_description_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len
	};

	return fcntl(fd, cmd, &lock);
}

/* Whether a lock of another owner would be refused. */
static bool is_locked(const char *name, short type, off_t start, off_t len)
{
	int fd = (int)MUST(open(name, O_RDWR | O_CLOEXEC));
	bool locked = open_description_lock(fd, F_OFD_SETLK, type, start, len) != 0;

	/* Closing any descriptor of the file would drop our POSIX locks: keep it. */
	return locked;
}

int main(void)
{
	int whole, ranges, description, mapped, other;

	workload_init();
	whole = make_file("locked-whole", 100, 1, O_RDWR | O_CLOEXEC);
	MUST(flock(whole, LOCK_EX));
	ranges = make_file("locked-ranges", 100, 1, O_RDWR | O_CLOEXEC);
	MUST(open_description_lock(ranges, F_SETLK, F_WRLCK, 10, 20));
	MUST(open_description_lock(ranges, F_SETLK, F_RDLCK, 50, 0));
	description = make_file("locked-description", 100, 1, O_RDWR | O_CLOEXEC);
	MUST(open_description_lock(description, F_OFD_SETLK, F_WRLCK, 0, 7));
	mapped = make_file("locked-mapped", 4096, 1, O_RDWR | O_CLOEXEC);
	(void)must_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
	MUST(open_description_lock(mapped, F_SETLK, F_RDLCK, 128, 1));
	MUST(open_description_lock(mapped, F_SETLK, F_WRLCK, 120, 1));

	workload_checkpoint();

	other = (int)MUST(open("locked-whole", O_RDWR | O_CLOEXEC));
	CHECK_EQ(flock(other, LOCK_EX | LOCK_NB), -1);
	CHECK_EQ(errno, EWOULDBLOCK);
	CHECK(is_locked("locked-ranges", F_RDLCK, 10, 1));
	CHECK(is_locked("locked-ranges", F_WRLCK, 5000, 1));
	CHECK(!is_locked("locked-ranges", F_RDLCK, 50, 1));
	CHECK(!is_locked("locked-ranges", F_WRLCK, 0, 10));
	CHECK(is_locked("locked-mapped", F_WRLCK, 128, 1));
	CHECK(!is_locked("locked-mapped", F_RDLCK, 128, 1));
	CHECK(is_locked("locked-mapped", F_RDLCK, 120, 1));
	CHECK(is_locked("locked-description", F_RDLCK, 6, 1));
	CHECK(!is_locked("locked-description", F_WRLCK, 7, 1));
	MUST(flock(whole, LOCK_UN));
	MUST(flock(other, LOCK_EX | LOCK_NB));
	workload_pass();
}
