/* SPDX-License-Identifier: Apache-2.0 */
#include "rebuild/commit.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/fd.h"
#include "proc/status.h"
#include "rebuild/arch/arch.h"
#include "rebuild/spare.h"

#define GATHER_TIMEOUT_MS 10000

/* ---- calls through the target's own memory ------------------------------------------------- */

struct caller {
	const struct thump_model *model;
	struct thump_region *region;
	struct thump_newborn *newborn;
	struct remote_addr insn;
};

static int call(struct caller *caller, const char *what, long nr, const uint64_t args[6],
		struct thump_err *err)
{
	long result;

	if (thump_newborn_syscall(caller->newborn, caller->insn, nr, args, &result, err) < 0)
		return thump_add_context(err, "%s", what);
	if (result < 0) {
		thump_err_set(err, THUMP_FAILED, (int)-result, "in the new process: %s", what);
		return -1;
	}
	return 0;
}

/* The image names the address of a `syscall` instruction; it is looked at before it is used. */
static int find_insn(struct caller *caller, struct thump_err *err)
{
	unsigned char bytes[2];

	caller->insn = REMOTE(caller->model->mm.syscall_insn);
	if (thump_newborn_read(caller->newborn, caller->insn, bytes, sizeof(bytes), err) < 0)
		return -1;
	if (!thump_is_syscall_insn(bytes))
		return thump_damaged(err, "there is no system call instruction at %#llx",
				     (unsigned long long)caller->insn.addr);
	return 0;
}

/* ---- what the blob could not do itself ----------------------------------------------------- */

/* The blob's last trap has reset the disposition of SIGTRAP if it was SIG_IGN. */
static int set_trap_action(struct caller *caller, struct thump_err *err)
{
	const struct thump_sigaction *action = &caller->model->process.sigactions[SIGTRAP - 1];
	uint64_t addr;

	if (action->handler != (uint64_t)(uintptr_t)SIG_IGN)
		return 0;
	addr = thump_region_put(caller->region, action, sizeof(*action));
	return call(caller, "set the action for signal 5", SYS_rt_sigaction,
		    (const uint64_t[6]){ SIGTRAP, addr, 0, sizeof(action->mask) }, err);
}

/* The pid as the process itself sees it; not the image's where pids are not kept. */
static int32_t own_pid(const struct caller *caller)
{
	return caller->region->blob->leader_pid;
}

static bool is_trap(const struct thump_siginfo *info)
{
	int32_t signo;

	memcpy(&signo, info->bytes, sizeof(signo));
	return signo == SIGTRAP;
}

/*
 * A pending SIGTRAP would have stopped the blob. The leader queues it for everybody: it blocks it
 * only from when its registers are written, which is why its mask is set first.
 */
static int queue_traps(struct caller *caller, struct thump_err *err)
{
	const struct thump_process *process = &caller->model->process;

	for (uint32_t i = 0; i < process->nr_pending; i++) {
		uint64_t addr;

		if (!is_trap(&process->pending[i]))
			continue;
		addr = thump_region_put(caller->region, process->pending[i].bytes,
					sizeof(process->pending[i].bytes));
		if (call(caller, "queue pending signal 5", SYS_rt_sigqueueinfo,
			 (const uint64_t[6]){ (uint64_t)own_pid(caller), SIGTRAP, addr }, err) < 0)
			return -1;
	}
	return 0;
}

/* Not before the threads are seized: a process that is not dumpable cannot be (ptrace(2)). */
static int set_dumpable(struct caller *caller, struct thump_err *err)
{
	const struct thump_mm *mm = &caller->model->mm;

	/* 2 (suidsafe) comes from fs.suid_dumpable and cannot be set; 0 is as closed. */
	if (!mm->dumpable_known || mm->dumpable == 1)
		return 0;
	return call(caller, "prctl(PR_SET_DUMPABLE)", SYS_prctl,
		    (const uint64_t[6]){ PR_SET_DUMPABLE, 0 }, err);
}

static int unmap_region(struct caller *caller, const struct thump_plan *plan, uint64_t region_end,
			struct thump_err *err)
{
	uint64_t start = plan->options.part == THUMP_PART_CLONE ? thump_park_addr(caller->region)
								: caller->region->code_addr;

	return call(caller, "unmap thump's own memory", SYS_munmap,
		    (const uint64_t[6]){ start, region_end - start }, err);
}

