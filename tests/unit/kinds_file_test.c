/* SPDX-License-Identifier: Apache-2.0 */
/* Regular files, what is carried, locks, memfds. */
#include "kinds_fixture.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "kinds/backing.h"
#include "kinds/locks.h"

/* A folder outside of the temporary ones, so that files in it are not carried; one below. */
static char folder[4096];
static char temporary[] = "/tmp/thump-kinds-XXXXXX";

static char *path_of(const char *name)
{
	static char path[4200];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static char *temporary_path(const char *name)
{
	static char path[4200];

	(void)snprintf(path, sizeof(path), "%s/%s", temporary, name);
	return path;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static bool holds(int fd, const char *text)
{
	char buf[256] = "";
	ssize_t got = pread(fd, buf, sizeof(buf), 0);

	return got == (ssize_t)strlen(text) && memcmp(buf, text, strlen(text)) == 0;
}

static bool link_is(int fd, const char *wanted)
{
	char path[32], link[256];
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, link, sizeof(link) - 1);
	if (len < 0)
		return false;
	link[len] = '\0';
	return strcmp(link, wanted) == 0;
}

/* ---- offset, flags, sharing ------------------------------------------------------------- */

static void file_make(void)
{
	write_file(path_of("data"), "0123456789");
	CHECK(open(path_of("data"), O_RDONLY) == 3 && lseek(3, 4, SEEK_SET) == 4);
	CHECK(open(path_of("data"), O_RDONLY) == 4 && lseek(4, 4, SEEK_SET) == 4);
	CHECK(dup(3) == 5);
	CHECK(open(path_of("data"), O_RDWR | O_SYNC | O_CLOEXEC) == 6);
	CHECK(open(path_of("data"), O_PATH) == 7);
}

static void file_verify(void)
{
	char c;

	CHECK(read(3, &c, 1) == 1 && c == '4' && read(5, &c, 1) == 1 && c == '5');
	CHECK(read(4, &c, 1) == 1 && c == '4');
	CHECK(status_flags(6) == (O_RDWR | O_SYNC) && lseek(6, 0, SEEK_CUR) == 0);
	CHECK((fcntl(7, F_GETFL) & O_PATH) && link_is(7, path_of("data")));
	CHECK(link_is(3, path_of("data")) && gone_after_exec(8));
}

static void files_keep_offset_flags_and_sharing(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = file_make, .verify = file_verify });
}

static void change_file(void)
{
	write_file(path_of("data"), "0123x56789");
}

static void remove_file(void)
{
	CHECK(unlink(path_of("data")) == 0);
}

static void grow_file(void)
{
	write_file(path_of("data"), "0123456789ab");
}

static void remove_turned(void)
{
	(void)unlink(path_of("turned"));
}

static void turned_make(void)
{
	write_file(path_of("turned"), "0123456789");
	CHECK(open(path_of("turned"), O_WRONLY) == 3);
}

static void turn_into_fifo(void)
{
	remove_turned();
	CHECK(mkfifo(path_of("turned"), 0600) == 0);
}

static void changed_and_missing_files_are_named(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = file_make,
				    .between = change_file,
				    .misfit = "same size, but another content" });
	assert_trip(&(struct trip){
		.make = file_make, .between = grow_file, .misfit = "it had 10 bytes, now 12" });
	assert_trip(&(struct trip){
		.make = file_make, .between = remove_file, .misfit = "data: does not exist" });
	assert_trip(&(struct trip){ .prepare = remove_turned,
				    .make = turned_make,
				    .between = turn_into_fifo,
				    .misfit = "turned: is no regular file any more" });
}

/* ---- logs ------------------------------------------------------------------------------- */

static void log_make(void)
{
	write_file(path_of("log"), "line\n");
	CHECK(open(path_of("log"), O_WRONLY | O_APPEND) == 3);
}

static void grow_log(void)
{
	write_file(path_of("log"), "line\nmore\n");
}

static void rotate_log(void)
{
	write_file(path_of("log"), "new\n");
}

static void remove_log(void)
{
	CHECK(unlink(path_of("log")) == 0);
}

static void append_verify(void)
{
	CHECK(write(3, "end\n", 4) == 4 && status_flags(3) == (O_WRONLY | O_APPEND));
}

