/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody but the requesting thread runs Java code from before the capture until the restored
 * process has fresh randomness: all application threads are suspended, platform and virtual ones.
 *
 * Never suspended: the caller and its carrier, and the JDK's service threads (Reference Handler,
 * Finalizer, Common-Cleaner, the virtual threads' unparker), which the caller itself may have to
 * wait for. They live in the groups named below.
 *
 * Nobody is suspended inside a JNI critical region (critical.c), where the collector would wait for
 * them, and the requesting thread for it; nor in the middle of a draw from a random generator
 * (drawing.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

/* Of one suspension; the watchdog may end it from its own thread. */
struct suspended_threads {
	jthread *list; /* global references */
	jint count;
	bool has_carriers; /* of virtual threads */
	bool virtual_too;
};

/* How long to wait for who is inside a critical region, and for who draws, each. */
#define PATIENCE_NS UINT64_C(2000000000)

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

/* Makes global references of those on the list that may be suspended, in their place. */
static void choose(struct agent *agent, JNIEnv *jni, jthread self,
		   struct suspended_threads *suspended, jint count)
{
	for (jint i = 0; i < count; i++) {
		jthread thread = suspended->list[i], global = NULL;
		enum thread_role role = ROLE_SERVICE;

		if (!(*jni)->IsSameObject(jni, thread, self) && !watchdog_is(agent, jni, thread))
			role = role_of(agent->jvmti, jni, thread);
		if (role == ROLE_CARRIER)
			suspended->has_carriers = true;
		else if (role == ROLE_APPLICATION)
			global = (*jni)->NewGlobalRef(jni, thread);
		if (global)
			suspended->list[suspended->count++] = global;
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
	choose(agent, jni, self, suspended, count);
	results = calloc((size_t)suspended->count + 1, sizeof(*results));
	if (results)
		(void)(*agent->jvmti)
			->SuspendThreadList(agent->jvmti, suspended->count, threads, results);
	free(results);
}

/* ---- who may not stay where they are ------------------------------------------------------- */

static char *describe_inside(struct agent *agent, JNIEnv *jni, jthread thread, const char *inside)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fputs("the thread ", out);
	if (thread)
		words_thread(agent, jni, out, thread);
	(void)fprintf(out, " could not be suspended: it is %s; try again when it has less to do",
		      inside);
	return fclose(out) == 0 ? text : NULL;
}

/* Without carriers there has never been a virtual thread. */
static bool has_virtual(const struct suspended_threads *suspended)
{
	return suspended->virtual_too && suspended->has_carriers;
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

/* Returns what is in the way (heap), or NULL. */
static char *lead_all_draws_out(struct agent *agent, JNIEnv *jni,
				const struct suspended_threads *suspended)
{
	uint64_t deadline_ns = agent_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	jthread drawing = NULL;

	while (lead_draws_out(agent, jni, suspended, deadline_ns, &drawing) && !drawing)
		continue;
	return drawing ? describe_inside(agent, jni, drawing,
					 "drawing random numbers most of the time, and clones "
					 "would share them")
		       : NULL;
}

/* Until nobody is inside a critical region; then all of them. Returns what is in the way (heap), or
 * NULL. */
static char *suspend_all(struct agent *agent, JNIEnv *jni, jthread self,
			 struct suspended_threads *suspended)
{
	if (!critical_shut(agent, agent_now_ns(CLOCK_MONOTONIC) + PATIENCE_NS))
		return describe_inside(agent, jni, critical_who(agent, jni),
				       "in a JNI critical region for long, where it holds off the "
				       "garbage collector");
	suspended->virtual_too = suspend_virtual(agent->jvmti, self);
	suspend_platform(agent, jni, self, suspended);
	/* Who is led out of a draw must not go into a region instead. */
	return lead_all_draws_out(agent, jni, suspended);
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
		hindrance = suspend_all(agent, jni, self, suspended);
		critical_open(agent);
	}
	(*jni)->DeleteLocalRef(jni, self);
	__atomic_store_n(&agent->suspended, suspended, __ATOMIC_RELEASE);
	if (hindrance)
		threads_resume(agent, jni);
	return hindrance;
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
