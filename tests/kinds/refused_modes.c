/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be saved: modes of the process and of its memory. */
#include "refusals.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE		 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

#define PAGE ((size_t)4096)

static pthread_barrier_t keyring_made;

/* For whoever has CAP_IPC_LOCK this is only a warning: then the kernel does not tell. */
static void make_mlockall_future(int given)
{
	(void)given;
	if (mlockall(MCL_FUTURE) < 0)
		workload_skip("mlockall: %s", strerror(errno));
	refuse(-1, "MCL_FUTURE");
}

static void make_mce_kill(int given)
{
	(void)given;
	MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	refuse(-1, "PR_MCE_KILL");
}

/* ---- modes of the process ------------------------------------------------------------------- */

static void set_mode(const char *name, long result)
{
	if (result < 0)
		workload_skip("%s: %s", name, strerror(errno));
	refuse(-1, name);
}

static void make_mdwe(int given)
{
	(void)given;
	set_mode("PR_SET_MDWE", prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0));
}

static void make_memory_merge(int given)
{
	(void)given;
	set_mode("PR_SET_MEMORY_MERGE", prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0));
}

static void make_tsc(int given)
{
	(void)given;
	set_mode("PR_SET_TSC", prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
}

static void make_speculation(int given)
{
	(void)given;
	set_mode("speculation",
		 prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_FORCE_DISABLE, 0, 0));
}

static void make_ldt(int given)
{
	struct user_desc entry = { .entry_number = 3, .limit = 1, .read_exec_only = 1 };

	(void)given;
	set_mode("modify_ldt", syscall(SYS_modify_ldt, 1, &entry, sizeof(entry)));
}

/* Only on some processors, or in some configurations of the kernel. */
static void make_cpuid(int given)
{
	(void)given;
	set_mode("ARCH_SET_CPUID", syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL));
}

static void make_amx(int given)
{
	(void)given;
	set_mode("ARCH_REQ_XCOMP_PERM", syscall(SYS_arch_prctl, 0x1023, 18UL));
}

static void make_lam(int given)
{
	(void)given;
	set_mode("ARCH_ENABLE_TAGGED_ADDR", syscall(SYS_arch_prctl, 0x4002, 6UL));
}

/* pkeys(7): the kernel takes a key of its own for it. */
static void make_execute_only(int given)
{
	void *page = must_mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char words[80];
	int key = pkey_alloc(0, 0);

	(void)given;
	if (key < 0)
		workload_skip("pkey_alloc: %s", strerror(errno));
	MUST(mprotect(page, 4096, PROT_EXEC));
	(void)snprintf(words, sizeof(words), "0x%lx\tcan only be executed", (unsigned long)page);
	refuse(-1, words);
}

/* add_key(2) makes the keyring, too. */
static long add_key_to(int keyring)
{
	return syscall(SYS_add_key, "user", "thump-test", "x", (size_t)1, keyring);
}

static void make_process_keyring(int given)
{
	(void)given;
	if (add_key_to(KEY_SPEC_PROCESS_KEYRING) < 0)
		workload_skip("add_key: %s", strerror(errno));
	refuse(-1, "keyring of the process");
}

static void *thread_with_keyring(void *errno_ret)
{
	*(int *)errno_ret = add_key_to(KEY_SPEC_THREAD_KEYRING) < 0 ? errno : 0;
	(void)pthread_barrier_wait(&keyring_made);
	(void)pause();
	return NULL;
}

/* Of a thread that is not asked about the process. */
static void make_thread_keyring(int given)
{
	static int failure;
	pthread_t thread;

	(void)given;
	MUST_PTHREAD(pthread_barrier_init(&keyring_made, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_with_keyring, &failure));
	(void)pthread_barrier_wait(&keyring_made);
	if (failure)
		workload_skip("add_key: %s", strerror(failure));
	refuse(-1, "thread\tKEYRING");
}

static void make_io_flusher(int given)
{
	(void)given;
	set_mode("PR_SET_IO_FLUSHER", prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
}

static void make_core_scheduling(int given)
{
	(void)given;
	set_mode("PR_SCHED_CORE", prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 0, 0));
}

static void make_uclamp(int given)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} attr = { .size = sizeof(attr), .flags = 0x18 | 0x60, .util_max = 512 };

	(void)given;
	/* SCHED_FLAG_KEEP_ALL and both clamps, sched_setattr(2). */
	set_mode("utilisation clamps", syscall(SYS_sched_setattr, 0, &attr, 0));
}

static void make_mempolicy(int given)
{
	unsigned long nodes = 1;

	(void)given;
	set_mode("set_mempolicy", syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes)));
}

static void make_deadline(int given)
{
	/* struct sched_attr: size, policy, flags, nice and priority, runtime, deadline, period */
	const uint64_t attr[] = {
		48 | (uint64_t)SCHED_DEADLINE << 32, 0, 0, 100000, 10000000, 10000000
	};

	(void)given;
	set_mode("SCHED_DEADLINE", syscall(SYS_sched_setattr, 0, attr, 0));
}

static void make_chroot(int given)
{
	(void)given;
	set_mode("chroot", chroot("/tmp"));
}

static void make_thread_timer(int given)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	(void)given;
	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer));
	refuse(-1, "POSIX timer\tCPU time of a thread");
}

static void make_guard_region(int given)
{
	char *at = must_mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0);

	(void)given;
	set_mode("MADV_GUARD_INSTALL", madvise(at + PAGE, PAGE, MADV_GUARD_INSTALL));
}

/* None of its pages need be there. */
static void make_hugetlb(int given)
{
	void *at = mmap(NULL, (size_t)2 << 20, PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE, -1, 0);

	(void)given;
	set_mode("MAP_HUGETLB", at == MAP_FAILED ? -1 : 0);
}

const struct refusal refused_modes[] = {
	{ "mlockall_future", make_mlockall_future },
	{ "mce_kill", make_mce_kill },
	{ "mdwe", make_mdwe },
	{ "memory_merge", make_memory_merge },
	{ "tsc", make_tsc },
	{ "speculation", make_speculation },
	{ "ldt", make_ldt },
	{ "cpuid", make_cpuid },
	{ "amx", make_amx },
	{ "lam", make_lam },
	{ "execute_only", make_execute_only },
	{ "process_keyring", make_process_keyring },
	{ "thread_keyring", make_thread_keyring },
	{ "io_flusher", make_io_flusher },
	{ "core_scheduling", make_core_scheduling },
	{ "uclamp", make_uclamp },
	{ "mempolicy", make_mempolicy },
	{ "deadline", make_deadline },
	{ "chroot", make_chroot },
	{ "thread_timer", make_thread_timer },
	{ "guard_region", make_guard_region },
	{ "hugetlb", make_hugetlb },
};
const size_t nr_refused_modes = NR_OF(refused_modes);
