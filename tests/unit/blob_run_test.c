/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the blob with hand-made data regions in forked children. A child without a tracer dies of
 * the blob's final trap; what it did is seen in memory that is shared with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "resume/abi.h"
#include "resume/blob.h"

#define MAX_STEPS   64
#define MAX_THREADS 8
#define MAX_JOBS    32
#define OUTPUT_SIZE ((size_t)1 << 20)
#define CODE_ROOM   ((size_t)16384)
/* Above what AddressSanitizer keeps for itself. */
#define ADDRESS_EVEN ((uintptr_t)0x200000000000)
#define ADDRESS_ODD  ((uintptr_t)0x23456789b000)

/* The data region of these tests, all of it MAP_SHARED. */
struct rig {
	struct thump_blob_data data;
	struct thump_step steps[MAX_STEPS];
	struct thump_blob_thread threads[MAX_THREADS];
	struct thump_read_job jobs[MAX_JOBS];
	struct iovec iov[MAX_JOBS];
	int32_t fds[4];
	uint64_t scratch[64];
	siginfo_t info;
	struct sigevent event;
	_Alignas(16) unsigned char stacks[MAX_THREADS + 2][THUMP_BLOB_STACK_SIZE];
	unsigned char output[OUTPUT_SIZE];
};

static size_t blob_size(void)
{
	return (size_t)(thump_blob_end - thump_blob_start);
}

static struct rig *rig_create(void)
{
	struct rig *rig =
		mmap(NULL, sizeof(*rig), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(rig, MAP_FAILED);
	rig->data = (struct thump_blob_data){
		.abi = THUMP_BLOB_ABI,
		.tid_way = THUMP_TID_ANY,
		.spin_limit = 100,
		.steps = (uintptr_t)rig->steps,
		.threads = (uintptr_t)rig->threads,
		.jobs = (uintptr_t)rig->jobs,
		.fds = (uintptr_t)rig->fds,
		.stack_top = (uintptr_t)rig->stacks[MAX_THREADS + 1],
		.spinner_stack_top = (uintptr_t)rig->stacks[MAX_THREADS + 2],
	};
	for (size_t i = 0; i < MAX_THREADS; i++)
		rig->threads[i].stack_top = (uintptr_t)rig->stacks[i] + THUMP_BLOB_STACK_SIZE;
	return rig;
}

static void rig_destroy(struct rig *rig)
{
	munmap(rig, sizeof(*rig));
}

static void add_step(struct rig *rig, uint32_t index, struct thump_step step)
{
	assert_true(index < MAX_STEPS);
	if (!step.op)
		step.op = THUMP_STEP_SYSCALL;
	step.what = 1000 + index;
	rig->steps[index] = step;
}

static void add_job(struct rig *rig, int fd, uint64_t offset, void *to, size_t size, uint32_t flags)
{
	uint32_t i = rig->data.nr_jobs++;

	rig->fds[0] = fd;
	rig->iov[i] = (struct iovec){ .iov_base = to, .iov_len = size };
	rig->jobs[i] = (struct thump_read_job){ .iov = (uintptr_t)&rig->iov[i],
						.file_offset = offset,
						.size_bytes = size,
						.nr_iov = 1,
						.flags = flags };
}

static _Noreturn void jump_into_blob(uintptr_t entry, struct rig *rig)
{
	__asm__ volatile("movq %1, %%rsp\n\t"
			 "jmp *%0"
			 :
			 : "r"(entry), "r"(rig->data.stack_top), "D"(&rig->data)
			 : "memory");
	__builtin_unreachable();
}

/* Runs the blob at `address`; returns the wait status. */
static int run_blob_at(struct rig *rig, uintptr_t address)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		void *code = mmap((void *)address, CODE_ROOM, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (code == MAP_FAILED)
			_exit(1);
		memcpy(code, thump_blob_start, blob_size());
		if (mprotect(code, CODE_ROOM, PROT_READ | PROT_EXEC))
			_exit(2);
		(void)signal(SIGTRAP, SIG_DFL);
		jump_into_blob((uintptr_t)code, rig);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void run_blob(struct rig *rig)
{
	int status = run_blob_at(rig, ADDRESS_EVEN);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTRAP);
}

static void assert_ready(const struct rig *rig)
{
	assert_int_equal(rig->data.failed, 0);
	assert_int_equal(rig->data.phase, THUMP_PHASE_READY);
}

static int pattern_file(size_t size)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t at = 0; at < size; at += sizeof(at))
		assert_int_equal(thump_pwrite_full(fd, &at, sizeof(at), at), 0);
	return fd;
}

