/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STAGE 4: the blob. Runs in the new process and runs the steps that rebuild wrote; see abi.h.
 *
 * RULES FOR EDITING
 *  1. No libc, no static or global data, no string literals, no function pointers in tables: the
 *     linker script refuses what would need a relocation.
 *  2. Every result is checked; the first failure is recorded by fail() and ends everything.
 *  3. A thread has THUMP_BLOB_STACK_SIZE bytes of stack and no TLS.
 *  4. Memory outside the data region belongs to the program that is restored.
 */
#include "abi.h"
#include "arch/arch.h"
#include "internal.h"

#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/time_types.h>
#include <linux/uio.h>
#include <linux/wait.h>
#include <stdbool.h>
#include <stddef.h>

#define RESUME_EEXIST 17
#define RESUME_ENOSPC 28
#define RESUME_ESRCH  3
#define RESUME_EINTR  4

#define RESUME_SIGTRAP 5

/* A call for fewer pages costs more than their faults. */
#define RESUME_POPULATE_BYTES 16384

/* linux/prctl.h since 6.16; without it ids are found by trying. */
#define RESUME_PR_TIMER_CREATE_RESTORE_IDS 77

/* Half a second in all, for what takes microseconds unless the ending thread is not let run. */
#define RESUME_SET_TID_TRIES	2500
#define RESUME_SET_TID_PAUSE_NS 200000

/* The kernel hands out timer ids in ascending order; more tries than this are not reasonable. */
#define RESUME_MAX_TIMER_TRIES 65536

#define THREAD_FLAGS                                                                               \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define HELPER_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND)

void thump_blob_thread(struct thump_blob_data *data, struct thump_blob_thread *thread)
	__attribute__((noreturn, used, visibility("hidden")));
void thump_blob_helper(struct thump_blob_data *data, struct thump_blob_thread *thread)
	__attribute__((noreturn, used, visibility("hidden")));
void thump_blob_spinner(void) __attribute__((noreturn, used, visibility("hidden")));

/* ---- waiting and failing -------------------------------------------------------------- */

/* Not FUTEX_PRIVATE_FLAG: rebuild waits and wakes here, too, in a process of its own. */
static void futex_wait(uint32_t *word, uint32_t value)
{
	/* EAGAIN and EINTR need no care: every caller looks at the word again. */
	(void)arch_syscall4(__NR_futex, (uint64_t)word, FUTEX_WAIT, value, 0);
}

static void futex_wake_all(uint32_t *word)
{
	(void)arch_syscall4(__NR_futex, (uint64_t)word, FUTEX_WAKE, INT32_MAX, 0);
}

/* Changing the word makes a waiter that has not gone to sleep yet look again. */
static void mark_failed(uint32_t *word)
{
	__atomic_fetch_or(word, THUMP_BLOB_FAILED_BIT, __ATOMIC_ACQ_REL);
	futex_wake_all(word);
}

static void fail(struct thump_blob_data *data, uint32_t what, int32_t tid, uint64_t step,
		 long result)
{
	uint32_t none = 0;

	if (__atomic_compare_exchange_n(&data->failed, &none, 1, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		data->fail_what = what;
		data->fail_tid = tid;
		data->fail_step = step;
		data->fail_result = result;
		__atomic_store_n(&data->failed, 2, __ATOMIC_RELEASE);
	}
	mark_failed(&data->done_jobs);
	mark_failed(&data->ready);
	mark_failed(&data->mapped);
	mark_failed(&data->started);
}

/* Waits until *word reaches `count`; false when something failed meanwhile. */
static bool wait_for_count(uint32_t *word, uint32_t count)
{
	for (;;) {
		uint32_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (value & THUMP_BLOB_FAILED_BIT)
			return false;
		if (value >= count)
			return true;
		futex_wait(word, value);
	}
}

static void mark_done(uint32_t *word)
{
	__atomic_fetch_or(word, 1, __ATOMIC_ACQ_REL);
	futex_wake_all(word);
}

/* For good: rebuild ends this thread or gives it other registers. */
static void __attribute__((noreturn)) park(struct thump_blob_data *data)
{
	for (;;)
		futex_wait(&data->park, 0);
}

static void __attribute__((noreturn)) trap_for_good(void)
{
	for (;;)
		arch_trap();
}

static bool block_signals(struct thump_blob_data *data)
{
	uint64_t mask = ~(UINT64_C(1) << (RESUME_SIGTRAP - 1));
	long result = arch_syscall4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, (uint64_t)&mask, 0,
				    sizeof(mask));

	if (is_error(result))
		fail(data, THUMP_WHAT_ABI, 0, 0, result);
	return !is_error(result);
}

