/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which virtual threads there are. JVMTI does not tell: they are looked for on the heap, which
 * takes as long as a pass over all objects.
 */
#include "agent.h"

/* For as long as it takes; nobody else tags meanwhile. */
enum { TAG = 1 };

/* On the VM thread, at a safepoint: no JNI. */
static jint JNICALL tag_thread(jlong class_tag, jlong size, jlong *tag, jint length,
			       void *user_data)
{
	(void)class_tag;
	(void)size;
	(void)length;
	(void)user_data;
	*tag = TAG;
	return 0;
}

static jthread *find_all(struct agent *agent, jclass class, jint *count_ret)
{
	const jvmtiHeapCallbacks callbacks = { .heap_iteration_callback = tag_thread };
	const jlong tag = TAG;
	jobject *threads = NULL;

	(void)(*agent->jvmti)->IterateThroughHeap(agent->jvmti, 0, class, &callbacks, NULL);
	if ((*agent->jvmti)->GetObjectsWithTags(agent->jvmti, 1, &tag, count_ret, &threads, NULL) !=
	    JVMTI_ERROR_NONE)
		return NULL;
	for (jint i = 0; i < *count_ret; i++)
		(void)(*agent->jvmti)->SetTag(agent->jvmti, threads[i], 0);
	return threads;
}

jthread *virtual_threads(struct agent *agent, JNIEnv *jni, bool only_mounted, jint *count_ret)
{
	jclass class = (*jni)->FindClass(jni, "java/lang/VirtualThread");
	jfieldID carrier =
		class ? (*jni)->GetFieldID(jni, class, "carrierThread", "Ljava/lang/Thread;")
		      : NULL;
	jint count = 0, kept = 0;
	jthread *threads = carrier ? find_all(agent, class, &count) : NULL;

	(*jni)->ExceptionClear(jni);
	for (jint i = 0; threads && i < count; i++) {
		jobject mounted_on = (*jni)->GetObjectField(jni, threads[i], carrier);

		if (mounted_on || !only_mounted)
			threads[kept++] = threads[i];
		else
			(*jni)->DeleteLocalRef(jni, threads[i]);
		(*jni)->DeleteLocalRef(jni, mounted_on);
	}
	(*jni)->DeleteLocalRef(jni, class);
	*count_ret = kept;
	return threads;
}

void virtual_threads_free(const struct agent *agent, JNIEnv *jni, jthread *threads, jint count)
{
	for (jint i = 0; i < count; i++)
		(*jni)->DeleteLocalRef(jni, threads[i]);
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)threads);
}
