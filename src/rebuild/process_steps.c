/* SPDX-License-Identifier: Apache-2.0 */
/* Steps about the process as a whole. Which part comes when matters; see plan.h. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "rebuild/plan.h"
#include "rebuild/spare.h"

#ifndef PR_SET_THP_DISABLE
#define PR_SET_THP_DISABLE 41
#endif

/* membarrier(2): what a program registers for by default (pthread, C++ runtimes, liburcu). */
#define MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1u << 4)

/* ---- setup ---------------------------------------------------------------------------------- */

static void step_mm_map(const struct thump_model *model, struct thump_region *region)
{
	const struct thump_mm *mm = &model->mm;
	struct prctl_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = mm->auxv_size,
		/* The exec took care of /proc/PID/exe; setting it needs a capability. */
		.exe_fd = (uint32_t)-1,
	};
	uint64_t map_addr;

	map.auxv = (void *)(uintptr_t)thump_region_put(region, mm->auxv, mm->auxv_size);
	map_addr = thump_region_put(region, &map, sizeof(map));
	(void)THUMP_STEP(region, THUMP_WHAT_MM_MAP, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, map_addr,
			 sizeof(map));
}

/* Registering while there is one thread is cheap: the kernel need not wait for the others. */
static void step_membarrier(const struct thump_model *model, struct thump_region *region)
{
	uint32_t wanted = model->mm.membarrier_registrations;

	if (!model->mm.membarrier_known) {
		/* Unknown before Linux 6.3; a registration too many does no harm. */
		thump_step_try(THUMP_STEP(region, THUMP_WHAT_MEMBARRIER, SYS_membarrier,
					  MEMBARRIER_REGISTER_PRIVATE_EXPEDITED));
		return;
	}
	for (uint32_t bit = 1; bit && bit <= wanted; bit <<= 1) {
		if (wanted & bit)
			(void)THUMP_STEP(region, THUMP_WHAT_MEMBARRIER, SYS_membarrier, bit);
	}
}

/* The child has reset all dispositions, so that only others need a step. */
static void step_sigactions(const struct thump_model *model, struct thump_region *region)
{
	for (int signo = 1; signo <= THUMP_NR_SIGNALS; signo++) {
		/* In the kernel's order: handler, flags, restorer, mask. */
		const struct thump_sigaction *action = &model->process.sigactions[signo - 1];

		if (action->handler == 0 && action->flags == 0 && action->mask == 0)
			continue;
		if (signo == SIGKILL || signo == SIGSTOP)
			continue;
		(void)THUMP_STEP(region, THUMP_WHAT_SIGACTION, SYS_rt_sigaction, (uint64_t)signo,
				 thump_region_put(region, action, sizeof(*action)), 0,
				 sizeof(action->mask));
	}
}

void thump_process_setup(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;

	step_mm_map(model, region);
	if (model->mm.thp_disable)
		(void)THUMP_STEP(region, THUMP_WHAT_THP_DISABLE, SYS_prctl, PR_SET_THP_DISABLE, 1);
	step_membarrier(model, region);
	(void)THUMP_STEP(region, THUMP_WHAT_PERSONALITY, SYS_personality,
			 model->process.personality & ~(uint32_t)READ_IMPLIES_EXEC);
	if (model->process.child_subreaper)
		(void)THUMP_STEP(region, THUMP_WHAT_SUBREAPER, SYS_prctl, PR_SET_CHILD_SUBREAPER,
				 1);
	step_sigactions(model, region);
	(void)THUMP_STEP(region, THUMP_WHAT_NAME_THREAD, SYS_prctl, PR_SET_NAME,
			 thump_region_put(region, model->tasks[0].comm, THUMP_COMM_SIZE));
}

/* ---- finish: descriptors and signals --------------------------------------------------------- */

/* In a spare: to its place, which is that of something that is not needed any more. */
static void step_keep_socket(const struct thump_model *model, struct thump_region *region)
{
	struct thump_step *step =
		THUMP_STEP(region, THUMP_WHAT_KEEP_SOCKET, SYS_dup3, thump_slot_maker(model),
			   (uint64_t)thump_spare_fd(model), O_CLOEXEC);

	step->fd_arg = 1;
}

/* Whatever is not the image's goes, and not only what we know of; but for a spare's socket. */
static void step_close_others(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;
	uint32_t next = 0;

	if (plan->options.spare)
		step_keep_socket(model, region);
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		uint32_t fd = (uint32_t)model->fds[i].fd;

		if (fd > next)
			(void)THUMP_STEP(region, THUMP_WHAT_CLOSE_FDS, SYS_close_range, next,
					 fd - 1, 0);
		next = fd + 1;
	}
	if (plan->options.spare && (uint32_t)thump_spare_fd(model) > next)
		(void)THUMP_STEP(region, THUMP_WHAT_CLOSE_FDS, SYS_close_range, next,
				 (uint64_t)thump_spare_fd(model) - 1, 0);
	if (plan->options.spare)
		next = (uint32_t)thump_spare_fd(model) + 1;
	(void)THUMP_STEP(region, THUMP_WHAT_CLOSE_FDS, SYS_close_range, next, UINT32_MAX, 0);
}