static void logs_may_grow_rotate_or_be_gone(void **state)
{
	(void)state;
	assert_trip(
		&(struct trip){ .make = log_make, .between = grow_log, .verify = append_verify });
	assert_trip(&(struct trip){ .make = log_make,
				    .between = rotate_log,
				    .verify = append_verify,
				    .warning = "a log that was rotated" });
	assert_trip(&(struct trip){ .make = log_make,
				    .between = remove_log,
				    .verify = append_verify,
				    .warning = "made anew, empty" });
}

/* ---- carried ---------------------------------------------------------------------------- */

static void deleted_make(void)
{
	write_file(path_of("gone"), "deleted content");
	CHECK(open(path_of("gone"), O_RDWR) == 3 && open(path_of("gone"), O_RDONLY) == 4);
	CHECK(ftruncate(3, 100000) == 0 && pwrite(3, "tail", 4, 99996) == 4);
	CHECK(unlink(path_of("gone")) == 0 && lseek(4, 99996, SEEK_SET) == 99996);
}

static void deleted_verify(void)
{
	char buf[16];
	struct stat st;

	CHECK(fstat(3, &st) == 0 && st.st_size == 100000 && st.st_nlink == 0);
	CHECK((st.st_mode & 0777) == 0666);
	CHECK(pread(3, buf, 15, 0) == 15 && memcmp(buf, "deleted content", 15) == 0);
	CHECK(read(4, buf, 8) == 4 && memcmp(buf, "tail", 4) == 0);
	CHECK(write(4, "x", 1) < 0 && errno == EBADF);
	/* one inode */
	CHECK(pwrite(3, "D", 1, 0) == 1 && pread(4, buf, 1, 0) == 1 && buf[0] == 'D');
}

static void deleted_files_come_back_without_a_name(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = deleted_make, .verify = deleted_verify });
	assert_trip(&(struct trip){ .make = deleted_make,
				    .carry_limit_bytes = 50000,
				    .refused = "deleted, and with 100000 bytes too big" });
}

static void temporary_make(void)
{
	write_file(temporary_path("scratch"), "scratch");
	CHECK(open(temporary_path("scratch"), O_RDWR) == 3 && lseek(3, 3, SEEK_SET) == 3);
}

static void remove_temporary(void)
{
	CHECK(unlink(temporary_path("scratch")) == 0);
}

/* Another inode, as the content of the first is what the trip carries. */
static void change_temporary(void)
{
	remove_temporary();
	write_file(temporary_path("scratch"), "somebody else's");
}

static void named_verify(void)
{
	struct stat st;

	CHECK(holds(3, "scratch") && link_is(3, temporary_path("scratch")));
	CHECK(lseek(3, 0, SEEK_CUR) == 3 && fstat(3, &st) == 0 && (st.st_mode & 0777) == 0666);
}

static void unlinked_verify(void)
{
	struct stat st;

	CHECK(holds(3, "scratch") && fstat(3, &st) == 0 && st.st_nlink == 0);
}

static void temporary_files_come_back_at_their_path(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = temporary_make, .verify = named_verify });
	assert_trip(&(struct trip){
		.make = temporary_make, .between = remove_temporary, .verify = named_verify });
	assert_trip(&(struct trip){ .make = temporary_make,
				    .between = change_temporary,
				    .verify = unlinked_verify,
				    .warning = "a copy without a name" });
}

static ino_t left_ino;

static void look_at_temporary(void)
{
	struct stat st;

	CHECK(stat(temporary_path("scratch"), &st) == 0);
	left_ino = st.st_ino;
}

/* Whoever opened the old one before has it for itself, so it must be another one. */
static void replaced_verify(void)
{
	struct stat st;

	named_verify();
	CHECK(fstat(3, &st) == 0 && st.st_ino != left_ino && st.st_nlink == 1);
}

/* The process that runs the trip stands for another restored one. */
static void use_temporary(void)
{
	CHECK(open(temporary_path("scratch"), O_RDWR) >= 0);
}

