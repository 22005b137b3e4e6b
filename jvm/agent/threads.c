/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nobody but the requesting thread runs Java code from before the capture until the restored
 * process has fresh randomness: all application threads are suspended, platform and virtual ones.
 *
 * Never suspended: the caller and its carrier, and the JDK's service threads (Reference Handler,
 * Finalizer, Common-Cleaner, the virtual threads' unparker), which the caller itself may have to
 * wait for. They live in the groups named below.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"

/* Of one suspension; the watchdog may end it from its own thread. */
struct suspended_threads {
	jthread *list; /* global references */
	jint count;
	bool virtual_too;
};

static bool is_service_group(const char *name)
{
	static const char *const names[] = { "system", "InnocuousThreadGroup", "CarrierThreads" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static bool in_service_group(jvmtiEnv *jvmti, JNIEnv *jni, jthread thread)
{
	jvmtiThreadInfo info;
	jvmtiThreadGroupInfo group;
	bool service = true; /* a thread that ends just now is left alone */

	if ((*jvmti)->GetThreadInfo(jvmti, thread, &info) != JVMTI_ERROR_NONE)
		return true;
	if (info.thread_group &&
	    (*jvmti)->GetThreadGroupInfo(jvmti, info.thread_group, &group) == JVMTI_ERROR_NONE) {
		service = is_service_group(group.name);
		(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)group.name);
		(*jni)->DeleteLocalRef(jni, group.parent);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)info.name);
	(*jni)->DeleteLocalRef(jni, info.thread_group);
	(*jni)->DeleteLocalRef(jni, info.context_class_loader);
	return service;
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
static bool suspend_virtual(jvmtiEnv *jvmti, jthread self)
{
	return has_virtual_threads(jvmti) &&
	       (*jvmti)->SuspendAllVirtualThreads(jvmti, 1, &self) == JVMTI_ERROR_NONE;
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

static bool suspend_virtual(jvmtiEnv *jvmti, jthread self)
{
	return has_virtual_threads(jvmti) &&
	       virtual_slot(jvmti, SLOT_SUSPEND_ALL_VIRTUAL)(jvmti, 1, &self) == JVMTI_ERROR_NONE;
}

static void resume_virtual(jvmtiEnv *jvmti)
{
	(void)virtual_slot(jvmti, SLOT_RESUME_ALL_VIRTUAL)(jvmti, 0, NULL);
}
#endif

/* Makes global references of those on the list that may be suspended. */
static jint choose(struct agent *agent, JNIEnv *jni, jthread self, jthread *threads, jint count)
{
	jint kept = 0;

	for (jint i = 0; i < count; i++) {
		jthread thread = threads[i], global = NULL;

		if (!(*jni)->IsSameObject(jni, thread, self) && !watchdog_is(agent, jni, thread) &&
		    !in_service_group(agent->jvmti, jni, thread))
			global = (*jni)->NewGlobalRef(jni, thread);
		if (global)
			threads[kept++] = global;
		(*jni)->DeleteLocalRef(jni, thread);
	}
	return kept;
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
	suspended->count = choose(agent, jni, self, threads, count);
	results = calloc((size_t)suspended->count + 1, sizeof(*results));
	if (results)
		(void)(*agent->jvmti)
			->SuspendThreadList(agent->jvmti, suspended->count, threads, results);
	free(results);
}

void threads_suspend(struct agent *agent, JNIEnv *jni)
{
	struct suspended_threads *suspended = calloc(1, sizeof(*suspended));
	jthread self = NULL;

	if (!suspended)
		return;
	if ((*agent->jvmti)->GetCurrentThread(agent->jvmti, &self) == JVMTI_ERROR_NONE) {
		suspended->virtual_too = suspend_virtual(agent->jvmti, self);
		suspend_platform(agent, jni, self, suspended);
	}
	(*jni)->DeleteLocalRef(jni, self);
	__atomic_store_n(&agent->suspended, suspended, __ATOMIC_RELEASE);
}

const jthread *threads_suspended(struct agent *agent, jint *count_ret)
{
	*count_ret = agent->suspended ? agent->suspended->count : 0;
	return agent->suspended ? agent->suspended->list : NULL;
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
