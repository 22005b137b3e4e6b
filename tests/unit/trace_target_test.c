/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "trace/ptrace.h"
#include "trace/target.h"
#include "trace/wait.h"

#include "../lib/tied_fork.h"

/* ---- victims: children that do something, say so through a pipe, and are ended --------------- */

struct victim {
	pid_t pid;
	int pipe_fd; /* what it says */
};

static void say(int fd, char word)
{
	if (write(fd, &word, 1) != 1)
		_exit(99);
}

static char heard(const struct victim *victim)
{
	char word = 0;

	return read(victim->pipe_fd, &word, 1) == 1 ? word : '\0';
}

static struct victim start(void (*body)(int fd))
{
	struct victim victim;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	victim.pid = tied_fork();
	if (victim.pid == 0) {
		(void)prctl(PR_SET_NAME, "victim");
		(void)close(fds[0]);
		body(fds[1]);
		_exit(0);
	}
	(void)close(fds[1]);
	victim.pipe_fd = fds[0];
	assert_int_equal(heard(&victim), 'r');
	return victim;
}

static int wait_status(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void end(struct victim *victim)
{
	(void)kill(victim->pid, SIGKILL);
	(void)wait_status(victim->pid);
	thump_close_fd(&victim->pipe_fd);
}

static struct thump_target *stopped(pid_t pid)
{
	struct thump_target *target = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	if (thump_target_stop(pid, 1000, &target, &err) != 0)
		fail_msg("%s", err.text);
	return target;
}

static void pause_for_ever(int fd)
{
	say(fd, 'r');
	for (;;)
		(void)pause();
}

static void *pause_thread(void *arg)
{
	pause_for_ever(*(int *)arg);
	return NULL;
}

static void pause_in_threads(int fd, int count)
{
	pthread_t thread;
	int quiet[2];
	char word;

	if (pipe(quiet) != 0)
		_exit(98);
	for (int i = 1; i < count; i++) {
		if (pthread_create(&thread, NULL, pause_thread, &quiet[1]) != 0 ||
		    read(quiet[0], &word, 1) != 1)
			_exit(97);
	}
	pause_for_ever(fd);
}

static void pause_in_three_threads(int fd)
{
	pause_in_threads(fd, 3);
}

/* More than make a call at a time, twice. */
static void pause_in_many_threads(int fd)
{
	pause_in_threads(fd, 40);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void remote_calls_run_in_every_thread_and_leave_no_trace(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr area;
	long result;

	(void)state;
	assert_int_equal(target->nr_threads, 3);
	assert_int_equal(target->threads[0].tid, victim.pid);
	for (size_t i = 0; i < 3; i++) {
		if (thump_remote_syscall_in(target, i, SYS_gettid, no_args, &result, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(result, target->threads[i].tid);
	}
	assert_int_equal(thump_remote_area(target, &area, &err), 0);
	{
		const uint64_t args[6] = { PR_GET_NAME, area.addr };
		char name[16];

		assert_int_equal(thump_remote_syscall(target, SYS_prctl, args, &result, &err), 0);
		assert_int_equal(result, 0);
		assert_int_equal(thump_target_read(target, area, name, sizeof(name), &err), 0);
		assert_string_equal(name, "victim");
	}
	thump_target_resume(target);
	thump_target_destroy(target);
	end(&victim);
}

static void check_same_calls(const struct thump_remote_call list[3])
{
	enum { NR_THREADS = 40 };
	struct victim victim = start(pause_in_many_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	long results[NR_THREADS][3];
	uint64_t answers[NR_THREADS][2];
	const struct thump_remote_calls calls = { .list = list,
						  .count = 3,
						  .answer_bytes = sizeof(answers[0]),
						  .results = results[0],
						  .answers = answers };

	assert_int_equal(target->nr_threads, NR_THREADS);
	if (thump_remote_calls_in_all(target, &calls, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < NR_THREADS; i++) {
		pid_t tid;

		assert_int_equal(results[i][0], 0);
		assert_int_equal(results[i][1], target->threads[i].tid);
		assert_int_equal(results[i][2], -EINVAL);
		/* Where the kernel clears the tid, glibc has it. */
		assert_int_equal(
			thump_target_read(target, REMOTE(answers[i][1]), &tid, sizeof(tid), &err),
			0);
		if (i > 0) /* the first one was forked, by a process with another pid */
			assert_int_equal(tid, target->threads[i].tid);
	}
	thump_target_resume(target);
	thump_target_destroy(target);
	end(&victim);
}

static void every_thread_makes_the_same_calls(void **state)
{
	static const struct thump_remote_call list[] = {
		{ SYS_prctl, { PR_GET_TID_ADDRESS, THUMP_AREA + 8 } },
		{ SYS_gettid, { 0 } },
		{ SYS_sched_getparam, { 0, 0 } }, /* EINVAL */
	};
	/* Too many arguments to be made without a stop in between. */
	static const struct thump_remote_call stopping[] = {
		{ SYS_prctl, { PR_GET_TID_ADDRESS, THUMP_AREA + 8 } },
		{ SYS_gettid, { 0 } },
		{ SYS_sched_getaffinity, { 0, 0, THUMP_AREA } }, /* EINVAL */
	};

	(void)state;
	check_same_calls(list);
	check_same_calls(stopping);
}

/* What trace/train.c has threads signal themselves with: one is handled here, and some threads keep
 * the other one back. */
static void *keep_winch_back(void *arg)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGWINCH);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	return pause_thread(arg);
}

static void end_by_signal(int signo)
{
	(void)signo;
	_exit(96);
}

static void handle_urg_and_keep_winch_back(int fd)
{
	pthread_t thread;
	int quiet[2];
	char word;

	(void)signal(SIGURG, end_by_signal);
	if (pipe(quiet) != 0)
		_exit(98);
	for (int i = 1; i < 6; i++) {
		if (pthread_create(&thread, NULL, i % 2 ? keep_winch_back : pause_thread,
				   &quiet[1]) != 0 ||
		    read(quiet[0], &word, 1) != 1)
			_exit(97);
	}
	pause_for_ever(fd);
}

static void no_signal_of_ours_reaches_the_program(void **state)
{
	enum { NR_THREADS = 6 };
	static const struct thump_remote_call list[] = {
		{ SYS_prctl, { PR_GET_PDEATHSIG, THUMP_AREA } },
		{ SYS_gettid, { 0 } },
	};
	struct victim victim = start(handle_urg_and_keep_winch_back);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	long results[NR_THREADS][2];
	int answers[NR_THREADS];
	const struct thump_remote_calls calls = { .list = list,
						  .count = 2,
						  .answer_bytes = sizeof(answers[0]),
						  .results = results[0],
						  .answers = answers };

	(void)state;
	memset(answers, 0xff, sizeof(answers));
	assert_int_equal(target->nr_threads, NR_THREADS);
	if (thump_remote_calls_in_all(target, &calls, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < NR_THREADS; i++) {
		const int expected = i % 2 ? 0 : SIGWINCH;

		assert_int_equal(results[i][0], 0);
		assert_int_equal(answers[i], i == 0 ? SIGKILL : 0); /* tied_fork() */
		assert_int_equal(results[i][1], target->threads[i].tid);
		assert_int_equal(target->threads[i].quiet_signal, expected);
	}
	thump_remote_finish(target);
	for (size_t i = 0; i < NR_THREADS; i++) {
		auto_free siginfo_t *infos = NULL;
		size_t count;

		assert_int_equal(thump_target_pending(target, i, false, &infos, &count, &err), 0);
		assert_int_equal(count, 0);
	}
	thump_target_resume(target);
	thump_target_destroy(target);
	assert_int_equal(waitpid(victim.pid, NULL, WNOHANG), 0);
	end(&victim);
}

/* ---- what the registers for the image do --------------------------------------------------- */

static void wait_in_epoll(int fd)
{
	const int epoll_fd = epoll_create1(0);
	struct epoll_event event;

	say(fd, 'r');
	say(fd, syscall(SYS_epoll_wait, epoll_fd, &event, 1, 60000) == 0 ? 't' : 'e');
}

/* Until the main thread of `pid` is in system call nr. */
static void await_syscall(pid_t pid, long nr)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (;;) {
		auto_free char *text = NULL;

		assert_int_equal(thump_slurp(AT_FDCWD, path, &text, NULL), 0);
		if (text[0] >= '0' && text[0] <= '9' && strtol(text, NULL, 10) == nr)
			return;
		(void)sched_yield();
	}
}

/* The kernel tells a parent of a group-stop only once. */
static void await_state(pid_t pid, char wanted)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (char state = 0; state != wanted; (void)sched_yield()) {
		auto_free char *text = NULL;

		assert_int_equal(thump_slurp(AT_FDCWD, path, &text, NULL), 0);
		state = strrchr(text, ')')[2];
	}
}

static void let_time_pass(unsigned ms)
{
	const struct itimerspec once = { .it_value = { .tv_nsec = (long)ms * 1000000 } };
	const int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t ticks;

	assert_int_equal(timerfd_settime(fd, 0, &once, NULL), 0);
	assert_int_equal(read(fd, &ticks, sizeof(ticks)), sizeof(ticks));
	(void)close(fd);
}

static void a_blocked_call_starts_over_with_what_is_left(void **state)
{
	const uint64_t before_ns = thump_now_ns();
	struct victim victim = start(wait_in_epoll);
	struct thump_target *target;
	const struct user_regs_struct *image;
	uint64_t most_ms;
	unsigned char code[2] = { 0 };
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	await_syscall(victim.pid, SYS_epoll_wait);
	let_time_pass(200);
	target = stopped(victim.pid);
	image = &target->threads[0].image_regs;
	assert_int_equal(target->threads[0].blocked_syscall, SYS_epoll_wait);
	assert_int_equal(image->rax, SYS_epoll_wait);
	assert_int_equal(image->orig_rax, -1);
	assert_int_equal(thump_target_read(target, REMOTE(image->rip), code, 2, &err), 0);
	assert_memory_equal(code, "\x0f\x05", 2);
	/* Shortened where the kernel tells enough, and never by more than the time that passed. */
	most_ms = (thump_now_ns() - before_ns) / 1000000;
	assert_in_range(image->r10, 60000 - most_ms,
			access("/proc/self/sched", R_OK) == 0 ? 59999 : 60000);
	thump_target_destroy(target);
	end(&victim);
}

static void sleep_without_remainder(int fd)
{
	const struct timespec hour = { .tv_sec = 3600 };

	say(fd, 'r');
	(void)syscall(SYS_nanosleep, &hour, NULL);
}

static void a_sleep_stopped_twice_is_still_known_as_one(void **state)
{
	struct victim victim = start(sleep_without_remainder);

	(void)state;
	await_syscall(victim.pid, SYS_nanosleep);
	for (int i = 0; i < 3; i++) {
		struct thump_target *target = stopped(victim.pid);

		assert_int_equal(target->threads[0].blocked_syscall, SYS_nanosleep);
		assert_int_equal(target->threads[0].image_regs.rax, SYS_nanosleep);
		thump_target_destroy(target);
		await_syscall(victim.pid, SYS_restart_syscall);
	}
	end(&victim);
}

static void on_usr1(int signo)
{
	(void)signo;
}

static void wait_interruptibly(int fd)
{
	const struct sigaction action = { .sa_handler = on_usr1 };

	(void)sigaction(SIGUSR1, &action, NULL);
	wait_in_epoll(fd);
}

static void a_handler_that_is_due_still_makes_eintr(void **state)
{
	struct victim victim = start(wait_interruptibly);
	struct thump_target *target;

	(void)state;
	await_syscall(victim.pid, SYS_epoll_wait);
	target = stopped(victim.pid);
	assert_int_equal(kill(victim.pid, SIGUSR1), 0);
	thump_target_destroy(target);
	assert_int_equal(heard(&victim), 'e');
	end(&victim);
}

/* ---- signals and group-stops --------------------------------------------------------------- */

static void a_group_stop_stays_one(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_err err = THUMP_ERR_INIT;
	struct thump_target *target;
	long result = 0;
	int status = 0;

	(void)state;
	assert_int_equal(kill(victim.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(victim.pid, &status, WUNTRACED), victim.pid);
	assert_true(WIFSTOPPED(status));
	target = stopped(victim.pid);
	for (size_t i = 0; i < target->nr_threads; i++) {
		assert_true(target->threads[i].group_stopped);
		assert_int_equal(
			thump_remote_syscall_in(target, i, SYS_gettid, no_args, &result, &err), 0);
		assert_int_equal(result, target->threads[i].tid);
	}
	thump_target_destroy(target);
	await_state(victim.pid, 'T');
	assert_int_equal(kill(victim.pid, SIGCONT), 0);
	assert_int_equal(waitpid(victim.pid, &status, WCONTINUED), victim.pid);
	assert_true(WIFCONTINUED(status));
	end(&victim);
}

static void sigstop_while_held_stops_it_afterwards(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	long result = 0;
	int status = 0;

	(void)state;
	assert_int_equal(kill(victim.pid, SIGSTOP), 0);
	for (size_t i = 0; i < target->nr_threads; i++) {
		assert_int_equal(
			thump_remote_syscall_in(target, i, SYS_gettid, no_args, &result, &err), 0);
		assert_int_equal(result, target->threads[i].tid);
	}
	thump_target_destroy(target);
	assert_int_equal(waitpid(victim.pid, &status, WUNTRACED), victim.pid);
	assert_true(WIFSTOPPED(status));
	end(&victim);
}

static void pending_signals_are_listed_in_order(void **state)
{
	struct victim victim = start(pause_for_ever);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	siginfo_t *infos = NULL;
	size_t count = 0;
	int status = 0;

	(void)state;
	for (int i = 0; i < 40; i++)
		assert_int_equal(sigqueue(victim.pid, SIGRTMIN, (union sigval){ .sival_int = i }),
				 0);
	assert_int_equal(thump_target_pending(target, 0, true, &infos, &count, &err), 0);
	assert_int_equal(count, 40);
	for (int i = 0; i < 40; i++)
		assert_int_equal(infos[i].si_value.sival_int, i);
	free(infos);
	thump_target_destroy(target);
	assert_int_equal(waitpid(victim.pid, &status, 0), victim.pid);
	assert_int_equal(WTERMSIG(status), SIGRTMIN);
	thump_close_fd(&victim.pipe_fd);
}

/* ---- ends
 * ------------------------------------------------------------------------------------------------
 */

static void a_target_killed_while_held_is_an_error_and_no_hang(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	long result;
	int status = 0;

	(void)state;
	assert_int_equal(kill(victim.pid, SIGKILL), 0);
	assert_int_equal(thump_remote_syscall(target, SYS_getpid, no_args, &result, &err), -1);
	assert_non_null(strstr(err.text, "ended while it was held"));
	thump_target_destroy(target);
	(void)waitpid(victim.pid, &status, 0);
	assert_int_equal(kill(victim.pid, 0), -1);
	thump_close_fd(&victim.pipe_fd);
}

static void a_target_killed_between_remote_calls_is_let_go_at_once(void **state)
{
	const uint64_t no_args[6] = { 0 };
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;
	struct remote_addr area;
	long result;

	(void)state;
	assert_int_equal(thump_remote_area(target, &area, &err), 0);
	assert_int_equal(thump_remote_syscall(target, SYS_getpid, no_args, &result, &err), 0);
	assert_int_equal(kill(victim.pid, SIGKILL), 0);
	/* Its memory takes no bytes any more; putting the stack back may not wait for them. */
	(void)alarm(30);
	thump_target_destroy(target);
	(void)alarm(0);
	(void)waitpid(victim.pid, NULL, 0);
	assert_int_equal(kill(victim.pid, 0), -1);
	thump_close_fd(&victim.pipe_fd);
}

static void kill_ends_it_for_good(void **state)
{
	struct victim victim = start(pause_in_three_threads);
	struct thump_target *target = stopped(victim.pid);
	struct thump_err err = THUMP_ERR_INIT;

	(void)state;
	assert_int_equal(thump_target_kill(target, &err), 0);
	thump_target_destroy(target);
	assert_int_equal(kill(victim.pid, 0), -1);
	thump_close_fd(&victim.pipe_fd);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void assert_refused(pid_t pid, const char *why)
{
	struct thump_target *target = NULL;
	struct thump_err err = THUMP_ERR_INIT;

	assert_int_equal(thump_target_stop(pid, 200, &target, &err), -1);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void what_cannot_be_traced_is_refused_by_name(void **state)
{
	struct victim victim = start(pause_in_three_threads);
	const pid_t zombie = fork();
	siginfo_t info;

	(void)state;
	if (zombie == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT), 0);
	assert_refused(zombie, "zombie");
	(void)wait_status(zombie);
	assert_refused(getpid(), "is thump itself");
	assert_refused(getppid(), "is an ancestor");
	assert_refused(zombie, "there is no process");
	if (access("/proc/2/status", R_OK) == 0 && getpgid(2) == 0)
		assert_refused(2, "is a kernel thread");
	assert_int_equal(thump_ptrace(PTRACE_SEIZE, victim.pid, 0, 0), 0);
	assert_refused(victim.pid, "already traced by process");
	end(&victim);
}

/* Open as long as a vfork(2) child shall live. */
static int hold[2];

/* The parent of a vfork(2) child sleeps uninterruptibly until that execs or exits. */
static void vfork_and_hold(int fd)
{
	char word = 'r';

	if (vfork() == 0) {
		(void)syscall(SYS_close, hold[1]);
		(void)syscall(SYS_write, fd, &word, 1);
		(void)syscall(SYS_read, hold[0], &word, 1);
		_exit(0);
	}
}

/* In a child, because a thread that does not stop stays seized until its tracer ends. */
static void a_thread_that_does_not_stop_is_refused(void **state)
{
	struct victim victim;
	pid_t tracer;

	(void)state;
	assert_int_equal(pipe(hold), 0);
	victim = start(vfork_and_hold);
	tracer = fork();
	if (tracer == 0) {
		struct thump_target *target = NULL;
		struct thump_err err = THUMP_ERR_INIT;
		const int got = thump_target_stop(victim.pid, 50, &target, &err);

		_exit(got == -1 && err.code == THUMP_REFUSED && strstr(err.text, "vfork") ? 0 : 1);
	}
	assert_int_equal(wait_status(tracer), 0);
	end(&victim);
	(void)close(hold[0]);
	(void)close(hold[1]);
}

/* On the first processor that it may use. */
static void compute_for_ever(int fd)
{
	cpu_set_t allowed, one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		_exit(99);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) != 0)
		_exit(99);
	say(fd, 'r');
	for (volatile unsigned long n = 0;; n++)
		;
}

/* sched(7): next to an ordinary thread it hardly ever gets the processor. */
static void compute_when_nobody_else_does(int fd)
{
	const struct sched_param param = { 0 };

	if (sched_setscheduler(0, SCHED_IDLE, &param) != 0)
		_exit(99);
	compute_for_ever(fd);
}

static void a_thread_that_lacks_a_processor_is_waited_for(void **state)
{
	struct victim starved = start(compute_when_nobody_else_does);
	struct victim hog = start(compute_for_ever);
	pid_t tracer = fork();

	(void)state;
	if (tracer == 0) {
		struct thump_target *target = NULL;
		struct thump_err err = THUMP_ERR_INIT;

		_exit(thump_target_stop(starved.pid, 1, &target, &err) == 0 ? 0 : 1);
	}
	assert_int_equal(wait_status(tracer), 0);
	end(&hog);
	end(&starved);
}

/* ---- the vdso ---------------------------------------------------------------------------- */

static void *ask_the_time(void *arg)
{
	struct timespec now;

	if (arg)
		say(*(int *)arg, 'r');
	for (;;)
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return NULL;
}

static void ask_the_time_in_two_threads(int fd)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, ask_the_time, NULL) != 0)
		_exit(97);
	(void)ask_the_time(&fd);
}

