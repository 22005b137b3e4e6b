/* SPDX-License-Identifier: Apache-2.0 */
/* What can be read from outside about the process as a whole, before and after the stop. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/fd.h"
#include "capture/context.h"
#include "proc/arch/cpu.h"
#include "proc/identity.h"
#include "proc/process.h"
#include "version.h"

/* ---- before the stop -------------------------------------------------------------------- */

int thump_capture_open(struct thump_capture *cap, struct thump_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", cap->options.pid);
	cap->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cap->proc_fd < 0 && errno == ENOENT)
		return thump_fail(err, "there is no process %d", cap->options.pid);
	if (cap->proc_fd < 0)
		return thump_fail_errno(err, "open %s", path);
	return thump_status_read(AT_FDCWD, "/proc/self/status", &cap->scratch, &cap->own_status,
				 err);
}

/* ---- after the stop --------------------------------------------------------------------- */

int thump_capture_facts(struct thump_capture *cap, struct thump_err *err)
{
	auto_free char *status = NULL, *stat = NULL, *env_text = NULL;
	size_t env_size = 0;

	if (thump_capture_slurp(cap, "status", &status, NULL, err) < 0 ||
	    thump_status_parse(status, &cap->model.arena, &cap->status, err) < 0 ||
	    thump_capture_slurp(cap, "stat", &stat, NULL, err) < 0 ||
	    thump_stat_parse(stat, &cap->stat, err) < 0)
		return -1;
	if (thump_capture_slurp(cap, "environ", &env_text, &env_size, err) == 0) {
		const char *tmpdir = thump_environ_find(env_text, env_size, "TMPDIR");

		cap->tmpdir = tmpdir ? thump_arena_strdup(&cap->scratch, tmpdir) : NULL;
	}
	return thump_capture_smaps(cap, err);
}

/* ---- machine ---------------------------------------------------------------------------- */

static uint64_t clock_ns(clockid_t clock_id)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock_id, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Same time namespace as ours? When in doubt (no permission, old kernel) the target is asked. */
static bool shares_time_namespace(const struct thump_capture *cap)
{
	char theirs[64], ours[64];
	ssize_t their_len = readlinkat(cap->proc_fd, "ns/time", theirs, sizeof(theirs));
	ssize_t our_len = readlink("/proc/self/ns/time", ours, sizeof(ours));

	return our_len > 0 && our_len == their_len && memcmp(theirs, ours, (size_t)our_len) == 0;
}

static int remote_clock(struct thump_capture *cap, clockid_t clock_id, uint64_t *ns_ret,
			struct thump_err *err)
{
	const uint64_t args[6] = { (uint64_t)clock_id, THUMP_AREA };
	int64_t now[2];
	long result;

	if (thump_capture_call(cap, THUMP_ANY_THREAD, SYS_clock_gettime, args, &result, err) < 0)
		return -1;
	if (result < 0)
		return thump_fail(err, "clock_gettime in the target: %s",
				  strerrordesc_np((int)-result));
	if (thump_capture_area(cap, now, sizeof(now), err) < 0)
		return -1;
	*ns_ret = (uint64_t)now[0] * 1000000000U + (uint64_t)now[1];
	return 0;
}

static int read_clocks(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_machine *machine = &cap->model.machine;

	machine->realtime_ns = clock_ns(CLOCK_REALTIME);
	machine->monotonic_ns = clock_ns(CLOCK_MONOTONIC);
	machine->boottime_ns = clock_ns(CLOCK_BOOTTIME);
	if (shares_time_namespace(cap) || cap->target->calls_refused)
		return 0;
	if (remote_clock(cap, CLOCK_MONOTONIC, &machine->monotonic_ns, err) < 0)
		return -1;
	return remote_clock(cap, CLOCK_BOOTTIME, &machine->boottime_ns, err);
}

static void read_cpu(struct thump_capture *cap)
{
	struct thump_machine *machine = &cap->model.machine;
	uint32_t words[THUMP_NR_CPU_WORDS];
	char name[49];

	thump_cpu_words(words);
	thump_cpu_name(name);
	machine->cpuid_words = thump_arena_memdup(&cap->model.arena, words, sizeof(words));
	machine->nr_cpuid_words = machine->cpuid_words ? THUMP_NR_CPU_WORDS : 0;
	machine->cpu_name = thump_arena_strdup(&cap->model.arena, name);
	machine->xcr0 = thump_cpu_xcr0();
	machine->xsave_size_bytes = cap->target->threads[0].xstate_size;
}

static char *read_word(struct thump_arena *arena, const char *path)
{
	auto_free char *text = NULL;

	if (thump_slurp(AT_FDCWD, path, &text, NULL) < 0)
		return thump_arena_strdup(arena, "");
	return thump_arena_strndup(arena, text, strcspn(text, "\n"));
}

