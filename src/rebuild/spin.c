/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/spin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "rebuild/spawn.h"

#define TASK_STACK_BYTES 8192

/* ---- where the kernel stands -------------------------------------------------------------- */

int thump_pid_cursor(uint32_t *last_pid_ret, uint32_t *pid_max_ret, struct thump_err *err)
{
	auto_free char *loadavg = NULL, *pid_max = NULL;
	const char *last;

	/* proc(5): the fifth field is the pid that was given last in the reader's namespace. */
	if (thump_slurp(AT_FDCWD, "/proc/loadavg", &loadavg, NULL) < 0)
		return thump_fail_errno(err, "read /proc/loadavg");
	if (thump_slurp(AT_FDCWD, "/proc/sys/kernel/pid_max", &pid_max, NULL) < 0)
		return thump_fail_errno(err, "read /proc/sys/kernel/pid_max");
	last = strrchr(loadavg, ' ');
	if (!last)
		return thump_fail(err, "/proc/loadavg has no last pid: %s", loadavg);
	*last_pid_ret = (uint32_t)strtoul(last, NULL, 10);
	*pid_max_ret = (uint32_t)strtoul(pid_max, NULL, 10);
	return 0;
}

bool thump_spin_distance(uint32_t last_pid, uint32_t pid_max, uint32_t wanted,
			 uint64_t *distance_ret)
{
	uint32_t next = last_pid + 1;

	if (wanted >= pid_max || wanted < 1)
		return false;
	if (wanted >= next) {
		*distance_ret = wanted - next;
		return true;
	}
	if (wanted < THUMP_RESERVED_PIDS)
		return false; /* passed: after the turn the kernel begins at RESERVED_PIDS */
	*distance_ret = (uint64_t)(pid_max - next) + (wanted - THUMP_RESERVED_PIDS);
	return true;
}

