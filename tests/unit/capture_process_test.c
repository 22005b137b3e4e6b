/* SPDX-License-Identifier: Apache-2.0 */
/* A child of the test makes some state, is captured, and goes on. */
#include <fcntl.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "capture/capture.h"
#include "proc/maps.h"

#include "../lib/tied_fork.h"

#define PAGE THUMP_PAGE_SIZE

/* What a child tells: addresses of what it made. */
struct facts {
	uint64_t addr[8];
};

struct child {
	pid_t pid;
	int socket_fd;
	struct facts facts;
};

static struct thump_err err;
static struct thump_problems problems;
static struct thump_capture *capture;
static struct child child;

static int set_up(void **state)
{
	(void)state;
	err = THUMP_ERR_INIT;
	thump_problems_init(&problems);
	capture = NULL;
	child = (struct child){ .pid = -1 };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	thump_capture_destroy(capture);
	thump_problems_deinit(&problems);
	if (child.pid > 0) {
		(void)kill(child.pid, SIGKILL);
		(void)waitpid(child.pid, NULL, 0);
		(void)close(child.socket_fd);
	}
	return 0;
}

#define child_check(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 200 + 2);                                                 \
	} while (0)

/* Forks a child that runs make(), says where things are, and waits for one byte before check(). */
static void start(void (*make)(struct facts *facts), bool (*check)(const struct facts *facts))
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child.pid = tied_fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		struct facts facts = { 0 };
		char byte;

		(void)close(fds[0]);
		make(&facts);
		child_check(write(fds[1], &facts, sizeof(facts)) == sizeof(facts));
		child_check(read(fds[1], &byte, 1) == 1);
		_exit(!check || check(&facts) ? 0 : 1);
	}
	(void)close(fds[1]);
	child.socket_fd = fds[0];
	assert_int_equal(thump_read_full(fds[0], &child.facts, sizeof(child.facts)), 0);
}

static const struct thump_model *begin(bool only_check)
{
	const struct thump_capture_options options = { .pid = child.pid, .only_check = only_check };

	if (thump_capture_begin(&options, &problems, &capture, &err) < 0)
		fail_msg("%s", err.text);
	return thump_capture_model(capture);
}

static void child_goes_on(void)
{
	int status = -1;

	thump_capture_resume(capture);
	assert_int_equal(write(child.socket_fd, "x", 1), 1);
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	child.pid = -1;
	(void)close(child.socket_fd);
	assert_int_equal(status, 0);
}

static bool refused(const char *kind)
{
	for (size_t i = 0; i < problems.count; i++) {
		if (!problems.list[i].warning && strcmp(problems.list[i].kind, kind) == 0)
			return true;
	}
	return false;
}

static const struct thump_vma *vma_at(uint64_t addr)
{
	const struct thump_model *model = thump_capture_model(capture);

	for (uint32_t i = 0; i < model->nr_vmas; i++) {
		if (addr >= model->vmas[i].start && addr < model->vmas[i].end)
			return &model->vmas[i];
	}
	fail_msg("nothing is mapped at 0x%lx", addr);
	return NULL;
}

static bool is_stored(const struct thump_extent *extents, uint32_t count, uint64_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		if (at >= extents[i].start && at < extents[i].end)
			return true;
	}
	return false;
}

static void assert_memory_at(uint64_t addr, const char *expected)
{
	const struct thump_vma *vma = vma_at(addr);
	struct thump_page_source source = thump_capture_source(capture);
	char page[PAGE];

	assert_true(is_stored(vma->extents, vma->nr_extents, addr));
	assert_int_equal(source.read_memory(source.ctx, thump_page_down(addr), page, PAGE, &err),
			 0);
	assert_string_equal(page, expected);
}

static void assert_backing_at(uint32_t backing_id, uint64_t offset, const char *expected)
{
	const struct thump_backing *backing = &thump_capture_model(capture)->backings[backing_id];
	struct thump_page_source source = thump_capture_source(capture);
	char page[PAGE];

	assert_true(is_stored(backing->extents, backing->nr_extents, offset));
	assert_int_equal(source.read_backing(source.ctx, backing_id, offset, page, PAGE, &err), 0);
	assert_string_equal(page, expected);
}

/* ---- the process ------------------------------------------------------------------------- */

static void handler(int signo)
{
	(void)signo;
}

static char alternate_stack[65536];

