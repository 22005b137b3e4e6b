/* SPDX-License-Identifier: Apache-2.0 */
/* Threads blocked in system calls without a timeout go on waiting: they never see EINTR, and each
 * gets its own event afterwards. */
#include "workload.h"

#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <netinet/in.h>

struct waiter {
	const char *name;
	void (*make)(struct waiter *waiter); /* NULL: a pipe */
	long (*wait)(struct waiter *waiter);
	void (*wake)(struct waiter *waiter);
	long want;
	int fds[2];
	uint32_t futex;
	pthread_t thread;
	pid_t tid;
	long result;
	int error;
};

static pthread_barrier_t started;

static void make_pipe(struct waiter *waiter)
{
	MUST(pipe2(waiter->fds, O_CLOEXEC));
}

static void wake_pipe(struct waiter *waiter)
{
	must_write(waiter->fds[1], "x", 1);
}

static long wait_futex(struct waiter *waiter)
{
	return syscall(SYS_futex, &waiter->futex, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void wake_futex(struct waiter *waiter)
{
	waiter->futex = 1;
	MUST(syscall(SYS_futex, &waiter->futex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
}

static long wait_futex_bitset(struct waiter *waiter)
{
	return syscall(SYS_futex, &waiter->futex, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, 1);
}

/* The main thread has it: its word says so, as the C library's mutexes do (futex(2)). */
static long wait_lock_pi(struct waiter *waiter)
{
	__atomic_store_n(&waiter->futex, (uint32_t)getpid(), __ATOMIC_SEQ_CST);
	return syscall(SYS_futex, &waiter->futex, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
}

static void wake_lock_pi(struct waiter *waiter)
{
	MUST(syscall(SYS_futex, &waiter->futex, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
}

static long wait_futex_v(struct waiter *waiter)
{
	struct futex_waitv futexes[] = {
		{ .uaddr = (uintptr_t)&waiter->want, .val = 0, .flags = FUTEX_32 },
		{ .uaddr = (uintptr_t)&waiter->futex, .val = 0, .flags = FUTEX_32 },
	};

	return syscall(SYS_futex_waitv, futexes, NR_OF(futexes), 0, NULL, 0);
}

static void wake_futex_v(struct waiter *waiter)
{
	waiter->want = 1; /* the second one */
	waiter->futex = 1;
	MUST(syscall(SYS_futex, &waiter->futex, FUTEX_WAKE, 1, NULL, NULL, 0));
}

static long wait_read(struct waiter *waiter)
{
	char byte;

	return read(waiter->fds[0], &byte, 1);
}

static long wait_readv(struct waiter *waiter)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return readv(waiter->fds[0], &iov, 1);
}

static long wait_poll(struct waiter *waiter)
{
	struct pollfd pollfd = { .fd = waiter->fds[0], .events = POLLIN };

	return poll(&pollfd, 1, -1);
}

static long wait_ppoll(struct waiter *waiter)
{
	struct pollfd pollfd = { .fd = waiter->fds[0], .events = POLLIN };
	sigset_t mask;

	sigfillset(&mask);
	return ppoll(&pollfd, 1, NULL, &mask);
}

static long wait_select(struct waiter *waiter)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(waiter->fds[0], &set);
	return select(waiter->fds[0] + 1, &set, NULL, NULL, NULL);
}

static int epoll_on(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll_fd = (int)MUST(epoll_create1(EPOLL_CLOEXEC));

	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
	return epoll_fd;
}

static long wait_epoll(struct waiter *waiter)
{
	struct epoll_event event;

	return epoll_wait(epoll_on(waiter->fds[0]), &event, 1, -1);
}

static long wait_epoll_p(struct waiter *waiter)
{
	struct epoll_event event;
	sigset_t mask;

	sigfillset(&mask);
	return epoll_pwait(epoll_on(waiter->fds[0]), &event, 1, -1, &mask);
}

static void make_eventfd(struct waiter *waiter)
{
	waiter->fds[0] = waiter->fds[1] = (int)MUST(eventfd(0, EFD_CLOEXEC));
}

static long wait_eventfd(struct waiter *waiter)
{
	uint64_t count = 0;

	return read(waiter->fds[0], &count, sizeof(count)) == sizeof(count) ? (long)count : -1;
}

static void wake_eventfd(struct waiter *waiter)
{
	uint64_t count = 42;

	must_write(waiter->fds[1], &count, sizeof(count));
}

static void make_sockets(struct waiter *waiter)
{
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, waiter->fds));
}

static long wait_recv(struct waiter *waiter)
{
	char byte;

	return recv(waiter->fds[0], &byte, 1, 0);
}

static long wait_write_full(struct waiter *waiter)
{
	static const char zeros[4096];

	/* The pipe takes 16 of these; the last one has to wait for a reader. */
	for (int i = 0; i < 16; i++)
		if (write(waiter->fds[1], zeros, sizeof(zeros)) != sizeof(zeros))
			return -1;
	return write(waiter->fds[1], zeros, sizeof(zeros));
}

static void wake_write_full(struct waiter *waiter)
{
	char buf[4096];

	must_read(waiter->fds[0], buf, sizeof(buf));
}

static void make_listener(struct waiter *waiter)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	waiter->fds[0] = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	waiter->fds[1] = -1;
	MUST(bind(waiter->fds[0], (struct sockaddr *)&addr, sizeof(addr)));
	MUST(listen(waiter->fds[0], 5));
}

/* Two open file descriptions of one file. */
static void make_file_twice(struct waiter *waiter)
{
	waiter->fds[0] = make_file(waiter->name, 100, 1, O_RDWR | O_CLOEXEC);
	waiter->fds[1] = (int)MUST(open(waiter->name, O_RDWR | O_CLOEXEC));
}

static void make_flock(struct waiter *waiter)
{
	make_file_twice(waiter);
	MUST(flock(waiter->fds[1], LOCK_EX));
}

static long wait_flock(struct waiter *waiter)
{
	return flock(waiter->fds[0], LOCK_EX);
}

static void wake_flock(struct waiter *waiter)
{
	MUST(flock(waiter->fds[1], LOCK_UN));
}

static int description_lock(int fd, int cmd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = 7, .l_len = 5 };

	return fcntl(fd, cmd, &lock);
}

static void make_range(struct waiter *waiter)
{
	make_file_twice(waiter);
	MUST(description_lock(waiter->fds[1], F_OFD_SETLK, F_RDLCK));
}

static long wait_range(struct waiter *waiter)
{
	return description_lock(waiter->fds[0], F_OFD_SETLKW, F_WRLCK);
}

/* A record lock of the process waits for one of a description, too. */
static long wait_record(struct waiter *waiter)
{
	return description_lock(waiter->fds[0], F_SETLKW, F_WRLCK);
}

static void wake_range(struct waiter *waiter)
{
	MUST(description_lock(waiter->fds[1], F_OFD_SETLK, F_UNLCK));
}

static long wait_accept(struct waiter *waiter)
{
	return accept(waiter->fds[0], NULL, NULL) >= 0 ? 0 : -1;
}

static void wake_accept(struct waiter *waiter)
{
	struct sockaddr_in addr;
	socklen_t size = sizeof(addr);
	int fd = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	MUST(getsockname(waiter->fds[0], (struct sockaddr *)&addr, &size));
	MUST(connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	MUST(close(fd));
}

static long wait_sigwait(struct waiter *waiter)
{
	sigset_t set;

	(void)waiter;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	return sigwaitinfo(&set, NULL) == SIGRTMIN + 3 ? 0 : -1;
}

static void wake_sigwait(struct waiter *waiter)
{
	MUST_PTHREAD(pthread_kill(waiter->thread, SIGRTMIN + 3));
}

static void nothing(int signo)
{
	(void)signo;
}

static long wait_pause(struct waiter *waiter)
{
	sigset_t set;

	(void)waiter;
	/* Ends with EINTR, but only by the handler of its own signal. */
	sigfillset(&set);
	sigdelset(&set, SIGRTMIN + 4);
	return sigsuspend(&set) == -1 && errno == EINTR ? 0 : -1;
}

static void wake_pause(struct waiter *waiter)
{
	MUST_PTHREAD(pthread_kill(waiter->thread, SIGRTMIN + 4));
}

static struct waiter waiters[] = {
	{ .name = "futex", .wait = wait_futex, .wake = wake_futex },
	{ .name = "futex bitset", .wait = wait_futex_bitset, .wake = wake_futex },
	{ .name = "futex with priority inheritance", .wait = wait_lock_pi, .wake = wake_lock_pi },
	{ .name = "futex_waitv", .wait = wait_futex_v, .wake = wake_futex_v },
	{ .name = "read pipe", .wait = wait_read, .wake = wake_pipe, .want = 1 },
	{ .name = "readv pipe", .wait = wait_readv, .wake = wake_pipe, .want = 1 },
	{ .name = "write full pipe",
	  .wait = wait_write_full,
	  .wake = wake_write_full,
	  .want = 4096 },
	{ .name = "poll", .wait = wait_poll, .wake = wake_pipe, .want = 1 },
	{ .name = "ppoll", .wait = wait_ppoll, .wake = wake_pipe, .want = 1 },
	{ .name = "select", .wait = wait_select, .wake = wake_pipe, .want = 1 },
	{ .name = "epoll_wait", .wait = wait_epoll, .wake = wake_pipe, .want = 1 },
	{ .name = "epoll_pwait", .wait = wait_epoll_p, .wake = wake_pipe, .want = 1 },
	{ .name = "read eventfd",
	  .make = make_eventfd,
	  .wait = wait_eventfd,
	  .wake = wake_eventfd,
	  .want = 42 },
	{ .name = "recv", .make = make_sockets, .wait = wait_recv, .wake = wake_pipe, .want = 1 },
	{ .name = "flock", .make = make_flock, .wait = wait_flock, .wake = wake_flock },
	{ .name = "F_OFD_SETLKW", .make = make_range, .wait = wait_range, .wake = wake_range },
	{ .name = "F_SETLKW", .make = make_range, .wait = wait_record, .wake = wake_range },
	{ .name = "accept", .make = make_listener, .wait = wait_accept, .wake = wake_accept },
	{ .name = "sigwaitinfo", .wait = wait_sigwait, .wake = wake_sigwait },
	{ .name = "sigsuspend", .wait = wait_pause, .wake = wake_pause },
};

static void *thread_main(void *arg)
{
	struct waiter *waiter = arg;

	waiter->tid = sys_gettid();
	pthread_barrier_wait(&started);
	waiter->result = waiter->wait(waiter);
	waiter->error = errno;
	return NULL;
}

static void make(struct waiter *waiter)
{
	if (waiter->make)
		waiter->make(waiter);
	else
		make_pipe(waiter);
	MUST_PTHREAD(pthread_create(&waiter->thread, NULL, thread_main, waiter));
}

int main(void)
{
	sigset_t set;

	workload_init();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	sigaddset(&set, SIGRTMIN + 4);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST(signal(SIGRTMIN + 4, nothing) == SIG_ERR ? -1 : 0);
	MUST_PTHREAD(pthread_barrier_init(&started, NULL, NR_OF(waiters) + 1));
	for (size_t i = 0; i < NR_OF(waiters); i++)
		make(&waiters[i]);
	pthread_barrier_wait(&started);
	for (size_t i = 0; i < NR_OF(waiters); i++)
		wait_until_blocked(waiters[i].tid);

	workload_checkpoint();

	for (size_t i = 0; i < NR_OF(waiters); i++) {
		CHECK_EQ(pthread_tryjoin_np(waiters[i].thread, NULL), EBUSY);
		waiters[i].wake(&waiters[i]);
	}
	for (size_t i = 0; i < NR_OF(waiters); i++) {
		MUST_PTHREAD(pthread_join(waiters[i].thread, NULL));
		if (waiters[i].result != waiters[i].want)
			FAIL("%s: %ld, not %ld (%s)", waiters[i].name, waiters[i].result,
			     waiters[i].want, strerror(waiters[i].error));
	}
	workload_pass();
}