int thump_capture_machine(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_machine *machine = &cap->model.machine;
	struct thump_arena *arena = &cap->model.arena;
	struct utsname names;
	const char *min_addr;

	if (uname(&names) < 0)
		return thump_fail_errno(err, "uname");
	machine->hostname = thump_arena_strdup(arena, names.nodename);
	machine->kernel_release = thump_arena_strdup(arena, names.release);
	machine->thump_version = thump_arena_strdup(arena, THUMP_VERSION);
	machine->boot_id = read_word(arena, "/proc/sys/kernel/random/boot_id");
	min_addr = read_word(arena, "/proc/sys/vm/mmap_min_addr");
	read_cpu(cap);
	if (!machine->hostname || !machine->kernel_release || !machine->thump_version ||
	    !machine->boot_id || !min_addr || !machine->cpuid_words || !machine->cpu_name)
		return thump_out_of_memory(err);
	machine->mmap_min_addr = strtoull(min_addr, NULL, 10);
	return read_clocks(cap, err);
}

/* ---- process ---------------------------------------------------------------------------- */

static int read_exe(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_process *process = &cap->model.process;
	auto_close int fd = openat(cap->proc_fd, "exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (thump_capture_readlink(cap, "exe", &cap->model.arena, &process->exe_path, err) < 0)
		return -1;
	if (fd < 0 || fstat(fd, &st) < 0) {
		thump_capture_refuse(cap, "executable",
				     "executable %s: cannot be read (%s), so it could not be "
				     "recognised at a restore",
				     process->exe_path, strerrordesc_np(errno));
		return 0;
	}
	if (st.st_nlink == 0)
		thump_capture_refuse(cap, "executable",
				     "executable %s: was deleted or replaced since the program "
				     "started; restart the program",
				     process->exe_path);
	if (thump_identity_read(fd, &process->exe_identity, err) < 0)
		return thump_add_context(err, "%s", process->exe_path);
	return 0;
}

static int read_folders(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_process *process = &cap->model.process;
	struct stat st;

	if (thump_capture_readlink(cap, "cwd", &cap->model.arena, &process->cwd, err) < 0 ||
	    thump_capture_readlink(cap, "root", &cap->model.arena, &process->root, err) < 0)
		return -1;
	if (fstatat(cap->proc_fd, "cwd", &st, 0) == 0 && st.st_nlink == 0)
		thump_capture_refuse(cap, "cwd", "working directory %s: was deleted", process->cwd);
	if (process->cwd[0] != '/')
		thump_capture_refuse(cap, "cwd",
				     "working directory %s: lies outside of the root directory",
				     process->cwd);
	if (strcmp(process->root, "/") != 0)
		thump_capture_refuse(cap, "chroot",
				     "root directory %s: a changed root directory (chroot(2)) "
				     "cannot be saved",
				     process->root);
	return 0;
}

static int read_numbers(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_process *process = &cap->model.process;
	auto_free char *limits = NULL, *personality = NULL, *oom = NULL;

	if (thump_capture_slurp(cap, "limits", &limits, NULL, err) < 0 ||
	    thump_limits_parse(limits, process->rlimits, err) < 0 ||
	    thump_capture_slurp(cap, "personality", &personality, NULL, err) < 0 ||
	    thump_capture_slurp(cap, "oom_score_adj", &oom, NULL, err) < 0)
		return -1;
	process->personality = (uint32_t)strtoul(personality, NULL, 16);
	process->oom_score_adj = (int32_t)strtol(oom, NULL, 10);
	return 0;
}

/* Arguments joined by spaces. */
static int read_cmdline(struct thump_capture *cap, struct thump_err *err)
{
	auto_free char *text = NULL;
	size_t size;

	if (thump_capture_slurp(cap, "cmdline", &text, &size, err) < 0)
		return -1;
	while (size && text[size - 1] == '\0')
		size--;
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\0')
			text[i] = ' ';
	}
	cap->model.process.cmdline = thump_arena_strndup(&cap->model.arena, text, size);
	return cap->model.process.cmdline ? 0 : thump_out_of_memory(err);
}

static int copy_runtime(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_runtime *runtime = &cap->model.process.runtime;

	*runtime = cap->options.runtime;
	if (!runtime->name)
		return 0;
	runtime->name = thump_arena_strdup(&cap->model.arena, runtime->name);
	return runtime->name ? 0 : thump_out_of_memory(err);
}

int thump_capture_process(struct thump_capture *cap, struct thump_err *err)
{
	struct thump_process *process = &cap->model.process;

	process->pid = cap->status.ns_tgid;
	process->pgid = cap->status.ns_pgid;
	process->sid = cap->status.ns_sid;
	process->pid_host = cap->options.pid;
	/* PPid is a number of our pid namespace; the parent may be unknown in the target's. */
	process->ppid = cap->status.nspid_levels == 1 ? cap->status.ppid : 0;
	process->tty_nr = (uint32_t)cap->stat.tty_nr;
	process->umask = cap->status.umask;
	if (process->umask == UINT32_MAX)
		return thump_fail(err, "/proc/%d/status has no Umask", cap->options.pid);
	if (read_exe(cap, err) < 0 || read_folders(cap, err) < 0 || read_numbers(cap, err) < 0)
		return -1;
	if (copy_runtime(cap, err) < 0)
		return -1;
	return read_cmdline(cap, err);
}
