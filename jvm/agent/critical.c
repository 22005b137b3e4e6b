/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads inside JNI critical regions (GetPrimitiveArrayCritical). Where the collector does not pin
 * objects, HotSpot collects no garbage while there is one: whoever is suspended in there holds off
 * the collector, and with it everybody who needs memory. That need not be an allocation of theirs:
 * a virtual thread that is being unmounted may need some, and JVMTI resumes nobody meanwhile.
 *
 * So a region is entered through a gate. While it is shut who comes waits in native code, where it
 * can be suspended; who is inside leaves in its time. Then nobody is inside, and whoever is
 * suspended stays outside. Coming back from the gate, a suspended thread stops before it enters.
 *
 * The gate is in front of the JNI's functions for it, for all threads: JVMTI changes the table of
 * them. It is there before any thread of the program, so that everybody inside has been counted.
 *
 * HotSpot counts how deep a thread is in (JavaThread::_jni_active_critical), but does not export
 * where. We find that by looking at ourselves: it is the one number of a JavaThread that goes 0, 1,
 * 2, 1, 0 when we enter twice and leave twice. With a collector that pins there is none, and no
 * gate either.
 */
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmstructs.h"

enum { NR_LOOKS = 5 };

/* Threads by their JNIEnv, so that few write to the same cache line. */
enum { NR_LANES = 32, LANE_SHIFT = 9 };

/* How long a thread sleeps at the gate before it looks whether it is open, and who has shut it
 * before it looks whether all have left. */
#define GATE_LOOK_NS  100000000L
#define LEAVE_LOOK_NS 100000L

struct lane {
	_Alignas(64) uint32_t nr_in; /* threads on their way in, or inside; atomic */
	JNIEnv *last;		     /* who came last, for a message; atomic */
};

struct critical {
	jfieldID java_thread; /* of java.lang.Thread: the address of its JavaThread */
	size_t depth_at;      /* 0: nothing is known, or nothing need be */
	ptrdiff_t env_at;     /* of a thread's JNIEnv in its JavaThread */
	struct JNINativeInterface_ functions; /* as they were */
	uint32_t shut;			      /* a futex */
	struct lane lanes[NR_LANES];
};

/* What we look at in a JavaThread: its own fields. What every Thread has comes before, and counts
 * pinned objects, too. */
struct extent {
	size_t start, end;
};

static const char *java_thread(const struct critical *critical, JNIEnv *jni, jthread thread)
{
	return (const char *)(uintptr_t)(*jni)->GetLongField(jni, thread, critical->java_thread);
}

/* Between entering and leaving a critical region nothing else of JNI may be called. */
static bool look_at_ourselves(JNIEnv *jni, const char *fields, size_t size_bytes,
			      char *looks[NR_LOOKS])
{
	jbyteArray array = (*jni)->NewByteArray(jni, 1);
	void *once, *twice;

	if (!array)
		return false;
	memcpy(looks[0], fields, size_bytes);
	once = (*jni)->GetPrimitiveArrayCritical(jni, array, NULL);
	memcpy(looks[1], fields, size_bytes);
	twice = (*jni)->GetPrimitiveArrayCritical(jni, array, NULL);
	memcpy(looks[2], fields, size_bytes);
	if (twice)
		(*jni)->ReleasePrimitiveArrayCritical(jni, array, twice, JNI_ABORT);
	memcpy(looks[3], fields, size_bytes);
	if (once)
		(*jni)->ReleasePrimitiveArrayCritical(jni, array, once, JNI_ABORT);
	memcpy(looks[4], fields, size_bytes);
	(*jni)->DeleteLocalRef(jni, array);
	return once && twice;
}

/* Where the number is, or `size_bytes` when there is not exactly one. */
static size_t find_depth(char *looks[NR_LOOKS], size_t size_bytes)
{
	static const int32_t wanted[NR_LOOKS] = { 0, 1, 2, 1, 0 };
	size_t found = size_bytes;

	for (size_t at = 0; at + sizeof(int32_t) <= size_bytes; at += sizeof(int32_t)) {
		int nr_right = 0;

		for (int i = 0; i < NR_LOOKS; i++)
			nr_right += memcmp(looks[i] + at, &wanted[i], sizeof(wanted[i])) == 0;
		if (nr_right == NR_LOOKS && found != size_bytes)
			return size_bytes;
		if (nr_right == NR_LOOKS)
			found = at;
	}
	return found;
}

