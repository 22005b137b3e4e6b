/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/head_start.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rebuild/abilities.h"
#include "rebuild/arch/arch.h"

#define STACK_BYTES	   ((size_t)512 << 10)
#define THREAD_STACK_BYTES ((size_t)128 << 10)
#define LOOK_MS		   100
#define END_MS		   1000
/* Either is ready at about the same time, and to be woken up takes long. */
#define SPIN_NS ((uint64_t)100 * 1000)

struct thump_head_start {
	struct thump_namespace_setup setup;
	thump_init_fn *init;
	struct thump_plan *plan;
	struct thump_rebuild_report *report;
	int fds[2]; /* ours, the init's */
	int thump_fd;
	pthread_t thread;
	bool threaded;
	uint64_t spin_ns; /* for how long the init looks before it sleeps */
	pid_t pid;	  /* of the init, from the kernel, before it runs */
	int clone_errno;
	/* Futexes, in this order: there is an init or clone_errno, it knows its children's clocks,
	 * it has plan and report, it has descriptors of its own, its thread pointer is free again.
	 */
	uint32_t begun, clocks, go, apart, ended;
	_Alignas(16) unsigned char stack[STACK_BYTES];
	_Alignas(16) unsigned char thread_stack[THREAD_STACK_BYTES];
};