static void make_process(struct facts *facts)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_NODEFER };
	struct itimerval itimer = { .it_value.tv_sec = 1000, .it_interval.tv_usec = 5 };
	stack_t stack = { .ss_sp = alternate_stack, .ss_size = sizeof(alternate_stack) };
	struct rlimit limit = { 111, 222 };
	sigset_t mask;

	facts->addr[0] = (uintptr_t)handler;
	facts->addr[1] = (uintptr_t)alternate_stack;
	sigaddset(&action.sa_mask, SIGUSR2);
	child_check(sigaction(SIGUSR1, &action, NULL) == 0);
	action = (struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	child_check(sigaction(SIGCHLD, &action, NULL) == 0);
	child_check(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	child_check(setitimer(ITIMER_REAL, &itimer, NULL) == 0);
	child_check(sigaltstack(&stack, NULL) == 0);
	child_check(setrlimit(RLIMIT_CORE, &limit) == 0);
	child_check(prctl(PR_SET_NAME, "a)b\nc") == 0);
	child_check(prctl(PR_SET_TIMERSLACK, 12345UL) == 0);
	child_check(prctl(PR_SET_PDEATHSIG, SIGHUP) == 0);
	child_check(prctl(PR_SET_CHILD_SUBREAPER, 1UL) == 0);
	child_check(setpriority(PRIO_PROCESS, 0, 7) == 0);
	umask(0137);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	child_check(sigprocmask(SIG_SETMASK, &mask, NULL) == 0);
	child_check(kill(getpid(), SIGTERM) == 0);
}

static bool check_process(const struct facts *facts)
{
	struct sigaction action;

	return sigaction(SIGUSR1, NULL, &action) == 0 &&
	       (uintptr_t)action.sa_handler == facts->addr[0];
}

static void process_state_is_in_the_model(void **state)
{
	const struct thump_model *model;
	const struct thump_process *process;
	const struct thump_task *task;

	(void)state;
	start(make_process, check_process);
	model = begin(false);
	process = &model->process;
	task = &model->tasks[0];
	assert_int_equal(model->nr_tasks, 1);
	assert_int_equal(process->pid, child.pid);
	assert_int_equal(task->tid, child.pid);
	assert_int_equal(process->ppid, getpid());
	assert_int_equal(process->umask, 0137);
	assert_true(process->child_subreaper);
	assert_int_equal(process->rlimits[RLIMIT_CORE].soft, 111);
	assert_int_equal(process->sigactions[SIGUSR1 - 1].handler, child.facts.addr[0]);
	assert_int_equal(process->sigactions[SIGUSR1 - 1].mask, 1U << (SIGUSR2 - 1));
	assert_true(process->sigactions[SIGUSR1 - 1].flags & SA_NODEFER);
	assert_true(process->sigactions[SIGCHLD - 1].flags & SA_NOCLDWAIT);
	assert_int_equal(process->sigactions[SIGPIPE - 1].handler, 1);
	assert_int_equal(process->sigactions[SIGKILL - 1].handler, 0);
	assert_int_equal(process->itimers[ITIMER_REAL].interval_us, 5);
	assert_true(process->itimers[ITIMER_REAL].value_us > 900 * UINT64_C(1000000));
	assert_int_equal(process->nr_pending, 1);
	assert_int_equal(((const siginfo_t *)process->pending[0].bytes)->si_signo, SIGTERM);
	assert_int_equal(task->sigmask, 1U << (SIGTERM - 1));
	assert_string_equal(task->comm, "a)b\nc");
	assert_int_equal(task->timer_slack_ns, 12345);
	assert_int_equal(task->pdeathsig, SIGHUP);
	assert_int_equal(task->nice, 7);
	assert_int_equal(task->altstack_sp, child.facts.addr[1]);
	assert_int_equal(task->altstack_size, sizeof(alternate_stack));
	assert_int_not_equal(task->rseq_addr, 0);
	assert_int_not_equal(task->robust_list, 0);
	assert_int_not_equal(task->clear_child_tid, 0);
	assert_true(task->nr_affinity_words > 0);
	assert_int_not_equal(model->mm.brk, 0);
	assert_int_not_equal(model->mm.syscall_insn, 0);
	assert_true(model->mm.vdso_end > model->mm.vdso_start);
	child_goes_on();
}

/* ---- memory -------------------------------------------------------------------------------- */

static uint64_t map(size_t size_bytes, int flags, int fd, const char *text)
{
	char *memory = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	child_check(memory != MAP_FAILED);
	if (text)
		strcpy(memory, text);
	return (uintptr_t)memory;
}

static void make_memory(struct facts *facts)
{
	int zero_fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	int memfd = memfd_create("mem", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	child_check(memfd >= 0 && ftruncate(memfd, 6 * PAGE) == 0);
	facts->addr[0] = map(8 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "none");
	child_check(mprotect((void *)facts->addr[0], 8 * PAGE, PROT_NONE) == 0);
	facts->addr[1] = map(8 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1, "shared");
	facts->addr[2] = map(8 * PAGE, MAP_SHARED, memfd, "memfd");
	facts->addr[3] = map(8 * PAGE, MAP_PRIVATE, memfd, "copy");
	facts->addr[4] = map(8 * PAGE, MAP_PRIVATE, zero_fd, "zero");
	facts->addr[5] = map(8 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1, "seed");
	child_check(madvise((void *)facts->addr[5], 8 * PAGE, MADV_WIPEONFORK) == 0);
	facts->addr[6] =
		map((size_t)1 << 40, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, "giant");
	facts->addr[7] = map(8 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, "grows");
	(void)close(zero_fd);
	(void)close(memfd);
}

static bool check_memory(const struct facts *facts)
{
	return strcmp((char *)facts->addr[1], "shared") == 0 &&
	       strcmp((char *)facts->addr[2], "memfd") == 0 &&
	       strcmp((char *)facts->addr[5], "seed") == 0;
}

static void assert_kind(size_t index, enum thump_vma_kind kind, uint32_t traits)
{
	const struct thump_vma *vma = vma_at(child.facts.addr[index]);

	assert_int_equal(vma->kind, kind);
	assert_int_equal(vma->traits & traits, traits);
}

static void memory_of_each_kind_is_in_the_model(void **state)
{
	const struct thump_vma *vma;

	(void)state;
	start(make_memory, check_memory);
	(void)begin(false);
	assert_kind(0, THUMP_VMA_ANON, 0);
	assert_int_equal(vma_at(child.facts.addr[0])->prot, PROT_NONE);
	assert_memory_at(child.facts.addr[0], "none");
	assert_kind(1, THUMP_VMA_SHMEM_ANON, 0);
	assert_backing_at(vma_at(child.facts.addr[1])->backing_id, 0, "shared");
	assert_kind(4, THUMP_VMA_DEVICE_ZERO, 0);
	assert_memory_at(child.facts.addr[4], "zero");
	assert_kind(5, THUMP_VMA_ANON, THUMP_VMA_WIPEONFORK);
	assert_int_equal(vma_at(child.facts.addr[5])->nr_extents, 0);
	assert_kind(6, THUMP_VMA_ANON, THUMP_VMA_NORESERVE);
	vma = vma_at(child.facts.addr[6]);
	assert_int_equal(vma->nr_extents, 1);
	assert_true(vma->extents[0].end - vma->extents[0].start <= (2U << 20));
	assert_memory_at(child.facts.addr[6], "giant");
	assert_kind(7, THUMP_VMA_ANON, THUMP_VMA_GROWSDOWN);
	child_goes_on();
}

static void assert_shared_memory(void)
{
	const struct thump_vma *shared = vma_at(child.facts.addr[2]);
	const struct thump_vma *private = vma_at(child.facts.addr[3]);
	const struct thump_backing *backings = thump_capture_model(capture)->backings;

	assert_backing_at(vma_at(child.facts.addr[1])->backing_id, 0, "shared");
	assert_int_equal(backings[vma_at(child.facts.addr[1])->backing_id].nr_extents, 1);
	assert_int_equal(shared->kind, THUMP_VMA_MEMFD_SHARED);
	assert_int_equal(private->kind, THUMP_VMA_MEMFD_PRIVATE);
	assert_int_equal(shared->backing_id, private->backing_id);
	assert_memory_at(child.facts.addr[3], "copy");
	assert_backing_at(shared->backing_id, 0, "memfd");
	assert_int_equal(backings[shared->backing_id].content_size_bytes, 6 * PAGE);
	assert_int_equal(backings[shared->backing_id].extents[0].end, PAGE);
}

/* As root through /proc/PID/map_files. */
static void shared_memory_without_descriptors(void **state)
{
	(void)state;
	start(make_memory, check_memory);
	(void)begin(false);
	assert_shared_memory();
	child_goes_on();
}

/* An ordinary user may not: it is read through its mappings. */
static void shared_memory_without_privileges(void **state)
{
	int status = -1;
	pid_t self = getpid(), pid = tied_fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0) {
			child_check(setresgid(12345, 12345, 12345) == 0);
			child_check(setresuid(12345, 12345, 12345) == 0);
			child_check(prctl(PR_SET_DUMPABLE, 1UL) == 0);
			tie_to(self);
		}
		start(make_memory, check_memory);
		(void)begin(false);
		assert_shared_memory();
		assert_false(refused("mapping") || refused("memfd") || refused("deleted-file"));
		child_goes_on();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void make_deleted(struct facts *facts)
{
	char path[] = "/tmp/thump-capture-XXXXXX";
	int fd = mkstemp(path);

	child_check(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 2 * PAGE) == 0);
	facts->addr[0] = map(4 * PAGE, MAP_SHARED, fd, "deleted");
	(void)close(fd);
}

static void a_deleted_file_that_only_a_mapping_holds(void **state)
{
	const struct thump_backing *backing;
	const struct thump_vma *vma;

	(void)state;
	start(make_deleted, NULL);
	(void)begin(false);
	vma = vma_at(child.facts.addr[0]);
	assert_int_equal(vma->kind, THUMP_VMA_FILE_SHARED);
	backing = &thump_capture_model(capture)->backings[vma->backing_id];
	assert_int_equal(backing->kind, THUMP_BACKING_CARRIED);
	assert_true(backing->deleted);
	assert_int_equal(backing->content_size_bytes, 2 * PAGE);
	assert_backing_at(vma->backing_id, 0, "deleted");
	child_goes_on();
}

/* ---- refusals ------------------------------------------------------------------------------ */

static int idle_thread(void *arg)
{
	(void)arg;
	for (;;)
		(void)pause();
	return 0;
}

static void make_refused(struct facts *facts)
{
	int shm_id = shmget(IPC_PRIVATE, PAGE, 0600);
	static char stack[65536] __attribute__((aligned(16)));
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;
	pid_t pid;

	(void)facts;
	child_check(shm_id >= 0 && shmat(shm_id, NULL, 0) != (void *)-1);
	child_check(shmctl(shm_id, IPC_RMID, NULL) == 0);
	child_check(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0);
	pid = fork();
	child_check(pid >= 0);
	if (pid == 0)
		_exit(0); /* a zombie: nobody waits for it */
	child_check(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT) == 0);
	child_check(clone(idle_thread, stack + sizeof(stack),
			  CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_SYSVSEM,
			  NULL) > 0);
}

