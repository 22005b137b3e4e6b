/* SPDX-License-Identifier: Apache-2.0 */
#include "victim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct timespec an_hour = { .tv_sec = AN_HOUR_S };

static void write_byte(struct waiter_state *state)
{
	victim_must(write(state->other_fd, "x", 1) == 1, "wake a reader");
}

/* ---- pipes, epoll, poll -------------------------------------------------------------------- */

static void set_up_pipe(struct waiter_state *state)
{
	int fds[2];

	victim_must(pipe(fds) == 0, "pipe");
	state->fd = fds[0];
	state->other_fd = fds[1];
}

static void set_up_epoll(struct waiter_state *state)
{
	struct epoll_event event = { .events = EPOLLIN };

	set_up_pipe(state);
	state->id = epoll_create1(0);
	victim_must(epoll_ctl(state->id, EPOLL_CTL_ADD, state->fd, &event) == 0, "epoll_ctl");
	(void)sigfillset(&state->set);
	state->timeout = an_hour;
}

static long wait_read(struct waiter_state *state)
{
	return read(state->fd, state->buf, 1);
}

static long wait_epoll(struct waiter_state *state)
{
	struct epoll_event event;

	return syscall(SYS_epoll_wait, state->id, &event, 1, AN_HOUR_MS);
}

static long wait_epoll_for_ever(struct waiter_state *state)
{
	struct epoll_event event;

	return syscall(SYS_epoll_wait, state->id, &event, 1, -1);
}

static long wait_epoll_pwait(struct waiter_state *state)
{
	struct epoll_event event;

	return syscall(SYS_epoll_pwait, state->id, &event, 1, AN_HOUR_MS, &state->set, 8);
}

static long wait_epoll_pwait2(struct waiter_state *state)
{
	struct epoll_event event;

	return syscall(SYS_epoll_pwait2, state->id, &event, 1, &state->timeout, &state->set, 8);
}

static long wait_poll(struct waiter_state *state)
{
	struct pollfd fd = { .fd = state->fd, .events = POLLIN };

	return syscall(SYS_poll, &fd, 1, AN_HOUR_MS);
}

static long wait_ppoll(struct waiter_state *state)
{
	struct pollfd fd = { .fd = state->fd, .events = POLLIN };

	return ppoll(&fd, 1, &an_hour, &state->set);
}

static long wait_select(struct waiter_state *state)
{
	struct timespec timeout = an_hour;
	fd_set set;

	FD_ZERO(&set);
	FD_SET(state->fd, &set);
	return syscall(SYS_pselect6, state->fd + 1, &set, NULL, NULL, &timeout, NULL);
}

static void set_up_eventfd(struct waiter_state *state)
{
	state->fd = eventfd(0, 0);
	victim_must(state->fd >= 0, "eventfd");
}

static long wait_eventfd(struct waiter_state *state)
{
	return read(state->fd, state->buf, 8);
}

static void wake_eventfd(struct waiter_state *state)
{
	victim_must(eventfd_write(state->fd, 1) == 0, "eventfd_write");
}

/* ---- sockets with timeouts ----------------------------------------------------------------- */

static void set_timeouts(int fd)
{
	const struct timeval timeout = { .tv_sec = AN_HOUR_S };

	victim_must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
			    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0,
		    "SO_RCVTIMEO");
}

static void set_up_socketpair(struct waiter_state *state)
{
	int fds[2];

	victim_must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
	set_timeouts(fds[0]);
	state->fd = fds[0];
	state->other_fd = fds[1];
}

static long wait_recv(struct waiter_state *state)
{
	return recv(state->fd, state->buf, 1, 0);
}

static long wait_recvmsg(struct waiter_state *state)
{
	struct iovec iov = { .iov_base = state->buf, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(state->fd, &message, 0);
}

static void set_up_full(struct waiter_state *state)
{
	set_up_socketpair(state);
	while (send(state->fd, state->buf, sizeof(state->buf), MSG_DONTWAIT) > 0)
		;
}

static long wait_send(struct waiter_state *state)
{
	return send(state->fd, state->buf, 1, 0);
}

static void wake_send(struct waiter_state *state)
{
	char drain[4096];

	while (recv(state->other_fd, drain, sizeof(drain), MSG_DONTWAIT) > 0)
		;
}

/* Binds to a name of the kernel's choice, which goes to `address`. */
static int listener(struct sockaddr_un *address, socklen_t *size)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	*size = sizeof(*address);
	victim_must(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)) == 0 &&
			    getsockname(fd, (struct sockaddr *)address, size) == 0 &&
			    listen(fd, 0) == 0,
		    "listen");
	set_timeouts(fd);
	return fd;
}