static void set_word(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Waits a while; whoever calls it looks again. */
static bool word_is_set(uint32_t *word)
{
	const struct timespec timeout = { .tv_nsec = LOOK_MS * 1000000 };

	if (__atomic_load_n(word, __ATOMIC_ACQUIRE))
		return true;
	(void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* ---- in the init -------------------------------------------------------------------------- */

static bool thump_has_gone(const struct thump_head_start *start)
{
	struct pollfd fd = { .fd = start->thump_fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* That thump has gone is seen by a pidfd: we share its descriptors, and so its end of the socket
 * stays open. */
static void wait_for_thump(struct thump_head_start *start, uint32_t *word)
{
	const uint64_t spin_end_ns = thump_now_ns() + start->spin_ns;

	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE) && thump_now_ns() < spin_end_ns)
		continue;
	while (!word_is_set(word))
		if (thump_has_gone(start))
			_exit(THUMP_FAILED);
}

static void enter_namespaces(struct thump_head_start *start)
{
	thump_namespace_map_ids(&start->setup);
	wait_for_thump(start, &start->clocks);
	thump_namespace_set_clocks(&start->setup);
	thump_namespace_mount_proc(&start->setup);
}

static int init_begin(void *arg)
{
	struct thump_head_start *start = arg;
	int control_fd;

	/* Sooner than wait_for_thump() looks. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	set_word(&start->begun);
	enter_namespaces(start);
	control_fd = start->fds[1]; /* thump closes its own, and notes that */
	wait_for_thump(start, &start->go);
	if (unshare(CLONE_FILES) < 0)
		_exit(THUMP_FAILED);
	(void)close(start->fds[0]);
	(void)close(start->thump_fd);
	set_word(&start->apart);
	start->init(&start->setup, start->plan, start->report, control_fd);
	_exit(THUMP_FAILED); /* not reached */
}

/* ---- in thump ----------------------------------------------------------------------------- */

static void *thread_main(void *arg)
{
	struct thump_head_start *start = arg;
	int flags = CLONE_VM | CLONE_FILES | CLONE_PARENT_SETTID | SIGCHLD | THUMP_NAMESPACE_FLAGS;

	if (start->setup.user_namespace)
		flags |= CLONE_NEWUSER;
	if (clone(init_begin, start->stack + STACK_BYTES, flags, start, &start->pid) < 0) {
		start->clone_errno = errno;
		set_word(&start->begun);
		return NULL;
	}
	/* From here on errno and all else behind the thread pointer are the init's. */
	thump_arch_park(&start->ended);
	return NULL;
}

static int make_socket(int fds[2], struct thump_err *err)
{
	const int yes = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return thump_fail_errno(err, "make a socket to our init");
	if (setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0)
		return thump_fail_errno(err, "SO_PASSCRED");
	return 0;
}

/* On a stack of ours: pthread_create(3) would map one, which takes two system calls. */
static int start_thread(struct thump_head_start *start)
{
	pthread_attr_t attr;
	int error = pthread_attr_init(&attr);

	if (error)
		return error;
	error = pthread_attr_setstack(&attr, start->thread_stack, THREAD_STACK_BYTES);
	if (error == 0)
		error = pthread_create(&start->thread, &attr, thread_main, start);
	(void)pthread_attr_destroy(&attr);
	return error;
}

/* The socket last: the kernel makes the init meanwhile. */
static int begin(struct thump_head_start *start, struct thump_err *err)
{
	int error;

	start->thump_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (start->thump_fd < 0)
		return thump_fail_errno(err, "open a pidfd of thump");
	error = start_thread(start);
	if (error) {
		errno = error;
		return thump_fail_errno(err, "start a thread");
	}
	start->threaded = true;
	return make_socket(start->fds, err);
}

/* With one, looking would keep thump from running. */
static bool has_processors_to_spare(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

int thump_head_start_create(thump_init_fn *init, struct thump_head_start **start_ret,
			    struct thump_err *err)
{
	/* Not cleared: most of it is stack that is never touched. */
	struct thump_head_start *start = malloc(sizeof(*start));

	if (!start)
		return thump_fail_errno(err, "memory for an init");
	start->setup = (struct thump_namespace_setup){
		.user_namespace = !(thump_caps_sets().effective & THUMP_CAP_BIT(CAP_SYS_ADMIN)),
		.uid = geteuid(),
		.gid = getegid(),
	};
	start->init = init;
	start->spin_ns = has_processors_to_spare() ? SPIN_NS : 0;
	start->fds[0] = start->fds[1] = start->thump_fd = -1;
	start->threaded = false;
	start->pid = 0;
	start->clone_errno = 0;
	start->begun = start->clocks = start->go = start->apart = start->ended = 0;
	if (begin(start, err) < 0) {
		thump_head_start_destroy(start);
		return -1;
	}
	*start_ret = start;
	return 0;
}

void thump_head_start_set_clocks(struct thump_head_start *start, const struct thump_machine *clocks)
{
	start->setup.monotonic_ns = clocks ? clocks->monotonic_ns : 0;
	start->setup.boottime_ns = clocks ? clocks->boottime_ns : 0;
	set_word(&start->clocks);
}

/* Nobody else reaps it. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid;
}

static int wait_begun(struct thump_head_start *start, struct thump_err *err)
{
	while (!word_is_set(&start->begun))
		continue;
	errno = start->clone_errno;
	return errno ? thump_fail_errno(err, "make a pid namespace") : 0;
}

int thump_head_start_go(struct thump_head_start *start, struct thump_plan *plan,
			struct thump_rebuild_report *report, int *control_fd_ret, pid_t *init_ret,
			struct thump_err *err)
{
	if (wait_begun(start, err) < 0)
		return -1;
	start->plan = plan;
	start->report = report;
	set_word(&start->go);
	while (!word_is_set(&start->apart))
		if (has_ended(start->pid))
			return thump_fail(err,
					  "our init of the pid namespace ended without a word");
	/* From now on the end of the one is the end of file of the other. */
	thump_close_fd(&start->fds[1]);
	thump_close_fd(&start->thump_fd);
	*control_fd_ret = thump_take_fd(&start->fds[0]);
	*init_ret = start->pid;
	return 0;
}

/* Its end is seen when it can be reaped; without a pidfd it is waited for as long as it takes. */
static bool ends_soon(pid_t pid)
{
	auto_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { .fd = fd, .events = POLLIN };

	return fd < 0 || poll(&end, 1, END_MS) != 0;
}

/*
 * False when it does not end: what ran in its pid namespace must all be reaped first, and for a
 * clone whose keeper was killed that is up to the init of the machine or container, which may never
 * do it. It is ours then until we end, and *start with it: its thread stands on that.
 */
static bool end_init(struct thump_head_start *start)
{
	while (!word_is_set(&start->begun))
		continue;
	if (start->pid <= 0 || start->clone_errno)
		return true;
	(void)kill(start->pid, SIGKILL);
	if (!ends_soon(start->pid))
		return false;
	while (waitpid(start->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return true;
}

void thump_head_start_destroy(struct thump_head_start *start)
{
	bool ended;

	if (!start)
		return;
	ended = !start->threaded || end_init(start);
	thump_close_fd(&start->fds[0]);
	thump_close_fd(&start->fds[1]);
	thump_close_fd(&start->thump_fd);
	if (!ended)
		return;
	if (start->threaded) {
		set_word(&start->ended);
		(void)pthread_join(start->thread, NULL);
	}
	free(start);
}