/* This process has the vdso where its forked child has it; its code is at most 16 pages. */
static size_t threads_in_the_vdso(const struct thump_target *target)
{
	const uint64_t start = getauxval(AT_SYSINFO_EHDR);
	size_t count = 0;

	for (size_t i = 0; i < target->nr_threads; i++) {
		const uint64_t pc = target->threads[i].regs.rip;

		count += pc >= start && pc < start + ((uint64_t)16 << 12);
	}
	return count;
}

/* They would go on there with what they have read of another boot, host or time namespace: SIGBUS
 * was seen. Both spend most of their time in it, so some of the stops meet them there. */
static void no_thread_is_held_inside_the_vdso(void **state)
{
	struct victim victim = start(ask_the_time_in_two_threads);

	(void)state;
	assert_true(getauxval(AT_SYSINFO_EHDR) != 0);
	for (int i = 0; i < 30; i++) {
		struct thump_target *target = stopped(victim.pid);

		assert_int_equal(target->nr_threads, 2);
		assert_int_equal(threads_in_the_vdso(target), 0);
		thump_target_destroy(target);
	}
	end(&victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(remote_calls_run_in_every_thread_and_leave_no_trace),
		cmocka_unit_test(every_thread_makes_the_same_calls),
		cmocka_unit_test(no_signal_of_ours_reaches_the_program),
		cmocka_unit_test(a_blocked_call_starts_over_with_what_is_left),
		cmocka_unit_test(a_sleep_stopped_twice_is_still_known_as_one),
		cmocka_unit_test(a_handler_that_is_due_still_makes_eintr),
		cmocka_unit_test(a_group_stop_stays_one),
		cmocka_unit_test(sigstop_while_held_stops_it_afterwards),
		cmocka_unit_test(pending_signals_are_listed_in_order),
		cmocka_unit_test(a_target_killed_while_held_is_an_error_and_no_hang),
		cmocka_unit_test(a_target_killed_between_remote_calls_is_let_go_at_once),
		cmocka_unit_test(kill_ends_it_for_good),
		cmocka_unit_test(what_cannot_be_traced_is_refused_by_name),
		cmocka_unit_test(a_thread_that_does_not_stop_is_refused),
		cmocka_unit_test(a_thread_that_lacks_a_processor_is_waited_for),
		cmocka_unit_test(no_thread_is_held_inside_the_vdso),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
