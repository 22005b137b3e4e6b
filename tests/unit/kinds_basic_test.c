/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd, epoll, pipe, devices, directories, numbers and sharing. */
#include "kinds_fixture.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

/* ---- eventfd ---------------------------------------------------------------------------- */

static void eventfd_make(void)
{
	CHECK(eventfd(7, EFD_NONBLOCK) == 3);
	CHECK(eventfd(2, EFD_SEMAPHORE | EFD_CLOEXEC) == 4);
	CHECK(eventfd(0, 0) == 5);
	CHECK(eventfd_write(5, 0xfffffffffffffffeULL) == 0);
	CHECK(dup2(3, 9) == 9);
}

static void eventfd_verify(void)
{
	eventfd_t value;

	CHECK(fcntl(3, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(share_flags(3, 9) && !share_flags(3, 4));
	CHECK(eventfd_read(9, &value) == 0 && value == 7);
	CHECK(eventfd_read(3, &value) < 0 && errno == EAGAIN);
	CHECK(eventfd_read(4, &value) == 0 && value == 1);
	CHECK(eventfd_read(4, &value) == 0 && value == 1);
	CHECK(eventfd_read(5, &value) == 0 && value == 0xfffffffffffffffeULL);
	CHECK(gone_after_exec(6) && gone_after_exec(10));
}

static void eventfds_keep_count_and_mode(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = eventfd_make, .verify = eventfd_verify });
}

/* ---- epoll ------------------------------------------------------------------------------ */

static void epoll_add(int set, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void epoll_make(void)
{
	CHECK(epoll_create1(0) == 3 && epoll_create1(EPOLL_CLOEXEC) == 4);
	CHECK(eventfd(1, 0) == 5 && eventfd(0, 0) == 6);
	CHECK(dup2(5, 8) == 8);
	epoll_add(3, 5, EPOLLIN, 0x1122334455667788ULL);
	epoll_add(3, 8, EPOLLIN | EPOLLET, 8);
	epoll_add(3, 6, EPOLLIN | EPOLLONESHOT, 6);
	epoll_add(4, 3, EPOLLIN, 3);
}

static void epoll_verify(void)
{
	struct epoll_event events[8];
	uint64_t seen = 0;
	int n = epoll_wait(3, events, 8, 0);

	CHECK(n == 2);
	for (int i = 0; i < n; i++)
		seen |= events[i].data.u64 == 8			      ? 1
			: events[i].data.u64 == 0x1122334455667788ULL ? 2
								      : 4;
	CHECK(seen == 3);
	CHECK(epoll_wait(4, events, 8, 0) == 1 && events[0].data.u64 == 3);
	CHECK(epoll_ctl(3, EPOLL_CTL_DEL, 6, NULL) == 0);
	CHECK(epoll_ctl(3, EPOLL_CTL_DEL, 9, NULL) < 0);
}

static void epolls_keep_their_sets_and_nest(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = epoll_make, .verify = epoll_verify });
}

static void epoll_stale_make(void)
{
	CHECK(epoll_create1(0) == 3 && eventfd(1, 0) == 4 && dup(4) == 5);
	epoll_add(3, 4, EPOLLIN, 4);
	CHECK(close(4) == 0);
}

static void epoll_with_a_closed_number_is_refused(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = epoll_stale_make,
				    .refused = "fd 3: epoll: its set holds descriptor 4" });
}

/* ---- pipe ------------------------------------------------------------------------------- */

static void pipe_make(void)
{
	char big[70000];
	int ends[2];

	memset(big, 'b', sizeof(big));
	CHECK(pipe2(ends, O_NONBLOCK) == 0 && ends[0] == 3 && ends[1] == 4);
	CHECK(fcntl(4, F_SETPIPE_SZ, 131072) == 131072);
	CHECK(write(4, "abc", 3) == 3 && write(4, big, sizeof(big)) == sizeof(big));
	CHECK(pipe2(ends, O_DIRECT) == 0 && ends[0] == 5 && ends[1] == 6);
	CHECK(write(6, "one", 3) == 3 && write(6, "second", 6) == 6);
	/* another description of the first read end, and one that is both ends */
	CHECK(open("/proc/self/fd/3", O_RDONLY) == 7);
	CHECK(open("/proc/self/fd/3", O_RDWR) == 8);
}

static void pipe_verify(void)
{
	static char buf[100000];
	int queued;

	CHECK(fcntl(3, F_GETPIPE_SZ) == 131072);
	CHECK(fcntl(3, F_GETFL) == O_NONBLOCK && fcntl(4, F_GETFL) == (O_WRONLY | O_NONBLOCK));
	CHECK(!share_flags(3, 7) && status_flags(7) == O_RDONLY);
	CHECK(ioctl(7, FIONREAD, &queued) == 0 && queued == 70003);
	CHECK(read(3, buf, sizeof(buf)) == 70003 && memcmp(buf, "abcbbb", 6) == 0);
	CHECK(read(3, buf, 1) < 0 && errno == EAGAIN);
	CHECK(write(8, "x", 1) == 1 && read(7, buf, 10) == 1 && buf[0] == 'x');
	CHECK(fcntl(6, F_GETFL) == (O_WRONLY | O_DIRECT));
	CHECK(read(5, buf, sizeof(buf)) == 3 && memcmp(buf, "one", 3) == 0);
	CHECK(read(5, buf, sizeof(buf)) == 6 && memcmp(buf, "second", 6) == 0);
	CHECK(close(6) == 0 && read(5, buf, 1) == 0);
}