static void set_up_accept(struct waiter_state *state)
{
	struct sockaddr_un address;
	socklen_t size;

	state->fd = listener(&address, &size);
}

static long wait_accept(struct waiter_state *state)
{
	return accept(state->fd, NULL, NULL) >= 0 ? 0 : -1;
}

static void connect_to(int fd, int listening_fd)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	victim_must(getsockname(listening_fd, (struct sockaddr *)&address, &size) == 0 &&
			    connect(fd, (struct sockaddr *)&address, size) == 0,
		    "connect");
}

static void wake_accept(struct waiter_state *state)
{
	connect_to(socket(AF_UNIX, SOCK_STREAM, 0), state->fd);
}

/* The backlog is full, so a second connect(2) waits. */
static void set_up_connect(struct waiter_state *state)
{
	set_up_accept(state);
	connect_to(socket(AF_UNIX, SOCK_STREAM, 0), state->fd);
	state->other_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	set_timeouts(state->other_fd);
}

static long wait_connect(struct waiter_state *state)
{
	struct sockaddr_un address;
	socklen_t size = sizeof(address);

	(void)getsockname(state->fd, (struct sockaddr *)&address, &size);
	return connect(state->other_fd, (struct sockaddr *)&address, size);
}

static void wake_connect(struct waiter_state *state)
{
	victim_must(accept(state->fd, NULL, NULL) >= 0, "accept");
}

/* ---- signals, System V, AIO, inotify, locks ------------------------------------------------ */

/* All threads of the victim that do not handle signals have them blocked. */
static void set_up_signal(struct waiter_state *state)
{
	(void)sigemptyset(&state->set);
	(void)sigaddset(&state->set, SIGRTMIN + 5);
}

static long wait_signal(struct waiter_state *state)
{
	return sigtimedwait(&state->set, NULL, &an_hour) == SIGRTMIN + 5 ? 0 : -1;
}

static void wake_signal(struct waiter_state *state)
{
	victim_must(tgkill(getpid(), state->tid, SIGRTMIN + 5) == 0, "tgkill");
}

static void set_up_semaphore(struct waiter_state *state)
{
	state->id = semget(IPC_PRIVATE, 1, 0600);
	victim_must(state->id >= 0, "semget");
}

static long wait_semaphore(struct waiter_state *state)
{
	struct sembuf take = { .sem_op = -1 };
	const int got = semtimedop(state->id, &take, 1, &an_hour);

	if (got == 0)
		(void)semctl(state->id, 0, IPC_RMID);
	return got;
}

static void wake_semaphore(struct waiter_state *state)
{
	struct sembuf give = { .sem_op = 1 };

	victim_must(semop(state->id, &give, 1) == 0, "semop");
}

static void set_up_queue(struct waiter_state *state)
{
	state->id = msgget(IPC_PRIVATE, 0600);
	victim_must(state->id >= 0, "msgget");
}

static long wait_queue(struct waiter_state *state)
{
	const ssize_t got = msgrcv(state->id, state->buf, 8, 0, 0);

	if (got >= 0)
		(void)msgctl(state->id, IPC_RMID, NULL);
	return got;
}

static void wake_queue(struct waiter_state *state)
{
	struct {
		long type;
		char text[1];
	} message = { .type = 1 };

	victim_must(msgsnd(state->id, &message, 1, 0) == 0, "msgsnd");
}

static void set_up_aio(struct waiter_state *state)
{
	aio_context_t context = 0;

	state->fd = eventfd(0, 0);
	victim_must(syscall(SYS_io_setup, 4, &context) == 0, "io_setup");
	memcpy(state->path, &context, sizeof(context));
}

static long wait_aio(struct waiter_state *state)
{
	struct timespec timeout = an_hour;
	struct io_event event;
	aio_context_t context;

	memcpy(&context, state->path, sizeof(context));
	return syscall(SYS_io_getevents, context, 1, 1, &event, &timeout);
}

static void wake_aio(struct waiter_state *state)
{
	struct iocb request = {
		.aio_fildes = (uint32_t)state->fd,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_buf = POLLOUT,
	};
	struct iocb *list = &request;
	aio_context_t context;

	memcpy(&context, state->path, sizeof(context));
	victim_must(syscall(SYS_io_submit, context, 1, &list) == 1, "io_submit");
}