static void assert_pattern(const unsigned char *bytes, size_t from, size_t size)
{
	for (size_t at = 0; at < size; at += sizeof(at)) {
		size_t value;

		memcpy(&value, bytes + at, sizeof(value));
		assert_int_equal(value, from + at);
	}
}

static void test_needs_no_loader(void **state)
{
	auto_free char *elf = NULL;
	size_t size;
	const Elf64_Ehdr *header;
	const Elf64_Shdr *sections;

	(void)state;
	assert_int_equal(thump_slurp(AT_FDCWD, THUMP_BLOB_ELF, &elf, &size), 0);
	header = (const Elf64_Ehdr *)elf;
	sections = (const Elf64_Shdr *)(elf + header->e_shoff);
	for (unsigned i = 0; i < header->e_shnum; i++) {
		const Elf64_Sym *symbols = (const Elf64_Sym *)(elf + sections[i].sh_offset);

		if (sections[i].sh_type == SHT_REL || sections[i].sh_type == SHT_RELA)
			assert_int_equal(sections[i].sh_size, 0);
		assert_int_not_equal(sections[i].sh_type, SHT_DYNAMIC);
		if (sections[i].sh_type != SHT_SYMTAB)
			continue;
		for (size_t s = 1; s < sections[i].sh_size / sizeof(*symbols); s++)
			assert_int_not_equal(symbols[s].st_shndx, SHN_UNDEF);
	}
}

static void test_fits(void **state)
{
	(void)state;
	assert_true(blob_size() > 0);
	assert_true(blob_size() <= CODE_ROOM);
}

static void test_runs_at_any_address(void **state)
{
	static const uintptr_t addresses[] = { ADDRESS_EVEN, ADDRESS_ODD };

	(void)state;
	for (size_t i = 0; i < THUMP_ARRAY_SIZE(addresses); i++) {
		struct rig *rig = rig_create();
		int status;

		status = run_blob_at(rig, addresses[i]);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGTRAP);
		assert_ready(rig);
		assert_true(rig->data.ticks_finish >= rig->data.ticks_start);
		rig_destroy(rig);
	}
}

static void test_refuses_other_abi(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->data.abi = THUMP_BLOB_ABI + 1;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, THUMP_WHAT_ABI);
	rig_destroy(rig);
}

static void test_runs_steps_in_order(void **state)
{
	struct rig *rig = rig_create();
	const uint64_t at = 0x210000000000;

	(void)state;
	add_step(rig, 0,
		 (struct thump_step){ .nr = SYS_mmap,
				      .args = { at, 4096, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
						(uint64_t)-1, 0 },
				      .expect = THUMP_EXPECT_VALUE,
				      .value = at });
	add_step(rig, 1, (struct thump_step){ .nr = SYS_getpid, .expect = THUMP_EXPECT_OK });
	add_step(
		rig, 2,
		(struct thump_step){ .nr = SYS_munmap, .args = { 1 }, .expect = THUMP_EXPECT_ANY });
	/* The same mapping again can only fail: with EEXIST, as step 3. */
	rig->steps[3] = rig->steps[0];
	rig->steps[3].what = 1003;
	rig->data.nr_setup_steps = 1;
	rig->data.first_finish_step = 1;
	rig->data.nr_finish_steps = 3;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, 1003);
	assert_int_equal(rig->data.fail_step, 3);
	assert_int_equal(rig->data.fail_result, -EEXIST);
	assert_int_equal(rig->data.phase, THUMP_PHASE_FINISH);
	rig_destroy(rig);
}

static void test_unknown_op_fails(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	add_step(rig, 0, (struct thump_step){ .op = 77 });
	rig->data.nr_setup_steps = 1;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, 1000);
	rig_destroy(rig);
}