static void private_verify(void)
{
	int fd = open(temporary_path("scratch"), O_RDONLY);

	unlinked_verify();
	CHECK(pwrite(3, "SCRATCH", 7, 0) == 7);
	CHECK(fd >= 0 && holds(fd, "scratch"));
}

static void temporary_files_are_not_shared_by_restores(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.make = temporary_make, .between = look_at_temporary, .verify = replaced_verify });
	assert_trip(&(struct trip){ .make = temporary_make,
				    .between = use_temporary,
				    .verify = private_verify,
				    .warning = "another process uses it" });
	assert_trip(&(struct trip){ .make = temporary_make,
				    .outlives = true,
				    .verify = private_verify,
				    .warning = "another process uses it" });
}

static void read_temporary_make(void)
{
	write_file(temporary_path("scratch"), "scratch");
	CHECK(open(temporary_path("scratch"), O_RDONLY) == 3 && lseek(3, 3, SEEK_SET) == 3);
}

static void same_file_verify(void)
{
	struct stat st;

	named_verify();
	CHECK(fstat(3, &st) == 0 && st.st_ino == left_ino);
}

static void temporary_files_that_are_only_read_stay(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = read_temporary_make,
				    .between = look_at_temporary,
				    .verify = same_file_verify });
}

/* ---- another file at the path ----------------------------------------------------------- */

static char over_path[4200];

static void prepare_mounts(void)
{
	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	(void)snprintf(over_path, sizeof(over_path), "%s", path_of("over"));
}

static void covered_make(void)
{
	write_file(path_of("covered"), "covered");
	write_file(over_path, "over");
	CHECK(open(path_of("covered"), O_RDWR) == 3);
	CHECK(mount(over_path, path_of("covered"), NULL, MS_BIND, NULL) == 0);
}

static void covered_verify(void)
{
	struct stat st;

	CHECK(holds(3, "covered") && fstat(3, &st) == 0 && st.st_nlink == 0);
}

static void a_file_that_its_path_does_not_lead_to_is_carried(void **state)
{
	(void)state;
	if (getuid() != 0)
		skip();
	assert_trip_as(&(struct trip){ .prepare = prepare_mounts,
				       .make = covered_make,
				       .verify = covered_verify },
		       false);
	assert_trip_as(&(struct trip){ .prepare = prepare_mounts,
				       .make = covered_make,
				       .carry_limit_bytes = 1,
				       .refused = "another file is at its path by now" },
		       false);
}

/* ---- leases ----------------------------------------------------------------------------- */

static void leases_are_found_by_their_inode(void **state)
{
	static const char locks[] = "1: POSIX  ADVISORY  WRITE 11 fe:00:71 0 EOF\n"
				    "2: LEASE  ACTIVE    WRITE 12 fe:00:72 0 EOF\n"
				    "3: DELEG  BREAKING  READ 13 00:1f:73 0 EOF\n";

	(void)state;
	assert_false(thump_locks_show_lease(locks, 71));
	assert_true(thump_locks_show_lease(locks, 72));
	assert_true(thump_locks_show_lease(locks, 73));
	assert_false(thump_locks_show_lease(locks, 7));
	assert_true(thump_locks_show_lease("pos:\t0\nlock:\t1: LEASE  ACTIVE    WRITE 12 fe:00:72 "
					   "0 EOF\n",
					   72));
	assert_false(thump_locks_show_lease("", 72));
}

static int lease_fd;

/* The process that runs the trip has the lease. When somebody opens the file, it is killed. */
static void lease_prepare(void)
{
	(void)unlink(path_of("leased")); /* only of one's own files */
	write_file(path_of("leased"), "leased");
	lease_fd = open(path_of("leased"), O_RDWR | O_CLOEXEC);
	CHECK(lease_fd >= 0 && fcntl(lease_fd, F_SETLEASE, F_WRLCK) == 0);
}

static void leased_path_make(void)
{
	CHECK(open(path_of("leased"), O_PATH) == 3);
}

static void leased_path_between(void)
{
	CHECK(fcntl(lease_fd, F_GETLEASE) == F_WRLCK && close(lease_fd) == 0);
}

static void leased_path_verify(void)
{
	CHECK((fcntl(3, F_GETFL) & O_PATH) && link_is(3, path_of("leased")));
}

