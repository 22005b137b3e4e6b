/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restored process, from fork to release. What can go on at the same time does: while the
 * child makes descriptors and execs, the steps are written here and a thread checks the content
 * that the blob will read, or threads make it (fill.h).
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/note.h"
#include "rebuild/arch/arch.h"
#include "rebuild/attempt.h"
#include "rebuild/commit.h"
#include "rebuild/fill.h"
#include "resume/blob.h"

/* ---- state of one attempt ------------------------------------------------------------------ */

void thump_attempt_deinit(struct thump_attempt *attempt)
{
	thump_filler_destroy(attempt->filler); /* it writes into the newborn */
	thump_newborn_destroy(attempt->newborn);
	thump_verifier_deinit(&attempt->verifier);
	thump_jobs_deinit(&attempt->jobs);
	thump_region_destroy(&attempt->region);
	thump_close_fd(&attempt->clone_fd);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* In a time namespace of its own the program's clocks just go on. */
static void set_clock_shift(struct thump_plan *plan, const struct thump_rebuild_report *report)
{
	const struct thump_machine *machine = &plan->model->machine;

	plan->rb.monotonic_shift_ns = 0;
	plan->rb.boottime_shift_ns = 0;
	if (report->time_namespace || plan->options.real_clock)
		return;
	plan->rb.monotonic_shift_ns = (int64_t)(clock_ns(CLOCK_MONOTONIC) - machine->monotonic_ns);
	plan->rb.boottime_shift_ns = (int64_t)(clock_ns(CLOCK_BOOTTIME) - machine->boottime_ns);
}

/* ---- fork and exec ------------------------------------------------------------------------- */

/* The child's own words where it left some. */
static int child_failed(const struct thump_attempt *attempt, struct thump_err *err)
{
	if (attempt->region.child_err->code != THUMP_OK)
		*err = *attempt->region.child_err;
	return thump_add_context(err, "new process");
}

/* In our init it is thump that looks out for signals, and asks us. */
static sigset_t give_up_on(const struct thump_attempt *attempt)
{
	sigset_t note;

	if (attempt->report->way != THUMP_WAY_NAMESPACE || attempt->first)
		return attempt->plan->options.give_up_on;
	(void)sigemptyset(&note);
	(void)sigaddset(&note, THUMP_NOTE_SIGNAL);
	return note;
}

static int given_up(const struct thump_attempt *attempt, struct thump_err *err)
{
	int signo = thump_newborn_given_up_on(attempt->newborn);

	attempt->report->given_up_on = signo;
	return thump_fail(err, "given up because of signal %d (%s) before the program ran", signo,
			  sigabbrev_np(signo) ? sigabbrev_np(signo) : "?");
}

static int spawn(struct thump_attempt *attempt, enum thump_pid_way tid_way, pid_t *pid_ret,
		 struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;

	if (attempt->first)
		return thump_spawn_first(plan, attempt->report, pid_ret, err);
	return thump_spawn_with_pid(tid_way, plan->model->process.pid, plan->options.spin_limit,
				    pid_ret, &attempt->report->spins, err);
}

void thump_attempt_give_up_on(struct thump_attempt *attempt)
{
	const sigset_t signals = give_up_on(attempt);

	thump_newborn_give_up_on(attempt->newborn, &signals);
}

static int start_child(struct thump_attempt *attempt, enum thump_pid_way tid_way,
		       const struct thump_caps *caps, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;
	auto_close int go_read = -1, go_write = -1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return thump_fail_errno(err, "pipe");
	go_read = ends[0];
	go_write = ends[1];
	if (spawn(attempt, tid_way, &pid, err) < 0)
		return -1;
	/* Whether there is a time namespace is known only now. */
	if (attempt->first)
		set_clock_shift(plan, attempt->report);
	if (pid == 0) {
		thump_close_fd(&go_write);
		thump_child_main(plan, tid_way, caps, &attempt->region, go_read);
	}
	attempt->forked_ticks = thump_ticks();
	if (thump_newborn_adopt(pid, &attempt->newborn, err) < 0)
		return child_failed(attempt, err);
	thump_attempt_give_up_on(attempt);
	attempt->report->pid_host = pid;
	if (thump_write_full(go_write, "g", 1) < 0)
		return thump_fail_errno(err, "start the new process");
	return 0;
}

/* ---- the blob ------------------------------------------------------------------------------ */

/* Where exec put the vdso: the kernel tells in the auxiliary vector. */
static int find_vdso(const struct thump_attempt *attempt, uint64_t *vdso_ret, struct thump_err *err)
{
	auto_close int fd = openat(attempt->newborn->proc_fd, "auxv", O_RDONLY | O_CLOEXEC);
	Elf64_auxv_t vector[64];
	ssize_t size_bytes;

	if (fd < 0)
		return thump_fail_errno(err, "open the auxiliary vector of the new process");
	size_bytes = read(fd, vector, sizeof(vector));
	if (size_bytes < 0)
		return thump_fail_errno(err, "read the auxiliary vector of the new process");
	*vdso_ret = 0;
	for (size_t i = 0; i < (size_t)size_bytes / sizeof(vector[0]); i++) {
		if (vector[i].a_type == AT_SYSINFO_EHDR)
			*vdso_ret = vector[i].a_un.a_val;
	}
	return 0;
}

static int map_remote(const struct thump_attempt *attempt, struct remote_addr insn,
		      const uint64_t args[6], struct thump_err *err)
{
	long result;

	if (thump_newborn_syscall(attempt->newborn, insn, SYS_mmap, args, &result, err) < 0)
		return -1;
	if (result < 0) {
		thump_err_set(err, THUMP_FAILED, (int)-result,
			      "map thump's memory at %#llx of the new process",
			      (unsigned long long)args[0]);
		return -1;
	}
	return 0;
}

/* The vdso has one, at the same place in every process; looking for another takes longer than all
 * that is done with it. */
static int find_insn(const struct thump_attempt *attempt, uint64_t vdso,
		     struct remote_addr *insn_ret, struct thump_err *err)
{
	const struct thump_kernel_mappings *kernel = &attempt->plan->kernel;

	if (!vdso || !kernel->insn_from_vdso)
		return thump_newborn_syscall_insn(attempt->newborn, insn_ret, err);
	*insn_ret = REMOTE(vdso + kernel->insn_from_vdso);
	return 0;
}

static struct thump_door door_of(const struct thump_attempt *attempt)
{
	const struct thump_region *region = &attempt->region;
	const uint64_t fd = (uint64_t)region->fds[thump_slot_region(attempt->plan->model)];

	return (struct thump_door){
		.maps = { { region->addr, thump_page_up(region->used), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd,
			    region->code_size },
			  { region->code_addr, region->code_size, PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd, 0 } },
		.stack_top = region->blob->stack_top,
		.data = region->addr,
		.entry = region->code_addr,
	};
}

/*
 * The door goes where the page with the first instruction begins: executable memory of a program
 * that will never run, and that the blob unmaps first of all. There is one stop, at the blob's end;
 * each call that is made from outside takes two.
 */
static int run_by_door(struct thump_attempt *attempt, struct thump_err *err)
{
	const size_t code_bytes = (size_t)(thump_door_end - thump_door_start);
	const struct thump_door door = door_of(attempt);
	unsigned char bytes[THUMP_PAGE_SIZE];
	struct remote_addr at;

	if (thump_newborn_entry(attempt->newborn, &at, err) < 0)
		return -1;
	at.addr &= ~(THUMP_PAGE_SIZE - 1);
	memcpy(bytes, &door, sizeof(door));
	memcpy(bytes + sizeof(door), thump_door_start, code_bytes);
	if (thump_newborn_write(attempt->newborn, at, bytes, sizeof(door) + code_bytes, err) < 0)
		return -1;
	return thump_newborn_run(attempt->newborn, REMOTE(at.addr + sizeof(door)), at, at.addr, 0,
				 err);
}

/*
 * Where the door cannot map the code: a security module may not let a memfd be executed. Anonymous
 * memory it may let, with code that is written from outside.
 */
static int run_injected(struct thump_attempt *attempt, uint64_t vdso, struct thump_err *err)
{
	const struct thump_region *region = &attempt->region;
	const struct thump_door door = door_of(attempt);
	const uint64_t code[6] = {
		region->code_addr,     region->code_size,
		PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		(uint64_t)-1,	       0
	};
	struct remote_addr insn;
	uint64_t data[6];

	memcpy(data, door.maps[0], sizeof(data));
	/* The door has mapped it, too. */
	data[3] = MAP_SHARED | MAP_FIXED | MAP_POPULATE;
	if (find_insn(attempt, vdso, &insn, err) < 0 || map_remote(attempt, insn, data, err) < 0 ||
	    map_remote(attempt, insn, code, err) < 0 ||
	    thump_newborn_write(attempt->newborn, REMOTE(region->code_addr), thump_blob_start,
				(size_t)(thump_blob_end - thump_blob_start), err) < 0)
		return -1;
	return thump_newborn_run(attempt->newborn, REMOTE(door.entry), REMOTE(door.stack_top),
				 door.data, 0, err);
}

int thump_attempt_check_blob(const struct thump_attempt *attempt, struct thump_err *err)
{
	const struct thump_region *region = &attempt->region;
	const struct thump_blob_data *blob = region->blob;

	if (!blob->failed && blob->phase == THUMP_PHASE_READY)
		return 0;
	thump_what_failed(blob, region->steps, region->room_steps, err);
	return -1;
}

int thump_attempt_run_blob(struct thump_attempt *attempt, struct thump_err *err)
{
	struct thump_region *region = &attempt->region;
	const struct thump_blob_data *blob = region->blob;
	const struct thump_mm *mm = &attempt->plan->model->mm;
	uint64_t vdso;

	if (find_vdso(attempt, &vdso, err) < 0 ||
	    thump_layout_steps(region, attempt->plan->model, &attempt->plan->kernel, vdso, err) < 0)
		return -1;
	if (attempt->filler)
		thump_filler_aim(attempt->filler, attempt->newborn);
	if (run_by_door(attempt, err) < 0 ||
	    (blob->phase == THUMP_PHASE_START && run_injected(attempt, vdso, err) < 0))
		return thump_add_context(err, "fill the new process (phase %u)", blob->phase);
	if (thump_filler_result(attempt->filler, err) < 0 ||
	    thump_attempt_check_blob(attempt, err) < 0)
		return -1;
	if (!attempt->plan->kernel.bridged)
		return 0;
	return thump_newborn_write(attempt->newborn, REMOTE(mm->vdso_start),
				   attempt->plan->kernel.bridge, mm->vdso_end - mm->vdso_start,
				   err);
}

/* ---- all of it ----------------------------------------------------------------------------- */

int thump_attempt_write_steps(struct thump_attempt *attempt, enum thump_pid_way tid_way,
			      const struct thump_caps *caps, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;

	if (thump_image_supply(plan->image) && thump_filler_create(plan, &attempt->filler, err) < 0)
		return -1;
	attempt->jobs.filled = attempt->filler;
	if (thump_write_steps(plan, tid_way, caps, &attempt->jobs, &attempt->region, err) < 0)
		return -1;
	if (attempt->filler) {
		thump_filler_begin(attempt->filler, &attempt->jobs, attempt->region.blob);
		return 0;
	}
	return thump_verifier_start(&attempt->verifier, plan, &attempt->jobs, err);
}

static int make_region(const struct thump_plan *plan, struct thump_region *region,
		       struct thump_err *err)
{
	const struct thump_region_needs needs = thump_region_needs(plan);

	return thump_region_create(region, thump_place_blob(plan->model), &needs, err);
}

int thump_region_prepare(struct thump_plan *plan, int *fd_ret, struct thump_err *err)
{
	if (make_region(plan, &plan->region, err) < 0)
		return -1;
	*fd_ret = plan->region.fd;
	return 0;
}

void thump_region_forget(struct thump_plan *plan)
{
	plan->region.fd = -1;
	thump_region_destroy(&plan->region);
}

static int get_region(struct thump_attempt *attempt, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;

	if (!plan->region.bytes)
		return make_region(plan, &attempt->region, err);
	attempt->region = plan->region;
	plan->region = (struct thump_region){ .fd = -1 };
	return 0;
}

int thump_attempt_init(struct thump_attempt *attempt, struct thump_plan *plan,
		       struct thump_rebuild_report *report, struct thump_err *err)
{
	*attempt = (struct thump_attempt){
		.plan = plan,
		.report = report,
		.region = { .fd = -1 },
		.clone_fd = -1,
		.start_ns = clock_ns(CLOCK_MONOTONIC),
		.start_ticks = thump_ticks(),
	};
	plan->set_caps =
		report->user_namespace || thump_caps_sets().permitted != 0 || geteuid() == 0;
	set_clock_shift(plan, report);
	if (thump_made_create(&plan->rb, err) < 0)
		return -1;
	return get_region(attempt, err);
}

int thump_attempt_exec(struct thump_attempt *attempt, enum thump_pid_way tid_way,
		       const struct thump_caps *caps, struct thump_err *err)
{
	/* Spinning counts tids: no thread of ours may start while the new process makes its own. */
	if (tid_way == THUMP_WAY_SPIN && thump_attempt_write_steps(attempt, tid_way, caps, err) < 0)
		return -1;
	if (start_child(attempt, tid_way, caps, err) < 0)
		return -1;
	if (tid_way != THUMP_WAY_SPIN && thump_attempt_write_steps(attempt, tid_way, caps, err) < 0)
		return -1;
	if (thump_newborn_wait_exec(attempt->newborn, 0, err) < 0)
		return child_failed(attempt, err);
	thump_prefetch_wait(attempt->plan->options.prefetch, THUMP_PREFETCHED_FIRST);
	return 0;
}

static int fill(struct thump_attempt *attempt, enum thump_pid_way tid_way,
		const struct thump_caps *caps, struct thump_err *err)
{
	if (attempt->plan->options.part == THUMP_PART_CLONE)
		return thump_attempt_clone(attempt, tid_way, caps, err);
	if (thump_attempt_exec(attempt, tid_way, caps, err) < 0)
		return -1;
	return thump_attempt_run_blob(attempt, err);
}

static int attempt_run(struct thump_attempt *attempt, enum thump_pid_way tid_way,
		       struct thump_err *err)
{
	const struct thump_caps caps = thump_caps_final(attempt->plan->model, attempt->report);

	if (fill(attempt, tid_way, &caps, err) < 0 ||
	    thump_verifier_wait(&attempt->verifier, attempt->newborn, err) < 0)
		return -1;
	thump_prefetch_wait(attempt->plan->options.prefetch, THUMP_PREFETCHED_HOT);
	return thump_commit(attempt->plan, &attempt->region, attempt->newborn, attempt->clone_fd,
			    err);
}

/* The child may be ahead of us: it can come to its mark before fork(2) has returned here. */
static uint64_t ticks_between(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

static void report_times(const struct thump_attempt *attempt)
{
	struct thump_rebuild_report *report = attempt->report;
	const struct thump_blob_data *blob = attempt->region.blob;
	uint64_t end_ticks = thump_ticks();
	uint64_t total_ns = clock_ns(CLOCK_MONOTONIC) - attempt->start_ns;
	double ns = (double)total_ns / (double)(end_ticks - attempt->start_ticks);

	report->memory = attempt->plan->memory;
	report->spins += blob->spins;
	report->fork_ns =
		(uint64_t)((double)ticks_between(attempt->start_ticks, attempt->forked_ticks) * ns);
	report->fds_ns =
		(uint64_t)((double)ticks_between(attempt->forked_ticks, blob->ticks_exec) * ns);
	report->exec_ns =
		(uint64_t)((double)ticks_between(blob->ticks_exec, blob->ticks_start) * ns);
	report->setup_ns =
		(uint64_t)((double)ticks_between(blob->ticks_start, blob->ticks_setup) * ns);
	report->threads_ns =
		(uint64_t)((double)ticks_between(blob->ticks_setup, blob->ticks_threads) * ns);
	report->memory_ns =
		(uint64_t)((double)ticks_between(blob->ticks_threads, blob->ticks_memory) * ns);
	report->finish_ns =
		(uint64_t)((double)ticks_between(blob->ticks_memory, blob->ticks_finish) * ns);
	report->commit_ns = (uint64_t)((double)ticks_between(blob->ticks_finish, end_ticks) * ns);
	report->total_ns = total_ns;
}

/* All else was done long before. */
static void report_taken(const struct thump_attempt *attempt)
{
	struct thump_rebuild_report *report = attempt->report;

	report->spare = true;
	report->memory = attempt->plan->memory;
	report->commit_ns = report->total_ns = thump_now_ns() - attempt->plan->taken_ns;
}

int thump_rebuild_here(struct thump_plan *plan, enum thump_pid_way tid_way,
		       struct thump_rebuild_report *report, pid_t *pid_ret, struct thump_err *err)
{
	const bool first = tid_way == THUMP_WAY_NAMESPACE;
	struct thump_attempt attempt;
	int result;

	if (first)
		report->user_namespace =
			!(thump_caps_sets().effective & THUMP_CAP_BIT(CAP_SYS_ADMIN));
	result = thump_attempt_init(&attempt, plan, report, err);
	attempt.first = first;
	if (result == 0)
		result = attempt_run(&attempt, first ? THUMP_WAY_SET_TID : tid_way, err);
	if (result < 0 && attempt.newborn && thump_newborn_given_up_on(attempt.newborn))
		result = given_up(&attempt, err);
	if (result == 0) {
		if (plan->taken_ns)
			report_taken(&attempt);
		else
			report_times(&attempt);
		*pid_ret = attempt.newborn->pid;
	} else if (attempt.region.blob) {
		/* Helpers are processes of their own: they would read on after the leader's end. */
		__atomic_store_n(&attempt.region.blob->failed, 2, __ATOMIC_RELEASE);
	}
	thump_attempt_deinit(&attempt);
	if (result < 0)
		thump_undo_fds_as_program(plan);
	thump_made_destroy(&plan->rb);
	return result;
}