/* ---- registers ----------------------------------------------------------------------------- */

/* The tid as the thread itself sees it: pid 1 of a fresh namespace is traced from outside. */
static int32_t own_tid(const struct caller *caller, pid_t tid)
{
	auto_free char *text = NULL;
	struct thump_status status;
	struct thump_arena arena;
	struct thump_err ignored;
	char path[48];

	if (caller->newborn->pid == own_pid(caller))
		return tid;
	(void)snprintf(path, sizeof(path), "task/%d/status", tid);
	if (thump_slurp(caller->newborn->proc_fd, path, &text, NULL) < 0)
		return 0;
	thump_arena_init(&arena);
	if (thump_status_parse(text, &arena, &status, &ignored) == 0)
		tid = status.ns_pid;
	thump_arena_deinit(&arena);
	return tid;
}

/* Which thread of the image this is. */
static const struct thump_task *task_of(const struct caller *caller, size_t index)
{
	const struct thump_region *region = caller->region;
	const struct thump_model *model = caller->model;
	const struct thump_blob_thread *threads = thump_region_threads(region);
	int32_t wanted = 0, tid;

	if (index == 0)
		return &model->tasks[0];
	tid = own_tid(caller, caller->newborn->tids[index]);
	for (uint32_t i = 0; i < region->blob->nr_threads; i++) {
		if (threads[i].actual_tid == tid)
			wanted = threads[i].wanted_tid;
	}
	for (uint32_t i = 1; i < model->nr_tasks; i++) {
		if (model->tasks[i].tid == wanted)
			return &model->tasks[i];
	}
	return NULL;
}

static int set_thread(const struct caller *caller, size_t index, struct thump_err *err)
{
	const struct thump_newborn *newborn = caller->newborn;
	const struct thump_task *task = task_of(caller, index);

	if (!task)
		return thump_fail(err, "thread %d is none of the image", newborn->tids[index]);
	if (thump_newborn_set_thread(caller->newborn, newborn->tids[index], &task->regs,
				     task->xstate, task->xstate_size, task->sigmask, err) < 0)
		return thump_add_context(err, "registers of thread %d", task->tid);
	return 0;
}

/* All but the leader, which is still called. */
static int set_followers(const struct caller *caller, struct thump_err *err)
{
	const struct thump_newborn *newborn = caller->newborn;

	if (newborn->nr_tids != caller->model->nr_tasks)
		return thump_fail(err, "%zu threads were made instead of %u", newborn->nr_tids,
				  caller->model->nr_tasks);
	for (size_t i = 1; i < newborn->nr_tids; i++)
		if (set_thread(caller, i, err) < 0)
			return -1;
	return 0;
}

int thump_commit(struct thump_plan *plan, struct thump_region *region,
		 struct thump_newborn *newborn, int clone_fd, struct thump_err *err)
{
	uint64_t region_end = region->addr + thump_page_up(region->used);
	struct caller caller = { .model = plan->model, .region = region, .newborn = newborn };
	bool stopped = plan->model->tasks[0].state == THUMP_TASK_STOPPED;

	if (plan->model->nr_tasks > 1 && thump_newborn_gather(newborn, GATHER_TIMEOUT_MS, err) < 0)
		return thump_add_context(err, "stop the new threads");
	if (find_insn(&caller, err) < 0 || thump_write_tids(plan, region, newborn, err) < 0 ||
	    set_followers(&caller, err) < 0)
		return -1;
	if (plan->options.spare && thump_spare_wait(plan, region, newborn, clone_fd, err) < 0)
		return -1;
	if (set_trap_action(&caller, err) < 0 || queue_traps(&caller, err) < 0 ||
	    thump_shift_deadlines(plan, newborn, err) < 0 ||
	    thump_write_parameters(plan, newborn, err) < 0 || set_dumpable(&caller, err) < 0 ||
	    unmap_region(&caller, plan, region_end, err) < 0 || set_thread(&caller, 0, err) < 0)
		return -1;
	if (!plan->options.detach)
		thump_terminals_adopt(&plan->rb.terminals);
	if (thump_newborn_release(newborn, stopped, err) < 0) {
		thump_terminals_put_back(&plan->rb.terminals);
		return -1;
	}
	/* As when a window is made larger or smaller; ours to signal until it is reaped. */
	if (!plan->options.detach && plan->rb.terminals.resized)
		(void)kill(newborn->pid, SIGWINCH);
	return 0;
}
