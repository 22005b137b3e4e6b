/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody but the requesting thread runs Java code from before the capture until the restored
 * process has fresh randomness: all application threads are suspended, platform and virtual ones.
 *
 * Never suspended: the caller and its carrier, and the JDK's service threads (Reference Handler,
 * Finalizer, Common-Cleaner, the virtual threads' unparker), which the caller itself may have to
 * wait for. They live in the groups named below.
 *
 * Nobody stays suspended inside a JNI critical region: the collector would wait for them, and the
 * requesting thread for it. Such a thread goes on alone until it has left. Until nobody is inside
 * nothing is done here that may need memory of the heap, or a safepoint: a collection that is due
 * waits already, and with JDK 25 it has Heap_lock meanwhile.
 *
 * Nor in the middle of a draw from a random generator (drawing.c).
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "words.h"

/* Of one suspension; the watchdog may end it from its own thread. */
struct suspended_threads {
	jthread *list; /* global references */
	jint count;
	jthread *carriers; /* global references; of virtual threads */
	jint nr_carriers;
	bool virtual_too;
};

/* How long to try to catch everybody outside of JNI critical regions. */
#define PATIENCE_NS UINT64_C(2000000000)

/*
 * Who waits for the end of a collection before entering a critical region (GCLocker::jni_lock) does
 * enter it then, suspended or not, and stops only in there. Such a thread has been woken when it is
 * seen to run; so one look is not enough while any thread runs. Some may run for long (compilers,
 * native code): that much time is given to them.
 */
#define NR_LOOKS	  3
#define LOOK_INTERVAL_NS  1000000L
#define NR_LOOKS_RESTLESS 50

enum thread_role { ROLE_APPLICATION, ROLE_SERVICE, ROLE_CARRIER };

static enum thread_role role_of_group(const char *name)
{
	if (strcmp(name, "CarrierThreads") == 0)
		return ROLE_CARRIER;
	return strcmp(name, "system") == 0 || strcmp(name, "InnocuousThreadGroup") == 0
		       ? ROLE_SERVICE
		       : ROLE_APPLICATION;
}

static enum thread_role role_of(jvmtiEnv *jvmti, JNIEnv *jni, jthread thread)
{
	jvmtiThreadInfo info;
	jvmtiThreadGroupInfo group;
	enum thread_role role = ROLE_SERVICE; /* a thread that ends just now is left alone */

	if ((*jvmti)->GetThreadInfo(jvmti, thread, &info) != JVMTI_ERROR_NONE)
		return role;
	if (info.thread_group &&
	    (*jvmti)->GetThreadGroupInfo(jvmti, info.thread_group, &group) == JVMTI_ERROR_NONE) {
		role = role_of_group(group.name);
		(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)group.name);
		(*jni)->DeleteLocalRef(jni, group.parent);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)info.name);
	(*jni)->DeleteLocalRef(jni, info.thread_group);
	(*jni)->DeleteLocalRef(jni, info.context_class_loader);
	return role;
}

/* Virtual threads came with JVMTI 21; older function tables end before these functions. */
static bool has_virtual_threads(jvmtiEnv *jvmti)
{
	jint version = 0;

	if ((*jvmti)->GetVersionNumber(jvmti, &version) != JVMTI_ERROR_NONE)
		return false;
	return (version & JVMTI_VERSION_MASK_MAJOR) >> JVMTI_VERSION_SHIFT_MAJOR >= 21;
}

#ifdef JVMTI_VERSION_21
static jvmtiError suspend_all_virtual(jvmtiEnv *jvmti, jint except_count, const jthread *except)
{
	return (*jvmti)->SuspendAllVirtualThreads(jvmti, except_count, except);
}

static void resume_virtual(jvmtiEnv *jvmti)
{
	(void)(*jvmti)->ResumeAllVirtualThreads(jvmti, 0, NULL);
}
#else
/* Slots of the JVMTI 21 function table, which the headers of older JDKs reserve: 118 and 119. */
typedef jvmtiError(JNICALL *virtual_threads_fn)(jvmtiEnv *env, jint except_count,
						const jthread *except_list);
