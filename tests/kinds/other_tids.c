/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: other_tids THUMP IMAGE LOCK: a program with threads that stands other tids (coord/abi.h):
 * it remembers those of its threads in records, as a runtime does. It has THUMP make IMAGE of it,
 * and says "is saved". There, and when it has been made from the image, then
 *
 *     SIGUSR1  verify: the tids are the same
 *     SIGUSR2  verify: pid and tids are others
 *     SIGHUP   once more, to IMAGE.2
 *
 * LOCK is what one thread holds meanwhile: normal, recursive, errorcheck, robust, inherit or
 * rwlock; "unvouched": a normal one, and the program does not say that it stands other tids.
 */
#include "workload.h"

#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "coord/abi.h"

#define NR_WORKERS 5
#define KICK	   SIGRTMIN
#define TICK	   (SIGRTMIN + 1)
#define TICK_NS	   1000000L

struct record {
	uint64_t number;
	pid_t tid;
	pthread_t self;
};

static struct worker {
	pthread_t thread;
	pid_t old_tid;
	struct record *volatile record; /* so that the compiler cannot know what is in there */
} workers[NR_WORKERS];

static struct thump_coord_page page __attribute__((aligned(4096)));
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, held_lock;
static pthread_rwlock_t held_rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool restored, may_end, may_let_go, holds;
static pthread_barrier_t prepared;
static const char *lock_name;

/* ---- threads ------------------------------------------------------------------------------- */

static void wait_for(const bool *flag)
{
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	while (!*flag)
		MUST_PTHREAD(pthread_cond_wait(&changed, &lock));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
}

static void set(bool *flag)
{
	MUST_PTHREAD(pthread_mutex_lock(&lock));
	*flag = true;
	MUST_PTHREAD(pthread_cond_broadcast(&changed));
	MUST_PTHREAD(pthread_mutex_unlock(&lock));
}

static void expect_signal(int signo)
{
	sigset_t wanted;
	int got;

	sigemptyset(&wanted);
	sigaddset(&wanted, signo);
	MUST_PTHREAD(sigwait(&wanted, &got));
}

/* In glibc these two work by the tid in the descriptor of the thread. */
static void use_own_locks(void)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t mutex;

	MUST_PTHREAD(pthread_mutexattr_init(&attr));
	MUST_PTHREAD(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
	MUST_PTHREAD(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	MUST_PTHREAD(pthread_mutex_init(&mutex, &attr));
	MUST_PTHREAD(pthread_mutex_lock(&mutex));
	MUST_PTHREAD(pthread_mutex_lock(&mutex));
	CHECK_EQ(mutex.__data.__owner, sys_gettid());
	MUST_PTHREAD(pthread_mutex_unlock(&mutex));
	MUST_PTHREAD(pthread_mutex_unlock(&mutex));
}

static timer_t start_ticks(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK };
	struct itimerspec often = { { 0, TICK_NS }, { 0, TICK_NS } };
	timer_t timer;

	event._sigev_un._tid = sys_gettid();
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer));
	MUST(timer_settime(timer, 0, &often, NULL));
	return timer;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct record *record = worker->record = calloc(1, sizeof(*record));
	timer_t timer = start_ticks();

	CHECK(record);
	record->tid = worker->old_tid = sys_gettid();
	record->self = pthread_self();
	(void)pthread_barrier_wait(&prepared);
	wait_for(&may_end);
	record = worker->record;
	CHECK_EQ(record->tid, sys_gettid());
	CHECK_EQ(record->self == pthread_self(), true);
	CHECK_EQ(worker->old_tid != sys_gettid(), restored);
	free(record);
	expect_signal(KICK);
	/* Whatever was pending before; then one that comes now. */
	expect_signal(TICK);
	expect_signal(TICK);
	use_own_locks();
	MUST(timer_delete(timer));
	return NULL;
}

