/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads inside JNI critical regions (GetPrimitiveArrayCritical). Where the collector does not pin
 * objects, HotSpot collects no garbage while there is one: whoever is suspended in there holds off
 * the collector, and with it everybody who needs memory.
 *
 * HotSpot counts how deep a thread is in (JavaThread::_jni_active_critical), but does not export
 * where. We find that by looking at ourselves: it is the one number of a JavaThread that goes 0, 1,
 * 2, 1, 0 when we enter twice and leave twice. With a collector that pins there is none, and
 * nothing to look after.
 */
#include <stdlib.h>
#include <string.h>

#include "vmstructs.h"

enum { NR_LOOKS = 5 };

struct critical {
	jfieldID java_thread; /* of java.lang.Thread: the address of its JavaThread */
	size_t depth_at;      /* 0: nothing is known, or nothing need be */
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

void critical_learn(struct agent *agent, JNIEnv *jni, jthread self)
{
	struct critical *critical;
	struct vm_structs vm;
	struct extent extent;
	jclass class;

	if (agent->critical || !(critical = calloc(1, sizeof(*critical))))
		return;
	agent->critical = critical;
	vm_open(&vm, agent);
	extent.start = vm_type_size(&vm, "Thread");
	extent.end = vm_type_size(&vm, "JavaThread");
	class = (*jni)->GetObjectClass(jni, self);
	critical->java_thread = (*jni)->GetFieldID(jni, class, "eetop", "J");
	if (critical->java_thread && !vm.missing && extent.start < extent.end)
		find_in(critical, jni, java_thread(critical, jni, self), &extent);
	(*jni)->ExceptionClear(jni);
	(*jni)->DeleteLocalRef(jni, class);
}

bool critical_matters(const struct agent *agent)
{
	return agent->critical && agent->critical->depth_at;
}

bool critical_inside(const struct agent *agent, JNIEnv *jni, jthread thread)
{
	const char *address;

	if (!critical_matters(agent))
		return false;
	address = java_thread(agent->critical, jni, thread);
	/* 0: it has ended. */
	return address &&
	       __atomic_load_n((const int32_t *)(const void *)(address + agent->critical->depth_at),
			       __ATOMIC_ACQUIRE) > 0;
}