static void test_fd_slots(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(4096);

	(void)state;
	rig->fds[2] = fd;
	add_step(rig, 0,
		 (struct thump_step){ .nr = SYS_pread64,
				      .args = { 2, (uintptr_t)rig->output, 4096, 0 },
				      .fd_arg = 1,
				      .expect = THUMP_EXPECT_VALUE,
				      .value = 4096 });
	rig->data.nr_setup_steps = 1;
	run_blob(rig);
	assert_ready(rig);
	assert_pattern(rig->output, 0, 4096);
	rig_destroy(rig);
}

static void test_jobs_are_shared(void **state)
{
	struct rig *rig = rig_create();
	const size_t piece = OUTPUT_SIZE / 16;
	auto_close int fd = pattern_file(OUTPUT_SIZE);

	(void)state;
	for (size_t i = 0; i < 16; i++)
		add_job(rig, fd, i * piece, rig->output + i * piece, piece, 0);
	rig->data.nr_threads = 3;
	rig->data.nr_readers = 2;
	rig->data.nr_helpers = 2;
	run_blob(rig);
	assert_ready(rig);
	assert_pattern(rig->output, 0, OUTPUT_SIZE);
	assert_int_equal(rig->data.done_jobs, 16);
	rig_destroy(rig);
}

/* The first thread makes the others while the leader maps: who reads must not be ahead of it. */
static void test_threads_wait_for_mappings(void **state)
{
	const uint64_t at = 0x300000000000;
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(4096);

	(void)state;
	for (uint32_t i = 0; i < 32; i++)
		add_step(rig, i, (struct thump_step){ .nr = SYS_sched_yield });
	add_step(rig, 32,
		 (struct thump_step){ .nr = SYS_mmap,
				      .args = { at, 4096, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
						(uint64_t)-1, 0 },
				      .expect = THUMP_EXPECT_VALUE,
				      .value = at });
	rig->data.nr_setup_steps = 33;
	add_job(rig, fd, 0, (void *)at, 4096, 0);
	rig->data.nr_threads = rig->data.nr_readers = 3;
	run_blob(rig);
	assert_ready(rig);
	assert_int_equal(rig->data.done_jobs, 1);
	rig_destroy(rig);
}

static void test_threads_inherit_what_early_steps_do(void **state)
{
	static const char name[] = "early";
	struct rig *rig = rig_create();

	(void)state;
	memcpy(rig->output, name, sizeof(name));
	add_step(rig, 0,
		 (struct thump_step){ .nr = SYS_prctl,
				      .args = { PR_SET_NAME, (uintptr_t)rig->output } });
	rig->data.nr_early_steps = 1;
	rig->data.nr_threads = 2;
	for (uint32_t i = 0; i < 2; i++) {
		add_step(rig, 1 + i,
			 (struct thump_step){
				 .nr = SYS_prctl,
				 .args = { PR_GET_NAME, (uintptr_t)&rig->scratch[i * 2] } });
		rig->threads[i].first_step = 1 + i;
		rig->threads[i].nr_steps = 1;
	}
	run_blob(rig);
	assert_ready(rig);
	assert_string_equal((const char *)&rig->scratch[0], name);
	assert_string_equal((const char *)&rig->scratch[2], name);
	rig_destroy(rig);
}

static void test_job_of_many_ranges(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(3 * 4096);

	(void)state;
	add_job(rig, fd, 0, rig->output, 4096, 0);
	rig->iov[1] = (struct iovec){ .iov_base = rig->output + 65536, .iov_len = 8192 };
	rig->jobs[0].nr_iov = 2;
	rig->jobs[0].size_bytes = 3 * 4096;
	run_blob(rig);
	assert_ready(rig);
	assert_pattern(rig->output, 0, 4096);
	assert_pattern(rig->output + 65536, 4096, 8192);
	rig_destroy(rig);
}

