/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that renews generators which no other one can reach. A program that has none of its
 * own does not know that it has a second thread, and may ask the kernel for what is only for
 * processes with one: a user namespace, or another mount namespace (unshare(2), setns(2): EINVAL).
 * So these two are also functions of the library, in which the thread makes way: it ends, and
 * another one begins afterwards, which is in the same namespaces as the program again.
 */
#include <errno.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libthump/library.h"

/* After which it tries again what could not be renewed. */
#define AGAIN_NS 10000000

struct watch {
	pthread_mutex_t lock; /* of all but `leaving` */
	pthread_t thread;
	pid_t pid, tid; /* of its process, and its own; 0: there is none */
	bool leaving;
	/* Who has this memory: another pid is that of a child of vfork(2), in whom nothing is done.
	 * 0: there is nobody to be renewed by a thread. */
	pid_t owner;
	bool is_daemon; /* has begun a session, or is a child of one that has */
};

static struct watch watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *watch_main(void *arg)
{
	bool renewed = true;
	uint64_t seen = 0;

	(void)arg;
	(void)pthread_setname_np(pthread_self(), "thump-watch");
	for (;;) {
		const uint32_t alive = generation_alive();
		const uint64_t now = thump_generation();

		if (__atomic_load_n(&watch.leaving, __ATOMIC_ACQUIRE))
			return NULL;
		if (now != seen || !renewed)
			renewed = generators_renew();
		seen = now;
		generation_sleep(alive, renewed ? -1 : AGAIN_NS);
	}
}

static void start_locked(void)
{
	if (library_start_thread(&watch.thread, &watch.tid, watch_main, NULL) != 0)
		return;
	watch.pid = (pid_t)syscall(SYS_getpid);
	library()->watch_tid = watch.tid;
}

void watch_begin(void)
{
	(void)pthread_mutex_lock(&watch.lock);
	watch.owner = (pid_t)syscall(SYS_getpid);
	start_locked();
	(void)pthread_mutex_unlock(&watch.lock);
}

/*
 * Most children of fork(2) have little time to live, and get no thread; what becomes a daemon has
 * much. It may be made although the parent has threads, as glibc resets the locks that it takes for
 * that (fork(2) only asks for care).
 */
void watch_forget_in_child(void)
{
	watch = (struct watch){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.owner = watch.owner ? (pid_t)syscall(SYS_getpid) : 0,
		.is_daemon = watch.is_daemon,
	};
	if (watch.owner && watch.is_daemon)
		start_locked();
}

/* How every daemon begins; many are children of who calls it. */
THUMP_EXPORT pid_t setsid(void)
{
	const pid_t session = (pid_t)syscall(SYS_setsid);

	if (session < 0 || watch.owner != session)
		return session;
	(void)pthread_mutex_lock(&watch.lock);
	watch.is_daemon = true;
	if (!watch.pid)
		start_locked();
	(void)pthread_mutex_unlock(&watch.lock);
	return session;
}

/* A thread is joined a little before the kernel counts it no more. */
static void end_locked(void)
{
	__atomic_store_n(&watch.leaving, true, __ATOMIC_RELEASE);
	generation_wake();
	(void)pthread_join(watch.thread, NULL);
	while (syscall(SYS_tgkill, watch.pid, watch.tid, 0) == 0)
		(void)sched_yield();
	__atomic_store_n(&watch.leaving, false, __ATOMIC_RELEASE);
	watch.pid = 0;
	library()->watch_tid = 0;
}

struct namespaces_call {
	long number;
	long args[2];
};

static int call_plainly(const struct namespaces_call *call)
{
	return (int)syscall(call->number, call->args[0], call->args[1]);
}

static int call_alone(const struct namespaces_call *call)
{
	int rc, saved_errno;

	/* A child of vfork(2), in whose memory the thread is its parent's, or the thread itself. */
	if (watch.pid != (pid_t)syscall(SYS_getpid) || watch.tid == (pid_t)syscall(SYS_gettid))
		return call_plainly(call);
	(void)pthread_mutex_lock(&watch.lock);
	if (watch.pid)
		end_locked();
	rc = call_plainly(call);
	saved_errno = errno;
	start_locked();
	(void)pthread_mutex_unlock(&watch.lock);
	errno = saved_errno;
	return rc;
}

/* Who has asked for a pid namespace for his children can make no thread any more (clone(2),
 * EINVAL): then ours stays, where it does not keep the call from working. */
static bool stays(int flags)
{
	return (flags & CLONE_NEWPID) && !(flags & CLONE_NEWUSER);
}

THUMP_EXPORT int unshare(int flags)
{
	const struct namespaces_call call = { SYS_unshare, { flags, 0 } };

	return stays(flags) ? call_plainly(&call) : call_alone(&call);
}

THUMP_EXPORT int setns(int fd, int nstype)
{
	const struct namespaces_call call = { SYS_setns, { fd, nstype } };
	/* 0 is any; of a pidfd, which has no type, it is not allowed. */
	int flags = nstype ? nstype : ioctl(fd, NS_GET_NSTYPE);

	return flags < 0 || stays(flags) ? call_plainly(&call) : call_alone(&call);
}