static void pipes_keep_content_capacity_and_packets(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = pipe_make, .verify = pipe_verify });
}

static void half_pipe_make(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0 && write(4, "rest", 4) == 4 && close(4) == 0);
	CHECK(pipe(ends) == 0 && ends[0] == 4 && ends[1] == 5 && close(4) == 0);
}

static void half_pipe_verify(void)
{
	char buf[8];

	CHECK(read(3, buf, 8) == 4 && read(3, buf, 8) == 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK(write(5, "x", 1) < 0 && errno == EPIPE);
	CHECK(gone_after_exec(4));
}

static void pipes_whose_other_end_is_closed_stay_so(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = half_pipe_make, .verify = half_pipe_verify });
}

static int outside[2];

static void outside_make(void)
{
	CHECK(pipe(outside) == 0);
	if (tied_fork() == 0)
		for (;;)
			(void)pause();
	CHECK(close(outside[1]) == 0);
}

static void pipe_with_an_end_outside_is_refused(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = outside_make,
				    .refused = "read end: the other end is outside" });
}

/* ---- devices and directories ------------------------------------------------------------ */

static void device_make(void)
{
	CHECK(open("/dev/null", O_WRONLY) == 3 && open("/dev/zero", O_RDONLY) == 4);
	CHECK(open("/dev/urandom", O_RDONLY | O_NONBLOCK) == 5 && open("/dev/full", O_RDWR) == 6);
	CHECK(open("/", O_RDONLY | O_DIRECTORY) == 7 && open("/usr", O_PATH) == 8);
}

static void device_verify(void)
{
	const char *links[] = {
		"/dev/null", "/dev/zero", "/dev/urandom", "/dev/full", "/", "/usr"
	};
	char path[32], link[32];

	for (int i = 0; i < 6; i++) {
		ssize_t len;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", i + 3);
		len = readlink(path, link, sizeof(link) - 1);
		CHECK(len > 0);
		link[len] = '\0';
		CHECK(strcmp(link, links[i]) == 0);
	}
	CHECK((fcntl(5, F_GETFL) & O_NONBLOCK) && (fcntl(8, F_GETFL) & O_PATH));
}

static void devices_and_directories_are_opened_again(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = device_make, .verify = device_verify });
}

static void unsupported_make(void)
{
	CHECK(open("/dev/ptmx", O_PATH) == 3);
}

static void other_devices_are_refused_by_name(void **state)
{
	(void)state;
	/* /dev/ptmx or, where that is a link, /dev/pts/ptmx */
	assert_trip(&(struct trip){ .make = unsupported_make, .refused = "/ptmx (5:2)" });
}

/* ---- stdio ------------------------------------------------------------------------------ */

static int launcher_pipe[2];

static void stdio_make(void)
{
	CHECK(pipe(launcher_pipe) == 0);
	if (tied_fork() == 0)
		for (;;)
			(void)pause();
	CHECK(dup2(4, 1) == 1 && dup2(4, 7) == 7 && close(3) == 0 && close(4) == 0);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static dev_t stdout_dev;
static ino_t stdout_ino;

static void stdio_between(void)
{
	struct stat st;
	int ends[2];

	CHECK(pipe(ends) == 0 && dup2(ends[1], 1) == 1 && fstat(1, &st) == 0);
	stdout_dev = st.st_dev;
	stdout_ino = st.st_ino;
}

static void stdio_verify(void)
{
	struct stat st;

	CHECK(fstat(1, &st) == 0 && st.st_dev == stdout_dev && st.st_ino == stdout_ino);
	CHECK(same_file(1, 7) && fcntl(1, F_GETFD) == 0);
	CHECK(fstat(0, &st) == 0 && st.st_rdev == makedev(1, 3));
	CHECK(gone_after_exec(3));
}

static void pipe_of_the_launcher_becomes_the_callers(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.make = stdio_make, .between = stdio_between, .verify = stdio_verify });
	assert_trip(&(struct trip){ .make = stdio_make,
				    .keep_stdio = true,
				    .misfit = "fd 1: pipe to whoever started the program" });
}

/* ---- terminals -------------------------------------------------------------------------- */

static int master = -1;
static char slave_path[64];

static void tty_prepare(void)
{
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	CHECK(ptsname_r(master, slave_path, sizeof(slave_path)) == 0);
}

static void tty_make(void)
{
	int fd = open(slave_path, O_RDWR | O_NOCTTY);

	CHECK(fd == 3 && dup2(3, 0) == 0 && dup2(3, 1) == 1 && dup2(3, 255) == 255);
	CHECK(open(slave_path, O_RDWR | O_NOCTTY) == 4 && dup2(3, 2) == 2 && close(3) == 0);
}

