/* SPDX-License-Identifier: Apache-2.0 */
/* Does the image fit this machine and this user? Everything that can be known beforehand. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "proc/arch/cpu.h"
#include "proc/identity.h"
#include "proc/status.h"
#include "rebuild/arch/arch.h"
#include "rebuild/plan.h"
#include "rebuild/verified.h"
#include "trace/probe.h"

#define LAZY_MAX_VMAS	     20000
#define DEFAULT_MIN_ADDR     65536
#define COMMON_ADDRESS_SPACE ((uint64_t)0x7ffffffff000)

static bool have_cap(unsigned cap)
{
	return (thump_caps_sets().effective & THUMP_CAP_BIT(cap)) != 0;
}

/* ---- the machine ---------------------------------------------------------------------------- */

/* Of glibc, which alone has such a binder. */
static bool has_lazy_binder(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_backings; i++) {
		const char *path = model->backings[i].path;
		const char *name = path ? strrchr(path, '/') : NULL;

		if (name && strncmp(name, "/ld-linux-", strlen("/ld-linux-")) == 0)
			return true;
	}
	return false;
}

static void check_registers(struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_machine *machine = &plan->model->machine;
	const int level = plan->options.cpu_level;
	struct thump_xstate_layout layout;
	uint64_t allowed_xcr0;

	thump_xstate_layout_here(machine, &layout);
	allowed_xcr0 = level ? thump_cpu_level_xcr0(level) : layout.xcr0;
	if (thump_xsave_outgrows(machine, &layout) && has_lazy_binder(plan->model))
		thump_problem_add(problems, false, -1, "xsave-size",
				  "the program was started where registers take less room (XCR0 "
				  "%#llx, here %#llx, and no XSAVEC): its dynamic linker may save "
				  "more than it has room for. Start it with thump run --cpu there",
				  (unsigned long long)machine->xcr0,
				  (unsigned long long)layout.xcr0);
	for (uint32_t i = 0; i < plan->model->nr_tasks; i++) {
		const struct thump_task *task = &plan->model->tasks[i];

		if (!thump_xstate_fits(task, machine, &layout) ||
		    (thump_xstate_in_use(task->xstate, task->xstate_size) & ~allowed_xcr0))
			thump_problem_add(
				problems, false, -1, "xsave",
				"the extended registers of thread %d (saved with %u bytes, "
				"XCR0 %#llx) cannot be loaded here (%u bytes, XCR0 %#llx)",
				task->tid, machine->xsave_size_bytes,
				(unsigned long long)machine->xcr0, layout.size_bytes,
				(unsigned long long)(layout.xcr0 & allowed_xcr0));
	}
}

static void check_cpu(struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_machine *machine = &plan->model->machine;
	const int level = plan->options.cpu_level;
	uint32_t here[THUMP_NR_CPU_WORDS], allowed[THUMP_NR_CPU_WORDS];
	char missing[512];

	thump_cpu_words(here);
	if (level) {
		thump_cpu_level_words(level, allowed);
		for (size_t i = 0; i < THUMP_NR_CPU_WORDS; i++)
			here[i] &= allowed[i];
	}
	if (thump_cpu_missing(machine->cpuid_words, machine->nr_cpuid_words, here, missing,
			      sizeof(missing)) > 0)
		thump_problem_add(problems, false, -1, "cpu",
				  "%s lacks what the program may have chosen its code by "
				  "(the image is from %s): %s",
				  level ? "a CPU of the level that --cpu names" : "this CPU",
				  machine->cpu_name ? machine->cpu_name : "another CPU", missing);
}

static uint64_t read_min_addr(void)
{
	auto_free char *text = NULL;

	if (thump_slurp(AT_FDCWD, "/proc/sys/vm/mmap_min_addr", &text, NULL) < 0)
		return DEFAULT_MIN_ADDR;
	return strtoull(text, NULL, 10);
}