static size_t count_of(const char *kind)
{
	size_t count = 0;

	for (size_t i = 0; i < problems.count; i++)
		count += strcmp(problems.list[i].kind, kind) == 0;
	return count;
}

/* Says that it runs; it shares all with the test, so only system calls. */
static int waits_for_end(void *arg)
{
	const int *fds = arg;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)!write(fds[1], "x", 1);
	for (;;)
		(void)pause();
	return 0;
}

static void everything_that_cannot_be_saved_is_listed_at_once(void **state)
{
	static const char *const kinds[] = {
		"child",
		"mapping",
		"timer",
		"unshared-files",
	};

	(void)state;
	start(make_refused, NULL);
	(void)begin(true);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!refused(kinds[i]))
			fail_msg("%s is not listed", kinds[i]);
	}
	assert_int_equal(thump_problems_check(&problems, "checkpoint", &err), -1);
	child_goes_on();
}

static void make_filtered(struct facts *facts)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };

	(void)facts;
	child_check(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0);
	child_check(prctl(PR_SET_SECCOMP, (unsigned long)SECCOMP_MODE_FILTER, &program) == 0);
}

/* As between vfork(2) and execve(2). */
static void what_is_shared_with_the_parent(void **state)
{
	static char stack[65536] __attribute__((aligned(16)));
	int fds[2], status;
	char byte;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	child.pid = clone(waits_for_end, stack + sizeof(stack), CLONE_VM | CLONE_FS | SIGCHLD, fds);
	assert_true(child.pid > 0);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	(void)begin(true);
	assert_int_equal(count_of("shared-with-parent"), 2);
	thump_capture_resume(capture);
	assert_int_equal(kill(child.pid, SIGKILL), 0);
	assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
	child.pid = -1;
	(void)close(fds[0]);
	(void)close(fds[1]);
}