static void find_in(struct critical *critical, JNIEnv *jni, const char *self,
		    const struct extent *extent)
{
	size_t size_bytes = extent->end - extent->start, at;
	char *room = malloc(NR_LOOKS * size_bytes), *looks[NR_LOOKS];

	if (!room)
		return;
	for (size_t i = 0; i < NR_LOOKS; i++)
		looks[i] = room + i * size_bytes;
	if (look_at_ourselves(jni, self + extent->start, size_bytes, looks)) {
		at = find_depth(looks, size_bytes);
		critical->depth_at = at < size_bytes ? extent->start + at : 0;
	}
	free(room);
}

/* Whether anybody can be inside one, as far as is known. */
static bool matters(const struct agent *agent)
{
	return agent->critical && agent->critical->depth_at;
}

/* ---- the gate ------------------------------------------------------------------------------ */

static struct critical *gate(void)
{
	return agent_get()->critical;
}

static int32_t depth_of(const struct critical *critical, JNIEnv *jni)
{
	const char *at = (const char *)jni - critical->env_at + critical->depth_at;

	return *(const int32_t *)(const void *)at; /* our own */
}

static struct lane *lane_of(struct critical *critical, JNIEnv *jni)
{
	return &critical->lanes[((uintptr_t)jni >> LANE_SHIFT) % NR_LANES];
}

static void wait_at_gate(struct critical *critical)
{
	const struct timespec pause = { .tv_nsec = GATE_LOOK_NS };

	while (__atomic_load_n(&critical->shut, __ATOMIC_ACQUIRE))
		(void)syscall(SYS_futex, &critical->shut, FUTEX_WAIT_PRIVATE, 1, &pause, NULL, 0);
}

/* Who shuts the gate sees us counted, or we see it shut: hence the one order of all. */
static void pass_gate(struct critical *critical, JNIEnv *jni)
{
	struct lane *lane = lane_of(critical, jni);

	(void)__atomic_fetch_add(&lane->nr_in, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&critical->shut, __ATOMIC_SEQ_CST)) {
		(void)__atomic_fetch_sub(&lane->nr_in, 1, __ATOMIC_RELEASE);
		wait_at_gate(critical);
		(void)__atomic_fetch_add(&lane->nr_in, 1, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&lane->last, jni, __ATOMIC_RELAXED);
}

/* Who has passed is not counted any more once it is outside, whether it has left or did not come in
 * after all (no memory, or a copy). */
static void leave_gate(struct critical *critical, JNIEnv *jni)
{
	if (depth_of(critical, jni) == 0)
		(void)__atomic_fetch_sub(&lane_of(critical, jni)->nr_in, 1, __ATOMIC_RELEASE);
}

static void *JNICALL get_array(JNIEnv *jni, jarray array, jboolean *is_copy)
{
	struct critical *critical = gate();
	void *elements;

	if (depth_of(critical, jni) > 0) /* it is inside already, and must get on to leave */
		return critical->functions.GetPrimitiveArrayCritical(jni, array, is_copy);
	pass_gate(critical, jni);
	elements = critical->functions.GetPrimitiveArrayCritical(jni, array, is_copy);
	leave_gate(critical, jni);
	return elements;
}

static void JNICALL release_array(JNIEnv *jni, jarray array, void *elements, jint mode)
{
	struct critical *critical = gate();
	bool was_inside = depth_of(critical, jni) > 0;

	critical->functions.ReleasePrimitiveArrayCritical(jni, array, elements, mode);
	if (was_inside)
		leave_gate(critical, jni);
}

static const jchar *JNICALL get_string(JNIEnv *jni, jstring string, jboolean *is_copy)
{
	struct critical *critical = gate();
	const jchar *chars;

	if (depth_of(critical, jni) > 0)
		return critical->functions.GetStringCritical(jni, string, is_copy);
	pass_gate(critical, jni);
	chars = critical->functions.GetStringCritical(jni, string, is_copy);
	leave_gate(critical, jni);
	return chars;
}