/* One call for each run of descriptors; what is not open does not count. */
static void step_cloexec(const struct thump_model *model, struct thump_region *region)
{
	for (uint32_t i = 0; i < model->nr_fds; i++) {
		uint32_t first = (uint32_t)model->fds[i].fd;

		if (!model->fds[i].cloexec)
			continue;
		while (i + 1 < model->nr_fds && model->fds[i + 1].cloexec)
			i++;
		(void)THUMP_STEP(region, THUMP_WHAT_CLOEXEC, SYS_close_range, first,
				 (uint32_t)model->fds[i].fd, CLOSE_RANGE_CLOEXEC);
	}
}

/* All others being closed, this is the number that open(2) gives. */
static uint32_t lowest_free(const struct thump_model *model)
{
	uint32_t lowest = 0;

	while (lowest < model->nr_fds && (uint32_t)model->fds[lowest].fd == lowest)
		lowest++;
	return lowest;
}

/* In the places that the child has kept for them. */
static void step_late_opens(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;
	const uint32_t free_fd = lowest_free(model);

	for (size_t i = 0; i < plan->rb.nr_late_opens; i++) {
		const struct thump_late_open *late = &plan->rb.late_opens[i];
		const uint64_t path = thump_region_put(region, late->path, strlen(late->path) + 1);

		thump_step_expect(THUMP_STEP(region, THUMP_WHAT_OPEN_OWN, SYS_openat,
					     (uint64_t)(int64_t)AT_FDCWD, path,
					     (uint64_t)late->flags),
				  free_fd);
		if (late->pos)
			(void)THUMP_STEP(region, THUMP_WHAT_OPEN_OWN, SYS_lseek, free_fd, late->pos,
					 SEEK_SET);
		for (uint32_t k = 0; k < model->nr_fds; k++)
			if (model->fds[k].ofd_id == late->ofd_id)
				(void)THUMP_STEP(region, THUMP_WHAT_OPEN_OWN, SYS_dup3, free_fd,
						 (uint64_t)model->fds[k].fd, 0);
		(void)THUMP_STEP(region, THUMP_WHAT_OPEN_OWN, SYS_close, free_fd);
	}
}

static void step_late_locks(const struct thump_fd_rebuild *rb, struct thump_region *region)
{
	for (size_t i = 0; i < rb->nr_late_locks; i++) {
		const struct thump_late_lock *lock = &rb->late_locks[i];

		(void)THUMP_STEP(region, THUMP_WHAT_FILE_LOCK, SYS_fcntl, (uint64_t)lock->fd,
				 F_SETLK,
				 thump_region_put(region, &lock->range, sizeof(lock->range)));
	}
}

/* Nobody is told where ids are other ones: those of the image may be somebody else's. */
static void step_late_owners(const struct thump_plan *plan, struct thump_region *region)
{
	for (size_t i = 0; plan->way != THUMP_WAY_OTHER && i < plan->rb.nr_late_owners; i++) {
		const struct thump_late_owner *late = &plan->rb.late_owners[i];
		const uint64_t owner = thump_region_put(region, &late->owner, sizeof(late->owner));

		if (late->owner.pid)
			(void)THUMP_STEP(region, THUMP_WHAT_FILE_OWNER, SYS_fcntl,
					 (uint64_t)late->fd, F_SETOWN_EX, owner);
		if (late->signo)
			(void)THUMP_STEP(region, THUMP_WHAT_FILE_OWNER, SYS_fcntl,
					 (uint64_t)late->fd, F_SETSIG, (uint64_t)late->signo);
	}
}

void thump_step_queue(struct thump_region *region, const struct thump_siginfo *info, bool to_thread)
{
	int32_t signo;
	struct thump_step *step;

	memcpy(&signo, info->bytes, sizeof(signo));
	if (signo == SIGKILL || signo == SIGSTOP || signo == SIGTRAP)
		return;
	step = THUMP_STEP(region, THUMP_WHAT_QUEUE_SIGNAL, 0, (uint64_t)signo,
			  thump_region_put(region, info->bytes, sizeof(info->bytes)), to_thread);
	step->op = THUMP_STEP_QUEUE_SIGNAL;
}

void thump_process_finish(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_process *process = &plan->model->process;

	step_close_others(plan, region);
	step_late_opens(plan, region);
	step_cloexec(plan->model, region);
	step_late_locks(&plan->rb, region);
	step_late_owners(plan, region);
	for (uint32_t i = 0; i < process->nr_pending; i++)
		thump_step_queue(region, &process->pending[i], false);
}

/* ---- finish: clocks and limits ------------------------------------------------------------- */

static void step_itimers(const struct thump_model *model, struct thump_region *region)
{
	for (int which = 0; which < THUMP_NR_ITIMERS; which++) {
		const struct thump_itimer *timer = &model->process.itimers[which];
		struct itimerval value = {
			.it_interval = { (time_t)(timer->interval_us / 1000000),
					 (suseconds_t)(timer->interval_us % 1000000) },
			.it_value = { (time_t)(timer->value_us / 1000000),
				      (suseconds_t)(timer->value_us % 1000000) },
		};

		if (timer->value_us)
			(void)THUMP_STEP(region, THUMP_WHAT_ITIMER, SYS_setitimer, (uint64_t)which,
					 thump_region_put(region, &value, sizeof(value)));
	}
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
}