enum { SLOT_SUSPEND_ALL_VIRTUAL = 118, SLOT_RESUME_ALL_VIRTUAL = 119 };

static virtual_threads_fn virtual_slot(jvmtiEnv *jvmti, size_t number)
{
	virtual_threads_fn function;

	memcpy(&function, (const char *)*jvmti + (number - 1) * sizeof(void *), sizeof(function));
	return function;
}

static jvmtiError suspend_all_virtual(jvmtiEnv *jvmti, jint except_count, const jthread *except)
{
	return virtual_slot(jvmti, SLOT_SUSPEND_ALL_VIRTUAL)(jvmti, except_count, except);
}

static void resume_virtual(jvmtiEnv *jvmti)
{
	(void)virtual_slot(jvmti, SLOT_RESUME_ALL_VIRTUAL)(jvmti, 0, NULL);
}
#endif

/* Only virtual threads may be excepted: a platform thread is no valid one there. */
static bool suspend_virtual(jvmtiEnv *jvmti, jthread self)
{
	jvmtiError error;

	if (!has_virtual_threads(jvmti))
		return false;
	error = suspend_all_virtual(jvmti, 1, &self);
	if (error == JVMTI_ERROR_INVALID_THREAD)
		error = suspend_all_virtual(jvmti, 0, NULL);
	return error == JVMTI_ERROR_NONE;
}

static void add_global(JNIEnv *jni, jthread thread, jthread *list, jint *count)
{
	jthread global = (*jni)->NewGlobalRef(jni, thread);

	if (global)
		list[(*count)++] = global;
}

/* Makes global references of those on the list that may be suspended, in their place, and of the
 * carriers. */
static void choose(struct agent *agent, JNIEnv *jni, jthread self,
		   struct suspended_threads *suspended, jint count)
{
	for (jint i = 0; i < count; i++) {
		jthread thread = suspended->list[i];
		enum thread_role role = ROLE_SERVICE;

		if (!(*jni)->IsSameObject(jni, thread, self) && !watchdog_is(agent, jni, thread))
			role = role_of(agent->jvmti, jni, thread);
		if (role == ROLE_APPLICATION)
			add_global(jni, thread, suspended->list, &suspended->count);
		else if (role == ROLE_CARRIER && suspended->carriers)
			add_global(jni, thread, suspended->carriers, &suspended->nr_carriers);
		(*jni)->DeleteLocalRef(jni, thread);
	}
}

static void suspend_platform(struct agent *agent, JNIEnv *jni, jthread self,
			     struct suspended_threads *suspended)
{
	jthread *threads = NULL;
	jvmtiError *results;
	jint count = 0;

	if ((*agent->jvmti)->GetAllThreads(agent->jvmti, &count, &threads) != JVMTI_ERROR_NONE)
		return;
	suspended->list = threads;
	suspended->carriers = calloc((size_t)count + 1, sizeof(jthread));
	choose(agent, jni, self, suspended, count);
	results = calloc((size_t)suspended->count + 1, sizeof(*results));
	if (results)
		(void)(*agent->jvmti)
			->SuspendThreadList(agent->jvmti, suspended->count, threads, results);
	free(results);
}

/* ---- critical regions ---------------------------------------------------------------------- */

/* Waits for a thread that runs. It enters the next region microseconds after it has left one: to
 * sleep here would be to miss that. */
static void wait_until_outside(const struct agent *agent, JNIEnv *jni, jthread thread,
			       uint64_t deadline_ns)
{
	while (critical_inside(agent, jni, thread) && agent_now_ns(CLOCK_MONOTONIC) < deadline_ns)
		(void)sched_yield();
}

/* Lets everybody who is inside a critical region go on until they have left it. Returns the last
 * of them, or NULL when there was nobody. */
