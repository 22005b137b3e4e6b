/* SPDX-License-Identifier: Apache-2.0 */
/* Images of a program that never was: a page of code that ends with status 42. */
#ifndef TESTS_UNIT_REBUILD_RIG_H
#define TESTS_UNIT_REBUILD_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/image.h"
#include "proc/identity.h"
#include "rebuild/rebuild.h"
#include "rebuild/spawn.h"

#define CODE	    UINT64_C(0x700000000000)
#define STACK	    UINT64_C(0x700000100000)
#define TID_WORD    (STACK + 3 * PAGE)
#define VDSO	    UINT64_C(0x700000200000)
#define PAGE	    THUMP_PAGE_SIZE
#define WANTED_PID  31337
#define XSTATE_SIZE 576 /* the legacy region and the header, nothing in use */
#define STATUS	    42

/* exit_group(42), and before it a breakpoint that nobody runs into. */
static const unsigned char code[] = {
	0xbf, STATUS, 0, 0, 0, /* mov $42, %edi */
	0xb8, 231,    0, 0, 0, /* mov $SYS_exit_group, %eax */
	0x0f, 0x05,	       /* syscall */
	0x0f, 0x0b,	       /* ud2 */
};
#define CODE_SYSCALL 10
#define CODE_UD2     12

struct rig {
	char dir[32], path[64];
	struct thump_model model;
	struct thump_vma vmas[3];
	struct thump_extent extents[3];
	struct thump_task task;
	uint64_t auxv[2];
	unsigned char xstate[XSTATE_SIZE];
	struct thump_rebuild_options options;
	struct thump_image *image;
	struct thump_plan *plan;
	struct thump_problems problems;
	struct thump_rebuild_report report;
	struct thump_err err;
};

static inline int read_memory(void *ctx, uint64_t addr, void *buf, size_t size_bytes,
			      struct thump_err *err)
{
	const struct rig *rig = ctx;

	(void)err;
	memset(buf, 0x90, size_bytes);
	if (addr == CODE)
		memcpy(buf, code, sizeof(code));
	else
		memcpy(buf, &rig->task.tid, sizeof(rig->task.tid)); /* at TID_WORD */
	return 0;
}

static inline int read_backing(void *ctx, uint32_t backing_id, uint64_t offset, void *buf,
			       size_t size_bytes, struct thump_err *err)
{
	(void)ctx;
	(void)offset;
	(void)buf;
	(void)size_bytes;
	return thump_fail(err, "backing %u is not there", backing_id);
}

/* ---- the model ------------------------------------------------------------------------------ */

static inline void fill_memory(struct rig *rig)
{
	rig->vmas[0] = (struct thump_vma){ .start = CODE,
					   .end = CODE + PAGE,
					   .prot = PROT_READ | PROT_EXEC,
					   .kind = THUMP_VMA_ANON,
					   .backing_id = THUMP_NO_ID,
					   .extents = &rig->extents[0],
					   .nr_extents = 1 };
	rig->vmas[1] = (struct thump_vma){ .start = STACK,
					   .end = STACK + 4 * PAGE,
					   .prot = PROT_READ | PROT_WRITE,
					   .kind = THUMP_VMA_ANON,
					   .traits = THUMP_VMA_GROWSDOWN,
					   .backing_id = THUMP_NO_ID,
					   .extents = &rig->extents[1],
					   .nr_extents = 1 };
	rig->extents[0] = (struct thump_extent){ CODE, CODE + PAGE, 0 };
	rig->extents[1] = (struct thump_extent){ STACK + 3 * PAGE, STACK + 4 * PAGE, 0 };
	rig->model.vmas = rig->vmas;
	rig->model.nr_vmas = 2;
	rig->model.mm = (struct thump_mm){
		.start_code = CODE,
		.end_code = CODE + sizeof(code),
		.start_data = CODE,
		.end_data = CODE + PAGE,
		.start_brk = CODE + PAGE,
		.brk = CODE + PAGE,
		.start_stack = STACK + 4 * PAGE - 64,
		.arg_start = STACK + 4 * PAGE - 64,
		.arg_end = STACK + 4 * PAGE - 32,
		.env_start = STACK + 4 * PAGE - 32,
		.env_end = STACK + 4 * PAGE - 16,
		.auxv = (unsigned char *)rig->auxv,
		.auxv_size = sizeof(rig->auxv),
		.syscall_insn = CODE + CODE_SYSCALL,
	};
}

static inline void fill_task(struct rig *rig)
{
	const uint32_t mxcsr = 0x1f80;

	memcpy(rig->xstate + 24, &mxcsr, sizeof(mxcsr));
	rig->task = (struct thump_task){
		.tid = WANTED_PID,
		.state = THUMP_TASK_RUNNING,
		.comm = "never-was",
		.timer_slack_ns = 50000,
		.altstack_flags = SS_DISABLE,
		.blocked_syscall = THUMP_NO_ID,
		.xstate = rig->xstate,
		.xstate_size = XSTATE_SIZE,
	};
	rig->task.regs = (struct user_regs_struct){
		.rip = CODE,
		.rsp = STACK + 4 * PAGE - 128,
		.cs = 0x33,
		.ss = 0x2b,
		.eflags = 0x202,
		.orig_rax = (unsigned long long)-1,
	};
	rig->model.tasks = &rig->task;
	rig->model.nr_tasks = 1;
}