static void test_huge_pages(void **state)
{
	struct rig *rig = rig_create();
	const uint64_t at = 0x220000000000;
	auto_close int fd = pattern_file(THUMP_HUGE_PAGE_SIZE);

	(void)state;
	add_step(rig, 0,
		 (struct thump_step){ .nr = SYS_mmap,
				      .args = { at, THUMP_HUGE_PAGE_SIZE, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
						(uint64_t)-1, 0 },
				      .expect = THUMP_EXPECT_VALUE,
				      .value = at });
	add_job(rig, fd, 0, (void *)at, THUMP_HUGE_PAGE_SIZE, THUMP_READ_HUGE);
	rig->jobs[0].huge_start = at;
	rig->jobs[0].huge_end = at + THUMP_HUGE_PAGE_SIZE;
	/* Writing it out again shows what was read: into the file behind the output. */
	rig->fds[1] = memfd_create("copy", MFD_CLOEXEC);
	add_step(rig, 1,
		 (struct thump_step){ .nr = SYS_pwrite64,
				      .args = { 1, at, OUTPUT_SIZE, 0 },
				      .fd_arg = 1,
				      .expect = THUMP_EXPECT_VALUE,
				      .value = OUTPUT_SIZE });
	rig->data.nr_setup_steps = 1;
	rig->data.first_finish_step = 1;
	rig->data.nr_finish_steps = 1;
	run_blob(rig);
	assert_ready(rig);
	assert_int_equal(thump_pread_full(rig->fds[1], rig->output, OUTPUT_SIZE, 0), 0);
	assert_pattern(rig->output, 0, OUTPUT_SIZE);
	close(rig->fds[1]);
	rig_destroy(rig);
}

static void test_short_file_fails(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(4096);

	(void)state;
	add_job(rig, fd, 0, rig->output, 8192, 0);
	rig->data.nr_threads = rig->data.nr_readers = 2;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, THUMP_WHAT_SHORT_READ);
	rig_destroy(rig);
}

/* As rebuild does it when it gives up: whoever reads memory takes no further job. */
static void test_no_job_after_a_failure(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(4096);

	(void)state;
	add_job(rig, fd, 0, rig->output, 4096, 0);
	rig->data.nr_helpers = 2;
	rig->data.failed = 2;
	run_blob(rig);
	assert_int_equal(rig->data.phase, THUMP_PHASE_MEMORY);
	assert_int_equal(rig->data.done_jobs, 0);
	assert_int_equal(rig->output[sizeof(size_t)], 0);
	rig_destroy(rig);
}

/* Memory that rebuild fills is left alone, and nothing goes on before rebuild says it is filled. */
static void test_waits_for_what_is_filled(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(8192);

	(void)state;
	add_job(rig, fd, 4096, rig->output, 4096, THUMP_READ_POPULATE | THUMP_ONLY_PREPARE);
	rig->data.nr_fills = 1;
	rig->data.done_jobs = 1; /* as early as can be */
	run_blob(rig);
	assert_ready(rig);
	assert_int_equal(rig->data.done_jobs, 2);
	assert_int_equal(rig->output[1], 0);
	rig_destroy(rig);
}

static void test_filling_that_fails(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->data.nr_fills = 1;
	rig->data.done_jobs = THUMP_BLOB_FAILED_BIT;
	run_blob(rig);
	assert_int_equal(rig->data.phase, THUMP_PHASE_MEMORY);
	rig_destroy(rig);
}

static void test_bad_address_fails(void **state)
{
	struct rig *rig = rig_create();
	auto_close int fd = pattern_file(4096);

	(void)state;
	add_job(rig, fd, 0, (void *)(uintptr_t)0x230000000000, 4096, 0);
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, THUMP_WHAT_READ);
	assert_int_equal(rig->data.fail_result, -EFAULT);
	rig_destroy(rig);
}

static void test_threads_run_their_steps(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->data.nr_threads = 3;
	for (uint32_t i = 0; i < 3; i++) {
		add_step(rig, i,
			 (struct thump_step){
				 .nr = SYS_prctl,
				 .args = { PR_GET_NAME, (uintptr_t)&rig->scratch[i * 2] } });
		rig->threads[i].first_step = i;
		rig->threads[i].nr_steps = 1;
	}
	run_blob(rig);
	assert_ready(rig);
	assert_int_equal(rig->data.ready, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(rig->scratch[i * 2] != 0);
		assert_true(rig->threads[i].actual_tid > 0);
	}
	assert_int_not_equal(rig->threads[0].actual_tid, rig->threads[1].actual_tid);
	rig_destroy(rig);
}