static void JNICALL release_string(JNIEnv *jni, jstring string, const jchar *chars)
{
	struct critical *critical = gate();
	bool was_inside = depth_of(critical, jni) > 0;

	critical->functions.ReleaseStringCritical(jni, string, chars);
	if (was_inside)
		leave_gate(critical, jni);
}

/* In VMInit: nobody is inside. */
static void put_gate(struct critical *critical, jvmtiEnv *jvmti)
{
	struct JNINativeInterface_ *table = NULL;

	if ((*jvmti)->GetJNIFunctionTable(jvmti, &table) != JVMTI_ERROR_NONE)
		return;
	critical->functions = *table;
	table->GetPrimitiveArrayCritical = get_array;
	table->ReleasePrimitiveArrayCritical = release_array;
	table->GetStringCritical = get_string;
	table->ReleaseStringCritical = release_string;
	(void)(*jvmti)->SetJNIFunctionTable(jvmti, table);
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)table);
}

static const struct lane *find_taken_lane(const struct critical *critical)
{
	for (size_t i = 0; i < NR_LANES; i++)
		if (__atomic_load_n(&critical->lanes[i].nr_in, __ATOMIC_SEQ_CST))
			return &critical->lanes[i];
	return NULL;
}

/* Each lane is empty at a time when nobody comes in any more; so they are all. */
bool critical_shut(struct agent *agent, uint64_t deadline_ns)
{
	const struct timespec pause = { .tv_nsec = LEAVE_LOOK_NS };

	if (!matters(agent))
		return true;
	__atomic_store_n(&agent->critical->shut, 1, __ATOMIC_SEQ_CST);
	while (find_taken_lane(agent->critical)) {
		if (agent_now_ns(CLOCK_MONOTONIC) >= deadline_ns)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

void critical_open(struct agent *agent)
{
	if (!matters(agent))
		return;
	__atomic_store_n(&agent->critical->shut, 0, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &agent->critical->shut, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
		      0);
}

/* Threads are told by the address of their JavaThread, which may be gone: nothing is read there. */
jthread critical_who(struct agent *agent, JNIEnv *jni)
{
	const struct lane *lane = find_taken_lane(agent->critical);
	const char *wanted;
	jthread *threads = NULL, who = NULL;
	jint count = 0;

	if (!lane ||
	    (*agent->jvmti)->GetAllThreads(agent->jvmti, &count, &threads) != JVMTI_ERROR_NONE)
		return NULL;
	wanted = (const char *)__atomic_load_n(&lane->last, __ATOMIC_RELAXED) -
		 agent->critical->env_at;
	for (jint i = 0; i < count; i++)
		if (!who && java_thread(agent->critical, jni, threads[i]) == wanted)
			who = threads[i];
		else
			(*jni)->DeleteLocalRef(jni, threads[i]);
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)threads);
	return who;
}

/* ---- all of it ----------------------------------------------------------------------------- */

void critical_learn(struct agent *agent, JNIEnv *jni, jthread self)
{
	struct critical *critical = aligned_alloc(_Alignof(struct critical), sizeof(*critical));
	struct vm_structs vm;
	struct extent extent;
	jclass class;

	if (!critical)
		return;
	memset(critical, 0, sizeof(*critical));
	agent->critical = critical;
	vm_open(&vm, agent);
	extent.start = vm_type_size(&vm, "Thread");
	extent.end = vm_type_size(&vm, "JavaThread");
	class = (*jni)->GetObjectClass(jni, self);
	critical->java_thread = (*jni)->GetFieldID(jni, class, "eetop", "J");
	if (critical->java_thread && !vm.missing && extent.start < extent.end) {
		critical->env_at = (const char *)jni - java_thread(critical, jni, self);
		find_in(critical, jni, java_thread(critical, jni, self), &extent);
	}
	(*jni)->ExceptionClear(jni);
	(*jni)->DeleteLocalRef(jni, class);
	if (matters(agent))
		put_gate(critical, agent->jvmti);
}