/* The blob's threads are in order of creation, not the model's; see abi.h for the numbers. */
static uint64_t thread_number(const struct thump_model *model, const struct thump_region *region,
			      int32_t tid)
{
	const struct thump_blob_thread *threads = thump_region_threads(region);

	if (tid == model->tasks[0].tid)
		return 1;
	for (uint32_t i = 0; i < region->blob->nr_threads; i++) {
		if (threads[i].wanted_tid == tid)
			return 2 + i;
	}
	return 0;
}

static void step_posix_timer(const struct thump_model *model, struct thump_region *region,
			     const struct thump_posix_timer *timer)
{
	struct itimerspec value = {
		.it_interval = timespec_of(timer->interval_ns),
		.it_value = timespec_of(timer->value_ns),
	};
	struct sigevent event = {
		.sigev_value.sival_ptr = (void *)(uintptr_t)timer->sigval,
		.sigev_signo = timer->signo,
		.sigev_notify = timer->notify,
	};
	uint64_t thread =
		timer->notify & SIGEV_THREAD_ID ? thread_number(model, region, timer->tid) : 0;
	struct thump_step *step;

	step = THUMP_STEP(region, THUMP_WHAT_TIMER_CREATE, 0, (uint64_t)timer->id,
			  (uint64_t)(int64_t)timer->clock_id,
			  thump_region_put(region, &event, sizeof(event)), thread);
	step->op = THUMP_STEP_TIMER_CREATE;
	if (timer->value_ns)
		(void)THUMP_STEP(region, THUMP_WHAT_TIMER_SET, SYS_timer_settime,
				 (uint64_t)timer->id, 0,
				 thump_region_put(region, &value, sizeof(value)));
}

static void step_rlimits(const struct thump_plan *plan, struct thump_region *region)
{
	for (uint32_t i = 0; i < THUMP_NR_RLIMITS; i++) {
		const struct thump_rlimit *wanted = &plan->rlimits[i];
		const struct thump_rlimit *own = &plan->own_rlimits[i];

		uint64_t soft_now = thump_limit_is_raised(i) ? own->hard : own->soft;

		if (wanted->soft == soft_now && wanted->hard == own->hard)
			continue;
		(void)THUMP_STEP(region, THUMP_WHAT_RLIMIT, SYS_prlimit64, 0, i,
				 thump_region_put(region, wanted, sizeof(*wanted)), 0);
	}
}

void thump_process_last(const struct thump_plan *plan, struct thump_region *region)
{
	const struct thump_model *model = plan->model;

	for (uint32_t i = 0; i < model->nr_timers; i++)
		step_posix_timer(model, region, &model->timers[i]);
	step_itimers(model, region);
	step_rlimits(plan, region);
}

/* ---- templates and clones -----------------------------------------------------------------------
 */

void thump_clone_setup(const struct thump_plan *plan, const struct thump_caps *caps,
		       struct thump_region *region)
{
	struct thump_step *step = THUMP_STEP(region, THUMP_WHAT_WORKING_DIRECTORY, SYS_fchdir,
					     thump_slot_own(plan->model));
	int32_t *unused;

	step->fd_arg = 1;
	unused = thump_region_alloc(region, thump_max_handed_over(plan->model) * sizeof(*unused),
				    &region->blob->fd_numbers);
	region->blob->maker_slot = thump_slot_maker(plan->model);
	region->blob->max_fds = unused ? thump_max_handed_over(plan->model) : 0;
	/* Without CAP_SETPCAP the set cannot be reduced: then it is what the caller's is, too. */
	for (unsigned cap = 0; plan->set_caps && cap <= CAP_LAST_CAP; cap++)
		if (!(caps->bounding & THUMP_CAP_BIT(cap)))
			thump_step_try(THUMP_STEP(region, THUMP_WHAT_SET_CAPS, SYS_prctl,
						  PR_CAPBSET_DROP, cap));
}

void thump_template_finish(const struct thump_plan *plan, struct thump_region *region)
{
	static const char name[THUMP_COMM_SIZE] = "thump-template";
	const uint64_t park = thump_park_addr(region);
	struct thump_step *step;

	thump_step_expect(THUMP_STEP(region, THUMP_WHAT_MAP, SYS_mmap, park, THUMP_PARK_BYTES,
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
				     (uint64_t)-1, 0),
			  park);
	step = THUMP_STEP(region, THUMP_WHAT_CLOSE_FDS, SYS_dup3, thump_slot_own(plan->model), 0,
			  O_CLOEXEC);
	step->fd_arg = 1;
	(void)THUMP_STEP(region, THUMP_WHAT_CLOSE_FDS, SYS_close_range, 1, UINT32_MAX, 0);
	(void)THUMP_STEP(region, THUMP_WHAT_NAME_THREAD, SYS_prctl, PR_SET_NAME,
			 thump_region_put(region, name, sizeof(name)));
}
