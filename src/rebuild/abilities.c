/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/abilities.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "rebuild/spin.h"
#include "trace/probe.h"

#define PROBE_STACK_BYTES 32768
#define SECOND_NS	  INT64_C(1000000000)

#define SET_REASON(reason, ...) ((void)snprintf((reason), sizeof(reason), __VA_ARGS__))

/* ---- way 1 -------------------------------------------------------------------------------- */

void thump_probe_set_tid(struct thump_abilities *abilities)
{
	char stack[256];
	pid_t taken = getpid();
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
		.set_tid = (uintptr_t)&taken,
		.set_tid_size = 1,
	};

	/* alloc_pid() checks the capability first and then answers EEXIST, as our own pid is taken:
	 * no process is ever made. */
	if (syscall(SYS_clone3, &args, sizeof(args)) != -1)
		_exit(THUMP_FAILED); /* not reached, in neither process */
	abilities->clone3 = errno != ENOSYS;
	abilities->set_tid = errno == EEXIST;
	if (errno == EPERM)
		SET_REASON(abilities->set_tid_reason,
			   "no CAP_CHECKPOINT_RESTORE in this pid namespace");
	else if (errno == ENOSYS)
		SET_REASON(abilities->set_tid_reason,
			   "clone3 answers ENOSYS (a container's seccomp filter)");
	else if (errno != EEXIST)
		SET_REASON(abilities->set_tid_reason, "clone3: %s", strerror(errno));
}

/* ---- way 2 -------------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return errno;
	return 0;
}

/*
 * user_namespaces(7): a process without capabilities outside may map its own effective ids, one
 * each, after setgroups is denied for good. It may write the maps itself: the parent would have no
 * more rights, and need one more turn.
 */
static int write_maps(const struct thump_namespace_setup *setup)
{
	char map[64];
	int failed = write_file("/proc/self/setgroups", "deny");

	(void)snprintf(map, sizeof(map), "%u %u 1", setup->uid, setup->uid);
	if (!failed)
		failed = write_file("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "%u %u 1", setup->gid, setup->gid);
	if (!failed)
		failed = write_file("/proc/self/gid_map", map);
	return failed;
}

static int mount_proc(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	/* Mounts of the outside go on coming in, ours never go out. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return errno;
	/* mount_too_revealing() wants no less locked down than what is there: a read-only /proc
	 * allows only another read-only one. */
	if (mount("proc", "/proc", "proc", flags, NULL) < 0 &&
	    mount("proc", "/proc", "proc", flags | MS_RDONLY, NULL) < 0)
		return errno;
	return 0;
}

static uint32_t read_pid_max(void)
{
	char text[16];
	auto_close int fd = open("/proc/sys/kernel/pid_max", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len <= 0)
		return 0;
	text[len] = '\0';
	return (uint32_t)strtoul(text, NULL, 10);
}

/* The line of /proc/self/timens_offsets for `clock`: what is added to the machine's clock here. */
static int64_t own_offset(const char *offsets, const char *clock)
{
	const char *line = strstr(offsets, clock);
	long long seconds, nanoseconds;

	if (!line || sscanf(line + strlen(clock), "%lld %lld", &seconds, &nanoseconds) != 2)
		return 0;
	return seconds * SECOND_NS + nanoseconds;
}

/* What is to be added to the machine's clock, so that it shows wanted_ns now. */
static int64_t wanted_offset(int64_t own, clockid_t clock, uint64_t wanted_ns)
{
	struct timespec now;

	if (wanted_ns == 0 || clock_gettime(clock, &now) < 0)
		return own;
	return own + (int64_t)wanted_ns - (now.tv_sec * SECOND_NS + now.tv_nsec);
}

/* time_namespaces(7): nanoseconds are 0 to 999,999,999, also for negative offsets. */
static void split_offset(int64_t offset, long long *seconds_ret, long long *nanoseconds_ret)
{
	*seconds_ret = offset / SECOND_NS;
	*nanoseconds_ret = offset % SECOND_NS;
	if (*nanoseconds_ret < 0) {
		*nanoseconds_ret += SECOND_NS;
		*seconds_ret -= 1;
	}
}

/*
 * Children get the time namespace, we do not: its offsets can be written until the first process
 * enters it (time_namespaces(7)).
 */
static int enter_time_namespace(const struct thump_namespace_setup *setup)
{
	long long mono_s, mono_ns, boot_s, boot_ns;
	char text[160] = "";
	ssize_t len;

	if (unshare(CLONE_NEWTIME) < 0)
		return errno;
	{
		auto_close int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);

		len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
		if (len < 0)
			return errno;
		text[len] = '\0';
	}
	split_offset(
		wanted_offset(own_offset(text, "monotonic"), CLOCK_MONOTONIC, setup->monotonic_ns),
		&mono_s, &mono_ns);
	split_offset(
		wanted_offset(own_offset(text, "boottime"), CLOCK_BOOTTIME, setup->boottime_ns),
		&boot_s, &boot_ns);
	(void)snprintf(text, sizeof(text), "monotonic %lld %lld\nboottime %lld %lld\n", mono_s,
		       mono_ns, boot_s, boot_ns);
	return write_file("/proc/self/timens_offsets", text);
}

void thump_namespace_map_ids(struct thump_namespace_setup *setup)
{
	if (setup->user_namespace)
		setup->map_errno = write_maps(setup);
}

