/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fits is brought to life; what does not fit is listed; what fails leaves nothing.
 */
#include "rebuild_rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "base/note.h"

/* ---- what fits ----------------------------------------------------------------------------- */

static void test_lives_and_ends(void **state)
{
	struct rig *rig = *state;
	pid_t child;
	int status;

	assert_starts(rig, &child);
	status = wait_for(child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS);
	assert_true(rig->report.total_ns > 0);
	assert_true(rig->report.pid_host > 0);
}

static void test_one_plan_starts_again(void **state)
{
	struct rig *rig = *state;
	pid_t child;

	assert_starts(rig, &child);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
		thump_close_fd(&rig->report.control_fd);
		if (thump_rebuild_start(rig->plan, &rig->report, &child, &rig->err) < 0)
			fail_msg("%s", rig->err.text);
	}
	assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
}

static void test_mapped_lazily(void **state)
{
	struct rig *rig = *state;
	pid_t child;

	rig->options.memory = THUMP_MEMORY_LAZY_UNSAFE;
	rig->options.verify = true;
	assert_starts(rig, &child);
	assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
}

/* The program dies as it would have died: its own doing, not ours. */
struct progress {
	unsigned calls;
	uint64_t done_bytes, total_bytes;
};

static void note_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
	struct progress *progress = ctx;

	progress->calls++;
	progress->done_bytes = done_bytes;
	progress->total_bytes = total_bytes;
}

/* A bar that its last call does not take away would stay on the program's terminal. */
static void expect_progress_ends(struct rig *rig, enum thump_memory_mode memory)
{
	struct progress progress = { 0 };
	pid_t child;

	rig->options.memory = memory;
	rig->options.verify = true;
	rig->options.allowed_ways = 1u << THUMP_WAY_SPIN | 1u << THUMP_WAY_SET_TID;
	rig->options.progress = note_progress;
	rig->options.progress_ctx = &progress;
	assert_starts(rig, &child);
	assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
	assert_true(progress.calls >= 2);
	assert_true(progress.total_bytes > 0);
	assert_int_equal(progress.done_bytes, progress.total_bytes);
}

static void test_progress_of_what_is_read(void **state)
{
	expect_progress_ends(*state, THUMP_MEMORY_EAGER);
}

static void test_progress_of_what_is_mapped(void **state)
{
	expect_progress_ends(*state, THUMP_MEMORY_LAZY_UNSAFE);
}

static void test_its_own_crash_is_its_own(void **state)
{
	struct rig *rig = *state;
	pid_t child;
	int status;

	rig->task.regs.rip = CODE + CODE_UD2;
	assert_starts(rig, &child);
	status = wait_for(child);
	/* Our init of a namespace ends with 128 + the signal. */
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGILL);
	else
		assert_int_equal(WEXITSTATUS(status), 128 + SIGILL);
}

/* A pending signal that is not blocked is the first thing that happens. */
static void test_pending_signal_arrives(void **state)
{
	struct rig *rig = *state;
	struct thump_siginfo info = { 0 };
	const int32_t signo = SIGXCPU;
	pid_t child;
	int status;

	memcpy(info.bytes, &signo, sizeof(signo));
	rig->model.process.pending = &info;
	rig->model.process.nr_pending = 1;
	assert_starts(rig, &child);
	status = wait_for(child);
	assert_int_equal(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128,
			 SIGXCPU);
}

/* ---- what fails ---------------------------------------------------------------------------- */

static void test_no_syscall_instruction(void **state)
{
	struct rig *rig = *state;

	rig->model.mm.syscall_insn = CODE;
	assert_fails(rig, "no system call instruction");
	assert_int_equal(rig->err.code, THUMP_DAMAGED);
}

static void test_kernel_selectors(void **state)
{
	struct rig *rig = *state;

	rig->task.regs.cs = 0x10;
	assert_fails(rig, "registers of thread");
}

static void test_tls_base_beyond_user_space(void **state)
{
	struct rig *rig = *state;

	rig->task.regs.fs_base = UINT64_C(0xffff800000000000);
	assert_fails(rig, "registers of thread");
}