static void a_lease_of_another_process_is_not_broken(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = lease_prepare,
				    .make = leased_path_make,
				    .between = leased_path_between,
				    .verify = leased_path_verify });
}

/* ---- stdio ------------------------------------------------------------------------------ */

static void stdout_file_make(void)
{
	int fd = open(path_of("out"), O_WRONLY | O_CREAT | O_TRUNC, 0666);

	CHECK(fd == 3 && dup2(fd, 1) == 1 && close(fd) == 0 && write(1, "x", 1) == 1);
}

static void stdout_file_between(void)
{
	int fd;

	CHECK(unlink(path_of("out")) == 0);
	fd = open(path_of("mine"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	CHECK(fd >= 0 && dup2(fd, 1) == 1 && close(fd) == 0);
}

static void stdout_file_verify(void)
{
	CHECK(link_is(1, path_of("mine")));
	CHECK(unlink(path_of("mine")) == 0);
}

static void remove_stdout_file(void)
{
	CHECK(unlink(path_of("out")) == 0);
}

static void new_stdout_file_verify(void)
{
	CHECK(link_is(1, path_of("out")) && lseek(1, 0, SEEK_CUR) == 0);
}

/* What --keep-stdio can keep, whatever the test itself has. */
static void keepable_stdio_make(void)
{
	int fd = open("/dev/null", O_RDWR);

	CHECK(fd == 3 && dup2(fd, 0) == 0 && dup2(fd, 2) == 2 && close(fd) == 0);
	stdout_file_make();
}

static void temporary_stdout_make(void)
{
	int fd;

	keepable_stdio_make();
	CHECK(unlink(path_of("out")) == 0);
	fd = open(temporary_path("scratch"), O_WRONLY | O_CREAT | O_TRUNC, 0666);
	CHECK(fd == 3 && dup2(fd, 1) == 1 && close(fd) == 0 && write(1, "program\n", 8) == 8);
}

/* `thump run` still has it, and says that the program was checkpointed. */
static void temporary_stdout_grows(void)
{
	int fd = open(temporary_path("scratch"), O_WRONLY | O_APPEND);

	CHECK(fd >= 0 && write(fd, "launcher\n", 9) == 9);
}

static void temporary_stdout_verify(void)
{
	int fd = open(temporary_path("scratch"), O_RDONLY);

	CHECK(link_is(1, temporary_path("scratch")) && write(1, "again\n", 6) == 6);
	CHECK(fd >= 0 && holds(fd, "program\nlauncher\nagain\n"));
}

/* --keep-stdio */
static void kept_output_goes_on_at_its_end(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = temporary_stdout_make,
				    .between = temporary_stdout_grows,
				    .keep_stdio = true,
				    .verify = temporary_stdout_verify });
	assert_trip(&(struct trip){ .make = keepable_stdio_make,
				    .between = remove_stdout_file,
				    .keep_stdio = true,
				    .verify = new_stdout_file_verify,
				    .warning = "made anew, empty" });
}

static void file_of_the_launcher_becomes_the_callers(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = stdout_file_make,
				    .between = stdout_file_between,
				    .verify = stdout_file_verify });
}

/* ---- locks ------------------------------------------------------------------------------ */

static void lock_make(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_start = 2, .l_len = 5 };

	write_file(path_of("flock"), "l");
	write_file(path_of("posix"), "0123456789");
	write_file(path_of("ofd"), "0123456789");
	CHECK(open(path_of("flock"), O_RDONLY) == 3 && flock(3, LOCK_EX) == 0);
	CHECK(open(path_of("posix"), O_RDWR) == 4 && fcntl(4, F_SETLK, &range) == 0);
	range.l_type = F_RDLCK;
	CHECK(open(path_of("ofd"), O_RDWR) == 5 && fcntl(5, F_OFD_SETLK, &range) == 0);
}

static void lock_verify(void)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path_of("flock"), O_RDONLY);

	CHECK(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	fd = open(path_of("posix"), O_RDWR);
	CHECK(fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_WRLCK &&
	      range.l_start == 2 && range.l_len == 5 && range.l_pid == getpid());
	fd = open(path_of("ofd"), O_RDWR);
	range = (struct flock){ .l_type = F_WRLCK };
	CHECK(fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_RDLCK && range.l_pid == -1);
}

