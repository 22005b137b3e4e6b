/* SPDX-License-Identifier: Apache-2.0 */
/* timerfd, signalfd, inotify, pidfd, FIFO. */
#include "kinds_fixture.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>

#define HOUR 3600

/* ---- timerfd ---------------------------------------------------------------------------- */

static void set_timer(int fd, int flags, time_t seconds, long ns, time_t interval)
{
	struct itimerspec spec = { .it_value = { seconds, ns }, .it_interval = { interval, 0 } };

	CHECK(timerfd_settime(fd, flags, &spec, NULL) == 0);
}

static void wait_readable(int fd)
{
	struct pollfd ask = { .fd = fd, .events = POLLIN };

	CHECK(poll(&ask, 1, 10000) == 1);
}

static void timerfd_make(void)
{
	struct itimerspec spec;
	struct timespec now;

	CHECK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK) == 3);
	set_timer(3, 0, HOUR, 0, 7);
	CHECK(timerfd_create(CLOCK_REALTIME, 0) == 4);
	CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
	set_timer(4, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, now.tv_sec + 2 * HOUR, 0, 0);
	CHECK(timerfd_create(CLOCK_BOOTTIME, 0) == 5);
	CHECK(timerfd_create(CLOCK_MONOTONIC, 0) == 6);
	set_timer(6, 0, 0, 1, HOUR);
	wait_readable(6);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	CHECK(timerfd_create(CLOCK_MONOTONIC, 0) == 7);
	set_timer(7, TFD_TIMER_ABSTIME, now.tv_sec + HOUR, 0, 0);
	/* gone off, and started again by looking at it */
	CHECK(timerfd_create(CLOCK_MONOTONIC, 0) == 8);
	set_timer(8, 0, 0, 1, HOUR);
	wait_readable(8);
	CHECK(timerfd_gettime(8, &spec) == 0 && spec.it_value.tv_sec > 0);
}

static bool about(const struct timespec *time, time_t seconds)
{
	return time->tv_sec <= seconds && time->tv_sec >= seconds - 60;
}

static void timerfd_verify(void)
{
	struct itimerspec spec;
	uint64_t ticks;

	CHECK(timerfd_gettime(3, &spec) == 0 && about(&spec.it_value, HOUR));
	CHECK(spec.it_interval.tv_sec == 7);
	CHECK(read(3, &ticks, 8) < 0 && errno == EAGAIN);
	CHECK(timerfd_gettime(4, &spec) == 0 && about(&spec.it_value, 2 * HOUR));
	CHECK(timerfd_gettime(5, &spec) == 0 && !spec.it_value.tv_sec && !spec.it_value.tv_nsec);
	wait_readable(6);
	CHECK(read(6, &ticks, 8) == 8 && ticks == 1);
	CHECK(timerfd_gettime(6, &spec) == 0 && about(&spec.it_value, HOUR));
	CHECK(spec.it_interval.tv_sec == HOUR);
	CHECK(timerfd_gettime(7, &spec) == 0 && about(&spec.it_value, HOUR));
	CHECK(timerfd_gettime(8, &spec) == 0 && about(&spec.it_value, HOUR));
	wait_readable(8);
	CHECK(read(8, &ticks, 8) == 8 && ticks == 1);
}

static void timerfds_keep_what_remains(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = timerfd_make, .verify = timerfd_verify });
}

/* ---- signalfd --------------------------------------------------------------------------- */

static void signalfd_make(void)
{
	sigset_t mask;

	CHECK(sigemptyset(&mask) == 0 && sigaddset(&mask, SIGUSR1) == 0);
	CHECK(sigaddset(&mask, 60) == 0);
	CHECK(signalfd(-1, &mask, SFD_NONBLOCK) == 3);
}

static void signalfd_verify(void)
{
	struct signalfd_siginfo info;
	sigset_t mask;

	CHECK(sigfillset(&mask) == 0 && sigprocmask(SIG_BLOCK, &mask, NULL) == 0);
	CHECK(read(3, &info, sizeof(info)) < 0 && errno == EAGAIN);
	CHECK(raise(SIGUSR2) == 0 && raise(60) == 0 && raise(SIGUSR1) == 0);
	CHECK(read(3, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1);
	CHECK(read(3, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == 60);
	CHECK(read(3, &info, sizeof(info)) < 0 && errno == EAGAIN);
}

static void signalfds_keep_their_mask(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = signalfd_make, .verify = signalfd_verify });
}

/* ---- inotify, pidfd, others --------------------------------------------------------------- */

static void inotify_make(void)
{
	CHECK(inotify_init1(IN_NONBLOCK) == 3);
}

static void inotify_verify(void)
{
	char buf[256];

	CHECK(inotify_add_watch(3, "/", IN_OPEN) == 1);
	CHECK(close(open("/", O_RDONLY)) == 0 && read(3, buf, sizeof(buf)) > 0);
}

static void inotify_without_watches_is_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = inotify_make, .verify = inotify_verify });
}

static char watched[] = "/tmp/thump-watched-XXXXXX";

static void make_watched(void)
{
	CHECK(mkdir(watched, 0777) == 0 || errno == EEXIST);
	CHECK(chmod(watched, 0777) == 0 || errno == EPERM);
}