static void test_failing_step_is_named(void **state)
{
	struct rig *rig = *state;

	rig->task.altstack_sp = STACK;
	rig->task.altstack_size = 16; /* less than MINSIGSTKSZ */
	rig->task.altstack_flags = 0;
	assert_fails(rig, "set the alternate signal stack");
}

static void test_impossible_layout(void **state)
{
	struct rig *rig = *state;

	rig->model.mm.start_code = 1;
	assert_fails(rig, "PR_SET_MM_MAP");
}

/* Checked while it is read, and before the first instruction. */
static void test_damaged_content(void **state)
{
	struct rig *rig = *state;
	const struct thump_model *model;
	auto_close int fd = -1;
	uint64_t offset;
	pid_t child;

	write_image(rig, 0600);
	make_plan(rig);
	model = thump_image_model(rig->image);
	offset = model->vmas[0].extents[0].file_offset;
	fd = open(rig->path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(thump_pwrite_full(fd, "\xbf\x2b", 2, offset), 0); /* mov $43, %edi */
	assert_int_equal(thump_rebuild_start(rig->plan, &rig->report, &child, &rig->err), -1);
	assert_int_equal(rig->err.code, THUMP_DAMAGED);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Pending from before; in a namespace it is our init that has to give up. */
static void gives_up_on_sigterm(struct rig *rig, enum thump_pid_way way)
{
	const struct timespec now = { 0 };
	sigset_t before, blocked;

	(void)sigemptyset(&rig->options.give_up_on);
	(void)sigaddset(&rig->options.give_up_on, SIGTERM);
	rig->options.allowed_ways = 1u << way;
	blocked = rig->options.give_up_on;
	(void)sigaddset(&blocked, THUMP_NOTE_SIGNAL);
	assert_int_equal(sigprocmask(SIG_BLOCK, &blocked, &before), 0);
	assert_int_equal(raise(SIGTERM), 0);
	assert_fails(rig, "given up because of signal");
	assert_int_equal(rig->report.given_up_on, SIGTERM);
	/* It was taken: the caller is not ended by it later. */
	assert_int_equal(sigtimedwait(&rig->options.give_up_on, NULL, &now), -1);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
}

static void test_gives_up_on_a_signal(void **state)
{
	struct thump_abilities can;

	thump_probe_abilities(&can);
	if (!can.set_tid)
		skip();
	gives_up_on_sigterm(*state, THUMP_WAY_SET_TID);
}

static void test_gives_up_on_a_signal_in_a_namespace(void **state)
{
	struct thump_abilities can;

	thump_probe_abilities(&can);
	if (!can.user_namespace)
		skip();
	gives_up_on_sigterm(*state, THUMP_WAY_NAMESPACE);
}

/* ---- what does not fit --------------------------------------------------------------------- */

static void test_all_misfits_at_once(void **state)
{
	struct rig *rig = *state;
	uint32_t words[1] = { UINT32_MAX };

	rig->model.process.exe_path = (char *)"/nonexistent/program";
	rig->model.process.cwd = (char *)"/nonexistent/directory";
	rig->model.process.root = (char *)"/chroot";
	rig->model.machine.cpuid_words = words;
	rig->model.machine.nr_cpuid_words = 1;
	rig->vmas[1].traits |= THUMP_VMA_HUGETLB;
	write_image(rig, 0400);
	make_plan(rig);
	assert_true(has_problem(rig, "exe", false));
	assert_true(has_problem(rig, "cwd", false));
	assert_true(has_problem(rig, "root", false));
	assert_true(has_problem(rig, "cpu", false));
	assert_true(has_problem(rig, "memory", false));
	assert_int_equal(thump_problems_check(&rig->problems, "image", &rig->err), -1);
	assert_int_equal(rig->err.code, THUMP_REFUSED);
}

static void test_another_executable(void **state)
{
	struct rig *rig = *state;

	rig->model.process.exe_path = (char *)"/bin/sh";
	write_image(rig, 0400);
	make_plan(rig);
	assert_true(has_problem(rig, "exe", false));
}

static void test_others_may_write_the_image(void **state)
{
	struct rig *rig = *state;

	write_image(rig, 0600);
	assert_int_equal(chmod(rig->path, 0602), 0);
	make_plan(rig);
	assert_true(has_problem(rig, "owner", false));
}

static void test_trusted_whoever_may_write_it(void **state)
{
	struct rig *rig = *state;

	rig->options.trust_any_owner = true;
	write_image(rig, 0600);
	assert_int_equal(chmod(rig->path, 0602), 0);
	make_plan(rig);
	assert_false(has_problem(rig, "owner", false));
}

static void test_several_identities(void **state)
{
	struct rig *rig = *state;

	rig->model.process.creds.euid = rig->model.process.creds.uid + 1;
	write_image(rig, 0400);
	make_plan(rig);
	assert_true(has_problem(rig, "ids", false));
}

/* Bytes that are no vdso at all, as an image may have them. */
static void add_vdso(struct rig *rig)
{
	rig->vmas[2] = (struct thump_vma){ .start = VDSO,
					   .end = VDSO + PAGE,
					   .prot = PROT_READ | PROT_EXEC,
					   .kind = THUMP_VMA_VDSO,
					   .backing_id = THUMP_NO_ID,
					   .extents = &rig->extents[2],
					   .nr_extents = 1 };
	rig->extents[2] = (struct thump_extent){ VDSO, VDSO + PAGE, 0 };
	rig->model.nr_vmas = 3;
	rig->model.mm.vdso_start = VDSO;
	rig->model.mm.vdso_end = VDSO + PAGE;
}

static const char *vdso_problem(struct rig *rig)
{
	write_image(rig, 0400);
	make_plan(rig);
	for (size_t i = 0; i < rig->problems.count; i++)
		if (strcmp(rig->problems.list[i].kind, "vdso") == 0 &&
		    !rig->problems.list[i].warning)
			return rig->problems.list[i].text;
	return "no problem";
}

static void test_a_thread_inside_of_another_vdso(void **state)
{
	struct rig *rig = *state;

	add_vdso(rig);
	rig->task.regs.rip = VDSO + 16;
	assert_non_null(strstr(vdso_problem(rig), "is just reading a clock inside of it"));
}

static void test_a_vdso_that_is_none(void **state)
{
	struct rig *rig = *state;

	add_vdso(rig);
	assert_non_null(strstr(vdso_problem(rig), "the image's vdso cannot be understood"));
}

static void test_lower_limits_are_said(void **state)
{
	struct rig *rig = *state;
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	rig->model.process.rlimits[RLIMIT_NOFILE] =
		(struct thump_rlimit){ limit.rlim_max + 1, limit.rlim_max + 1 };
	write_image(rig, 0400);
	make_plan(rig);
	assert_true(has_problem(rig, "rlimit", true));
	assert_int_equal(thump_problems_check(&rig->problems, "image", &rig->err), 0);
}

/* What a test does to its process must not reach the next one. The body's 77 is "cannot be had". */
static void assert_apart(struct rig *rig, int (*body)(struct rig *rig), int expected)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body(rig));
	status = wait_for(pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), expected);
}

