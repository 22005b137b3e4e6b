/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads in the middle of a draw from a random generator. What such a thread has computed from the
 * old state it would hand out in every clone, and leave behind: SHA1PRNG the rest of its 20 bytes,
 * NativePRNG a buffer, CtrDrbg and ThreadLocalRandom a state. So nobody stays suspended in there
 * (threads.c); who they are their stacks tell.
 *
 * Who waits for a lock in there is left alone: its owner is in the middle of a draw, and led out,
 * or holds the lock for another purpose.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

/* Of generators whose state changes in more than one step. java.util.Random and the like have one
 * number, which changes at once or not at all. */
static const char *const generators[] = {
	"Ljava/security/SecureRandom;",		 "Ljava/util/concurrent/ThreadLocalRandom;",
	"Lsun/security/pkcs11/P11SecureRandom;", "Lsun/security/provider/AbstractDrbg;",
	"Lsun/security/provider/CtrDrbg;",	 "Lsun/security/provider/HashDrbg;",
	"Lsun/security/provider/HmacDrbg;",	 "Lsun/security/provider/NativePRNG$RandomIO;",
	"Lsun/security/provider/SecureRandom;",
};

/* From the top of a stack: what generators call themselves is not deep. */
enum { MAX_FRAMES = 64 };

struct drawing {
	jmethodID *methods; /* of the generators, in ascending order */
	size_t count;
};

static int compare(const void *one, const void *other)
{
	const jmethodID *left = one, *right = other;

	return (uintptr_t)*left < (uintptr_t)*right ? -1 : (uintptr_t)*left > (uintptr_t)*right;
}

static void add_methods(struct drawing *drawing, jvmtiEnv *jvmti, jclass class)
{
	jmethodID *methods = NULL, *longer;
	jint count = 0;

	if ((*jvmti)->GetClassMethods(jvmti, class, &count, &methods) != JVMTI_ERROR_NONE)
		return;
	longer = realloc(drawing->methods, (drawing->count + (size_t)count) * sizeof(*longer));
	if (longer) {
		memcpy(longer + drawing->count, methods, (size_t)count * sizeof(*longer));
		drawing->methods = longer;
		drawing->count += (size_t)count;
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)methods);
}

static void add_generator(struct agent *agent, JNIEnv *jni, jclass class, const char *signature)
{
	(void)jni;
	for (size_t i = 0; i < sizeof(generators) / sizeof(generators[0]); i++)
		if (strcmp(signature, generators[i]) == 0)
			add_methods(agent->drawing, agent->jvmti, class);
}

void drawing_learn(struct agent *agent, JNIEnv *jni)
{
	if (!agent->drawing)
		agent->drawing = calloc(1, sizeof(*agent->drawing));
	if (!agent->drawing)
		return;
	agent->drawing->count = 0;
	classes_visit(agent, jni, add_generator);
	qsort(agent->drawing->methods, agent->drawing->count, sizeof(jmethodID), compare);
}

static bool is_drawing(const struct drawing *drawing, const jvmtiStackInfo *stack)
{
	const jint waits = JVMTI_THREAD_STATE_BLOCKED_ON_MONITOR_ENTER | JVMTI_THREAD_STATE_WAITING;

	if (stack->state & waits)
		return false;
	for (jint i = 0; i < stack->frame_count; i++)
		if (bsearch(&stack->frame_buffer[i].method, drawing->methods, drawing->count,
			    sizeof(jmethodID), compare))
			return true;
	return false;
}

/* Keeps those on the list that are drawing. Returns how many. *in_native_ret: whether the last of
 * them is in native code. */
static jint keep_drawing(const struct agent *agent, jthread *threads, jint count,
			 bool *in_native_ret)
{
	jvmtiStackInfo *stacks = NULL;
	jint kept = 0;

	if ((*agent->jvmti)
		    ->GetThreadListStackTraces(agent->jvmti, count, threads, MAX_FRAMES, &stacks) !=
	    JVMTI_ERROR_NONE)
		return 0;
	for (jint i = 0; i < count; i++) {
		if (!is_drawing(agent->drawing, &stacks[i]))
			continue;
		threads[kept++] = threads[i];
		*in_native_ret = (stacks[i].state & JVMTI_THREAD_STATE_IN_NATIVE) != 0;
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)stacks);
	return kept;
}

/* At the deadline, who is in native code waits for bytes of the kernel: those will be new ones. */
static bool lead_out(const struct agent *agent, jthread thread, uint64_t deadline_ns,
		     bool *went_on_ret)
{
	bool in_native;

	while (keep_drawing(agent, &thread, 1, &in_native) > 0) {
		if (agent_now_ns(CLOCK_MONOTONIC) >= deadline_ns)
			return in_native;
		*went_on_ret = true;
		(void)(*agent->jvmti)->ResumeThread(agent->jvmti, thread);
		(void)sched_yield();
		(void)(*agent->jvmti)->SuspendThread(agent->jvmti, thread);
	}
	return true;
}

bool drawing_lead_out(const struct agent *agent, const jthread *threads, jint count,
		      uint64_t deadline_ns, jthread *stuck_ret)
{
	jthread *drawing = malloc((size_t)count * sizeof(*drawing));
	bool in_native, went_on = false;
	jint nr_drawing = 0;

	if (drawing && count > 0 && agent->drawing && agent->drawing->count > 0) {
		memcpy(drawing, threads, (size_t)count * sizeof(*drawing));
		nr_drawing = keep_drawing(agent, drawing, count, &in_native);
	}
	for (jint i = 0; i < nr_drawing; i++)
		if (!lead_out(agent, drawing[i], deadline_ns, &went_on))
			*stuck_ret = drawing[i];
	free(drawing);
	return went_on;
}