static void init_held_lock(void)
{
	pthread_mutexattr_t attr;

	MUST_PTHREAD(pthread_mutexattr_init(&attr));
	if (strcmp(lock_name, "recursive") == 0)
		MUST_PTHREAD(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE));
	else if (strcmp(lock_name, "errorcheck") == 0)
		MUST_PTHREAD(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK));
	else if (strcmp(lock_name, "robust") == 0)
		MUST_PTHREAD(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	else if (strcmp(lock_name, "inherit") == 0)
		MUST_PTHREAD(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	MUST_PTHREAD(pthread_mutex_init(&held_lock, &attr));
}

static void *hold(void *arg)
{
	bool is_rwlock = strcmp(lock_name, "rwlock") == 0;

	(void)arg;
	MUST_PTHREAD(is_rwlock ? pthread_rwlock_wrlock(&held_rwlock)
			       : pthread_mutex_lock(&held_lock));
	set(&holds);
	wait_for(&may_let_go);
	MUST_PTHREAD(is_rwlock ? pthread_rwlock_unlock(&held_rwlock)
			       : pthread_mutex_unlock(&held_lock));
	return NULL;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void fill_page(bool vouched)
{
	memset(&page, 0, sizeof(page));
	memcpy(page.magic, THUMP_COORD_MAGIC, sizeof(page.magic));
	if (vouched)
		page.tid_from_self = (int32_t)offsetof(struct record, tid) -
				     (int32_t)offsetof(struct record, self);
	__atomic_store_n(&page.state, THUMP_COORD_WAITING, __ATOMIC_RELEASE);
}

static void checkpoint(const char *thump, const char *image)
{
	char pid[16], addr[32];
	const char *argv[] = { thump, "checkpoint",	 pid, "-o", image, "--coord",
			       addr,  "--leave-running", NULL };
	char *envp[] = { NULL };
	pid_t child;
	int status;

	fill_page(strcmp(lock_name, "unvouched") != 0);
	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(addr, sizeof(addr), "%p", (void *)&page);
	MUST_PTHREAD(posix_spawn(&child, thump, NULL, NULL, (char **)argv, envp));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	while (__atomic_load_n(&page.state, __ATOMIC_ACQUIRE) == THUMP_COORD_WAITING)
		(void)syscall(SYS_futex, &page.state, FUTEX_WAIT_PRIVATE, THUMP_COORD_WAITING, NULL,
			      NULL, 0);
	if (page.state == THUMP_COORD_FAILED)
		FAIL("checkpoint: %s", page.text);
	if (page.state == THUMP_COORD_SAVED)
		workload_tell("is", "saved");
}

static void verify(pid_t old_pid)
{
	CHECK_EQ(getpid() != old_pid, restored);
	CHECK_EQ(sys_gettid(), getpid());
	use_own_locks();
	set(&may_end);
	set(&may_let_go);
	for (int i = 0; i < NR_WORKERS; i++) {
		clockid_t clock;

		MUST_PTHREAD(pthread_getcpuclockid(workers[i].thread, &clock));
		(void)now_ns(clock);
		MUST_PTHREAD(pthread_kill(workers[i].thread, KICK));
		MUST_PTHREAD(pthread_join(workers[i].thread, NULL));
	}
	workload_pass();
}

int main(int argc, char **argv)
{
	pid_t old_pid = getpid();
	pthread_t holder;
	char second[256];
	sigset_t set_of_all;
	int signo;

	CHECK(argc == 4);
	lock_name = argv[3];
	snprintf(second, sizeof(second), "%s.2", argv[2]);
	sigemptyset(&set_of_all);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&set_of_all, (const int[]){ SIGUSR1, SIGUSR2, SIGHUP, KICK, TICK }[i]);
	MUST(sigprocmask(SIG_BLOCK, &set_of_all, NULL));
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* EINVAL without yama */
	init_held_lock();
	MUST_PTHREAD(pthread_create(&holder, NULL, hold, NULL));
	wait_for(&holds);
	MUST_PTHREAD(pthread_barrier_init(&prepared, NULL, NR_WORKERS + 1));
	for (int i = 0; i < NR_WORKERS; i++)
		MUST_PTHREAD(pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	(void)pthread_barrier_wait(&prepared);
	checkpoint(argv[1], argv[2]);
	sigdelset(&set_of_all, KICK);
	sigdelset(&set_of_all, TICK);
	for (;;) {
		MUST_PTHREAD(sigwait(&set_of_all, &signo));
		restored = signo == SIGUSR2;
		if (signo != SIGHUP)
			verify(old_pid);
		checkpoint(argv[1], second);
	}
}