/* ---- steps ---------------------------------------------------------------------------- */

static long create_timer(struct thump_blob_data *data, const struct thump_step *step)
{
	uint64_t event = step->args[2];
	int32_t wanted = (int32_t)step->args[0];
	int32_t id = wanted;
	bool exact;
	long result = 0;

	if (step->args[3] == 1) {
		((int32_t *)event)[4] = (int32_t)arch_syscall2(__NR_gettid, 0, 0);
	} else if (step->args[3]) {
		struct thump_blob_thread *threads = (struct thump_blob_thread *)data->threads;

		/* sigev_notify_thread_id follows sigev_value, sigev_signo and sigev_notify. */
		((int32_t *)event)[4] = threads[step->args[3] - 2].actual_tid;
	}
	exact = !arch_syscall4(__NR_prctl, RESUME_PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0);
	for (unsigned tries = 0; tries < RESUME_MAX_TIMER_TRIES; tries++) {
		result = arch_syscall4(__NR_timer_create, step->args[1], event, (uint64_t)&id, 0);
		if (result || id == wanted)
			break;
		(void)arch_syscall2(__NR_timer_delete, (uint64_t)id, 0);
		result = -RESUME_EEXIST;
		if (id > wanted)
			break;
	}
	if (exact)
		(void)arch_syscall4(__NR_prctl, RESUME_PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0);
	return result;
}

static long queue_signal(const struct thump_step *step)
{
	uint64_t pid = (uint64_t)arch_syscall2(__NR_getpid, 0, 0);
	uint64_t tid;

	if (!step->args[2])
		return arch_syscall4(__NR_rt_sigqueueinfo, pid, step->args[0], step->args[1], 0);
	tid = (uint64_t)arch_syscall2(__NR_gettid, 0, 0);
	return arch_syscall4(__NR_rt_tgsigqueueinfo, pid, tid, step->args[0], step->args[1]);
}

static uint64_t fd_of_slot(const struct thump_blob_data *data, uint64_t slot)
{
	return (uint64_t)((const int32_t *)data->fds)[slot];
}