/* Whether mmap(2) would hand out an address if it were asked for it. */
static bool address_exists(uint64_t addr)
{
	void *page = mmap((void *)(uintptr_t)addr, THUMP_PAGE_SIZE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (page == MAP_FAILED)
		return errno == EEXIST;
	(void)munmap(page, THUMP_PAGE_SIZE);
	return (uint64_t)(uintptr_t)page == addr;
}

static void check_addresses(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_model *model = plan->model;
	uint64_t min_addr, lowest, highest = 0;

	if (model->nr_vmas == 0)
		return;
	lowest = model->vmas[0].start;
	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (model->vmas[i].kind != THUMP_VMA_VSYSCALL)
			highest = model->vmas[i].end;
	}
	/* Nobody sets it higher than 1 MiB; reading it is not worth it otherwise. */
	min_addr = lowest < (1 << 20) ? read_min_addr() : 0;
	if (lowest < min_addr && !have_cap(CAP_SYS_RAWIO))
		thump_problem_add(problems, false, -1, "addresses",
				  "%#llx is mapped, and vm.mmap_min_addr is %#llx here",
				  (unsigned long long)lowest, (unsigned long long)min_addr);
	if (highest > COMMON_ADDRESS_SPACE && !address_exists(highest - THUMP_PAGE_SIZE))
		thump_problem_add(problems, false, -1, "addresses",
				  "%#llx is mapped, which is beyond this machine's address space",
				  (unsigned long long)highest - 1);
	if (!thump_place_blob(model))
		thump_problem_add(problems, false, -1, "addresses",
				  "the program's mappings leave no gap of 1 GiB");
}

/* A start finds out for itself: trying it takes a process. */
static void check_ptrace(const struct thump_plan *plan, struct thump_problems *problems)
{
	if (!plan->options.assume_namespaces && !thump_probe_ptrace())
		thump_problem_add(problems, false, -1, "ptrace",
				  "a new process of our own may not be traced (%s): yama's "
				  "ptrace_scope 3, or a seccomp filter",
				  strerrordesc_np(errno));
}

int thump_check_machine(struct thump_plan *plan, struct thump_problems *problems,
			struct thump_err *err)
{
	if (sysconf(_SC_PAGESIZE) != (long)THUMP_PAGE_SIZE)
		thump_problem_add(problems, false, -1, "page-size",
				  "pages are %ld bytes here, and %llu in the image",
				  sysconf(_SC_PAGESIZE), (unsigned long long)THUMP_PAGE_SIZE);
	check_cpu(plan, problems);
	check_registers(plan, problems);
	check_addresses(plan, problems);
	check_ptrace(plan, problems);
	return thump_check_vdso(plan, problems, err);
}

/* ---- whose image, whose process ------------------------------------------------------------ */

void thump_check_owner(struct thump_plan *plan, struct thump_problems *problems)
{
	const struct stat *origin = thump_image_origin(plan->image);

	if (plan->options.trust_any_owner)
		return;
	if (origin->st_uid != 0 && origin->st_uid != geteuid())
		thump_problem_add(problems, false, -1, "owner",
				  "the image belongs to uid %u: whoever wrote it decides what runs "
				  "(--trust-any-owner restores it all the same)",
				  origin->st_uid);
	if (origin->st_mode & (S_IWGRP | S_IWOTH))
		thump_problem_add(problems, false, -1, "owner",
				  "others may write the image (mode %04o; chmod go-w, or "
				  "--trust-any-owner)",
				  origin->st_mode & 07777);
}

static bool one_identity(const struct thump_creds *creds)
{
	return creds->uid == creds->euid && creds->uid == creds->suid &&
	       creds->uid == creds->fsuid && creds->gid == creds->egid &&
	       creds->gid == creds->sgid && creds->gid == creds->fsgid;
}

static bool ids_are_ours(const struct thump_creds *creds)
{
	uid_t uid, euid, suid;
	gid_t gid, egid, sgid;

	return one_identity(creds) && getresuid(&uid, &euid, &suid) == 0 &&
	       getresgid(&gid, &egid, &sgid) == 0 && uid == creds->uid && euid == creds->uid &&
	       suid == creds->uid && gid == creds->gid && egid == creds->gid && sgid == creds->gid;
}

/* Whether an id exists in our user namespace: lines of "inside outside count" (user_namespaces(7)).
 */
static bool is_mapped(const char *map_path, uint32_t id)
{
	auto_free char *text = NULL;
	char *rest, *line;

	if (thump_slurp(AT_FDCWD, map_path, &text, NULL) < 0)
		return true; /* setresuid(2) will tell */
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		unsigned long inside, count;

		if (sscanf(line, "%lu %*u %lu", &inside, &count) == 2 && id >= inside &&
		    id - inside < count)
			return true;
	}
	return false;
}