/* A filter may end the process for a remote call, so none is made: check runs undisturbed. */
static void seccomp_filters(void **state)
{
	(void)state;
	start(make_filtered, NULL);
	(void)begin(true);
	assert_true(refused("seccomp"));
	child_goes_on();
}

/* ---- what the program does not need -------------------------------------------------------- */

static void make_pages(struct facts *facts)
{
	char *pages = mmap(NULL, 8 * THUMP_PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	child_check(pages != MAP_FAILED);
	memset(pages, 1, 8 * THUMP_PAGE_SIZE);
	/* Neighbours would be one mapping with it. */
	child_check(mprotect(pages, 8 * THUMP_PAGE_SIZE, PROT_READ) == 0);
	facts->addr[0] = (uintptr_t)pages;
}

/* Of pages 0 to 7 those in ranges of the program are not stored. */
static void needless_pages(void **state)
{
	struct thump_range needless[2];
	struct thump_capture_options options = { .needless = needless, .nr_needless = 2 };
	const struct thump_extent *extents;
	const struct thump_vma *vma;

	(void)state;
	start(make_pages, NULL);
	options.pid = child.pid;
	needless[0] =
		(struct thump_range){ child.facts.addr[0], child.facts.addr[0] + THUMP_PAGE_SIZE };
	needless[1] = (struct thump_range){ child.facts.addr[0] + 3 * THUMP_PAGE_SIZE,
					    child.facts.addr[0] + 5 * THUMP_PAGE_SIZE };
	if (thump_capture_begin(&options, &problems, &capture, &err) < 0)
		fail_msg("%s", err.text);
	vma = vma_at(child.facts.addr[0]);
	extents = vma->extents;
	assert_int_equal(vma->nr_extents, 2);
	assert_int_equal(extents[0].start, child.facts.addr[0] + THUMP_PAGE_SIZE);
	assert_int_equal(extents[0].end, child.facts.addr[0] + 3 * THUMP_PAGE_SIZE);
	assert_int_equal(extents[1].start, child.facts.addr[0] + 5 * THUMP_PAGE_SIZE);
	assert_int_equal(extents[1].end, child.facts.addr[0] + 8 * THUMP_PAGE_SIZE);
	child_goes_on();
}

static void make_keyring(struct facts *facts)
{
	(void)facts;
	child_check(syscall(SYS_add_key, "user", "thump-test", "x", (size_t)1,
			    KEY_SPEC_PROCESS_KEYRING) >= 0 ||
		    errno == ENOSYS || errno == EPERM);
}

static void a_keyring_of_the_process_is_refused(void **state)
{
	(void)state;
	if (syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0) < 0 &&
	    errno != ENOKEY)
		skip();
	start(make_keyring, NULL);
	(void)begin(true);
	assert_true(refused("keyring"));
	child_goes_on();
}