bool thump_pid_taken(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

/* Copies the value of a line of /proc/PID/status ("\nTgid:\t") into value; false without it. */
static bool status_field(const char *status, const char *field, char *value, size_t value_size)
{
	const char *at = strstr(status, field);
	size_t len;

	if (!at)
		return false;
	at += strlen(field);
	len = strcspn(at, "\n");
	if (len >= value_size)
		len = value_size - 1;
	memcpy(value, at, len);
	value[len] = '\0';
	return true;
}

const char *thump_pid_holder(pid_t pid, char *text, size_t text_size)
{
	char path[64], name[64] = "?", tgid[32] = "", state[32] = "";
	auto_free char *status = NULL;
	const char *zombie;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (thump_slurp(AT_FDCWD, path, &status, NULL) < 0) {
		/* A number stays taken while a process group or session bears it. */
		(void)snprintf(text, text_size, "%s",
			       thump_pid_taken(pid) ? "a process that is hidden from us"
						    : "a process group or session of that number");
		return text;
	}
	(void)status_field(status, "Name:\t", name, sizeof(name));
	(void)status_field(status, "\nTgid:\t", tgid, sizeof(tgid));
	(void)status_field(status, "\nState:\t", state, sizeof(state));
	zombie = state[0] == 'Z' ? ", a zombie that its parent has not reaped" : "";
	if (strtol(tgid, NULL, 10) == pid)
		(void)snprintf(text, text_size, "process %d (\"%s\"%s)", (int)pid, name, zombie);
	else
		(void)snprintf(text, text_size, "thread %d of process %s (\"%s\")", (int)pid, tgid,
			       name);
	return text;
}

/* ---- tasks started in vain ---------------------------------------------------------------- */

static int task_main(void *unused)
{
	(void)unused;
	return 0;
}

int thump_spin_task(pid_t *pid_ret, struct thump_err *err)
{
	char stack[TASK_STACK_BYTES] __attribute__((aligned(16)));
	/* A thread that shares everything is the cheapest task there is, and nobody has to wait for
	 * it. CLONE_VFORK: we go on when it has left our memory, so its stack may lie on ours. All
	 * signals are blocked meanwhile: it must not be the one that gets them. */
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			  CLONE_THREAD | CLONE_SYSVSEM;
	sigset_t all, before;
	pid_t pid;
	int clone_errno;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	pid = clone(task_main, stack + sizeof(stack), flags, NULL);
	clone_errno = errno;
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	errno = clone_errno;
	if (pid < 0)
		return thump_fail_errno(err, "start a task to move the last pid on");
	*pid_ret = pid;
	return 0;
}

/* ---- fork with a wanted pid --------------------------------------------------------------- */

static int spawn_any(pid_t *pid_ret, struct thump_err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return thump_fail_errno(err, "fork");
	*pid_ret = pid;
	return 0;
}

/*
 * clone3 behind glibc's back, but with the one thing that fork does for it: the thread descriptor
 * of the child gets the child's tid, and the kernel clears it at its end.
 */
static pid_t clone_with_pid(pid_t wanted)
{
	int *tid_address = NULL;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&wanted,
		.set_tid_size = 1,
	};

	if (prctl(PR_GET_TID_ADDRESS, &tid_address) == 0 && tid_address) {
		args.flags = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
		args.child_tid = (uintptr_t)tid_address;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static int spawn_set_tid(pid_t wanted, pid_t *pid_ret, struct thump_err *err)
{
	char holder[160];
	pid_t pid = clone_with_pid(wanted);

	if (pid < 0 && errno == EEXIST) {
		(void)thump_refuse(err, "pid %d is taken by %s", (int)wanted,
				   thump_pid_holder(wanted, holder, sizeof(holder)));
		err->sys_errno = EEXIST; /* thump_rebuild_start tries another way */
		return -1;
	}
	if (pid < 0 && errno == EINVAL)
		return thump_refuse(err,
				    "pid %d is not to be had: it is above pid_max, or the pid "
				    "namespace has no pid 1",
				    (int)wanted);
	if (pid < 0)
		return thump_fail_errno(err, "clone3 with pid %d", (int)wanted);
	*pid_ret = pid;
	return 0;
}

static int check_distance(pid_t wanted, uint64_t limit, uint64_t *distance_ret,
			  struct thump_err *err)
{
	uint32_t last_pid, pid_max;
	char holder[160];

	if (thump_pid_cursor(&last_pid, &pid_max, err) < 0)
		return -1;
	if (thump_pid_taken(wanted))
		return thump_refuse(err, "pid %d is taken by %s", (int)wanted,
				    thump_pid_holder(wanted, holder, sizeof(holder)));
	if (!thump_spin_distance(last_pid, pid_max, (uint32_t)wanted, distance_ret))
		return thump_refuse(err,
				    "pid %d does not come up again: the last pid is %u, "
				    "pid_max is %u, and pids below %d are given only once",
				    (int)wanted, last_pid, pid_max, THUMP_RESERVED_PIDS);
	if (*distance_ret > limit)
		return thump_refuse(err,
				    "pid %d is %llu tasks away and at most %llu are to be started "
				    "(last pid %u, pid_max %u, about %.1f seconds)",
				    (int)wanted, (unsigned long long)*distance_ret,
				    (unsigned long long)limit, last_pid, pid_max,
				    (double)*distance_ret * THUMP_SPIN_TASK_US / 1e6);
	return 0;
}

/* REFUSED unless `wanted` comes up within `limit` more tasks; EEXIST lets another way be tried. */
static int spin_check(pid_t wanted, uint64_t limit, uint64_t *distance_ret, struct thump_err *err)
{
	int result = check_distance(wanted, limit, distance_ret, err);

	if (result < 0 && err->code == THUMP_REFUSED)
		err->sys_errno = EEXIST;
	return result;
}

/* Forks when `wanted` is next. 1 when somebody else was faster: the child has ended itself. */
static int spin_fork(pid_t wanted, pid_t *pid_ret, struct thump_err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return thump_fail_errno(err, "fork");
	if (pid == 0 && getpid() != wanted)
		_exit(0);
	if (pid != 0 && pid != wanted) {
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		return 1;
	}
	*pid_ret = pid;
	return 0;
}

static int spawn_spinning(pid_t wanted, uint32_t spin_limit, pid_t *pid_ret, uint64_t *spins_ret,
			  struct thump_err *err)
{
	uint64_t limit = spin_limit ? spin_limit : THUMP_DEFAULT_SPIN_LIMIT, spins = 0, distance;

	for (;;) {
		int result;

		if (spin_check(wanted, limit - thump_min_u64(spins, limit), &distance, err) < 0)
			return -1;
		/* Others start tasks, too: look again after every run of tasks. */
		for (uint64_t i = 0; i < distance; i++, spins++) {
			pid_t pid;

			if (thump_spin_task(&pid, err) < 0)
				return -1;
			if (pid == wanted - 1 || pid == wanted)
				break;
		}
		result = spin_fork(wanted, pid_ret, err);
		if (result <= 0) {
			*spins_ret = spins;
			return result;
		}
		spins++;
	}
}

int thump_spawn_with_pid(enum thump_pid_way way, pid_t wanted, uint32_t spin_limit, pid_t *pid_ret,
			 uint64_t *spins_ret, struct thump_err *err)
{
	*spins_ret = 0;
	switch (way) {
	case THUMP_WAY_SET_TID:
		return spawn_set_tid(wanted, pid_ret, err);
	case THUMP_WAY_SPIN:
		return spawn_spinning(wanted, spin_limit, pid_ret, spins_ret, err);
	case THUMP_WAY_OTHER:
		return spawn_any(pid_ret, err);
	case THUMP_WAY_NONE:
	case THUMP_WAY_NAMESPACE:
		break;
	}
	return thump_fail(err, "way %d is none to start a process with", (int)way);
}