/* Taking on the image's ids is never more than we may: we could run the program so ourselves. */
static bool may_set_ids(const struct thump_creds *creds)
{
	const uint64_t needed = THUMP_CAP_BIT(CAP_SETUID) | THUMP_CAP_BIT(CAP_SETGID) |
				THUMP_CAP_BIT(CAP_SYS_PTRACE);

	return (thump_caps_sets().effective & needed) == needed &&
	       is_mapped("/proc/self/uid_map", creds->uid) &&
	       is_mapped("/proc/self/gid_map", creds->gid);
}

void thump_check_ids(struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_creds *creds = &plan->model->process.creds;

	if (creds->securebits != (uint32_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0))
		thump_problem_add(problems, false, -1, "securebits",
				  "the program's securebits are %#x, ours are not; they are not "
				  "restored",
				  creds->securebits);
	if (ids_are_ours(creds)) {
		plan->ids = THUMP_IDS_SAME;
	} else if (one_identity(creds) && may_set_ids(creds)) {
		plan->ids = THUMP_IDS_SET;
	} else if (one_identity(creds)) {
		plan->ids = THUMP_IDS_CALLER;
		thump_problem_add(problems, true, -1, "ids",
				  "the program ran as uid %u, gid %u, and goes on as uid %u, "
				  "gid %u",
				  creds->uid, creds->gid, getuid(), getgid());
	} else {
		thump_problem_add(problems, false, -1, "ids",
				  "the program has several identities (uid %u %u %u, gid %u %u "
				  "%u), and they are not ours",
				  creds->uid, creds->euid, creds->suid, creds->gid, creds->egid,
				  creds->sgid);
	}
}

/* ---- files --------------------------------------------------------------------------------- */

static void check_exe_identity(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_process *process = &plan->model->process;
	struct thump_file_identity here;
	struct thump_err err;

	if (thump_identity_read(plan->exe_fd, &here, &err) < 0)
		thump_problem_add(problems, false, -1, "exe", "%s: %s", process->exe_path,
				  err.text);
	else if (!thump_identity_same(&process->exe_identity, &here))
		thump_problem_add(problems, false, -1, "exe",
				  "%s is another file than when the image was taken",
				  process->exe_path);
}

static bool is_noexec(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) == 0 && (fs.f_flag & ST_NOEXEC);
}

static void check_exe(struct thump_plan *plan, struct thump_problems *problems)
{
	const char *path = plan->model->process.exe_path;
	struct thump_err why = THUMP_ERR_INIT;

	if (thump_open_regular(path, O_RDONLY | O_CLOEXEC, &plan->exe_fd, &why) < 0) {
		thump_problem_add(problems, false, -1, "exe", "%s: %s", path, why.text);
		return;
	}
	check_exe_identity(plan, problems);
	if (is_noexec(plan->exe_fd))
		thump_problem_add(problems, false, -1, "exe", "%s is on a noexec file system",
				  path);
	else if (plan->ids != THUMP_IDS_SET && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		thump_problem_add(problems, false, -1, "exe", "%s may not be executed: %s", path,
				  strerrordesc_np(errno));
}

static void check_noexec(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_model *model = plan->model;
	uint32_t checked = THUMP_NO_ID;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];
		int fd;

		if (!(vma->prot & PROT_EXEC) || vma->backing_id == THUMP_NO_ID ||
		    vma->backing_id == checked || vma->backing_id >= model->nr_backings)
			continue;
		checked = vma->backing_id;
		fd = plan->rb.backing_fds[vma->backing_id];
		if (fd >= 0 && is_noexec(fd))
			thump_problem_add(problems, false, -1, "noexec",
					  "%s is on a noexec file system, and its code is mapped",
					  model->backings[vma->backing_id].path);
	}
}

static void check_cwd(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_process *process = &plan->model->process;
	struct stat st;

	if (process->root && strcmp(process->root, "/") != 0)
		thump_problem_add(problems, false, -1, "root",
				  "the program's root directory is %s; that is not restored",
				  process->root);
	if (stat(process->cwd, &st) < 0)
		thump_problem_add(problems, false, -1, "cwd", "working directory %s: %s",
				  process->cwd, strerrordesc_np(errno));
	else if (!S_ISDIR(st.st_mode))
		thump_problem_add(problems, false, -1, "cwd",
				  "working directory %s is no directory", process->cwd);
}