static jthread lead_out(const struct agent *agent, JNIEnv *jni, jthread self,
			const struct suspended_threads *suspended, uint64_t deadline_ns)
{
	jvmtiEnv *jvmti = agent->jvmti;
	jthread last = NULL;

	for (jint i = 0; i < suspended->count; i++) {
		if (!critical_inside(agent, jni, suspended->list[i]))
			continue;
		last = suspended->list[i];
		(void)(*jvmti)->ResumeThread(jvmti, last);
		wait_until_outside(agent, jni, last, deadline_ns);
		(void)(*jvmti)->SuspendThread(jvmti, last);
	}
	for (jint i = 0; suspended->virtual_too && i < suspended->nr_carriers; i++) {
		if (!critical_inside(agent, jni, suspended->carriers[i]))
			continue;
		last = suspended->carriers[i];
		resume_virtual(jvmti);
		wait_until_outside(agent, jni, last, deadline_ns);
		(void)suspend_virtual(jvmti, self);
	}
	return last;
}

/* Whether a thread of this process but the caller is running, by proc_pid_stat(5). */
static bool runs(int tasks, const char *tid)
{
	char path[NAME_MAX + sizeof("/stat")], text[128];
	const char *name_end;
	ssize_t size;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/stat", tid);
	fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false; /* it has ended */
	size = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	text[size > 0 ? size : 0] = '\0';
	name_end = strrchr(text, ')');
	return name_end && strncmp(name_end, ") R", 3) == 0;
}

static bool anybody_runs(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	bool found = false;

	while (!found && tasks && (task = readdir(tasks)))
		found = task->d_name[0] != '.' &&
			strtol(task->d_name, NULL, 10) != syscall(SYS_gettid) &&
			runs(dirfd(tasks), task->d_name);
	if (tasks)
		(void)closedir(tasks);
	return found;
}