void thump_namespace_set_clocks(struct thump_namespace_setup *setup)
{
	if (!setup->map_errno)
		setup->time_errno = enter_time_namespace(setup);
}

void thump_namespace_mount_proc(struct thump_namespace_setup *setup)
{
	if (!setup->map_errno)
		setup->mount_errno = mount_proc();
}

void thump_namespace_enter(struct thump_namespace_setup *setup)
{
	thump_namespace_map_ids(setup);
	thump_namespace_set_clocks(setup);
	thump_namespace_mount_proc(setup);
}

static int probe_main(void *arg)
{
	struct thump_namespace_setup *setup = arg;

	thump_namespace_enter(setup);
	setup->pid_max = read_pid_max();
	return 0;
}

/* Runs the setup in a child that shares our memory and is gone on return; errno of clone or 0. */
static int try_namespaces(bool user_namespace, struct thump_namespace_setup *setup)
{
	char stack[PROBE_STACK_BYTES] __attribute__((aligned(16)));
	int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | THUMP_NAMESPACE_FLAGS;
	sigset_t all, before;
	int failed = 0;
	pid_t pid;

	*setup = (struct thump_namespace_setup){
		.user_namespace = user_namespace,
		.uid = geteuid(),
		.gid = getegid(),
	};
	if (user_namespace)
		flags |= CLONE_NEWUSER;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(probe_main, stack + sizeof(stack), flags, setup);
	if (pid < 0)
		failed = errno;
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return failed;
}

static void explain_clone(struct thump_abilities *abilities, int failed)
{
	const char *why = "a seccomp filter or security module of a container, or a chroot";

	if (failed == ENOSPC)
		why = "the limit in /proc/sys/user/max_*_namespaces is reached, or 0";
	else if (failed == EINVAL)
		why = "this kernel has none";
	else if (access("/proc/sys/kernel/unprivileged_userns_clone", F_OK) == 0)
		why = "kernel.unprivileged_userns_clone or a seccomp filter";
	SET_REASON(abilities->user_namespace_reason, "%s (%s)", strerror(failed), why);
}

static void explain_map(struct thump_abilities *abilities, int failed)
{
	const char *why = "its ids cannot be mapped";

	if (access("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", F_OK) == 0)
		why = "kernel.apparmor_restrict_unprivileged_userns leaves it without capabilities";
	else if (geteuid() == 0)
		why = "uid 0 without CAP_SETFCAP may not map itself";
	SET_REASON(abilities->user_namespace_reason, "%s (%s)", strerror(failed), why);
}

void thump_probe_namespaces(struct thump_abilities *abilities)
{
	struct thump_namespace_setup setup;
	int failed = try_namespaces(false, &setup);

	abilities->needs_user_namespace = failed == EPERM;
	if (failed == EPERM)
		failed = try_namespaces(true, &setup);
	if (failed) {
		explain_clone(abilities, failed);
		return;
	}
	if (setup.map_errno) {
		explain_map(abilities, setup.map_errno);
		return;
	}
	abilities->user_namespace = true;
	abilities->namespace_pid_max = setup.pid_max;
	abilities->mount_proc = setup.mount_errno == 0;
	if (setup.mount_errno)
		SET_REASON(abilities->mount_proc_reason, "%s%s", strerror(setup.mount_errno),
			   setup.mount_errno == EPERM
				   ? " (something is mounted over parts of /proc)"
				   : "");
	abilities->time_namespace = setup.time_errno == 0;
	if (setup.time_errno)
		SET_REASON(abilities->time_namespace_reason, "%s%s", strerror(setup.time_errno),
			   setup.time_errno == EINVAL ? " (this kernel has none)" : "");
}

/* ---- the rest ----------------------------------------------------------------------------- */

/* PAGEMAP_SCAN as in linux/fs.h since Linux 6.7; older headers lack it. */
struct pagemap_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_IOCTL _IOWR('f', 16, struct pagemap_scan_arg)

static bool probe_pagemap_scan(void)
{
	auto_close int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pagemap_scan_arg arg = { .size = sizeof(arg) };

	return fd >= 0 && ioctl(fd, PAGEMAP_SCAN_IOCTL, &arg) >= 0;
}

static bool probe_pidfd_getfd(void)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	auto_close int copy = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);

	return copy >= 0;
}

static bool probe_kcmp(void)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

static int read_yama_scope(void)
{
	auto_free char *text = NULL;

	if (thump_slurp(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", &text, NULL) < 0)
		return -1;
	return (int)strtol(text, NULL, 10);
}

void thump_probe_abilities(struct thump_abilities *abilities)
{
	struct thump_err err;

	memset(abilities, 0, sizeof(*abilities));
	thump_probe_set_tid(abilities);
	thump_probe_namespaces(abilities);
	abilities->pagemap_scan = probe_pagemap_scan();
	abilities->pidfd_getfd = probe_pidfd_getfd();
	abilities->kcmp = probe_kcmp();
	abilities->ptrace = thump_probe_ptrace();
	if (!abilities->ptrace)
		SET_REASON(abilities->ptrace_reason, "%s", strerror(errno));
	abilities->yama_scope = read_yama_scope();
	if (thump_pid_cursor(&abilities->last_pid, &abilities->pid_max, &err) < 0)
		abilities->last_pid = abilities->pid_max = 0; /* no /proc: doctor says so */
}