int thump_check_files(struct thump_plan *plan, struct thump_problems *problems,
		      struct thump_err *err)
{
	if (thump_check_fds_as_program(plan, problems, err) < 0)
		return -1;
	check_exe(plan, problems);
	check_noexec(plan, problems);
	check_cwd(plan, problems);
	return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct unsupported {
	uint32_t trait;
	const char *what;
};

static const struct unsupported unsupported[] = {
	{ THUMP_VMA_HUGETLB, "hugetlbfs memory" },
	{ THUMP_VMA_IO, "memory of a device" },
	{ THUMP_VMA_UFFD, "memory registered with userfaultfd" },
	{ THUMP_VMA_SHADOW_STACK, "a shadow stack" },
	{ THUMP_VMA_SYNC, "a mapping with MAP_SYNC" },
};

static void check_mappings(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_model *model = plan->model;
	uint64_t locked = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		const struct thump_vma *vma = &model->vmas[i];

		if (thump_vma_is_kernels(vma))
			continue;
		for (size_t u = 0; u < THUMP_ARRAY_SIZE(unsupported); u++) {
			if (vma->traits & unsupported[u].trait)
				thump_problem_add(problems, false, -1, "memory",
						  "%s at %#llx-%#llx is not restored",
						  unsupported[u].what,
						  (unsigned long long)vma->start,
						  (unsigned long long)vma->end);
		}
		if (vma->traits & THUMP_VMA_LOCKED)
			locked += vma->end - vma->start;
	}
	if (locked > plan->own_rlimits[RLIMIT_MEMLOCK].hard && !have_cap(CAP_IPC_LOCK))
		thump_problem_add(problems, false, -1, "memlock",
				  "%llu bytes are locked in memory, and the limit is %llu here",
				  (unsigned long long)locked,
				  (unsigned long long)plan->own_rlimits[RLIMIT_MEMLOCK].hard);
}

static bool is_network_fs(long type)
{
	static const uint32_t types[] = {
		0x6969,	    /* nfs */
		0x517b,	    /* smb */
		0xff534d42, /* cifs */
		0xfe534d42, /* smb2 */
		0x01021997, /* 9p */
		0x65735546, /* fuse */
		0x00c36400, /* ceph */
		0x5346414f, /* afs */
	};

	for (size_t i = 0; i < THUMP_ARRAY_SIZE(types); i++) {
		if ((uint32_t)type == types[i])
			return true;
	}
	return false;
}

/* Why the image is not mapped lazily, or NULL. */
static const char *lazy_obstacle(const struct thump_plan *plan)
{
	struct statfs fs;

	if (plan->model->nr_vmas > LAZY_MAX_VMAS)
		return "the program has too many mappings";
	if (thump_image_is_unpacked(plan->image))
		return "the image is packed, or comes from a pipe";
	if (fstatfs(thump_image_fd(plan->image), &fs) < 0)
		return "its file system does not answer";
	if (is_network_fs(fs.f_type))
		return "the image is on a network or user-space file system";
	if (fs.f_flags & ST_NOEXEC)
		return "the image is on a noexec file system";
	return NULL;
}

