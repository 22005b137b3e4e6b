/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restored process, from fork to release. What can go on at the same time does: while the
 * child makes descriptors and execs, the steps are written here and a thread checks the content
 * that the blob will read, or threads make it (fill.h).
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/note.h"
#include "base/thread.h"
#include "rebuild/arch/arch.h"
#include "rebuild/commit.h"
#include "rebuild/fill.h"
#include "rebuild/jobs.h"
#include "resume/blob.h"

#define VERIFY_PIECE_BYTES ((uint64_t)16 << 20)
/* Less than this is checked at once: starting a thread takes as long. */
#define VERIFY_THREAD_BYTES ((uint64_t)1 << 20)

/* ---- checking what is read ----------------------------------------------------------------- */

struct verifier {
	struct thump_image *image;
	struct thump_file_range *ranges;
	size_t nr_ranges;
	const struct thump_rebuild_options *options;
	atomic_bool stop, done;
	bool running;
	pthread_t thread;
	pid_t waiter; /* the thread that is told with SIGCHLD that it is done */
	int result;
	struct thump_err err;
};

static void show_progress(const struct verifier *verifier, uint64_t done_bytes,
			  uint64_t total_bytes)
{
	if (verifier->options->progress)
		verifier->options->progress(verifier->options->progress_ctx, done_bytes,
					    total_bytes);
}

static int verify_all(struct verifier *verifier, uint64_t total_bytes)
{
	uint64_t done_bytes = 0;

	for (size_t i = 0; i < verifier->nr_ranges; i++) {
		const struct thump_file_range *range = &verifier->ranges[i];

		for (uint64_t at = 0; at < range->size_bytes; at += VERIFY_PIECE_BYTES) {
			show_progress(verifier, done_bytes + at, total_bytes);
			if (atomic_load(&verifier->stop))
				return 0;
			if (thump_image_verify_range(
				    verifier->image, range->offset + at,
				    thump_min_u64(VERIFY_PIECE_BYTES, range->size_bytes - at),
				    &verifier->err) < 0)
				return -1;
		}
		done_bytes += range->size_bytes;
	}
	return 0;
}

static int verify_ranges(struct verifier *verifier)
{
	uint64_t total_bytes = 0;
	int result;

	for (size_t i = 0; i < verifier->nr_ranges; i++)
		total_bytes += verifier->ranges[i].size_bytes;
	result = verify_all(verifier, total_bytes);
	show_progress(verifier, total_bytes, total_bytes);
	return result;
}

static void *verify_thread(void *arg)
{
	struct verifier *verifier = arg;

	verifier->result = verify_ranges(verifier);
	atomic_store(&verifier->done, true);
	/* Blocked, and waited for along with what the new process does. Not pthread_kill(3): our
	 * init was not forked by glibc, which has another idea of its tid. */
	(void)tgkill(getpid(), verifier->waiter, SIGCHLD);
	return NULL;
}

static bool start_thread(struct verifier *verifier)
{
	verifier->waiter = gettid();
	verifier->running = thump_thread_start(&verifier->thread, verify_thread, verifier) == 0;
	return verifier->running;
}

static int verifier_start(struct verifier *verifier, const struct thump_plan *plan,
			  const struct thump_jobs *jobs, struct thump_err *err)
{
	verifier->image = plan->image;
	verifier->options = &plan->options;
	/* In chunks of 1 MiB it would be read from a disk, where the new process needs some pages
	 * of each. */
	if (plan->content_known)
		return 0;
	if (thump_jobs_ranges(jobs, &verifier->ranges, &verifier->nr_ranges, err) < 0)
		return -1;
	/* Without a thread it only takes longer: older kernels refuse one to who has made a time
	 * namespace for its children (EINVAL in copy_process(), kernel/fork.c), RLIMIT_NPROC does
	 * to who has too many. */
	if (jobs->total_bytes >= VERIFY_THREAD_BYTES && !thump_image_supply(plan->image) &&
	    start_thread(verifier))
		return 0;
	/* That makes it, too, if nobody else could. */
	verifier->result = verify_ranges(verifier);
	return 0;
}