static void watching_make(void)
{
	inotify_make();
	CHECK(inotify_add_watch(3, watched, IN_ATTRIB) == 1);
	CHECK(inotify_add_watch(3, "/tmp", IN_MOVED_FROM) == 2);
}

static void remove_watched(void)
{
	CHECK(rmdir(watched) == 0);
}

/* It ends as if its folder were deleted now; the other one stays. */
static void gone_verify(void)
{
	struct inotify_event event;

	CHECK(read(3, &event, sizeof(event)) == sizeof(event));
	CHECK(event.wd == 1 && event.mask == IN_IGNORED);
	CHECK(read(3, &event, sizeof(event)) < 0 && errno == EAGAIN);
	CHECK(inotify_rm_watch(3, 2) == 0);
}

static void watch_of_a_folder_that_is_gone_ends(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = make_watched,
				    .make = watching_make,
				    .between = remove_watched,
				    .verify = gone_verify,
				    .warning = "will be told that its watch is gone" });
}

static void waiting_make(void)
{
	watching_make();
	CHECK(chmod(watched, 0777) == 0);
}

static void waiting_verify(void)
{
	struct inotify_event event;

	CHECK(read(3, &event, sizeof(event)) < 0 && errno == EAGAIN);
	CHECK(inotify_rm_watch(3, 1) == 0 && rmdir(watched) == 0);
}

static void events_that_wait_are_lost_with_a_warning(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .prepare = make_watched,
				    .make = waiting_make,
				    .verify = waiting_verify,
				    .warning = "16 bytes of events that wait are lost" });
}

static void pidfd_make(void)
{
	CHECK(syscall(SYS_pidfd_open, getpid(), 0) == 3);
}

static void pidfd_verify(void)
{
	CHECK(syscall(SYS_pidfd_send_signal, 3, 0, NULL, 0) == 0);
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	CHECK(syscall(SYS_pidfd_send_signal, 3, SIGUSR1, NULL, 0) == 0);
}

static void pidfd_of_parent_make(void)
{
	CHECK(syscall(SYS_pidfd_open, getppid(), 0) == 3);
}

static void pidfd_of_the_process_itself_is_kept(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = pidfd_make, .verify = pidfd_verify });
	assert_trip(&(struct trip){ .make = pidfd_of_parent_make,
				    .refused = "fd 3: pidfd of process" });
}

static void userfaultfd_make(void)
{
	const int user_mode_only = 1;
	long fd = syscall(SYS_userfaultfd, user_mode_only);

	/* Where it is not to be had: another kind that is not supported either. */
	if (fd < 0)
		fd = syscall(SYS_memfd_secret, 0);
	if (fd < 0)
		fd = socket(AF_NETLINK, SOCK_RAW, 0);
	CHECK(fd == 3);
}

static void netlink_make(void)
{
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) == 3);
}

static void what_is_not_supported_is_refused_by_name(void **state)
{
	(void)state;
	assert_trip(&(struct trip){ .make = userfaultfd_make, .refused = ": cannot be saved" });
	assert_trip(&(struct trip){ .make = netlink_make,
				    .refused = "fd 3: netlink socket (protocol 0)" });
}

/* ---- FIFO ------------------------------------------------------------------------------- */

static char fifo_path[] = "/tmp/thump-fifo-XXXXXX";

static void fifo_make(void)
{
	CHECK(open(fifo_path, O_RDONLY | O_NONBLOCK) == 3 && open(fifo_path, O_WRONLY) == 4);
	CHECK(fcntl(3, F_SETFL, 0) == 0 && write(4, "content", 7) == 7);
}

static void fifo_verify(void)
{
	char buf[16];

	CHECK(status_flags(3) == O_RDONLY && status_flags(4) == O_WRONLY);
	CHECK(read(3, buf, sizeof(buf)) == 7 && memcmp(buf, "content", 7) == 0);
	CHECK(write(4, "more", 4) == 4 && read(3, buf, sizeof(buf)) == 4);
	CHECK(close(4) == 0 && read(3, buf, 1) == 0);
}

static void fifo_remove(void)
{
	CHECK(unlink(fifo_path) == 0);
}

static void make_fifo(void)
{
	CHECK(mkfifo(fifo_path, 0666) == 0);
}

static void fifo_remake(void)
{
	make_fifo();
	fifo_make();
}

static void fifos_keep_their_content(void **state)
{
	int fd = mkstemp(fifo_path);

	(void)state;
	assert_true(fd >= 0 && close(fd) == 0 && unlink(fifo_path) == 0);
	(void)umask(0);
	make_fifo();
	assert_trip(&(struct trip){ .make = fifo_make, .verify = fifo_verify });
	assert_int_equal(unlink(fifo_path), 0);
	assert_trip(&(struct trip){
		.make = fifo_remake, .between = fifo_remove, .misfit = "No such file" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timerfds_keep_what_remains),
		cmocka_unit_test(signalfds_keep_their_mask),
		cmocka_unit_test(inotify_without_watches_is_kept),
		cmocka_unit_test(watch_of_a_folder_that_is_gone_ends),
		cmocka_unit_test(events_that_wait_are_lost_with_a_warning),
		cmocka_unit_test(pidfd_of_the_process_itself_is_kept),
		cmocka_unit_test(what_is_not_supported_is_refused_by_name),
		cmocka_unit_test(fifos_keep_their_content),
	};

	(void)!mkdtemp(watched);
	(void)rmdir(watched);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