/* Not asked for programs that are too small for any. */
static bool read_huge_pages(const struct thump_model *model)
{
	auto_free char *text = NULL;
	uint64_t biggest = 0;

	for (uint32_t i = 0; i < model->nr_vmas; i++)
		if (model->vmas[i].nr_extents &&
		    model->vmas[i].end - model->vmas[i].start > biggest)
			biggest = model->vmas[i].end - model->vmas[i].start;
	if (biggest < THUMP_HUGE_PAGE_SIZE)
		return false;

	return thump_slurp(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", &text, NULL) ==
		       0 &&
	       !strstr(text, "[never]");
}

static enum thump_memory_mode choose_memory(const struct thump_plan *plan,
					    struct thump_problems *problems)
{
	enum thump_memory_mode memory = plan->options.memory;
	const char *obstacle;

	if (memory == THUMP_MEMORY_AUTO)
		memory = plan->model->nr_vouched ? THUMP_MEMORY_LAZY : THUMP_MEMORY_EAGER;
	if (memory == THUMP_MEMORY_EAGER)
		return memory;
	/* Unpacked memory belongs to us alone: nobody expects it to be mapped. */
	if (plan->options.memory == THUMP_MEMORY_AUTO && thump_image_is_unpacked(plan->image))
		return THUMP_MEMORY_EAGER;
	obstacle = lazy_obstacle(plan);
	if (!obstacle)
		return memory;
	thump_problem_add(problems, true, -1, "lazy", "memory is read eagerly: %s", obstacle);
	return THUMP_MEMORY_EAGER;
}

/* What the kernel maps is checked here, with all else, once. Without a note or record, what is read
 * is checked as it is read. */
static int verify_mapped(struct thump_plan *plan, struct thump_err *err)
{
	int fd = thump_image_fd(plan->image);
	struct thump_file_state state;
	struct stat st;
	int result;

	/* Before the content: a file that changes meanwhile is another file to the note. */
	if (fstat(fd, &st) < 0)
		return thump_fail_errno(err, "stat the image");
	state = thump_file_state_of(&st);
	plan->content_known = !plan->options.verify && (thump_is_verified(fd, &state) ||
							thump_image_is_recorded(plan->image));
	if (plan->content_known)
		return 0;
	/* thump_prefetch_start() may have asked for no read-ahead. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL);
	result = thump_image_verify(plan->image, plan->options.progress, plan->options.progress_ctx,
				    err);
	if (plan->options.progress)
		plan->options.progress(plan->options.progress_ctx, state.size_bytes,
				       state.size_bytes);
	if (result == 0)
		thump_note_verified(&state);
	return result;
}

int thump_check_memory(struct thump_plan *plan, struct thump_problems *problems,
		       struct thump_err *err)
{
	check_mappings(plan, problems);
	plan->huge_pages = read_huge_pages(plan->model);
	plan->memory = choose_memory(plan, problems);
	/* What a clone inherits was checked when its template was made. */
	if (plan->memory == THUMP_MEMORY_EAGER || plan->options.part == THUMP_PART_CLONE)
		return 0;
	return verify_mapped(plan, err);
}

/* ---- limits, scheduling -------------------------------------------------------------------- */

static const char *const rlimit_names[THUMP_NR_RLIMITS] = {
	[RLIMIT_CPU] = "cpu",		[RLIMIT_FSIZE] = "fsize",
	[RLIMIT_DATA] = "data",		[RLIMIT_STACK] = "stack",
	[RLIMIT_CORE] = "core",		[RLIMIT_RSS] = "rss",
	[RLIMIT_NPROC] = "nproc",	[RLIMIT_NOFILE] = "nofile",
	[RLIMIT_MEMLOCK] = "memlock",	[RLIMIT_AS] = "as",
	[RLIMIT_LOCKS] = "locks",	[RLIMIT_SIGPENDING] = "sigpending",
	[RLIMIT_MSGQUEUE] = "msgqueue", [RLIMIT_NICE] = "nice",
	[RLIMIT_RTPRIO] = "rtprio",	[RLIMIT_RTTIME] = "rttime",
};

/* On a page of our own: EINVAL before Linux 6.13. */
static void check_guards(const struct thump_plan *plan, struct thump_problems *problems)
{
	void *page;

	if (plan->model->nr_guards == 0)
		return;
	page = mmap(NULL, THUMP_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || madvise(page, THUMP_PAGE_SIZE, THUMP_MADV_GUARD_INSTALL) < 0)
		thump_problem_add(problems, false, -1, "guard-region",
				  "guard regions (MADV_GUARD_INSTALL): this kernel has none "
				  "(Linux 6.13)");
	if (page != MAP_FAILED)
		(void)munmap(page, THUMP_PAGE_SIZE);
}

/* It cannot be taken back; execve(2) of the program will give no rights of files any more. */
static void check_no_new_privs(const struct thump_plan *plan, struct thump_problems *problems)
{
	if (!plan->model->process.creds.no_new_privs && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0)
		thump_problem_add(problems, true, -1, "no-new-privs",
				  "thump restore has no_new_privs, which the program had not: what "
				  "it executes gains no rights from set-user-ID bits or file "
				  "capabilities");
}

static int own_filters(uint32_t *count_ret)
{
	struct thump_err ignored = THUMP_ERR_INIT;
	struct thump_arena arena;
	struct thump_status status = { 0 };
	int result;

	thump_arena_init(&arena);
	result = thump_status_read(AT_FDCWD, "/proc/self/status", &arena, &status, &ignored);
	*count_ret = status.seccomp_filters;
	thump_arena_deinit(&arena);
	return result;
}

/* Neither can these. */
static void check_filters(const struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_creds *creds = &plan->model->process.creds;
	uint32_t own;

	if (!creds->seccomp_filters_known ||
	    prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER || own_filters(&own) < 0)
		return;
	if (own > creds->seccomp_filters)
		thump_problem_add(problems, true, -1, "seccomp",
				  "thump restore has %u seccomp filters, and the program had %u: "
				  "system calls that it could make may fail now, or end it",
				  own, creds->seccomp_filters);
}

static bool has_pkey(const struct thump_model *model)
{
	for (uint32_t i = 0; i < model->nr_vmas; i++)
		if (model->vmas[i].pkey)
			return true;
	return false;
}

/* V8 (Node.js) allocates one that it never uses: that is no reason to refuse. */
static void check_pkeys(struct thump_plan *plan, struct thump_problems *problems)
{
	int key;

	if (!plan->model->mm.pkeys)
		return;
	key = pkey_alloc(0, 0);
	if (key >= 0) {
		plan->have_pkeys = true;
		(void)pkey_free(key);
		return;
	}
	thump_problem_add(problems, !has_pkey(plan->model), -1, "pkey",
			  "memory protection keys (pkeys(7)): this processor or kernel has none");
}

static void check_rlimits(struct thump_plan *plan, struct thump_problems *problems)
{
	char names[256] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		const struct thump_rlimit *image = &plan->model->process.rlimits[i];
		struct thump_rlimit *own = &plan->own_rlimits[i];
		struct rlimit limit = { 0 };

		if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
			*own = (struct thump_rlimit){ limit.rlim_cur, limit.rlim_max };
		plan->rlimits[i].hard = thump_min_u64(image->hard, own->hard);
		plan->rlimits[i].soft = thump_min_u64(image->soft, own->hard);
		/* Only a lower soft limit is felt. */
		if (image->soft > own->hard)
			used += (size_t)snprintf(names + used, sizeof(names) - used, " %s",
						 rlimit_names[i]);
	}
	if (used)
		thump_problem_add(problems, true, -1, "rlimit",
				  "resource limits are lower than the program's here:%s", names);
}

