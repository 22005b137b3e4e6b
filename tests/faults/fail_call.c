/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a command, and has one system call of it and of all its descendants fail:
 *
 *     faults_fail_call REPORT NUMBER ERROR -- COMMAND...
 *
 * Calls are counted from 1; NUMBER 0 fails none. ERROR 0: instead of failing, the call is not made
 * and the process killed with SIGKILL. REPORT gets
 *
 *     call INDEX NR PROCESS PATH   of each call if NUMBER is 0, else of the one that failed;
 * PROCESS is what the process executes, PATH that of the call's first argument where that is a
 * descriptor, or "-" calls COUNT status STATUS                of COMMAND, as a shell's $? gone all
 * have ended, 20 s after COMMAND at most
 *
 * All are under a seccomp filter that asks us about each call (seccomp_unotify(2)): unlike
 * ptrace(2) that is not in the way of a command that traces others itself, and its children. Not
 * counted are calls that do not fail on Linux, and those of a program that COMMAND has restored:
 * what is not COMMAND's own executable, after a PTRACE_DETACH.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { PATIENCE_MS = 20000, NOT_YET = -1 };

struct run {
	FILE *report;
	long fail_at;
	int error;
	long count;
	char executable[PATH_MAX]; /* of the command */
	bool detached;
	int listener;
};

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(125);
}

/* ---- the command --------------------------------------------------------------------------- */

static int install_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = { .len = 1, .filter = code };
	const unsigned long listener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  listener | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);

	if (fd < 0) /* before Linux 5.19 */
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, listener, &program);
	return (int)fd;
}

/* The number of the listener is told through memory: any call would wait for who listens. */
static pid_t start(char **argv, int *shared_fd)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		_exit(125);
	__atomic_store_n(shared_fd, install_filter(), __ATOMIC_RELEASE);
	(void)execvp(argv[0], argv);
	_exit(127);
}

static int listener_of(pid_t pid, int *shared_fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), theirs, fd;

	must(pidfd >= 0, "pidfd_open");
	while ((theirs = __atomic_load_n(shared_fd, __ATOMIC_ACQUIRE)) == NOT_YET)
		(void)sched_yield();
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	must(fd >= 0, "pidfd_getfd");
	(void)close(pidfd);
	return fd;
}

/* ---- calls --------------------------------------------------------------------------------- */

/* close(2) has always closed, brk(2) returns where the break is, those of signals know only wrong
 * arguments, the C library has tried rseq(2) and robust lists when it began; the others have no
 * errors, or (futex) none but EINTR that a C library could be asked to expect. */
static bool can_fail(const struct seccomp_data *data, int error)
{
	switch (data->nr) {
	case SYS_brk:
	case SYS_close:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rseq:
	case SYS_set_robust_list:
	case SYS_rt_sigaction:
	case SYS_rt_sigprocmask:
	case SYS_rt_sigreturn:
	case SYS_getpid:
	case SYS_getppid:
	case SYS_gettid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_umask:
	case SYS_sched_yield:
	case SYS_set_tid_address:
		return false;
	/* Once seeded it always answers; libsodium ends a program in which it does not. */
	case SYS_getrandom:
		return error == EINTR || error == 0;
	case SYS_futex:
		return error == EINTR && (data->args[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
	default:
		return true;
	}
}

static void read_link(char *target, size_t size, const char *format, unsigned pid, unsigned fd)
{
	char path[64];
	ssize_t len;

	(void)snprintf(path, sizeof(path), format, pid, fd);
	len = readlink(path, target, size - 1);
	(void)snprintf(target + (len > 0 ? len : 0), size - (size_t)(len > 0 ? len : 0), "%s",
		       len > 0 ? "" : "-");
}

static bool is_restored(const struct run *run, const char *executable)
{
	return run->detached && strcmp(executable, run->executable) != 0;
}

/* Whether this one is to fail. */
static bool look(struct run *run, const struct seccomp_notif *notif)
{
	const struct seccomp_data *data = &notif->data;
	char executable[PATH_MAX], path[PATH_MAX];
	bool fails;

	read_link(executable, sizeof(executable), "/proc/%u/exe", notif->pid, 0);
	if (!run->executable[0] && data->nr != SYS_execve)
		(void)snprintf(run->executable, sizeof(run->executable), "%s", executable);
	if (data->nr == SYS_ptrace && data->args[0] == PTRACE_DETACH)
		run->detached = true;
	if (!run->executable[0] || is_restored(run, executable) || !can_fail(data, run->error))
		return false;
	run->count++;
	fails = run->count == run->fail_at;
	if (!fails && run->fail_at)
		return false;
	read_link(path, sizeof(path), "/proc/%u/fd/%u", notif->pid, (unsigned)data->args[0]);
	(void)fprintf(run->report, "call %ld %d %s %#llx %s\n", run->count, data->nr, executable,
		      (unsigned long long)data->args[0], path);
	return fails;
}

/* A process that was killed meanwhile has no call any more: ENOENT. */
static void serve(struct run *run)
{
	struct seccomp_notif notif = { 0 };
	struct seccomp_notif_resp answer = { 0 };

	if (ioctl(run->listener, SECCOMP_IOCTL_NOTIF_RECV, &notif) != 0) {
		must(errno == ENOENT || errno == EINTR, "SECCOMP_IOCTL_NOTIF_RECV");
		return;
	}
	answer.id = notif.id;
	if (look(run, &notif)) {
		answer.error = -run->error;
		if (run->error == 0)
			must(kill((pid_t)notif.pid, SIGKILL) == 0, "kill");
	} else
		answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	must(ioctl(run->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0 || errno == ENOENT,
	     "SECCOMP_IOCTL_NOTIF_SEND");
}

/* Until the command has ended; then until all that it has started have, or the patience is over. */
static void serve_all(struct run *run, pid_t pid)
{
	struct pollfd fds[] = {
		{ .fd = run->listener, .events = POLLIN },
		{ .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN },
	};
	bool ended = false;
	int status;

	for (;;) {
		int rc = poll(fds, 2, ended ? PATIENCE_MS : -1);

		if (rc == 0)
			return;
		if (fds[0].revents & POLLIN)
			serve(run);
		else if (fds[0].revents & POLLHUP)
			break;
		if (!ended && fds[1].revents) {
			ended = true;
			fds[1].fd = -1;
		}
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	(void)fprintf(run->report, "status %d\ngone\n",
		      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
	struct run run = { 0 };
	int *shared_fd;
	pid_t pid;

	if (argc < 6 || strcmp(argv[4], "--") != 0) {
		fprintf(stderr, "usage: %s REPORT NUMBER ERROR -- COMMAND...\n", argv[0]);
		return 125;
	}
	run.report = fopen(argv[1], "we");
	must(run.report != NULL, argv[1]);
	run.fail_at = atol(argv[2]);
	run.error = atoi(argv[3]);
	shared_fd = mmap(NULL, sizeof(*shared_fd), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared_fd != MAP_FAILED, "mmap");
	*shared_fd = NOT_YET;
	pid = start(argv + 5, shared_fd);
	must(pid > 0, "fork");
	run.listener = listener_of(pid, shared_fd);
	serve_all(&run, pid);
	(void)fprintf(run.report, "calls %ld\n", run.count);
	must(fclose(run.report) == 0, argv[1]);
	return 0;
}