static int add_filter(struct sock_filter *filter, unsigned short length)
{
	const struct sock_fprog program = { length, filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int deny_ptrace(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return add_filter(filter, THUMP_ARRAY_SIZE(filter));
}

/* As a security module may: what is mapped from the blob's memfd, and nothing else here, is mapped
 * with MAP_POPULATE. */
static int deny_executable_memfd(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PROT_READ | PROT_EXEC, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_POPULATE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return add_filter(filter, THUMP_ARRAY_SIZE(filter));
}

static int restore_without_executable_memfd(struct rig *rig)
{
	pid_t child;
	int status;

	if (deny_executable_memfd() < 0)
		return 77;
	if (start(rig, &child) < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

static void test_lives_where_a_memfd_cannot_be_executed(void **state)
{
	assert_apart(*state, restore_without_executable_memfd, STATUS);
}

/* Planned as by --dry-run, it is a problem; started without, it is refused, and nothing is left. */
static int restore_without_ptrace(struct rig *rig)
{
	pid_t child;

	if (deny_ptrace() < 0)
		return 77;
	write_image(rig, 0400);
	make_plan(rig);
	if (!has_problem(rig, "ptrace", false))
		return 1;
	thump_plan_destroy(rig->plan);
	thump_image_destroy(rig->image);
	thump_problems_deinit(&rig->problems);
	thump_problems_init(&rig->problems);
	rig->options.assume_namespaces = true;
	make_plan(rig);
	if (has_problem(rig, "ptrace", false) ||
	    thump_rebuild_start(rig->plan, &rig->report, &child, &rig->err) == 0)
		return 2;
	if (rig->err.code != THUMP_REFUSED || !strstr(rig->err.text, "may not be traced"))
		return 3;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : 4;
}

static void test_without_ptrace_it_is_refused(void **state)
{
	assert_apart(*state, restore_without_ptrace, 0);
}

/* As an ordinary user with a full bounding set would restore what a container had started. */
static int restore_smaller_bounding_set(struct rig *rig)
{
	const struct thump_caps none = { 0 };

	if (thump_caps_own().bounding == 0)
		return 77;
	if (thump_caps_set(&none) < 0)
		return 1;
	rig->model.process.creds.cap_bounding = 0;
	rig->options.allowed_ways = 1u << THUMP_WAY_SPIN;
	write_image(rig, 0400);
	make_plan(rig);
	return has_problem(rig, "bounding-set", true) ? 0 : 1;
}

static void test_a_larger_bounding_set_is_said(void **state)
{
	assert_apart(*state, restore_smaller_bounding_set, 0);
}

static void test_lazy_needs_somebody_who_vouches(void **state)
{
	struct rig *rig = *state;

	rig->options.memory = THUMP_MEMORY_AUTO;
	write_image(rig, 0400);
	make_plan(rig);
	assert_int_equal(thump_plan_memory(rig->plan), THUMP_MEMORY_EAGER);
	assert_false(has_problem(rig, "lazy", true));
}

static void test_vouched_memory_is_lazy(void **state)
{
	struct thump_range whole = { 0x1000, THUMP_PAGE_SIZE << 35 };
	struct rig *rig = *state;
	pid_t child;

	rig->options.memory = THUMP_MEMORY_AUTO;
	rig->model.vouched = &whole;
	rig->model.nr_vouched = 1;
	assert_starts(rig, &child);
	assert_int_equal(rig->report.memory, THUMP_MEMORY_LAZY);
	assert_int_equal(WEXITSTATUS(wait_for(child)), STATUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lives_and_ends),
		TEST(test_one_plan_starts_again),
		TEST(test_mapped_lazily),
		TEST(test_progress_of_what_is_read),
		TEST(test_progress_of_what_is_mapped),
		TEST(test_its_own_crash_is_its_own),
		TEST(test_pending_signal_arrives),
		TEST(test_no_syscall_instruction),
		TEST(test_kernel_selectors),
		TEST(test_tls_base_beyond_user_space),
		TEST(test_failing_step_is_named),
		TEST(test_impossible_layout),
		TEST(test_damaged_content),
		TEST(test_gives_up_on_a_signal),
		TEST(test_gives_up_on_a_signal_in_a_namespace),
		TEST(test_all_misfits_at_once),
		TEST(test_another_executable),
		TEST(test_others_may_write_the_image),
		TEST(test_trusted_whoever_may_write_it),
		TEST(test_several_identities),
		TEST(test_a_thread_inside_of_another_vdso),
		TEST(test_a_vdso_that_is_none),
		TEST(test_lower_limits_are_said),
		TEST(test_a_larger_bounding_set_is_said),
		TEST(test_lives_where_a_memfd_cannot_be_executed),
		TEST(test_without_ptrace_it_is_refused),
		TEST(test_lazy_needs_somebody_who_vouches),
		TEST(test_vouched_memory_is_lazy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