static void test_failing_thread_is_named(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->data.nr_threads = 3;
	add_step(rig, 0, (struct thump_step){ .nr = SYS_close, .args = { UINT32_MAX } });
	rig->threads[1].wanted_tid = 4711;
	rig->threads[1].nr_steps = 1;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, 1000);
	assert_int_equal(rig->data.fail_tid, 4711);
	assert_int_equal(rig->data.fail_result, -EBADF);
	rig_destroy(rig);
}

/* The child's pid is not known before it runs: hence a wanted tid that is surely far away. */
static void test_spinning_is_bounded(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->data.tid_way = THUMP_TID_SPIN;
	rig->data.spin_limit = 10;
	rig->data.nr_threads = 1;
	rig->threads[0].wanted_tid = INT32_MAX;
	run_blob(rig);
	assert_int_equal(rig->data.failed, 2);
	assert_int_equal(rig->data.fail_what, THUMP_WHAT_SPIN_LIMIT);
	assert_int_equal(rig->data.spins, 10);
	rig_destroy(rig);
}

/* Others may take the wanted tid meanwhile: then the blob must say so, and we try again. */
static void test_spinning_finds_the_tid(void **state)
{
	(void)state;
	for (int tries = 0; tries < 100; tries++) {
		struct rig *rig = rig_create();
		pid_t probe = fork();
		uint32_t failed;

		assert_true(probe >= 0);
		if (probe == 0)
			_exit(0);
		assert_int_equal(waitpid(probe, NULL, 0), probe);
		rig->data.tid_way = THUMP_TID_SPIN;
		rig->data.nr_threads = 2;
		rig->threads[0].wanted_tid = probe + 5;
		rig->threads[1].wanted_tid = probe + 8;
		run_blob(rig);
		failed = rig->data.failed;
		if (failed) {
			assert_true(rig->data.fail_what == THUMP_WHAT_SPIN_LIMIT ||
				    rig->data.fail_what == THUMP_WHAT_WRONG_TID);
		} else {
			assert_ready(rig);
			assert_int_equal(rig->threads[0].actual_tid, probe + 5);
			assert_int_equal(rig->threads[1].actual_tid, probe + 8);
			assert_true(rig->data.spins >= 2);
		}
		rig_destroy(rig);
		if (!failed)
			return;
	}
	fail_msg("the wanted tids were taken by others 100 times");
}

/* clone3(set_tid) is for the privileged; without the privilege the blob must name it. */
static void test_set_tid(void **state)
{
	struct rig *rig = rig_create();
	const int32_t wanted = 3999;

	(void)state;
	rig->data.tid_way = THUMP_TID_SET;
	rig->data.nr_threads = 1;
	rig->threads[0].wanted_tid = wanted;
	run_blob(rig);
	if (rig->data.failed) {
		assert_int_equal(rig->data.fail_what, THUMP_WHAT_CLONE);
		assert_int_equal(rig->data.fail_tid, wanted);
		assert_true(rig->data.fail_result == -EPERM || rig->data.fail_result == -ENOSYS ||
			    rig->data.fail_result == -EEXIST);
	} else {
		assert_int_equal(rig->threads[0].actual_tid, wanted);
	}
	rig_destroy(rig);
}

static _Noreturn void lead_session(const struct rig *rig)
{
	pid_t member = setsid() < 0 ? -1 : fork();

	if (member != 0)
		_exit(member < 0 || setpgid(member, member) < 0);
	(void)alarm(60);
	while (__atomic_load_n(&rig->data.phase, __ATOMIC_ACQUIRE) < THUMP_PHASE_THREADS)
		(void)sched_yield();
	_exit(0);
}

/* The number of a session whose leader has ended is taken, but no task's and no group's. Tells it
 * through the pipe; it is free when its last member has ended, as the blob makes threads. */
static _Noreturn void hold_number(const struct rig *rig, int told_fd)
{
	pid_t leader;
	int status;

	(void)alarm(60);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	leader = fork();
	if (leader == 0)
		lead_session(rig);
	if (leader < 0 || waitpid(leader, &status, 0) != leader || status != 0 ||
	    thump_write_full(told_fd, &leader, sizeof(leader)) < 0)
		_exit(1);
	(void)waitpid(-1, NULL, 0);
	_exit(0);
}