static long run_syscall(const struct thump_blob_data *data, const struct thump_step *step)
{
	uint64_t args[6];

	for (unsigned i = 0; i < 6; i++)
		args[i] = step->fd_arg == i + 1 ? fd_of_slot(data, step->args[i]) : step->args[i];
	return arch_syscall6(step->nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static long run_step(struct thump_blob_data *data, const struct thump_step *step)
{
	if (step->op == THUMP_STEP_SYSCALL)
		return run_syscall(data, step);
	if (step->op == THUMP_STEP_TIMER_CREATE)
		return create_timer(data, step);
	if (step->op == THUMP_STEP_QUEUE_SIGNAL)
		return queue_signal(step);
	return -4095;
}

static bool as_expected(const struct thump_step *step, long result)
{
	if (step->expect == THUMP_EXPECT_ANY)
		return true;
	if (step->expect == THUMP_EXPECT_VALUE)
		return (uint64_t)result == step->value;
	return !is_error(result);
}

static bool run_steps(struct thump_blob_data *data, uint32_t first, uint32_t count, int32_t tid)
{
	const struct thump_step *steps = (const struct thump_step *)data->steps;

	for (uint32_t i = first; i < first + count; i++) {
		long result = run_step(data, &steps[i]);

		if (!as_expected(&steps[i], result)) {
			fail(data, steps[i].what, tid, i, result);
			return false;
		}
	}
	return true;
}

/* ---- filling memory ------------------------------------------------------------------- */

static void collapse(uint64_t start, uint64_t end)
{
	/* A huge page is made only where there is at least one small one. */
	for (uint64_t at = start; at < end; at += THUMP_HUGE_PAGE_SIZE)
		*(volatile unsigned char *)at = 0;
	/* Best effort: small pages are right, too. */
	(void)arch_syscall4(__NR_madvise, start, end - start, MADV_COLLAPSE, 0);
}

/* Best effort, too: what is not there yet comes fault by fault, at nearly twice the cost. */
static void populate(const struct iovec *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (ranges[i].iov_len < RESUME_POPULATE_BYTES)
			continue;
		(void)arch_syscall4(__NR_madvise, (uint64_t)ranges[i].iov_base, ranges[i].iov_len,
				    MADV_POPULATE_WRITE, 0);
	}
}

/* Older kernels do not know the advice (Linux 5.14). */
static void touch(const struct iovec *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		(void)arch_syscall4(__NR_madvise, (uint64_t)ranges[i].iov_base, ranges[i].iov_len,
				    MADV_POPULATE_WRITE, 0);
}

static long read_job(const struct thump_blob_data *data, const struct thump_read_job *job)
{
	struct iovec *iov = (struct iovec *)job->iov;
	uint32_t nr_iov = job->nr_iov;
	uint64_t done = 0;

	if (job->flags & THUMP_ONLY_TOUCH) {
		touch(iov, nr_iov);
		return (long)job->size_bytes;
	}
	if (job->flags & THUMP_READ_HUGE)
		collapse(job->huge_start, job->huge_end);
	else if (job->flags & THUMP_READ_POPULATE)
		populate(iov, nr_iov);
	if (job->flags & THUMP_ONLY_PREPARE)
		return (long)job->size_bytes;
	while (done < job->size_bytes) {
		long result = arch_syscall6(__NR_preadv, fd_of_slot(data, job->fd_slot),
					    (uint64_t)iov, nr_iov, job->file_offset + done, 0, 0);

		if (result == -RESUME_EINTR)
			continue;
		if (is_error(result))
			return result;
		if (result == 0)
			return 0;
		done += (uint64_t)result;
		while (nr_iov && (uint64_t)result >= iov->iov_len) {
			result -= (long)iov->iov_len;
			iov++;
			nr_iov--;
		}
		if (nr_iov) {
			iov->iov_base = (char *)iov->iov_base + result;
			iov->iov_len -= (uint64_t)result;
		}
	}
	return (long)done;
}

/* False when a job failed, or somebody else failed. */
static bool take_jobs(struct thump_blob_data *data, int32_t tid)
{
	const struct thump_read_job *jobs = (const struct thump_read_job *)data->jobs;

	for (;;) {
		uint32_t i = __atomic_fetch_add(&data->next_job, 1, __ATOMIC_RELAXED);
		long result;

		/* Also after the last one: a helper is no thread, and does not end with the rest.
		 */
		if (__atomic_load_n(&data->failed, __ATOMIC_ACQUIRE))
			return false;
		if (i >= data->nr_jobs)
			return true;
		result = read_job(data, &jobs[i]);
		if ((uint64_t)result != jobs[i].size_bytes) {
			fail(data, is_error(result) ? THUMP_WHAT_READ : THUMP_WHAT_SHORT_READ, tid,
			     i, result);
			return false;
		}
		if (__atomic_add_fetch(&data->done_jobs, 1, __ATOMIC_ACQ_REL) >= data->nr_jobs)
			futex_wake_all(&data->done_jobs);
	}
}

static bool read_memory(struct thump_blob_data *data, int32_t tid)
{
	return wait_for_count(&data->mapped, 1) && take_jobs(data, tid);
}

static bool wait_until_filled(struct thump_blob_data *data)
{
	return wait_for_count(&data->done_jobs, data->nr_jobs + data->nr_fills);
}

/* ---- threads -------------------------------------------------------------------------- */

void thump_blob_helper(struct thump_blob_data *data, struct thump_blob_thread *thread)
{
	/* A process of its own: it would read on after the end of the process it reads for. The
	 * parent may have ended before the signal was asked for: prctl(2), PR_SET_PDEATHSIG. */
	(void)arch_syscall4(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
	if (arch_syscall2(__NR_getppid, 0, 0) == data->leader_pid)
		(void)read_memory(data, thread->wanted_tid);
	(void)arch_syscall2(__NR_exit, 0, 0);
	__builtin_unreachable();
}

void thump_blob_spinner(void)
{
	(void)arch_syscall2(__NR_exit, 0, 0);
	__builtin_unreachable();
}

static long start_with_set_tid(uint64_t sp, int32_t wanted_tid)
{
	/* The kernel only adds the two: the stack grows down from their sum. */
	struct clone_args args = {
		.flags = THREAD_FLAGS,
		.stack = sp - 64,
		.stack_size = 64,
		.set_tid = (uint64_t)&wanted_tid,
		.set_tid_size = 1,
	};

	return ARCH_START_THREAD(__NR_clone3, &args, sizeof(args), thump_blob_thread);
}

/*
 * The number of a thread that has ended may be free only in a moment: since Linux 6.15 it is given
 * back after whoever waits for the process was woken (release_task() in kernel/exit.c), and a
 * service that is ended and restored finds itself in the way. Such a number is nobody's.
 */
static bool is_nobodys(int32_t tid)
{
	return arch_syscall2(__NR_tkill, (uint64_t)tid, 0) == -RESUME_ESRCH &&
	       arch_syscall2(__NR_kill, (uint64_t) - (int64_t)tid, 0) == -RESUME_ESRCH;
}

static long start_when_free(uint64_t sp, int32_t wanted_tid)
{
	struct __kernel_timespec pause = { .tv_nsec = RESUME_SET_TID_PAUSE_NS };
	long result = start_with_set_tid(sp, wanted_tid);

	for (int i = 0; i < RESUME_SET_TID_TRIES && result == -RESUME_EEXIST; i++) {
		if (!is_nobodys(wanted_tid))
			break;
		(void)arch_syscall2(__NR_nanosleep, (uint64_t)&pause, 0);
		result = start_with_set_tid(sp, wanted_tid);
	}
	return result;
}

/*
 * Starts tasks that end at once until the next tid is the wanted one. Threads of a group need no
 * reaping, and CLONE_VFORK ends the call only when the task has left its stack. *last is the tid
 * that was handed out last.
 */
static bool spin_until_next(struct thump_blob_data *data, int32_t wanted_tid, long *last)
{
	while (*last + 1 != wanted_tid) {
		if (*last >= wanted_tid || data->spins >= data->spin_limit) {
			fail(data, THUMP_WHAT_SPIN_LIMIT, wanted_tid, 0, *last);
			return false;
		}
		*last = ARCH_START_THREAD(__NR_clone, THREAD_FLAGS | CLONE_VFORK,
					  data->spinner_stack_top, thump_blob_spinner);
		if (is_error(*last)) {
			fail(data, THUMP_WHAT_CLONE, wanted_tid, 0, *last);
			return false;
		}
		data->spins++;
	}
	return true;
}

static bool start_thread(struct thump_blob_data *data, struct thump_blob_thread *thread, long *last)
{
	uint64_t sp = arch_prepare_stack(thread->stack_top, (uint64_t)data, (uint64_t)thread);

	if (data->tid_way == THUMP_TID_SPIN && !spin_until_next(data, thread->wanted_tid, last))
		return false;
	if (data->tid_way == THUMP_TID_SET)
		*last = start_when_free(sp, thread->wanted_tid);
	else
		*last = ARCH_START_THREAD(__NR_clone, THREAD_FLAGS, sp, thump_blob_thread);
	if (is_error(*last)) {
		fail(data, THUMP_WHAT_CLONE, thread->wanted_tid, 0, *last);
		return false;
	}
	thread->actual_tid = (int32_t)*last;
	if (data->tid_way != THUMP_TID_ANY && thread->actual_tid != thread->wanted_tid) {
		fail(data, THUMP_WHAT_WRONG_TID, thread->wanted_tid, 0, *last);
		return false;
	}
	return true;
}

/* The last number that was handed out is that of whoever calls this. */
static bool start_threads(struct thump_blob_data *data, uint32_t first, uint32_t end)
{
	struct thump_blob_thread *threads = (struct thump_blob_thread *)data->threads;
	long last = arch_syscall2(__NR_gettid, 0, 0);

	for (uint32_t i = first; i < end; i++) {
		if (!start_thread(data, &threads[i], &last))
			return false;
	}
	return true;
}

/* Helpers are processes that share the memory, not threads: they leave no tid behind. */
static void start_helpers(struct thump_blob_data *data)
{
	struct thump_blob_thread *helpers =
		(struct thump_blob_thread *)data->threads + data->nr_threads;

	data->leader_pid = (int32_t)arch_syscall2(__NR_getpid, 0, 0);
	for (uint32_t i = 0; i < data->nr_helpers; i++) {
		uint64_t sp = arch_prepare_stack(helpers[i].stack_top, (uint64_t)data,
						 (uint64_t)&helpers[i]);
		long pid = ARCH_START_THREAD(__NR_clone, HELPER_FLAGS, sp, thump_blob_helper);

		/* Not being able to (RLIMIT_NPROC) only costs time. */
		helpers[i].actual_tid = is_error(pid) ? 0 : (int32_t)pid;
	}
}

/* All from `first` on; who waits for them is told. */
static bool start_rest(struct thump_blob_data *data, uint32_t first)
{
	if (!start_threads(data, first, data->nr_threads))
		return false;
	start_helpers(data);
	mark_done(&data->started);
	return true;
}

static void reap_helpers(struct thump_blob_data *data)
{
	struct thump_blob_thread *helpers =
		(struct thump_blob_thread *)data->threads + data->nr_threads;

	for (uint32_t i = 0; i < data->nr_helpers; i++) {
		if (helpers[i].actual_tid)
			(void)arch_syscall4(__NR_wait4, (uint64_t)helpers[i].actual_tid, 0, __WALL,
					    0);
	}
}

void thump_blob_thread(struct thump_blob_data *data, struct thump_blob_thread *thread)
{
	const uint32_t index = (uint32_t)(thread - (struct thump_blob_thread *)data->threads);
	const int32_t tid = thread->wanted_tid;

	if ((index > 0 || start_rest(data, 1)) &&
	    (index >= data->nr_readers || read_memory(data, tid)) && wait_until_filled(data) &&
	    run_steps(data, thread->first_step, thread->nr_steps, tid) &&
	    __atomic_add_fetch(&data->ready, 1, __ATOMIC_ACQ_REL) == data->nr_threads)
		futex_wake_all(&data->ready);
	park(data);
}

/* ---- the leader ----------------------------------------------------------------------- */

static bool set_up(struct thump_blob_data *data)
{
	data->phase = THUMP_PHASE_SETUP;
	if (data->abi != THUMP_BLOB_ABI) {
		fail(data, THUMP_WHAT_ABI, 0, 0, data->abi);
		return false;
	}
	if (!block_signals(data) ||
	    !run_steps(data, data->first_early_step, data->nr_early_steps, 0))
		return false;
	data->phase = THUMP_PHASE_THREADS;
	if (data->nr_threads ? !start_threads(data, 0, 1) : !start_rest(data, 0))
		return false;
	if (!run_steps(data, data->first_setup_step, data->nr_setup_steps, 0))
		return false;
	mark_done(&data->mapped);
	return true;
}

static bool fill_memory(struct thump_blob_data *data)
{
	bool done = take_jobs(data, 0) && wait_until_filled(data);

	reap_helpers(data);
	return done;
}

static bool bring_up(struct thump_blob_data *data)
{
	data->ticks_start = arch_ticks();
	if (!set_up(data))
		return false;
	data->ticks_setup = arch_ticks();
	if (!wait_for_count(&data->started, 1))
		return false;
	data->ticks_threads = arch_ticks();
	data->phase = THUMP_PHASE_MEMORY;
	if (!fill_memory(data))
		return false;
	data->ticks_memory = arch_ticks();
	data->phase = THUMP_PHASE_FINISH;
	return run_steps(data, data->first_finish_step, data->nr_finish_steps, 0) &&
	       wait_for_count(&data->ready, data->nr_threads);
}

void thump_blob_leader(struct thump_blob_data *data)
{
	if (data->role == THUMP_ROLE_PARK)
		thump_blob_park((struct thump_blob_park *)data);
	if (data->role == THUMP_ROLE_LATE) {
		(void)run_steps(data, 0, data->nr_late_steps, 0);
		trap_for_good();
	}
	if (bring_up(data)) {
		data->ticks_finish = arch_ticks();
		__atomic_store_n(&data->phase, THUMP_PHASE_READY, __ATOMIC_RELEASE);
	}
	trap_for_good();
}