/* NULL once nobody is inside a critical region, else who still is. */
static jthread lead_all_out(const struct agent *agent, JNIEnv *jni, jthread self,
			    const struct suspended_threads *suspended)
{
	const struct timespec pause = { .tv_nsec = LOOK_INTERVAL_NS };
	uint64_t deadline_ns = agent_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;

	int nr_looks = 0, nr_restless = 0;

	if (!critical_matters(agent))
		return NULL;
	while (nr_looks < NR_LOOKS) {
		jthread last = lead_out(agent, jni, self, suspended, deadline_ns);

		if (last && agent_now_ns(CLOCK_MONOTONIC) >= deadline_ns)
			return last;
		if (last) {
			nr_looks = nr_restless = 0;
			continue;
		}
		nr_looks++;
		if (nr_restless < NR_LOOKS_RESTLESS && anybody_runs()) {
			nr_restless++;
			nr_looks = 0;
		}
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

static char *describe_inside(struct agent *agent, JNIEnv *jni, jthread thread, const char *inside)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fputs("the thread ", out);
	words_thread(agent, jni, out, thread);
	(void)fprintf(out, " could not be suspended: it is %s; try again when it has less to do",
		      inside);
	return fclose(out) == 0 ? text : NULL;
}

/* Without carriers there has never been a virtual thread. */
static bool has_virtual(const struct suspended_threads *suspended)
{
	return suspended->virtual_too && suspended->nr_carriers > 0;
}

/* ---- draws --------------------------------------------------------------------------------- */

/* Returns whether anybody has gone on; *stuck_ret is who cannot be suspended elsewhere. */
static bool lead_draws_out(struct agent *agent, JNIEnv *jni,
			   const struct suspended_threads *suspended, uint64_t deadline_ns,
			   jthread *stuck_ret)
{
	bool any =
		drawing_lead_out(agent, suspended->list, suspended->count, deadline_ns, stuck_ret);
	jthread *threads;
	jint count;

	if (*stuck_ret || !has_virtual(suspended))
		return any;
	threads = virtual_threads(agent, jni, true, &count);
	any = drawing_lead_out(agent, threads, count, deadline_ns, stuck_ret) || any;
	if (*stuck_ret)
		*stuck_ret = (*jni)->NewLocalRef(jni, *stuck_ret);
	virtual_threads_free(agent, jni, threads, count);
	return any;
}

/* Until all threads stand where they may. Returns what is in the way (heap), or NULL. */
static char *lead_everybody_out(struct agent *agent, JNIEnv *jni, jthread self,
				const struct suspended_threads *suspended)
{
	uint64_t deadline_ns = agent_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	jthread inside, drawing = NULL;

	do {
		inside = lead_all_out(agent, jni, self, suspended);
		if (inside)
			return describe_inside(agent, jni, inside,
					       "in a JNI critical region most of the time, where "
					       "it holds off the garbage collector");
		/* Who has gone on may be in a critical region by now. */
	} while (lead_draws_out(agent, jni, suspended, deadline_ns, &drawing) && !drawing);
	return drawing ? describe_inside(agent, jni, drawing,
					 "drawing random numbers most of the time, and clones "
					 "would share them")
		       : NULL;
}

/* ---- all of them --------------------------------------------------------------------------- */

char *threads_suspend(struct agent *agent, JNIEnv *jni)
{
	struct suspended_threads *suspended = calloc(1, sizeof(*suspended));
	jthread self = NULL;
	char *hindrance = NULL;

	if (!suspended)
		return NULL;
	drawing_learn(agent, jni);
	if ((*agent->jvmti)->GetCurrentThread(agent->jvmti, &self) == JVMTI_ERROR_NONE) {
		suspended->virtual_too = suspend_virtual(agent->jvmti, self);
		suspend_platform(agent, jni, self, suspended);
		hindrance = lead_everybody_out(agent, jni, self, suspended);
	}
	(*jni)->DeleteLocalRef(jni, self);
	__atomic_store_n(&agent->suspended, suspended, __ATOMIC_RELEASE);
	if (hindrance)
		threads_resume(agent, jni);
	return hindrance;
}

bool threads_lead_out(struct agent *agent, JNIEnv *jni, jthread self)
{
	const struct suspended_threads *suspended =
		__atomic_load_n(&agent->suspended, __ATOMIC_ACQUIRE);

	return suspended && critical_matters(agent) &&
	       lead_out(agent, jni, self, suspended, agent_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS) !=
		       NULL;
}

const jthread *threads_suspended(struct agent *agent, jint *count_ret)
{
	*count_ret = agent->suspended ? agent->suspended->count : 0;
	return agent->suspended ? agent->suspended->list : NULL;
}

bool threads_virtual_too(const struct agent *agent)
{
	return agent->suspended && has_virtual(agent->suspended);
}

static void free_suspended(struct agent *agent, JNIEnv *jni, struct suspended_threads *suspended)
{
	for (jint i = 0; i < suspended->count; i++)
		(*jni)->DeleteGlobalRef(jni, suspended->list[i]);
	for (jint i = 0; i < suspended->nr_carriers; i++)
		(*jni)->DeleteGlobalRef(jni, suspended->carriers[i]);
	free(suspended->carriers);
	if (suspended->list)
		(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)suspended->list);
	free(suspended);
}

void threads_resume(struct agent *agent, JNIEnv *jni)
{
	struct suspended_threads *suspended =
		__atomic_exchange_n(&agent->suspended, NULL, __ATOMIC_ACQ_REL);
	jvmtiError *results;

	if (!suspended)
		return;
	results = calloc((size_t)suspended->count + 1, sizeof(*results));
	/* One by one without memory: a thread must never stay suspended. */
	for (jint i = 0; !results && i < suspended->count; i++)
		(void)(*agent->jvmti)->ResumeThread(agent->jvmti, suspended->list[i]);
	if (results && suspended->count > 0)
		(void)(*agent->jvmti)
			->ResumeThreadList(agent->jvmti, suspended->count, suspended->list,
					   results);
	if (suspended->virtual_too)
		resume_virtual(agent->jvmti);
	free(results);
	free_suspended(agent, jni, suspended);
}