static void test_a_number_about_to_be_free_is_waited_for(void **state)
{
	struct rig *rig = rig_create();
	pid_t holder, wanted;
	int fds[2], status;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	holder = fork();
	assert_true(holder >= 0);
	if (holder == 0)
		hold_number(rig, fds[1]);
	assert_int_equal(read(fds[0], &wanted, sizeof(wanted)), sizeof(wanted));
	rig->data.tid_way = THUMP_TID_SET;
	rig->data.nr_threads = 1;
	rig->threads[0].wanted_tid = wanted;
	run_blob(rig);
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(status, 0);
	if (rig->data.failed) /* as above: for the privileged */
		assert_true(rig->data.fail_result == -EPERM || rig->data.fail_result == -ENOSYS);
	else
		assert_int_equal(rig->threads[0].actual_tid, wanted);
	(void)close(fds[0]);
	(void)close(fds[1]);
	rig_destroy(rig);
}

static void test_timer_gets_its_id(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->event.sigev_notify = SIGEV_NONE;
	add_step(rig, 0,
		 (struct thump_step){ .op = THUMP_STEP_TIMER_CREATE,
				      .args = { 3, CLOCK_MONOTONIC, (uintptr_t)&rig->event } });
	add_step(rig, 1,
		 (struct thump_step){ .nr = SYS_timer_gettime,
				      .args = { 3, (uintptr_t)rig->scratch } });
	/* Nothing else is left behind. */
	add_step(rig, 2,
		 (struct thump_step){ .nr = SYS_timer_delete,
				      .args = { 2 },
				      .expect = THUMP_EXPECT_VALUE,
				      .value = (uint64_t)-EINVAL });
	rig->data.nr_setup_steps = 3;
	run_blob(rig);
	assert_ready(rig);
	rig_destroy(rig);
}

static void test_signals_stay_queued(void **state)
{
	struct rig *rig = rig_create();

	(void)state;
	rig->info.si_signo = SIGUSR1;
	rig->info.si_code = SI_QUEUE;
	add_step(rig, 0,
		 (struct thump_step){ .op = THUMP_STEP_QUEUE_SIGNAL,
				      .args = { SIGUSR1, (uintptr_t)&rig->info, 0 } });
	add_step(rig, 1,
		 (struct thump_step){ .op = THUMP_STEP_QUEUE_SIGNAL,
				      .args = { SIGUSR2, (uintptr_t)&rig->info, 1 } });
	add_step(rig, 2,
		 (struct thump_step){ .nr = SYS_rt_sigpending,
				      .args = { (uintptr_t)rig->scratch, 8 } });
	rig->data.nr_setup_steps = 3;
	run_blob(rig);
	assert_ready(rig);
	assert_int_equal(rig->scratch[0], UINT64_C(1) << (SIGUSR1 - 1) | UINT64_C(1)
										 << (SIGUSR2 - 1));
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_no_loader),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_runs_at_any_address),
		cmocka_unit_test(test_refuses_other_abi),
		cmocka_unit_test(test_runs_steps_in_order),
		cmocka_unit_test(test_unknown_op_fails),
		cmocka_unit_test(test_fd_slots),
		cmocka_unit_test(test_jobs_are_shared),
		cmocka_unit_test(test_job_of_many_ranges),
		cmocka_unit_test(test_threads_wait_for_mappings),
		cmocka_unit_test(test_threads_inherit_what_early_steps_do),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_short_file_fails),
		cmocka_unit_test(test_no_job_after_a_failure),
		cmocka_unit_test(test_waits_for_what_is_filled),
		cmocka_unit_test(test_filling_that_fails),
		cmocka_unit_test(test_bad_address_fails),
		cmocka_unit_test(test_threads_run_their_steps),
		cmocka_unit_test(test_failing_thread_is_named),
		cmocka_unit_test(test_spinning_is_bounded),
		cmocka_unit_test(test_spinning_finds_the_tid),
		cmocka_unit_test(test_set_tid),
		cmocka_unit_test(test_a_number_about_to_be_free_is_waited_for),
		cmocka_unit_test(test_timer_gets_its_id),
		cmocka_unit_test(test_signals_stay_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