static int verifier_join(struct verifier *verifier, struct thump_err *err)
{
	if (verifier->running)
		(void)pthread_join(verifier->thread, NULL);
	verifier->running = false;
	if (verifier->result < 0)
		*err = verifier->err;
	return verifier->result;
}

/* The same for somebody who may be told to give up meanwhile. */
static int verifier_wait(struct verifier *verifier, struct thump_newborn *newborn,
			 struct thump_err *err)
{
	while (verifier->running && !atomic_load(&verifier->done))
		if (thump_newborn_wait_event(newborn, err) < 0)
			return -1;
	return verifier_join(verifier, err);
}

static void verifier_deinit(struct verifier *verifier)
{
	struct thump_err ignored;

	atomic_store(&verifier->stop, true);
	(void)verifier_join(verifier, &ignored);
	thump_free_ptr(&verifier->ranges);
}

/* ---- state of one attempt ------------------------------------------------------------------ */

struct attempt {
	struct thump_plan *plan;
	struct thump_rebuild_report *report;
	struct thump_region region;
	struct thump_jobs jobs;
	struct verifier verifier;
	struct thump_filler *filler; /* instead of the verifier; or NULL */
	struct thump_newborn *newborn;
	bool first; /* it becomes pid 1 of fresh namespaces */
	uint64_t start_ns, start_ticks, forked_ticks;
};