static void set_up_inotify(struct waiter_state *state)
{
	(void)snprintf(state->path, sizeof(state->path), "/tmp/thump-victim-XXXXXX");
	victim_must(mkdtemp(state->path) != NULL, "mkdtemp");
	state->fd = inotify_init1(0);
	victim_must(inotify_add_watch(state->fd, state->path, IN_DELETE_SELF) >= 0,
		    "inotify_add_watch");
}

static long wait_inotify(struct waiter_state *state)
{
	return read(state->fd, state->buf, sizeof(state->buf)) > 0 ? 0 : -1;
}

static void wake_inotify(struct waiter_state *state)
{
	victim_must(rmdir(state->path) == 0, "rmdir");
}

static void set_up_lock(struct waiter_state *state)
{
	char path[32];

	state->other_fd = memfd_create("lock", 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", state->other_fd);
	state->fd = open(path, O_RDWR);
	victim_must(flock(state->other_fd, LOCK_EX) == 0, "flock");
}

static long wait_lock(struct waiter_state *state)
{
	return flock(state->fd, LOCK_EX);
}

static void wake_lock(struct waiter_state *state)
{
	victim_must(flock(state->other_fd, LOCK_UN) == 0, "unlock");
}

/* ---- futexes ------------------------------------------------------------------------------- */

static long wait_futex(struct waiter_state *state)
{
	return syscall(SYS_futex, &state->futex_word, FUTEX_WAIT, 0, NULL);
}

/* Its deadline is relative: a restart block of the kernel. */
static long wait_futex_timed(struct waiter_state *state)
{
	return syscall(SYS_futex, &state->futex_word, FUTEX_WAIT, 0, &an_hour);
}

static void set_up_deadline(struct waiter_state *state)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &state->timeout);
	state->timeout.tv_sec += AN_HOUR_S;
}

static long wait_futex_absolute(struct waiter_state *state)
{
	return syscall(SYS_futex, &state->futex_word, FUTEX_WAIT_BITSET, 0, &state->timeout, NULL,
		       FUTEX_BITSET_MATCH_ANY);
}

static void wake_futex(struct waiter_state *state)
{
	victim_must(syscall(SYS_futex, &state->futex_word, FUTEX_WAKE, 1) == 1, "futex wake");
}

/* ---- children, record locks, message queues, terminals, FIFOs ------------------------------- */