static void locks_are_taken_again(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = lock_make, .verify = lock_verify });
	assert_trip(&(struct trip){ .make = lock_make,
				    .outlives = true,
				    .misfit = "flock: another process holds a lock" });
}

/* ---- memfd ------------------------------------------------------------------------------ */

static void memfd_make(void)
{
	CHECK(memfd_create("plain", MFD_CLOEXEC) == 3);
	CHECK(memfd_create("sealed", MFD_ALLOW_SEALING) == 4);
	CHECK(ftruncate(3, 3 << 20) == 0 && pwrite(3, "middle", 6, (2 << 20) - 3) == 6);
	CHECK(write(4, "sealed", 6) == 6);
	CHECK(fcntl(4, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW) == 0);
	CHECK(open("/proc/self/fd/4", O_RDONLY) == 5);
}

static void memfd_verify(void)
{
	struct stat st;
	char buf[8];

	CHECK(link_is(3, "/memfd:plain (deleted)") && link_is(5, "/memfd:sealed (deleted)"));
	CHECK(fcntl(3, F_GET_SEALS) == F_SEAL_SEAL);
	CHECK(fstat(3, &st) == 0 && st.st_size == 3 << 20 && st.st_blocks < 3 << 11);
	CHECK(pread(3, buf, 6, (2 << 20) - 3) == 6 && memcmp(buf, "middle", 6) == 0);
	CHECK(pread(3, buf, 6, 0) == 6 && memcmp(buf, "\0\0\0\0\0\0", 6) == 0);
	CHECK(fcntl(4, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW));
	CHECK(lseek(4, 0, SEEK_CUR) == 6 && holds(5, "sealed"));
	CHECK(pwrite(4, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(status_flags(5) == O_RDONLY && lseek(5, 0, SEEK_CUR) == 0);
}

static void memfds_keep_content_and_seals(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = memfd_make, .verify = memfd_verify });
}

static int make_folders(void **state)
{
	const char *home = getenv("HOME");
	const char *places[] = { "/var/cache", ".", home && *home ? home : "." };
	char place[4000];

	(void)state;
	(void)umask(0);
	folder[0] = '\0';
	for (size_t i = 0; i < 3 && !folder[0]; i++) {
		if (!realpath(places[i], place) || thump_path_is_temporary(place, getenv("TMPDIR")))
			continue;
		(void)snprintf(folder, sizeof(folder), "%s/thump-kinds-XXXXXX", place);
		if (!mkdtemp(folder))
			folder[0] = '\0';
	}
	if (!folder[0])
		print_error("no place outside of the temporary folders may be written to\n");
	return folder[0] && mkdtemp(temporary) && chmod(folder, 0777) == 0 &&
			       chmod(temporary, 0777) == 0
		       ? 0
		       : -1;
}

static int remove_folders(void **state)
{
	const char *names[] = { "data",	 "log", "out",	   "mine", "flock",
				"posix", "ofd", "covered", "over", "leased" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unlink(path_of(names[i]));
	remove_turned();
	(void)unlink(temporary_path("scratch"));
	return rmdir(folder) == 0 && rmdir(temporary) == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_keep_offset_flags_and_sharing),
		cmocka_unit_test(changed_and_missing_files_are_named),
		cmocka_unit_test(logs_may_grow_rotate_or_be_gone),
		cmocka_unit_test(deleted_files_come_back_without_a_name),
		cmocka_unit_test(temporary_files_come_back_at_their_path),
		cmocka_unit_test(temporary_files_are_not_shared_by_restores),
		cmocka_unit_test(temporary_files_that_are_only_read_stay),
		cmocka_unit_test(a_file_that_its_path_does_not_lead_to_is_carried),
		cmocka_unit_test(leases_are_found_by_their_inode),
		cmocka_unit_test(a_lease_of_another_process_is_not_broken),
		cmocka_unit_test(file_of_the_launcher_becomes_the_callers),
		cmocka_unit_test(kept_output_goes_on_at_its_end),
		cmocka_unit_test(locks_are_taken_again),
		cmocka_unit_test(memfds_keep_content_and_seals),
	};

	return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