static void a_process_that_is_not_there(void **state)
{
	const struct thump_capture_options options = { .pid = INT32_MAX };

	(void)state;
	assert_int_equal(thump_capture_begin(&options, &problems, &capture, &err), -1);
	assert_non_null(strstr(err.text, "there is no process"));
	assert_null(capture);
}

/* ---- nothing changes ----------------------------------------------------------------------- */

static char *slurp(const char *name)
{
	char path[64], *text;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", child.pid, name);
	assert_int_equal(thump_slurp(AT_FDCWD, path, &text, NULL), 0);
	return text;
}

static void a_capture_leaves_no_trace(void **state)
{
	auto_free char *maps_before = NULL, *maps_after = NULL;
	auto_free char *fds_before = NULL, *fds_after = NULL;

	(void)state;
	start(make_memory, check_memory);
	maps_before = slurp("maps");
	fds_before = slurp("limits");
	(void)begin(false);
	thump_capture_resume(capture);
	maps_after = slurp("maps");
	fds_after = slurp("limits");
	assert_string_equal(maps_before, maps_after);
	assert_string_equal(fds_before, fds_after);
	child_goes_on();
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(process_state_is_in_the_model),
		test(memory_of_each_kind_is_in_the_model),
		test(shared_memory_without_descriptors),
		test(shared_memory_without_privileges),
		test(a_deleted_file_that_only_a_mapping_holds),
		test(everything_that_cannot_be_saved_is_listed_at_once),
		test(what_is_shared_with_the_parent),
		test(needless_pages),
		test(seccomp_filters),
		test(a_keyring_of_the_process_is_refused),
		test(a_process_that_is_not_there),
		test(a_capture_leaves_no_trace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