static void set_up_child(struct waiter_state *state)
{
	state->id = fork();
	victim_must(state->id >= 0, "fork");
	if (state->id == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
}

static long wait_child(struct waiter_state *state)
{
	return waitpid(state->id, NULL, 0) == state->id ? 0 : -1;
}

static long wait_child_id(struct waiter_state *state)
{
	siginfo_t info;

	return waitid(P_PID, (id_t)state->id, &info, WEXITED);
}

static const struct flock whole_file = { .l_type = F_WRLCK };
static const struct flock no_lock = { .l_type = F_UNLCK };

static void set_up_record_lock(struct waiter_state *state)
{
	struct flock lock = whole_file;
	char path[32];

	state->other_fd = memfd_create("record lock", 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", state->other_fd);
	state->fd = open(path, O_RDWR);
	victim_must(fcntl(state->other_fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
}

static long wait_record_lock(struct waiter_state *state)
{
	struct flock lock = whole_file;

	return fcntl(state->fd, F_OFD_SETLKW, &lock);
}

static void wake_record_lock(struct waiter_state *state)
{
	struct flock lock = no_lock;

	victim_must(fcntl(state->other_fd, F_OFD_SETLK, &lock) == 0, "unlock a record");
}

static void set_up_message_queue(struct waiter_state *state)
{
	struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[32];

	(void)snprintf(name, sizeof(name), "/thump-victim-%d-%d", getpid(), gettid());
	state->fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
	victim_must(state->fd >= 0 && mq_unlink(name) == 0, "mq_open");
	(void)clock_gettime(CLOCK_REALTIME, &state->timeout);
	state->timeout.tv_sec += AN_HOUR_S;
}

static long wait_message(struct waiter_state *state)
{
	return mq_timedreceive(state->fd, state->buf, 8, NULL, &state->timeout);
}

static void wake_message(struct waiter_state *state)
{
	victim_must(mq_send(state->fd, "x", 1, 0) == 0, "mq_send");
}

static void set_up_full_queue(struct waiter_state *state)
{
	set_up_message_queue(state);
	victim_must(mq_send(state->fd, "x", 1, 0) == 0, "mq_send");
}

static long wait_full_queue(struct waiter_state *state)
{
	return mq_timedsend(state->fd, "y", 1, 0, &state->timeout);
}

static void wake_full_queue(struct waiter_state *state)
{
	victim_must(mq_receive(state->fd, state->buf, 8, NULL) == 1, "mq_receive");
}

static void set_up_terminal(struct waiter_state *state)
{
	char name[64];

	state->other_fd = posix_openpt(O_RDWR | O_NOCTTY);
	victim_must(state->other_fd >= 0 && grantpt(state->other_fd) == 0 &&
			    unlockpt(state->other_fd) == 0 &&
			    ptsname_r(state->other_fd, name, sizeof(name)) == 0,
		    "posix_openpt");
	state->fd = open(name, O_RDWR | O_NOCTTY);
	victim_must(state->fd >= 0, "open a terminal");
}

static void wake_terminal(struct waiter_state *state)
{
	victim_must(write(state->other_fd, "\n", 1) == 1, "type a line");
}

static void set_up_full_pipe(struct waiter_state *state)
{
	set_up_pipe(state);
	victim_must(fcntl(state->other_fd, F_SETFL, O_NONBLOCK) == 0, "F_SETFL");
	while (write(state->other_fd, state->buf, sizeof(state->buf)) > 0)
		;
	victim_must(fcntl(state->other_fd, F_SETFL, 0) == 0, "F_SETFL");
}

static long wait_write(struct waiter_state *state)
{
	return write(state->other_fd, state->buf, 1);
}

static void wake_write(struct waiter_state *state)
{
	char drain[4096];

	victim_must(read(state->fd, drain, sizeof(drain)) > 0, "drain a pipe");
}

/* open(2) of a FIFO waits for the other end. */
static void set_up_fifo(struct waiter_state *state)
{
	(void)snprintf(state->path, sizeof(state->path), "/tmp/thump-victim-fifo-%d-%d", getpid(),
		       gettid());
	(void)unlink(state->path);
	victim_must(mkfifo(state->path, 0600) == 0, "mkfifo");
}

static long wait_fifo(struct waiter_state *state)
{
	return syscall(SYS_open, state->path, O_RDONLY) >= 0 ? 0 : -1;
}

static void wake_fifo(struct waiter_state *state)
{
	victim_must(open(state->path, O_WRONLY) >= 0 && unlink(state->path) == 0, "open a FIFO");
}

static void end_child(struct waiter_state *state)
{
	victim_must(kill(state->id, SIGKILL) == 0, "kill");
}

/* ---- more calls on sockets, more futexes, sleeps ------------------------------------------- */

static long wait_recvmmsg(struct waiter_state *state)
{
	struct iovec iov = { .iov_base = state->buf, .iov_len = 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };

	return recvmmsg(state->fd, &message, 1, 0, NULL);
}

static long wait_sendmsg(struct waiter_state *state)
{
	struct iovec iov = { .iov_base = state->buf, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(state->fd, &message, 0);
}

static long wait_readv(struct waiter_state *state)
{
	struct iovec iov = { .iov_base = state->buf, .iov_len = 1 };

	return readv(state->fd, &iov, 1);
}

static long wait_accept4(struct waiter_state *state)
{
	return accept4(state->fd, NULL, NULL, SOCK_CLOEXEC) >= 0 ? 0 : -1;
}

static long wait_futex_vector(struct waiter_state *state)
{
	struct futex_waitv vector = { .uaddr = (uintptr_t)&state->futex_word, .flags = FUTEX_32 };

	return syscall(SYS_futex_waitv, &vector, 1, 0, &state->timeout, CLOCK_MONOTONIC);
}

/* The leader of the victim holds it, and gives it away when it wakes us. */
static void set_up_pi_futex(struct waiter_state *state)
{
	state->futex_word = (uint32_t)getpid();
}

static long wait_pi_futex(struct waiter_state *state)
{
	return syscall(SYS_futex, &state->futex_word, FUTEX_LOCK_PI, 0, NULL);
}

static void wake_pi_futex(struct waiter_state *state)
{
	victim_must(syscall(SYS_futex, &state->futex_word, FUTEX_UNLOCK_PI) == 0,
		    "FUTEX_UNLOCK_PI");
}

const struct waiter victim_waiters[] = {
	{ "epoll_wait", SYS_epoll_wait, set_up_epoll, wait_epoll, write_byte, 1 },
	{ "epoll_wait -1", SYS_epoll_wait, set_up_epoll, wait_epoll_for_ever, write_byte, 1 },
	{ "epoll_pwait", SYS_epoll_pwait, set_up_epoll, wait_epoll_pwait, write_byte, 1 },
	{ "epoll_pwait2", SYS_epoll_pwait2, set_up_epoll, wait_epoll_pwait2, write_byte, 1 },
	{ "sigtimedwait", SYS_rt_sigtimedwait, set_up_signal, wait_signal, wake_signal, 0 },
	{ "semtimedop", SYS_semtimedop, set_up_semaphore, wait_semaphore, wake_semaphore, 0 },
	{ "msgrcv", SYS_msgrcv, set_up_queue, wait_queue, wake_queue, 1 },
	{ "io_getevents", SYS_io_getevents, set_up_aio, wait_aio, wake_aio, 1 },
	{ "timed recv", SYS_recvfrom, set_up_socketpair, wait_recv, write_byte, 1 },
	{ "timed recvmsg", SYS_recvmsg, set_up_socketpair, wait_recvmsg, write_byte, 1 },
	{ "timed read", SYS_read, set_up_socketpair, wait_read, write_byte, 1 },
	{ "timed send", SYS_sendto, set_up_full, wait_send, wake_send, 1 },
	{ "timed accept", SYS_accept, set_up_accept, wait_accept, wake_accept, 0 },
	{ "timed connect", SYS_connect, set_up_connect, wait_connect, wake_connect, 0 },
	{ "inotify", SYS_read, set_up_inotify, wait_inotify, wake_inotify, 0 },
	{ "pipe", SYS_read, set_up_pipe, wait_read, write_byte, 1 },
	{ "eventfd", SYS_read, set_up_eventfd, wait_eventfd, wake_eventfd, 8 },
	{ "poll", SYS_poll, set_up_pipe, wait_poll, write_byte, 1 },
	{ "ppoll", SYS_ppoll, set_up_epoll, wait_ppoll, write_byte, 1 },
	{ "select", SYS_pselect6, set_up_pipe, wait_select, write_byte, 1 },
	{ "flock", SYS_flock, set_up_lock, wait_lock, wake_lock, 0 },
	{ "futex", SYS_futex, NULL, wait_futex, wake_futex, 0 },
	{ "futex relative", SYS_futex, NULL, wait_futex_timed, wake_futex, 0 },
	{ "waitpid", SYS_wait4, set_up_child, wait_child, end_child, 0 },
	{ "waitid", SYS_waitid, set_up_child, wait_child_id, end_child, 0 },
	{ "record lock", SYS_fcntl, set_up_record_lock, wait_record_lock, wake_record_lock, 0 },
	{ "mq_timedreceive", SYS_mq_timedreceive, set_up_message_queue, wait_message, wake_message,
	  1 },
	{ "mq_timedsend", SYS_mq_timedsend, set_up_full_queue, wait_full_queue, wake_full_queue,
	  0 },
	{ "terminal", SYS_read, set_up_terminal, wait_read, wake_terminal, 1 },
	{ "full pipe", SYS_write, set_up_full_pipe, wait_write, wake_write, 1 },
	{ "FIFO", SYS_open, set_up_fifo, wait_fifo, wake_fifo, 0 },
	{ "timed recvmmsg", SYS_recvmmsg, set_up_socketpair, wait_recvmmsg, write_byte, 1 },
	{ "timed sendmsg", SYS_sendmsg, set_up_full, wait_sendmsg, wake_send, 1 },
	{ "timed readv", SYS_readv, set_up_socketpair, wait_readv, write_byte, 1 },
	{ "timed accept4", SYS_accept4, set_up_accept, wait_accept4, wake_accept, 0 },
	{ "futex_waitv", SYS_futex_waitv, set_up_deadline, wait_futex_vector, wake_futex, 0 },
	{ "FUTEX_LOCK_PI", SYS_futex, set_up_pi_futex, wait_pi_futex, wake_pi_futex, 0 },
	{ "futex absolute", SYS_futex, set_up_deadline, wait_futex_absolute, wake_futex, 0 },
};
const size_t victim_nr_waiters = sizeof(victim_waiters) / sizeof(victim_waiters[0]);