static inline void fill_creds(struct thump_creds *creds)
{
	struct thump_caps caps = thump_caps_own();

	*creds = (struct thump_creds){
		.uid = getuid(),
		.euid = getuid(),
		.suid = getuid(),
		.fsuid = getuid(),
		.gid = getgid(),
		.egid = getgid(),
		.sgid = getgid(),
		.fsgid = getgid(),
		.cap_inheritable = caps.inheritable,
		.cap_permitted = caps.permitted,
		.cap_effective = caps.effective,
		.cap_bounding = caps.bounding,
		.cap_ambient = caps.ambient,
	};
}

static inline void fill_process(struct rig *rig)
{
	struct thump_process *process = &rig->model.process;
	struct thump_machine *machine = &rig->model.machine;
	auto_close int exe = open("/bin/true", O_RDONLY | O_CLOEXEC);

	assert_true(exe >= 0);
	assert_int_equal(thump_identity_read(exe, &process->exe_identity, &rig->err), 0);
	process->pid = process->pid_host = process->pgid = process->sid = WANTED_PID;
	process->ppid = 1;
	process->exe_path = (char *)"/bin/true";
	process->cwd = process->root = (char *)"/";
	process->cmdline = (char *)"never-was";
	process->umask = 022;
	fill_creds(&process->creds);
	for (int i = 0; i < THUMP_NR_RLIMITS; i++) {
		struct rlimit limit;

		assert_int_equal(getrlimit((__rlimit_resource_t)i, &limit), 0);
		process->rlimits[i] = (struct thump_rlimit){ limit.rlim_cur, limit.rlim_max };
	}
	machine->hostname = (char *)"host";
	machine->kernel_release = (char *)"6.0";
	machine->thump_version = (char *)"0";
	machine->boot_id = (char *)"00000000-0000-0000-0000-000000000000";
	machine->cpu_name = (char *)"cpu";
}

static inline int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	assert_non_null(rig);
	(void)snprintf(rig->dir, sizeof(rig->dir), "/tmp/thump-start-XXXXXX");
	assert_non_null(mkdtemp(rig->dir));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/image", rig->dir);
	thump_model_init(&rig->model);
	fill_memory(rig);
	fill_task(rig);
	fill_process(rig);
	thump_problems_init(&rig->problems);
	rig->report.control_fd = -1;
	*state = rig;
	return 0;
}

static inline int rig_teardown(void **state)
{
	struct rig *rig = *state;

	thump_plan_destroy(rig->plan);
	thump_image_destroy(rig->image);
	thump_problems_deinit(&rig->problems);
	thump_close_fd(&rig->report.control_fd);
	(void)unlink(rig->path);
	(void)rmdir(rig->dir);
	thump_model_deinit(&rig->model);
	free(rig);
	return 0;
}

/* ---- from model to process ----------------------------------------------------------------- */

static inline void write_image(struct rig *rig, mode_t mode)
{
	const struct thump_image_options options = { .path = rig->path, .mode = mode };
	const struct thump_page_source source = { .ctx = rig,
						  .read_memory = read_memory,
						  .read_backing = read_backing };
	struct thump_image_writer *writer;
	struct thump_image_stats stats;

	if (thump_image_write(&options, &rig->model, &source, &writer, &stats, &rig->err) < 0 ||
	    thump_image_commit(writer, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
	thump_image_writer_destroy(writer);
}

static inline void make_plan(struct rig *rig)
{
	if (thump_image_open(rig->path, &rig->image, &rig->err) < 0 ||
	    thump_plan_create(rig->image, &rig->options, &rig->problems, &rig->plan, &rig->err) < 0)
		fail_msg("%s", rig->err.text);
}

static inline int start(struct rig *rig, pid_t *child_ret)
{
	write_image(rig, 0400);
	make_plan(rig);
	if (thump_problems_check(&rig->problems, "image", &rig->err) < 0)
		fail_msg("%s", rig->problems.list[0].text);
	return thump_rebuild_start(rig->plan, &rig->report, child_ret, &rig->err);
}

static inline int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline void assert_starts(struct rig *rig, pid_t *child_ret)
{
	if (start(rig, child_ret) < 0)
		fail_msg("%s", rig->err.text);
}

static inline void assert_fails(struct rig *rig, const char *text)
{
	pid_t child;

	assert_int_equal(start(rig, &child), -1);
	if (!strstr(rig->err.text, text))
		fail_msg("\"%s\" does not say \"%s\"", rig->err.text, text);
	/* Nothing is left: no process, not even a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static inline bool has_problem(const struct rig *rig, const char *kind, bool warning)
{
	for (size_t i = 0; i < rig->problems.count; i++) {
		if (strcmp(rig->problems.list[i].kind, kind) == 0 &&
		    rig->problems.list[i].warning == warning)
			return true;
	}
	return false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