static void attempt_deinit(struct attempt *attempt)
{
	thump_filler_destroy(attempt->filler); /* it writes into the newborn */
	thump_newborn_destroy(attempt->newborn);
	verifier_deinit(&attempt->verifier);
	thump_jobs_deinit(&attempt->jobs);
	thump_region_destroy(&attempt->region);
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
static int child_failed(const struct attempt *attempt, struct thump_err *err)
{
	if (attempt->region.child_err->code != THUMP_OK)
		*err = *attempt->region.child_err;
	return thump_add_context(err, "new process");
}

/* In our init it is thump that looks out for signals, and asks us. */
static sigset_t give_up_on(const struct attempt *attempt)
{
	sigset_t note;

	if (attempt->report->way != THUMP_WAY_NAMESPACE || attempt->first)
		return attempt->plan->options.give_up_on;
	(void)sigemptyset(&note);
	(void)sigaddset(&note, THUMP_NOTE_SIGNAL);
	return note;
}

static int given_up(const struct attempt *attempt, struct thump_err *err)
{
	int signo = thump_newborn_given_up_on(attempt->newborn);

	attempt->report->given_up_on = signo;
	return thump_fail(err, "given up because of signal %d (%s) before the program ran", signo,
			  sigabbrev_np(signo) ? sigabbrev_np(signo) : "?");
}

static int spawn(struct attempt *attempt, enum thump_pid_way tid_way, pid_t *pid_ret,
		 struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;

	if (attempt->first)
		return thump_spawn_first(plan, attempt->report, pid_ret, err);
	return thump_spawn_with_pid(tid_way, plan->model->process.pid, plan->options.spin_limit,
				    pid_ret, &attempt->report->spins, err);
}

static int start_child(struct attempt *attempt, enum thump_pid_way tid_way,
		       const struct thump_caps *caps, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;
	auto_close int go_read = -1, go_write = -1;
	sigset_t signals;
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
	signals = give_up_on(attempt);
	thump_newborn_give_up_on(attempt->newborn, &signals);
	attempt->report->pid_host = pid;
	if (thump_write_full(go_write, "g", 1) < 0)
		return thump_fail_errno(err, "start the new process");
	return 0;
}

/* ---- the blob ------------------------------------------------------------------------------ */

/* Where exec put the vdso: the kernel tells in the auxiliary vector. */
static int find_vdso(const struct attempt *attempt, uint64_t *vdso_ret, struct thump_err *err)
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

static int map_remote(const struct attempt *attempt, struct remote_addr insn,
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
static int find_insn(const struct attempt *attempt, uint64_t vdso, struct remote_addr *insn_ret,
		     struct thump_err *err)
{
	const struct thump_kernel_mappings *kernel = &attempt->plan->kernel;

	if (!vdso || !kernel->insn_from_vdso)
		return thump_newborn_syscall_insn(attempt->newborn, insn_ret, err);
	*insn_ret = REMOTE(vdso + kernel->insn_from_vdso);
	return 0;
}

static struct thump_door door_of(const struct attempt *attempt)
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
static int run_by_door(struct attempt *attempt, struct thump_err *err)
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
static int run_injected(struct attempt *attempt, uint64_t vdso, struct thump_err *err)
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

static int run_blob(struct attempt *attempt, struct thump_err *err)
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
	if (thump_filler_result(attempt->filler, err) < 0)
		return -1;
	if (blob->failed || blob->phase != THUMP_PHASE_READY) {
		thump_what_failed(blob, region->steps, region->room_steps, err);
		return -1;
	}
	if (!attempt->plan->kernel.bridged)
		return 0;
	return thump_newborn_write(attempt->newborn, REMOTE(mm->vdso_start),
				   attempt->plan->kernel.bridge, mm->vdso_end - mm->vdso_start,
				   err);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int write_steps(struct attempt *attempt, enum thump_pid_way tid_way,
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
	return verifier_start(&attempt->verifier, plan, &attempt->jobs, err);
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

static int get_region(struct attempt *attempt, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;

	if (!plan->region.bytes)
		return make_region(plan, &attempt->region, err);
	attempt->region = plan->region;
	plan->region = (struct thump_region){ .fd = -1 };
	return 0;
}

static int attempt_run(struct attempt *attempt, enum thump_pid_way tid_way, struct thump_err *err)
{
	struct thump_plan *plan = attempt->plan;
	const struct thump_caps caps = thump_caps_final(plan->model, attempt->report);

	plan->set_caps = attempt->report->user_namespace || thump_caps_sets().permitted != 0 ||
			 geteuid() == 0;
	set_clock_shift(plan, attempt->report);
	if (thump_made_create(&plan->rb, err) < 0 || get_region(attempt, err) < 0)
		return -1;
	/* Spinning counts tids: no thread of ours may start while the new process makes its own. */
	if (tid_way == THUMP_WAY_SPIN && write_steps(attempt, tid_way, &caps, err) < 0)
		return -1;
	if (start_child(attempt, tid_way, &caps, err) < 0)
		return -1;
	if (tid_way != THUMP_WAY_SPIN && write_steps(attempt, tid_way, &caps, err) < 0)
		return -1;
	if (thump_newborn_wait_exec(attempt->newborn, 0, err) < 0)
		return child_failed(attempt, err);
	thump_prefetch_wait(plan->options.prefetch);
	if (run_blob(attempt, err) < 0 ||
	    verifier_wait(&attempt->verifier, attempt->newborn, err) < 0)
		return -1;
	return thump_commit(plan, &attempt->region, attempt->newborn, err);
}

/* The child may be ahead of us: it can come to its mark before fork(2) has returned here. */
static uint64_t ticks_between(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

static void report_times(const struct attempt *attempt)
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

int thump_rebuild_here(struct thump_plan *plan, enum thump_pid_way tid_way,
		       struct thump_rebuild_report *report, pid_t *pid_ret, struct thump_err *err)
{
	struct attempt attempt = {
		.plan = plan,
		.report = report,
		.region = { .fd = -1 },
		.start_ns = clock_ns(CLOCK_MONOTONIC),
		.start_ticks = thump_ticks(),
	};
	int result;

	if (tid_way == THUMP_WAY_NAMESPACE) {
		attempt.first = true;
		report->user_namespace =
			!(thump_caps_sets().effective & THUMP_CAP_BIT(CAP_SYS_ADMIN));
		tid_way = THUMP_WAY_SET_TID; /* of its threads */
	}
	result = attempt_run(&attempt, tid_way, err);
	if (result < 0 && attempt.newborn && thump_newborn_given_up_on(attempt.newborn))
		result = given_up(&attempt, err);
	if (result == 0) {
		report_times(&attempt);
		*pid_ret = attempt.newborn->pid;
	} else if (attempt.region.blob) {
		/* Helpers are processes of their own: they would read on after the leader's end. */
		__atomic_store_n(&attempt.region.blob->failed, 2, __ATOMIC_RELEASE);
	}
	attempt_deinit(&attempt);
	if (result < 0)
		thump_undo_fds_as_program(plan);
	thump_made_destroy(&plan->rb);
	return result;
}