static bool is_same_boot(const struct thump_model *model)
{
	auto_free char *boot_id = NULL;
	size_t len;

	if (!model->machine.boot_id ||
	    thump_slurp(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot_id, NULL) < 0)
		return false;
	len = strcspn(boot_id, "\n");
	return strlen(model->machine.boot_id) >= len &&
	       strncmp(boot_id, model->machine.boot_id, len) == 0;
}

static void check_priorities(struct thump_plan *plan, struct thump_problems *problems)
{
	const struct thump_model *model = plan->model;
	bool may = false;

	for (uint32_t i = 0; i < model->nr_tasks && !may; i++) {
		const struct thump_task *task = &model->tasks[i];

		if (task->nice >= plan->inherited.nice && !task->sched_priority)
			continue;
		may = have_cap(CAP_SYS_NICE);
		if (!may)
			thump_problem_add(problems, true, -1, "priority",
					  "thread %d had nice %d, real-time priority %d; it gets "
					  "that only as far as RLIMIT_NICE and RLIMIT_RTPRIO allow",
					  task->tid, task->nice, task->sched_priority);
	}
}

static void check_oom_score(struct thump_plan *plan, struct thump_problems *problems)
{
	int wanted = plan->model->process.oom_score_adj;
	auto_free char *text = NULL;
	int own;

	if (thump_slurp(AT_FDCWD, "/proc/self/oom_score_adj", &text, NULL) < 0)
		return;
	own = (int)strtol(text, NULL, 10);
	plan->set_oom_score = wanted != own;
	if (wanted < own && !have_cap(CAP_SYS_RESOURCE))
		thump_problem_add(problems, true, -1, "oom-score",
				  "oom_score_adj was %d and stays %d: lowering it takes "
				  "CAP_SYS_RESOURCE",
				  wanted, own);
}

void thump_check_limits(struct thump_plan *plan, struct thump_problems *problems)
{
	plan->inherited = thump_inherited_of_us();
	/* Only of interest for affinities. */
	plan->same_boot =
		thump_affinity_restricts(plan, &plan->model->tasks[0]) && is_same_boot(plan->model);
	check_guards(plan, problems);
	check_pkeys(plan, problems);
	check_no_new_privs(plan, problems);
	check_filters(plan, problems);
	check_rlimits(plan, problems);
	check_priorities(plan, problems);
	check_oom_score(plan, problems);
}