static void tty_between(void)
{
	int ends[2];

	CHECK(pipe(ends) == 0 && dup2(ends[0], 0) == 0 && dup2(ends[1], 1) == 1);
}

static void tty_verify(void)
{
	CHECK(!isatty(0) && !isatty(1));
	CHECK(status_flags(0) == O_RDONLY && status_flags(1) == O_WRONLY);
	CHECK(same_file(0, 1) && same_file(0, 4) && same_file(0, 255));
}

static void tty_kept_verify(void)
{
	CHECK(isatty(0) && isatty(1) && isatty(4) && isatty(255));
	CHECK(share_flags(0, 1) && share_flags(1, 255) && !share_flags(0, 4));
	CHECK(write(1, "x", 1) == 1);
}

/* As stdin, too, and before the master. */
static void inside_make(void)
{
	struct winsize window = { .ws_row = 5 };
	int made, terminal;

	made = posix_openpt(O_RDWR | O_NOCTTY);
	CHECK(made == 3 && unlockpt(3) == 0 && ioctl(3, TIOCSWINSZ, &window) == 0);
	terminal = ioctl(3, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	CHECK(terminal == 4 && dup2(3, 10) == 10 && close(3) == 0);
	CHECK(dup2(4, 0) == 0);
}

static void inside_verify(void)
{
	struct winsize window;
	char byte;

	CHECK(share_flags(0, 4) && ioctl(4, TIOCGWINSZ, &window) == 0 && window.ws_row == 5);
	CHECK(write(0, "x", 1) == 1 && read(10, &byte, 1) == 1 && byte == 'x');
}

static void pseudoterminals_inside_are_made_together(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = inside_make, .verify = inside_verify });
}

static void owner_make(void)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	CHECK(fcntl(3, F_SETOWN, getppid()) == 0);
}

static void owner_verify(void)
{
	CHECK(fcntl(3, F_GETOWN) == 0);
}

static void owners_outside_are_not_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.make = owner_make,
		.verify = owner_verify,
		.warning = "gets a signal when it is ready (F_SETOWN), of the restored" });
}

static void terminal_becomes_the_callers_unless_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = tty_prepare,
				    .make = tty_make,
				    .between = tty_between,
				    .verify = tty_verify });
	assert_trip(&(struct trip){ .prepare = tty_prepare,
				    .make = tty_make,
				    .keep_stdio = true,
				    .verify = tty_kept_verify });
}

/* ---- numbers ---------------------------------------------------------------------------- */

static void numbers_make(void)
{
	CHECK(eventfd(100, 0) == 3);
	for (int i = 4; i < 200; i += 2)
		CHECK(dup2(3, i) == i);
	CHECK(eventfd(1, 0) == 5 && dup2(5, 901) == 901);
	CHECK(close(3) == 0);
}

static void numbers_verify(void)
{
	for (int i = 4; i < 200; i += 2)
		CHECK(fcntl(i, F_GETFD) == 0);
	CHECK(share_flags(4, 198) && share_flags(5, 901) && !share_flags(4, 5));
	CHECK(gone_after_exec(3));
}

static void numbers_and_sharing_are_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = numbers_make, .verify = numbers_verify });
}

static void lower_limit(void)
{
	struct rlimit limit = { 500, 500 };

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void number_above_the_hard_limit_does_not_fit(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = numbers_make,
				    .between = lower_limit,
				    .misfit = "fd 901: above the hard limit" });
}

/* Where nothing is free above: numbers between those of the target. */
static void exact_limit(void)
{
	struct rlimit limit = { 902, 902 };

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void numbers_up_to_the_hard_limit_fit(void **state)
{
	(void)state;
	assert_trip(&(struct trip){
		.make = numbers_make, .between = exact_limit, .verify = numbers_verify });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eventfds_keep_count_and_mode),
		cmocka_unit_test(epolls_keep_their_sets_and_nest),
		cmocka_unit_test(epoll_with_a_closed_number_is_refused),
		cmocka_unit_test(pipes_keep_content_capacity_and_packets),
		cmocka_unit_test(pipes_whose_other_end_is_closed_stay_so),
		cmocka_unit_test(pipe_with_an_end_outside_is_refused),
		cmocka_unit_test(devices_and_directories_are_opened_again),
		cmocka_unit_test(other_devices_are_refused_by_name),
		cmocka_unit_test(pipe_of_the_launcher_becomes_the_callers),
		cmocka_unit_test(terminal_becomes_the_callers_unless_kept),
		cmocka_unit_test(pseudoterminals_inside_are_made_together),
		cmocka_unit_test(owners_outside_are_not_kept),
		cmocka_unit_test(numbers_and_sharing_are_kept),
		cmocka_unit_test(number_above_the_hard_limit_does_not_fit),
		cmocka_unit_test(numbers_up_to_the_hard_limit_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
